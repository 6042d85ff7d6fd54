//! The name of a replay.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The longest name.
const MAX_BYTES: usize = 64;

/// The name of a replay: letters, digits, `-`, `.` and `_`, at most 64. It is a part of keys in the store and the value of
/// the attribute `replay`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(Box<str>);

/// A text that cannot be the name of a replay.
#[derive(Debug, thiserror::Error)]
#[error("a name begins with a letter or a digit and has letters, digits, `-`, `.` and `_`, at most 64 characters")]
pub struct BadName;

impl Name {
    /// Returns the name of a replay that began at this time, in microseconds since the Unix epoch, such as
    /// `20261128-120307`.
    pub fn of_time(micros: i64) -> Self {
        let time = Timestamp::from_microsecond(micros).unwrap_or_default();
        Self(time.strftime("%Y%m%d-%H%M%S").to_string().into())
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
        let begins_well = text.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric());
        if begins_well && text.len() <= MAX_BYTES && text.bytes().all(is_allowed) {
            Ok(Self(text.into()))
        } else {
            Err(BadName)
        }
    }
}

impl TryFrom<String> for Name {
    type Error = BadName;

    fn try_from(text: String) -> Result<Self, BadName> {
        text.parse()
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0.into()
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_makes_no_folder_and_no_hidden_file() {
        for good in ["a", "after-incident-42", "2026_11.28", &"x".repeat(64)] {
            assert_eq!(good.parse::<Name>().unwrap().as_str(), good);
        }
        for bad in ["", ".", "..", "-a", "_a", "a/b", "a b", "ä", "a%2f", &"x".repeat(65)] {
            assert!(bad.parse::<Name>().is_err(), "{bad}");
        }
        assert_eq!(Name::of_time(1_795_867_387_114_999).as_str(), "20261128-120307");
        assert!(Name::of_time(0).as_str().parse::<Name>().is_ok());
    }
}
