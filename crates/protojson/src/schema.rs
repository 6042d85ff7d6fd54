//! Descriptor sets, linked: full name → message descriptor.
//!
//! Every set is linked by itself, because teams compile on their own and their sets carry different versions of
//! shared imports. Only the types have to agree: a full name that several sets define has to mean the same in each,
//! comments and source positions aside. The well-known types are built in; a set may carry its own copy of them.

mod editions;

use std::collections::{BTreeSet, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use prost::Message as _;
use prost_reflect::prost_types::FileDescriptorSet;
use prost_reflect::{DescriptorPool, EnumDescriptor, Kind, MessageDescriptor};

pub(crate) use editions::Features;
use editions::RawSet;

use crate::program::{self, Program};
use crate::{Options, Plan, PlanError, SchemaError, SchemaErrorKind};
use crate::{json_schema, sample};

/// Linked descriptor sets. Immutable; a clone shares the same data.
#[derive(Debug, Clone)]
pub struct Schema {
    messages: Arc<HashMap<String, Entry>>,
}

#[derive(Debug)]
struct Entry {
    set: Arc<str>,
    descriptor: MessageDescriptor,
    features: Arc<Features>,
}

/// Collects descriptor sets; see [`Schema::builder`].
#[derive(Debug, Default)]
pub struct SchemaBuilder {
    sets: Vec<(Arc<str>, DescriptorPool, Arc<Features>)>,
}

impl Schema {
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

    /// The JSON Schema (2020-12) of what the plan of one message type writes with these options. The message stands in
    /// `$defs` under its full name, as every message and enum does that it can hold; where `include`, `drop` or `redact`
    /// make a message different in one place, it stands there under its name and that place. Comments of the set's
    /// source are its descriptions. The same descriptor set and options always give the same schema.
    ///
    /// # Errors
    /// When no set defines `full_name` (without a leading dot).
    pub fn json_schema(&self, full_name: &str, options: &Options) -> Result<serde_json::Value, PlanError> {
        match self.messages.get(full_name) {
            Some(Entry { descriptor, features, .. }) => {
                Ok(json_schema::document(descriptor, &program::compile(descriptor, features, options)))
            }
            None => Err(PlanError { full_name: full_name.to_owned() }),
        }
    }

    /// A payload of one message type with a plausible value in every field, one in each oneof: the same every time. A
    /// type that holds itself is followed once.
    ///
    /// # Errors
    /// When no set defines `full_name` (without a leading dot).
    pub fn sample(&self, full_name: &str) -> Result<Vec<u8>, PlanError> {
        match self.program(full_name, &Options::default()) {
            Some(program) => Ok(sample::payload(&program)),
            None => Err(PlanError { full_name: full_name.to_owned() }),
        }
    }

    /// Full names of the message types that another type has a field of, sorted.
    pub fn held(&self) -> BTreeSet<String> {
        let mut held = BTreeSet::new();
        for Entry { descriptor, .. } in self.messages.values() {
            let extensions = descriptor.extensions().map(|extension| extension.kind());
            for kind in descriptor.fields().map(|field| field.kind()).chain(extensions) {
                let Kind::Message(inner) = kind else { continue };
                let entry = inner.is_map_entry().then(|| inner.map_entry_value_field().kind());
                let inner = match &entry {
                    Some(Kind::Message(value)) => value,
                    Some(_) => continue,
                    None => &inner,
                };
                if inner.full_name() != descriptor.full_name() {
                    held.insert(inner.full_name().to_owned());
                }
            }
        }
        held
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
        let (pool, features) = link(name, bytes)?;
        self.sets.push((name.into(), pool, Arc::new(features)));
        Ok(self)
    }

    /// Joins the sets.
    ///
    /// # Errors
    /// When two sets define the same full name differently.
    pub fn build(self) -> Result<Schema, SchemaError> {
        let mut messages: HashMap<String, Entry> = HashMap::new();
        let mut enums: HashMap<String, (Arc<str>, EnumDescriptor)> = HashMap::new();
        for (set, pool, features) in self.sets {
            for descriptor in pool.all_messages().filter(|message| !message.is_map_entry()) {
                if let Some(first) = messages.get(descriptor.full_name()) {
                    agree(
                        &first.set,
                        &set,
                        descriptor.full_name(),
                        first.descriptor.descriptor_proto(),
                        descriptor.descriptor_proto(),
                    )?;
                    continue;
                }
                let (name, features) = (descriptor.full_name().to_owned(), Arc::clone(&features));
                messages.insert(name, Entry { set: set.clone(), descriptor, features });
            }
            for descriptor in pool.all_enums() {
                if let Some((first, known)) = enums.get(descriptor.full_name()) {
                    agree(
                        first,
                        &set,
                        descriptor.full_name(),
                        known.enum_descriptor_proto(),
                        descriptor.enum_descriptor_proto(),
                    )?;
                    continue;
                }
                enums.insert(descriptor.full_name().to_owned(), (set.clone(), descriptor));
            }
        }
        for descriptor in DescriptorPool::global().all_messages().filter(|message| !message.is_map_entry()) {
            let name = descriptor.full_name().to_owned();
            messages.entry(name).or_insert(Entry { set: "built in".into(), descriptor, features: Arc::default() });
        }
        Ok(Schema { messages: Arc::new(messages) })
    }
}

/// Refuses two definitions of one name that differ. `google.protobuf` is left out: every protoc brings its own.
fn agree<T: PartialEq + Elements>(first: &str, second: &str, name: &str, a: &T, b: &T) -> Result<(), SchemaError> {
    if a == b || name.starts_with("google.protobuf.") {
        return Ok(());
    }
    let (ours, theirs) = (a.elements(), b.elements());
    let element = ours
        .iter()
        .find(|(name, definition)| theirs.iter().all(|(n, d)| n != name || d != definition))
        .or_else(|| theirs.iter().find(|(name, _)| ours.iter().all(|(n, _)| n != name)))
        .map_or_else(String::new, |(element, _)| format!(" (look at {element})"));
    let message = format!(
        "{name} is defined differently in {first}{element}; compile both from the same source, or remove one of them"
    );
    Err(SchemaError::new(SchemaErrorKind::Conflict, second, message))
}

/// What a definition consists of, by name, to say where two of them differ.
trait Elements {
    fn elements(&self) -> Vec<(String, String)>;
}

impl Elements for prost_reflect::prost_types::DescriptorProto {
    fn elements(&self) -> Vec<(String, String)> {
        self.field.iter().map(|field| (format!("field {}", field.name()), format!("{field:?}"))).collect()
    }
}

impl Elements for prost_reflect::prost_types::EnumDescriptorProto {
    fn elements(&self) -> Vec<(String, String)> {
        self.value.iter().map(|value| (format!("value {}", value.name()), format!("{value:?}"))).collect()
    }
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
        Ok(Ok(pool)) => Ok((pool, features)),
        Ok(Err(error)) => Err(match error.file() {
            Some(file) => unlinkable(format!("{file}: {error}")),
            None => unlinkable(error.to_string()),
        }),
        Err(_) => Err(unlinkable("it contradicts itself; was it written by a compiler?".to_owned())),
    }
}

#[cfg(test)]
#[path = "schema_tests.rs"]
mod tests;
