//! The registry of message types: from a full name to a compiled event type.
//!
//! A [`Snapshot`] is immutable, and a reload replaces it as a whole. A message keeps the snapshot that it started with.
//! A plan of a type is compiled when the first event of the type is rendered in a profile, so a folder with thousands of
//! types costs little until they are used.

mod admission;
mod built_in;
mod compiled;
mod event_type;
mod files;
mod heartbeats;
mod hidden;
mod objects;
mod profiles;
mod taps;
mod trail;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, OnceLock};

use protojson::{Change, MarkedField, Outgrown, TapError};

use admission::{Admitted, InForce};
pub use admission::{Refused, Set};
pub use built_in::{BUILT_IN, CANARY, HEARTBEAT, wire_from_json};
pub use compiled::Compiled;
pub use event_type::EventType;
use event_type::Source;
pub use files::{Error, File, TooLarge, Unusable, hash, read};
pub use heartbeats::{HeartbeatTaps, IntervalTap, TapPaths};
use hidden::Hiding;
pub use hidden::UnmatchedPath;
pub use objects::{Known, Objects, Polled, Read, is_object};
pub use profiles::{ProfileId, Profiles, options};
pub use taps::TapIndex;
use taps::{all_paths, compile_taps};
pub use trail::{Admission, Decision};

use crate::base::Watched;
use crate::config::{self, Location};

/// The descriptor sets in force, and the folder or file that they come from.
#[derive(Debug)]
pub struct Registry {
    settings: config::Descriptors,
    taps: TapPaths,
    profiles: Arc<Profiles>,
    hiding: Hiding,
    /// The released sets, which the sets of the folder are compared with.
    baseline: Option<InForce>,
    sets: Watched<SetHashes, Snapshot>,
}

/// The names of descriptor sets and the hash of each. Two folders with the same hashes have the same content.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SetHashes(Vec<(String, String)>);

impl SetHashes {
    /// Hashes these files.
    pub fn of(files: &[File]) -> Self {
        Self(files.iter().map(|file| (file.name.clone(), file.fingerprint())).collect())
    }
}

/// The result of a reload that changed something.
#[derive(Debug)]
pub struct Reloaded {
    /// The new snapshot in force.
    pub snapshot: Arc<Snapshot>,
    /// The admitted changes that break consumers of the JSON.
    pub changes: Vec<Change>,
    /// The decisions about each set that changed.
    pub admissions: Vec<Arc<Admission>>,
}

/// All message types at one moment.
#[derive(Debug)]
pub struct Snapshot {
    sets: Vec<Set>,
    refused: Vec<Refused>,
    in_force: InForce,
    /// The types that no set can serve, by full name, with the name of the set that defines each.
    withheld: HashMap<String, String>,
    types: HashMap<Arc<str>, Arc<EventType>>,
    /// Tap paths that exist in a type but do not lead to a single value, each with the error of the first such type.
    refused_taps: Vec<(String, TapError)>,
    /// The rules of heartbeats that cannot be used for their types.
    heartbeat_problems: Vec<String>,
    /// The last decisions about sets, oldest first.
    trail: Vec<Arc<Admission>>,
}

impl Registry {
    /// Loads every descriptor set of the configured path, which is a folder or one file. Leaves out the sets that are not
    /// admitted; [`Snapshot::refused`] lists them with the reasons.
    ///
    /// # Errors
    /// Returns an error if the path cannot be read or has no set, if no set is admitted, or if a set of the baseline
    /// cannot be used.
    pub fn load(
        settings: &config::Descriptors,
        taps: impl Into<TapPaths>,
        profiles: Arc<Profiles>,
    ) -> Result<Self, Error> {
        Self::of(&files::read(settings)?, settings, taps, profiles)
    }

    /// Loads these files instead of those of the configured path.
    ///
    /// # Errors
    /// Returns an error if no set is admitted, or if a set of the baseline cannot be used.
    pub fn of(
        files: &[File],
        settings: &config::Descriptors,
        taps: impl Into<TapPaths>,
        profiles: Arc<Profiles>,
    ) -> Result<Self, Error> {
        let taps = taps.into();
        let hiding = Hiding::new(&profiles, &settings.may_become_visible);
        let baseline =
            settings.baseline.as_ref().map(|path| admission::baseline(settings, path, &hiding)).transpose()?;
        let mut admitted = admission::admit(files, baseline.as_ref(), settings.on_break, &hiding)?;
        let breaking = std::mem::take(&mut admitted.changes);
        let mut snapshot = Snapshot::new(admitted, &taps, &profiles, None);
        snapshot.trail = trail::after(None, &snapshot, &breaking).0;
        Ok(Self {
            settings: settings.clone(),
            taps,
            profiles,
            hiding,
            baseline,
            sets: Watched::new(SetHashes::of(files), snapshot),
        })
    }

    /// Returns the snapshot in force.
    pub fn current(&self) -> Arc<Snapshot> {
        self.sets.current()
    }

    /// Returns the place that the sets come from.
    pub fn location(&self) -> &Location {
        &self.settings.path
    }

    /// Returns a warning about the `.proto` files that are in the folder now, if there are any.
    pub fn source_warning(&self) -> Option<String> {
        files::source_warning(&self.settings)
    }

    /// Reads the files that are in the folder now.
    ///
    /// # Errors
    /// Returns an error if the folder cannot be read or has no set.
    pub fn read(&self) -> Result<Vec<File>, Error> {
        files::read(&self.settings)
    }

    /// Hashes the files that are in the folder now. Takes little memory, because it holds no file as a whole.
    ///
    /// # Errors
    /// Returns an error in the same cases as [`Registry::read`].
    pub fn hashes(&self) -> Result<SetHashes, Error> {
        files::hashes(&self.settings).map(SetHashes)
    }

    /// Returns the paths that hide fields, are meant for any type, and match no field in the sets in force. Returns none if a
    /// set was refused, because that set can have the fields.
    pub fn unmatched_paths(&self) -> Vec<UnmatchedPath> {
        let snapshot = self.current();
        if snapshot.refused.is_empty() { self.hiding.unmatched(&snapshot.in_force.schema) } else { Vec::new() }
    }

    /// Returns a warning for each field path of a profile that matches no field in the sets in force and is no error.
    /// It can be a typo.
    pub fn path_warnings(&self) -> Vec<config::Warning> {
        self.hiding.warnings(&self.current().in_force.schema)
    }

    /// Returns a warning for each tap that publishes the value of a field which a profile hides.
    pub fn tap_warnings(&self) -> Vec<config::Warning> {
        taps::warnings(&self.current(), &self.taps.taps, &self.profiles, &self.settings.may_become_visible)
    }

    /// Whether files with these hashes were offered last.
    pub fn is_current(&self, hashes: &SetHashes) -> bool {
        self.sets.is_current(hashes)
    }

    /// Admits these files. Returns `None` if they were offered last. A set that is refused is replaced by its version in
    /// the baseline, or without a baseline by its version in force. Messages in flight keep the snapshot that they started with.
    pub fn admit(&self, files: &[File]) -> Option<Reloaded> {
        let (mut breaking, mut admissions) = (Vec::new(), Vec::new());
        let admitted = self.sets.admit(SetHashes::of(files), |_| {
            let current = self.current();
            let before = self.baseline.as_ref().unwrap_or(&current.in_force);
            // This does not fail: an error is returned only if there are no sets before.
            let mut admitted = admission::admit(files, Some(before), self.settings.on_break, &self.hiding)?;
            breaking = match &self.baseline {
                Some(_) => self.hiding.breaking_changes(&admitted.in_force.schema, &current.in_force.schema),
                None => std::mem::take(&mut admitted.changes),
            };
            let mut snapshot = Snapshot::new(admitted, &self.taps, &self.profiles, Some(&current));
            (snapshot.trail, admissions) = trail::after(Some(&current), &snapshot, &breaking);
            Ok::<_, Error>(snapshot)
        });
        let snapshot = admitted.ok().flatten()?;
        Some(Reloaded { snapshot, changes: breaking, admissions })
    }
}

impl Snapshot {
    /// `before` is the snapshot that this one replaces.
    fn new(admitted: Admitted, taps: &TapPaths, profiles: &Arc<Profiles>, before: Option<&Self>) -> Self {
        let Admitted { in_force, refused, withheld, .. } = admitted;
        let sets: Vec<Set> = in_force.sets.values().cloned().collect();
        let schema = &in_force.schema;
        let source = Arc::new(Source { schema: schema.clone(), profiles: Arc::clone(profiles) });
        let no_taps: (Arc<TapIndex>, Arc<[String]>) = Default::default();
        let mut types = HashMap::new();
        let (mut refused_taps, mut heartbeat_problems) = (Vec::new(), Vec::new());
        let mut event_type = |name: &Arc<str>, fingerprint: &[u8; 32], source: &Arc<Source>| {
            let (index, paths) = compile_taps(&source.schema, name, taps, (&mut refused_taps, &mut heartbeat_problems));
            let (taps, paths) = if paths.is_empty() { no_taps.clone() } else { (index.into(), paths.into()) };
            let (name, schema_hash, source) = (Arc::clone(name), files::digits(fingerprint).into(), Arc::clone(source));
            let known = before.and_then(|before| before.types.get(&name));
            let last_event = known.map(|known| Arc::clone(&known.last_event)).unwrap_or_default();
            Arc::new(EventType { name, schema_hash, taps, paths, source, last_event, plans: OnceLock::new() })
        };
        for (name, fingerprint) in schema.fingerprints(files::sha256) {
            let of_set = event_type(&name, &fingerprint, &source);
            types.insert(name, of_set);
        }
        let withheld: HashMap<String, String> = withheld.into_iter().collect();
        let missing: Vec<_> = built_in::missing(&types, &withheld).collect();
        let ours = Arc::new(Source { schema: built_in::schema().clone(), profiles: Arc::clone(profiles) });
        for (name, fingerprint) in missing {
            types.insert(Arc::clone(name), event_type(name, fingerprint, &ours));
        }
        types.shrink_to_fit();
        Self { sets, refused, in_force, withheld, types, refused_taps, heartbeat_problems, trail: Vec::new() }
    }

    /// Creates a snapshot of the built-in types only, for a process that reads no descriptor sets.
    pub fn built_in(profiles: &Arc<Profiles>) -> Arc<Self> {
        let admitted = admission::admit(&[], None, config::OnBreak::Warn, &Hiding::new(profiles, &[]));
        Arc::new(Self::new(admitted.expect("there is no file to refuse"), &TapPaths::default(), profiles, None))
    }

    /// Creates a snapshot without types of descriptor sets.
    #[cfg(test)]
    pub(crate) fn empty() -> Arc<Self> {
        Self::built_in(&Arc::new(Profiles::new(&Default::default())))
    }

    /// Returns the reason why a type is unknown, for people.
    pub fn why_unknown(&self, name: &str) -> String {
        match self.withheld.get(full_name(name)) {
            Some(set) => format!(
                "{name} is in force nowhere, because descriptor set {set} contradicts another set in it or in a type \
                 that it holds; `/schemas` names the contradiction"
            ),
            None => format!("no descriptor set defines {name}"),
        }
    }

    /// Returns the last decisions about sets, oldest first.
    pub fn trail(&self) -> &[Arc<Admission>] {
        &self.trail
    }

    /// Returns the sets that were not admitted, by name.
    pub fn refused(&self) -> &[Refused] {
        &self.refused
    }

    /// Returns the definitions that are not used because another set has a newer one, by full name.
    pub fn outgrown(&self) -> &[Outgrown] {
        self.in_force.schema.outgrown()
    }

    /// Returns the full names of the fields that are written under their declared names because another field of their
    /// message has the same JSON name, sorted.
    pub fn json_name_clashes(&self) -> Vec<String> {
        self.in_force.schema.json_name_clashes()
    }

    /// Returns the fields that are hidden as a whole where profiles hide marked fields, because in some set they lead to
    /// a marked field, and they serve with another type.
    pub fn contradicted_fields(&self) -> Vec<MarkedField> {
        self.in_force.schema.contradicted_fields()
    }

    /// Returns each message type with the name of the set that defines it, sorted by full name. Leaves out the built-in
    /// types.
    pub fn types(&self) -> Vec<(&str, &str)> {
        let defined = self.in_force.schema.messages().filter(|(name, _)| !name.starts_with("google.protobuf."));
        let mut types: Vec<(&str, &str)> = defined.collect();
        types.sort_unstable();
        types
    }

    /// Returns the changes since an older snapshot that break consumers of the JSON, and the redactions that were added.
    pub fn changes(&self, older: &Self) -> Vec<Change> {
        self.in_force.schema.changes(&older.in_force.schema)
    }

    /// Returns the redactions that the paths of these profiles gain or lose since an older snapshot.
    pub fn redaction_changes(&self, older: &Self, profiles: &Arc<Profiles>) -> Vec<Change> {
        hidden::changes(profiles, &older.in_force.schema, &self.in_force.schema)
    }

    /// Returns the full names of all messages of the `.proto` file that defines this message, sorted, if a descriptor set
    /// has it. Nested messages, map entries and groups count.
    pub fn messages_beside(&self, name: &str) -> Option<Vec<Arc<str>>> {
        self.in_force.schema.messages_beside(name)
    }

    /// Returns the event type with this full name. Ignores a leading dot and the prefix of an Any URL.
    pub fn find(&self, name: &str) -> Option<&Arc<EventType>> {
        self.types.get(full_name(name))
    }

    /// Returns the full names of all types, sorted. Leaves out the built-in types that no set defines.
    pub fn type_names(&self) -> Vec<&str> {
        self.types().into_iter().map(|(name, _)| name).collect()
    }

    /// Returns the full names of the types that are the type of another type's field.
    pub fn held(&self) -> BTreeSet<String> {
        self.in_force.schema.held()
    }

    /// Returns the descriptor set whose definition of a type serves; `None` if the type is built in.
    pub fn set_of(&self, event_type: &EventType) -> Option<&Set> {
        let name = self.in_force.schema.set_of(&event_type.name)?;
        self.set(name)
    }

    /// Returns the descriptor set in force with this name.
    pub fn set(&self, name: &str) -> Option<&Set> {
        let index = self.sets.binary_search_by(|set| set.name.as_str().cmp(name)).ok()?;
        self.sets.get(index)
    }

    /// Returns the descriptor sets in force, sorted by name.
    pub fn sets(&self) -> &[Set] {
        &self.sets
    }

    /// Returns a line for each rule of heartbeats whose type is known and does not have the fields of the rule.
    pub fn heartbeat_problems(&self) -> &[String] {
        &self.heartbeat_problems
    }

    /// Returns all event types, in no particular order. The built-in types are among them.
    pub fn event_types(&self) -> impl Iterator<Item = &Arc<EventType>> {
        self.types.values()
    }

    /// Returns the tap paths that are used in no type, each with the reason if the path exists in a type. They are most
    /// likely typos.
    pub fn unused_taps<'t>(&self, taps: &'t config::Taps) -> Vec<(&'t str, Option<&TapError>)> {
        let used = |path: &str| self.types.values().any(|known| known.paths.iter().any(|p| p == path));
        let refused = |path: &str| self.refused_taps.iter().find(|(refused, _)| refused == path);
        let unused = all_paths(taps).filter(|path| !used(path));
        unused.map(|path| (path, refused(path).map(|(_, error)| error))).collect()
    }
}

/// Returns the full name in a name that can have a leading dot or the prefix of an Any URL.
fn full_name(name: &str) -> &str {
    let name = name.rsplit_once('/').map_or(name, |(_, name)| name);
    name.strip_prefix('.').unwrap_or(name)
}

#[cfg(test)]
#[path = "registry/tests.rs"]
mod tests;

#[cfg(test)]
#[path = "registry/agreement.rs"]
mod agreement;
