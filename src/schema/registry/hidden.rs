//! The rule that a hidden field stays hidden.
//!
//! A profile hides fields by a path (`redact`, `drop`) or by the option `debug_redact` of the schema (`redact_marked`).
//! Both depend on the schema: if a new version of a set renames the field or removes the option, customers see the
//! value. So admission asks here which hidden fields a schema would show, and refuses the sets that show them, whatever
//! `descriptors.on_break` says. The configuration can accept the loss by the name of the field.

mod anys;
mod marks;
mod paths;

use std::collections::BTreeSet;
use std::sync::Arc;

use protojson::{Change, MarkedField, Rule, Schema};

pub use paths::UnmatchedPath;
pub(super) use paths::changes;
use paths::{HiddenPath, HidingPath};

use super::Profiles;

/// The rules of the configuration about hidden fields.
#[derive(Debug, Clone)]
pub(super) struct Hiding {
    profiles: Arc<Profiles>,
    paths: Vec<HidingPath>,
    /// The full names of hidden fields that may become visible.
    accepted: BTreeSet<String>,
}

/// Hidden fields that a later set must not show.
#[derive(Debug, Clone, Default)]
pub(super) struct Hidden {
    marked: Vec<MarkedField>,
    paths: Vec<HiddenPath>,
    /// The fields that hold Anys.
    anys: Vec<MarkedField>,
}

impl Hiding {
    /// Creates the rules of these profiles. `accepted` has the full names of the fields that may become visible.
    pub(super) fn new(profiles: &Arc<Profiles>, accepted: &[String]) -> Self {
        let (paths, accepted) = (HidingPath::all(profiles), accepted.iter().cloned().collect());
        Self { profiles: Arc::clone(profiles), paths, accepted }
    }

    /// Returns the fields of this schema that are hidden.
    pub(super) fn hidden_in(&self, schema: &Schema) -> Hidden {
        let (marked, paths) = (self.marked_in(schema), self.hidden_by_paths(schema));
        Hidden { marked, paths, anys: self.anys_in(schema) }
    }

    /// Returns the fields that the schema would show, or that a path is meant to hide and does not reach. `before` has
    /// the fields that were hidden until now.
    pub(super) fn exposed(&self, schema: &Schema, before: &Hidden) -> Vec<Change> {
        let mut exposed = self.shown_marked(schema, &before.marked);
        exposed.extend(self.shown_by_paths(schema, &before.paths));
        exposed.extend(self.shown_in_anys(schema, self.anys_in(schema), &before.anys));
        exposed.extend(self.missing(schema));
        exposed.extend(self.orphaned(schema, &before.paths));
        exposed
    }

    /// Returns those of the hidden fields that are gone: the schema does not hide exactly these fields. Admission
    /// remembers them, so that a set cannot remove, rename or move a field first and show it later.
    pub(super) fn gone(&self, schema: &Schema, mut hidden: Hidden) -> Hidden {
        let is_in = |now: &[MarkedField], field: &MarkedField| {
            now.binary_search_by(|known| known.key().cmp(&field.key())).is_ok()
        };
        let (marked, anys) = (self.marked_in(schema), self.anys_in(schema));
        hidden.marked.retain(|field| !is_in(&marked, field));
        hidden.anys.retain(|field| !is_in(&anys, field));
        hidden.paths.retain(|hidden| !self.is_hidden_by_path(schema, hidden));
        hidden
    }

    /// Returns the changes since an older schema that break consumers of the JSON of these profiles. Only profiles that hide
    /// marked fields depend on `debug_redact`.
    pub(super) fn breaking_changes(&self, schema: &Schema, older: &Schema) -> Vec<Change> {
        let mut changes = schema.breaking_changes(older);
        changes.retain(|change| change.rule != Rule::RedactionRemoved || self.hides_marked());
        changes
    }

    fn accepts(&self, message_type: &str, fields: &str) -> bool {
        self.accepted.contains(&format!("{message_type}.{fields}"))
    }

    fn hides_marked(&self) -> bool {
        self.profiles.options.iter().any(|options| options.redact_marked)
    }

    fn hide_marked(&self) -> String {
        let profiles = self.profiles.options.iter().enumerate().filter(|(_, options)| options.redact_marked);
        self.hide(&profiles.map(|(profile, _)| profile).collect::<Vec<_>>())
    }

    /// Returns the names of profiles as the subject of a sentence, and its verb.
    fn hide(&self, profiles: &[usize]) -> String {
        self.profiles.hide(profiles)
    }
}

impl Hidden {
    /// Adds other hidden fields.
    pub(super) fn extend(&mut self, other: &Self) {
        self.marked.extend_from_slice(&other.marked);
        self.paths.extend_from_slice(&other.paths);
        self.anys.extend_from_slice(&other.anys);
    }
}

fn change<'s>(message_type: &str, element: &str, text: String, sets: impl IntoIterator<Item = &'s str>) -> Change {
    Change {
        message_type: message_type.to_owned(),
        element: element.to_owned(),
        rule: Rule::RedactionRemoved,
        text,
        sets: sets.into_iter().map(str::to_owned).collect(),
    }
}

#[cfg(test)]
mod tests;
