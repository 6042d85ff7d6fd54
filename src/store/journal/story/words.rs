//! Numbers, ids and lists in sentences.

/// Returns `once`, `twice` or `n times`.
pub(super) fn times(count: usize) -> String {
    match count {
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        _ => format!("{count} times"),
    }
}

/// Returns `first`, `2nd`, `3rd` and so on.
pub(super) fn ordinal(number: u32) -> String {
    let suffix = match (number % 10, number % 100) {
        (1, tens) if tens != 11 => "st",
        (2, tens) if tens != 12 => "nd",
        (3, tens) if tens != 13 => "rd",
        _ => "th",
    };
    if number == 1 { "first".to_owned() } else { format!("{number}{suffix}") }
}

/// Returns `1 attempt`, `2 attempts` and so on. The plural of the noun ends in `s`.
pub(super) fn count(number: impl Into<u64>, noun: &str) -> String {
    match number.into() {
        1 => format!("1 {noun}"),
        number => format!("{number} {noun}s"),
    }
}

/// Returns the first characters of a long id. The timeline has the ids in full.
pub(super) fn short(id: &str) -> String {
    const SHOWN: usize = 8;
    const LONG: usize = 12;
    if id.chars().count() <= LONG { id.to_owned() } else { id.chars().take(SHOWN).chain(['…']).collect() }
}

/// Joins words as a sentence lists them: `a`, `a and b`, `a, b and c`.
pub(super) fn list(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [only] => only.clone(),
        [all @ .., last] => format!("{} and {last}", all.join(", ")),
    }
}

/// Returns the name of a topic: the last part of its ARN.
pub(super) fn topic_name(arn: &str) -> &str {
    arn.rsplit(':').next().unwrap_or(arn)
}
