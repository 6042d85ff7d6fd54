//! The rules about which fields a profile includes, drops or redacts, as a tree that follows the message's fields.

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
    /// The numbers of the option paths that end here.
    ends: Vec<usize>,
}

impl Rules {
    /// Builds the tree of these paths. The numbers of the paths count through `include`, `drop` and `redact` in this
    /// order.
    pub(super) fn new(include: &[String], drop: &[String], redact: &[String]) -> Self {
        let mut root = Self { includes: !include.is_empty(), ..Self::default() };
        let mut number = 0;
        for (paths, fate) in [(include, Fate::Kept), (drop, Fate::Dropped), (redact, Fate::Redacted)] {
            for path in paths {
                let is_include = fate == Fate::Kept;
                let leaf = root.descend(path, is_include);
                leaf.ends.push(number);
                if is_include {
                    leaf.is_included = true;
                } else {
                    leaf.fate = fate;
                }
                number += 1;
            }
        }
        root
    }

    fn descend(&mut self, path: &str, includes: bool) -> &mut Self {
        let mut at = self;
        for name in path.split('.') {
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

    /// Returns the treatment of a field of this message, the rules inside the field, and the numbers of the paths that
    /// end in it.
    pub(super) fn of(&self, field: &str) -> (Fate, Option<&Self>, &[usize]) {
        let Some((_, rules)) = self.fields.iter().find(|(known, _)| known == field) else {
            return (if self.includes { Fate::Dropped } else { Fate::Kept }, None, &[]);
        };
        let is_on_include_path = rules.includes || rules.is_included;
        let fate = if self.includes && !is_on_include_path { Fate::Dropped } else { rules.fate };
        // Everything inside an included field is included, but a longer path can still drop or redact a part of it.
        (fate, Some(rules).filter(|rules| !rules.is_empty()), &rules.ends)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fate(rules: &Rules, path: &str) -> Fate {
        let mut at = Some(rules);
        let mut fate = Fate::Kept;
        for name in path.split('.') {
            let Some(rules) = at else { return fate };
            let (next, inside, _) = rules.of(name);
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
        let rules = Rules::new(&owned(include), &owned(drop), &owned(redact));
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
}
