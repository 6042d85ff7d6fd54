//! The differences between an expected value and the actual one, by path.

use serde_json::Value;

use crate::base::json_diff;
pub(super) use crate::base::json_diff::Match;

/// A difference at one path. `None` means that there is no value.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::cli) struct Difference {
    /// The path, such as `destinations.acme.json.total`.
    pub(in crate::cli) path: String,
    pub(in crate::cli) expected: Option<Value>,
    pub(in crate::cli) found: Option<Value>,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: ", self.path)?;
        match (&self.expected, &self.found) {
            (Some(expected), Some(found)) => write!(f, "expected {expected}, found {found}"),
            (Some(expected), None) => write!(f, "expected {expected}, found nothing"),
            (None, Some(found)) => write!(f, "expected nothing, found {found}"),
            (None, None) => f.write_str("expected nothing, found nothing"),
        }
    }
}

/// Adds the differences between two values to `differences`.
pub(super) fn compare(path: &str, expected: &Value, found: &Value, how: Match, differences: &mut Vec<Difference>) {
    json_diff::differences(expected, found, how, &mut |parts, expected, found| {
        let path = parts.iter().fold(path.to_owned(), |path, part| path + &part.to_string());
        differences.push(Difference { path, expected: expected.cloned(), found: found.cloned() });
    });
}

/// Returns the part of the actual value that has the keys of the expected one.
pub(super) fn part_of(found: &Value, expected: &Value) -> Value {
    match (found, expected) {
        (Value::Object(there), Value::Object(wanted)) => {
            let known = wanted.iter().filter_map(|(key, value)| Some((key.clone(), part_of(there.get(key)?, value))));
            Value::Object(known.collect())
        }
        (Value::Array(there), Value::Array(wanted)) => {
            let parts = there.iter().enumerate();
            parts.map(|(index, value)| wanted.get(index).map_or_else(|| value.clone(), |w| part_of(value, w))).collect()
        }
        (there, _) => there.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn differences(expected: &Value, found: &Value, how: Match) -> Vec<String> {
        let mut all = Vec::new();
        compare("json", expected, found, how, &mut all);
        all.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_difference_names_its_path_and_both_values() {
        let expected = json!({"a": 1, "b": {"c": "42"}, "list": [1, {"x": 1}], "gone": true});
        let found = json!({"a": 1, "b": {"c": 42, "more": 1}, "list": [1, {"x": 2, "y": 3}, 5]});
        assert_eq!(
            differences(&expected, &found, Match::Exact),
            [
                "json.b.more: expected nothing, found 1",
                r#"json.b.c: expected "42", found 42"#,
                "json.list[1].y: expected nothing, found 3",
                "json.list[1].x: expected 1, found 2",
                "json.list[2]: expected nothing, found 5",
                "json.gone: expected true, found nothing",
            ]
        );
        assert_eq!(
            differences(&expected, &found, Match::Subset),
            [
                r#"json.b.c: expected "42", found 42"#,
                "json.list[1].x: expected 1, found 2",
                "json.list[2]: expected nothing, found 5",
                "json.gone: expected true, found nothing",
            ]
        );
        assert_eq!(part_of(&found, &expected), json!({"a": 1, "b": {"c": 42}, "list": [1, {"x": 2}, 5]}));
        assert_eq!(differences(&part_of(&found, &expected), &found, Match::Subset), Vec::<String>::new());
    }
}
