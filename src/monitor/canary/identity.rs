//! The identity of canaries.

use std::fmt;

/// One prober in one process. A prober ignores the canaries of others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance(String);

impl Instance {
    /// The number of hexadecimal digits.
    const DIGITS: usize = 32;

    /// Creates an instance that no other process has.
    pub fn random() -> Self {
        Self(format!("{:032x}", fastrand::u128(..)))
    }

    /// Returns the instance as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn parse(text: &str) -> Option<Self> {
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        (text.len() == Self::DIGITS && text.bytes().all(is_digit)).then(|| Self(text.to_owned()))
    }
}

impl fmt::Display for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The id of a canary, which is its event id: the instance and the sequence number, as in `5f…e2-17`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CanaryId {
    /// The prober that sent the canary.
    pub instance: Instance,
    /// The number of the canary among those of its instance, from 1.
    pub sequence: u64,
}

impl CanaryId {
    /// Parses an id. Returns `None` if the text is not the id of a canary.
    pub fn parse(text: &str) -> Option<Self> {
        let (instance, digits) = text.split_once('-')?;
        let sequence = digits.parse().ok().filter(|sequence| *sequence > 0)?;
        let id = Self { instance: Instance::parse(instance)?, sequence };
        (id.to_string() == text).then_some(id)
    }
}

impl fmt::Display for CanaryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.instance, self.sequence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_back_from_its_text_and_no_other_text_is_one() {
        let (one, other) = (Instance::random(), Instance::random());
        assert_ne!(one, other);
        let id = CanaryId { instance: one, sequence: 17 };
        let text = id.to_string();
        assert_eq!(CanaryId::parse(&text), Some(id.clone()));
        let upper = text.to_uppercase();
        for refused in ["", "-", "17", &text[1..], &text[..32], &format!("{}-0", id.instance), &format!("{text}x")] {
            assert_eq!(CanaryId::parse(refused), None, "{refused}");
        }
        assert!(upper == text || CanaryId::parse(&upper).is_none());
        assert_eq!(CanaryId::parse(&format!("{}-017", id.instance)), None);
    }
}
