//! Placeholders such as `${NAME}`, which other programs replace by the value of a variable. A document keeps them as
//! they are, so they are refused: a key would otherwise have the name of a variable as its value.

/// Returns the first placeholder in `text`, `${NAME}`, without a default that it gives.
pub(crate) fn placeholder(text: &str) -> Option<String> {
    text.match_indices("${").find_map(|(start, _)| {
        let rest = &text[start + 2..];
        let name = &rest[..rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len())];
        let is_name = !name.is_empty() && !name.starts_with(|first: char| first.is_ascii_digit());
        // A default or a message can follow the name, as in `${NAME:-default}`.
        let is_closed = rest[name.len()..].starts_with(['}', ':', '-', '+', '?', '=']) && rest.contains('}');
        (is_name && is_closed).then(|| format!("${{{name}}}"))
    })
}

/// Returns the problem of a placeholder in a value. `variable` is the variable that overrides the key, if there is one,
/// and the variable that names a file with the value.
pub(crate) fn message(placeholder: &str, variable: Option<(&str, Option<&str>)>) -> String {
    let way_out = match variable {
        None => "write the value itself".to_owned(),
        Some((variable, None)) => format!("set the variable `{variable}`, which overrides this key"),
        Some((variable, Some(file))) => format!(
            "set the variable `{variable}`, which overrides this key, or set `{file}` to the path of a file with the \
             value"
        ),
    };
    format!("`{placeholder}` is not replaced by a variable; {way_out}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_variable_in_braces_is_a_placeholder() {
        for text in ["${REDIS_URL}", "redis://:${REDIS_URL}@host", "$${REDIS_URL:-secret}", "${${REDIS_URL?}"] {
            assert_eq!(placeholder(text).as_deref(), Some("${REDIS_URL}"), "{text}");
        }
        for text in ["", "$REDIS_URL", "{customer}", "${}", "${1}", "${REDIS_URL", "${a b}", "${é}", "$ {A}", "a$"] {
            assert_eq!(placeholder(text), None, "{text}");
        }
    }
}
