//! The fields of a set that hold messages, in a compact form.

use std::sync::Arc;

use super::records::{self, Value, records, tag, text};
use super::{FieldDescriptor, Kind, MessageDescriptor, Pool, field};

/// A field or an extension whose type is a message or a map.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::schema) struct Link {
    /// The index of the message that has the field, or of the message that the extension extends.
    pub(in crate::schema) holder: u32,
    pub(in crate::schema) number: u32,
    /// The index of the field's type; for a map, that of its entry.
    pub(in crate::schema) inner: u32,
    /// The index of the extension; `None` for a field.
    pub(in crate::schema) extension: Option<u32>,
}

impl Link {
    /// Returns the link of a field or an extension, if its type is a message.
    pub(super) fn of(holder: u32, field: &FieldDescriptor, extension: Option<u32>) -> Option<Self> {
        let inner = field.kind.as_message()?.index();
        Some(Self { holder, number: field.number(), inner, extension })
    }
}

/// The type of a field as far as it decides which fields inside it are hidden.
///
/// A list and a single value are the same. A map is another type than a list of its values, because its entries have a
/// message around each value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::schema) struct Held {
    /// The full name of the message type, or of that of a map's values.
    pub(in crate::schema) message_type: Arc<str>,
    pub(in crate::schema) is_map: bool,
}

impl Held {
    /// Returns the type of a field; `None` if it holds no messages.
    pub(in crate::schema) fn of(field: &FieldDescriptor) -> Option<Self> {
        let message = field.kind.as_message()?;
        if !message.is_map_entry() {
            return Some(Self { message_type: Arc::clone(message.shared_name()), is_map: false });
        }
        let Kind::Message(value) = message.map_entry_value_field().kind else { return None };
        Some(Self { message_type: Arc::clone(value.shared_name()), is_map: true })
    }
}

impl std::fmt::Display for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let map = if self.is_map { "a map of " } else { "" };
        write!(f, "{map}{}", self.message_type)
    }
}

/// The names of a field or an extension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::schema) struct Names {
    /// The name as declared; for an extension, the full name in brackets.
    pub(in crate::schema) declared: Box<str>,
    pub(in crate::schema) json: Box<str>,
}

impl Names {
    /// Returns the names of a field as compiled.
    pub(in crate::schema) fn of(name: &str, json_name: Option<&str>) -> Self {
        let json = json_name.map_or_else(|| field::json_name(name).into(), Box::from);
        Self { declared: name.into(), json }
    }
}

impl FieldDescriptor {
    /// Returns the names of the field. Clashes of JSON names do not count.
    pub(in crate::schema) fn names(&self) -> Names {
        let declared: Box<str> = self.declared_name().into();
        let json = if self.extension.is_some() { declared.clone() } else { self.proto.json_name().into() };
        Names { declared, json }
    }

    /// Whether this is the declared name or the JSON name of the field.
    pub(in crate::schema) fn is_named(&self, name: &str) -> bool {
        match &self.extension {
            Some(full_name) => name.strip_prefix('[').and_then(|name| name.strip_suffix(']')) == Some(full_name),
            None => self.name() == name || self.proto.json_name() == name,
        }
    }
}

impl Pool {
    /// Returns the full name of a message, shared with the pool.
    pub(in crate::schema) fn message_name(&self, index: u32) -> &Arc<str> {
        &self.messages[index as usize].name
    }

    /// Returns the index of the message with this full name.
    pub(in crate::schema) fn find_message(&self, full_name: &str) -> Option<u32> {
        match self.find(full_name)? {
            super::names::Symbol::Message(index) => Some(index),
            super::names::Symbol::Enum(_) => None,
        }
    }

    /// Whether a message is the entry of a map.
    pub(in crate::schema) fn is_map_entry(&self, index: u32) -> bool {
        self.messages[index as usize].is_map_entry
    }
}

impl MessageDescriptor {
    /// Calls `take` with the number, the declared name and the JSON name of each field, in the order of their
    /// declaration. The JSON name is `None` if the compiler wrote none. Decodes nothing else.
    pub(in crate::schema) fn each_name<'m>(&'m self, mut take: impl FnMut(u32, &'m str, Option<&'m str>)) {
        for field in records::of(self.bytes(), tag::MESSAGE_FIELD) {
            let Ok((bytes, _)) = field else { continue };
            let (mut number, mut name, mut json_name) = (0, "", None);
            for record in records(bytes) {
                match record {
                    Ok((tag::FIELD_NUMBER, Value::Number(value), _)) => number = value as u32,
                    Ok((tag::FIELD_NAME, Value::Bytes(bytes), _)) => name = text(bytes).unwrap_or_default(),
                    Ok((tag::FIELD_JSON_NAME, Value::Bytes(bytes), _)) => json_name = text(bytes).ok(),
                    _ => {}
                }
            }
            take(number, name, json_name);
        }
    }
}
