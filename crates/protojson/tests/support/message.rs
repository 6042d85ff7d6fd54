//! Draws random messages of a random schema.

use super::encode;
use super::random::Random;
use super::schema::{Field, Kind, Role, Schema};

/// The contents of a message after merging.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    /// The index of its type.
    pub(crate) of: usize,
    /// The contents of the fields that are set, by ascending field index.
    pub(crate) fields: Vec<(usize, Content)>,
}

impl Message {
    /// Whether a required field is missing in the message or in a message inside it. The contents of an Any are not
    /// checked.
    pub(crate) fn lacks_required(&self, schema: &Schema) -> bool {
        let declared = &schema.types[self.of].fields;
        let has = |index: usize| self.fields.iter().any(|(present, _)| *present == index);
        let lacks = |value: &Value| matches!(value, Value::Message(inner) if inner.lacks_required(schema));
        let lacks_inside = |content: &Content| match content {
            Content::One(value) => lacks(value),
            Content::Many(values) => values.iter().any(lacks),
            Content::Entries(entries) => entries.iter().any(|(_, value)| lacks(value)),
        };
        declared.iter().enumerate().any(|(index, field)| field.is_required && !has(index))
            || self.fields.iter().any(|(_, content)| lacks_inside(content))
    }
}

#[derive(Debug, Clone)]
pub(crate) enum Content {
    One(Value),
    Many(Vec<Value>),
    /// Map entries with distinct keys.
    Entries(Vec<(Value, Value)>),
}

impl Content {
    /// Returns the values, without the keys of map entries.
    fn values(&mut self) -> Vec<&mut Value> {
        match self {
            Self::One(value) => vec![value],
            Self::Many(values) => values.iter_mut().collect(),
            Self::Entries(entries) => entries.iter_mut().map(|(_, value)| value).collect(),
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) enum Value {
    /// A number in its wire form, before zigzag.
    Bits(u64),
    Bytes(Vec<u8>),
    Message(Message),
}

impl Value {
    pub(crate) fn is_zero(&self) -> bool {
        match self {
            Self::Bits(bits) => *bits == 0,
            Self::Bytes(bytes) => bytes.is_empty(),
            Self::Message(message) => message.fields.is_empty(),
        }
    }
}

/// Draws a message of the root type.
pub(crate) fn root(schema: &Schema, random: &mut Random<'_>) -> Message {
    let mut drawing = Drawing { schema, random, left: 60, is_replaced: false };
    drawing.message(0, 0)
}

/// Puts invalid UTF-8 into some strings of a message, and returns the message with these strings repaired, if there are
/// any. Map keys, well-known types and the contents of an Any stay as they are.
#[allow(dead_code, reason = "not every target damages messages")]
pub(crate) fn damage(schema: &Schema, message: &mut Message, random: &mut Random<'_>) -> Option<Message> {
    let mut repaired = message.clone();
    let mut is_damaged = false;
    if message.of < schema.random {
        for ((index, content), (_, copy)) in message.fields.iter_mut().zip(&mut repaired.fields) {
            let kind = schema.types[message.of].fields[*index].kind;
            for (value, copy) in content.values().into_iter().zip(copy.values()) {
                is_damaged |= damage_value(schema, kind, value, copy, random);
            }
        }
    }
    is_damaged.then_some(repaired)
}

fn damage_value(schema: &Schema, kind: Kind, value: &mut Value, copy: &mut Value, random: &mut Random<'_>) -> bool {
    match value {
        Value::Message(inner) => {
            let Some(repaired) = damage(schema, inner, random) else { return false };
            *copy = Value::Message(repaired);
            true
        }
        Value::Bytes(text) if kind == Kind::String && random.one_in(2) => {
            let invalid = random.pick(&[&b"\xff"[..], b"\xc3", b"\xed\xa0\x80", b"\xf0\x9f\x92", b"\xe4\xe4"]);
            let at = random.below(text.len() + 1);
            text.splice(at..at, invalid.iter().copied());
            *copy = Value::Bytes(String::from_utf8_lossy(text).into_owned().into_bytes());
            true
        }
        _ => false,
    }
}

/// Draws a value that a later record replaces. It does not need a JSON form.
pub(crate) fn replaced(schema: &Schema, kind: Kind, random: &mut Random<'_>) -> Value {
    let mut drawing = Drawing { schema, random, left: 4, is_replaced: true };
    if let Kind::Message(of) = kind
        && matches!(schema.types[of].full_name.as_str(), "google.protobuf.Timestamp" | "google.protobuf.Duration")
    {
        let fields = vec![(0, Content::One(Value::Bits(drawing.random.next()))), (1, Content::One(Value::Bits(1)))];
        return Value::Message(Message { of, fields });
    }
    drawing.value(kind, 3)
}

struct Drawing<'d, 'b> {
    schema: &'d Schema,
    random: &'d mut Random<'b>,
    /// The number of values that can still be drawn. After that no messages are drawn, not even required ones, because
    /// a type can require itself.
    left: usize,
    /// Whether a later record replaces the value.
    is_replaced: bool,
}

/// The maximum depth of messages.
const DEPTH: usize = 6;

impl Drawing<'_, '_> {
    fn message(&mut self, of: usize, depth: usize) -> Message {
        let declared = &self.schema.types[of];
        let fields = match declared.full_name.as_str() {
            "google.protobuf.Timestamp" => self.seconds_and_nanos(-62_135_596_800, 253_402_300_799, false),
            "google.protobuf.Duration" => self.seconds_and_nanos(-315_576_000_000, 315_576_000_000, true),
            "google.protobuf.FieldMask" => self.paths(),
            "google.protobuf.Any" => self.any(depth),
            "google.protobuf.Value" => self.kind_of_value(of, depth),
            _ => self.fields(&declared.fields, depth),
        };
        Message { of, fields }
    }

    fn fields(&mut self, declared: &[Field], depth: usize) -> Vec<(usize, Content)> {
        let mut fields: Vec<(usize, Content)> = Vec::new();
        for (index, field) in declared.iter().enumerate() {
            let is_message = matches!(field.kind, Kind::Message(_));
            let is_wanted = self.left > 0 && self.random.one_in(2) && !(is_message && depth > DEPTH);
            let is_needed = field.is_required && (!is_message || self.left > 0 && depth <= DEPTH);
            // If several members of a oneof are drawn, the last one replaces the others.
            if let Some(oneof) = field.oneof
                && is_wanted
            {
                fields.retain(|(other, _)| declared[*other].oneof != Some(oneof));
            }
            if is_wanted || is_needed {
                fields.push((index, self.content(field, depth)));
            }
        }
        fields
    }

    fn content(&mut self, field: &Field, depth: usize) -> Content {
        match field.role {
            Role::Singular => Content::One(self.value(field.kind, depth)),
            Role::Repeated => {
                let count = self.random.pick(&[1, 2, 3, 0, 5]);
                Content::Many((0..count).map(|_| self.value(field.kind, depth)).collect())
            }
            Role::Map(key) => {
                let mut entries: Vec<(Value, Value)> = Vec::new();
                for _ in 0..self.random.pick(&[1, 2, 4, 0, 9]) {
                    let key = self.key(key);
                    if !entries.iter().any(|(known, _)| same_key(known, &key)) {
                        entries.push((key, self.value(field.kind, depth)));
                    }
                }
                Content::Entries(entries)
            }
        }
    }

    fn value(&mut self, kind: Kind, depth: usize) -> Value {
        self.left = self.left.saturating_sub(1);
        match kind {
            Kind::String => Value::Bytes(self.text().into_bytes()),
            Kind::Bytes => {
                let length = self.random.pick(&[0, 1, 2, 3, 4, 17, 100]);
                Value::Bytes((0..length).map(|_| self.random.below(256) as u8).collect())
            }
            Kind::Message(of) => Value::Message(self.message(of, depth + 1)),
            Kind::Enum(index) => {
                let declared = &self.schema.enums[index];
                // An unknown number of a closed enum is a known difference from the oracle.
                let number = if declared.is_closed || self.random.one_in(2) {
                    self.random.pick(&declared.numbers)
                } else {
                    self.random.pick(&[4, 99, -5, i32::MIN])
                };
                Value::Bits(i64::from(number).cast_unsigned())
            }
            _ => Value::Bits(self.number(kind)),
        }
    }

    /// Returns a number in its wire form, in the width of its kind.
    fn number(&mut self, kind: Kind) -> u64 {
        let bits = match self.random.below(6) {
            0 => 0,
            1 => self.random.below(200) as u64,
            2 => {
                self.random.pick(&[1, u64::MAX, 1 << 63, (1 << 63) - 1, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 1 << 53])
            }
            3 => u64::from(self.random.next() as u32),
            _ => self.random.next(),
        };
        match kind {
            Kind::Double if self.random.one_in(2) => self.double(bits).to_bits(),
            Kind::Float if self.random.one_in(2) => u64::from((self.double(bits) as f32).to_bits()),
            Kind::Bool => bits & 1,
            Kind::Int32 => i64::from(bits as i32).cast_unsigned(),
            Kind::Float | Kind::Fixed32 | Kind::Sfixed32 | Kind::Uint32 | Kind::Sint32 => u64::from(bits as u32),
            _ => bits,
        }
    }

    fn double(&mut self, bits: u64) -> f64 {
        let special =
            [0.0, -0.0, 1.0, -1.5, 0.1, 1e21, 1e-7, 123_456.789, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 5e-324];
        if self.random.one_in(3) { bits as f64 / 1000.0 } else { self.random.pick(&special) }
    }

    fn key(&mut self, kind: Kind) -> Value {
        match kind {
            Kind::String => Value::Bytes(self.text().into_bytes()),
            _ => Value::Bits(self.number(kind)),
        }
    }

    fn text(&mut self) -> String {
        let length = self.random.pick(&[3, 1, 0, 2, 15, 16, 17, 33, 60]);
        let plain = ['a', 'b', 'z', 'A', '0', ' ', '/', '_'];
        let special =
            ['"', '\\', '\n', '\u{1}', '\u{1f}', '\u{7f}', 'ü', '\u{fffe}', '\u{ffff}', '\u{fffd}', '\u{1f980}'];
        let is_special = self.random.one_in(3);
        let draw = |_| {
            if is_special && self.random.one_in(4) { self.random.pick(&special) } else { self.random.pick(&plain) }
        };
        (0..length).map(draw).collect()
    }

    fn seconds_and_nanos(&mut self, first: i64, last: i64, signed: bool) -> Vec<(usize, Content)> {
        let seconds = match self.random.below(16) {
            0 => 0,
            1 => first,
            2 => last,
            3 => self.random.pick(&[first - 1, last + 1, i64::MIN, i64::MAX]),
            _ => first + (self.random.next() % (last - first).cast_unsigned()).cast_signed(),
        };
        let nanos: i64 = match self.random.below(16) {
            0 => self.random.pick(&[-1, 1_000_000_000, i64::from(i32::MIN)]),
            at => [0, 0, 1, 999_999_999, 5_000, 120_000_000, 123_456_789][at % 7],
        };
        let nanos = if signed && seconds < 0 { -nanos } else { nanos };
        let of = |index, value: i64| (index, Content::One(Value::Bits(value.cast_unsigned())));
        vec![of(0, seconds), of(1, nanos)].into_iter().filter(|_| !self.random.one_in(8)).collect()
    }

    fn paths(&mut self) -> Vec<(usize, Content)> {
        let paths = ["a", "foo_bar", "a.b_c.d1", "_x", "x1_y", "*"];
        let refused = ["", "fooBar", "a__b", "a_", "a_1", "a.", "1a", "a,b", "a*"];
        let draw = |_| {
            let path = if self.random.one_in(40) { self.random.pick(&refused) } else { self.random.pick(&paths) };
            Value::Bytes(path.as_bytes().to_vec())
        };
        let count = [1, 2, 0, 3][self.left % 4];
        vec![(0, Content::Many((0..count).map(draw).collect()))]
    }

    /// Returns an Any of a random type. Its payload is sometimes in random order, which the comparison of JSON values
    /// allows.
    fn any(&mut self, depth: usize) -> Vec<(usize, Content)> {
        if depth > 4 || self.left == 0 || self.random.one_in(8) {
            return Vec::new();
        }
        // The oracle leaves out extensions inside an Any.
        let has_no_extension = |of: usize| !self.schema.types[of].fields.iter().any(|field| field.is_extension);
        let of = self.random.below(self.schema.types.len());
        let of = if has_no_extension(of) { of } else { self.schema.random };
        let message = self.message(of, depth + 1);
        // Random order adds replaced values. Inside a replaced value this recursion would not end.
        let is_in_disorder = !self.is_replaced && self.random.one_in(2);
        let payload = encode::encode(self.schema, &message, is_in_disorder.then_some(&mut *self.random));
        let full_name = &self.schema.types[of].full_name;
        let url = match self.random.below(40) {
            0 => "type.googleapis.com/r.Unknown".to_owned(),
            1 => format!("/{full_name}"),
            2 => full_name.clone(),
            _ => format!("type.googleapis.com/{full_name}"),
        };
        vec![(0, Content::One(Value::Bytes(url.into_bytes()))), (1, Content::One(Value::Bytes(payload)))]
    }

    /// Returns a `google.protobuf.Value`. In rare cases it has no kind or is not finite.
    fn kind_of_value(&mut self, of: usize, depth: usize) -> Vec<(usize, Content)> {
        const NUMBER: usize = 1;
        const STRUCT: usize = 4;
        let kinds = &self.schema.types[of].fields;
        let index =
            if depth > DEPTH || self.left == 0 { self.random.below(STRUCT) } else { self.random.below(kinds.len()) };
        if self.random.one_in(20) {
            return Vec::new();
        }
        let mut value = self.value(kinds[index].kind, depth);
        if let (NUMBER, Value::Bits(bits)) = (index, &mut value)
            && !f64::from_bits(*bits).is_finite()
            && !self.random.one_in(20)
        {
            *bits = 1.5f64.to_bits();
        }
        vec![(index, Content::One(value))]
    }
}

fn same_key(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Bits(one), Value::Bits(other)) => one == other,
        (Value::Bytes(one), Value::Bytes(other)) => one == other,
        _ => false,
    }
}
