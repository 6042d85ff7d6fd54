//! The rules about which fields a profile includes, drops or redacts, as a tree that follows the message's fields.

use crate::schema::FieldDescriptor;
use crate::{FieldPath, Options};

/// The treatment of a field.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Fate {
    /// The field is written.
    #[default]
    Kept,
    /// The field is left out.
    Dropped,
    /// The field is written without its value.
    Redacted,
}

/// The rules for one field and the fields inside it.
#[derive(Debug, Clone, Default)]
pub(super) struct Rules {
    fate: Fate,
    /// Whether an include list applies here: of the fields inside, only the listed ones are kept.
    includes: bool,
    /// Whether an include path ends here, so that this field and all fields inside it are kept.
    is_included: bool,
    fields: Vec<(String, Rules)>,
}

impl Rules {
    /// Builds the tree of the paths that start at the message type with this full name.
    pub(super) fn new(full_name: &str, include: &[String], drop: &[String], redact: &[String]) -> Self {
        // If no path of an include list starts at the type, none of its fields is written.
        let mut root = Self { includes: !include.is_empty(), ..Self::default() };
        for (paths, fate) in [(include, Fate::Kept), (drop, Fate::Dropped), (redact, Fate::Redacted)] {
            let paths = paths.iter().map(|path| FieldPath::new(path));
            for path in paths.filter(|path| path.starts_at(full_name)) {
                let is_include = fate == Fate::Kept;
                let leaf = root.descend(path.names(), is_include);
                if is_include {
                    leaf.is_included = true;
                } else {
                    leaf.fate = fate;
                }
            }
        }
        root
    }

    /// Gives this fate to the fields that these names lead to.
    pub(super) fn hide(&mut self, places: &[Vec<String>], fate: Fate) {
        for place in places {
            let leaf = self.descend(place.iter().map(String::as_str), false);
            // A field that is dropped shows less than one that is redacted.
            if leaf.fate != Fate::Dropped {
                leaf.fate = fate;
            }
        }
    }

    fn descend<'n>(&mut self, names: impl Iterator<Item = &'n str>, includes: bool) -> &mut Self {
        let mut at = self;
        for name in names {
            at.includes |= includes;
            let known = at.fields.iter().position(|(field, _)| field == name);
            let index = known.unwrap_or_else(|| {
                at.fields.push((name.to_owned(), Self::default()));
                at.fields.len() - 1
            });
            at = &mut at.fields[index].1;
        }
        at
    }

    /// Whether no rule applies inside.
    pub(super) fn is_empty(&self) -> bool {
        self.fields.is_empty() && !self.includes
    }

    /// Whether include paths continue inside the field, so that a value without fields has nothing that is included.
    pub(super) fn keeps_only_parts(&self) -> bool {
        self.includes && !self.is_included
    }

    /// Returns the treatment of a field of this message, and the rules inside the field.
    pub(super) fn of(&self, field: &str) -> (Fate, Option<&Self>) {
        let Some((_, rules)) = self.fields.iter().find(|(known, _)| known == field) else {
            return (if self.includes { Fate::Dropped } else { Fate::Kept }, None);
        };
        let is_on_include_path = rules.includes || rules.is_included;
        let fate = if self.includes && !is_on_include_path { Fate::Dropped } else { rules.fate };
        // Everything inside an included field is included, but a longer path can still drop or redact a part of it.
        (fate, Some(rules).filter(|rules| !rules.is_empty()))
    }
}

/// Whether options drop or redact a value of a message type, or a message around the value. `fields` lead to the value.
pub(crate) fn hides(options: &Options, full_name: &str, fields: &[FieldDescriptor]) -> bool {
    let root = Rules::new(full_name, &[], &options.drop, &options.redact);
    let mut rules = Some(&root);
    fields.iter().any(|field| {
        let (fate, inside) = rules.map_or((Fate::Kept, None), |rules| rules.of(&field.declared_name()));
        rules = inside;
        fate != Fate::Kept || options.redact_marked && field.is_marked
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fate(rules: &Rules, path: &str) -> Fate {
        let mut at = Some(rules);
        let mut fate = Fate::Kept;
        for name in path.split('.') {
            let Some(rules) = at else { return fate };
            let (next, inside) = rules.of(name);
            fate = next;
            if fate != Fate::Kept {
                return fate;
            }
            at = inside;
        }
        fate
    }

    fn check(include: &[&str], drop: &[&str], redact: &[&str], expected: &[(&str, Fate)]) {
        let owned = |paths: &[&str]| paths.iter().map(|path| (*path).to_owned()).collect::<Vec<_>>();
        let rules = Rules::new("t.T", &owned(include), &owned(drop), &owned(redact));
        for (path, expected) in expected {
            assert_eq!(fate(&rules, path), *expected, "{path} of {include:?} {drop:?} {redact:?}");
        }
    }

    #[test]
    fn listed_fields_are_dropped_or_redacted_and_all_others_are_kept() {
        check(
            &[],
            &["a.b"],
            &["c"],
            &[("a", Fate::Kept), ("a.b", Fate::Dropped), ("a.x", Fate::Kept), ("c", Fate::Redacted), ("d", Fate::Kept)],
        );
    }

    #[test]
    fn an_include_list_keeps_the_listed_fields_and_their_parents() {
        check(
            &["a.b", "c"],
            &["c.secret"],
            &[],
            &[
                ("a", Fate::Kept),
                ("a.b", Fate::Kept),
                ("a.b.x", Fate::Kept),
                ("a.y", Fate::Dropped),
                ("c.x", Fate::Kept),
                ("c.secret", Fate::Dropped),
                ("d", Fate::Dropped),
            ],
        );
    }

    #[test]
    fn a_path_applies_only_to_the_types_that_it_names() {
        let (mine, other) = ("t.T/a".to_owned(), "t.Other/b".to_owned());
        check(&[], &[&mine], &[&other], &[("a", Fate::Dropped), ("b", Fate::Kept)]);
        // An include list applies to every type, so that a type without a path of its own shows nothing.
        check(&[&other], &[], &[], &[("a", Fate::Dropped), ("b", Fate::Dropped)]);
    }
}
