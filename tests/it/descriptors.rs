//! Checks that the committed descriptor sets match their `.proto` files.

use std::path::Path;

use crate::descriptor_sets;

#[test]
fn the_committed_descriptor_sets_match_the_protos() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let sets = descriptor_sets::compile(root).expect("the .proto files compile");

    let stale: Vec<&str> = sets.iter().filter(|set| set.is_stale(root)).map(|set| set.path).collect();

    assert!(stale.is_empty(), "out of date: {}; rebuild with `{}`", stale.join(", "), descriptor_sets::REBUILD);
    for set in &sets {
        assert!(set.message_types > 0, "{} defines no message type", set.path);
    }
}
