//! Fingerprints of message types: equal ones mean equal JSON.
//!
//! The fingerprint of a type covers the definitions that serve, whichever sets they come from: its fields, the
//! extensions and marks of all sets, its enums, and the same of each type that it holds. It does not cover what leaves
//! the JSON as it is (comments, `deprecated`, the order of fields in the source, other types of the same set) and what
//! the schema does not fix (the options of a plan, the types inside an Any).

use std::collections::HashMap;
use std::sync::Arc;

use super::definition::content;
use super::hidden::message_in;
use super::order::innermost_first;
use super::{EnumDescriptor, FieldDescriptor, Joined, Kind, MessageDescriptor, Schema};
use crate::program::{self, Shape};

/// A digest of a text.
type Digest = [u8; 32];

impl Schema {
    /// Returns the fingerprint of each message type, in the order of their names. It is the same in each process, and
    /// does not depend on the number, the names and the order of the sets that the definitions come from. `digest` must
    /// be a cryptographic hash.
    ///
    /// Takes about as long as decoding each definition once.
    pub fn fingerprints(&self, digest: impl Fn(&[u8]) -> [u8; 32]) -> Vec<(Arc<str>, [u8; 32])> {
        let mut names: Vec<&Arc<str>> = self.joined.messages.keys().collect();
        names.sort_unstable();
        let (own, held) = self.contents(&names, &digest);
        let mut all = vec![Digest::default(); names.len()];
        // The types of a group hold each other, so each of their fingerprints covers all of them.
        for group in innermost_first(&held) {
            let is_outside = |held: &&usize| group.binary_search(held).is_err();
            let mut text = Vec::new();
            for member in &group {
                text.extend_from_slice(&own[*member]);
                text.extend(held[*member].iter().filter(is_outside).flat_map(|held| all[*held]));
            }
            let shared = digest(&text);
            for member in &group {
                all[*member] = digest(&[shared, own[*member]].concat());
            }
        }
        names.into_iter().cloned().zip(all).collect()
    }

    /// Returns the digest of each of these types without the types of its fields, and the indexes of these, sorted.
    fn contents(&self, names: &[&Arc<str>], digest: &impl Fn(&[u8]) -> Digest) -> (Vec<Digest>, Vec<Vec<usize>>) {
        let indexes = names.iter().map(|name| &***name).zip(0..).collect();
        let mut reader = Reader { indexes, digest, enums: HashMap::new() };
        let (mut own, mut held) = (Vec::with_capacity(names.len()), Vec::with_capacity(names.len()));
        for name in names {
            let (content, types) = reader.message(&self.joined, name);
            own.push(content);
            held.push(types);
        }
        (own, held)
    }
}

/// Reads definitions.
struct Reader<'s, D> {
    /// The indexes of the types by full name.
    indexes: HashMap<&'s str, usize>,
    digest: &'s D,
    /// The digests of enums by full name.
    enums: HashMap<String, Digest>,
}

impl<D: Fn(&[u8]) -> Digest> Reader<'_, D> {
    /// Returns the digest of a message type without the types of its fields, and the indexes of these, sorted.
    fn message(&mut self, joined: &Arc<Joined>, name: &str) -> (Digest, Vec<usize>) {
        let message = joined.descriptor(joined.messages[name]);
        let mut text = format!("{name:?}\n").into_bytes();
        let mut held = Vec::new();
        // The JSON of a well-known type does not depend on its definition.
        if program::shape(&message) == Shape::Plain {
            text.push(u8::from(message.is_message_set()));
            let mut fields = message.fields();
            fields.extend(message.extensions());
            fields.sort_by_key(FieldDescriptor::number);
            let oneofs = first_members(&fields);
            for field in &fields {
                self.field(field, &oneofs, &mut text);
                held.extend(message_in(field).and_then(|inner| self.indexes.get(inner.full_name())));
            }
        }
        held.sort_unstable();
        held.dedup();
        held.shrink_to_fit();
        ((self.digest)(&text), held)
    }

    fn field(&mut self, field: &FieldDescriptor, oneofs: &HashMap<usize, u32>, text: &mut Vec<u8>) {
        let value = field.kind.as_message().filter(|_| field.is_map()).map(MessageDescriptor::map_entry_value_field);
        let value = value.as_ref().unwrap_or(field);
        let verifies_utf8 = !matches!(value.kind, Kind::String) || value.verifies_utf8;
        let oneof = field.oneof().and_then(|oneof| oneofs.get(&oneof)).copied().unwrap_or_default();
        text.extend_from_slice(content(field).as_bytes());
        text.push(b'\n');
        text.extend_from_slice(&oneof.to_le_bytes());
        text.extend([field.json_name_clashes, field.is_marked, verifies_utf8].map(u8::from));
        if let Kind::Enum(declared) = &value.kind {
            text.extend_from_slice(&self.enumeration(declared));
        }
    }

    fn enumeration(&mut self, declared: &EnumDescriptor) -> Digest {
        if let Some(known) = self.enums.get(declared.full_name()) {
            return *known;
        }
        let values = declared.values();
        // Of several names with one number, the first one is written.
        let mut names: Vec<(i32, &str)> = values.iter().map(|value| (value.number(), value.name())).collect();
        names.sort_by_key(|(number, _)| *number);
        names.dedup_by_key(|(number, _)| *number);
        let digest = (self.digest)(format!("{} {names:?}", declared.default_number()).as_bytes());
        self.enums.insert(declared.full_name().to_owned(), digest);
        digest
    }
}

/// Returns the number of the first member of each oneof, by the position of the oneof. A oneof has no other name in the
/// JSON.
fn first_members(fields: &[FieldDescriptor]) -> HashMap<usize, u32> {
    let mut first = HashMap::new();
    for field in fields.iter().filter(|field| !field.proto.proto3_optional()) {
        if let Some(oneof) = field.oneof() {
            first.entry(oneof).or_insert(field.number());
        }
    }
    first
}
