//! A message type that events can have, with its plans.

use std::sync::{Arc, OnceLock};

use protojson::{Additions, JsonError, Plan, Schema};

use super::{ProfileId, Profiles, TapIndex};
use crate::base::LastSeen;

/// A message type that events can have.
#[derive(Debug)]
pub struct EventType {
    /// The full name.
    pub name: Arc<str>,
    /// The hash of everything in the sets that decides on the type's JSON; see [`Schema::fingerprints`].
    pub schema_hash: Arc<str>,
    /// The indexes of the type's taps, which are the same in each of its plans.
    pub taps: Arc<TapIndex>,
    /// The tap paths, in the order of their indexes.
    pub(super) paths: Arc<[String]>,
    pub(super) source: Arc<Source>,
    /// When the last event of the type was received. A reload keeps it.
    pub last_event: Arc<LastSeen>,
    /// The plans by profile. The first event of the type makes room for them, because most types have no events.
    pub(super) plans: OnceLock<Box<[OnceLock<Plan>]>>,
}

/// The data from which plans are compiled; all types of a snapshot share it.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) schema: Schema,
    pub(super) profiles: Arc<Profiles>,
}

impl EventType {
    /// Returns the path of the tap with this index.
    pub fn path(&self, tap: usize) -> &str {
        &self.paths[tap]
    }

    /// Returns the name of a profile.
    pub fn profile_name(&self, profile: ProfileId) -> &str {
        &self.source.profiles.names[profile.0]
    }

    /// Returns the profiles that the type can be rendered in.
    pub fn profiles(&self) -> impl Iterator<Item = ProfileId> + use<> {
        (0..self.source.profiles.options.len()).map(ProfileId)
    }

    /// Returns the type's plan for a profile. The first call compiles it.
    pub fn plan(&self, profile: ProfileId) -> &Plan {
        let Source { schema, profiles } = &*self.source;
        let plans = self.plans.get_or_init(|| profiles.options.iter().map(|_| OnceLock::new()).collect());
        plans[profile.0].get_or_init(|| {
            let options = &profiles.options[profile.0];
            let mut plan = schema.plan(&self.name, options).expect("the type comes from this schema");
            for path in &*self.paths {
                plan = plan.with_tap(path).expect("the path was compiled when the snapshot was made");
            }
            plan
        })
    }

    /// Returns the profile with this name.
    pub fn find_profile(&self, name: &str) -> Option<ProfileId> {
        self.source.profiles.find(name)
    }

    /// Returns the JSON Schema of the JSON that the type's plan for a profile writes.
    pub fn json_schema(&self, profile: ProfileId, additions: Additions) -> serde_json::Value {
        let options = &self.source.profiles.options[profile.0];
        self.source.schema.json_schema(&self.name, options, additions).expect("the type comes from this schema")
    }

    /// Returns the payload of the event of this type that has this ProtoJSON.
    ///
    /// # Errors
    /// Returns an error if the text is not the ProtoJSON of the type.
    pub fn wire_from_json(&self, json: &[u8]) -> Result<Vec<u8>, JsonError> {
        self.source.schema.wire_from_json(&self.name, json).expect("the type comes from this schema")
    }

    /// Returns a payload with a plausible value in every field.
    pub fn sample(&self) -> Vec<u8> {
        self.source.schema.sample(&self.name).expect("the type comes from this schema")
    }
}
