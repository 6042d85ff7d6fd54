//! The fields that the paths of `drop` and `redact` hide.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use protojson::{Change, FieldPath, Rule, Schema, Trail, Visibility};

use super::{Hiding, Profiles, change};
use crate::config::Warning;

/// A path of `drop` or `redact`.
#[derive(Debug, Clone)]
pub(super) struct HidingPath {
    text: String,
    /// The numbers of the profiles that have the path.
    profiles: Vec<usize>,
    /// The key of the path in the first of these profiles, such as `profiles.web.redact`.
    key: String,
}

/// The field that a path hides in one message type.
#[derive(Debug, Clone)]
pub(super) struct HiddenPath {
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
    /// Returns the fields of this schema that paths hide.
    pub(super) fn hidden_by_paths(&self, schema: &Schema) -> Vec<HiddenPath> {
        let mut paths = Vec::new();
        for (path, text) in self.paths.iter().map(HidingPath::parsed).enumerate() {
            for message_type in types_of(schema, text) {
                // The definitions that do not serve count too, because their paths hide the same numbers.
                let complete = schema.trails(message_type, text).into_iter().filter(|trail| trail.is_complete);
                paths.extend(complete.map(|trail| HiddenPath { path, message_type: message_type.to_owned(), trail }));
            }
        }
        paths
    }

    /// Returns those of the fields that the schema shows.
    pub(super) fn shown_by_paths(&self, schema: &Schema, before: &[HiddenPath]) -> Vec<Change> {
        before.iter().filter_map(|hidden| self.shown_by_path(schema, hidden)).collect()
    }

    /// Whether the path leads to the same field in this schema.
    pub(super) fn is_hidden_by_path(&self, schema: &Schema, hidden: &HiddenPath) -> bool {
        let trails = schema.trails(&hidden.message_type, self.paths[hidden.path].parsed());
        trails.iter().any(|trail| trail.is_complete && trail.numbers == hidden.trail.numbers)
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
    pub(super) fn missing(&self, schema: &Schema) -> Vec<Change> {
        let mut missing = Vec::new();
        for path in self.paths.iter().filter(|path| path.parsed().types().is_some()) {
            let fields = path.parsed().fields();
            let is_exact = path.parsed().types().is_some_and(|types| !types.contains('*'));
            for message_type in types_of(schema, path.parsed()).filter(|name| !self.accepts(name, fields)) {
                // A pattern of types is written for the types of a package, and `*` matches the types inside them too.
                if !is_exact && is_nested(schema, message_type) {
                    continue;
                }
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
    pub(super) fn orphaned(&self, schema: &Schema, before: &[HiddenPath]) -> Vec<Change> {
        let unmatched: Vec<usize> = self.unmatched_in(schema).collect();
        let orphaned = before.iter().filter(|hidden| unmatched.contains(&hidden.path));
        let gone = orphaned.filter(|hidden| !schema.contains(&hidden.message_type));
        let changes = gone.map(|HiddenPath { path, message_type, trail }| {
            let path = &self.paths[*path];
            let text = format!("{} `{path}`, and no other message type has that path", self.hide(&path.profiles));
            change(message_type, path.parsed().fields(), text, trail.sets.iter().map(String::as_str))
        });
        changes.collect()
    }

    /// Returns the paths of `drop` and `redact` that are meant for any type and that match none.
    pub(in crate::schema::registry) fn unmatched(&self, schema: &Schema) -> Vec<UnmatchedPath> {
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
    pub(in crate::schema::registry) fn warnings(&self, schema: &Schema) -> Vec<Warning> {
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

    /// Whether the configuration accepts that a path matches nothing in some type.
    fn is_accepted(&self, path: &HidingPath) -> bool {
        let end = format!(".{}", path.parsed().fields());
        self.accepted.iter().any(|name| name.ends_with(&end))
    }
}

impl HidingPath {
    /// Returns the paths of these profiles.
    pub(super) fn all(profiles: &Profiles) -> Vec<Self> {
        let mut paths: Vec<Self> = Vec::new();
        for (number, (name, options)) in profiles.names.iter().zip(&profiles.options).enumerate() {
            for (list, texts) in [("drop", &options.drop), ("redact", &options.redact)] {
                for text in texts {
                    match paths.iter_mut().find(|known| known.text == *text) {
                        Some(known) => known.profiles.push(number),
                        None => paths.push(Self {
                            text: text.clone(),
                            profiles: vec![number],
                            key: format!("profiles.{name}.{list}"),
                        }),
                    }
                }
            }
        }
        paths
    }

    fn parsed(&self) -> FieldPath<'_> {
        FieldPath::new(&self.text)
    }
}

impl fmt::Display for HidingPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Returns the changes of redactions between two schemas that these profiles cause by their paths: the fields that
/// become visible, and those that become hidden.
pub(in crate::schema::registry) fn changes(profiles: &Arc<Profiles>, older: &Schema, newer: &Schema) -> Vec<Change> {
    let hiding = Hiding::new(profiles, &[]);
    let [before, now] = [older, newer].map(|schema| hiding.hidden_by_paths(schema));
    let known: BTreeMap<(usize, &str), &Trail> =
        before.iter().map(|hidden| ((hidden.path, &*hidden.message_type), &hidden.trail)).collect();
    let mut changes = hiding.shown_by_paths(newer, &before);
    changes.extend(hiding.shown_in_anys(newer, Vec::new(), &hiding.anys_in(older)));
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

/// Returns the full names of the types that a path is meant for, in no particular order. Leaves out the built-in types.
fn types_of<'s>(schema: &'s Schema, path: FieldPath<'s>) -> impl Iterator<Item = &'s str> {
    let names = schema.messages().map(|(name, _)| name);
    names.filter(move |name| path.starts_at(name) && !name.starts_with("google.protobuf."))
}

/// Whether a message type is declared inside another one.
fn is_nested(schema: &Schema, full_name: &str) -> bool {
    full_name.rsplit_once('.').is_some_and(|(around, _)| schema.contains(around))
}

/// Whether the path leads to a field in any of the types that it is meant for.
fn is_matched(schema: &Schema, path: FieldPath<'_>) -> bool {
    types_of(schema, path).any(|name| schema.trail(name, path).is_some_and(|trail| trail.is_complete))
}
