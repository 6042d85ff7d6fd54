//! Linked descriptor sets: full name → message descriptor.
//!
//! Each set is linked by itself, because teams compile independently and their sets carry different versions of shared
//! imports. Only the types must agree. If several sets define the same full name, the definitions must be identical
//! (ignoring comments and source positions), or one must only add to the other; the larger one then serves. The
//! well-known types are built in, and a set can carry its own copy of them.

mod changes;
mod definition;
mod pool;
mod readers;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

pub use changes::{Change, Rule};
use definition::Definition;
use pool::Pool;
pub(crate) use pool::{Comments, Element, EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor};

use crate::program::{self, Program};
use crate::{Options, Plan, PlanError, SchemaError, TapError};

/// Linked descriptor sets. A schema is immutable; a clone shares the same data.
///
/// A schema keeps the definitions in the form in which the compiler wrote them, and decodes a definition when a plan or
/// another answer requires it. So a schema takes about as much memory as its sets take on disk without source info, and
/// a few hundred bytes for each type.
#[derive(Clone)]
pub struct Schema {
    joined: Arc<Joined>,
}

struct Joined {
    sets: Vec<DescriptorSet>,
    messages: HashMap<Arc<str>, Entry>,
    outgrown: Box<[Outgrown]>,
}

/// The definition of a message type that serves.
#[derive(Debug, Clone, Copy)]
struct Entry {
    /// The position of the set in [`Joined::sets`]. The built-in types have the position behind the last set.
    set: u32,
    message: u32,
}

/// One FileDescriptorSet, linked by itself. A clone shares the same data.
#[derive(Clone)]
pub struct DescriptorSet {
    name: Arc<str>,
    pool: Arc<Pool>,
}

/// A definition that is superseded by a larger definition in another set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgrown {
    /// Full name of the message or enum.
    pub full_name: String,
    /// The name of the set with the smaller definition.
    pub set: String,
    /// The name of the set with the larger definition, which serves.
    pub by: String,
}

/// A collection of descriptor sets that becomes a schema; see [`Schema::builder`].
#[derive(Default)]
pub struct SchemaBuilder {
    sets: Vec<DescriptorSet>,
}

// The debug output is short because a pool prints every definition.
impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Schema")
            .field("sets", &self.joined.sets.len())
            .field("messages", &self.joined.messages.len())
            .finish()
    }
}

impl fmt::Debug for SchemaBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sets: Vec<&str> = self.sets.iter().map(DescriptorSet::name).collect();
        f.debug_struct("SchemaBuilder").field("sets", &sets).finish()
    }
}

impl fmt::Debug for DescriptorSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DescriptorSet").field("name", &self.name).finish_non_exhaustive()
    }
}

impl DescriptorSet {
    /// Links a FileDescriptorSet. `name` identifies it in errors and in [`Schema::messages`].
    ///
    /// # Errors
    /// Returns an error if the bytes are not a FileDescriptorSet, or if the set does not link by itself.
    pub fn link(name: &str, bytes: &[u8]) -> Result<Self, SchemaError> {
        let pool = Pool::link(bytes).map_err(|refusal| SchemaError::new(refusal.kind, name, refusal.message))?;
        Ok(Self { name: name.into(), pool })
    }

    /// Returns the name that the set was linked with.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the number of files in the set, including imports.
    pub fn files(&self) -> usize {
        self.pool.files()
    }
}

impl Schema {
    /// Joins linked sets.
    ///
    /// # Errors
    /// Returns an error if two sets define the same full name and neither definition only adds to the other.
    pub fn join<'s>(sets: impl IntoIterator<Item = &'s DescriptorSet>) -> Result<Self, SchemaError> {
        let mut join = Join::default();
        for set in sets {
            join.add(set)?;
        }
        Ok(join.finish())
    }

    /// Returns the definitions that another set supersedes, sorted by full name.
    pub fn outgrown(&self) -> &[Outgrown] {
        &self.joined.outgrown
    }

    /// Returns a builder without sets.
    pub fn builder() -> SchemaBuilder {
        SchemaBuilder::default()
    }

    /// Compiles the plan of one message type.
    ///
    /// # Errors
    /// Returns an error if no set defines `full_name` (without a leading dot).
    pub fn plan(&self, full_name: &str, options: &Options) -> Result<Plan, PlanError> {
        match self.message(full_name) {
            Some(message) => Ok(Plan::new(self, &message, options)),
            None => Err(PlanError { full_name: full_name.to_owned() }),
        }
    }

    /// Compiles the program of one message type, if a set defines the type.
    pub(crate) fn program(&self, full_name: &str, options: &Options) -> Option<Program> {
        Some(program::compile(&self.message(full_name)?, options))
    }

    /// Whether a set defines this message type.
    pub fn contains(&self, full_name: &str) -> bool {
        self.joined.messages.contains_key(full_name)
    }

    /// Whether a message type has a field with this name, as declared. The call is cheap.
    pub fn has_field(&self, full_name: &str, name: &str) -> bool {
        self.message(full_name).is_some_and(|message| message.has_field(name))
    }

    /// Checks that a path leads to a single value in a message type, as [`Plan::with_tap`] requires. Returns `None` if no
    /// set defines the type. The call is cheap: it compiles no plan.
    pub fn check_tap(&self, full_name: &str, path: &str) -> Option<Result<(), TapError>> {
        Some(crate::plan::tap_path(&self.message(full_name)?, path).map(drop))
    }

    /// Returns the full names of all message types, each with the name of the set that serves it, in no particular
    /// order. Map entries are left out, because they are messages only on the wire.
    pub fn messages(&self) -> impl Iterator<Item = (&str, &str)> {
        self.shared_messages().map(|(name, set)| (&**name, set))
    }

    /// Returns the same as [`Schema::messages`], with full names that the caller can keep without copying them.
    pub fn shared_messages(&self) -> impl Iterator<Item = (&Arc<str>, &str)> {
        self.joined.messages.iter().map(|(name, entry)| (name, self.joined.set_of(*entry)))
    }

    /// Returns the descriptor of a message type.
    fn message(&self, full_name: &str) -> Option<MessageDescriptor> {
        Some(self.joined.descriptor(*self.joined.messages.get(full_name)?))
    }
}

impl Joined {
    fn descriptor(&self, entry: Entry) -> MessageDescriptor {
        let pool = self.sets.get(entry.set as usize).map_or(Pool::built_in(), |set| &set.pool);
        MessageDescriptor::new(pool, entry.message)
    }

    fn set_of(&self, entry: Entry) -> &str {
        self.sets.get(entry.set as usize).map_or("built in", |set| &set.name)
    }
}

impl SchemaBuilder {
    /// Adds one FileDescriptorSet. `name` identifies it in errors and in [`Schema::messages`].
    ///
    /// # Errors
    /// Returns an error if the bytes are not a FileDescriptorSet, or if the set does not link by itself.
    pub fn set(mut self, name: &str, bytes: &[u8]) -> Result<Self, SchemaError> {
        self.sets.push(DescriptorSet::link(name, bytes)?);
        Ok(self)
    }

    /// Joins the sets.
    ///
    /// # Errors
    /// Returns an error in the same cases as [`Schema::join`].
    pub fn build(self) -> Result<Schema, SchemaError> {
        Schema::join(&self.sets)
    }
}

/// A schema while sets are added to it.
#[derive(Default)]
struct Join {
    sets: Vec<DescriptorSet>,
    messages: HashMap<Arc<str>, Entry>,
    /// The enums by full name, each with the position of its set.
    enums: HashMap<Arc<str>, (u32, u32)>,
    outgrown: Vec<Outgrown>,
}

impl Join {
    fn add(&mut self, set: &DescriptorSet) -> Result<(), SchemaError> {
        let position = self.sets.len() as u32;
        self.sets.push(set.clone());
        for message in set.pool.messages().filter(|message| !message.is_map_entry()) {
            let name = message.shared_name();
            let first = self.messages.get(name).map(|entry| (entry.set, entry.message));
            let known = first.map(|(set, index)| (set, MessageDescriptor::new(&self.sets[set as usize].pool, index)));
            let serves = match known {
                None => true,
                Some((first, known)) => {
                    let same = known.bytes() == message.bytes();
                    self.choose(name, first, position, same, || {
                        (Definition::of_message(&known), Definition::of_message(&message))
                    })?
                }
            };
            if serves {
                self.messages.insert(Arc::clone(name), Entry { set: position, message: message.index() });
            }
        }
        for declared in set.pool.enums() {
            let name = declared.shared_name();
            let serves = match self.enums.get(name).copied() {
                None => true,
                Some((first, known)) => {
                    let known = EnumDescriptor::new(&self.sets[first as usize].pool, known);
                    let same = known.bytes() == declared.bytes();
                    self.choose(name, first, position, same, || {
                        (Definition::of_enum(&known), Definition::of_enum(&declared))
                    })?
                }
            };
            if serves {
                self.enums.insert(Arc::clone(name), (position, declared.index()));
            }
        }
        Ok(())
    }

    /// Returns whether the second of two definitions of one name serves. Records the superseded one. `same` says whether
    /// both have the same bytes; only if not are they decoded.
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

    fn finish(mut self) -> Schema {
        let set = self.sets.len() as u32;
        for message in Pool::built_in().messages().filter(|message| !message.is_map_entry()) {
            let name = Arc::clone(message.shared_name());
            self.messages.entry(name).or_insert(Entry { set, message: message.index() });
        }
        self.messages.shrink_to_fit();
        self.outgrown.sort_by(|one, other| one.full_name.cmp(&other.full_name));
        let Self { sets, messages, outgrown, .. } = self;
        Schema { joined: Arc::new(Joined { sets, messages, outgrown: outgrown.into() }) }
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

#[cfg(test)]
#[path = "schema_tests.rs"]
mod tests;
