//! Linked descriptor sets: full name → message descriptor.
//!
//! Each set is linked by itself, because teams compile independently and their sets carry different versions of shared
//! imports. Only the types and extensions must agree. If several sets define the same full name, the definitions must
//! be identical (ignoring comments and source positions), or one must only add to the other. The larger one then
//! serves, also as the type of fields in other sets. A type knows the extensions of all sets. A field is marked with
//! `debug_redact` if any set marks it, or if it has another type than in a set in which it leads to a marked field. The
//! well-known types are built in, and a set can carry its own copy of them.

mod changes;
mod decisions;
mod definition;
mod extensions;
mod fingerprints;
mod hidden;
mod join;
mod leads;
mod marks;
mod order;
mod pool;
mod readers;
mod reconcile;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

pub use changes::{Change, Rule};
use decisions::Choices;
use extensions::Extensions;
pub use hidden::{MarkedField, ShownField, Trail, Visibility};
use join::Join;
use marks::{Mark, Marks};
pub(crate) use pool::{Comments, Element, EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor};
use pool::{Link, Linked, Pool};
pub use reconcile::Reconciled;

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
    enums: HashMap<Arc<str>, Entry>,
    extensions: Extensions,
    marks: Marks,
    outgrown: Box<[Outgrown]>,
}

/// A definition that serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Entry {
    /// The position of the set in [`Joined::sets`]. The built-in types have the position behind the last set.
    set: u32,
    /// The index among the definitions of the same kind in the set's pool.
    index: u32,
}

/// One FileDescriptorSet, linked by itself. A clone shares the same data.
#[derive(Clone)]
pub struct DescriptorSet {
    name: Arc<str>,
    pool: Arc<Pool>,
    /// The fields and extensions that the set marks with `debug_redact`.
    marks: Arc<[Mark]>,
    /// The fields and extensions that hold messages, sorted.
    links: Arc<[Link]>,
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
        let linked = Pool::link(bytes).map_err(|refusal| SchemaError::new(refusal.kind, name, refusal.message))?;
        let Linked { pool, marks, links } = linked;
        Ok(Self { name: name.into(), pool, marks: marks.into(), links: links.into() })
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
    /// Returns an error if two sets define the same full name and neither definition only adds to the other, or if they
    /// extend a type by different extensions with the same number or name.
    pub fn join<'s>(sets: impl IntoIterator<Item = &'s DescriptorSet>) -> Result<Self, SchemaError> {
        let sets: Vec<DescriptorSet> = sets.into_iter().cloned().collect();
        let (reconciled, choices) = reconcile::reconcile(sets.clone());
        let Some(contradiction) = reconciled.contradictions.into_iter().next() else { return Ok(reconciled.schema) };
        // The error names the sets in the order of the caller.
        let mut join = Join::of(&sets, Choices::default());
        join.conflicts.retain(|name, _| choices.withholds(name));
        Err(match join.conflicts.pop_first() {
            Some((_, error)) => error,
            None => join.finish().clashes.into_iter().next().map_or(contradiction, |clash| clash.in_order),
        })
    }

    /// Joins linked sets that can contradict each other. Of contradicting definitions, one serves; the others are left
    /// out, and so are the types of their sets that hold them. The result depends on the content of the sets alone,
    /// not on their names or their order.
    ///
    /// The definition that serves is the one that the most sets agree with. Among equals it is the one whose set has
    /// the most types of the same package, then the one with the most fields or values. A field that any of the sets
    /// marks with `debug_redact` is marked, whichever definition serves.
    pub fn reconcile<'s>(sets: impl IntoIterator<Item = &'s DescriptorSet>) -> Reconciled {
        reconcile::reconcile(sets.into_iter().cloned().collect()).0
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
        Some(self.program_of(&self.message(full_name)?, options))
    }

    /// Compiles the program of a message type of this schema.
    pub(crate) fn program_of(&self, message: &MessageDescriptor, options: &Options) -> Program {
        let others = |paths| self.places_of_other_definitions(message, paths);
        program::compile(message, options, [others(&options.drop), others(&options.redact)])
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

    /// Returns the positions of those options that drop or redact the value that a tap reads in a message type, or a
    /// message around the value. Returns none if the path leads to no single value. A value that `include` leaves out is
    /// not hidden. The call compiles no plan.
    pub fn options_that_hide(&self, full_name: &str, path: &str, options: &[Options]) -> Vec<usize> {
        let fields = self.message(full_name).and_then(|message| crate::plan::tap_path(&message, path).ok());
        let Some(fields) = fields else { return Vec::new() };
        let hiding = options.iter().enumerate().filter(|(_, options)| program::hides(options, full_name, &fields));
        hiding.map(|(position, _)| position).collect()
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
    fn pool(&self, entry: Entry) -> &Arc<Pool> {
        self.sets.get(entry.set as usize).map_or(Pool::built_in(), |set| &set.pool)
    }

    fn descriptor(self: &Arc<Self>, entry: Entry) -> MessageDescriptor {
        MessageDescriptor::new(self.pool(entry), entry.index).within(self)
    }

    /// Returns the enum with this full name.
    fn enumeration(&self, full_name: &str) -> Option<EnumDescriptor> {
        let entry = self.enums.get(full_name)?;
        Some(EnumDescriptor::new(self.pool(*entry), entry.index))
    }

    /// Returns the name of the set with this pool.
    fn set_with(&self, pool: &Arc<Pool>) -> Option<&str> {
        self.sets.iter().find(|set| Arc::ptr_eq(&set.pool, pool)).map(|set| &*set.name)
    }

    /// Replaces the type of a field by the definition of the same name that serves.
    fn served(self: &Arc<Self>, kind: Kind) -> Kind {
        match kind {
            Kind::Message(message) => {
                let serving = self.messages.get(message.full_name()).filter(|_| !message.is_map_entry());
                Kind::Message(serving.map_or_else(|| message.within(self), |entry| self.descriptor(*entry)))
            }
            Kind::Enum(declared) => Kind::Enum(self.enumeration(declared.full_name()).unwrap_or(declared)),
            scalar => scalar,
        }
    }

    /// Decodes the extensions of a message type, sorted by number.
    fn extensions(&self, full_name: &str) -> impl Iterator<Item = FieldDescriptor> + '_ {
        let entries = self.extensions.get(full_name).map(|entries| &**entries).unwrap_or_default();
        entries.iter().map(|entry| self.pool(*entry).extension(entry.index))
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

#[cfg(test)]
#[path = "schema_tests.rs"]
mod tests;
