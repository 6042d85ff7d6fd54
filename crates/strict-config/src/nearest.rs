//! Suggestions for misspelled names.

/// Returns the known name that `name` was probably meant to be, or `None` if no known name is near.
///
/// Case is ignored. A known name is near in one of these cases; an earlier case wins over a later one, and within a
/// case the name with fewer edits wins:
///
/// 1. At most a third of the letters of `name` are wrong, missing, superfluous or swapped. Segments that both names
///    start with, such as the package `shop.v1.`, do not count.
/// 2. One of the names contains the other: `linger` for `linger_ms`.
/// 3. Only the part after the last `_` differs, for example the unit: `linger_seconds` for `linger_ms`.
///
/// ```
/// use strict_config::nearest;
///
/// assert_eq!(nearest("regoin", ["region", "endpoint_url"]), Some("region"));
/// assert_eq!(nearest("shop.v1.OrderPlacd", ["shop.v1.OrderPlaced"]), Some("shop.v1.OrderPlaced"));
/// assert_eq!(nearest("shop.v1.Customer", ["shop.v1.OrderPlaced"]), None);
/// ```
pub fn nearest<'k>(name: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let name = name.to_lowercase();
    let near = known.into_iter().filter_map(|known| Some((distance(&name, &known.to_lowercase())?, known)));
    near.min_by_key(|(distance, _)| *distance).map(|(_, known)| known)
}

/// Returns the case of [`nearest`] and the number of edits, or `None` if the names are not near.
fn distance(name: &str, known: &str) -> Option<(u8, usize)> {
    let (rest, known_rest) = without_common_segments(name, known);
    let edits = strsim::damerau_levenshtein(rest, known_rest);
    let letters = rest.chars().count();
    // In a name of three letters one edit is much, but it is the commonest mistake.
    if edits < letters && edits <= letters.max(3) / 3 {
        return Some((1, edits));
    }
    // Shorter names are in many others by chance.
    let is_long = |name: &str| name.len() > 2;
    if (is_long(name) && known.contains(name)) || (is_long(known) && name.contains(known)) {
        return Some((2, edits));
    }
    differ_in_last_word(name, known).then_some((3, edits))
}

fn without_common_segments<'n>(name: &'n str, known: &'n str) -> (&'n str, &'n str) {
    let common = name.bytes().zip(known.bytes()).take_while(|(one, other)| one == other).count();
    let start = name.as_bytes()[..common].iter().rposition(|byte| *byte == b'.').map_or(0, |dot| dot + 1);
    (&name[start..], &known[start..])
}

/// Whether only the parts after the last `_` differ. The equal part must be at least half of the shorter name,
/// so that `max_pollers` is not near `max_attempts`.
fn differ_in_last_word(name: &str, known: &str) -> bool {
    match (name.rsplit_once('_'), known.rsplit_once('_')) {
        (Some((beginning, _)), Some((other, _))) => {
            beginning == other && 2 * beginning.len() >= name.len().min(known.len())
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(known: &[&str], table: &[(&str, Option<&str>)]) {
        for (name, expected) in table {
            assert_eq!(nearest(name, known.iter().copied()), *expected, "{name}");
        }
    }

    #[test]
    fn a_misspelled_key_is_near_the_key_that_was_meant() {
        check(
            &["linger_ms", "max_batch_bytes", "max_concurrent_calls", "max_attempts", "url", "region", "queues"],
            &[
                ("lingr_ms", Some("linger_ms")),
                ("lingerMs", Some("linger_ms")),
                ("linger", Some("linger_ms")),
                ("linger_millis", Some("linger_ms")),
                ("linger_seconds", Some("linger_ms")),
                ("attempts", Some("max_attempts")),
                ("queue_url", Some("url")),
                ("queue", Some("queues")),
                ("regoin", Some("region")),
                ("URL", Some("url")),
                ("max_pollers", None),
                ("topic", None),
                ("flavor", None),
                ("", None),
            ],
        );
    }

    #[test]
    fn a_misspelled_type_or_id_is_near_the_one_that_was_meant() {
        check(
            &["web", "default", "shop.v1.OrderPlaced", "shop.v1.OrderShipped"],
            &[
                ("wbe", Some("web")),
                ("defualt", Some("default")),
                ("shop.v1.OrderPlacd", Some("shop.v1.OrderPlaced")),
                ("shop.v2.OrderShipped", Some("shop.v1.OrderShipped")),
                ("OrderShipped", Some("shop.v1.OrderShipped")),
                ("shop.v1.Customer", None),
                ("shop.v1.OrderReturned", None),
                ("mobile", None),
                ("x", None),
            ],
        );
    }

    #[test]
    fn a_name_with_few_edits_wins_over_one_that_contains_the_name() {
        check(&["max_attempts", "attempt"], &[("attempts", Some("attempt")), ("max", Some("max_attempts"))]);
    }
}
