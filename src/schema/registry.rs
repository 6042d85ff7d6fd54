//! Descriptor sets as data: full name → compiled event type.
//!
//! A [`Snapshot`] is immutable and swapped as a whole; a message keeps the one that it started with. Plans are compiled
//! on first use, one for each profile that a customer of the type has chosen, so a folder of thousands of types costs
//! only what is used.

mod admission;
mod files;

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

use protojson::{Change, Options, Outgrown, Plan, Schema, TapError, TapErrorKind};

use admission::{Admitted, InForce};
pub use admission::{Refused, Set};
pub use files::{Error, File};

use crate::config::{self, OnBreak};

/// The descriptor sets in force, and the folder that they come from.
#[derive(Debug)]
pub struct Registry {
    path: PathBuf,
    taps: config::Taps,
    profiles: Arc<Profiles>,
    on_break: OnBreak,
    current: RwLock<Arc<Snapshot>>,
    /// What the folder held when it was looked at last; held while it is looked at.
    seen: Mutex<Seen>,
}

/// What was found in the folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen(Vec<(String, Arc<str>)>);

impl Seen {
    /// The names of these files, and the hash of what is in each.
    pub fn of(files: &[File]) -> Self {
        Self(files.iter().map(|file| (file.name.clone(), admission::hash(&file.bytes))).collect())
    }
}

/// What a look at the folder has changed.
#[derive(Debug)]
pub struct Reloaded {
    /// The snapshot in force from now on.
    pub snapshot: Arc<Snapshot>,
    /// What was admitted and breaks those who read the JSON.
    pub changes: Vec<Change>,
}

/// Everything that is known of message types at one moment.
#[derive(Debug)]
pub struct Snapshot {
    sets: Vec<Set>,
    refused: Vec<Refused>,
    in_force: InForce,
    types: HashMap<String, Arc<EventType>>,
    /// Tap paths that lead somewhere in a type, but not to a single value.
    refused_taps: Vec<(String, TapError)>,
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
    /// Loads every descriptor set of the configured path, a folder or one file. A set that is not admitted is left out,
    /// and [`Snapshot::refused`] says why.
    ///
    /// # Errors
    /// When the path does not exist or holds no set, or no set is admitted.
    pub fn load(settings: &config::Descriptors, taps: &config::Taps, profiles: Arc<Profiles>) -> Result<Self, Error> {
        let files = files::read(&settings.path)?;
        let seen = Seen::of(&files);
        let admitted = admission::admit(&files, None, settings.on_break)?;
        let snapshot = Arc::new(Snapshot::new(admitted.in_force, admitted.refused, taps, &profiles));
        Ok(Self {
            path: settings.path.clone(),
            taps: taps.clone(),
            profiles,
            on_break: settings.on_break,
            current: RwLock::new(snapshot),
            seen: Mutex::new(seen),
        })
    }

    /// The snapshot in force.
    pub fn current(&self) -> Arc<Snapshot> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Where the sets come from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is in the folder now.
    ///
    /// # Errors
    /// When it cannot be read, or holds no set.
    pub fn look(&self) -> Result<Vec<File>, Error> {
        files::read(&self.path)
    }

    /// Whether this is what was seen last.
    pub fn has_seen(&self, seen: &Seen) -> bool {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) == *seen
    }

    /// Admits these files, unless they are what was seen last. What was in force stays so as far as something is
    /// refused; messages in flight keep the snapshot that they started with.
    pub fn admit(&self, files: &[File]) -> Option<Reloaded> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Seen::of(files);
        if *seen == now {
            return None;
        }
        *seen = now;
        let before = self.current();
        // With something in force before, there is always something to go back to.
        let admitted = admission::admit(files, Some(&before.in_force), self.on_break);
        let Admitted { in_force, refused, changes } = admitted.ok()?;
        let snapshot = Arc::new(Snapshot::new(in_force, refused, &self.taps, &self.profiles));
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&snapshot);
        Some(Reloaded { snapshot, changes })
    }
}

impl Snapshot {
    fn new(in_force: InForce, refused: Vec<Refused>, taps: &config::Taps, profiles: &Arc<Profiles>) -> Self {
        let sets: Vec<Set> = in_force.sets.values().cloned().collect();
        let schema = &in_force.schema;
        let hashes: HashMap<&str, &Arc<str>> = sets.iter().map(|set| (set.name.as_str(), &set.hash)).collect();
        let built_in: Arc<str> = "builtin".into();
        let mut types = HashMap::new();
        let mut refused_taps = Vec::new();
        for (name, set) in schema.messages() {
            let (index, paths) = compile_taps(schema, name, taps, &mut refused_taps);
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
        Self { sets, refused, in_force, types, refused_taps }
    }

    /// Sets that were not admitted, by name.
    pub fn refused(&self) -> &[Refused] {
        &self.refused
    }

    /// Definitions that another set's outgrows, by full name.
    pub fn outgrown(&self) -> &[Outgrown] {
        self.in_force.schema.outgrown()
    }

    /// The set that serves each message type, the built-in ones left out, by full name.
    pub fn types(&self) -> Vec<(&str, &str)> {
        let own = self.in_force.schema.messages().filter(|(name, _)| !name.starts_with("google.protobuf."));
        let mut types: Vec<(&str, &str)> = own.collect();
        types.sort_unstable();
        types
    }

    /// What of an older snapshot this one breaks for those who read the JSON.
    pub fn breaking_changes(&self, older: &Self) -> Vec<Change> {
        self.in_force.schema.breaking_changes(&older.in_force.schema)
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
        self.in_force.schema.held()
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
            let first = path.split('.').next().unwrap_or(path);
            if !schema.has_field(name, first) {
                continue;
            }
            let plan = schema.plan(name, &Options::default()).expect("the type comes from this schema");
            match plan.with_tap(path) {
                Ok(_) => {
                    indices.push(paths.len());
                    paths.push(path.clone());
                }
                // The first segment is there, and a later one is not.
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
