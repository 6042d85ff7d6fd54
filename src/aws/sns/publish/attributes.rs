//! The message attributes of a published entry, by which consumers filter and deduplicate without opening the body.

use std::ops::Deref;
use std::sync::Arc;

use crate::aws::PublishAttribute;
use crate::message::attributes::{MAX_ATTRIBUTES, TRACEPARENT, TRACESTATE, attribute_size, is_accepted};

/// Attributes in a fixed order, at most [`MAX_ATTRIBUTES`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryAttributes(Vec<(&'static str, AttributeText)>);

/// The text of an attribute. Text that many events share is not copied for each of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttributeText {
    /// The same text for all events.
    Fixed(&'static str),
    /// Text of an event type or a customer.
    Shared(Arc<str>),
    /// Text of one event.
    Own(String),
    /// The digits of an attribute of the type Number.
    Number(String),
}

impl AttributeText {
    /// Returns the data type of the attribute.
    fn data_type(&self) -> &'static str {
        match self {
            Self::Fixed(_) | Self::Shared(_) | Self::Own(_) => "String",
            Self::Number(_) => "Number",
        }
    }
}

impl Deref for AttributeText {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::Fixed(text) => text,
            Self::Shared(text) => text,
            Self::Own(text) | Self::Number(text) => text,
        }
    }
}

impl From<&'static str> for AttributeText {
    fn from(text: &'static str) -> Self {
        Self::Fixed(text)
    }
}

impl From<&Arc<str>> for AttributeText {
    fn from(text: &Arc<str>) -> Self {
        Self::Shared(Arc::clone(text))
    }
}

impl From<usize> for AttributeText {
    fn from(number: usize) -> Self {
        Self::Number(number.to_string())
    }
}

impl From<String> for AttributeText {
    fn from(text: String) -> Self {
        Self::Own(text)
    }
}

impl Default for EntryAttributes {
    fn default() -> Self {
        Self(Vec::with_capacity(MAX_ATTRIBUTES))
    }
}

impl EntryAttributes {
    /// Adds an attribute, unless there are ten attributes already or SNS would refuse its value and with it the entry:
    /// if the value is empty or has a character that [`is_accepted`] does not list.
    pub fn add(&mut self, name: &'static str, value: impl Into<AttributeText>) {
        let value = value.into();
        if !value.is_empty() && is_accepted(&value) && self.0.len() < MAX_ATTRIBUTES {
            self.0.push((name, value));
        }
    }

    /// Adds an attribute that the entry must have. If there are ten attributes already, it replaces one of the trace: the
    /// data of vendors first, then the trace itself.
    pub fn add_required(&mut self, name: &'static str, value: impl Into<AttributeText>) {
        for optional in [TRACESTATE, TRACEPARENT] {
            if self.0.len() >= MAX_ATTRIBUTES {
                self.0.retain(|(name, _)| *name != optional);
            }
        }
        self.add(name, value);
    }

    /// Removes the attributes of the trace, for an entry that would be too large with them.
    pub fn remove_trace(&mut self) {
        self.0.retain(|(name, _)| ![TRACEPARENT, TRACESTATE].contains(name));
    }

    /// Returns the names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> + Clone {
        self.0.iter().map(|(name, value)| (*name, &**value))
    }

    /// Returns the attributes as a publish call writes them.
    pub fn wire(&self) -> impl Iterator<Item = PublishAttribute<'_>> + Clone {
        self.0.iter().map(|(name, value)| PublishAttribute { name, data_type: value.data_type(), value })
    }

    /// Returns the size of all attributes in bytes, as SNS counts it.
    pub fn size(&self) -> usize {
        self.0.iter().map(|(name, value)| attribute_size(name, value.data_type(), value.len())).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_at_most_ten_attributes_and_none_that_sns_refuses() {
        let mut attributes = EntryAttributes::default();
        attributes.add("empty", "");
        attributes.add("refused", "a\u{1}".to_owned());
        for _ in 0..12 {
            attributes.add("name", "value");
        }
        assert_eq!(attributes.iter().count(), 10);
        assert!(attributes.iter().all(|(name, _)| name == "name"));
        assert_eq!(attributes.size(), 10 * ("name".len() + "String".len() + "value".len()));
    }

    #[test]
    fn a_required_attribute_takes_the_place_of_the_trace_if_there_is_no_other() {
        let names = |free: usize| {
            let mut attributes = EntryAttributes::default();
            for name in [TRACEPARENT, TRACESTATE].into_iter().chain(vec!["other"; 8 - free]) {
                attributes.add(name, "value");
            }
            attributes.add_required("ExtendedPayloadSize", 262_145);
            attributes.add_required("replay", "friday");
            let wire = attributes.wire().map(|attribute| format!("{}:{}", attribute.name, attribute.data_type));
            wire.collect::<Vec<_>>().join(" ").replace(" other:String", "")
        };
        let added = "ExtendedPayloadSize:Number replay:String";
        assert_eq!(names(2), format!("traceparent:String tracestate:String {added}"));
        assert_eq!(names(1), format!("traceparent:String {added}"));
        assert_eq!(names(0), format!("other:String {added}"));
    }

    #[test]
    fn the_size_counts_the_data_type_of_each_attribute() {
        let mut attributes = EntryAttributes::default();
        attributes.add("a", "value");
        attributes.add("b", 12_usize);
        assert_eq!(attributes.size(), "aStringvalue".len() + "bNumber12".len());
    }

    #[test]
    fn removing_the_trace_leaves_the_other_attributes() {
        let mut attributes = EntryAttributes::default();
        for name in ["event-id", TRACEPARENT, TRACESTATE] {
            attributes.add(name, "value");
        }
        attributes.remove_trace();
        assert_eq!(attributes.iter().collect::<Vec<_>>(), [("event-id", "value")]);
    }
}
