//! The paths of the options: which message types a path is meant for, and the names of the fields on it.

use std::fmt;

/// A path of [`Options::include`](crate::Options::include), `drop` or `redact`: `meta.tenant_id` starts at every
/// message type, and `shop.v1.Order*/meta.tenant_id` starts only at the types that the pattern before the slash
/// matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FieldPath<'p> {
    text: &'p str,
    types: Option<&'p str>,
    fields: &'p str,
}

impl<'p> FieldPath<'p> {
    /// Splits a path as written in the options. Every text is a path, but not every path can match a field.
    pub fn new(text: &'p str) -> Self {
        match text.split_once('/') {
            Some((types, fields)) => Self { text, types: Some(types), fields },
            None => Self { text, types: None, fields: text },
        }
    }

    /// Returns the pattern of the types that the path is meant for: a full name, in which `*` matches any run of
    /// characters. Returns `None` if the path names no types.
    pub fn types(&self) -> Option<&'p str> {
        self.types
    }

    /// Returns the names of the fields, joined by dots.
    pub fn fields(&self) -> &'p str {
        self.fields
    }

    /// Returns the names of the fields one by one. The name of an extension is its full name in brackets, whose dots
    /// separate nothing.
    pub fn names(&self) -> impl Iterator<Item = &'p str> + use<'p> {
        let mut is_inside = false;
        self.fields.split(move |c| {
            match c {
                '[' => is_inside = true,
                ']' => is_inside = false,
                _ => {}
            }
            c == '.' && !is_inside
        })
    }

    /// Whether the path starts at the message type with this full name.
    pub fn starts_at(&self, full_name: &str) -> bool {
        self.types.is_none_or(|types| is_match(types, full_name))
    }
}

impl fmt::Display for FieldPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text)
    }
}

/// Whether the pattern matches the whole name. `*` matches any run of characters, dots included.
fn is_match(pattern: &str, name: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut left) = name.strip_prefix(first) else { return false };
    let (parts, last) = rest.rsplit_once('*').unwrap_or(("", rest));
    for part in parts.split('*') {
        match left.find(part) {
            Some(at) => left = &left[at + part.len()..],
            None => return false,
        }
    }
    left.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_starts_at_the_types_of_its_pattern() {
        for (path, full_name, expected) in [
            ("a.b", "shop.v1.Order", true),
            ("shop.v1.Order/a.b", "shop.v1.Order", true),
            ("shop.v1.Order/a.b", "shop.v1.Orders", false),
            ("shop.v1.Order*/a.b", "shop.v1.Orders", true),
            ("*.Order/a.b", "shop.v1.Order", true),
            ("shop.*.Or*er/a.b", "shop.v1.Order", true),
            ("*ab*ab/a.b", "xab", false),
            ("*ab*ab/a.b", "xabab", true),
            ("a*a/a.b", "a", false),
        ] {
            assert_eq!(FieldPath::new(path).starts_at(full_name), expected, "{path} {full_name}");
        }
    }

    #[test]
    fn the_dots_in_the_name_of_an_extension_separate_no_names() {
        let path = FieldPath::new("x.Order/meta.[y.note].text");
        assert_eq!(path.names().collect::<Vec<_>>(), ["meta", "[y.note]", "text"]);
        assert_eq!((path.types(), path.fields()), (Some("x.Order"), "meta.[y.note].text"));
    }
}
