//! Globs over full names: `*` matches any run of characters, dots included.

/// A pattern such as `shop.v1.*`, `*.Heartbeat` or a full name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob(Box<str>);

impl Glob {
    /// Creates a glob. Every text is a valid pattern.
    pub fn new(pattern: &str) -> Self {
        Self(pattern.into())
    }

    /// Returns the pattern as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the pattern matches the whole `name`.
    pub fn matches(&self, name: &str) -> bool {
        let mut parts = self.0.split('*');
        // `split` returns at least one part, even for an empty pattern.
        let first = parts.next().unwrap_or_default();
        let Some(mut rest) = name.strip_prefix(first) else { return false };
        let Some(last) = parts.next_back() else { return rest.is_empty() };
        for part in parts {
            match rest.find(part) {
                Some(at) => rest = &rest[at + part.len()..],
                None => return false,
            }
        }
        rest.ends_with(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_matches_any_run_of_characters() {
        for (pattern, name, expected) in [
            ("shop.v1.OrderPlaced", "shop.v1.OrderPlaced", true),
            ("shop.v1.OrderPlaced", "shop.v1.OrderPlacedAgain", false),
            ("shop.v1.*", "shop.v1.OrderPlaced", true),
            ("shop.v1.*", "shop.v2.OrderPlaced", false),
            ("shop.*.Order*", "shop.v1.orders.OrderPlaced", true),
            ("*.Heartbeat", "protobridge.v1.Heartbeat", true),
            ("*", "anything", true),
            ("a*a", "a", false),
            ("*ab*b", "abb", true),
            ("*ab*b", "ab", false),
        ] {
            assert_eq!(Glob::new(pattern).matches(name), expected, "{pattern} {name}");
        }
    }
}
