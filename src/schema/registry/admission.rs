//! Admission: decides which version of each descriptor set is in force.
//!
//! Every team owns its own sets, so one bad set must not hold up the others: only the bad set is refused, and its version
//! in force stays in force. A set is refused if it does not link, if it contradicts another set, if it would show a hidden
//! field, or if it breaks consumers of the JSON and the policy is to refuse that.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use protojson::{Change, DescriptorSet, Rule, Schema};

use super::files::{self, Error, File};
use super::hidden::{Hidden, Hiding};
use crate::config::OnBreak;

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
    linked: DescriptorSet,
}

impl Set {
    /// Returns the number of `.proto` files that it was compiled from, imports included.
    pub fn files(&self) -> usize {
        self.linked.files()
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
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)?;
        match &self.in_force {
            Some(hash) => write!(f, "; version {hash} stays in force"),
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

/// Admits the files, and refuses those that cannot be admitted.
///
/// # Errors
/// Returns an error if no sets were in force before and no file can be admitted. It is the error of the first file.
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
    let (schema, changes) = loop {
        let schema = admission.join(&mut first_error);
        if let Some(reason) = admission.refuse_exposed(&hiding.exposed(&schema, &hidden)) {
            first_error.get_or_insert(Error::ShowsHiddenField(reason));
            continue;
        }
        let changes = before.map(|before| schema.breaking_changes(&before.schema)).unwrap_or_default();
        if policy == OnBreak::Warn || !admission.refuse_breaks(&changes) {
            break (schema, changes);
        }
    };
    if let (None, true, Some(error)) = (before, admission.sets.is_empty(), first_error) {
        return Err(error);
    }
    let changes = changes.into_iter().filter(|change| hiding.concerns(change)).collect();
    let gone = Hiding::gone(&schema, hidden);
    let in_force = InForce { sets: admission.sets, schema, gone };
    Ok(Admitted { in_force, refused: admission.refused.into_values().collect(), changes })
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
                let (name, bytes, since) = (file.name.clone(), bytes.len(), SystemTime::now());
                self.sets.insert(name.clone(), Set { name, hash, bytes, since, linked });
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
        self.refused.insert(name.to_owned(), Refused { name: name.to_owned(), hash, reason, in_force });
    }

    /// Whether the set of this name is not the version in force.
    fn is_new(&self, name: &str) -> bool {
        let before = self.in_force(name).map(|known| &known.hash);
        self.sets.get(name).is_some_and(|set| Some(&set.hash) != before)
    }

    /// Joins the sets to a schema. Refuses sets that contradict others, one by one, and new versions first.
    fn join(&mut self, first_error: &mut Option<Error>) -> Schema {
        loop {
            let error = match Schema::join(self.sets.values().map(|set| &set.linked)) {
                Ok(schema) => return schema,
                Err(error) => error,
            };
            let other = error.other().filter(|other| !self.is_new(error.set()) && self.is_new(other));
            let culprit = other.unwrap_or(error.set()).to_owned();
            let hash = self.sets.get(&culprit).map(|set| Arc::clone(&set.hash));
            if self.is_new(&culprit) {
                self.refuse(&culprit, hash, error.to_string());
            } else {
                // This version is in force already. It contradicts another set that returned to its version in force.
                self.sets.remove(&culprit);
                let name = culprit.clone();
                self.refused.insert(culprit, Refused { name, hash, reason: error.to_string(), in_force: None });
            }
            first_error.get_or_insert(error.into());
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

    /// Returns the name of the first set that has changed.
    fn any_changed(&self) -> Option<String> {
        let in_force = self.before.iter().flat_map(|before| before.sets.keys());
        self.sets.keys().chain(in_force).filter(|name| self.has_changed(name)).min().cloned()
    }

    /// Refuses a set that shows one of these hidden fields, if there is any. Returns the reason.
    fn refuse_exposed(&mut self, exposed: &[Change]) -> Option<String> {
        let blamed = |change: &Change| change.sets.iter().find(|name| self.has_changed(name)).cloned();
        let found = exposed.iter().find_map(|change| Some((change, blamed(change)?)));
        // If no set on the path of a field has changed, another one has: no set that can show the field is admitted.
        let (change, name) = found.or_else(|| Some((exposed.first()?, self.any_changed()?)))?;
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
