//! The types that protobridge itself understands. They are known without a file.
//!
//! Their set has the lowest rank: a type that a set of the folder defines is served by that set, so a copy in the folder
//! contradicts nothing. The set is not counted against the limits, and no list of sets has it.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use protojson::{DescriptorSet, JsonError, Schema};

use super::files::sha256;

/// The full name of the heartbeat of a source.
pub const HEARTBEAT: &str = "protobridge.v1.Heartbeat";
/// The full name of the canary of a prober.
pub const CANARY: &str = "protobridge.v1.Canary";
/// The full names of all built-in types of protobridge.
pub const BUILT_IN: [&str; 2] = [CANARY, HEARTBEAT];

/// The compiled set.
const SET: &[u8] = include_bytes!("../../../descriptors/protobridge.binpb");

/// The schema of the set, which is linked once per process.
static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    let set = DescriptorSet::link("protobridge.binpb", SET).expect("a test links the set");
    Schema::reconcile([&set]).schema
});

/// The fingerprints of the built-in types.
static FINGERPRINTS: LazyLock<Vec<(Arc<str>, [u8; 32])>> = LazyLock::new(|| {
    let all = SCHEMA.fingerprints(sha256).into_iter();
    all.filter(|(name, _)| BUILT_IN.contains(&&**name)).collect()
});

/// Returns the schema of the built-in types.
pub(super) fn schema() -> &'static Schema {
    &SCHEMA
}

/// Returns the payload of the event of a built-in type that has this ProtoJSON.
///
/// # Errors
/// Returns an error if the text is not the ProtoJSON of the type.
///
/// # Panics
/// If the type is not built in.
pub fn wire_from_json(name: &str, json: &[u8]) -> Result<Vec<u8>, JsonError> {
    SCHEMA.wire_from_json(name, json).expect("the type is built in")
}

/// Returns the built-in types that no set of the folder defines, with their fingerprints. A type of these sets that is
/// withheld stays unknown.
pub(super) fn missing<T>(
    types: &HashMap<Arc<str>, T>,
    withheld: &HashMap<String, String>,
) -> impl Iterator<Item = &'static (Arc<str>, [u8; 32])> {
    let is_missing = |name: &str| !types.contains_key(name) && !withheld.contains_key(name);
    FINGERPRINTS.iter().filter(move |(name, _)| is_missing(name))
}

#[cfg(test)]
mod tests {
    use super::super::tests::folder;
    use super::super::{Error, ProfileId, Profiles, Registry, Snapshot};
    use super::*;
    use crate::config;

    const SHOP: &[u8] = include_bytes!("../../../descriptors/shop.binpb");

    fn load(files: &[(&str, &[u8])]) -> Result<Arc<Snapshot>, Error> {
        let folder = folder(files);
        let total = files.iter().map(|(_, bytes)| bytes.len() as u64).sum();
        let settings = config::Descriptors { path: folder.path().into(), max_total_bytes: total, ..Default::default() };
        let profiles = Arc::new(Profiles::new(&Default::default()));
        Ok(Registry::load(&settings, &config::Taps::default(), profiles)?.current())
    }

    #[test]
    fn heartbeats_and_canaries_are_known_without_a_set_and_are_in_no_list() {
        let snapshot = load(&[("shop.binpb", SHOP)]).unwrap();
        for name in BUILT_IN {
            let event_type = snapshot.find(name).unwrap();
            assert_eq!(&*event_type.name, name);
            let mut json = Vec::new();
            event_type.plan(ProfileId::default()).transcode(&event_type.sample(), &mut json).unwrap();
            assert!(json.len() > 20, "{}", String::from_utf8_lossy(&json));
            assert!(!snapshot.type_names().contains(&name));
        }
        assert!(snapshot.types().iter().all(|(name, _)| name.starts_with("shop.v1.")));
        assert_eq!((snapshot.sets().len(), snapshot.refused().len(), snapshot.trail().len()), (1, 0, 1));
    }

    #[test]
    fn a_copy_of_the_set_in_the_folder_serves_and_contradicts_nothing() {
        let snapshot = load(&[("ours.binpb", SET), ("shop.binpb", SHOP)]).unwrap();
        assert!(snapshot.refused().is_empty(), "{:?}", snapshot.refused());
        for name in BUILT_IN {
            assert!(snapshot.type_names().contains(&name));
            let built_in = load(&[("shop.binpb", SHOP)]).unwrap();
            assert_eq!(snapshot.find(name).unwrap().schema_hash, built_in.find(name).unwrap().schema_hash);
        }
    }
}
