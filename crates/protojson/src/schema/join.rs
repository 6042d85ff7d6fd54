//! Joins linked sets to a schema: of several definitions of one name, decides which one serves.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::decisions::Choices;
use super::definition::Definition;
use super::extensions::Clash;
use super::leads::Serving;
use super::marks::Marks;
use super::pool::Pool;
use super::{DescriptorSet, Entry, EnumDescriptor, Joined, MessageDescriptor, Outgrown, Schema, extensions};
use crate::SchemaError;

/// A schema while sets are added to it.
#[derive(Default)]
pub(super) struct Join {
    pub(super) sets: Vec<DescriptorSet>,
    pub(super) messages: HashMap<Arc<str>, Entry>,
    enums: HashMap<Arc<str>, Entry>,
    outgrown: Vec<Outgrown>,
    /// The decisions about definitions so far.
    pub(super) choices: Choices,
    /// The names for which the order of the sets would decide, each with the first contradiction.
    pub(super) conflicts: BTreeMap<Arc<str>, SchemaError>,
}

/// A schema, and what its join has found.
pub(super) struct Finished {
    pub(super) schema: Schema,
    /// The contradictions between extensions.
    pub(super) clashes: Vec<Clash>,
    /// The decisions about definitions.
    pub(super) choices: Choices,
}

/// Whether the name is that of a built-in type. Every protoc ships its own version of these, so differences are no
/// contradiction.
pub(super) fn is_well_known(full_name: &str) -> bool {
    full_name.starts_with("google.protobuf.")
}

impl Join {
    /// Adds these sets.
    pub(super) fn of(sets: &[DescriptorSet], choices: Choices) -> Self {
        let mut join = Self { choices, sets: sets.to_vec(), ..Self::default() };
        for (position, set) in (0..).zip(sets) {
            join.add(position, set);
        }
        join
    }

    fn add(&mut self, position: u32, set: &DescriptorSet) {
        for message in set.pool.messages().filter(|message| !message.is_map_entry()) {
            let name = message.shared_name();
            let first = self.messages.get(name).map(|entry| (entry.set, entry.index));
            let known = first.map(|(set, index)| (set, MessageDescriptor::new(&self.sets[set as usize].pool, index)));
            let first = known.as_ref().map(|(set, known)| (*set, known.is_copy_of(&message)));
            let serves = self.serves(name, position, first, || {
                let (_, known) = known.as_ref()?;
                Some((Definition::of_message(known), Definition::of_message(&message)))
            });
            if serves {
                self.messages.insert(Arc::clone(name), Entry { set: position, index: message.index() });
            }
        }
        for declared in set.pool.enums() {
            let name = declared.shared_name();
            let known = self
                .enums
                .get(name)
                .map(|entry| (entry.set, EnumDescriptor::new(&self.sets[entry.set as usize].pool, entry.index)));
            let first = known.as_ref().map(|(set, known)| (*set, known.bytes() == declared.bytes()));
            let serves = self.serves(name, position, first, || {
                let (_, known) = known.as_ref()?;
                Some((Definition::of_enum(known), Definition::of_enum(&declared)))
            });
            if serves {
                self.enums.insert(Arc::clone(name), Entry { set: position, index: declared.index() });
            }
        }
    }

    /// Whether the definition of a name in the set at `second` serves rather than the one that served until now. `first`
    /// is the position of that one's set, and whether the two are copies; only if not are they decoded.
    fn serves(
        &mut self,
        name: &Arc<str>,
        second: u32,
        first: Option<(u32, bool)>,
        definitions: impl FnOnce() -> Option<(Definition, Definition)>,
    ) -> bool {
        if self.choices.is_withheld(second, name) {
            return false;
        }
        let Some((first, is_copy)) = first else { return true };
        if is_copy {
            return self.choices.serving.get(name) == Some(&second);
        }
        let Some((one, other)) = definitions() else { return true };
        let set = |position: u32| &*self.sets[position as usize].name;
        if let Some(chosen) = self.choices.serving.get(name) {
            // The chosen definition only adds to every other one.
            let (serves, smaller) = if *chosen == second { (true, first) } else { (false, second) };
            if !is_well_known(name) && one != other {
                let outgrown = outgrown(name, set(smaller), set(*chosen));
                self.outgrown.push(outgrown);
            }
            return serves;
        }
        let (grows, shrinks) = (other.only_adds_to(&one), one.only_adds_to(&other));
        if !grows && !shrinks {
            let error = conflict(name, (set(first), &one), (set(second), &other));
            self.conflicts.entry(Arc::clone(name)).or_insert(error);
            return false;
        }
        if !is_well_known(name) && one != other {
            let (smaller, larger) = if grows { (first, second) } else { (second, first) };
            let outgrown = outgrown(name, set(smaller), set(larger));
            self.outgrown.push(outgrown);
        }
        grows && one != other
    }

    /// Returns the schema, with the contradictions between extensions.
    pub(super) fn finish(mut self) -> Finished {
        let (extensions, clashes) = extensions::join(&self.sets, &self.messages, &self.choices);
        let set = self.sets.len() as u32;
        for message in Pool::built_in().messages().filter(|message| !message.is_map_entry()) {
            let name = Arc::clone(message.shared_name());
            self.messages.entry(name).or_insert(Entry { set, index: message.index() });
        }
        self.messages.shrink_to_fit();
        self.enums.shrink_to_fit();
        self.outgrown.sort_by(|one, other| one.full_name.cmp(&other.full_name));
        let Self { sets, messages, enums, outgrown, choices, .. } = self;
        let marks = Marks::of(Serving { sets: &sets, messages: &messages, extensions: &extensions });
        let outgrown = outgrown.into();
        let joined = Joined { sets, messages, enums, extensions, marks, outgrown };
        Finished { schema: Schema { joined: Arc::new(joined) }, clashes, choices }
    }
}

fn outgrown(full_name: &str, set: &str, by: &str) -> Outgrown {
    Outgrown { full_name: full_name.to_owned(), set: set.to_owned(), by: by.to_owned() }
}

/// Returns the error about a set whose definition of a name contradicts that of another set.
pub(super) fn conflict(full_name: &str, other: (&str, &Definition), set: (&str, &Definition)) -> SchemaError {
    let ((other, known), (set, definition)) = (other, set);
    let element = known.difference(definition).map_or_else(String::new, |element| format!(" (look at {element})"));
    let message = format!(
        "{full_name} is defined differently in {other}{element}; compile both from the same source, or remove one of them"
    );
    SchemaError::conflict(set, other, message)
}
