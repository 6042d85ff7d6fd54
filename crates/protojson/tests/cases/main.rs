//! Named cases: one payload, and the exact text that comes of it.

#![allow(clippy::unwrap_used, reason = "a test fails where it panics")]

#[path = "../support/judge.rs"]
mod judge;
#[path = "../support/wire.rs"]
mod wire;

mod any;
mod deep;
mod lists;
mod malformed;
mod maps;
mod merging;
mod options;
mod presence;
mod proto2;
mod samples;
mod scalars;
mod sets;
mod well_known;

mod editions;

use std::sync::LazyLock;

use prost::Message as _;
use protojson::{Options, Schema};

use judge::Judge;
use wire::Wire;

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/proto");
    let set = protox::compile(["cases.proto", "cases2.proto"], [root]).unwrap();
    Schema::builder().set("cases.binpb", &set.encode_to_vec()).unwrap().build().unwrap()
});

/// What a payload of `cases.*` becomes: its JSON, or the text of the error. JSON fits the schema of its type, and does not
/// where something is put into it that does not belong there.
#[track_caller]
fn json_with(schema: &Schema, options: &Options, message_type: &str, wire: &Wire) -> Result<String, String> {
    let plan = schema.plan(message_type, options).unwrap();
    let mut json = Vec::new();
    match plan.transcode(&wire.0, &mut json) {
        Ok(()) => {
            let judge = Judge::new(schema, message_type, options);
            judge.accepts(&json).unwrap();
            judge.refuses_mutants(&json).unwrap();
            Ok(String::from_utf8(json).unwrap())
        }
        Err(error) => {
            assert!(json.is_empty(), "partial output of a payload that failed");
            Err(error.to_string())
        }
    }
}

/// Asserts the JSON of a payload, whether its records come in order or not.
#[track_caller]
fn check(message_type: &str, wire: Wire, expected: &str) {
    assert_eq!(json_with(&SCHEMA, &Options::default(), message_type, &wire).as_deref(), Ok(expected));
}

/// The error of a payload that must not be accepted.
#[track_caller]
fn error(message_type: &str, wire: Wire) -> String {
    json_with(&SCHEMA, &Options::default(), message_type, &wire).expect_err("the payload must be refused")
}
