//! The extensions of all sets of a schema.
//!
//! A message type knows the extensions in every set. An extension has one number and one name, so two sets can both
//! define it only if the definitions are the same.

use std::collections::HashMap;
use std::sync::Arc;

use super::{DescriptorSet, Entry, FieldDescriptor, MessageDescriptor};
use crate::SchemaError;

/// The extensions by the full name of the message that they extend, sorted by number.
pub(super) type Extensions = HashMap<Arc<str>, Box<[Entry]>>;

const FIX: &str = "compile both from the same source, or remove one of them";

/// An extension in a set.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Extension {
    extendee: Arc<str>,
    number: u32,
    entry: Entry,
    /// The full name.
    name: String,
}

/// Joins the extensions of these sets. `messages` are the definitions that serve.
///
/// # Errors
/// Returns an error if two different extensions of a message have the same number or the same name, or if an extension
/// has the number of a field. Options are no error, because every team chooses the numbers of its own options.
pub(super) fn join(sets: &[DescriptorSet], messages: &HashMap<Arc<str>, Entry>) -> Result<Extensions, SchemaError> {
    let mut all = Vec::new();
    for (set, linked) in (0..).zip(sets) {
        for (index, extendee) in linked.pool.extensions() {
            let field = linked.pool.extension(index);
            let (extendee, number) = (Arc::clone(extendee.shared_name()), field.number());
            let name = field.extension.unwrap_or_default();
            all.push(Extension { extendee, number, entry: Entry { set, index }, name });
        }
    }
    all.sort_unstable();
    let mut joined: Vec<Extension> = Vec::new();
    for copies in all.chunk_by(|one, other| one.extendee == other.extendee && one.number == other.number) {
        let [first, others @ ..] = copies else { continue };
        match others.iter().find(|other| !first.is_same(other, sets)) {
            None => joined.push(first.clone()),
            // Two options have this number, and a payload does not tell which of them it holds.
            Some(_) if first.is_option() => {}
            Some(other) => return Err(first.conflict(other, sets)),
        }
    }
    check_names(&joined, sets)?;
    let mut extensions = Extensions::new();
    for own in joined.chunk_by(|one, other| one.extendee == other.extendee) {
        let extendee = &own[0].extendee;
        if let Some(serving) = messages.get(extendee) {
            check_numbers(own, *serving, sets)?;
        }
        extensions.insert(Arc::clone(extendee), own.iter().map(|extension| extension.entry).collect());
    }
    Ok(extensions)
}

/// Checks that no two extensions have the same full name.
fn check_names(extensions: &[Extension], sets: &[DescriptorSet]) -> Result<(), SchemaError> {
    let mut by_name: Vec<&Extension> = extensions.iter().filter(|extension| !extension.is_option()).collect();
    by_name.sort_by_key(|extension| (&extension.name, extension.entry));
    match by_name.windows(2).find(|pair| pair[0].name == pair[1].name) {
        Some(pair) => Err(pair[0].conflict(pair[1], sets)),
        None => Ok(()),
    }
}

/// Checks that no extension of a message has the number of a field of the message.
fn check_numbers(extensions: &[Extension], serving: Entry, sets: &[DescriptorSet]) -> Result<(), SchemaError> {
    let message = MessageDescriptor::new(&sets[serving.set as usize].pool, serving.index);
    for field in message.fields() {
        let Ok(at) = extensions.binary_search_by_key(&field.number(), |extension| extension.number) else { continue };
        let (Extension { name, number, entry, .. }, message) = (&extensions[at], message.full_name());
        let [one, other] = [serving, *entry].map(|entry| sets[entry.set as usize].name());
        return Err(if serving.set > entry.set {
            let text = format!(
                "field {message}.{} has number {number}, which is extension [{name}] in {other}; {FIX}",
                field.name()
            );
            SchemaError::conflict(one, other, text)
        } else {
            let text = format!(
                "extension [{name}] of {message} has number {number}, which is field {} in {one}; {FIX}",
                field.name()
            );
            SchemaError::conflict(other, one, text)
        });
    }
    Ok(())
}

impl Extension {
    /// Whether the extension is an option for the elements of a schema. Events hold no options.
    fn is_option(&self) -> bool {
        self.extendee.starts_with("google.protobuf.")
    }

    fn read(&self, sets: &[DescriptorSet]) -> FieldDescriptor {
        sets[self.entry.set as usize].pool.extension(self.entry.index)
    }

    /// Whether two extensions of one message with one number have the same definition.
    fn is_same(&self, other: &Self, sets: &[DescriptorSet]) -> bool {
        let definition = |extension: &Self| {
            let mut field = extension.read(sets);
            // Both extend the same message. Its name can be written in full or relative to the package.
            field.proto.extendee = None;
            (field.proto, field.has_presence, field.is_required, field.is_group, field.is_marked)
        };
        self.name == other.name && definition(self) == definition(other)
    }

    /// Returns the error about two extensions that contradict each other.
    fn conflict(&self, other: &Self, sets: &[DescriptorSet]) -> SchemaError {
        let [first, second] = if self.entry < other.entry { [self, other] } else { [other, self] };
        let [first_set, second_set] = [first, second].map(|extension| sets[extension.entry.set as usize].name());
        let Self { extendee, number, name, .. } = second;
        let text = if name != &first.name {
            format!(
                "extension [{name}] of {extendee} has number {number}, which is [{}] in {first_set}; {FIX}",
                first.name
            )
        } else if (extendee, *number) == (&first.extendee, first.number) {
            format!("extension [{name}] of {extendee} is defined differently in {first_set}; {FIX}")
        } else {
            format!(
                "extension [{name}] is number {number} of {extendee}, and number {} of {} in {first_set}; {FIX}",
                first.number, first.extendee
            )
        };
        SchemaError::conflict(second_set, first_set, text)
    }
}
