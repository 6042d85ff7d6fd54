//! The contents of a definition, for comparing two definitions of the same name.

use std::collections::BTreeMap;

use prost_types::{FieldDescriptorProto, FieldOptions};

use super::{EnumDescriptor, FieldDescriptor, MessageDescriptor};

/// The elements of a message or an enum by name, each with all of its properties. Reserved ranges and names are left
/// out, because they describe no existing element. The marks `debug_redact` are left out too, because those of all sets
/// apply.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Definition {
    elements: BTreeMap<String, String>,
}

impl Definition {
    pub(super) fn of_message(message: &MessageDescriptor) -> Self {
        let oneofs = message.oneof_names();
        let element = |field: FieldDescriptor| {
            let oneof = field.oneof().and_then(|index| oneofs.get(index));
            // A oneof is compared by name, because its index changes with the oneofs before it.
            let plain = FieldDescriptorProto { oneof_index: None, ..without_empty_options(field.proto) };
            // The proto does not show these properties, because they can come from the file.
            let resolved = (field.has_presence, field.is_required, field.is_group);
            let entry = field.kind.as_message().filter(|message| message.is_map_entry());
            let entry: Vec<_> =
                entry.into_iter().flat_map(MessageDescriptor::fields).map(|field| field.proto).collect();
            (format!("field {}", plain.name()), format!("{oneof:?} {plain:?} {resolved:?} {entry:?}"))
        };
        let mut elements: BTreeMap<String, String> = message.fields().into_iter().map(element).collect();
        if let Some(options) = message.options() {
            elements.insert("its options".to_owned(), format!("{options:?}"));
        }
        Self { elements }
    }

    pub(super) fn of_enum(declared: &EnumDescriptor) -> Self {
        let values = declared.values();
        let elements = values.iter().map(|v| (format!("value {}", v.name()), format!("{v:?}"))).collect();
        Self { elements }
    }

    /// Returns the number of elements.
    pub(super) fn len(&self) -> usize {
        self.elements.len()
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

/// Returns the definition of a field without options if it has none that prost knows. So `debug_redact` as the only
/// option makes no difference.
pub(super) fn without_empty_options(field: FieldDescriptorProto) -> FieldDescriptorProto {
    let options = field.options.filter(|options| *options != FieldOptions::default());
    FieldDescriptorProto { options, ..field }
}
