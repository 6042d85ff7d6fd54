//! The trail of admissions: what changed, when, by which set, and what it broke.
//!
//! A snapshot carries the trail of its process. It is bounded, and it does not outlive the process.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::SystemTime;

use protojson::Change;

use super::Snapshot;

/// The most decisions that the trail keeps. The oldest ones go first.
const MAX_ADMISSIONS: usize = 100;
/// The most breaking changes that one decision lists.
const MAX_BREAKS: usize = 20;

/// A decision about one set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admission {
    /// The time of the decision.
    pub at: SystemTime,
    /// The name of the set.
    pub set: String,
    /// The decision.
    pub decision: Decision,
    /// The hash of the version that was offered; `None` for a removal, and for a file that is too large to read.
    pub hash: Option<Arc<str>>,
    /// The hash of the version that was in force before, if there was one.
    pub before: Option<Arc<str>>,
    /// The reason of a refusal.
    pub reason: Option<String>,
    /// The admitted changes that break consumers of the JSON, at most 20.
    pub breaks: Vec<Change>,
    /// The number of further changes that break consumers.
    pub more_breaks: usize,
}

/// The decisions about a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// The set is in force, and was not before.
    Added,
    /// The set is in force in another version than before.
    Replaced,
    /// The set is not in force any more.
    Removed,
    /// The version, or the removal, was refused.
    Refused,
    /// The set is in force apart from what the reason names.
    RefusedInPart,
}

impl Decision {
    /// Returns the code of the decision.
    pub fn code(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Replaced => "replaced",
            Self::Removed => "removed",
            Self::Refused => "refused",
            Self::RefusedInPart => "refused_in_part",
        }
    }
}

/// Returns the trail of the snapshot that comes after another one, and the new decisions in it. `breaks` are the admitted
/// changes that break consumers of the JSON.
pub(super) fn after(
    before: Option<&Snapshot>,
    snapshot: &Snapshot,
    breaks: &[Change],
) -> (Vec<Arc<Admission>>, Vec<Arc<Admission>>) {
    let mut new = changed_sets(before, snapshot);
    attribute(breaks, &mut new);
    new.extend(refusals(before, snapshot));
    let new: Vec<Arc<Admission>> = new.into_iter().map(Arc::new).collect();
    let old = before.map(|before| before.trail.as_slice()).unwrap_or_default();
    let skipped = (old.len() + new.len()).saturating_sub(MAX_ADMISSIONS);
    (old.iter().chain(&new).skip(skipped).cloned().collect(), new)
}

/// Returns a decision for each set that is in force in another version than before, by name.
fn changed_sets(before: Option<&Snapshot>, snapshot: &Snapshot) -> Vec<Admission> {
    let hashes = |snapshot: &Snapshot| -> BTreeMap<String, Arc<str>> {
        snapshot.sets().iter().map(|set| (set.name.clone(), Arc::clone(&set.hash))).collect()
    };
    let (old, new) = (before.map(hashes).unwrap_or_default(), hashes(snapshot));
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let changed = names.into_iter().filter_map(|name| {
        let (before, hash) = (old.get(name), new.get(name));
        let decision = match (before, hash) {
            (None, _) => Decision::Added,
            (Some(_), None) => Decision::Removed,
            (Some(before), Some(hash)) if before == hash => return None,
            (Some(_), Some(_)) => Decision::Replaced,
        };
        Some(Admission::new(name, decision, hash, before, None))
    });
    changed.collect()
}

/// Adds each breaking change to the decision about the set that made it.
fn attribute(breaks: &[Change], admissions: &mut [Admission]) {
    for change in breaks {
        let made = admissions.iter().position(|admission| change.sets.contains(&admission.set));
        let Some(admission) = admissions.get_mut(made.unwrap_or_default()) else { return };
        if admission.breaks.len() < MAX_BREAKS {
            admission.breaks.push(change.clone());
        } else {
            admission.more_breaks += 1;
        }
    }
}

/// Returns a decision for each refusal that is not the same as before.
fn refusals(before: Option<&Snapshot>, snapshot: &Snapshot) -> Vec<Admission> {
    let known = before.map(Snapshot::refused).unwrap_or_default();
    let new = snapshot.refused().iter().filter(|refused| !known.contains(refused));
    let decision = |partly| if partly { Decision::RefusedInPart } else { Decision::Refused };
    new.map(|refused| {
        let (hash, in_force) = (refused.hash.as_ref(), refused.in_force.as_ref());
        Admission::new(&refused.name, decision(refused.partly), hash, in_force, Some(refused.reason.clone()))
    })
    .collect()
}

impl Admission {
    fn new(
        set: &str,
        decision: Decision,
        hash: Option<&Arc<str>>,
        before: Option<&Arc<str>>,
        reason: Option<String>,
    ) -> Self {
        let (set, at) = (set.to_owned(), SystemTime::now());
        let (hash, before) = (hash.cloned(), before.cloned());
        Self { at, set, decision, hash, before, reason, breaks: Vec::new(), more_breaks: 0 }
    }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;
    use crate::config;
    use crate::schema::registry::{File, Profiles, Registry};

    /// Returns the file of a set with one message, `t.A`, with these fields.
    fn file(name: &str, fields: &str) -> File {
        file_of(name, &format!("message A {{ {fields} }}"))
    }

    /// Returns the file of a set with these definitions in the package `t`.
    fn file_of(name: &str, definitions: &str) -> File {
        let folder = tempfile::tempdir().unwrap();
        let text = format!("syntax = \"proto3\"; package t; {definitions}");
        std::fs::write(folder.path().join("t.proto"), text).unwrap();
        let set = protox::compile(["t.proto"], [folder.path()]).unwrap();
        File { name: name.to_owned(), content: Ok(set.encode_to_vec()) }
    }

    fn registry(files: &[File]) -> Registry {
        let profiles = Arc::new(Profiles::new(&Default::default()));
        Registry::of(files, &config::Descriptors::default(), &config::Taps::default(), profiles).unwrap()
    }

    #[test]
    fn the_trail_keeps_the_last_decisions_and_no_more() {
        let registry = registry(&[file("a.binpb", "")]);
        for round in 0..MAX_ADMISSIONS {
            registry.admit(&[file("a.binpb", &format!("string f{round} = 1;"))]).unwrap();
        }
        let snapshot = registry.current();
        assert_eq!(snapshot.trail().len(), MAX_ADMISSIONS);
        assert!(snapshot.trail().iter().all(|admission| admission.decision == Decision::Replaced), "the start is gone");
        assert_eq!(snapshot.trail().last().unwrap().hash.as_ref(), Some(&snapshot.sets()[0].hash));
    }

    #[test]
    fn a_decision_lists_a_limited_number_of_breaks_and_counts_the_others() {
        let fields = |kind: &str| (1..=30).map(|n| format!("{kind} f{n} = {n};")).collect::<String>();
        let registry = registry(&[file("a.binpb", &fields("string"))]);
        let reloaded = registry.admit(&[file("a.binpb", &fields("int32"))]).unwrap();
        let [admission] = reloaded.admissions.as_slice() else { panic!("{:?}", reloaded.admissions) };
        assert_eq!((admission.breaks.len(), admission.more_breaks), (MAX_BREAKS, 30 - MAX_BREAKS));
        assert_eq!(reloaded.changes.len(), 30);
    }

    #[test]
    fn a_break_is_noted_under_the_set_that_made_it() {
        let b = |fields: &str| file_of("b.binpb", &format!("message B {{ {fields} }}"));
        let registry = registry(&[file("a.binpb", ""), b("string b = 1;")]);
        let reloaded = registry.admit(&[file("a.binpb", "string a = 1;"), b("int32 b = 1;")]).unwrap();
        let breaks: Vec<_> = reloaded.admissions.iter().map(|one| (one.set.as_str(), one.breaks.len())).collect();
        assert_eq!(breaks, [("a.binpb", 0), ("b.binpb", 1)]);
    }

    #[test]
    fn a_refusal_is_in_the_trail_once_however_often_the_other_sets_change() {
        let bad = || File { name: "bad.binpb".to_owned(), content: Ok(b"no set".to_vec()) };
        let registry = registry(&[file("a.binpb", "")]);
        registry.admit(&[file("a.binpb", ""), bad()]).unwrap();
        registry.admit(&[file("a.binpb", "string a = 1;"), bad()]).unwrap();
        let snapshot = registry.current();
        let decisions: Vec<_> = snapshot.trail().iter().map(|one| (one.set.as_str(), one.decision.code())).collect();
        assert_eq!(decisions, [("a.binpb", "added"), ("bad.binpb", "refused"), ("a.binpb", "replaced")]);
    }
}
