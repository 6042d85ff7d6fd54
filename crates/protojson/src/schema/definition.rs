//! The contents of a definition, for comparing two definitions of the same name.

use std::collections::BTreeMap;

use prost_types::FieldDescriptorProto;

use super::{EnumDescriptor, FieldDescriptor, MessageDescriptor};

/// The elements of a message or an enum by name, each with all of its properties. Reserved ranges and names are left
/// out, because they describe no existing element.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Definition {
    elements: BTreeMap<String, String>,
    /// The number of fields that are marked with `debug_redact`.
    marked: usize,
}

impl Definition {
    pub(super) fn of_message(message: &MessageDescriptor) -> Self {
        let oneofs = message.oneof_names();
        let element = |field: FieldDescriptor| {
            let oneof = field.oneof().and_then(|index| oneofs.get(index));
            // A oneof is compared by name, because its index changes with the oneofs before it.
            let plain = FieldDescriptorProto { oneof_index: None, ..field.proto };
            // The proto does not show these properties: some come from the file, and prost ignores `debug_redact`.
            let resolved = (field.has_presence, field.is_required, field.is_group, field.is_marked);
            let entry = field.kind.as_message().filter(|message| message.is_map_entry());
            let entry: Vec<_> =
                entry.into_iter().flat_map(MessageDescriptor::fields).map(|field| field.proto).collect();
            (format!("field {}", plain.name()), format!("{oneof:?} {plain:?} {resolved:?} {entry:?}"))
        };
        let fields = message.fields();
        let marked = fields.iter().filter(|field| field.is_marked).count();
        let mut elements: BTreeMap<String, String> = fields.into_iter().map(element).collect();
        if let Some(options) = message.options() {
            elements.insert("its options".to_owned(), format!("{options:?}"));
        }
        Self { elements, marked }
    }

    pub(super) fn of_enum(declared: &EnumDescriptor) -> Self {
        let values = declared.values();
        let elements = values.iter().map(|v| (format!("value {}", v.name()), format!("{v:?}"))).collect();
        Self { elements, marked: 0 }
    }

    /// Returns the number of elements.
    pub(super) fn len(&self) -> usize {
        self.elements.len()
    }

    /// Returns the number of fields that are marked with `debug_redact`.
    pub(super) fn marked(&self) -> usize {
        self.marked
    }

    /// Whether this definition contains everything in the other one, and possibly more.
    pub(super) fn only_adds_to(&self, other: &Self) -> bool {
        other.elements.iter().all(|(name, what)| self.elements.get(name) == Some(what))
    }

    /// Returns the name of an element in which the two definitions differ.
    pub(super) fn difference(&self, other: &Self) -> Option<&str> {
        let lacks = |one: &Self, name: &str, what: &str| one.elements.get(name).is_none_or(|known| known != what);
        // Elements in both definitions come first, because they hold the contradiction.
        let in_both =
            self.elements.iter().find(|(name, what)| other.elements.contains_key(*name) && lacks(other, name, what));
        let found = in_both.or_else(|| self.elements.iter().find(|(name, what)| lacks(other, name, what)));
        found.map(|(name, _)| name.as_str())
    }
}
