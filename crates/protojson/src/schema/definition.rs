//! The contents of a definition that decide on its JSON, for comparing two definitions of the same name.
//!
//! Only a difference that changes the JSON can be a contradiction. So options such as `deprecated`, defaults of proto2,
//! the packing of lists and custom options are left out. The marks `debug_redact` are left out too, because those of all
//! sets apply.

use std::collections::{BTreeMap, HashSet};

use super::{EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor};

/// The elements of a message or an enum by name, each with the properties that decide on the JSON. Reserved ranges and
/// names are left out, because they describe no existing element.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Definition {
    elements: BTreeMap<String, String>,
}

impl Definition {
    pub(super) fn of_message(message: &MessageDescriptor) -> Self {
        let oneofs = message.oneof_names();
        let element = |field: FieldDescriptor| {
            // A oneof is compared by name, because its index changes with the oneofs before it. The one that a compiler
            // makes for an `optional` field of proto3 is only another spelling of presence.
            let oneof = field.oneof().filter(|_| !field.proto.proto3_optional()).and_then(|index| oneofs.get(index));
            (format!("field {}", field.name()), format!("{oneof:?} {}", content(&field)))
        };
        let mut elements: BTreeMap<String, String> = message.fields().into_iter().map(element).collect();
        elements.insert("its options".to_owned(), format!("message_set_wire_format={}", message.is_message_set()));
        Self { elements }
    }

    pub(super) fn of_enum(declared: &EnumDescriptor) -> Self {
        let values = declared.values();
        let mut numbers = HashSet::new();
        let elements = values.iter().map(|value| {
            // Of several names with one number, the first one is written.
            let is_written = numbers.insert(value.number());
            (format!("value {}", value.name()), format!("{} written={is_written}", value.number()))
        });
        Self { elements: elements.collect() }
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

/// Returns the properties of a field or an extension that decide on its JSON, apart from its oneof, its mark and the
/// definition of its type. The text is the same in every process.
pub(super) fn content(field: &FieldDescriptor) -> String {
    let entry = field.kind.as_message().filter(|_| field.is_map());
    let kind = match entry {
        Some(entry) => {
            let [key, value] = [entry.map_entry_key_field(), entry.map_entry_value_field()].map(|it| kind(&it.kind));
            format!("map {key} {value}")
        }
        None if field.is_repeated() => format!("repeated {}", kind(&field.kind)),
        None => kind(&field.kind),
    };
    let FieldDescriptor { has_presence, is_required, is_group, .. } = field;
    // The JSON has an extension under its full name.
    let json_name = field.extension.is_none().then(|| field.proto.json_name());
    format!(
        "{} {:?} {json_name:?} {kind} presence={has_presence} required={is_required} group={is_group}",
        field.number(),
        field.declared_name()
    )
}

fn kind(kind: &Kind) -> String {
    match kind {
        Kind::Message(message) => format!("message {}", message.full_name()),
        Kind::Enum(declared) => format!("enum {}", declared.full_name()),
        scalar => format!("{scalar:?}"),
    }
}
