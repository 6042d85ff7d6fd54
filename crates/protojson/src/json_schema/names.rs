//! Names of definitions.

use std::collections::{HashMap, HashSet};

/// The names of the definitions of one document.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// The name of each type, by its full name.
    known: HashMap<String, String>,
    taken: HashSet<String>,
}

impl Names {
    /// Returns the name of a type. Two types can differ in nothing but dots and underscores; then the later one gets a
    /// number.
    pub(super) fn of(&mut self, full_name: &str) -> String {
        if let Some(name) = self.known.get(full_name) {
            return name.clone();
        }
        let token = token(full_name);
        let mut name = token.clone();
        let mut count = 1;
        while !self.taken.insert(name.clone()) {
            count += 1;
            name = format!("{token}_{count}");
        }
        self.known.insert(full_name.to_owned(), name.clone());
        name
    }
}

/// Returns a name that is valid in references and as the key of an AsyncAPI component. It has no dots, because code
/// generators make names of types of it.
pub(super) fn token(name: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    name.chars().map(|c| if fits(c) { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_that_differ_in_dots_only_have_distinct_names() {
        let mut names = Names::default();
        assert_eq!(names.of("a.b_c"), "a_b_c");
        assert_eq!(names.of("a.b.c"), "a_b_c_2");
        assert_eq!((names.of("a.b_c"), names.of("a.b.c")), ("a_b_c".to_owned(), "a_b_c_2".to_owned()));
    }
}
