//! Measures the longest processor time that one payload takes, and prints a Markdown table: `cargo bench -p protojson --bench
//! worst`.
//!
//! Each payload has 4 MiB, the default of `envelope.max_payload_bytes` in protobridge, and each is built to be expensive
//! per byte. The limit of the JSON is 256 KiB. A payload that exceeds the limit is read up to three times: in order, in
//! careful mode, and for its taps.

#[path = "../tests/support/wire.rs"]
mod wire;

use std::hint::black_box;
use std::time::Duration;

use prost::Message as _;
use protojson::{Options, Plan, Schema, Taps};

use wire::Wire;

const PAYLOAD: usize = 4 << 20;
const LIMIT: usize = 256 << 10;

fn main() {
    // `cargo test --benches` also runs this program.
    let is_bench = std::env::args().any(|argument| argument == "--bench");
    if is_bench {
        println!("| payload of {PAYLOAD} bytes | result | ms | ns per byte |\n|---|---|--:|--:|");
    }
    for (name, plan, wire) in payloads() {
        let (elapsed, result) = time(&plan, &wire.0);
        if is_bench {
            let nanos = elapsed.as_nanos() as f64 / wire.0.len() as f64;
            println!("| {name} | {result} | {:.1} | {nanos:.1} |", elapsed.as_secs_f64() * 1e3);
        }
    }
}

/// Returns the best of three times, and the outcome as text.
fn time(plan: &Plan, wire: &[u8]) -> (Duration, String) {
    let mut json = Vec::new();
    let mut taps = Taps::new();
    let mut run = || {
        json.clear();
        let start = processor_time();
        let result = plan.transcode_tapped_within(LIMIT, black_box(wire), &mut json, &mut taps);
        let result = result.map(|()| json.len());
        (
            processor_time() - start,
            result.map_or_else(|error| format!("{:?}", error.kind()), |length| format!("{length} bytes")),
        )
    };
    (0..3).map(|_| run()).min().expect("there are three runs")
}

/// Returns the processor time of this thread, which does not depend on the load of the machine.
fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(time).expect("the time is positive")
}

/// Fills a payload with records of a growing index.
fn fill(record: impl Fn(u64) -> Wire) -> Wire {
    let mut wire = Wire(Vec::with_capacity(PAYLOAD + 1024));
    let mut index = 0;
    while wire.0.len() < PAYLOAD {
        wire.0.extend_from_slice(&record(index).0);
        index += 1;
    }
    wire
}

/// Returns an index in an order that keys do not have.
fn shuffled(index: u64, count: u64) -> u64 {
    index * 7919 % count
}

fn payloads() -> Vec<(&'static str, Plan, Wire)> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/proto");
    let set = protox::compile(["cases.proto", "cases2.proto"], [root]).expect("the schema compiles");
    let schema = Schema::builder().set("cases.binpb", &set.encode_to_vec()).expect("the set loads");
    let schema = schema.build().expect("the set links");
    let canonical = Options::default();
    let mut defaults = Options::default();
    defaults.emit_defaults = true;
    let mut dropped = Options::default();
    dropped.drop = ["text", "inner", "numbers", "inner.text"].map(str::to_owned).to_vec();
    let plan = |name: &str, options: &Options| schema.plan(name, options).expect("the type exists");
    let tapped = |name: &str, options: &Options, tap: &str| plan(name, options).with_tap(tap).expect("the tap exists");
    let nested = |levels: usize, inside: Wire| (0..levels).fold(inside, |wire, _| Wire::new().message(3, wire));
    let deep = || fill(|_| nested(90, Wire::new()));
    let empty = |number| fill(move |_| Wire::new().bytes(number, b""));
    let any = |content: Wire| Wire::new().string(1, "t/cases.v1.Deep").message(2, content);
    vec![
        ("empty messages", plan("cases.v1.Lists", &canonical), empty(3)),
        ("empty messages, defaults", plan("cases.v1.Lists", &defaults), empty(3)),
        ("empty messages in disorder", plan("cases.v1.Lists", &canonical), empty(3).varint(1, 1).bytes(3, b"")),
        ("unknown varints", plan("cases.v1.Lists", &canonical), fill(|_| Wire::new().varint(99, 1))),
        ("unknown one-byte fields", plan("cases.v1.Lists", &canonical), empty(15)),
        ("unknown groups", plan("cases.v1.Lists", &canonical), fill(|_| Wire::new().group(15, Wire::new()))),
        (
            "unknown groups, nested",
            plan("cases.v1.Deep", &canonical),
            fill(|_| (0..90).fold(Wire::new(), |wire, _| Wire::new().group(15, wire))),
        ),
        ("packed varints", plan("cases.v1.Lists", &canonical), Wire::new().bytes(1, &vec![1; PAYLOAD])),
        ("packed enums", plan("cases.v1.Lists", &canonical), Wire::new().bytes(4, &vec![1; PAYLOAD])),
        ("packed varints, dropped", plan("cases.v1.Lists", &dropped), fill(|_| Wire::new().varint(1, 1))),
        ("messages 90 deep", plan("cases.v1.Deep", &canonical), deep()),
        (
            "messages 90 deep, replaced",
            plan("cases.v1.Presence", &canonical),
            fill(|_| {
                Wire::new().message(10, (0..80).fold(Wire::new(), |wire, _| Wire::new().message(6, wire))).varint(8, 1)
            }),
        ),
        (
            "one message in many parts",
            plan("cases.v1.Deep", &canonical),
            fill(|_| Wire::new().message(1, Wire::new().varint(2, 1))),
        ),
        (
            "parts at each of 90 levels",
            plan("cases.v1.Deep", &canonical),
            (0..90).fold(fill(|_| Wire::new().varint(2, 1)), |wire, _| Wire::new().varint(2, 1).message(1, wire)),
        ),
        ("a scalar many times", tapped("cases.v1.Presence", &canonical, "number"), fill(|_| Wire::new().varint(1, 1))),
        (
            "a dropped message many times",
            tapped("cases.v1.Presence", &dropped, "inner.number"),
            fill(|_| Wire::new().message(6, Wire::new().varint(1, 1))),
        ),
        (
            "oneof members in turn",
            plan("cases.v1.Presence", &canonical),
            fill(|_| Wire::new().varint(8, 1).message(10, Wire::new())),
        ),
        ("map entries, empty", plan("cases.v1.Maps", &defaults), empty(13)),
        (
            "map entries, one key",
            plan("cases.v1.Maps", &defaults),
            fill(|_| Wire::new().message(13, Wire::new().string(1, "k").bytes(2, b""))),
        ),
        (
            "map entries, 20000 keys",
            plan("cases.v1.Maps", &canonical),
            fill(|index| Wire::new().message(1, Wire::new().varint(1, shuffled(index, 20_011)))),
        ),
        (
            "map entries, new keys",
            plan("cases.v1.Maps", &canonical),
            fill(|index| Wire::new().message(1, Wire::new().varint(1, shuffled(index, 999_983)))),
        ),
        (
            "map entries, keys with a long common start",
            plan("cases.v1.Maps", &canonical),
            fill(|index| {
                let key = format!("{}{:05}", "x".repeat(300), shuffled(index, 797));
                Wire::new().message(12, Wire::new().string(1, &key))
            }),
        ),
        (
            "Struct, one key",
            plan("google.protobuf.Struct", &canonical),
            fill(|_| Wire::new().message(1, Wire::new().bytes(2, b""))),
        ),
        (
            "a Value many times",
            plan("google.protobuf.Value", &canonical),
            fill(|_| Wire::new().message(6, Wire::new())),
        ),
        (
            "a Value in parts at each of 45 levels",
            plan("google.protobuf.Value", &canonical),
            (0..45).fold(fill(|_| Wire::new().varint(99, 1)), |wire, _| {
                Wire::new().message(6, Wire::new().message(1, wire)).message(6, Wire::new().varint(99, 1))
            }),
        ),
        ("Anys", plan("cases.v1.WellKnown", &canonical), fill(|_| Wire::new().message(18, any(Wire::new())))),
        (
            "an Any 40 deep",
            plan("cases.v1.Deep", &canonical),
            (0..40).fold(fill(|_| Wire::new().varint(99, 1)), |wire, _| Wire::new().message(6, any(wire))),
        ),
        (
            "text of control characters",
            plan("cases.v1.Scalars", &canonical),
            Wire::new().string(14, &"\u{1}".repeat(PAYLOAD)),
        ),
        (
            "a tapped text that is too large",
            tapped("cases.v1.Presence", &canonical, "text"),
            Wire::new().string(2, &"\u{1}".repeat(PAYLOAD)),
        ),
    ]
}
