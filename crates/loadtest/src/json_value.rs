//! Compares JSON by value: white space, the order of keys, and the spelling of numbers and strings do not matter.
//!
//! The JSON type matters. Canonical ProtoJSON writes 64-bit integers as strings, so a number in their place is
//! different.

use serde_json::{Number, Value};

/// Returns where the values differ first and how, or `None` if they are equal.
pub(crate) fn difference(expected: &Value, found: &Value) -> Option<String> {
    at("", expected, found)
}

/// Returns how the texts differ in value, or `None` if they are equal. Text that is not JSON differs from all JSON.
pub(crate) fn text_difference(expected: &str, found: &str) -> Option<String> {
    match (serde_json::from_str(expected), serde_json::from_str(found)) {
        (Ok(expected), Ok(found)) => difference(&expected, &found),
        (Err(wrong), _) => Some(format!("the expected text is not JSON: {wrong}")),
        (_, Err(wrong)) => Some(format!("not JSON: {wrong}")),
    }
}

fn at(path: &str, expected: &Value, found: &Value) -> Option<String> {
    match (expected, found) {
        (Value::Object(expected), Value::Object(found)) => {
            let extra = found.iter().filter(|(key, _)| !expected.contains_key(*key));
            let mut extra = extra.map(|(key, value)| format!("{}: expected nothing, found {value}", child(path, key)));
            let mut wrong = expected.iter().filter_map(|(key, value)| match found.get(key) {
                Some(found) => at(&child(path, key), value, found),
                None => Some(format!("{}: expected {value}, found nothing", child(path, key))),
            });
            wrong.next().or_else(|| extra.next())
        }
        (Value::Array(expected), Value::Array(found)) if expected.len() == found.len() => {
            let mut pairs = expected.iter().zip(found).enumerate();
            pairs.find_map(|(index, (expected, found))| at(&format!("{path}[{index}]"), expected, found))
        }
        (Value::Number(expected), Value::Number(found)) if is_same(expected, found) => None,
        (expected, found) if expected == found => None,
        (expected, found) => {
            let place = if path.is_empty() { String::new() } else { format!("{path}: ") };
            Some(format!("{place}expected {expected}, found {found}"))
        }
    }
}

fn child(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// Whether the numbers are equal. Two spellings of one double can be read as neighbors, because serde_json does not
/// always return the nearest double.
fn is_same(expected: &Number, found: &Number) -> bool {
    if expected == found {
        return true;
    }
    let is_integer = |number: &Number| number.is_i64() || number.is_u64();
    match (expected.as_f64(), found.as_f64()) {
        _ if is_integer(expected) && is_integer(found) => false,
        (Some(expected), Some(found)) => {
            let (expected, found) = (expected.to_bits(), found.to_bits());
            // Zero has no integer spelling of its sign, so 0 and -0.0 differ.
            expected.abs_diff(found) <= 1
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(expected: &str, found: &str, difference: Option<&str>) {
        assert_eq!(text_difference(expected, found).as_deref(), difference, "{expected} and {found}");
    }

    #[test]
    fn white_space_the_order_of_keys_and_spellings_do_not_matter() {
        check(r#"{"a":[1,"ä"],"b":null}"#, r#"{ "b": null, "a": [1, "\u00e4"] }"#, None);
        check(r#"{"a":1.0,"b":1e3,"c":0.1}"#, r#"{"a":1,"b":1000,"c":1.0e-1}"#, None);
    }

    #[test]
    fn the_first_difference_is_named_with_its_path() {
        check(r#"{"a":{"b":[1,2]}}"#, r#"{"a":{"b":[1,3]}}"#, Some("a.b[1]: expected 2, found 3"));
        check(r#"{"a":[1]}"#, r#"{"a":[1,2]}"#, Some("a: expected [1], found [1,2]"));
        check(r#"{"a":1}"#, "{}", Some("a: expected 1, found nothing"));
        check("{}", r#"{"b":false}"#, Some("b: expected nothing, found false"));
        check("1", "2", Some("expected 1, found 2"));
    }

    #[test]
    fn the_type_of_a_value_matters() {
        check(r#"{"id":"7"}"#, r#"{"id":7}"#, Some(r#"id: expected "7", found 7"#));
        check(r#""NaN""#, "null", Some(r#"expected "NaN", found null"#));
        check("false", "0", Some("expected false, found 0"));
    }

    #[test]
    fn numbers_are_compared_exactly() {
        check("9007199254740993", "9007199254740992", Some("expected 9007199254740993, found 9007199254740992"));
        check("0.1", "0.10000000149011612", Some("expected 0.1, found 0.10000000149011612"));
        check("0", "-0.0", Some("expected 0, found -0.0"));
        check("1.5", "-1.5", Some("expected 1.5, found -1.5"));
    }

    #[test]
    fn text_that_is_not_json_differs() {
        assert!(text_difference("{}", "{").is_some_and(|difference| difference.starts_with("not JSON")));
        assert!(text_difference("{}", r#"{"a":NaN}"#).is_some());
    }
}
