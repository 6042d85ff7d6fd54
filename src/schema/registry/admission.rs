//! Admission: decides which version of each descriptor set is in force.
//!
//! Every team owns its own sets, so one bad set must not hold up the others.
//!
//! - A set that does not link, or that breaks consumers of the JSON against the policy, is refused. The version before
//!   stays in force: that of the baseline, or without a baseline the one that this process had in force.
//! - A set that would show a hidden field is refused under every policy.
//! - A set that contradicts others is refused in part: [`Schema::reconcile`] decides by the content of the sets alone
//!   which definitions serve. What was in force before does not count, so all replicas agree.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use protojson::{Change, DescriptorSet, Reconciled, Rule, Schema, SchemaError};

use super::compiled::Compiled;
use super::files::{self, Error, File};
use super::hidden::{Hidden, Hiding};
use crate::config::{Descriptors, OnBreak};

/// A set in force.
#[derive(Debug, Clone)]
pub struct Set {
    /// The path of its file, relative to the folder.
    pub name: String,
    /// The first 16 hexadecimal digits of the SHA-256 of its bytes.
    pub hash: Arc<str>,
    /// Its size in bytes.
    pub bytes: usize,
    /// The time at which it came into force.
    pub since: SystemTime,
    compiled: Compiled,
    linked: DescriptorSet,
}

impl Set {
    /// Returns the number of `.proto` files that it was compiled from, imports included.
    pub fn files(&self) -> usize {
        self.linked.files()
    }

    /// Returns its bytes.
    pub fn compiled(&self) -> &Compiled {
        &self.compiled
    }
}

/// A set, or the removal of one, that was not admitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The path of the set's file, relative to the folder.
    pub name: String,
    /// The hash of the refused version; `None` for a removal, and for a file that is too large to read.
    pub hash: Option<Arc<str>>,
    /// The reason.
    pub reason: String,
    /// The hash of the version that stays in force, if there is one.
    pub in_force: Option<Arc<str>>,
    /// Whether the set is in force, apart from what the reason names.
    pub partly: bool,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)?;
        match &self.in_force {
            Some(hash) => write!(f, "; version {hash} stays in force"),
            None if self.partly => f.write_str("; its other types are in force"),
            None => f.write_str("; its types are unknown"),
        }
    }
}

/// The sets in force, and the schema that they form together.
#[derive(Debug, Clone)]
pub(super) struct InForce {
    pub(super) sets: BTreeMap<String, Set>,
    pub(super) schema: Schema,
    /// The hidden fields of types and fields that were in force before and are gone.
    gone: Hidden,
}

/// The result of an admission.
#[derive(Debug)]
pub(super) struct Admitted {
    pub(super) in_force: InForce,
    pub(super) refused: Vec<Refused>,
    /// The admitted changes that break consumers of the JSON.
    pub(super) changes: Vec<Change>,
    /// The types that no set can serve, each with the name of the set that defines it.
    pub(super) withheld: Vec<(String, String)>,
}

impl File {
    /// Returns a text that changes with the content of the file.
    pub(super) fn fingerprint(&self) -> String {
        match &self.content {
            Ok(bytes) => files::hash(bytes),
            Err(too_large) => too_large.fingerprint(),
        }
    }
}

/// Admits the files, and refuses those that cannot be admitted. `before` are the sets that a refused set is replaced
/// from, and that changes are compared with.
///
/// # Errors
/// Returns an error if there are no sets before and no file can be admitted. It is the error of the first file.
pub(super) fn admit(
    files: &[File],
    before: Option<&InForce>,
    policy: OnBreak,
    hiding: &Hiding,
) -> Result<Admitted, Error> {
    let mut admission = Admission { before, sets: BTreeMap::new(), refused: BTreeMap::new() };
    let mut first_error = None;
    for file in files {
        if let Err(error) = admission.offer(file) {
            first_error.get_or_insert(error);
        }
    }
    let mut hidden = before.map(|before| hiding.hidden_in(&before.schema)).unwrap_or_default();
    hidden.extend(&before.map(|before| before.gone.clone()).unwrap_or_default());
    let (joined, changes) = loop {
        let joined = admission.join();
        let exposed = |schema: &Schema| hiding.exposed(schema, &hidden);
        if let Some(reason) = admission.refuse_exposed(&exposed(&joined.schema), exposed) {
            first_error.get_or_insert(Error::ShowsHiddenField(reason));
            continue;
        }
        let changes = before.map(|before| hiding.breaking_changes(&joined.schema, &before.schema)).unwrap_or_default();
        if policy == OnBreak::Warn || !admission.refuse_breaks(&changes) {
            break (joined, changes);
        }
    };
    if let (None, true, Some(error)) = (before, admission.sets.is_empty(), first_error) {
        return Err(error);
    }
    admission.refuse_in_part(&joined);
    let Reconciled { schema, withheld, .. } = joined;
    let gone = hiding.gone(&schema, hidden);
    let in_force = InForce { sets: admission.sets, schema, gone };
    Ok(Admitted { in_force, refused: admission.refused.into_values().collect(), changes, withheld })
}

/// Loads the released sets. Sets that contradict each other are in force apart from the types that the contradiction
/// concerns, as they are in a service without released sets.
///
/// # Errors
/// Returns an error if a set cannot be read or is refused as a whole.
pub(super) fn baseline(settings: &Descriptors, path: &Path, hiding: &Hiding) -> Result<InForce, Error> {
    let invalid = |reason: String| Error::Baseline { reason };
    let settings = Descriptors { path: path.into(), ..settings.clone() };
    let files = files::read(&settings).map_err(|error| invalid(error.to_string()))?;
    let admitted = admit(&files, None, OnBreak::Warn, hiding).map_err(|error| invalid(error.to_string()))?;
    match admitted.refused.iter().find(|refused| !refused.partly) {
        Some(refused) => Err(invalid(refused.reason.clone())),
        None => Ok(admitted.in_force),
    }
}

struct Admission<'b> {
    before: Option<&'b InForce>,
    sets: BTreeMap<String, Set>,
    refused: BTreeMap<String, Refused>,
}

impl Admission<'_> {
    /// Returns the version in force of the set with this name.
    fn in_force(&self, name: &str) -> Option<&Set> {
        self.before?.sets.get(name)
    }

    /// Adds a file to the sets, if it links. A later step can still refuse it.
    fn offer(&mut self, file: &File) -> Result<(), Error> {
        let bytes = match &file.content {
            Ok(bytes) => bytes,
            Err(too_large) => {
                self.refuse(&file.name, None, too_large.to_string());
                return Err(too_large.clone().into());
            }
        };
        let hash: Arc<str> = file.fingerprint().into();
        if let Some(known) = self.in_force(&file.name).filter(|known| known.hash == hash) {
            self.sets.insert(file.name.clone(), known.clone());
            return Ok(());
        }
        match DescriptorSet::link(&file.name, bytes) {
            Ok(linked) => {
                let (name, compiled, since) = (file.name.clone(), Compiled::of(bytes), SystemTime::now());
                self.sets.insert(name.clone(), Set { name, hash, bytes: bytes.len(), since, compiled, linked });
                Ok(())
            }
            Err(error) => {
                self.refuse(&file.name, Some(hash), error.to_string());
                Err(error.into())
            }
        }
    }

    /// Refuses a set or its removal, and returns to the version in force.
    fn refuse(&mut self, name: &str, hash: Option<Arc<str>>, reason: String) {
        let known = self.in_force(name).cloned();
        let in_force = known.as_ref().map(|known| Arc::clone(&known.hash));
        match known {
            Some(known) => self.sets.insert(name.to_owned(), known),
            None => self.sets.remove(name),
        };
        self.refused.insert(name.to_owned(), Refused { name: name.to_owned(), hash, reason, in_force, partly: false });
    }

    /// Whether the set of this name is not the version in force.
    fn is_new(&self, name: &str) -> bool {
        let before = self.in_force(name).map(|known| &known.hash);
        self.sets.get(name).is_some_and(|set| Some(&set.hash) != before)
    }

    /// Joins the sets to a schema.
    fn join(&self) -> Reconciled {
        Schema::reconcile(self.sets.values().map(|set| &set.linked))
    }

    /// Notes the sets with definitions that contradict those that serve.
    fn refuse_in_part(&mut self, joined: &Reconciled) {
        let mut contradictions: BTreeMap<&str, Vec<&SchemaError>> = BTreeMap::new();
        for contradiction in &joined.contradictions {
            contradictions.entry(contradiction.set()).or_default().push(contradiction);
        }
        for (name, errors) in contradictions {
            let withheld: Vec<&str> =
                joined.withheld.iter().filter(|(_, set)| set == name).map(|(full_name, _)| &**full_name).collect();
            let mut reason = errors[0].to_string();
            if errors.len() > 1 {
                reason.push_str(&format!("; {} more of its definitions contradict other sets", errors.len() - 1));
            }
            if !withheld.is_empty() {
                reason.push_str(&format!("; these types are unknown because of that: {}", listed(&withheld)));
            }
            let extensions: Vec<&str> =
                joined.withheld_extensions.iter().filter(|(_, set)| set == name).map(|(name, _)| &**name).collect();
            if !extensions.is_empty() {
                reason.push_str(&format!("; these extensions are left out because of that: {}", listed(&extensions)));
            }
            match self.refused.get_mut(name) {
                // A newer version was refused, and the version in force contradicts another set.
                Some(refused) => refused.reason.push_str(&format!("; {reason}")),
                None => {
                    let hash = self.sets.get(name).map(|set| Arc::clone(&set.hash));
                    let name = name.to_owned();
                    let refused = Refused { name: name.clone(), hash, reason, in_force: None, partly: true };
                    self.refused.insert(name, refused);
                }
            }
        }
    }

    /// Whether the set of this name is in force and its file is gone.
    fn is_gone(&self, name: &str) -> bool {
        !self.sets.contains_key(name) && self.in_force(name).is_some()
    }

    /// Whether the set of this name is another version than the one in force, or its file is gone.
    fn has_changed(&self, name: &str) -> bool {
        self.is_gone(name) || self.is_new(name)
    }

    /// Returns the names of all sets that have changed, sorted.
    fn changed(&self) -> BTreeSet<&String> {
        let in_force = self.before.iter().flat_map(|before| before.sets.keys());
        self.sets.keys().chain(in_force).filter(|name| self.has_changed(name)).collect()
    }

    /// Returns the schema that the sets would form without the changes of some sets.
    fn join_without(&self, is_left_out: impl Fn(&String) -> bool) -> Schema {
        let kept = self.sets.iter().filter(|(name, _)| !is_left_out(name));
        let before = self.before.iter().flat_map(|before| &before.sets);
        let restored = before.filter(|(name, _)| is_left_out(name));
        Schema::reconcile(kept.chain(restored).map(|(_, set)| &set.linked)).schema
    }

    /// Returns one of these changes, which show hidden fields, and the name of the set that makes it. `exposed_in`
    /// returns such changes of a schema.
    ///
    /// A set on the path of a field can have changed in another way, and sets that are not on the path can show the
    /// field by a contradiction. So the sets that have changed are added one by one, those on the path first. The set
    /// that shows the field makes the change.
    fn find_exposing<'c>(
        &self,
        exposed: &'c [Change],
        exposed_in: impl Fn(&Schema) -> Vec<Change>,
    ) -> Option<(&'c Change, String)> {
        let changed = self.changed();
        let is_on_path = |change: &&Change| change.sets.iter().any(|name| changed.contains(name));
        let change = exposed.iter().find(is_on_path).or(exposed.first())?;
        let mut candidates: Vec<&String> = Vec::new();
        for name in change.sets.iter().filter(|name| changed.contains(name)).chain(changed.iter().copied()) {
            if !candidates.contains(&name) {
                candidates.push(name);
            }
        }
        let is_it = |other: &Change| (&other.message_type, &other.element) == (&change.message_type, &change.element);
        let shows = |added: &usize| {
            let (_, left_out) = candidates.split_at(added + 1);
            exposed_in(&self.join_without(|name| left_out.contains(&name))).iter().any(is_it)
        };
        // The last set shows the field if no set before it does.
        let last = candidates.len().checked_sub(1)?;
        let name = candidates[(0..last).find(shows).unwrap_or(last)];
        Some((change, name.clone()))
    }

    /// Refuses a set that shows one of these hidden fields, if there is any. Returns the reason.
    fn refuse_exposed(&mut self, exposed: &[Change], exposed_in: impl Fn(&Schema) -> Vec<Change>) -> Option<String> {
        let (change, name) = self.find_exposing(exposed, exposed_in)?;
        let field = format!("{}.{}", change.message_type, change.element);
        let what = if self.is_gone(&name) { "its removal" } else { "it" };
        let reason = format!(
            "descriptor set {name}: {what} can show a hidden field: {change}; undo the change, or correct the path of the profile; if customers may see the field, add `{field}` to `descriptors.may_become_visible`"
        );
        let hash = self.sets.get(&name).map(|set| Arc::clone(&set.hash));
        self.refuse(&name, hash, reason.clone());
        Some(reason)
    }

    /// Refuses the sets that make these changes. Returns whether it refused any.
    fn refuse_breaks(&mut self, changes: &[Change]) -> bool {
        let mut refused: BTreeSet<&str> = BTreeSet::new();
        // Hidden fields have their own rule, whatever the policy is.
        for change in changes.iter().filter(|change| change.rule != Rule::RedactionRemoved) {
            // A set that is refused already takes this change back as well, if it made it.
            if change.sets.iter().any(|name| refused.contains(name.as_str())) {
                continue;
            }
            let Some(name) = change.sets.iter().find(|name| self.has_changed(name)) else { continue };
            let hash = self.sets.get(name).map(|set| Arc::clone(&set.hash));
            let what = if self.is_gone(name) { "its removal" } else { "it" };
            let reason = format!(
                "descriptor set {name}: {what} breaks consumers of the JSON: {change}; undo the change, give the new form another name, or set `descriptors.on_break: warn`"
            );
            self.refuse(name, hash, reason);
            refused.insert(name);
        }
        !refused.is_empty()
    }
}

/// Returns the first of these names, and the number of the others.
fn listed(names: &[&str]) -> String {
    /// The largest number of names that a reason lists.
    const LISTED: usize = 5;
    match names.len() {
        count if count > LISTED => format!("{} and {} more", names[..LISTED].join(", "), count - LISTED),
        _ => names.join(", "),
    }
}
