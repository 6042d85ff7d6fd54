//! Information for readers of the JSON: JSON Schema, sample payloads, and which types are nested in others.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use super::{DescriptorSet, Kind, MessageDescriptor, Schema};
use crate::{Additions, JsonError, Options, PlanError, json_schema, parse, sample};

impl Schema {
    /// Returns the JSON Schema (2020-12) of the JSON that the message type's plan writes with these options.
    ///
    /// Every message and enum is in `$defs` under its full name, with `_` for dots, so that code generators accept it as
    /// the name of a type. If `include`, `drop` or `redact` change a message in one place, the changed message is there
    /// under its name and that place. Comments in the source become
    /// descriptions if the set has source info. The same descriptor set and options always give the same schema.
    ///
    /// # Errors
    /// Returns an error if no set defines `full_name` (without a leading dot).
    pub fn json_schema(&self, full_name: &str, options: &Options, additions: Additions) -> Result<Value, PlanError> {
        match self.message(full_name) {
            Some(message) => Ok(json_schema::document(&message, &self.program_of(&message, options), additions)),
            None => Err(PlanError { full_name: full_name.to_owned() }),
        }
    }

    /// Returns a payload of one message type with a plausible value in every field and in one member of each oneof. The
    /// result is the same every time.
    ///
    /// A type that contains itself is not nested again. Optional messages end at 12 levels, and at about 4,000 fields in
    /// all, because a few types can have a huge number of paths through them. Levels are filled from the root on, so what
    /// is left out is what is nested most deeply. A type that requires more than ten times as many fields has a sample that
    /// the codec refuses.
    ///
    /// # Errors
    /// Returns an error if no set defines `full_name` (without a leading dot).
    pub fn sample(&self, full_name: &str) -> Result<Vec<u8>, PlanError> {
        match self.program(full_name, &Options::default()) {
            Some(program) => Ok(sample::payload(&program)),
            None => Err(PlanError { full_name: full_name.to_owned() }),
        }
    }

    /// Returns the wire format of the message of this type whose ProtoJSON is `json`, in any spelling that ProtoJSON
    /// allows. Returns `None` if no set defines `full_name`.
    ///
    /// # Errors
    /// Returns an error if the text is not the ProtoJSON of the type: it is not JSON, has an unknown field, or a value does
    /// not fit. The error names the type, the field and the position.
    pub fn wire_from_json(&self, full_name: &str, json: &[u8]) -> Option<Result<Vec<u8>, JsonError>> {
        Some(parse::wire(self, &self.message(full_name)?, json))
    }

    /// Returns the descriptor of a message type.
    pub(crate) fn descriptor(&self, full_name: &str) -> Option<MessageDescriptor> {
        self.message(full_name)
    }

    /// Returns the name of the set that serves a message type. Returns `None` if no set does.
    pub fn set_of(&self, full_name: &str) -> Option<&str> {
        let set = self.joined.messages.get(full_name)?.set;
        self.joined.sets.get(set as usize).map(DescriptorSet::name)
    }

    /// Returns the full names of all messages of the file that defines this message type, sorted. Nested messages, map
    /// entries and groups count. Returns `None` if no set defines the type.
    pub fn messages_beside(&self, full_name: &str) -> Option<Vec<Arc<str>>> {
        let entry = *self.joined.messages.get(full_name)?;
        let mut names = self.joined.pool(entry).messages_beside(entry.index);
        names.sort_unstable();
        Some(names)
    }

    /// Returns the full names of the fields that are written under their declared names because another field of their
    /// message has the same JSON name, sorted.
    pub fn json_name_clashes(&self) -> Vec<String> {
        let mut clashes = Vec::new();
        for (full_name, entry) in &self.joined.messages {
            let fields = self.joined.descriptor(*entry).fields();
            let clashing = fields.iter().filter(|field| field.json_name_clashes);
            clashes.extend(clashing.map(|field| format!("{full_name}.{}", field.name())));
        }
        clashes.sort_unstable();
        clashes
    }

    /// Returns the full names of the message types that are the type of a field in another message type, sorted.
    pub fn held(&self) -> BTreeSet<String> {
        let mut held = BTreeSet::new();
        for entry in self.joined.messages.values() {
            let message = self.joined.descriptor(*entry);
            for field in message.fields().iter().chain(&message.extensions()) {
                let value =
                    field.is_map().then(|| field.kind.as_message().map(MessageDescriptor::map_entry_value_field));
                let kind = value.flatten().map_or_else(|| field.kind.clone(), |value| value.kind);
                if let Kind::Message(inner) = kind
                    && inner.full_name() != message.full_name()
                {
                    held.insert(inner.full_name().to_owned());
                }
            }
        }
        held
    }
}
