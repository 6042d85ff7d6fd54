//! Sample payloads with a plausible value in every field. A payload is written directly from a program, so groups,
//! extensions and editions have the form that the transcoder reads.

use std::collections::HashMap;

use prost::encoding::encode_varint;

use crate::program::{Enum, Field, Kind, Message, MessageIndex, Program, Shape};
use crate::wire::{FIXED32, FIXED64, START_GROUP};

/// The number of enclosing messages from which on optional messages are left out.
const MAX_OPTIONAL_DEPTH: usize = 12;
/// The number of fields from which on optional messages are left out.
const MAX_OPTIONAL_FIELDS: usize = 4000;
/// The number of fields from which on required messages are left out too, and the payload is not valid.
const MAX_FIELDS: usize = 10 * MAX_OPTIONAL_FIELDS;

/// 2026-01-15T09:30:00Z.
const MOMENT: u64 = 1_768_469_400;

/// Returns a payload of the program's root.
///
/// A type that contains itself is not nested again. The number of paths through a type can grow exponentially with the
/// number of its types, so the sample also ends at a number of fields. Messages are added level by level: the fields near
/// the root are always there, and what does not fit is what is nested most deeply.
pub(crate) fn payload(program: &Program) -> Vec<u8> {
    let mut sampler = Sampler { program, nodes: Vec::new(), fields: 0, inside: HashMap::new() };
    sampler.grow();
    let mut out = Vec::new();
    sampler.message(0, &mut out);
    out
}

struct Sampler<'p> {
    program: &'p Program,
    /// The messages of the sample, level by level; the root comes first.
    nodes: Vec<Node>,
    /// The number of fields in all nodes.
    fields: usize,
    /// The node in a field of another node, by that node and the field's number.
    inside: HashMap<(usize, u32), usize>,
}

/// One message of the sample.
#[derive(Debug, Clone, Copy)]
struct Node {
    message: MessageIndex,
    parent: Option<usize>,
    /// The number of enclosing messages.
    depth: usize,
}

impl Sampler<'_> {
    /// Adds messages level by level until there is no room.
    fn grow(&mut self) {
        self.add(Node { message: 0, parent: None, depth: 0 });
        let mut at = 0;
        while at < self.nodes.len() {
            let message = &self.program.messages[self.nodes[at].message as usize];
            for field in self.chosen(message, at, true) {
                if let Some(message) = self.message_of(field.kind) {
                    let node = self.add(Node { message, parent: Some(at), depth: self.nodes[at].depth + 1 });
                    self.inside.insert((at, field.number), node);
                }
            }
            at += 1;
        }
    }

    fn add(&mut self, node: Node) -> usize {
        self.fields += 1 + self.program.messages[node.message as usize].fields.len();
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    /// Returns the fields that a node has: the first member of each oneof, and all other fields, as far as there is room.
    fn chosen<'m>(&self, message: &'m Message, node: usize, is_growing: bool) -> Vec<&'m Field> {
        // The items of a MessageSet are groups of their own; an empty set is valid.
        if message.is_message_set || !has_fields(message.shape) {
            return Vec::new();
        }
        let (mut chosen, mut oneofs, mut fields) = (Vec::new(), Vec::new(), self.fields);
        for field in &message.fields {
            let is_taken = field.oneof_number != 0 && oneofs.contains(&field.oneof_number);
            let has_room = match self.message_of(field.kind) {
                None => true,
                Some(inner) if is_growing => {
                    let has_room = self.has_room_for(inner, node, fields, field.is_required);
                    fields += if has_room { 1 + self.program.messages[inner as usize].fields.len() } else { 0 };
                    has_room
                }
                Some(_) => self.inside.contains_key(&(node, field.number)),
            };
            if !is_taken && has_room {
                oneofs.push(field.oneof_number);
                chosen.push(field);
            }
        }
        chosen
    }

    /// Returns the message that a value of this kind holds, or that the values of a map hold.
    fn message_of(&self, kind: Kind) -> Option<MessageIndex> {
        match kind {
            Kind::Message(inner) => Some(inner),
            Kind::Map(map) => self.message_of(self.program.maps[map as usize].value.kind),
            _ => None,
        }
    }

    /// Whether a node can get a message inside, if the sample has this number of fields so far.
    fn has_room_for(&self, inner: MessageIndex, node: usize, fields: usize, is_required: bool) -> bool {
        let depth = self.nodes[node].depth + 1;
        if is_required {
            // A type that requires itself has no valid payload.
            return depth <= 2 * MAX_OPTIONAL_DEPTH && fields < MAX_FIELDS;
        }
        let mut around = std::iter::successors(Some(node), |node| self.nodes[*node].parent);
        depth < MAX_OPTIONAL_DEPTH
            && fields < MAX_OPTIONAL_FIELDS
            && around.all(|node| self.nodes[node].message != inner)
    }

    fn message(&self, node: usize, out: &mut Vec<u8>) {
        let message = &self.program.messages[self.nodes[node].message as usize];
        match message.shape {
            Shape::Timestamp => varint(1, MOMENT, out),
            Shape::Duration => varint(1, 90, out),
            Shape::FieldMask => text(1, "name", out),
            Shape::Value => text(3, "value", out),
            Shape::Any => {
                text(1, "type.googleapis.com/google.protobuf.StringValue", out);
                delimited(2, b"\x0a\x05value", out);
            }
            Shape::Plain | Shape::Struct | Shape::ListValue | Shape::Wrapper => {
                for field in self.chosen(message, node, false) {
                    let inside = self.inside.get(&(node, field.number)).copied();
                    match field.kind {
                        Kind::Map(map) => self.entry(field, map, inside, out),
                        _ => self.value(field, &field.name, inside, out),
                    }
                }
            }
        }
    }

    fn entry(&self, field: &Field, map: u32, inside: Option<usize>, out: &mut Vec<u8>) {
        let map = &self.program.maps[map as usize];
        let mut entry = Vec::new();
        self.value(&map.key, "key", None, &mut entry);
        self.value(&map.value, &field.name, inside, &mut entry);
        delimited(field.number, &entry, out);
    }

    /// Writes one record of a field. `inside` is the node of its message.
    fn value(&self, field: &Field, name: &str, inside: Option<usize>, out: &mut Vec<u8>) {
        match field.kind {
            Kind::Message(_) => {
                let mut payload = Vec::new();
                if let Some(inside) = inside {
                    self.message(inside, &mut payload);
                }
                if field.wire_type == START_GROUP {
                    encode_varint(u64::from(field.number << 3 | 3), out);
                    out.extend_from_slice(&payload);
                    encode_varint(u64::from(field.number << 3 | 4), out);
                } else {
                    delimited(field.number, &payload, out);
                }
            }
            Kind::String { .. } => text(field.number, &example_text(name), out),
            Kind::Bytes => delimited(field.number, b"example", out),
            kind => {
                let bits = self.bits(kind, name);
                encode_varint(u64::from(field.number << 3 | u32::from(field.wire_type)), out);
                match field.wire_type {
                    FIXED64 => out.extend_from_slice(&bits.to_le_bytes()),
                    FIXED32 => out.extend_from_slice(&(bits as u32).to_le_bytes()),
                    _ => encode_varint(bits, out),
                }
            }
        }
    }

    /// Returns a number, bool or enum value in its wire form.
    fn bits(&self, kind: Kind, name: &str) -> u64 {
        match kind {
            Kind::Double => fraction(name).to_bits(),
            Kind::Float => u64::from((fraction(name) as f32).to_bits()),
            Kind::Sint32 | Kind::Sint64 { .. } => 2 * number(name),
            Kind::Bool => 1,
            Kind::Enum(index) => example_number(&self.program.enums[index as usize]),
            Kind::Null => 0,
            _ => number(name),
        }
    }
}

/// Whether the sample of a message with this JSON form consists of the samples of its fields.
fn has_fields(shape: Shape) -> bool {
    matches!(shape, Shape::Plain | Shape::Struct | Shape::ListValue | Shape::Wrapper)
}

/// Returns the first positive enum number, because zero often means "unspecified".
fn example_number(known: &Enum) -> u64 {
    let number = known.numbers().find(|number| *number > 0).or_else(|| known.numbers().next());
    // On the wire, enum numbers are sign-extended.
    i64::from(number.unwrap_or_default()).cast_unsigned()
}

fn number(name: &str) -> u64 {
    let has = |parts: &[&str]| parts.iter().any(|part| name.contains(part));
    match () {
        () if has(&["amount", "price", "total", "minor", "cents"]) => 1999,
        () if has(&["millis", "_ms"]) => 250,
        () if has(&["size", "bytes", "length"]) => 1024,
        () if has(&["year"]) => 2026,
        () if has(&["port"]) => 443,
        () if has(&["seconds", "percent"]) => 30,
        () => 2,
    }
}

fn fraction(name: &str) -> f64 {
    match name {
        "latitude" | "lat" => 52.52,
        "longitude" | "lng" | "lon" => 13.405,
        _ => 12.5,
    }
}

/// Returns a plausible text for a string field with this name.
fn example_text(name: &str) -> String {
    let name = name.trim_matches(['[', ']']);
    let name = name.rsplit('.').next().unwrap_or(name).to_ascii_lowercase();
    let has = |parts: &[&str]| parts.iter().any(|part| name.contains(part));
    let example = match name.as_str() {
        "tenant" | "tenant_id" | "customer_id" | "account_id" => "acme",
        "name" | "title" | "label" => "Example",
        "full_name" | "display_name" | "recipient" => "Ada Lovelace",
        "id" | "uuid" | "guid" => "0b7e3d52-6a1f-4c7e-9d8a-2f4b6c8e1a35",
        "city" | "locality" => "Berlin",
        "source" => "checkout-1",
        _ if name.ends_with("_id") => "7c9e6679-7425-40de-944b-e07fc1f90ae7",
        _ if has(&["currency"]) => "EUR",
        _ if has(&["country", "region_code"]) => "DE",
        _ if has(&["email"]) => "ada@example.com",
        _ if has(&["phone"]) => "+49 30 1234567",
        _ if has(&["url", "uri", "link"]) => "https://example.com/resource",
        _ if has(&["postal", "zip"]) => "10115",
        _ if has(&["street", "line1", "address"]) => "Unter den Linden 1",
        _ if has(&["locale", "language"]) => "en",
        _ if has(&["version"]) => "1.0.0",
        _ if has(&["sku"]) => "SKU-1001",
        _ => return name.replace('_', " ").trim().to_owned(),
    };
    example.to_owned()
}

fn varint(number: u32, value: u64, out: &mut Vec<u8>) {
    encode_varint(u64::from(number << 3), out);
    encode_varint(value, out);
}

fn text(number: u32, value: &str, out: &mut Vec<u8>) {
    delimited(number, value.as_bytes(), out);
}

fn delimited(number: u32, value: &[u8], out: &mut Vec<u8>) {
    encode_varint(u64::from(number << 3 | 2), out);
    encode_varint(value.len() as u64, out);
    out.extend_from_slice(value);
}
