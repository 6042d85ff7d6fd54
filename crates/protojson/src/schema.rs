//! Linked descriptor sets: full name → message descriptor.
//!
//! Each set is linked by itself, because teams compile independently and their sets carry different versions of shared
//! imports. Only the types must agree. If several sets define the same full name, the definitions must be identical
//! (ignoring comments and source positions), or one must only add to the other; the larger one then serves. The
//! well-known types are built in, and a set can carry its own copy of them.

mod changes;
mod definition;
mod editions;
mod readers;

use std::collections::HashMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use prost::Message as _;
use prost_reflect::prost_types::FileDescriptorSet;
use prost_reflect::{Cardinality, DescriptorPool, EnumDescriptor, Kind, MessageDescriptor};

pub use changes::{Change, Rule};
use definition::Definition;
pub(crate) use editions::Features;
use editions::RawSet;

use crate::program::{self, Program};
use crate::{Options, Plan, PlanError, SchemaError, SchemaErrorKind};

/// Linked descriptor sets. A schema is immutable; a clone shares the same data.
#[derive(Clone)]
pub struct Schema {
    messages: Arc<HashMap<String, Entry>>,
    /// The number of joined sets.
    sets: usize,
    outgrown: Arc<[Outgrown]>,
}

struct Entry {
    set: Arc<str>,
    descriptor: MessageDescriptor,
    features: Arc<Features>,
}

/// One FileDescriptorSet, linked by itself. A clone shares the same data.
#[derive(Clone)]
pub struct DescriptorSet {
    name: Arc<str>,
    pool: DescriptorPool,
    features: Arc<Features>,
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

// The debug output is short because a descriptor pool prints every file that it was linked from.
impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Schema").field("sets", &self.sets).field("messages", &self.messages.len()).finish()
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
        let (pool, features) = link(name, bytes)?;
        Ok(Self { name: name.into(), pool, features: Arc::new(features) })
    }

    /// Returns the name that the set was linked with.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the number of files in the set, including imports.
    pub fn files(&self) -> usize {
        self.pool.files().len()
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
        &self.outgrown
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
        match self.messages.get(full_name) {
            Some(entry) => Ok(Plan::new(self, &entry.descriptor, &entry.features, options)),
            None => Err(PlanError { full_name: full_name.to_owned() }),
        }
    }

    /// Compiles the program of one message type, if a set defines the type.
    pub(crate) fn program(&self, full_name: &str, options: &Options) -> Option<Program> {
        let entry = self.messages.get(full_name)?;
        Some(program::compile(&entry.descriptor, &entry.features, options))
    }

    /// Whether a set defines this message type.
    pub fn contains(&self, full_name: &str) -> bool {
        self.messages.contains_key(full_name)
    }

    /// Whether a message type has a field with this name, as declared. The call is cheap.
    pub fn has_field(&self, full_name: &str, name: &str) -> bool {
        self.messages.get(full_name).is_some_and(|entry| entry.descriptor.get_field_by_name(name).is_some())
    }

    /// Returns the full names of all message types, each with the name of the set that serves it, in no particular
    /// order. Map entries are left out, because they are messages only on the wire.
    pub fn messages(&self) -> impl Iterator<Item = (&str, &str)> {
        self.messages.iter().map(|(name, entry)| (name.as_str(), &*entry.set))
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
    messages: HashMap<String, Entry>,
    enums: HashMap<String, (Arc<str>, EnumDescriptor)>,
    outgrown: Vec<Outgrown>,
    sets: usize,
}

impl Join {
    fn add(&mut self, set: &DescriptorSet) -> Result<(), SchemaError> {
        self.sets += 1;
        for descriptor in set.pool.all_messages().filter(|message| !message.is_map_entry()) {
            let entry = Entry { set: Arc::clone(&set.name), features: Arc::clone(&set.features), descriptor };
            let name = entry.descriptor.full_name();
            let serves = match self.messages.get(name) {
                None => true,
                // Every protoc ships its own version of the well-known types, so differences are no conflict.
                Some(_) if name.starts_with("google.protobuf.") => false,
                Some(first) => {
                    let (one, other) = (Definition::of_message(first), Definition::of_message(&entry));
                    self.outgrown.extend(choose(name, &first.set, &one, &set.name, &other)?);
                    other.only_adds_to(&one) && one != other
                }
            };
            if serves {
                self.messages.insert(name.to_owned(), entry);
            }
        }
        for descriptor in set.pool.all_enums() {
            let name = descriptor.full_name();
            let serves = match self.enums.get(name) {
                None => true,
                Some(_) if name.starts_with("google.protobuf.") => false,
                Some((first, known)) => {
                    let (one, other) = (Definition::of_enum(known), Definition::of_enum(&descriptor));
                    self.outgrown.extend(choose(name, first, &one, &set.name, &other)?);
                    other.only_adds_to(&one) && one != other
                }
            };
            if serves {
                self.enums.insert(name.to_owned(), (Arc::clone(&set.name), descriptor));
            }
        }
        Ok(())
    }

    fn finish(mut self) -> Schema {
        for descriptor in DescriptorPool::global().all_messages().filter(|message| !message.is_map_entry()) {
            let name = descriptor.full_name().to_owned();
            let built_in = Entry { set: "built in".into(), descriptor, features: Arc::default() };
            self.messages.entry(name).or_insert(built_in);
        }
        self.outgrown.sort_by(|one, other| one.full_name.cmp(&other.full_name));
        Schema { messages: Arc::new(self.messages), sets: self.sets, outgrown: self.outgrown.into() }
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

fn link(set: &str, bytes: &[u8]) -> Result<(DescriptorPool, Features), SchemaError> {
    let unreadable = |message: String| SchemaError::new(SchemaErrorKind::Unreadable, set, message);
    let not_a_set = |error: prost::DecodeError| {
        unreadable(format!(
            "not a compiled FileDescriptorSet ({error}); write it with `protoc --include_imports --descriptor_set_out` or `buf build`"
        ))
    };
    let files = FileDescriptorSet::decode(bytes).map_err(not_a_set)?.file;
    if files.is_empty() {
        return Err(unreadable("it holds no file; is it empty, or half written?".into()));
    }
    let mut features = Features::default();
    let mut raw = RawSet::decode(bytes).map_err(not_a_set)?;
    for file in &mut raw.file {
        let lowered = editions::lower(file, &mut features);
        if let Some(lowered) = lowered.map_err(|e| SchemaError::new(SchemaErrorKind::Unsupported, set, e))? {
            *file = lowered;
        }
    }
    let unlinkable = |message: String| SchemaError::new(SchemaErrorKind::Unlinkable, set, message);
    let mut pool = DescriptorPool::new();
    let built_in = DescriptorPool::global();
    let present = |name: &str| files.iter().any(|file| file.name() == name);
    for import in files.iter().flat_map(|file| &file.dependency).filter(|import| !present(import)) {
        let Some(file) = built_in.get_file_by_name(import) else {
            return Err(unlinkable(format!("import {import} is missing; compile with `--include_imports`")));
        };
        if pool.get_file_by_name(import).is_none() {
            pool.add_file_descriptor_proto(file.file_descriptor_proto().clone())
                .map_err(|error| unlinkable(format!("import {import}: {error}")))?;
        }
    }
    let raw = raw.encode_to_vec();
    // Some sets that no compiler writes make prost-reflect panic. Such a set must not end the process.
    let linked = catch_unwind(AssertUnwindSafe(|| pool.decode_file_descriptor_set(raw.as_slice()).map(|()| pool)));
    match linked {
        Ok(Ok(pool)) => {
            let broken = pool.all_messages().find(|message| message.is_map_entry() && !has_key_and_value(message));
            match broken.map(|entry| entry.full_name().to_owned()) {
                Some(name) => Err(unlinkable(format!("{name} is a map entry without a valid key or value field"))),
                None => Ok((pool, features)),
            }
        }
        Ok(Err(error)) => Err(match error.file() {
            Some(file) => unlinkable(format!("{file}: {error}")),
            None => unlinkable(error.to_string()),
        }),
        Err(_) => Err(unlinkable("the set contradicts itself; compile it again with protoc or buf".to_owned())),
    }
}

/// Whether a map entry has the key and value that compilers write. Linking does not check this, and plans rely on it.
fn has_key_and_value(entry: &MessageDescriptor) -> bool {
    let one = |number| entry.get_field(number).filter(|field| field.cardinality() != Cardinality::Repeated);
    let is_key = |kind| !matches!(kind, Kind::Double | Kind::Float | Kind::Bytes | Kind::Message(_) | Kind::Enum(_));
    one(1).is_some_and(|key| is_key(key.kind())) && one(2).is_some()
}

#[cfg(test)]
#[path = "schema_tests.rs"]
mod tests;
