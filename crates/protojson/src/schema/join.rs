//! Joins linked sets to a schema: of several definitions of one name, decides which one serves.

use std::collections::HashMap;
use std::sync::Arc;

use super::definition::Definition;
use super::pool::Pool;
use super::{DescriptorSet, Entry, EnumDescriptor, Joined, MessageDescriptor, Outgrown, Schema, extensions};
use crate::SchemaError;

/// A schema while sets are added to it.
#[derive(Default)]
pub(super) struct Join {
    sets: Vec<DescriptorSet>,
    messages: HashMap<Arc<str>, Entry>,
    enums: HashMap<Arc<str>, Entry>,
    outgrown: Vec<Outgrown>,
}

impl Join {
    /// Adds a set.
    ///
    /// # Errors
    /// Returns an error if the set contradicts a set that was added before.
    pub(super) fn add(&mut self, set: &DescriptorSet) -> Result<(), SchemaError> {
        let position = self.sets.len() as u32;
        self.sets.push(set.clone());
        for message in set.pool.messages().filter(|message| !message.is_map_entry()) {
            let name = message.shared_name();
            let first = self.messages.get(name).map(|entry| (entry.set, entry.index));
            let known = first.map(|(set, index)| (set, MessageDescriptor::new(&self.sets[set as usize].pool, index)));
            let serves = match known {
                None => true,
                Some((first, known)) => {
                    let same = known.is_copy_of(&message);
                    self.choose(name, first, position, same, || {
                        (Definition::of_message(&known), Definition::of_message(&message))
                    })?
                }
            };
            if serves {
                self.messages.insert(Arc::clone(name), Entry { set: position, index: message.index() });
            }
        }
        for declared in set.pool.enums() {
            let name = declared.shared_name();
            let serves = match self.enums.get(name).copied() {
                None => true,
                Some(first) => {
                    let known = EnumDescriptor::new(&self.sets[first.set as usize].pool, first.index);
                    let same = known.bytes() == declared.bytes();
                    self.choose(name, first.set, position, same, || {
                        (Definition::of_enum(&known), Definition::of_enum(&declared))
                    })?
                }
            };
            if serves {
                self.enums.insert(Arc::clone(name), Entry { set: position, index: declared.index() });
            }
        }
        Ok(())
    }

    /// Returns whether the second of two definitions of one name serves. Records the superseded one. `same` says whether
    /// one is a copy of the other; only if not are they decoded.
    fn choose(
        &mut self,
        name: &str,
        first: u32,
        second: u32,
        same: bool,
        definitions: impl FnOnce() -> (Definition, Definition),
    ) -> Result<bool, SchemaError> {
        // Every protoc ships its own version of the well-known types, so differences are no conflict.
        if same || name.starts_with("google.protobuf.") {
            return Ok(false);
        }
        let (one, other) = definitions();
        let set = |position: u32| &*self.sets[position as usize].name;
        self.outgrown.extend(choose(name, set(first), &one, set(second), &other)?);
        Ok(other.only_adds_to(&one) && one != other)
    }

    /// Returns the schema.
    ///
    /// # Errors
    /// Returns an error if extensions of the sets contradict each other.
    pub(super) fn finish(mut self) -> Result<Schema, SchemaError> {
        let extensions = extensions::join(&self.sets, &self.messages)?;
        let set = self.sets.len() as u32;
        for message in Pool::built_in().messages().filter(|message| !message.is_map_entry()) {
            let name = Arc::clone(message.shared_name());
            self.messages.entry(name).or_insert(Entry { set, index: message.index() });
        }
        self.messages.shrink_to_fit();
        self.enums.shrink_to_fit();
        self.outgrown.sort_by(|one, other| one.full_name.cmp(&other.full_name));
        let Self { sets, messages, enums, outgrown } = self;
        let outgrown = outgrown.into();
        Ok(Schema { joined: Arc::new(Joined { sets, messages, enums, extensions, outgrown }) })
    }
}

/// Compares two definitions of one name. Returns the superseded one if one definition only adds to the other.
///
/// # Errors
/// Returns an error if the definitions contradict each other.
fn choose(
    full_name: &str,
    first: &str,
    one: &Definition,
    second: &str,
    other: &Definition,
) -> Result<Option<Outgrown>, SchemaError> {
    if one == other {
        return Ok(None);
    }
    let outgrown = |set: &str, by: &str| {
        let (full_name, set, by) = (full_name.to_owned(), set.to_owned(), by.to_owned());
        Some(Outgrown { full_name, set, by })
    };
    if one.only_adds_to(other) {
        return Ok(outgrown(second, first));
    }
    if other.only_adds_to(one) {
        return Ok(outgrown(first, second));
    }
    let element = one.difference(other).map_or_else(String::new, |element| format!(" (look at {element})"));
    let message = format!(
        "{full_name} is defined differently in {first}{element}; compile both from the same source, or remove one of them"
    );
    Err(SchemaError::conflict(second, first, message))
}
