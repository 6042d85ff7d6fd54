//! A schema takes memory in proportion to its set on disk, at rest and while it is linked, however many types it has.

#![allow(clippy::unwrap_used, reason = "a panic fails the test")]
#![allow(unsafe_code, reason = "declaring a counting global allocator requires unsafe code")]

use protojson::{Options, Schema};

#[path = "support/memory.rs"]
mod memory;
#[path = "support/wire.rs"]
mod wire;

use wire::Wire;

#[global_allocator]
static ALLOCATOR: memory::Counting = memory::Counting;

const TYPES: usize = 2_000;

/// Returns a field `name = number` of type `kind`, as numbered in descriptor.proto.
fn field(name: &str, number: u64, kind: u64) -> Wire {
    Wire::new().string(1, name).varint(3, number).varint(4, 1).varint(5, kind)
}

/// Returns a SourceCodeInfo with a comment for a message and for each of its fields.
fn source_info(messages: usize, fields: usize) -> Wire {
    let location = |path: &[u8], comment: &str| {
        Wire::new().bytes(1, path).bytes(2, &[1, 2, 3, 4]).string(3, &format!(" {comment} of this element.\n"))
    };
    let mut info = Wire::new();
    for message in 0..messages as u8 {
        info = info.message(1, location(&[4, message], "The description"));
        for field in 0..fields as u8 {
            info = info.message(1, location(&[4, message, 2, field], "The description"));
            // A compiler also records the places of the name, the type and the number.
            for part in [1, 3, 5] {
                let place = Wire::new().bytes(1, &[4, message, 2, field, part]).bytes(2, &[1, 2, 3, 4]);
                info = info.message(1, place);
            }
        }
    }
    info
}

/// Returns a set of `TYPES` types in files of 10 types that import each other, like those of a large API.
fn generated(with_source_info: bool) -> Vec<u8> {
    let mut set = Wire::new();
    for file in 0..TYPES / 10 {
        let mut wire =
            Wire::new().string(1, &format!("api/v1/file{file}.proto")).string(2, "example.api.v1").string(12, "proto3");
        if file > 0 {
            wire = wire.string(3, &format!("api/v1/file{}.proto", file - 1));
        }
        for message in 0..10 {
            let mut declared = Wire::new().string(1, &format!("CreateResourceRequest{file}x{message}"));
            for number in 1..=6 {
                declared = declared.message(2, field(&format!("resource_name_{number}"), number, 9));
            }
            let other = if file > 0 { file - 1 } else { file };
            let inner = field("inner", 7, 11).string(6, &format!(".example.api.v1.CreateResourceRequest{other}x0"));
            wire = wire.message(4, declared.message(2, inner));
        }
        set = set.message(1, if with_source_info { wire.message(9, source_info(10, 7)) } else { wire });
    }
    set.0
}

fn link(set: &[u8]) -> Schema {
    Schema::builder().set("generated.binpb", set).unwrap().build().unwrap()
}

#[test]
fn a_schema_takes_about_as_much_memory_as_its_set_has_bytes() {
    // Links the built-in types, which are in memory once per process.
    drop(link(&generated(false)[..]));
    for (with_source_info, at_rest, peak) in [(false, 1.9, 2.8), (true, 1.0, 1.25)] {
        let set = generated(with_source_info);
        let before = memory::live();
        let (schema, highest) = memory::peak_of(|| link(&set));
        let live = memory::live() - before;
        assert_eq!(schema.messages().filter(|(name, _)| name.starts_with("example.")).count(), TYPES);
        let factor = |bytes: f64| bytes / set.len() as f64;
        let (live, highest) = (factor(live as f64), factor(highest as f64));
        assert!(live < at_rest, "with source info {with_source_info}: {live:.2} times the size of the set");
        assert!(
            highest < peak,
            "with source info {with_source_info}: {highest:.2} times the size of the set at the peak"
        );
        let per_type = live * set.len() as f64 / TYPES as f64;
        assert!(with_source_info || per_type < 700.0, "{per_type} bytes per type");
    }
}

#[test]
fn a_plan_takes_memory_only_for_the_types_that_it_can_reach() {
    let set = generated(false);
    let schema = link(&set);
    let before = memory::live();
    let plan = schema.plan("example.api.v1.CreateResourceRequest5x3", &Options::default()).unwrap();
    let live = memory::live() - before;
    assert!(live < 32 * 1024, "{live} bytes");
    drop(plan);
    assert_eq!(memory::live(), before, "the schema keeps no part of a plan");
}

#[test]
fn a_schema_returns_all_of_its_memory() {
    let set = generated(true);
    drop(link(&set));
    let before = memory::live();
    let schema = link(&set);
    schema.plan("example.api.v1.CreateResourceRequest5x3", &Options::default()).unwrap();
    drop(schema);
    assert_eq!(memory::live(), before);
}
