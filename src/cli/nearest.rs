//! What somebody may have meant.

/// The known name that is much like this one, if there is one.
pub(super) fn nearest<'n>(name: &str, known: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let likeness = |known: &str| strsim::normalized_damerau_levenshtein(known, name);
    // In a short name one slip is much.
    let is_near =
        |known: &str| likeness(known) > 0.7 || (name.len() > 2 && strsim::damerau_levenshtein(known, name) == 1);
    let near = known.into_iter().filter(|known| is_near(known));
    near.max_by(|a, b| likeness(a).total_cmp(&likeness(b)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_slip_is_forgiven_and_another_word_is_not() {
        let known = || ["web", "default", "shop.v1.OrderPlaced", "shop.v1.OrderShipped"];
        for (name, expected) in [
            ("wbe", Some("web")),
            ("defualt", Some("default")),
            ("shop.v1.OrderPlacd", Some("shop.v1.OrderPlaced")),
            ("mobile", None),
            ("x", None),
        ] {
            assert_eq!(nearest(name, known()), expected, "{name}");
        }
    }
}
