//! The oracle: buffa-descriptor, which also passes the whole conformance suite.
//!
//! [`known_difference`] finds the places in a payload where the two implementations differ on purpose.

use std::sync::Arc;

use buffa_descriptor::DescriptorPool;
use buffa_descriptor::reflect::DynamicMessage;

use super::schema::{Field, Kind, Role, Schema};

#[derive(Debug)]
pub(crate) struct Oracle(Arc<DescriptorPool>);

impl Oracle {
    pub(crate) fn new(set: &[u8]) -> Result<Self, String> {
        Ok(Self(Arc::new(DescriptorPool::decode(set).map_err(|error| error.to_string())?)))
    }

    /// Returns the JSON of a payload, or an error text.
    pub(crate) fn json(&self, full_name: &str, wire: &[u8]) -> Result<String, String> {
        let index = self.0.message_index(full_name).ok_or("no such type")?;
        let message = DynamicMessage::decode(Arc::clone(&self.0), index, wire).map_err(|error| error.to_string())?;
        message.to_json().map_err(|error| error.to_string())
    }
}

/// The oracle reads a map entry by field number alone, so it misreads or refuses a key or value of another wire type.
/// protojson skips it, as in every other message.
pub(crate) const MAP_ENTRY: &str = "a key or value of another wire type in a map entry";
/// The oracle treats numbers that a closed enum does not define as unknown fields. protojson writes the number, so that no
/// data is lost.
pub(crate) const CLOSED_ENUM: &str = "an unknown number of a closed enum";
/// The oracle uses zero for a missing value in a map entry. protojson uses the first number of the enum, which is its
/// default.
pub(crate) const ENUM_DEFAULT: &str = "a missing value in a map of a closed enum that does not begin with zero";
/// The oracle accepts a message in either encoding. protojson accepts the declared encoding and skips the other.
pub(crate) const ENCODING: &str = "a message in another encoding than the declared one";
/// The oracle accepts a full name that begins with a dot.
pub(crate) const DOTTED_URL: &str = "a type URL with a dot before the full name";
/// The oracle leaves out the extensions of the message in an Any. protojson writes them.
pub(crate) const EXTENSION_IN_ANY: &str = "an extension in an Any";
/// The oracle does not check required fields. protojson refuses a message that lacks one.
pub(crate) const REQUIRED: &str = "a required field is missing";

/// Returns the reason why the two can differ on a payload, if there is one.
pub(crate) fn known_difference(schema: &Schema, wire: &[u8]) -> Option<&'static str> {
    let mut search = Search { schema, found: None, types: Vec::new() };
    // An Any can name its type after its value, so types that one pass finds are used in the next pass.
    let mut known = usize::MAX;
    while search.found.is_none() && search.types.len() != known {
        known = search.types.len();
        search.message(Some(0), wire, &mut 0, None, 0);
    }
    search.found
}

struct Search<'s> {
    schema: &'s Schema,
    found: Option<&'static str>,
    /// The types that any Any in the payload names.
    types: Vec<usize>,
}

/// The result of a step; `None` if the wire format is invalid, which ends the search in the message.
type Step = Option<()>;

impl Search<'_> {
    fn message(&mut self, of: Option<usize>, wire: &[u8], at: &mut usize, group: Option<u32>, depth: usize) -> Step {
        if depth > 100 {
            return None;
        }
        while *at < wire.len() {
            let tag = varint(wire, at)?;
            let (number, wire_type) = (u32::try_from(tag >> 3).ok()?, (tag & 7) as u8);
            if wire_type == 4 {
                return (group == Some(number)).then_some(());
            }
            let fields = of.map_or(&[][..], |of| &self.schema.types[of].fields);
            let field = fields.iter().find(|field| field.number == number).cloned();
            match (field, wire_type) {
                (Some(field), 3) => {
                    let Kind::Message(inner) = field.kind else {
                        self.message(None, wire, at, Some(number), depth + 1)?;
                        continue;
                    };
                    let is_declared = field.wire_type() == 3;
                    if !is_declared && !matches!(field.role, Role::Map(_)) {
                        self.found = Some(ENCODING);
                    }
                    self.message(is_declared.then_some(inner), wire, at, Some(number), depth + 1)?;
                }
                (None, 3) => self.message(None, wire, at, Some(number), depth + 1)?,
                (Some(field), 2) => {
                    let value = delimited(wire, at)?;
                    self.delimited(&field, of, value, depth);
                }
                (None, 2) => drop(delimited(wire, at)?),
                (field, 0) => {
                    let value = varint(wire, at)?;
                    if let Some(field) = field {
                        self.number(&field, value);
                    }
                }
                (_, 1) => *at += 8,
                (_, 5) => *at += 4,
                _ => return None,
            }
        }
        Some(())
    }

    fn delimited(&mut self, field: &Field, of: Option<usize>, value: &[u8], depth: usize) {
        if of.is_some_and(|of| self.schema.types[of].full_name == "google.protobuf.Any") {
            self.any(field, value, depth);
            return;
        }
        match (field.role, field.kind) {
            (Role::Map(key), kind) => drop(self.entry(key, kind, value, depth)),
            (_, Kind::Message(inner)) => {
                if field.is_group {
                    self.found = Some(ENCODING);
                }
                self.message(Some(inner), value, &mut 0, None, depth + 1);
            }
            (Role::Repeated, Kind::Enum(_)) => {
                let mut at = 0;
                while let Some(number) = varint(value, &mut at) {
                    self.number(field, number);
                }
            }
            _ => {}
        }
    }

    fn any(&mut self, field: &Field, value: &[u8], depth: usize) {
        if field.number == 1 {
            let url = String::from_utf8_lossy(value);
            let name = url.rsplit('/').next().unwrap_or_default();
            if name.starts_with('.') {
                self.found = Some(DOTTED_URL);
            }
            let named = self.schema.types.iter().position(|known| known.full_name == name);
            self.types.extend(named.filter(|named| !self.types.contains(named)));
            return;
        }
        for of in self.types.clone() {
            if self.schema.types[of].fields.iter().any(|field| field.is_extension) {
                self.found = Some(EXTENSION_IN_ANY);
            }
            self.message(Some(of), value, &mut 0, None, depth + 1);
        }
    }

    fn entry(&mut self, key: Kind, value_kind: Kind, wire: &[u8], depth: usize) -> Step {
        let (mut at, mut has_value) = (0, false);
        while at < wire.len() {
            let tag = varint(wire, &mut at)?;
            has_value |= tag >> 3 == 2;
            let (number, wire_type) = (tag >> 3, (tag & 7) as u8);
            let expected = match number {
                1 => Some(key.wire_type()),
                2 => Some(value_kind.wire_type()),
                _ => None,
            };
            if expected.is_some_and(|expected| expected != wire_type) {
                self.found = Some(MAP_ENTRY);
                return None;
            }
            match wire_type {
                0 => {
                    let value = varint(wire, &mut at)?;
                    if number == 2 {
                        self.enumeration(value_kind, value);
                    }
                }
                1 => at += 8,
                5 => at += 4,
                2 => {
                    let value = delimited(wire, &mut at)?;
                    if let (2, Kind::Message(of)) = (number, value_kind) {
                        self.message(Some(of), value, &mut 0, None, depth + 1);
                    }
                }
                3 => self.message(None, wire, &mut at, u32::try_from(number).ok(), depth + 1)?,
                _ => return None,
            }
        }
        if let Kind::Enum(index) = value_kind
            && !has_value
            && self.schema.enums[index].numbers[0] != 0
        {
            self.found = Some(ENUM_DEFAULT);
        }
        Some(())
    }

    fn number(&mut self, field: &Field, value: u64) {
        if !matches!(field.role, Role::Map(_)) {
            self.enumeration(field.kind, value);
        }
    }

    fn enumeration(&mut self, kind: Kind, value: u64) {
        let Kind::Enum(index) = kind else { return };
        let declared = &self.schema.enums[index];
        if declared.is_closed && !declared.numbers.contains(&(value as i32)) {
            self.found = Some(CLOSED_ENUM);
        }
    }
}

fn varint(wire: &[u8], at: &mut usize) -> Option<u64> {
    let mut value = 0u64;
    for shift in 0..10 {
        let byte = *wire.get(*at)?;
        *at += 1;
        value |= u64::from(byte & 0x7f) << (7 * shift);
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

fn delimited<'w>(wire: &'w [u8], at: &mut usize) -> Option<&'w [u8]> {
    let length = usize::try_from(varint(wire, at)?).ok()?;
    let value = wire.get(*at..at.checked_add(length)?)?;
    *at += length;
    Some(value)
}
