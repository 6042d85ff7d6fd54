//! The rule that a hidden field stays hidden.
//!
//! A profile hides fields by a path (`redact`, `drop`) or by the option `debug_redact` of the schema (`redact_marked`).
//! Both depend on the schema: if a new version of a set renames the field or removes the option, customers see the
//! value. So admission asks here which hidden fields a schema would show, and refuses the sets that show them, whatever
//! `descriptors.on_break` says. The configuration can accept the loss by the name of the field.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use protojson::{Change, FieldPath, MarkedField, Rule, Schema, Trail, Visibility};

use super::Profiles;
use crate::config::Warning;

/// The rules of the configuration about hidden fields.
#[derive(Debug, Clone)]
pub(super) struct Hiding {
    profiles: Arc<Profiles>,
    paths: Vec<HidingPath>,
    /// The full names of hidden fields that may become visible.
    accepted: BTreeSet<String>,
}

/// A path of `drop` or `redact`.
#[derive(Debug, Clone)]
struct HidingPath {
    text: String,
    /// The numbers of the profiles that have the path.
    profiles: Vec<usize>,
    /// The key of the path in the first of these profiles, such as `profiles.web.redact`.
    key: String,
}

/// Hidden fields that a later set must not show.
#[derive(Debug, Clone, Default)]
pub(super) struct Hidden {
    marked: Vec<MarkedField>,
    paths: Vec<HiddenPath>,
}

/// The field that a path hides in one message type.
#[derive(Debug, Clone)]
struct HiddenPath {
    /// The index of the path in [`Hiding::paths`].
    path: usize,
    /// The full name of the message type.
    message_type: String,
    trail: Trail,
}

/// A path of `drop` or `redact` that matches no field of any message type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnmatchedPath {
    key: String,
    path: String,
}

impl fmt::Display for UnmatchedPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, path } = self;
        write!(
            f,
            "{key}: no message type has the field path `{path}`, so it hides nothing; correct it; if its type comes \
             later, write `TYPE/{path}` with the full name of the type"
        )
    }
}

impl Hiding {
    /// Creates the rules of these profiles. `accepted` has the full names of the fields that may become visible.
    pub(super) fn new(profiles: &Arc<Profiles>, accepted: &[String]) -> Self {
        let mut paths: Vec<HidingPath> = Vec::new();
        for (number, (name, options)) in profiles.names.iter().zip(&profiles.options).enumerate() {
            for (list, texts) in [("drop", &options.drop), ("redact", &options.redact)] {
                for text in texts {
                    match paths.iter_mut().find(|known| known.text == *text) {
                        Some(known) => known.profiles.push(number),
                        None => paths.push(HidingPath {
                            text: text.clone(),
                            profiles: vec![number],
                            key: format!("profiles.{name}.{list}"),
                        }),
                    }
                }
            }
        }
        Self { profiles: Arc::clone(profiles), paths, accepted: accepted.iter().cloned().collect() }
    }

    /// Returns the fields of this schema that are hidden.
    pub(super) fn hidden_in(&self, schema: &Schema) -> Hidden {
        let marked = if self.hides_marked() { schema.marked_fields() } else { Vec::new() };
        let mut paths = Vec::new();
        for (path, text) in self.paths.iter().map(HidingPath::parsed).enumerate() {
            for message_type in types_of(schema, text) {
                if let Some(trail) = schema.trail(message_type, text).filter(|trail| trail.is_complete) {
                    paths.push(HiddenPath { path, message_type: message_type.to_owned(), trail });
                }
            }
        }
        Hidden { marked, paths }
    }

    /// Returns the fields that the schema would show, or that a path is meant to hide and does not reach. `before` has
    /// the fields that were hidden until now.
    pub(super) fn exposed(&self, schema: &Schema, before: &Hidden) -> Vec<Change> {
        let shown = self.shown(schema, before);
        shown.into_iter().chain(self.missing(schema)).chain(self.orphaned(schema, before)).collect()
    }

    /// Returns the fields of `before` that the schema shows.
    fn shown(&self, schema: &Schema, before: &Hidden) -> Vec<Change> {
        let marked = before.marked.iter().filter(|field| !self.accepts(&field.message_type, &field.name));
        let marked = marked.filter_map(|field| {
            let set = schema.set_that_unmarks(field)?;
            let text = format!("the option debug_redact was removed, and {} it only by that", self.hide_marked());
            Some(change(&field.message_type, &field.name, text, field.sets.iter().map(String::as_str).chain([set])))
        });
        let paths = before.paths.iter().filter_map(|hidden| self.shown_by_path(schema, hidden));
        marked.chain(paths).collect()
    }

    fn shown_by_path(&self, schema: &Schema, hidden: &HiddenPath) -> Option<Change> {
        let HiddenPath { path, message_type, trail: before } = hidden;
        let path = &self.paths[*path];
        let fields = path.parsed().fields();
        if self.accepts(message_type, fields) {
            return None;
        }
        let trail = schema.trail(message_type, path.parsed())?;
        if trail.is_complete && trail.numbers == before.numbers {
            return None;
        }
        let is_shown = |profile: &usize| {
            let visibility = schema.visibility(message_type, &self.profiles.options[*profile], &before.numbers);
            // Without the field, nothing shows whether its value now comes in another one.
            visibility == Visibility::Visible || visibility == Visibility::Absent && !trail.is_complete
        };
        let profiles: Vec<usize> = path.profiles.iter().copied().filter(is_shown).collect();
        if profiles.is_empty() {
            return None;
        }
        let problem = match trail.is_complete {
            true => "which is the name of another field now",
            false => "which no longer leads to a field",
        };
        let text = format!("{} `{path}`, {problem}", self.hide(&profiles));
        Some(change(message_type, fields, text, trail.sets.iter().chain(&before.sets).map(String::as_str)))
    }

    /// Returns the fields that a path is meant to hide in a type, by the name of the type, and that the type does not
    /// have.
    fn missing(&self, schema: &Schema) -> Vec<Change> {
        let mut missing = Vec::new();
        for path in self.paths.iter().filter(|path| path.parsed().types().is_some()) {
            let fields = path.parsed().fields();
            for message_type in types_of(schema, path.parsed()).filter(|name| !self.accepts(name, fields)) {
                let Some(trail) = schema.trail(message_type, path.parsed()) else { continue };
                if !trail.is_complete {
                    let text = format!("{} `{path}`, and the type has no such field", self.hide(&path.profiles));
                    missing.push(change(message_type, fields, text, trail.sets.iter().map(String::as_str)));
                }
            }
        }
        missing.sort_by(|a, b| (&a.message_type, &a.element).cmp(&(&b.message_type, &b.element)));
        missing
    }

    /// Returns the fields whose types are gone, if their path is left without any type.
    fn orphaned(&self, schema: &Schema, before: &Hidden) -> Vec<Change> {
        let unmatched: Vec<usize> = self.unmatched_in(schema).collect();
        let orphaned = before.paths.iter().filter(|hidden| unmatched.contains(&hidden.path));
        let gone = orphaned.filter(|hidden| !schema.contains(&hidden.message_type));
        let changes = gone.map(|HiddenPath { path, message_type, trail }| {
            let path = &self.paths[*path];
            let text = format!("{} `{path}`, and no other message type has that path", self.hide(&path.profiles));
            change(message_type, path.parsed().fields(), text, trail.sets.iter().map(String::as_str))
        });
        changes.collect()
    }

    /// Returns those of the hidden fields that are gone: the schema does not have exactly their marks, or their types.
    /// Admission remembers them, so that a set cannot remove or rename a field first and show it later.
    pub(super) fn gone(schema: &Schema, mut hidden: Hidden) -> Hidden {
        hidden.marked.retain(|field| !schema.has_mark(field));
        hidden.paths.retain(|hidden| !schema.contains(&hidden.message_type));
        hidden
    }

    /// Returns the changes since an older schema that break consumers of the JSON of these profiles. Only profiles that hide
    /// marked fields depend on `debug_redact`.
    pub(super) fn breaking_changes(&self, schema: &Schema, older: &Schema) -> Vec<Change> {
        let mut changes = schema.breaking_changes(older);
        changes.retain(|change| change.rule != Rule::RedactionRemoved || self.hides_marked());
        changes
    }

    /// Returns the paths of `drop` and `redact` that are meant for any type and that match none.
    pub(super) fn unmatched(&self, schema: &Schema) -> Vec<UnmatchedPath> {
        let unmatched = self.unmatched_in(schema).map(|path| &self.paths[path]);
        unmatched.map(|path| UnmatchedPath { key: path.key.clone(), path: path.text.clone() }).collect()
    }

    /// Returns the indexes of these paths.
    fn unmatched_in<'h>(&'h self, schema: &'h Schema) -> impl Iterator<Item = usize> + 'h {
        let paths = self.paths.iter().enumerate().filter(|(_, path)| path.parsed().types().is_none());
        let unmatched = paths.filter(|(_, path)| !is_matched(schema, path.parsed()) && !self.is_accepted(path));
        unmatched.map(|(index, _)| index)
    }

    /// Returns the paths that match no field and are no error: paths of `include`, which hide more if they match less,
    /// paths of types that are not loaded yet, and paths whose fields may become visible. They can be typos.
    pub(super) fn warnings(&self, schema: &Schema) -> Vec<Warning> {
        let mut warnings = Vec::new();
        for (name, options) in self.profiles.names.iter().zip(&self.profiles.options) {
            let paths = options.include.iter().map(|path| FieldPath::new(path));
            for path in paths.filter(|path| !is_matched(schema, *path)) {
                let message = format!("no message type has the field path {path}");
                warnings.push(Warning::new(format!("profiles.{name}.include"), message));
            }
        }
        for HidingPath { key, text, .. } in &self.paths {
            let path = FieldPath::new(text);
            if is_matched(schema, path) {
                continue;
            }
            let message = match path.types() {
                Some(types) if types_of(schema, path).next().is_none() => {
                    format!("no descriptor set has a message type {types} yet, so `{path}` hides nothing")
                }
                _ => format!("no message type has the field path `{path}`, so it hides nothing"),
            };
            warnings.push(Warning::new(key, message));
        }
        warnings
    }

    fn accepts(&self, message_type: &str, fields: &str) -> bool {
        self.accepted.contains(&format!("{message_type}.{fields}"))
    }

    /// Whether the configuration accepts that a path matches nothing in some type.
    fn is_accepted(&self, path: &HidingPath) -> bool {
        let end = format!(".{}", path.parsed().fields());
        self.accepted.iter().any(|name| name.ends_with(&end))
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

impl HidingPath {
    fn parsed(&self) -> FieldPath<'_> {
        FieldPath::new(&self.text)
    }
}

impl fmt::Display for HidingPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Hidden {
    /// Adds other hidden fields.
    pub(super) fn extend(&mut self, other: &Self) {
        self.marked.extend_from_slice(&other.marked);
        self.paths.extend_from_slice(&other.paths);
    }
}

/// Returns the changes of redactions between two schemas that these profiles cause by their paths: the fields that
/// become visible, and those that become hidden.
pub(super) fn changes(profiles: &Arc<Profiles>, older: &Schema, newer: &Schema) -> Vec<Change> {
    let hiding = Hiding::new(profiles, &[]);
    let [Hidden { paths: before, .. }, Hidden { paths: now, .. }] =
        [older, newer].map(|schema| hiding.hidden_in(schema));
    let known: BTreeMap<(usize, &str), &Trail> =
        before.iter().map(|hidden| ((hidden.path, &*hidden.message_type), &hidden.trail)).collect();
    let mut changes: Vec<Change> = before.iter().filter_map(|hidden| hiding.shown_by_path(newer, hidden)).collect();
    for HiddenPath { path, message_type, trail } in &now {
        if older.contains(message_type) && !known.contains_key(&(*path, message_type)) {
            let path = &hiding.paths[*path];
            let text = format!("{} `{path}`, which led to no field", hiding.hide(&path.profiles));
            let sets = trail.sets.iter().map(String::as_str);
            let added = change(message_type, path.parsed().fields(), text, sets);
            changes.push(Change { rule: Rule::RedactionAdded, ..added });
        }
    }
    changes
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

/// Returns the full names of the types that a path is meant for, in no particular order. Leaves out the built-in types.
fn types_of<'s>(schema: &'s Schema, path: FieldPath<'s>) -> impl Iterator<Item = &'s str> {
    let names = schema.messages().map(|(name, _)| name);
    names.filter(move |name| path.starts_at(name) && !name.starts_with("google.protobuf."))
}

/// Whether the path leads to a field in any of the types that it is meant for.
fn is_matched(schema: &Schema, path: FieldPath<'_>) -> bool {
    types_of(schema, path).any(|name| schema.trail(name, path).is_some_and(|trail| trail.is_complete))
}

#[cfg(test)]
mod tests;
