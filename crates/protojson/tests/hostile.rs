//! Payloads and schemas that are built to be expensive must cost time and memory in proportion to their size.
//!
//! Time is only compared with the time of a smaller payload of the same structure. If the size grows by four, the time
//! must grow by less than eight. Quadratic cost would make it grow by sixteen.

#![allow(clippy::unwrap_used, reason = "a panic fails the test")]
#![allow(unsafe_code, reason = "declaring a counting global allocator requires unsafe code")]

use std::sync::LazyLock;
use std::time::Duration;

use prost::Message as _;
use protojson::{ErrorKind, Options, Plan, Schema, SchemaErrorKind};

#[path = "support/memory.rs"]
mod memory;
#[path = "support/wire.rs"]
mod wire;

use wire::Wire;

#[global_allocator]
static ALLOCATOR: memory::Counting = memory::Counting;

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/proto");
    let set = protox::compile(["cases.proto", "cases2.proto"], [root]).unwrap();
    Schema::builder().set("cases.binpb", &set.encode_to_vec()).unwrap().build().unwrap()
});

const DEEP: &str = "cases.v1.Deep";
const MIB: usize = 1 << 20;

fn plan(message_type: &str) -> Plan {
    SCHEMA.plan(message_type, &Options::default()).unwrap()
}

fn refusal(message_type: &str, wire: &[u8]) -> ErrorKind {
    plan(message_type).transcode(wire, &mut Vec::new()).expect_err("the payload must be refused").kind()
}

fn time(plan: &Plan, wire: &Wire) -> Duration {
    let mut json = Vec::new();
    let run = |_| {
        json.clear();
        let start = processor_time();
        // Only the time counts here, not whether the payload is refused.
        let _ = plan.transcode(&wire.0, &mut json);
        processor_time() - start
    };
    (0..3).map(run).min().unwrap()
}

/// Returns the processor time of this thread, which does not depend on the load of the machine.
fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap()
}

/// Asserts that payloads of this structure cost time in proportion to their size, and little memory beyond it. `make`
/// gets a number that the size of the payload is proportional to.
#[track_caller]
fn check_growth(message_type: &str, size: usize, make: impl Fn(usize) -> Wire) {
    // The index of a message with records out of order takes 8 bytes per record, and a record can have 2 bytes.
    check_growth_of(&plan(message_type), size, 16, make);
}

#[track_caller]
fn check_growth_of(plan: &Plan, size: usize, memory_factor: usize, make: impl Fn(usize) -> Wire) {
    let (small, large) = (make(size), make(4 * size));
    let growth = large.0.len() as f64 / small.0.len() as f64;
    assert!((3.5..4.5).contains(&growth), "the payload grows by {growth}");
    // Other processes still compete for the caches, so the best time of each payload counts.
    let (mut best_small, mut best_large) = (Duration::MAX, Duration::MAX);
    for _ in 0..40 {
        best_small = best_small.min(time(plan, &small));
        best_large = best_large.min(time(plan, &large));
        if best_large < 8 * best_small {
            break;
        }
    }
    assert!(
        best_large < 8 * best_small,
        "four times the size takes {best_large:?}; the smaller payload takes {best_small:?}"
    );
    let (json, peak) = memory::peak_of(|| {
        let mut json = Vec::new();
        plan.transcode(&large.0, &mut json).map(|()| json.len())
    });
    let (payload, json) = (large.0.len(), json.unwrap_or(0));
    let allowed = 64 * 1024 + memory_factor * payload + 3 * json;
    assert!(peak < allowed, "{payload} bytes of payload and {json} bytes of JSON used {peak} bytes of memory");
}

/// Wraps `inside` in `levels` levels of `wrap`.
fn nest(levels: usize, inside: Wire, wrap: impl Fn(Wire) -> Wire) -> Wire {
    (0..levels).fold(inside, |wire, _| wrap(wire))
}

fn repeat(count: usize, record: impl Fn(usize) -> Wire) -> Wire {
    (0..count).fold(Wire::new(), |wire, index| wire.raw(&record(index).0))
}

/// Returns an index in an order that neither fields nor keys have.
fn shuffled(index: usize, count: usize) -> usize {
    index * 7919 % count
}

#[test]
fn sixty_four_mebibytes_of_start_group_tags_are_refused_at_once() {
    assert_eq!(refusal(DEEP, &vec![99 << 3 & 0x7f | 3; 64 * MIB]), ErrorKind::TooDeep);
    assert_eq!(refusal("cases.v2.Legacy", &vec![5 << 3 | 3; 64 * MIB]), ErrorKind::TooDeep);
}

#[test]
fn many_small_groups_cost_linear_time() {
    check_growth(DEEP, 64 * 1024, |size| repeat(size, |_| Wire::new().group(9, Wire::new())));
    check_growth("cases.v2.Legacy", 32 * 1024, |size| repeat(size, |_| Wire::new().group(6, Wire::new())));
}

#[test]
fn lengths_near_64_bits_are_refused_without_allocating() {
    for length in [u64::MAX, u64::MAX - 9, 1 << 63, u64::from(u32::MAX)] {
        for number in [1, 3, 4, 5, 6, 7, 99] {
            let mut wire = Wire::new().tag(number, 2);
            wire::put_varint(&mut wire.0, length);
            assert_eq!(refusal(DEEP, &wire.0), ErrorKind::Malformed);
            assert_eq!(refusal(DEEP, &Wire::new().message(1, wire.clone()).0), ErrorKind::Malformed);
            let (_, peak) = memory::peak_of(|| refusal(DEEP, &wire.0));
            assert!(peak < MIB, "{peak} bytes");
        }
    }
}

#[test]
fn ten_thousand_entries_with_one_key_cost_linear_time() {
    let entry = |index: usize| Wire::new().message(1, Wire::new().varint(1, 7).varint(2, index as u64));
    let mut json = Vec::new();
    plan("cases.v1.Maps").transcode(&repeat(10_000, entry).0, &mut json).unwrap();
    assert_eq!(json, br#"{"int32s":{"7":9999}}"#);
    check_growth("cases.v1.Maps", 10_000, |size| repeat(size, entry));
}

#[test]
fn shuffled_map_keys_cost_linear_time() {
    check_growth("cases.v1.Maps", 25_000, |size| {
        repeat(size, |index| Wire::new().message(4, Wire::new().varint(1, 1 << 30 | shuffled(index, size) as u64)))
    });
    check_growth("cases.v1.Maps", 10_000, |size| {
        repeat(size, |index| {
            Wire::new().message(12, Wire::new().string(1, &format!("a common start {:08}", shuffled(index, size))))
        })
    });
}

#[test]
fn map_entries_between_other_fields_cost_linear_time() {
    check_growth("cases.v1.Maps", 10_000, |size| {
        repeat(size, |index| {
            Wire::new()
                .message(4, Wire::new().varint(1, 1 << 30 | shuffled(index, size) as u64))
                .message(1, Wire::new())
        })
    });
}

#[test]
fn alternating_repeated_fields_cost_linear_time() {
    check_growth("cases.v1.Lists", 20_000, |size| {
        repeat(size, |_| Wire::new().varint(1, 1).string(2, "x").message(3, Wire::new()))
    });
}

#[test]
fn alternating_oneof_members_cost_linear_time() {
    check_growth("cases.v1.Presence", 20_000, |size| {
        repeat(size, |_| Wire::new().varint(8, 1).message(10, Wire::new().varint(1, 1)))
    });
}

#[test]
fn a_message_in_many_parts_costs_linear_time() {
    check_growth(DEEP, 20_000, |size| repeat(size, |_| Wire::new().message(1, Wire::new().varint(2, 1))));
    check_growth("cases.v2.Legacy", 20_000, |size| repeat(size, |_| Wire::new().group(5, Wire::new().varint(1, 1))));
}

/// Returns the innermost message; its size is proportional to `size`.
fn bottom(size: usize) -> Wire {
    repeat(size, |_| Wire::new().message(3, Wire::new().varint(2, 1)))
}

#[test]
fn disorder_at_every_level_costs_linear_time() {
    check_growth(DEEP, 4_000, |size| nest(90, bottom(size), |wire| Wire::new().message(3, wire).varint(2, 1)));
    check_growth(DEEP, 4_000, |size| nest(90, bottom(size), |wire| Wire::new().varint(2, 1).message(1, wire)));
}

#[test]
fn disorder_at_every_level_costs_one_constant_factor_in_total() {
    let plan = plan(DEEP);
    let tidy = nest(90, bottom(40_000), |wire| Wire::new().varint(2, 1).message(3, wire));
    let untidy = nest(90, bottom(40_000), |wire| Wire::new().message(3, wire).varint(2, 1));
    let ratio = || time(&plan, &untidy).as_secs_f64() / time(&plan, &tidy).as_secs_f64();
    let best = (0..16).map(|_| ratio()).find(|ratio| *ratio < 12.0);
    assert!(best.is_some(), "the payload in disorder takes {} times as long as the one in order", ratio());
}

#[test]
fn parts_at_every_level_cost_linear_time() {
    check_growth(DEEP, 2_000, |size| {
        nest(90, bottom(size), |wire| Wire::new().message(1, Wire::new()).message(1, wire))
    });
}

/// Returns the plan of an edition 2023 schema in which every message is a group: `G { G child = 1; int32 level = 2; }`.
fn groups() -> Plan {
    let field = |name: &str, number, kind| Wire::new().string(1, name).varint(3, number).varint(4, 1).varint(5, kind);
    let message =
        Wire::new().string(1, "G").message(2, field("child", 1, 11).string(6, ".G")).message(2, field("level", 2, 5));
    let features = Wire::new().message(50, Wire::new().varint(5, 2));
    let file = Wire::new().string(1, "g.proto").message(4, message).message(8, features).string(12, "editions");
    link(&[file.varint(14, 1000)]).unwrap().plan("G", &Options::default()).unwrap()
}

#[test]
fn groups_in_disorder_at_every_level_cost_linear_time() {
    let bottom = |size| repeat(size, |_| Wire::new().varint(9, 1));
    check_growth_of(&groups(), 8_000, 16, |size| {
        nest(90, bottom(size), |wire| Wire::new().varint(2, 1).group(1, wire))
    });
}

#[test]
fn groups_in_parts_at_every_level_cost_linear_time() {
    let bottom = |size| repeat(size, |_| Wire::new().varint(9, 1));
    check_growth_of(&groups(), 8_000, 16, |size| {
        nest(90, bottom(size), |wire| Wire::new().group(1, Wire::new()).group(1, wire))
    });
}

#[test]
fn maps_in_disorder_at_every_level_cost_linear_time() {
    check_growth(DEEP, 4_000, |size| {
        nest(90, bottom(size), |wire| {
            let entry = |key, value| Wire::new().message(4, Wire::new().string(1, key).message(2, value));
            entry("b", wire).raw(&entry("a", Wire::new()).0)
        })
    });
}

#[test]
fn values_in_parts_at_every_level_cost_linear_time() {
    let bottom = |size| repeat(size, |_| Wire::new().message(1, Wire::new().varint(4, 1)));
    check_growth("google.protobuf.ListValue", 4_000, |size| {
        nest(40, bottom(size), |wire| {
            Wire::new().message(1, Wire::new().varint(4, 1).message(6, Wire::new()).message(6, wire))
        })
    });
}

#[test]
fn replaced_values_at_every_level_cost_linear_time() {
    let bottom = |size| repeat(size, |_| Wire::new().message(1, Wire::new().varint(4, 1)));
    check_growth("google.protobuf.ListValue", 4_000, |size| {
        nest(40, bottom(size), |wire| Wire::new().message(1, Wire::new().message(6, wire).varint(4, 1)))
    });
}

#[test]
fn nested_anys_are_refused_beyond_the_depth_limit_and_cost_linear_time() {
    let wrap = |wire| Wire::new().string(1, "t/google.protobuf.Any").message(2, wire);
    assert_eq!(refusal("google.protobuf.Any", &nest(5_000, Wire::new(), wrap).0), ErrorKind::TooDeep);
    let reversed = |wire| Wire::new().message(2, wire).string(1, "t/google.protobuf.Any");
    assert_eq!(refusal("google.protobuf.Any", &nest(5_000, Wire::new(), reversed).0), ErrorKind::TooDeep);
    let deep = |wire| Wire::new().message(6, Wire::new().message(2, wire).string(1, "t/cases.v1.Deep")).varint(2, 1);
    check_growth(DEEP, 4_000, |size| nest(45, bottom(size), deep));
}

#[test]
fn payloads_over_the_limit_cost_linear_time() {
    let mut defaults = Options::default();
    defaults.emit_defaults = true;
    let in_disorder = |size, record: Wire| Wire::new().varint(8, 1).raw(&repeat(size, |_| record.clone()).0);
    let entry = |index: usize| Wire::new().message(1, Wire::new().varint(1, shuffled(index, 999_983) as u64));
    for (message_type, make) in [
        ("cases.v1.Lists", &(|size| in_disorder(size, Wire::new().bytes(3, b""))) as &dyn Fn(usize) -> Wire),
        ("cases.v1.Maps", &|size| repeat(size, entry)),
        ("cases.v1.Maps", &|size| repeat(size, |index| entry(index % 2_000))),
    ] {
        let (plan, small, large) = (SCHEMA.plan(message_type, &defaults).unwrap(), make(30_000), make(120_000));
        let time = |wire: &Wire| {
            let start = processor_time();
            let _ = plan.transcode_within(64 * 1024, &wire.0, &mut Vec::new());
            processor_time() - start
        };
        let best = |wire: &Wire| (0..20).map(|_| time(wire)).min().unwrap();
        let (best_small, best_large) = (best(&small), best(&large));
        assert!(best_large < 8 * best_small, "{message_type}: {best_large:?} and {best_small:?}");
    }
}

#[test]
fn a_late_failure_costs_linear_time() {
    let late = || {
        Wire::new().message(
            8,
            Wire::new().string(1, "t/google.protobuf.Timestamp").message(2, Wire::new().signed(1, -1 << 40)),
        )
    };
    check_growth("cases.v1.WellKnown", 8_000, |size| {
        repeat(size, |_| Wire::new().message(18, Wire::new())).raw(&late().0)
    });
}

#[test]
fn memory_is_freed_after_a_large_payload() {
    let plan = plan("cases.v1.Lists");
    let wire = repeat(300_000, |_| Wire::new().varint(1, 1).string(2, "x"));
    let before = memory::live();
    plan.transcode(&wire.0, &mut Vec::new()).unwrap();
    let kept = memory::live() - before;
    assert!(kept < MIB as isize, "{kept} bytes are still in use");
}

/// Returns a FileDescriptorProto.
fn file(name: &str, imports: &[&str]) -> Wire {
    imports.iter().fold(Wire::new().string(1, name).string(12, "proto3"), |file, import| file.string(3, import))
}

fn link(files: &[Wire]) -> Result<Schema, protojson::SchemaError> {
    let set = files.iter().fold(Wire::new(), |set, file| set.message(1, file.clone()));
    Schema::builder().set("hostile.binpb", &set.0)?.build()
}

#[test]
fn files_that_import_each_other_link_or_are_refused() {
    for files in [
        vec![file("a.proto", &["a.proto"])],
        vec![file("a.proto", &["b.proto"]), file("b.proto", &["a.proto"])],
        vec![file("a.proto", &["b.proto"]), file("b.proto", &["c.proto"]), file("c.proto", &["a.proto"])],
    ] {
        let with_message = |file: Wire| file.message(4, Wire::new().string(1, "M"));
        let mut files: Vec<Wire> = files;
        let first = files.remove(0);
        files.insert(0, with_message(first));
        // protoc refuses these files. Either result is fine here, as long as linking ends.
        match link(&files) {
            Ok(schema) => assert!(schema.contains("M")),
            Err(error) => assert_eq!(error.kind(), SchemaErrorKind::Unlinkable),
        }
    }
}

#[test]
fn types_that_contain_each_other_are_compiled_once() {
    const TYPES: usize = 200;
    let mut all = file("a.proto", &[]);
    for index in 0..TYPES {
        let mut message = Wire::new().string(1, &format!("T{index}"));
        for (number, other) in (0..TYPES).step_by(7).enumerate() {
            let field = Wire::new().string(1, &format!("f{number}")).varint(3, number as u64 + 1).varint(4, 1);
            message = message.message(2, field.varint(5, 11).string(6, &format!(".T{other}")));
        }
        all = all.message(4, message);
    }
    let (plan, peak) = memory::peak_of(|| link(&[all]).unwrap().plan("T0", &Options::default()).unwrap());
    assert!(peak < 64 * MIB, "{peak} bytes");
    let mut json = Vec::new();
    plan.transcode(&nest(100, Wire::new(), |wire| Wire::new().message(1, wire)).0, &mut json).unwrap();
    assert!(json.starts_with(br#"{"f0":{"f0":"#));
}

#[test]
fn twenty_thousand_nested_types_are_refused() {
    let message = nest(20_000, Wire::new().string(1, "M"), |wire| Wire::new().string(1, "M").message(3, wire));
    assert_eq!(link(&[file("a.proto", &[]).message(4, message)]).unwrap_err().kind(), SchemaErrorKind::Unreadable);
}
