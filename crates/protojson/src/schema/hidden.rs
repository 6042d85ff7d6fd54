//! The fields that options hide: which field a path leads to, which fields are marked with `debug_redact`, and whether
//! a field that was hidden in another version of the schema still is.

use super::{FieldDescriptor, Kind, Mark, MessageDescriptor, Schema};
use crate::program::{self, Role, Shape};
use crate::{FieldPath, Options};

/// The course of a path through the fields of a message type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trail {
    /// The numbers of the fields on the path, as far as the path exists.
    pub numbers: Vec<u32>,
    /// Whether the path leads to a field.
    pub is_complete: bool,
    /// The names of the sets that define the message types on the path, beginning with the type where the path ends.
    pub sets: Vec<String>,
}

/// A field that at least one set marks with `debug_redact`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct MarkedField {
    /// Full name of the message type.
    pub message_type: String,
    /// The name as declared; for an extension, the full name in brackets.
    pub name: String,
    /// The field number.
    pub number: u32,
    /// The names of the sets that mark the field, sorted.
    pub sets: Vec<String>,
}

/// Whether consumers of the JSON see a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visibility {
    /// The JSON has the value of the field.
    Visible,
    /// The options leave out the field or its value.
    Hidden,
    /// The schema has no such field, so the JSON has nothing of it.
    Absent,
}

impl Schema {
    /// Follows the field names of a path through a message type. Returns `None` if no set defines the type.
    ///
    /// The path must lead through messages whose fields the JSON has. So it cannot continue inside a Timestamp, an Any
    /// or another type with a JSON form of its own.
    pub fn trail(&self, full_name: &str, path: FieldPath<'_>) -> Option<Trail> {
        let mut within = Some(self.message(full_name)?);
        let mut trail = Trail { numbers: Vec::new(), is_complete: true, sets: Vec::new() };
        for name in path.names() {
            let around = within.filter(|message| program::shape(message) == Shape::Plain);
            trail
                .sets
                .extend(around.as_ref().and_then(|around| self.joined.set_with(around.pool())).map(str::to_owned));
            let Some(field) = around.as_ref().and_then(|around| field(around, name)) else {
                trail.is_complete = false;
                break;
            };
            trail.sets.extend(self.joined.set_with(field.pool()).map(str::to_owned));
            trail.numbers.push(field.number());
            within = message_in(&field);
        }
        trail.sets.reverse();
        trail.sets.dedup();
        Some(trail)
    }

    /// Returns the visibility of the field that these numbers lead to in the JSON of a message type. A value of another
    /// type in the place of the field or of a message around it is visible, because the codec can read the same bytes
    /// as that type.
    pub fn visibility(&self, full_name: &str, options: &Options, numbers: &[u32]) -> Visibility {
        let Some(program) = self.program(full_name, options) else { return Visibility::Absent };
        let mut table = Some(&program.messages[0]);
        for number in numbers {
            let Some(around) = table.filter(|table| table.shape == Shape::Plain) else { return Visibility::Visible };
            let Some(index) = around.find(*number) else { return Visibility::Absent };
            let field = &around.fields[index as usize];
            if matches!(field.role, Role::Dropped | Role::Redacted) {
                return Visibility::Hidden;
            }
            let kind = match field.kind {
                program::Kind::Map(map) => program.maps[map as usize].value.kind,
                kind => kind,
            };
            table = match kind {
                program::Kind::Message(inner) => Some(&program.messages[inner as usize]),
                _ => None,
            };
        }
        Visibility::Visible
    }

    /// Returns the fields that any set marks with `debug_redact`, sorted. They include those of definitions that do not
    /// serve, because the definition that serves can have the field later.
    pub fn marked_fields(&self) -> Vec<MarkedField> {
        let fields = self.joined.marks.all().map(|(mark, sets)| {
            let mut sets: Vec<String> = self.joined.set_names(sets).map(str::to_owned).collect();
            sets.sort_unstable();
            let (message_type, name) = (mark.message_type.to_string(), mark.name.to_string());
            MarkedField { message_type, name, number: mark.number, sets }
        });
        let mut marked: Vec<MarkedField> = fields.collect();
        marked.sort_unstable();
        marked
    }

    /// Returns the name of the set whose definition of the field of this name or number serves while no set marks that
    /// field. Returns `None` if there is no such field, or if every such field is marked.
    pub fn set_that_unmarks(&self, field: &MarkedField) -> Option<&str> {
        let message = self.message(&field.message_type)?;
        let fields = all_fields(&message);
        let is_it = |now: &&FieldDescriptor| now.number() == field.number || now.declared_name() == field.name;
        let unmarked = fields.iter().filter(is_it).find(|now| !now.is_marked)?;
        Some(self.joined.set_with(unmarked.pool()).unwrap_or_default())
    }

    /// Whether a set marks a field with both this name and this number.
    pub fn has_mark(&self, field: &MarkedField) -> bool {
        let is_it = |mark: &Mark| mark.number == field.number && *mark.name == *field.name;
        self.joined.marks.of_type(&field.message_type).any(|(mark, _)| is_it(mark))
    }
}

fn all_fields(message: &MessageDescriptor) -> Vec<FieldDescriptor> {
    let mut fields = message.fields();
    fields.extend(message.extensions());
    fields
}

/// Returns the field of this name. The name of an extension is its full name in brackets.
fn field(message: &MessageDescriptor, name: &str) -> Option<FieldDescriptor> {
    if name.starts_with('[') {
        return message.extensions().into_iter().find(|extension| extension.declared_name() == name);
    }
    message.get_field_by_name(name)
}

/// Returns the message type of a field, of the elements of a list, or of the values of a map.
pub(super) fn message_in(field: &FieldDescriptor) -> Option<MessageDescriptor> {
    match &field.kind {
        Kind::Message(entry) if field.is_map() => entry.map_entry_value_field().kind.as_message().cloned(),
        Kind::Message(message) => Some(message.clone()),
        _ => None,
    }
}
