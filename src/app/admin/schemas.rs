//! The page `/schemas`.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::app::reload::Places;
use crate::base::time::rfc3339;
use crate::schema::registry::{self, Admission, Snapshot};

/// The descriptor sets, and the message types that they define.
#[derive(Debug, Serialize)]
pub(super) struct SchemasReport {
    sets: Vec<Set>,
    /// Sets, or removals of sets, that were not admitted.
    refused: Vec<Refused>,
    /// Definitions that are not used because another set has a newer one.
    outgrown: Vec<Outgrown>,
    /// The last decisions about sets since the start of the process, oldest first.
    admissions: Vec<AdmissionReport>,
    /// The set that defines each message type.
    types: BTreeMap<String, String>,
}

#[derive(Debug, Serialize)]
struct Set {
    name: String,
    hash: String,
    bytes: usize,
    /// The number of `.proto` files, imports included.
    files: usize,
    in_force_since: String,
    /// The ETag of the object that the set was read from, if the sets are in a bucket. It is missing if the object has
    /// changed and its new version is not in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    etag: Option<String>,
    /// The id of that object's version, if the bucket keeps versions.
    #[serde(skip_serializing_if = "Option::is_none")]
    version_id: Option<String>,
}

#[derive(Debug, Serialize)]
struct Refused {
    name: String,
    /// The hash of the refused version; `None` for a removal.
    #[serde(skip_serializing_if = "Option::is_none")]
    hash: Option<String>,
    reason: String,
    /// The hash of the version that stays in force, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    in_force: Option<String>,
}

#[derive(Debug, Serialize)]
struct Outgrown {
    name: String,
    set: String,
    by: String,
}

/// A decision about a set.
#[derive(Debug, Serialize)]
struct AdmissionReport {
    at: String,
    set: String,
    decision: &'static str,
    /// The hash of the version that was offered; `None` for a removal.
    #[serde(skip_serializing_if = "Option::is_none")]
    hash: Option<String>,
    /// The hash of the version that was in force before, if there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// The admitted changes that break consumers of the JSON.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    breaks: Vec<Break>,
    /// The number of further ones, if there are any.
    #[serde(skip_serializing_if = "Option::is_none")]
    more_breaks: Option<usize>,
}

#[derive(Debug, Serialize)]
struct Break {
    message_type: String,
    element: String,
    rule: &'static str,
    text: String,
}

impl From<&Admission> for AdmissionReport {
    fn from(admission: &Admission) -> Self {
        let breaks = admission.breaks.iter().map(|change| Break {
            message_type: change.message_type.clone(),
            element: change.element.clone(),
            rule: change.rule.code(),
            text: change.text.clone(),
        });
        Self {
            at: rfc3339(admission.at),
            set: admission.set.clone(),
            decision: admission.decision.code(),
            hash: admission.hash.as_ref().map(ToString::to_string),
            before: admission.before.as_ref().map(ToString::to_string),
            reason: admission.reason.clone(),
            breaks: breaks.collect(),
            more_breaks: Some(admission.more_breaks).filter(|more| *more > 0),
        }
    }
}

pub(super) fn report(snapshot: &Snapshot, places: &Places) -> SchemasReport {
    let set = |set: &registry::Set| {
        let version = places.version(&set.name, &set.hash);
        let (etag, version_id) = version.map(|known| (known.etag, known.version)).unwrap_or_default();
        Set {
            name: set.name.clone(),
            hash: set.hash.to_string(),
            bytes: set.bytes,
            files: set.files(),
            in_force_since: rfc3339(set.since),
            etag,
            version_id,
        }
    };
    let refused = |refused: &registry::Refused| Refused {
        name: refused.name.clone(),
        hash: refused.hash.as_ref().map(ToString::to_string),
        reason: refused.reason.clone(),
        in_force: refused.in_force.as_ref().map(ToString::to_string),
    };
    let outgrown = snapshot.outgrown().iter().map(|outgrown| Outgrown {
        name: outgrown.full_name.clone(),
        set: outgrown.set.clone(),
        by: outgrown.by.clone(),
    });
    SchemasReport {
        sets: snapshot.sets().iter().map(set).collect(),
        refused: snapshot.refused().iter().map(refused).collect(),
        outgrown: outgrown.collect(),
        admissions: snapshot.trail().iter().map(|admission| AdmissionReport::from(&**admission)).collect(),
        types: snapshot.types().into_iter().map(|(name, set)| (name.to_owned(), set.to_owned())).collect(),
    }
}
