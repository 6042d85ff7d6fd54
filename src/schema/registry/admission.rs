//! Admission: which version of which descriptor set is in force.
//!
//! Every team owns its own sets, so one bad set must not hold up the others: it is refused by itself, and what was in
//! force under its name stays. A set is refused when it does not link, when it contradicts another, or when it breaks
//! those who read the JSON and the policy says that this is not done.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use protojson::{Change, DescriptorSet, Schema, SchemaError};
use sha2::{Digest as _, Sha256};

use super::files::File;
use crate::config::OnBreak;

/// A set in force.
#[derive(Debug, Clone)]
pub struct Set {
    /// Its file, relative to the folder.
    pub name: String,
    /// SHA-256 of its bytes; the first 16 hexadecimal digits.
    pub hash: Arc<str>,
    /// How many bytes it has.
    pub bytes: usize,
    /// When it came into force.
    pub since: SystemTime,
    linked: DescriptorSet,
}

impl Set {
    /// How many `.proto` files it was compiled from, imports included.
    pub fn files(&self) -> usize {
        self.linked.files()
    }
}

/// A set, or the removal of one, that was not admitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The set's file, relative to the folder.
    pub name: String,
    /// Hash of what was refused; none for a removal.
    pub hash: Option<Arc<str>>,
    /// Why.
    pub reason: String,
    /// Hash of what stays in force under this name, if anything does.
    pub in_force: Option<Arc<str>>,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)?;
        match &self.in_force {
            Some(hash) => write!(f, "; version {hash} stays in force"),
            None => f.write_str("; its types are not known"),
        }
    }
}

/// The sets in force and what they make together.
#[derive(Debug, Clone)]
pub(super) struct InForce {
    pub(super) sets: BTreeMap<String, Set>,
    pub(super) schema: Schema,
}

/// What came of looking at the files.
#[derive(Debug)]
pub(super) struct Admitted {
    pub(super) in_force: InForce,
    pub(super) refused: Vec<Refused>,
    /// What was admitted and breaks those who read the JSON.
    pub(super) changes: Vec<Change>,
}

/// Hash of a set's bytes: the first 16 hexadecimal digits of SHA-256.
pub(super) fn hash(bytes: &[u8]) -> Arc<str> {
    let text: String = Sha256::digest(bytes)[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    text.into()
}

/// Admits what is in the files, as far as it can be.
///
/// # Errors
/// When nothing was in force before, and no set can be admitted: why the first of them cannot.
pub(super) fn admit(files: &[File], before: Option<&InForce>, policy: OnBreak) -> Result<Admitted, SchemaError> {
    let mut admission = Admission { before, sets: BTreeMap::new(), refused: BTreeMap::new() };
    let mut first_error = None;
    for file in files {
        if let Err(error) = admission.offer(file) {
            first_error.get_or_insert(error);
        }
    }
    let mut schema = admission.join(&mut first_error);
    let mut changes = Vec::new();
    if let Some(before) = before {
        changes = schema.breaking_changes(&before.schema);
        while policy == OnBreak::Refuse && admission.refuse_breaks(&changes) {
            schema = admission.join(&mut first_error);
            changes = schema.breaking_changes(&before.schema);
        }
    } else if let (true, Some(error)) = (admission.sets.is_empty(), first_error) {
        return Err(error);
    }
    let in_force = InForce { sets: admission.sets, schema };
    Ok(Admitted { in_force, refused: admission.refused.into_values().collect(), changes })
}

struct Admission<'b> {
    before: Option<&'b InForce>,
    sets: BTreeMap<String, Set>,
    refused: BTreeMap<String, Refused>,
}

impl Admission<'_> {
    /// What is in force under this name.
    fn known(&self, name: &str) -> Option<&Set> {
        self.before?.sets.get(name)
    }

    /// Takes a file for the time being.
    fn offer(&mut self, file: &File) -> Result<(), SchemaError> {
        let hash = hash(&file.bytes);
        if let Some(known) = self.known(&file.name).filter(|known| known.hash == hash) {
            self.sets.insert(file.name.clone(), known.clone());
            return Ok(());
        }
        match DescriptorSet::link(&file.name, &file.bytes) {
            Ok(linked) => {
                let (name, bytes, since) = (file.name.clone(), file.bytes.len(), SystemTime::now());
                self.sets.insert(name.clone(), Set { name, hash, bytes, since, linked });
                Ok(())
            }
            Err(error) => {
                self.refuse(&file.name, Some(hash), error.to_string());
                Err(error)
            }
        }
    }

    /// Goes back to what was in force under a name.
    fn refuse(&mut self, name: &str, hash: Option<Arc<str>>, reason: String) {
        let known = self.known(name).cloned();
        let in_force = known.as_ref().map(|known| Arc::clone(&known.hash));
        match known {
            Some(known) => self.sets.insert(name.to_owned(), known),
            None => self.sets.remove(name),
        };
        self.refused.insert(name.to_owned(), Refused { name: name.to_owned(), hash, reason, in_force });
    }

    /// Whether the set of this name is another than before.
    fn is_new(&self, name: &str) -> bool {
        let before = self.known(name).map(|known| &known.hash);
        self.sets.get(name).is_some_and(|set| Some(&set.hash) != before)
    }

    /// Joins the sets; those that contradict others are refused one by one, the newer first.
    fn join(&mut self, first_error: &mut Option<SchemaError>) -> Schema {
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
                // It was in force, and another went back to what it was before.
                self.sets.remove(&culprit);
                let name = culprit.clone();
                self.refused.insert(culprit, Refused { name, hash, reason: error.to_string(), in_force: None });
            }
            first_error.get_or_insert(error);
        }
    }

    /// Refuses the sets that bring these changes. Says whether there was one.
    fn refuse_breaks(&mut self, changes: &[Change]) -> bool {
        let Some(before) = self.before else { return false };
        let served: BTreeMap<&str, &str> = before.schema.messages().collect();
        let mut refused = false;
        for change in changes {
            let Some(name) = served.get(change.message_type.as_str()).map(|name| (*name).to_owned()) else { continue };
            let is_gone = !self.sets.contains_key(&name) && self.known(&name).is_some();
            if is_gone || self.is_new(&name) {
                let hash = self.sets.get(&name).map(|set| Arc::clone(&set.hash));
                let what = if is_gone { "its removal" } else { "it" };
                let reason = format!(
                    "descriptor set {name}: {what} breaks those who read the JSON: {change}; undo the change, give the new form another name, or set `descriptors.on_break: warn`"
                );
                self.refuse(&name, hash, reason);
                refused = true;
            }
        }
        refused
    }
}
