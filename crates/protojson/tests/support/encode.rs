//! Encodes messages: in the order that serializers use, or in any other order with the same meaning.

use super::message::{Content, Message, Value, replaced};
use super::random::Random;
use super::schema::{Field, Kind, Role, Schema};
use super::wire::{Wire, put_varint};

/// Encodes a message. Without `random` the fields are in the order of their numbers; with it the records are in random
/// order.
pub(crate) fn encode(schema: &Schema, message: &Message, random: Option<&mut Random<'_>>) -> Vec<u8> {
    match random {
        None => ordered(schema, message),
        Some(random) => Disorder { schema, random, replacing: 0 }.records(message).concat(),
    }
}

fn ordered(schema: &Schema, message: &Message) -> Vec<u8> {
    let mut out = Wire::new();
    for (index, content) in &message.fields {
        let field = &schema.types[message.of].fields[*index];
        match content {
            Content::One(value) => out = out.raw(&record(field, &ordered_value(schema, field.kind, value))),
            Content::Many(values) if field.is_packed => {
                let packed: Vec<u8> =
                    values.iter().flat_map(|value| ordered_value(schema, field.kind, value)).collect();
                if !packed.is_empty() {
                    out = out.bytes(field.number, &packed);
                }
            }
            Content::Many(values) => {
                for value in values {
                    out = out.raw(&record(field, &ordered_value(schema, field.kind, value)));
                }
            }
            Content::Entries(entries) => {
                let Role::Map(key_kind) = field.role else { continue };
                for (key, value) in entries {
                    let key = tagged(1, key_kind, &ordered_value(schema, key_kind, key));
                    let value = tagged(2, field.kind, &ordered_value(schema, field.kind, value));
                    out = out.bytes(field.number, &[key, value].concat());
                }
            }
        }
    }
    out.0
}

/// Returns a value without its tag; strings, bytes and messages also without their length.
fn ordered_value(schema: &Schema, kind: Kind, value: &Value) -> Vec<u8> {
    match value {
        Value::Bits(bits) => number(kind, *bits),
        Value::Bytes(bytes) => bytes.clone(),
        Value::Message(message) => ordered(schema, message),
    }
}

fn number(kind: Kind, bits: u64) -> Vec<u8> {
    match kind.wire_type() {
        1 => bits.to_le_bytes().to_vec(),
        5 => (bits as u32).to_le_bytes().to_vec(),
        _ => {
            let mut out = Vec::new();
            put_varint(&mut out, bits);
            out
        }
    }
}

/// Returns one record: the tag, the length if the wire type has one, and the value.
fn record(field: &Field, value: &[u8]) -> Vec<u8> {
    if field.is_group {
        return Wire::new().tag(field.number, 3).raw(value).tag(field.number, 4).0;
    }
    tagged(field.number, field.kind, value)
}

fn tagged(number: u32, kind: Kind, value: &[u8]) -> Vec<u8> {
    if kind.wire_type() == 2 {
        Wire::new().bytes(number, value).0
    } else {
        Wire::new().tag(number, kind.wire_type()).raw(value).0
    }
}

struct Disorder<'d, 'b> {
    schema: &'d Schema,
    random: &'d mut Random<'b>,
    /// The number of nested replaced values. It is bounded, because a replaced message can contain several replaced
    /// values itself.
    replacing: usize,
}

const REPLACING: usize = 2;

impl Disorder<'_, '_> {
    /// Returns the records of a message in random order. Each record is complete, so the message can be split between
    /// any two of them.
    fn records(&mut self, message: &Message) -> Vec<Vec<u8>> {
        let schema = self.schema;
        let declared = &schema.types[message.of].fields;
        // Runs of records; the order within a run matters.
        let mut runs: Vec<Vec<Vec<u8>>> = Vec::new();
        for (index, content) in &message.fields {
            let field = &declared[*index];
            runs.push(match (content, field.role) {
                (Content::One(value), _) => self.singular(declared, field, value),
                (Content::Many(values), _) => self.repeated(field, values),
                (Content::Entries(entries), Role::Map(key)) => self.entries(field, key, entries),
                (Content::Entries(_), _) => Vec::new(),
            });
        }
        if self.random.one_in(3) {
            runs.push((0..=self.random.below(3)).map(|_| self.unknown(declared)).collect());
        }
        self.interleave(runs)
    }

    fn interleave(&mut self, mut runs: Vec<Vec<Vec<u8>>>) -> Vec<Vec<u8>> {
        if self.random.one_in(4) {
            return runs.concat();
        }
        let mut records = Vec::new();
        runs.retain(|run| !run.is_empty());
        for run in &mut runs {
            run.reverse();
        }
        while !runs.is_empty() {
            let at = self.random.below(runs.len());
            records.extend(runs[at].pop());
            if runs[at].is_empty() {
                runs.swap_remove(at);
            }
        }
        records
    }

    /// Returns the records of a singular field, preceded by values that it replaces.
    fn singular(&mut self, declared: &[Field], field: &Field, value: &Value) -> Vec<Vec<u8>> {
        let mut records = Vec::new();
        let is_message = matches!(value, Value::Message(_));
        if self.replacing == REPLACING {
            return self.parts(field, value);
        }
        if let Some(oneof) = field.oneof
            && self.random.one_in(3)
        {
            let members: Vec<&Field> = declared.iter().filter(|other| other.oneof == Some(oneof)).collect();
            for _ in 0..self.random.below(3) {
                let member = self.random.pick(&members);
                records.extend(self.replaced(member));
            }
            let others: Vec<&Field> = members.into_iter().filter(|other| other.number != field.number).collect();
            if is_message && !records.is_empty() {
                // The record must also clear the earlier contents of the message.
                if others.is_empty() {
                    records.clear();
                } else {
                    let other = self.random.pick(&others);
                    records.extend(self.replaced(other));
                }
            }
        } else if !is_message && self.random.one_in(4) {
            records.extend(self.replaced(field));
        }
        records.extend(self.parts(field, value));
        records
    }

    /// Returns the records of a value that later records replace.
    fn replaced(&mut self, field: &Field) -> Vec<Vec<u8>> {
        let value = replaced(self.schema, field.kind, self.random);
        self.replacing += 1;
        let records = self.parts(field, &value);
        self.replacing -= 1;
        records
    }

    /// Returns the records of one value: one record, or several if a message is split.
    fn parts(&mut self, field: &Field, value: &Value) -> Vec<Vec<u8>> {
        let Value::Message(message) = value else {
            let value = self.value(field.kind, value);
            return vec![self.record(field.number, field.wire_type(), &value)];
        };
        let mut inside = self.records(message);
        let mut parts = Vec::new();
        while self.random.one_in(4) {
            let rest = inside.split_off(self.random.below(inside.len() + 1));
            parts.push(self.record(field.number, field.wire_type(), &inside.concat()));
            inside = rest;
        }
        parts.push(self.record(field.number, field.wire_type(), &inside.concat()));
        parts
    }

    fn repeated(&mut self, field: &Field, values: &[Value]) -> Vec<Vec<u8>> {
        let mut records = Vec::new();
        let mut values = values.iter();
        loop {
            if field.kind.is_packable() && self.random.one_in(2) {
                let count = self.random.below(4);
                let packed: Vec<u8> =
                    values.by_ref().take(count).flat_map(|value| self.value(field.kind, value)).collect();
                records.push(self.record(field.number, 2, &packed));
                continue;
            }
            let Some(value) = values.next() else { return records };
            let value = self.value(field.kind, value);
            records.push(self.record(field.number, field.wire_type(), &value));
        }
    }

    fn entries(&mut self, field: &Field, key_kind: Kind, entries: &[(Value, Value)]) -> Vec<Vec<u8>> {
        let mut records = Vec::new();
        let mut entries: Vec<&(Value, Value)> = entries.iter().collect();
        self.random.shuffle(&mut entries);
        for (key, value) in &entries {
            let entry = self.entry(field, key_kind, key, value);
            records.push(self.record(field.number, 2, &entry));
        }
        for (key, _) in &entries {
            if self.replacing < REPLACING && self.random.one_in(6) {
                let value = replaced(self.schema, field.kind, self.random);
                self.replacing += 1;
                let entry = self.entry(field, key_kind, key, &value);
                self.replacing -= 1;
                let record = self.record(field.number, 2, &entry);
                records.insert(0, record);
            }
        }
        records
    }

    fn entry(&mut self, field: &Field, key_kind: Kind, key: &Value, value: &Value) -> Vec<u8> {
        let mut keys = Vec::new();
        if !key.is_zero() || self.random.one_in(2) {
            if self.random.one_in(6) {
                let other = replaced(self.schema, key_kind, self.random);
                let other = self.value(key_kind, &other);
                keys.push(self.record(1, key_kind.wire_type(), &other));
            }
            let key = self.value(key_kind, key);
            keys.push(self.record(1, key_kind.wire_type(), &key));
        }
        // The default of a missing value is zero, or the first number of an enum.
        let is_default = match (field.kind, value) {
            (Kind::Enum(index), Value::Bits(bits)) => {
                *bits == i64::from(self.schema.enums[index].numbers[0]).cast_unsigned()
            }
            _ => value.is_zero(),
        };
        let mut values = Vec::new();
        if !is_default || self.random.one_in(2) {
            let of_entry = Field { number: 2, role: Role::Singular, oneof: None, is_group: false, ..field.clone() };
            values = self.singular(&[], &of_entry, value);
        }
        let unknown = if self.random.one_in(8) { vec![Wire::new().varint(9, 9).0] } else { Vec::new() };
        self.interleave(vec![keys, values, unknown]).concat()
    }

    /// Returns a value without its tag; strings, bytes and messages also without their length.
    fn value(&mut self, kind: Kind, value: &Value) -> Vec<u8> {
        match value {
            Value::Bits(bits) if kind.wire_type() == 0 => {
                let is_narrow = matches!(kind, Kind::Int32 | Kind::Uint32 | Kind::Sint32 | Kind::Enum(_));
                let bits = match kind {
                    // A reader must ignore the bits above 32.
                    _ if is_narrow && self.random.one_in(4) => bits & 0xffff_ffff | self.random.next() << 32,
                    Kind::Bool if *bits != 0 && self.random.one_in(4) => self.random.next() | 2,
                    _ => *bits,
                };
                self.varint(bits)
            }
            Value::Bits(bits) => number(kind, *bits),
            Value::Bytes(bytes) => bytes.clone(),
            Value::Message(message) => self.records(message).concat(),
        }
    }

    /// Returns a varint that is sometimes longer than necessary.
    fn varint(&mut self, value: u64) -> Vec<u8> {
        let mut out = Vec::new();
        put_varint(&mut out, value);
        if self.random.one_in(12) {
            while out.len() < 10 && self.random.one_in(2) {
                let last = out.len() - 1;
                out[last] |= 0x80;
                out.push(0);
            }
        }
        out
    }

    fn record(&mut self, number: u32, wire_type: u8, value: &[u8]) -> Vec<u8> {
        let mut out = self.varint(u64::from(number) << 3 | u64::from(wire_type));
        match wire_type {
            2 => {
                out.extend(self.varint(value.len() as u64));
                out.extend_from_slice(value);
            }
            3 => {
                out.extend_from_slice(value);
                out.extend(self.varint(u64::from(number) << 3 | 4));
            }
            _ => out.extend_from_slice(value),
        }
        out
    }

    /// Returns a record that the message must skip: its number is unknown, or its wire type differs from the field's.
    fn unknown(&mut self, declared: &[Field]) -> Vec<u8> {
        let number = 31 + self.random.below(100) as u32;
        let is_free =
            |field: &Field| field.wire_type() != 5 && !(field.role == Role::Repeated && field.kind.wire_type() == 5);
        match self.random.below(6) {
            0 => Wire::new().varint(number, self.random.next()).0,
            1 => Wire::new().bytes(number, b"\xff\x00").0,
            2 => Wire::new().group(number, Wire::new().varint(1, 1).group(2, Wire::new()).bytes(3, b"\xff")).0,
            3 => Wire::new().fixed64(number, self.random.next()).0,
            4 => match declared.get(self.random.below(declared.len().max(1))) {
                Some(field) if is_free(field) => Wire::new().fixed32(field.number, 7).0,
                _ => Vec::new(),
            },
            _ => Wire::new().fixed32(536_870_910, 1).0,
        }
    }
}
