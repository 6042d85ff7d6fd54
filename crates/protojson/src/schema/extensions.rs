//! The extensions of all sets of a schema.
//!
//! A message type knows the extensions in every set. An extension has one number and one name, so two sets can both
//! define it only if the definitions are the same.

use std::collections::HashMap;
use std::sync::Arc;

use super::decisions::Choices;
use super::definition::content;
use super::{DescriptorSet, Entry, MessageDescriptor};
use crate::SchemaError;

/// The extensions by the full name of the message that they extend, sorted by number.
pub(super) type Extensions = HashMap<Arc<str>, Box<[Entry]>>;

const FIX: &str = "compile both from the same source, or remove one of them";

/// A definition of an extension, and the sets that have it.
#[derive(Debug)]
struct Extension {
    extendee: Arc<str>,
    number: u32,
    /// The full name.
    name: String,
    /// The copies, in the order of the sets.
    copies: Vec<Entry>,
}

/// A copy of an extension that contradicts another extension or a field, and does not serve.
#[derive(Debug)]
pub(super) struct Clash {
    /// The error about the copy.
    pub(super) error: SchemaError,
    /// The error about the second of the two elements in the order of the sets.
    pub(super) in_order: SchemaError,
}

/// Joins the extensions of these sets. `messages` are the definitions that serve.
///
/// Two different extensions contradict each other if they have the same name, or the same message and number. An
/// extension also contradicts a field of its message with its number, and the field serves. Of contradicting extensions
/// serves the one that the most sets have; among equals, their definitions are compared. An extension is left out only
/// if it contradicts one that serves. Returns a clash for each copy that is left out, sorted by message and number.
///
/// Different options with one number are left out without a clash, because every team chooses the numbers of its own
/// options, and a payload does not tell which of them it holds.
pub(super) fn join(
    sets: &[DescriptorSet],
    messages: &HashMap<Arc<str>, Entry>,
    choices: &Choices,
) -> (Extensions, Vec<Clash>) {
    let (options, mut all): (Vec<Extension>, _) = distinct(sets, choices).into_iter().partition(Extension::is_option);
    let is_same = |one: &Extension, other: &Extension| one.extendee == other.extendee && one.number == other.number;
    let mut serving: Vec<&Extension> =
        options.chunk_by(is_same).filter(|options| options.len() == 1).flatten().collect();
    let mut clashes = Vec::new();
    all.sort_by(|one, other| other.rank(one, sets));
    let mut fields = Fields { sets, messages, by_message: HashMap::new() };
    let mut by_number: HashMap<(&str, u32), &Extension> = HashMap::new();
    let mut by_name: HashMap<&str, &Extension> = HashMap::new();
    for extension in &all {
        let key = (&*extension.extendee, extension.number);
        let found = if let Some((set, field)) = fields.find(extension) {
            extension.clashes_with_field(set, field, sets)
        } else if let Some(winner) = by_number.get(&key).or_else(|| by_name.get(&*extension.name)) {
            extension.clashes_with(winner, sets)
        } else {
            by_number.insert(key, extension);
            by_name.insert(&extension.name, extension);
            serving.push(extension);
            continue;
        };
        clashes.push(((&extension.extendee, extension.number, &extension.name), found));
    }
    serving.sort_by_key(|extension| (&extension.extendee, extension.number));
    let by_extendee = serving.chunk_by(|one, other| one.extendee == other.extendee);
    let entries = |own: &[&Extension]| own.iter().map(|extension| extension.copies[0]).collect();
    let extensions = by_extendee.map(|own| (Arc::clone(&own[0].extendee), entries(own))).collect();
    clashes.sort_by_key(|(key, _)| *key);
    (extensions, clashes.into_iter().flat_map(|(_, clashes)| clashes).collect())
}

/// Returns the extensions that can serve, sorted by message, number and name. Identical ones are one.
fn distinct(sets: &[DescriptorSet], choices: &Choices) -> Vec<Extension> {
    let mut all = Vec::new();
    for (set, linked) in (0..).zip(sets) {
        for (index, extendee) in linked.pool.extensions() {
            let entry = Entry { set, index };
            if choices.extensions.contains(&entry) {
                continue;
            }
            let field = linked.pool.extension(index);
            let number = field.number();
            all.push((Arc::clone(extendee.shared_name()), number, field.extension.unwrap_or_default(), entry));
        }
    }
    all.sort_unstable();
    let mut distinct: Vec<Extension> = Vec::new();
    for (extendee, number, name, entry) in all {
        let is_it = |known: &&mut Extension| (&known.extendee, known.number, &known.name) == (&extendee, number, &name);
        let mut known = distinct.iter_mut().rev().take_while(is_it);
        match known.find(|known| definition(known.copies[0], sets) == definition(entry, sets)) {
            Some(known) => known.copies.push(entry),
            None => distinct.push(Extension { extendee, number, name, copies: vec![entry] }),
        }
    }
    distinct
}

/// The fields of the messages that serve, decoded when an extension of the message requires them.
struct Fields<'s> {
    sets: &'s [DescriptorSet],
    messages: &'s HashMap<Arc<str>, Entry>,
    by_message: HashMap<Arc<str>, HashMap<u32, String>>,
}

impl Fields<'_> {
    /// Returns the field with the number of an extension in the message that it extends, and the position of its set.
    fn find(&mut self, extension: &Extension) -> Option<(Entry, &str)> {
        let serving = *self.messages.get(&extension.extendee)?;
        let fields = self.by_message.entry(Arc::clone(&extension.extendee)).or_insert_with(|| {
            let message = MessageDescriptor::new(&self.sets[serving.set as usize].pool, serving.index);
            message.fields().into_iter().map(|field| (field.number(), field.name().to_owned())).collect()
        });
        Some((serving, fields.get(&extension.number)?))
    }
}

/// Returns all that two extensions with the same message, number and name must share.
fn definition(entry: Entry, sets: &[DescriptorSet]) -> String {
    content(&sets[entry.set as usize].pool.extension(entry.index))
}

impl Extension {
    /// Whether the extension is an option for the elements of a schema. Events hold no options.
    fn is_option(&self) -> bool {
        self.extendee.starts_with("google.protobuf.")
    }

    /// Compares which of two extensions serves if they contradict each other.
    fn rank(&self, other: &Self, sets: &[DescriptorSet]) -> std::cmp::Ordering {
        let by_copies = self.copies.len().cmp(&other.copies.len());
        let by_name = || (&self.name, &self.extendee, self.number).cmp(&(&other.name, &other.extendee, other.number));
        let definition = |one: &Self| definition(one.copies[0], sets);
        by_copies.then_with(by_name).then_with(|| definition(self).cmp(&definition(other)))
    }

    /// Returns a clash for each copy of this extension, which loses against a field.
    fn clashes_with_field(&self, serving: Entry, field: &str, sets: &[DescriptorSet]) -> Vec<Clash> {
        let Self { name, number, extendee: message, .. } = self;
        let clash = |copy: &Entry| {
            let [one, other] = [serving, *copy].map(|entry| sets[entry.set as usize].name());
            let text =
                format!("extension [{name}] of {message} has number {number}, which is field {field} in {one}; {FIX}");
            let error = SchemaError::conflict(other, one, text);
            let text =
                format!("field {message}.{field} has number {number}, which is extension [{name}] in {other}; {FIX}");
            let in_order = if serving.set > copy.set { SchemaError::conflict(one, other, text) } else { error.clone() };
            Clash { error, in_order }
        };
        self.copies.iter().map(clash).collect()
    }

    /// Returns a clash for each copy of this extension, which loses against another one.
    fn clashes_with(&self, winner: &Self, sets: &[DescriptorSet]) -> Vec<Clash> {
        let first = winner.copies[0];
        let clash = |copy: &Entry| {
            let error = self.conflict(*copy, winner, first, sets);
            let in_order = if first > *copy { winner.conflict(first, self, *copy, sets) } else { error.clone() };
            Clash { error, in_order }
        };
        self.copies.iter().map(clash).collect()
    }

    /// Returns the error about a copy of an extension that contradicts a copy of another one.
    fn conflict(&self, copy: Entry, first: &Self, first_copy: Entry, sets: &[DescriptorSet]) -> SchemaError {
        let [first_set, second_set] = [first_copy, copy].map(|entry| sets[entry.set as usize].name());
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
