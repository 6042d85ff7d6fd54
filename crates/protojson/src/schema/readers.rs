//! What readers of the JSON are told before they see any.

use std::collections::BTreeSet;

use prost_reflect::Kind;
use serde_json::Value;

use super::{Entry, Schema};
use crate::{Options, PlanError, json_schema, program, sample};

impl Schema {
    /// The JSON Schema (2020-12) of what the plan of one message type writes with these options. The message stands in
    /// `$defs` under its full name, as every message and enum does that it can hold; where `include`, `drop` or `redact`
    /// make a message different in one place, it stands there under its name and that place. Comments of the set's
    /// source are its descriptions. The same descriptor set and options always give the same schema.
    ///
    /// # Errors
    /// When no set defines `full_name` (without a leading dot).
    pub fn json_schema(&self, full_name: &str, options: &Options) -> Result<Value, PlanError> {
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
}
