//! Draws a schema, messages and payloads from the bytes; see `tests/support/trial.rs` of protojson.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/protojson/tests/support/all.rs"]
mod support;

fuzz_target!(|data: &[u8]| {
    if let Err(finding) = support::trial::run(&mut support::random::Random::from_bytes(data)) {
        panic!("{finding}");
    }
});
