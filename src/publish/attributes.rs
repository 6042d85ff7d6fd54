//! The message attributes of what is published: what a consumer can filter and deduplicate by without opening the body.

use std::fmt::Write as _;
use std::ops::Deref;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

/// Raw delivery to SQS discards a message with more attributes than this, without an error.
const MAX_ATTRIBUTES: usize = 10;

/// The attribute that names the trace (<https://www.w3.org/TR/trace-context/>).
pub const TRACEPARENT: &str = "traceparent";
/// What vendors add to [`TRACEPARENT`].
pub const TRACESTATE: &str = "tracestate";

/// String attributes, in order, at most ten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attributes(Vec<(&'static str, Value)>);

/// The text of an attribute. What many events have in common is not copied for each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Always the same.
    Fixed(&'static str),
    /// Of an event type or a customer.
    Shared(Arc<str>),
    /// Of one event.
    Own(String),
}

impl Deref for Value {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::Fixed(text) => text,
            Self::Shared(text) => text,
            Self::Own(text) => text,
        }
    }
}

impl From<&'static str> for Value {
    fn from(text: &'static str) -> Self {
        Self::Fixed(text)
    }
}

impl From<&Arc<str>> for Value {
    fn from(text: &Arc<str>) -> Self {
        Self::Shared(Arc::clone(text))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Own(text)
    }
}

impl Default for Attributes {
    fn default() -> Self {
        Self(Vec::with_capacity(MAX_ATTRIBUTES))
    }
}

impl Attributes {
    /// Adds an attribute, if the value is not empty (SNS refuses those) and there is room.
    pub fn add(&mut self, name: &'static str, value: impl Into<Value>) {
        let value = value.into();
        if !value.is_empty() && self.0.len() < MAX_ATTRIBUTES {
            self.0.push((name, value));
        }
    }

    /// Takes the trace out, for an entry that would be too large with it.
    pub fn make_room(&mut self) {
        self.0.retain(|(name, _)| ![TRACEPARENT, TRACESTATE].contains(name));
    }

    /// Names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> + Clone {
        self.0.iter().map(|(name, value)| (*name, &**value))
    }

    /// Size as SNS counts it: name, data type and value of each, in bytes.
    pub fn size(&self) -> usize {
        self.0.iter().map(|(name, value)| name.len() + "String".len() + value.len()).sum()
    }
}

/// An event's id: the same whenever the event is sent or delivered again, and what consumers deduplicate on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventId(String);

/// A deduplication id may have this many characters (SNS API reference, `Publish`).
const MAX_ID: usize = 128;

impl EventId {
    /// The id as it stands in the event, if SNS takes it as an attribute and as a deduplication id: up to 128 visible
    /// ASCII characters. Otherwise its SHA-256, which is as stable.
    pub fn new(text: &str) -> Self {
        if !text.is_empty() && text.len() <= MAX_ID && text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Self(text.to_owned());
        }
        let mut id = "sha256:".to_owned();
        for byte in Sha256::digest(text) {
            // Writing to a String does not fail.
            let _ = write!(id, "{byte:02x}");
        }
        Self(id)
    }

    /// The id's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_never_more_than_ten_attributes_and_no_empty_one() {
        let mut attributes = Attributes::default();
        attributes.add("empty", "");
        for _ in 0..12 {
            attributes.add("name", "value");
        }
        assert_eq!(attributes.iter().count(), 10);
        assert_eq!(attributes.size(), 10 * ("name".len() + "String".len() + "value".len()));
    }

    #[test]
    fn what_would_be_too_large_goes_without_its_trace() {
        let mut attributes = Attributes::default();
        for name in ["event-id", TRACEPARENT, TRACESTATE] {
            attributes.add(name, "value");
        }
        attributes.make_room();
        assert_eq!(attributes.iter().collect::<Vec<_>>(), [("event-id", "value")]);
    }

    #[test]
    fn an_id_that_sns_refuses_is_replaced_by_its_hash() {
        assert_eq!(EventId::new("https://shop.example/orders#42").as_str(), "https://shop.example/orders#42");
        for odd in ["", "zwölf", "a b", &"x".repeat(129)] {
            let id = EventId::new(odd);
            assert!(id.as_str().starts_with("sha256:") && id.as_str().len() == 71, "{odd}: {}", id.as_str());
            assert_eq!(id, EventId::new(odd));
        }
    }
}
