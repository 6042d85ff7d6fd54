//! A payload whose JSON exceeds the limit is refused at once, and its peak of memory is bounded by payload and limit.
//!
//! For random payloads the result with a limit must be the result without one, if that fits the limit, and otherwise the
//! error of the limit. Named cases cover payloads that are small and have a huge JSON.

#![allow(clippy::unwrap_used, reason = "a panic fails the test")]
#![allow(unsafe_code, reason = "declaring a counting global allocator requires unsafe code")]

#[path = "support/memory.rs"]
mod memory;
#[path = "support/all.rs"]
mod support;

use std::sync::LazyLock;

use prost::Message as _;
use protojson::{Bytes, Error, ErrorKind, InvalidUtf8, Options, Plan, Schema, Taps, UnknownAny};

use support::random::Random;
use support::wire::Wire;
use support::{encode, message, trial};

#[global_allocator]
static ALLOCATOR: memory::Counting = memory::Counting;

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/proto");
    let set = protox::compile(["cases.proto", "cases2.proto"], [root]).unwrap();
    Schema::builder().set("cases.binpb", &set.encode_to_vec()).unwrap().build().unwrap()
});

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;
/// The number of taps of [`random_plan`].
const TAPS: usize = 3;

type Outcome = Result<Vec<u8>, Error>;

fn with_defaults() -> Options {
    let mut options = Options::default();
    options.emit_defaults = true;
    options
}

fn within(plan: &Plan, limit: usize, wire: &[u8]) -> (Outcome, Taps) {
    let (mut json, mut taps) = (b"before".to_vec(), Taps::new());
    let result = plan.transcode_tapped_within(limit, wire, &mut json, &mut taps);
    assert!(json.starts_with(b"before"));
    assert!(result.is_ok() || json.len() == b"before".len(), "a refused payload left output behind");
    (result.map(|()| json.split_off(b"before".len())), taps)
}

fn values(taps: &Taps) -> Vec<Option<String>> {
    (0..TAPS).map(|tap| taps.get(tap).map(str::to_owned)).collect()
}

/// Asserts that a limit changes nothing but that a larger JSON is refused.
fn check_limits(plan: &Plan, wire: &[u8], random: &mut Random<'_>) {
    let (unlimited, expected) = within(plan, usize::MAX, wire);
    let length = unlimited.as_ref().map_or(wire.len(), Vec::len);
    for limit in [0, length / 2, length.saturating_sub(1), length, length + 1, random.below(length + 1)] {
        let ((limited, taps), peak) = memory::peak_of(|| within(plan, limit, wire));
        let allowed = 16 * KIB + 16 * wire.len() + 4 * limit;
        assert!(peak < allowed, "{} bytes with limit {limit}: a peak of {peak} bytes", wire.len());
        match (&unlimited, limited) {
            (Ok(json), Ok(limited)) => assert!(*json == limited && json.len() <= limit),
            (Ok(json), Err(error)) => {
                assert_eq!(error.kind(), ErrorKind::OverLimit, "{error}");
                assert!(json.len() > limit, "{} bytes with limit {limit}: {error}", json.len());
            }
            // A payload with two faults can have either error.
            (Err(_), Err(_)) => continue,
            (Err(refused), Ok(_)) => panic!("the limit {limit} admits a payload that is refused without: {refused}"),
        }
        assert_eq!(values(&taps), values(&expected), "taps with limit {limit}");
    }
}

/// Adds taps on the first fields that can have one, and inside the first message.
fn random_plan(ours: &Schema, schema: &support::schema::Schema, options: &Options) -> Plan {
    let mut paths: Vec<String> = schema.types[0].fields.iter().map(|field| field.name.clone()).collect();
    for field in &schema.types[0].fields {
        if let support::schema::Kind::Message(inner) = field.kind {
            paths.extend(schema.types[inner].fields.iter().map(|inside| format!("{}.{}", field.name, inside.name)));
        }
    }
    let plan = ours.plan("r.T0", options).unwrap();
    paths.iter().rev().fold(plan, |plan, path| plan.clone().with_tap(path).unwrap_or(plan))
}

#[test]
fn a_limit_only_refuses_what_exceeds_it() {
    for seed in 0..400 {
        let mut random = Random::seeded(seed);
        let schema = support::schema::Schema::random(&mut random);
        let ours = Schema::builder().set("random.binpb", &schema.set).unwrap().build().unwrap();
        let options = [Options::default(), trial::random_options(&schema, &mut random), trial::rules(&schema)];
        let plans = options.map(|options| random_plan(&ours, &schema, &options));
        for _ in 0..3 {
            let message = message::root(&schema, &mut random);
            let mut corrupt = encode::encode(&schema, &message, Some(&mut random));
            trial::corrupt_bytes(&mut corrupt, &mut random);
            let wires = [
                encode::encode(&schema, &message, None),
                encode::encode(&schema, &message, Some(&mut random)),
                corrupt,
            ];
            for (plan, wire) in plans.iter().flat_map(|plan| wires.iter().map(move |wire| (plan, wire))) {
                check_limits(plan, wire, &mut random);
            }
        }
    }
}

/// Asserts that a payload exceeds a limit of 256 KiB, and that its peak of memory is at most `factor` times the sum of
/// the payload and the limit.
#[track_caller]
fn check_refused(plan: &Plan, wire: &Wire, factor: usize) -> Error {
    const LIMIT: usize = 256 * KIB;
    let (error, peak) = memory::peak_of(|| plan.transcode_within(LIMIT, &wire.0, &mut Vec::new()).unwrap_err());
    assert_eq!(error.kind(), ErrorKind::OverLimit, "{error}");
    assert!(peak < factor * (wire.0.len() + LIMIT), "{} bytes: a peak of {peak} bytes", wire.0.len());
    error
}

fn plan(message_type: &str, options: &Options) -> Plan {
    SCHEMA.plan(message_type, options).unwrap()
}

fn fill(size: usize, record: &Wire) -> Wire {
    Wire(record.0.repeat(size / record.0.len()))
}

#[test]
fn empty_messages_with_defaults_stop_at_the_limit() {
    // The reproduction: two bytes per message, and hundreds of bytes of JSON.
    let error = check_refused(&plan("cases.v1.Lists", &with_defaults()), &fill(4 * MIB, &Wire::new().bytes(3, b"")), 8);
    assert_eq!(error.path(), "cases.v1.Lists.inner");
    assert!(error.offset() < 64 * KIB, "{error}");
    let text = error.to_string();
    assert!(
        text.starts_with("JSON too large at byte ") && text.ends_with("it exceeds the limit of 262144 bytes"),
        "{text}"
    );
}

#[test]
fn packed_enums_with_a_long_name_stop_at_the_limit() {
    let wire = Wire::new().bytes(4, &vec![1; 4 * MIB]);
    let error = check_refused(&plan("cases.v1.Lists", &Options::default()), &wire, 2);
    assert!(error.offset() < 100 * KIB, "{error}");
}

#[test]
fn packed_numbers_stop_at_the_limit() {
    let wire = Wire::new().packed(1, &vec![(-1i64).cast_unsigned(); MIB / 4]);
    check_refused(&plan("cases.v1.Lists", &Options::default()), &wire, 2);
    for number in [1, 6, 8] {
        let wire = Wire::new().bytes(number, &vec![0; MIB]);
        let error = check_refused(&plan("cases.v1.Lists", &Options::default()), &wire, 1);
        assert!(error.offset() < 192 * KIB, "{error}");
    }
}

#[test]
fn lists_of_one_value_per_record_stop_at_the_limit() {
    let lists = plan("cases.v1.Lists", &Options::default());
    for record in [Wire::new().varint(1, 1), Wire::new().string(2, ""), Wire::new().bytes(9, b"")] {
        let error = check_refused(&lists, &fill(MIB, &record), 16);
        assert!(error.offset() < 512 * KIB, "{error}");
        // The first record is out of order, so the list is sorted first.
        let error = check_refused(&lists, &Wire::new().varint(8, 1).raw(&fill(MIB, &record).0), 16);
        assert!(error.offset() < 512 * KIB, "{error}");
    }
}

#[test]
fn a_tree_of_singular_messages_stops_at_the_limit() {
    // Each message has two others inside, and none of them is in a list.
    let leaf = Wire::new();
    let tree = (0..17).fold(leaf, |wire, _| Wire::new().message(6, wire.clone()).message(10, wire));
    let error = check_refused(&plan("cases.v1.Presence", &with_defaults()), &tree, 4);
    assert!(error.offset() < 64 * KIB, "{error}");
}

#[test]
fn long_texts_stop_at_the_limit() {
    let text = "\u{1}ü".repeat(MIB);
    check_refused(&plan("cases.v1.Scalars", &Options::default()), &Wire::new().string(14, &text), 2);
    check_refused(&plan("cases.v1.Scalars", &Options::default()), &Wire::new().bytes(15, &vec![0; MIB]), 2);
    let path = Wire::new().message(3, fill(MIB, &Wire::new().string(1, &"a".repeat(1000))));
    check_refused(&plan("cases.v1.WellKnown", &Options::default()), &path, 2);
}

#[test]
fn the_other_spellings_stop_at_the_limit() {
    let mut options = Options::default();
    options.bytes = Bytes::Hex;
    options.unknown_any = UnknownAny::Bytes;
    options.invalid_utf8 = InvalidUtf8::Replace;
    check_refused(&plan("cases.v1.Scalars", &options), &Wire::new().bytes(15, &vec![0; 130 * KIB]), 2);
    check_refused(&plan("cases.v1.Scalars", &options), &Wire::new().bytes(15, &vec![0; MIB]), 1);
    check_refused(&plan("cases.v1.Lists", &options), &fill(MIB, &Wire::new().bytes(7, &[0; 10])), 16);
    let any = Wire::new().string(1, "t/r.Unknown").bytes(2, &vec![0; MIB]);
    check_refused(&plan("google.protobuf.Any", &options), &any, 2);
    check_refused(&plan("google.protobuf.Any", &options), &Wire::new().string(1, &"x".repeat(MIB)), 2);
    check_refused(&plan("cases.v2.Unchecked", &options), &Wire::new().bytes(1, &vec![0xff; 90 * KIB]), 8);
    check_refused(&plan("cases.v2.Unchecked", &options), &Wire::new().bytes(1, &vec![0xff; MIB]), 2);
    check_refused(&plan("cases.v2.Unchecked", &options), &fill(MIB, &Wire::new().bytes(2, b"\xff\xff\xff")), 16);
}

#[test]
fn maps_stop_at_the_limit() {
    let defaults = with_defaults();
    // Each entry has a new key.
    let keys =
        (0..MIB as u64 / 8).fold(Wire::new(), |wire, key| wire.message(1, Wire::new().varint(1, key * 7919 % 99_991)));
    check_refused(&plan("cases.v1.Maps", &defaults), &keys, 8);
    let values = (0..1000).fold(Wire::new(), |wire, key| {
        wire.message(
            13,
            Wire::new().string(1, &format!("{key:04}")).message(2, Wire::new().string(2, &"x".repeat(500))),
        )
    });
    check_refused(&plan("cases.v1.Maps", &defaults), &values, 8);
}

#[test]
fn nested_and_unordered_messages_stop_at_the_limit() {
    let defaults = with_defaults();
    let inner = fill(MIB, &Wire::new().bytes(3, b""));
    let nested = (0..90).fold(inner.clone(), |wire, _| Wire::new().message(3, wire));
    check_refused(&plan("cases.v1.Lists", &defaults), &nested, 8);
    check_refused(&plan("cases.v1.Lists", &defaults), &inner.varint(1, 1).message(3, Wire::new()), 16);
    let any = Wire::new().string(1, "t/cases.v1.Lists").message(2, nested);
    check_refused(&plan("google.protobuf.Any", &defaults), &any, 8);
}

#[test]
fn structs_and_lists_stop_at_the_limit() {
    let canonical = Options::default();
    let list = fill(MIB, &Wire::new().message(1, Wire::new().varint(4, 0)));
    check_refused(&plan("google.protobuf.ListValue", &canonical), &list, 8);
    let parts = Wire::new().message(6, list.clone()).message(6, list);
    check_refused(&plan("google.protobuf.Value", &canonical), &parts, 8);
}

#[test]
fn a_split_message_is_not_copied_at_each_level() {
    let bottom = Wire::new().string(3, &"x".repeat(MIB));
    // Each level holds a list of one value in two parts.
    let wire = (0..45).fold(bottom, |wire, _| {
        Wire::new().message(6, Wire::new().message(1, wire)).message(6, Wire::new().varint(99, 1))
    });
    let (json, peak) =
        memory::peak_of(|| within(&plan("google.protobuf.Value", &Options::default()), 2 * MIB, &wire.0).0);
    assert!(json.unwrap().starts_with(b"[[[[["));
    assert!(peak < 6 * MIB, "a peak of {peak} bytes");
}

#[test]
fn replaced_output_does_not_count() {
    let canonical = Options::default();
    // The last of many equal keys stays, in a peak of memory that does not depend on their number.
    let entry = Wire::new().message(12, Wire::new().string(1, "key").string(2, &"x".repeat(100)));
    let (maps, wire) = (plan("cases.v1.Maps", &canonical), fill(4 * MIB, &entry));
    let ((json, _), peak) = memory::peak_of(|| within(&maps, KIB, &wire.0));
    assert_eq!(json.unwrap().len(), r#"{"strings":{"key":""}}"#.len() + 100);
    assert!(peak < MIB, "a peak of {peak} bytes");
    // The last value of a field stays.
    let text = Wire::new().string(2, &"x".repeat(10 * KIB)).string(2, "short");
    let (json, _) = within(&plan("cases.v1.Presence", &canonical), KIB, &text.0);
    assert_eq!(json.unwrap(), br#"{"text":"short"}"#);
}

#[test]
fn a_hidden_value_does_not_count() {
    let mut options = with_defaults();
    options.drop = vec!["text".to_owned(), "inner".to_owned()];
    let tapped = plan("cases.v1.Presence", &options).with_tap("text").unwrap().with_tap("inner.text").unwrap();
    let text = "x".repeat(10 * KIB);
    let wire = Wire::new().string(2, &text).message(6, Wire::new().string(2, &text)).varint(8, 1);
    let (json, taps) = within(&tapped, 30, &wire.0);
    assert_eq!(json.unwrap(), br#"{"a":1,"plain":false}"#);
    assert_eq!((taps.get(0), taps.get(1)), (Some(&*text), Some(&*text)));
}

#[test]
fn taps_have_their_values_even_if_the_json_is_too_large() {
    let tapped = plan("cases.v1.Presence", &Options::default())
        .with_tap("number")
        .unwrap()
        .with_tap("inner.text")
        .unwrap()
        .with_tap("b")
        .unwrap();
    let inner = Wire::new().string(2, "in\"ner").message(6, Wire::new().string(2, "deeper"));
    let wire = Wire::new().varint(1, 7).string(2, &"x".repeat(10 * KIB)).message(6, inner).string(9, "member");
    let (json, taps) = within(&tapped, KIB, &wire.0);
    assert_eq!(json.unwrap_err().kind(), ErrorKind::OverLimit);
    assert_eq!([taps.get(0), taps.get(1), taps.get(2)], [Some("7"), Some("in\"ner"), Some("member")]);
}
