//! Field values recorded while a payload is transcoded.

use std::ops::Range;

/// The values that the taps of a [`Plan`](crate::Plan) found in one payload, as text. One instance can be reused for
/// many payloads.
///
/// Every value is text: a string as it is, a number in decimal, a bool as `true` or `false`, bytes and enums as the
/// plan's options spell them, a `google.protobuf.Timestamp` in RFC 3339, a
/// `google.protobuf.Duration` in seconds such as `1.5s`. A wrapper gives the value that it wraps.
/// A field gives no value if it is absent, if it has no presence and holds its default, or if the options hide it and
/// its value has no JSON.
#[derive(Debug, Clone, Default)]
pub struct Taps {
    text: String,
    values: Vec<Option<Range<usize>>>,
}

impl Taps {
    /// Returns an instance without values.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the value of the tap with this index, if the payload has one. Taps are numbered in the order of the
    /// calls of [`Plan::with_tap`](crate::Plan::with_tap).
    pub fn get(&self, tap: usize) -> Option<&str> {
        self.text.get(self.values.get(tap)?.clone()?)
    }

    pub(crate) fn reset(&mut self, count: usize) {
        self.text.clear();
        self.values.clear();
        self.values.resize(count, None);
    }

    pub(crate) fn set(&mut self, tap: usize, value: &str) {
        let start = self.text.len();
        self.text.push_str(value);
        self.values[tap] = Some(start..self.text.len());
    }

    pub(crate) fn unset(&mut self, tap: usize) {
        self.values[tap] = None;
    }
}

/// The taps of one message and of the messages inside it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Node {
    /// The tapped fields, as pairs of field index and tap number.
    pub(crate) leaves: Vec<(u32, usize)>,
    /// The fields that hold a message with taps inside, by field index.
    pub(crate) inner: Vec<(u32, Node)>,
}

impl Node {
    /// Adds a tap at a path of field indices.
    pub(crate) fn add(&mut self, path: &[u32], tap: usize) {
        match path {
            [] => {}
            [leaf] => self.leaves.push((*leaf, tap)),
            [field, rest @ ..] => {
                let at = self.inner.iter().position(|(known, _)| known == field).unwrap_or_else(|| {
                    self.inner.push((*field, Self::default()));
                    self.inner.len() - 1
                });
                self.inner[at].1.add(rest, tap);
            }
        }
    }

    pub(crate) fn inside(&self, field: u32) -> Option<&Self> {
        self.inner.iter().find(|(known, _)| *known == field).map(|(_, node)| node)
    }

    /// Whether a tap is on this field or inside it.
    pub(crate) fn touches(&self, field: u32) -> bool {
        self.leaves.iter().any(|(known, _)| *known == field) || self.inside(field).is_some()
    }

    /// Removes the values of the taps of this message and of the messages inside it.
    pub(crate) fn unset(&self, taps: &mut Taps) {
        for (_, tap) in &self.leaves {
            taps.unset(*tap);
        }
        for (_, node) in &self.inner {
            node.unset(taps);
        }
    }
}
