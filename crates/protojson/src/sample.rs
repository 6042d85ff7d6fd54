//! Sample payloads with a plausible value in every field. A payload is written directly from a program, so groups,
//! extensions and editions have the form that the transcoder reads.

use prost::encoding::encode_varint;

use crate::program::{Enum, Field, Kind, Message, MessageIndex, Program, Shape};
use crate::wire::{FIXED32, FIXED64, START_GROUP};

/// The number of enclosing messages from which on optional messages are left out.
const MAX_OPTIONAL_DEPTH: usize = 12;

/// 2026-01-15T09:30:00Z.
const MOMENT: u64 = 1_768_469_400;

/// Returns a payload of the program's root. A type that contains itself is not nested again, and optional messages end
/// at a depth limit.
pub(crate) fn payload(program: &Program) -> Vec<u8> {
    let mut out = Vec::new();
    Sampler { program, within: Vec::new() }.message(0, &mut out);
    out
}

struct Sampler<'p> {
    program: &'p Program,
    /// The enclosing messages.
    within: Vec<MessageIndex>,
}

impl Sampler<'_> {
    fn message(&mut self, index: MessageIndex, out: &mut Vec<u8>) {
        let message = &self.program.messages[index as usize];
        // A type that requires itself has no valid payload. Stop here.
        if self.within.len() > 2 * MAX_OPTIONAL_DEPTH {
            return;
        }
        self.within.push(index);
        match message.shape {
            Shape::Timestamp => varint(1, MOMENT, out),
            Shape::Duration => varint(1, 90, out),
            Shape::FieldMask => text(1, "name", out),
            Shape::Value => text(3, "value", out),
            Shape::Any => {
                text(1, "type.googleapis.com/google.protobuf.StringValue", out);
                delimited(2, b"\x0a\x05value", out);
            }
            Shape::Plain | Shape::Struct | Shape::ListValue | Shape::Wrapper => self.fields(message, out),
        }
        self.within.pop();
    }

    fn fields(&mut self, message: &Message, out: &mut Vec<u8>) {
        // The items of a MessageSet are groups of their own; an empty set is valid.
        if message.is_message_set {
            return;
        }
        let mut oneofs = Vec::new();
        for field in &message.fields {
            let is_taken = field.oneof_number != 0 && oneofs.contains(&field.oneof_number);
            if is_taken || !(field.is_required || self.has_room_for(field.kind)) {
                continue;
            }
            oneofs.push(field.oneof_number);
            match field.kind {
                Kind::Map(map) => self.entry(field, map, out),
                _ => self.value(field, &field.name, out),
            }
        }
    }

    fn has_room_for(&self, kind: Kind) -> bool {
        match kind {
            Kind::Message(inner) => self.within.len() < MAX_OPTIONAL_DEPTH && !self.within.contains(&inner),
            Kind::Map(map) => self.has_room_for(self.program.maps[map as usize].value.kind),
            _ => true,
        }
    }

    fn entry(&mut self, field: &Field, map: u32, out: &mut Vec<u8>) {
        let map = &self.program.maps[map as usize];
        let mut entry = Vec::new();
        self.value(&map.key, "key", &mut entry);
        self.value(&map.value, &field.name, &mut entry);
        delimited(field.number, &entry, out);
    }

    /// Writes one record of a field.
    fn value(&mut self, field: &Field, name: &str, out: &mut Vec<u8>) {
        match field.kind {
            Kind::Message(inner) => {
                let mut payload = Vec::new();
                self.message(inner, &mut payload);
                if field.wire_type == START_GROUP {
                    encode_varint(u64::from(field.number << 3 | 3), out);
                    out.extend_from_slice(&payload);
                    encode_varint(u64::from(field.number << 3 | 4), out);
                } else {
                    delimited(field.number, &payload, out);
                }
            }
            Kind::String => text(field.number, &example_text(name), out),
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
