//! Descriptor sets as data: full name → compiled event type.
//!
//! A [`Snapshot`] is immutable; a message keeps the one that it started with. Plans are compiled on first use, one for
//! each profile that a customer of the type has chosen, so a folder of thousands of types costs only what is used.

mod files;

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use protojson::{Options, Plan, Schema, TapError, TapErrorKind};
use sha2::{Digest as _, Sha256};

pub use files::Error;

use crate::config;

/// The descriptor sets in force.
#[derive(Debug)]
pub struct Registry {
    current: Arc<Snapshot>,
}

/// Everything that is known of message types at one moment.
#[derive(Debug)]
pub struct Snapshot {
    sets: Vec<Set>,
    types: HashMap<String, Arc<EventType>>,
    /// Tap paths that lead somewhere in a type, but not to a single value.
    refused_taps: Vec<(String, TapError)>,
}

/// One descriptor set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Set {
    /// Its file, relative to the folder.
    pub name: String,
    /// SHA-256 of its bytes; the first 16 hexadecimal digits.
    pub hash: Arc<str>,
    /// How many bytes it has.
    pub bytes: usize,
}

/// A message type that events may have.
#[derive(Debug)]
pub struct EventType {
    /// Full name.
    pub name: Arc<str>,
    /// Hash of the set that defines it.
    pub schema_hash: Arc<str>,
    /// Where its taps stand among those of each of its plans.
    pub taps: TapIndex,
    schema: Schema,
    paths: Vec<String>,
    profiles: Arc<Profiles>,
    plans: Vec<OnceLock<Plan>>,
}

/// Which of a type's taps belong to which purpose; indices in the order of the configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TapIndex {
    /// Whose event it is.
    pub customer: Vec<usize>,
    /// The event's id.
    pub event_id: Vec<usize>,
    /// When it happened.
    pub event_time: Vec<usize>,
    /// What has to stay in order.
    pub ordering: Vec<usize>,
}

/// The profiles of the configuration; `default` is always there, as number 0.
#[derive(Debug, Clone)]
pub struct Profiles {
    names: Vec<String>,
    options: Vec<Options>,
}

/// A profile's number in [`Profiles`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct ProfileId(usize);

impl Profiles {
    /// The configured profiles, with a canonical `default` where none is configured.
    pub fn new(configured: &std::collections::BTreeMap<String, config::Profile>) -> Self {
        let default = configured.get("default").cloned().unwrap_or_default();
        let mut profiles = Self { names: vec!["default".to_owned()], options: vec![options(&default)] };
        for (name, profile) in configured.iter().filter(|(name, _)| *name != "default") {
            profiles.names.push(name.clone());
            profiles.options.push(options(profile));
        }
        profiles
    }

    /// The number of the profile with this name.
    pub fn find(&self, name: &str) -> Option<ProfileId> {
        self.names.iter().position(|known| known == name).map(ProfileId)
    }

    /// The names of all profiles.
    pub fn names(&self) -> &[String] {
        &self.names
    }
}

/// A profile as the codec's options.
pub fn options(profile: &config::Profile) -> Options {
    let mut options = Options::default();
    options.field_names = match profile.field_names {
        config::FieldNames::Json => protojson::FieldNames::Json,
        config::FieldNames::Proto => protojson::FieldNames::Proto,
    };
    options.int64 = match profile.int64 {
        config::Int64::String => protojson::Int64::String,
        config::Int64::Number => protojson::Int64::Number,
    };
    options.enums = match profile.enums {
        config::Enums::Name => protojson::Enums::Name,
        config::Enums::Number => protojson::Enums::Number,
    };
    options.bytes = match profile.bytes {
        config::Bytes::Base64 => protojson::Bytes::Base64,
        config::Bytes::Base64Url => protojson::Bytes::Base64Url,
    };
    options.emit_defaults = profile.emit_defaults;
    options.include.clone_from(&profile.include);
    options.drop.clone_from(&profile.drop);
    options.redact.clone_from(&profile.redact);
    options.redact_marked = profile.redact_marked;
    options
}

impl Registry {
    /// Loads every descriptor set at `path`, a folder or one file.
    ///
    /// # Errors
    /// When the path does not exist or holds no set, when a set does not load, or two contradict each other.
    pub fn load(path: &Path, taps: &config::Taps, profiles: Arc<Profiles>) -> Result<Self, Error> {
        let files = files::read(path)?;
        Ok(Self { current: Arc::new(Snapshot::new(&files, taps, &profiles)?) })
    }

    /// The snapshot in force.
    pub fn current(&self) -> Arc<Snapshot> {
        Arc::clone(&self.current)
    }
}

impl Snapshot {
    fn new(files: &[files::File], taps: &config::Taps, profiles: &Arc<Profiles>) -> Result<Self, Error> {
        let mut builder = Schema::builder();
        let mut sets = Vec::with_capacity(files.len());
        for file in files {
            builder = builder.set(&file.name, &file.bytes)?;
            let hash: String = Sha256::digest(&file.bytes)[..8].iter().map(|byte| format!("{byte:02x}")).collect();
            sets.push(Set { name: file.name.clone(), hash: hash.into(), bytes: file.bytes.len() });
        }
        let schema = builder.build()?;
        let hashes: HashMap<&str, &Arc<str>> = sets.iter().map(|set| (set.name.as_str(), &set.hash)).collect();
        let built_in: Arc<str> = "builtin".into();
        let mut types = HashMap::new();
        let mut refused_taps = Vec::new();
        for (name, set) in schema.messages() {
            let (index, paths) = compile_taps(&schema, name, taps, &mut refused_taps);
            let event_type = EventType {
                name: name.into(),
                schema_hash: Arc::clone(hashes.get(set).copied().unwrap_or(&built_in)),
                taps: index,
                schema: schema.clone(),
                paths,
                profiles: Arc::clone(profiles),
                plans: profiles.options.iter().map(|_| OnceLock::new()).collect(),
            };
            types.insert(name.to_owned(), Arc::new(event_type));
        }
        Ok(Self { sets, types, refused_taps })
    }

    /// The event type with this full name. A leading dot and the prefix of an Any URL do not count.
    pub fn find(&self, name: &str) -> Option<&Arc<EventType>> {
        let name = name.rsplit_once('/').map_or(name, |(_, name)| name);
        self.types.get(name.strip_prefix('.').unwrap_or(name))
    }

    /// Full names of all types that the sets define, the built-in ones left out, sorted.
    pub fn type_names(&self) -> Vec<&str> {
        let own = self.types.keys().filter(|name| !name.starts_with("google.protobuf."));
        let mut names: Vec<&str> = own.map(String::as_str).collect();
        names.sort_unstable();
        names
    }

    /// Full names of the types that another type has a field of.
    pub fn held(&self) -> BTreeSet<String> {
        self.types.values().next().map(|known| known.schema.held()).unwrap_or_default()
    }

    /// The descriptor sets, by name.
    pub fn sets(&self) -> &[Set] {
        &self.sets
    }

    /// Field paths of profiles that no type has, most likely a typo, with the name of their profile.
    pub fn unused_profile_paths(&self) -> Vec<(String, String)> {
        let Some(profiles) = self.types.values().next().map(|known| &known.profiles) else { return Vec::new() };
        let mut unused = Vec::new();
        for (name, options) in profiles.names.iter().zip(&profiles.options) {
            let paths = [&options.include, &options.drop, &options.redact];
            let mut left: Vec<&String> = paths.into_iter().flatten().collect();
            for known in self.types.values() {
                if left.is_empty() {
                    break;
                }
                let plan = known.schema.plan(&known.name, options).expect("the type comes from this schema");
                left.retain(|path| plan.unmatched_paths().contains(path));
            }
            unused.extend(left.into_iter().map(|path| (name.clone(), path.clone())));
        }
        unused
    }

    /// Tap paths that fit no type, most likely a typo, with why they do not where some type comes close.
    pub fn unused_taps<'t>(&self, taps: &'t config::Taps) -> Vec<(&'t str, Option<&TapError>)> {
        let used = |path: &str| self.types.values().any(|known| known.paths.iter().any(|p| p == path));
        let refused = |path: &str| self.refused_taps.iter().find(|(refused, _)| refused == path);
        let unused = all_paths(taps).filter(|path| !used(path));
        unused.map(|path| (path, refused(path).map(|(_, error)| error))).collect()
    }
}

impl EventType {
    /// The type's plan for a profile, compiled when it is first asked for.
    pub fn plan(&self, profile: ProfileId) -> &Plan {
        self.plans[profile.0].get_or_init(|| {
            let options = &self.profiles.options[profile.0];
            let mut plan = self.schema.plan(&self.name, options).expect("the type comes from this schema");
            for path in &self.paths {
                plan = plan.with_tap(path).expect("the path was compiled when the snapshot was made");
            }
            plan
        })
    }
}

impl EventType {
    /// The JSON Schema of what the type's plan for a profile writes.
    pub fn json_schema(&self, profile: ProfileId) -> serde_json::Value {
        let options = &self.profiles.options[profile.0];
        self.schema.json_schema(&self.name, options).expect("the type comes from this schema")
    }

    /// A payload with a plausible value in every field.
    pub fn sample(&self) -> Vec<u8> {
        self.schema.sample(&self.name).expect("the type comes from this schema")
    }
}

fn all_paths(taps: &config::Taps) -> impl Iterator<Item = &str> {
    let lists = [&taps.customer, &taps.event_id, &taps.event_time, &taps.ordering];
    lists.into_iter().flatten().map(String::as_str)
}

/// The taps that a type has: every path of the configuration that leads to a single value in it, each once. One that
/// leads elsewhere is noted in `refused`; a path is written for some types, and another may have the name for something
/// else.
fn compile_taps(
    schema: &Schema,
    name: &str,
    taps: &config::Taps,
    refused: &mut Vec<(String, TapError)>,
) -> (TapIndex, Vec<String>) {
    let mut paths: Vec<String> = Vec::new();
    let mut list = |wanted: &[String]| {
        let mut indices = Vec::new();
        for path in wanted {
            if let Some(index) = paths.iter().position(|known| known == path) {
                indices.push(index);
                continue;
            }
            let plan = schema.plan(name, &Options::default()).expect("the type comes from this schema");
            match plan.with_tap(path) {
                Ok(_) => {
                    indices.push(paths.len());
                    paths.push(path.clone());
                }
                Err(error) if error.kind() == TapErrorKind::UnknownField => {}
                Err(error) if refused.iter().any(|(known, _)| known == path) => drop(error),
                Err(error) => refused.push((path.clone(), error)),
            }
        }
        indices
    };
    let index = TapIndex {
        customer: list(&taps.customer),
        event_id: list(&taps.event_id),
        event_time: list(&taps.event_time),
        ordering: list(&taps.ordering),
    };
    (index, paths)
}

#[cfg(test)]
#[path = "registry/tests.rs"]
mod tests;
