//! Descriptor sets, linked: full name → message descriptor.
//!
//! Every set is linked by itself, because teams compile on their own and their sets carry different versions of
//! shared imports. Only the types have to agree: of a full name that several sets define, comments and source positions
//! aside, either the definitions are the same, or one only adds to the other, and then the larger serves. The well-known
//! types are built in; a set may carry its own copy of them.

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

/// Linked descriptor sets. Immutable; a clone shares the same data.
#[derive(Clone)]
pub struct Schema {
    messages: Arc<HashMap<String, Entry>>,
    /// How many sets were joined.
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

/// A definition that another set's outgrows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgrown {
    /// Full name of the message or enum.
    pub full_name: String,
    /// The set with the smaller definition.
    pub set: String,
    /// The set with the larger one, which serves.
    pub by: String,
}

/// Collects descriptor sets; see [`Schema::builder`].
#[derive(Default)]
pub struct SchemaBuilder {
    sets: Vec<DescriptorSet>,
}

// Short, for a descriptor pool prints everything that it was linked from.
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
    /// Links a FileDescriptorSet; `name` stands for it in errors and in [`Schema::messages`].
    ///
    /// # Errors
    /// When the bytes are no FileDescriptorSet, or one that does not link by itself.
    pub fn link(name: &str, bytes: &[u8]) -> Result<Self, SchemaError> {
        let (pool, features) = link(name, bytes)?;
        Ok(Self { name: name.into(), pool, features: Arc::new(features) })
    }

    /// The name that it was linked with.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many files it holds, imports included.
    pub fn files(&self) -> usize {
        self.pool.files().len()
    }
}

impl Schema {
    /// Joins sets that are linked already.
    ///
    /// # Errors
    /// When two sets define the same full name, and neither definition only adds to the other.
    pub fn join<'s>(sets: impl IntoIterator<Item = &'s DescriptorSet>) -> Result<Self, SchemaError> {
        let mut join = Join::default();
        for set in sets {
            join.add(set)?;
        }
        Ok(join.finish())
    }

    /// Definitions that another set's outgrows, by name.
    pub fn outgrown(&self) -> &[Outgrown] {
        &self.outgrown
    }

    /// Starts an empty schema, to which sets are added one by one.
    pub fn builder() -> SchemaBuilder {
        SchemaBuilder::default()
    }

    /// Compiles the plan of one message type.
    ///
    /// # Errors
    /// When no set defines `full_name` (without a leading dot).
    pub fn plan(&self, full_name: &str, options: &Options) -> Result<Plan, PlanError> {
        match self.messages.get(full_name) {
            Some(entry) => Ok(Plan::new(self, &entry.descriptor, &entry.features, options)),
            None => Err(PlanError { full_name: full_name.to_owned() }),
        }
    }

    /// The program of one message type, if a set defines it.
    pub(crate) fn program(&self, full_name: &str, options: &Options) -> Option<Program> {
        let entry = self.messages.get(full_name)?;
        Some(program::compile(&entry.descriptor, &entry.features, options))
    }

    /// Whether a set defines this message type.
    pub fn contains(&self, full_name: &str) -> bool {
        self.messages.contains_key(full_name)
    }

    /// Whether a message type has a field of this name, as declared. Costs no more than a look.
    pub fn has_field(&self, full_name: &str, name: &str) -> bool {
        self.messages.get(full_name).is_some_and(|entry| entry.descriptor.get_field_by_name(name).is_some())
    }

    /// Full names of all message types with the name of the set that serves each, in no particular order. Map entries,
    /// which are messages only on the wire, are left out.
    pub fn messages(&self) -> impl Iterator<Item = (&str, &str)> {
        self.messages.iter().map(|(name, entry)| (name.as_str(), &*entry.set))
    }
}

impl SchemaBuilder {
    /// Adds one FileDescriptorSet; `name` stands for it in errors and in [`Schema::messages`].
    ///
    /// # Errors
    /// When the bytes are no FileDescriptorSet, or one that does not link by itself.
    pub fn set(mut self, name: &str, bytes: &[u8]) -> Result<Self, SchemaError> {
        self.sets.push(DescriptorSet::link(name, bytes)?);
        Ok(self)
    }

    /// Joins the sets.
    ///
    /// # Errors
    /// As [`Schema::join`].
    pub fn build(self) -> Result<Schema, SchemaError> {
        Schema::join(&self.sets)
    }
}

/// Sets on their way to a schema.
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
                // Every protoc brings its own.
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

/// Which of two definitions of one name serves; says so where one outgrows the other.
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
    // Some sets that no compiler writes make prost-reflect panic. They must not end the process that loads them.
    let linked = catch_unwind(AssertUnwindSafe(|| pool.decode_file_descriptor_set(raw.as_slice()).map(|()| pool)));
    match linked {
        Ok(Ok(pool)) => {
            let broken = pool.all_messages().find(|message| message.is_map_entry() && !has_key_and_value(message));
            match broken.map(|entry| entry.full_name().to_owned()) {
                Some(name) => Err(unlinkable(format!("{name} is the entry of a map and lacks a proper key or value"))),
                None => Ok((pool, features)),
            }
        }
        Ok(Err(error)) => Err(match error.file() {
            Some(file) => unlinkable(format!("{file}: {error}")),
            None => unlinkable(error.to_string()),
        }),
        Err(_) => Err(unlinkable("it contradicts itself; was it written by a compiler?".to_owned())),
    }
}

/// Whether a map entry is as compilers write it. Linking does not ask, and plans rely on it.
fn has_key_and_value(entry: &MessageDescriptor) -> bool {
    let one = |number| entry.get_field(number).filter(|field| field.cardinality() != Cardinality::Repeated);
    let is_key = |kind| !matches!(kind, Kind::Double | Kind::Float | Kind::Bytes | Kind::Message(_) | Kind::Enum(_));
    one(1).is_some_and(|key| is_key(key.kind())) && one(2).is_some()
}

#[cfg(test)]
#[path = "schema_tests.rs"]
mod tests;
