//! The fields that options hide: which field a path leads to, which fields are marked with `debug_redact`, and whether
//! a field that was hidden in another version of the schema still is.

use std::cell::LazyCell;
use std::collections::BTreeMap;

use super::changes::type_of;
use super::leads::Reach;
use super::{DescriptorSet, FieldDescriptor, Kind, Mark, MessageDescriptor, Schema};
use crate::program::{self, Role, Shape};
use crate::{FieldPath, Options};

/// The numbers of the fields in the entries of a map.
const KEY: u32 = 1;
const VALUE: u32 = 2;

/// The course of a path through the fields of a message type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trail {
    /// The numbers of the fields on the path, as far as the path exists. The number of a map is followed by 2, which is
    /// the number of the values in its entries.
    pub numbers: Vec<u32>,
    /// Whether the path leads to a field.
    pub is_complete: bool,
    /// The names of the sets that define the message types on the path, beginning with the type where the path ends.
    pub sets: Vec<String>,
}

/// A field that must stay hidden: at least one set marks it with `debug_redact`, it leads to such a field, or it holds
/// an Any in which a path hides fields.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct MarkedField {
    mark: Mark,
    sets: Vec<String>,
}

/// A field that a schema shows although it must stay hidden.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownField<'f> {
    /// The field that must stay hidden.
    pub field: &'f MarkedField,
    /// A description of the change that shows the field, for people.
    pub text: String,
    /// The name of the set whose definition shows the field.
    pub set: &'f str,
}

impl MarkedField {
    /// Returns the full name of the message type.
    pub fn message_type(&self) -> &str {
        &self.mark.message_type
    }

    /// Returns the name as declared; for an extension, the full name in brackets.
    pub fn name(&self) -> &str {
        &self.mark.name
    }

    /// Returns the field number.
    pub fn number(&self) -> u32 {
        self.mark.number
    }

    /// Returns the full name of the message type of the field, or of the values of the map, if the field itself is not
    /// marked and a field inside it is. Such a field stays hidden as long as it has this type.
    pub fn inner(&self) -> Option<&str> {
        self.mark.held().map(|held| &*held.message_type)
    }

    /// Returns the names of the sets that mark the field, or that have the field that leads to a mark, sorted.
    pub fn sets(&self) -> &[String] {
        &self.sets
    }

    /// Returns a key that is the same for the same field, whichever sets have it, and by which fields are sorted.
    pub fn key(&self) -> impl Ord + '_ {
        &self.mark
    }
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
        Some(self.follow(self.message(full_name)?, path))
    }

    /// Follows the field names of a path through each definition of a message type, whether it serves or not, as the set
    /// of the definition knows it. Returns the course in the definition that serves first, and no course twice.
    pub fn trails(&self, full_name: &str, path: FieldPath<'_>) -> Vec<Trail> {
        let mut trails: Vec<Trail> = self.trail(full_name, path).into_iter().collect();
        if self.joined.sets.len() < 2 {
            return trails;
        }
        for DescriptorSet { pool, .. } in &self.joined.sets {
            let Some(index) = pool.find_message(full_name) else { continue };
            let trail = self.follow(MessageDescriptor::new(pool, index), path);
            if trails.iter().all(|known| known.numbers != trail.numbers || known.is_complete != trail.is_complete) {
                trails.push(trail);
            }
        }
        trails
    }

    fn follow(&self, message: MessageDescriptor, path: FieldPath<'_>) -> Trail {
        let mut within = Some(message);
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
            trail.numbers.extend(field.is_map().then_some(VALUE));
            within = message_in(&field);
        }
        trail.sets.reverse();
        trail.sets.dedup();
        trail
    }

    /// Returns the names of the fields that paths lead to in definitions of a message type which do not serve, in the
    /// definition that serves. If a field on the way has another type there, its name is the last one, because the same
    /// bytes can be read as that type.
    pub(crate) fn places_of_other_definitions(
        &self,
        message: &MessageDescriptor,
        paths: &[String],
    ) -> Vec<Vec<String>> {
        let paths = paths.iter().map(|path| FieldPath::new(path)).filter(|path| path.starts_at(message.full_name()));
        // The first trail is that of the definition that serves, which the path itself covers.
        let others = paths.flat_map(|path| self.trails(message.full_name(), path).into_iter().skip(1));
        others.filter(|trail| trail.is_complete).filter_map(|trail| place(message, &trail.numbers)).collect()
    }

    /// Returns the visibility of the field that these numbers lead to in the JSON of a message type. A value of another
    /// type in the place of the field or of a message around it is visible, because the codec can read the same bytes
    /// as that type.
    pub fn visibility(&self, full_name: &str, options: &Options, numbers: &[u32]) -> Visibility {
        let Some(program) = self.program(full_name, options) else { return Visibility::Absent };
        let mut table = Some(&program.messages[0]);
        let mut numbers = numbers.iter();
        while let Some(number) = numbers.next() {
            let Some(around) = table.filter(|table| table.shape == Shape::Plain) else { return Visibility::Visible };
            let Some(index) = around.find(*number) else { return Visibility::Absent };
            let field = &around.fields[index as usize];
            if matches!(field.role, Role::Dropped | Role::Redacted) {
                return Visibility::Hidden;
            }
            let kind = match field.kind {
                program::Kind::Map(map) => match numbers.next() {
                    None => return Visibility::Visible,
                    Some(&VALUE) => program.maps[map as usize].value.kind,
                    Some(&KEY) => program.maps[map as usize].key.kind,
                    Some(_) => return Visibility::Absent,
                },
                kind => kind,
            };
            table = match kind {
                program::Kind::Message(inner) => Some(&program.messages[inner as usize]),
                _ => None,
            };
        }
        Visibility::Visible
    }

    /// Returns the fields that must stay hidden where profiles hide marked fields, sorted: those that any set marks
    /// with `debug_redact`, those that lead to a marked field, and those that serve and are hidden by these. They
    /// include fields of definitions that do not serve, because the definition that serves can have the field later.
    ///
    /// `counts` says of a field, by the full name of its message type and its name, whether its mark counts.
    pub fn marked_fields(&self, counts: impl Fn(&str, &str) -> bool) -> Vec<MarkedField> {
        let counts = |mark: &Mark| counts(&mark.message_type, &mark.name);
        let reach = Reach::of(&self.joined.sets, counts);
        let mut marked = Vec::new();
        for message_type in reach.types() {
            let protected = self.joined.protected(message_type, &reach, counts).into_iter();
            marked.extend(protected.map(|(mark, sets)| self.marked_field(mark, &sets)));
        }
        marked.sort_unstable();
        marked
    }

    /// Returns the fields that lead to a marked field in some set while another set serves them with another type,
    /// sorted. Where profiles hide marked fields, they are hidden as a whole.
    pub fn contradicted_fields(&self) -> Vec<MarkedField> {
        let fields = self.joined.marks.contradicted();
        let mut fields: Vec<_> = fields.map(|(mark, sets)| self.marked_field(mark.clone(), sets)).collect();
        fields.sort_unstable();
        fields
    }

    fn marked_field(&self, mark: Mark, sets: &[u32]) -> MarkedField {
        let mut sets: Vec<String> = self.joined.set_names(sets).map(str::to_owned).collect();
        sets.sort_unstable();
        sets.dedup();
        MarkedField { mark, sets }
    }

    /// Returns the fields that hold Anys, in the definitions of all sets, whether they serve or not, sorted. An Any can
    /// hold a message whose fields a path hides.
    pub fn any_fields(&self) -> Vec<MarkedField> {
        let reach = Reach::of_any();
        let mut fields: BTreeMap<Mark, Vec<u32>> = BTreeMap::new();
        for (position, set) in (0..).zip(&self.joined.sets) {
            for mark in reach.marks_of(set) {
                fields.entry(mark).or_default().push(position);
            }
        }
        fields.into_iter().map(|(mark, sets)| self.marked_field(mark, &sets)).collect()
    }

    /// Returns those of these fields whose number serves with another type, so that the same bytes are read as that
    /// type.
    pub fn retyped<'f>(&'f self, fields: &'f [MarkedField]) -> Vec<ShownField<'f>> {
        let retyped = fields.iter().filter_map(|field| {
            let now = self.message(field.message_type())?.all_fields();
            let now = now.into_iter().find(|now| now.number() == field.number())?;
            let (name, number) = (now.declared_name(), now.number());
            let text = format!("{name} = {number} held an Any and has the type {} now", type_of(&now));
            let set = self.joined.set_with(now.pool()).unwrap_or_default();
            (!field.mark.allows_type_of(&now)).then_some(ShownField { field, text, set })
        });
        retyped.collect()
    }

    /// Returns those of the fields that the schema shows: a field of the same number, name or JSON name serves, no set
    /// marks it, and it does not have the type that hides the fields inside it.
    pub fn shown<'f>(&'f self, fields: &'f [MarkedField]) -> Vec<ShownField<'f>> {
        let mut by_type: BTreeMap<&str, Vec<&MarkedField>> = BTreeMap::new();
        for field in fields {
            by_type.entry(field.message_type()).or_default().push(field);
        }
        let mut shown = Vec::new();
        for (message_type, fields) in by_type {
            let Some(message) = self.message(message_type) else { continue };
            let now = LazyCell::new(|| message.all_fields());
            for field in fields {
                if self.joined.marks.contains(&field.mark) || self.joined.serves(&field.mark) {
                    continue;
                }
                if let Some(now) = field.mark.hidden_among(&now).find(|now| !now.is_marked) {
                    let set = self.joined.set_with(now.pool()).unwrap_or_default();
                    shown.push(ShownField { field, text: field.mark.removal(now), set });
                }
            }
        }
        shown
    }
}

/// Returns the names of the fields that these numbers lead to, as far as the definition has messages there. Returns
/// `None` if it lacks one of the fields.
fn place(message: &MessageDescriptor, numbers: &[u32]) -> Option<Vec<String>> {
    let mut names = Vec::new();
    let mut within = Some(message.clone());
    let mut numbers = numbers.iter().peekable();
    while let Some(number) = numbers.next() {
        let Some(around) = within.filter(|message| program::shape(message) == Shape::Plain) else { break };
        let field = around.all_fields().into_iter().find(|field| field.number() == *number)?;
        names.push(field.declared_name());
        within = match field.is_map() {
            // Anything but its values is the place where the definitions part.
            true => numbers.next_if(|number| **number == VALUE).and_then(|_| message_in(&field)),
            false => message_in(&field),
        };
    }
    Some(names)
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
