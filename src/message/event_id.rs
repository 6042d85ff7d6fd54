//! The id of an event.

use sha2::{Digest as _, Sha256};

/// The id of an event. It stays the same when the event is sent or delivered again, so consumers deduplicate by it and
/// the event's type together: producers can give one id to two events of different types.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventId(String);

/// The largest number of characters of a message group (SNS API reference, `Publish`).
const MAX_CHARACTERS: usize = 128;

impl EventId {
    /// Creates an id from the text that the event carries.
    ///
    /// The text itself is the id if SNS accepts it as an attribute and as a message group: 1 to 128 visible ASCII
    /// characters. Otherwise the id is `sha256:` and the hash of the text in hexadecimal digits.
    pub fn new(text: &str) -> Self {
        let is_accepted =
            !text.is_empty() && text.len() <= MAX_CHARACTERS && text.bytes().all(|byte| byte.is_ascii_graphic());
        if is_accepted {
            return Self(text.to_owned());
        }
        Self(format!("sha256:{}", hex::encode(Sha256::digest(text))))
    }

    /// Returns the id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_sns_refuses_is_replaced_by_its_hash() {
        assert_eq!(EventId::new("https://shop.example/orders#42").as_str(), "https://shop.example/orders#42");
        for refused in ["", "zwölf", "a b", &"x".repeat(129)] {
            let id = EventId::new(refused);
            assert!(id.as_str().starts_with("sha256:") && id.as_str().len() == 71, "{refused}: {}", id.as_str());
            assert_eq!(id, EventId::new(refused));
        }
    }
}
