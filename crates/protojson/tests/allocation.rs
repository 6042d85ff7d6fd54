//! With a reused buffer, transcoding a payload whose fields are in order allocates no memory.

#![allow(clippy::unwrap_used, reason = "a panic fails the test")]
#![allow(unsafe_code, reason = "declaring a counting global allocator requires unsafe code")]

use prost::Message as _;
use protojson::{Options, Plan, Schema, Taps};

#[path = "../corpus/corpus.rs"]
mod corpus;
#[path = "support/memory.rs"]
mod memory;
#[path = "support/wire.rs"]
mod wire;

use wire::Wire;

#[global_allocator]
static ALLOCATOR: memory::Counting = memory::Counting;

/// Returns the number of allocations in a second run. The first run can allocate the memory that is reused.
fn requests_of(mut run: impl FnMut()) -> usize {
    run();
    let before = memory::requests();
    run();
    memory::requests() - before
}

fn plan(message_type: &str) -> Plan {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/proto");
    let set = protox::compile(["cases.proto", "cases2.proto"], [root]).unwrap();
    let schema = Schema::builder().set("cases.binpb", &set.encode_to_vec()).unwrap().build().unwrap();
    schema.plan(message_type, &Options::default()).unwrap()
}

#[track_caller]
fn check(plan: &Plan, wire: &Wire) {
    let (mut json, mut taps) = (Vec::new(), Taps::new());
    let plain = requests_of(|| {
        json.clear();
        plan.transcode(&wire.0, &mut json).unwrap();
    });
    assert_eq!(plain, 0, "{}", String::from_utf8_lossy(&json));
    let tapped = requests_of(|| {
        json.clear();
        plan.transcode_tapped(&wire.0, &mut json, &mut taps).unwrap();
    });
    assert_eq!(tapped, 0, "with taps: {}", String::from_utf8_lossy(&json));
}

#[test]
fn scalars_strings_and_bytes_allocate_nothing() {
    let wire = Wire::new()
        .double(1, 1.5e300)
        .float(2, f32::NAN)
        .signed(3, -1)
        .varint(6, u64::MAX)
        .zigzag(8, i64::MIN)
        .fixed64(10, 1)
        .varint(13, 1)
        .string(14, &"grüße \"\u{ffff}\"\n".repeat(50))
        .bytes(15, &[7; 1000])
        .varint(16, 1000);
    check(&plan("cases.v1.Scalars"), &wire);
}

#[test]
fn nested_messages_and_lists_allocate_nothing() {
    let inner = Wire::new().packed(1, &[1, 2, 3]).string(2, "a").string(2, "b").packed(4, &[0, 1, 99]);
    let wire = (0..40).fold(inner, |wire, _| Wire::new().packed(1, &[1]).message(3, wire));
    check(&plan("cases.v1.Lists"), &wire.message(9, Wire::new().varint(1, 1).varint(2, 5)));
}

#[test]
fn sorted_and_unsorted_maps_allocate_nothing() {
    let entry = |key: &str| Wire::new().string(1, key).string(2, "value");
    check(&plan("cases.v1.Maps"), &["a", "b", "c"].iter().fold(Wire::new(), |wire, key| wire.message(12, entry(key))));
    check(&plan("cases.v1.Maps"), &["c", "a", "b"].iter().fold(Wire::new(), |wire, key| wire.message(12, entry(key))));
}

#[test]
fn well_known_types_allocate_nothing() {
    let value = |value| Wire::new().message(2, Wire::new().double(2, value));
    let wire = Wire::new()
        .message(1, Wire::new().varint(1, 1_767_323_045).varint(2, 600_000_000))
        .message(2, Wire::new().varint(1, 1).varint(2, 5))
        .message(3, Wire::new().string(1, "foo_bar"))
        .message(4, Wire::new().message(1, value(1.0)))
        .message(5, Wire::new().string(3, "x"))
        .message(8, Wire::new().string(1, "t/cases.v1.Presence").message(2, Wire::new().varint(1, 1)))
        .message(16, Wire::new().string(1, "x"));
    check(&plan("cases.v1.WellKnown"), &wire);
}

#[test]
fn groups_and_extensions_allocate_nothing() {
    let wire = Wire::new().group(5, Wire::new().varint(1, 1).string(2, "x")).string(100, "label");
    check(&plan("cases.v2.Legacy"), &wire);
}

#[test]
fn taps_allocate_nothing() {
    let plan = ["number", "text", "inner.text", "inner.inner.number", "b"]
        .iter()
        .fold(plan("cases.v1.Presence"), |plan, path| plan.with_tap(path).unwrap());
    let innermost = Wire::new().varint(1, 7);
    let wire = Wire::new()
        .varint(1, 1)
        .string(2, "x")
        .message(6, Wire::new().string(2, "y").message(6, innermost))
        .string(9, "member");
    check(&plan, &wire);
}

#[test]
fn the_corpus_in_order_allocates_nothing() {
    let schema = Schema::builder().set("corpus.binpb", corpus::DESCRIPTOR_SET).unwrap().build().unwrap();
    // Shuffled payloads are excluded, because sorting their records can allocate.
    for set in corpus::sets().iter().filter(|set| !set.name.ends_with("shuf")) {
        let plan = schema.plan(set.message_type, &Options::default()).unwrap();
        for payload in &set.payloads {
            check(&plan, &Wire(payload.to_vec()));
        }
    }
}
