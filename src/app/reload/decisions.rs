//! The lines of the log about decisions on descriptor sets.

use std::sync::Arc;

use tracing::{error, info};

use crate::schema::registry::{Admission, Decision, Snapshot};

/// Logs one line for each set that was admitted or removed, and for each set that is refused.
pub(in crate::app) fn log_decisions(snapshot: &Snapshot, admissions: &[Arc<Admission>]) {
    for Admission { set, decision, hash, before, breaks, more_breaks, .. } in admissions.iter().map(|one| &**one) {
        let (hash, before) = (hash.as_deref(), before.as_deref());
        let breaking = breaks.len() + more_breaks;
        match decision {
            Decision::Added | Decision::Replaced => info!(set, hash, before, breaking, "descriptor set admitted"),
            Decision::Removed => info!(set, before, breaking, "descriptor set removed"),
            Decision::Refused | Decision::RefusedInPart => {}
        }
    }
    for refused in snapshot.refused() {
        error!(set = refused.name, hash = refused.hash.as_deref(), "{refused}");
    }
}
