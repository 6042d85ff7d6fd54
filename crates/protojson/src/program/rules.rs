//! Which fields a profile leaves out or hides, as a tree along the message's fields.

/// What happens to a field.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is written.
    #[default]
    Kept,
    /// It is left out.
    Dropped,
    /// It is written without its value.
    Redacted,
}

/// The rules for the fields of one message, and of the messages inside it.
#[derive(Debug, Clone, Default)]
pub(super) struct Rules {
    fate: Fate,
    /// Whether only what is listed is kept; of what an included path leads through, nothing else.
    includes: bool,
    /// Whether this field, and all inside, is on the list.
    is_included: bool,
    fields: Vec<(String, Rules)>,
    /// The path that ends here, with its number among all paths.
    ends: Vec<usize>,
}

impl Rules {
    /// The tree of these paths. Their numbers count through `include`, `drop` and `redact`, one after the other.
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

    /// Whether there is no rule at all.
    pub(super) fn is_empty(&self) -> bool {
        self.fields.is_empty() && !self.includes
    }

    /// What happens to a field of this message, the rules inside it, and the numbers of the paths that end in it.
    pub(super) fn of(&self, field: &str) -> (Fate, Option<&Self>, &[usize]) {
        let Some((_, rules)) = self.fields.iter().find(|(known, _)| known == field) else {
            return (if self.includes { Fate::Dropped } else { Fate::Kept }, None, &[]);
        };
        let on_the_way = rules.includes || rules.is_included;
        let fate = if self.includes && !on_the_way { Fate::Dropped } else { rules.fate };
        // All that is inside an included field is included, but it may still be dropped or redacted by a longer path.
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
    fn what_is_dropped_or_redacted_is_and_the_rest_is_kept() {
        check(
            &[],
            &["a.b"],
            &["c"],
            &[("a", Fate::Kept), ("a.b", Fate::Dropped), ("a.x", Fate::Kept), ("c", Fate::Redacted), ("d", Fate::Kept)],
        );
    }

    #[test]
    fn an_include_list_keeps_only_what_it_names_and_the_way_there() {
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
