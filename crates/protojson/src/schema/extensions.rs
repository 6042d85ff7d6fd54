//! The extensions of all sets of a schema.
//!
//! A message type knows the extensions in every set. An extension has one number and one name, so two sets can both
//! define it only if the definitions are the same.

use std::collections::HashMap;
use std::sync::Arc;

use super::definition::without_empty_options;
use super::reconcile::Choices;
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

/// A contradiction between extensions, or between an extension and a field.
#[derive(Debug)]
pub(super) struct Clash {
    /// The error about the extension that does not serve.
    pub(super) error: SchemaError,
    /// The error about the second of the two elements in the order of the sets.
    pub(super) in_order: SchemaError,
    /// The extensions that do not serve.
    pub(super) losers: Vec<Entry>,
}

/// Joins the extensions of these sets. `messages` are the definitions that serve.
///
/// # Errors
/// Returns an error if two different extensions of a message have the same number or the same name, or if an extension
/// has the number of a field. Options are no error, because every team chooses the numbers of its own options.
pub(super) fn join(
    sets: &[DescriptorSet],
    messages: &HashMap<Arc<str>, Entry>,
    choices: &Choices,
) -> Result<Extensions, Box<Clash>> {
    let all = all(sets, choices);
    let mut joined: Vec<Extension> = Vec::new();
    for copies in all.chunk_by(|one, other| one.extendee == other.extendee && one.number == other.number) {
        let [first, others @ ..] = copies else { continue };
        match others.iter().find(|other| !first.is_same(other, sets)) {
            None => joined.push(first.clone()),
            // Two options have this number, and a payload does not tell which of them it holds.
            Some(_) if first.is_option() => {}
            Some(other) => return Err(decide(copies, [first, other], sets)),
        }
    }
    check_names(&joined, &all, sets)?;
    let mut extensions = Extensions::new();
    for own in joined.chunk_by(|one, other| one.extendee == other.extendee) {
        let extendee = &own[0].extendee;
        if let Some(serving) = messages.get(extendee) {
            check_numbers(own, &all, *serving, sets)?;
        }
        extensions.insert(Arc::clone(extendee), own.iter().map(|extension| extension.entry).collect());
    }
    Ok(extensions)
}

/// Returns the extensions that can serve, sorted.
fn all(sets: &[DescriptorSet], choices: &Choices) -> Vec<Extension> {
    let mut all = Vec::new();
    for (set, linked) in (0..).zip(sets) {
        for (index, extendee) in linked.pool.extensions() {
            let entry = Entry { set, index };
            if choices.extensions.contains(&entry) {
                continue;
            }
            let field = linked.pool.extension(index);
            let (extendee, number) = (Arc::clone(extendee.shared_name()), field.number());
            let name = field.extension.unwrap_or_default();
            all.push(Extension { extendee, number, entry, name });
        }
    }
    all.sort_unstable();
    all
}

/// Checks that no two extensions have the same full name. `all` has the copies of the extensions, too.
fn check_names(extensions: &[Extension], all: &[Extension], sets: &[DescriptorSet]) -> Result<(), Box<Clash>> {
    let mut by_name: Vec<&Extension> = extensions.iter().filter(|extension| !extension.is_option()).collect();
    by_name.sort_by_key(|extension| (&extension.name, extension.entry));
    let Some(pair) = by_name.windows(2).find(|pair| pair[0].name == pair[1].name) else { return Ok(()) };
    let copies: Vec<Extension> = all.iter().filter(|extension| extension.name == pair[0].name).cloned().collect();
    Err(decide(&copies, [pair[0], pair[1]], sets))
}

/// Checks that no extension of a message has the number of a field of the message.
fn check_numbers(
    extensions: &[Extension],
    all: &[Extension],
    serving: Entry,
    sets: &[DescriptorSet],
) -> Result<(), Box<Clash>> {
    let message = MessageDescriptor::new(&sets[serving.set as usize].pool, serving.index);
    for field in message.fields() {
        let Ok(at) = extensions.binary_search_by_key(&field.number(), |extension| extension.number) else { continue };
        let (Extension { name, number, entry, extendee }, message) = (&extensions[at], message.full_name());
        let [one, other] = [serving, *entry].map(|entry| sets[entry.set as usize].name());
        let text = format!(
            "extension [{name}] of {message} has number {number}, which is field {} in {one}; {FIX}",
            field.name()
        );
        let error = SchemaError::conflict(other, one, text);
        let text = format!(
            "field {message}.{} has number {number}, which is extension [{name}] in {other}; {FIX}",
            field.name()
        );
        let in_order = if serving.set > entry.set { SchemaError::conflict(one, other, text) } else { error.clone() };
        // The field serves. A message without it would contradict its own set.
        let copies = all.iter().filter(|copy| &copy.extendee == extendee && copy.number == *number);
        return Err(Box::new(Clash { error, in_order, losers: copies.map(|copy| copy.entry).collect() }));
    }
    Ok(())
}

/// Decides which of the extensions in `copies` serves. It is the one that the most sets have. Among equals, the texts of the definitions are compared. `found` are two that contradict each other.
fn decide(copies: &[Extension], found: [&Extension; 2], sets: &[DescriptorSet]) -> Box<Clash> {
    let count = |one: &Extension| copies.iter().filter(|other| one.is_equal(other, sets)).count();
    let rank = |one: &&Extension| {
        let text = format!("{:?}", (&one.name, &one.extendee, one.number, one.definition(sets)));
        (count(one), text)
    };
    let winner = copies.iter().max_by_key(rank).unwrap_or(found[0]);
    let losers: Vec<&Extension> = copies.iter().filter(|other| !winner.is_equal(other, sets)).collect();
    let [first, second] = if found[0].entry < found[1].entry { found } else { [found[1], found[0]] };
    let in_order = second.conflict(first, sets);
    let error = losers.first().map_or_else(|| in_order.clone(), |loser| loser.conflict(winner, sets));
    Box::new(Clash { error, in_order, losers: losers.into_iter().map(|loser| loser.entry).collect() })
}

impl Extension {
    /// Whether the extension is an option for the elements of a schema. Events hold no options.
    fn is_option(&self) -> bool {
        self.extendee.starts_with("google.protobuf.")
    }

    fn read(&self, sets: &[DescriptorSet]) -> FieldDescriptor {
        sets[self.entry.set as usize].pool.extension(self.entry.index)
    }

    /// Returns all that two extensions of one message with one number must share.
    fn definition(&self, sets: &[DescriptorSet]) -> impl PartialEq + std::fmt::Debug {
        let mut field = self.read(sets);
        // Both extend the same message. Its name can be written in full or relative to the package.
        field.proto.extendee = None;
        (without_empty_options(field.proto), field.has_presence, field.is_required, field.is_group)
    }

    /// Whether two extensions of one message with one number have the same definition.
    fn is_same(&self, other: &Self, sets: &[DescriptorSet]) -> bool {
        self.name == other.name && self.definition(sets) == other.definition(sets)
    }

    /// Whether the two are the same extension of the same message.
    fn is_equal(&self, other: &Self, sets: &[DescriptorSet]) -> bool {
        (&self.extendee, self.number) == (&other.extendee, other.number) && self.is_same(other, sets)
    }

    /// Returns the error about an extension that contradicts another one.
    fn conflict(&self, first: &Self, sets: &[DescriptorSet]) -> SchemaError {
        let [first_set, second_set] = [first, self].map(|extension| sets[extension.entry.set as usize].name());
        let Self { extendee, number, name, .. } = self;
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
