//! The hard payloads, and the JSON that the specification asks for: <https://protobuf.dev/programming-guides/json>.

/// A hard payload of the type `hard.v1.Event`.
#[derive(Debug)]
pub(super) struct Case {
    /// The difficulty, in a few words.
    pub(super) name: &'static str,
    pub(super) payload: Vec<u8>,
    pub(super) expected: Expected,
}

/// The right result.
#[derive(Debug, Clone, Copy)]
pub(super) enum Expected {
    Json(&'static str),
    /// The shortest spelling of a float, and its spelling as a double. Both are right.
    Float(&'static str, &'static str),
    /// The payload has no JSON.
    Error,
}

use Expected::{Error, Float, Json};

/// Builds payloads field by field.
#[derive(Debug, Default)]
struct Wire(Vec<u8>);

impl Wire {
    fn varint(mut self, field: u32, value: u64) -> Self {
        self.raw(u64::from(field) << 3);
        self.raw(value);
        self
    }

    fn fixed64(mut self, field: u32, value: f64) -> Self {
        self.raw(u64::from(field) << 3 | 1);
        self.0.extend(value.to_le_bytes());
        self
    }

    fn fixed32(mut self, field: u32, value: f32) -> Self {
        self.raw(u64::from(field) << 3 | 5);
        self.0.extend(value.to_le_bytes());
        self
    }

    fn bytes(mut self, field: u32, value: &[u8]) -> Self {
        self.raw(u64::from(field) << 3 | 2);
        self.raw(value.len() as u64);
        self.0.extend(value);
        self
    }

    fn message(self, field: u32, value: Self) -> Self {
        self.bytes(field, &value.0)
    }

    fn raw(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

fn wire() -> Wire {
    Wire::default()
}

/// A Timestamp or a Duration.
fn time(seconds: i64, nanos: i32) -> Wire {
    wire().varint(1, seconds as u64).varint(2, i64::from(nanos) as u64)
}

fn any(type_url: &str, value: Wire) -> Wire {
    wire().bytes(1, type_url.as_bytes()).message(2, value)
}

/// The first second of the year 10000, after the last that RFC 3339 can write.
const YEAR_10000: i64 = 253_402_300_800;
/// The last second before the year 1.
const YEAR_0: i64 = -62_135_596_801;
/// One more than the most seconds of a Duration.
const LONG: i64 = 315_576_000_001;
/// The least integer that no double holds.
const BEYOND_DOUBLE: u64 = (1 << 53) + 1;

/// Returns all payloads.
pub(super) fn all() -> Vec<Case> {
    let case = |(name, payload, expected): (&'static str, Wire, Expected)| Case { name, payload: payload.0, expected };
    numbers().into_iter().chain(times()).chain(structures()).chain(damaged()).map(case).collect()
}

type Row = (&'static str, Wire, Expected);

fn numbers() -> Vec<Row> {
    vec![
        ("double NaN", wire().fixed64(1, f64::NAN), Json(r#"{"ratio":"NaN"}"#)),
        ("double −Infinity", wire().fixed64(1, f64::NEG_INFINITY), Json(r#"{"ratio":"-Infinity"}"#)),
        ("float Infinity", wire().fixed32(2, f32::INFINITY), Json(r#"{"share":"Infinity"}"#)),
        ("double −0", wire().fixed64(1, -0.0), Json(r#"{"ratio":-0.0}"#)),
        ("float 0.1", wire().fixed32(2, 0.1), Float(r#"{"share":0.1}"#, r#"{"share":0.10000000149011612}"#)),
        ("int64 beyond 2^53", wire().varint(3, BEYOND_DOUBLE), Json(r#"{"id":"9007199254740993"}"#)),
        ("the largest uint64", wire().varint(4, u64::MAX), Json(r#"{"total":"18446744073709551615"}"#)),
        (
            "Int64Value beyond 2^53",
            wire().message(15, wire().varint(1, BEYOND_DOUBLE)),
            Json(r#"{"wrapped":"9007199254740993"}"#),
        ),
        (
            "int64 beyond 2^53 in a map",
            wire().message(16, wire().bytes(1, b"a").varint(2, BEYOND_DOUBLE)),
            Json(r#"{"counts":{"a":"9007199254740993"}}"#),
        ),
        ("unknown enum number", wire().varint(5, 7), Json(r#"{"color":7}"#)),
        ("unknown enum number in a list", wire().bytes(17, &[1, 7]), Json(r#"{"colors":["COLOR_RED",7]}"#)),
        ("optional field with its default", wire().varint(8, 0), Json(r#"{"maybe":0}"#)),
        ("field without presence with its default", wire().varint(9, 0), Json("{}")),
    ]
}

fn times() -> Vec<Row> {
    vec![
        (
            "Timestamp with nanoseconds",
            wire().message(10, time(1_767_225_600, 1)),
            Json(r#"{"at":"2026-01-01T00:00:00.000000001Z"}"#),
        ),
        ("Timestamp in the year 10000", wire().message(10, time(YEAR_10000, 0)), Error),
        ("Timestamp before the year 1", wire().message(10, time(YEAR_0, 0)), Error),
        ("Timestamp with too many nanoseconds", wire().message(10, time(0, 1_000_000_000)), Error),
        ("negative Duration", wire().message(11, time(-1, -500_000_000)), Json(r#"{"took":"-1.500s"}"#)),
        ("Duration of −1 nanosecond", wire().message(11, time(0, -1)), Json(r#"{"took":"-0.000000001s"}"#)),
        ("Duration with two signs", wire().message(11, time(1, -1)), Error),
        ("Duration of more than 10,000 years", wire().message(11, time(LONG, 0)), Error),
    ]
}

fn structures() -> Vec<Row> {
    let detail = || wire().bytes(1, b"x").varint(2, 7);
    vec![
        (
            "FieldMask",
            wire().message(12, wire().bytes(1, b"user.display_name").bytes(1, b"photo")),
            Json(r#"{"mask":"user.displayName,photo"}"#),
        ),
        ("FieldMask that camel case cannot hold", wire().message(12, wire().bytes(1, b"userName")), Error),
        (
            "Any of a type in the set",
            wire().message(13, any("type.googleapis.com/hard.v1.Detail", detail())),
            Json(r#"{"detail":{"@type":"type.googleapis.com/hard.v1.Detail","note":"x","id":"7"}}"#),
        ),
        (
            "Any of a well-known type",
            wire().message(13, any("type.googleapis.com/google.protobuf.Duration", time(1, 0))),
            Json(r#"{"detail":{"@type":"type.googleapis.com/google.protobuf.Duration","value":"1s"}}"#),
        ),
        ("empty Any", wire().message(13, wire()), Json(r#"{"detail":{}}"#)),
        ("Any of an unknown type", wire().message(13, any("type.googleapis.com/hard.v1.None", detail())), Error),
        ("Value NaN", wire().message(14, wire().fixed64(2, f64::NAN)), Error),
        ("Value null", wire().message(14, wire().varint(1, 0)), Json(r#"{"value":null}"#)),
        ("bytes that differ in URL-safe base64", wire().bytes(7, &[0xfb, 0xff]), Json(r#"{"data":"+/8="}"#)),
        ("unknown field", wire().varint(9, 1).bytes(999, b"new"), Json(r#"{"plain":1}"#)),
    ]
}

fn damaged() -> Vec<Row> {
    let mut cut = wire().bytes(6, b"text");
    cut.0.pop();
    vec![("string that is not UTF-8", wire().bytes(6, &[0xff, b'x']), Error), ("payload that is cut off", cut, Error)]
}
