//! Named cases. Each gives one payload and its exact JSON or error text.

#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

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

/// Returns the JSON of a payload of a `cases.*` type, or the text of the error. Checks that the JSON fits the schema of
/// its type and that mutants of it do not.
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
            assert!(json.is_empty(), "a failed payload left partial output");
            Err(error.to_string())
        }
    }
}

/// Asserts the JSON of a payload. Its records can be in any order.
#[track_caller]
fn check(message_type: &str, wire: Wire, expected: &str) {
    assert_eq!(json_with(&SCHEMA, &Options::default(), message_type, &wire).as_deref(), Ok(expected));
}

/// Returns the error of a payload that must be refused.
#[track_caller]
fn error(message_type: &str, wire: Wire) -> String {
    json_with(&SCHEMA, &Options::default(), message_type, &wire).expect_err("the payload must be refused")
}
