//! Values noted on the way through a payload.

use std::ops::Range;

/// The values that the taps of a [`Plan`](crate::Plan) found in one payload, as text. Reuse one for many payloads.
///
/// A value is text whatever its type: a string as it is, numbers in decimal, `true` or `false`, bytes in base64, an
/// enum as the plan's options spell it, a `google.protobuf.Timestamp` in RFC 3339. Wrappers count as what they wrap. A
/// field that is absent, or that has no presence and holds its default, gives nothing.
#[derive(Debug, Clone, Default)]
pub struct Taps {
    text: String,
    values: Vec<Option<Range<usize>>>,
}

impl Taps {
    /// An empty set of values.
    pub fn new() -> Self {
        Self::default()
    }

    /// The value of the tap with this index (taps are numbered in the order of
    /// [`Plan::with_tap`](crate::Plan::with_tap)), if the payload had one.
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

/// The taps of one message, and of the messages inside it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Node {
    /// Fields whose value is noted, by index, with the number of the tap.
    pub(crate) leaves: Vec<(u32, usize)>,
    /// Fields that hold a message with taps.
    pub(crate) inner: Vec<(u32, Node)>,
}

impl Node {
    /// Adds a tap under a path of field indices.
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

    /// Whether there is a tap on this field or inside it.
    pub(crate) fn touches(&self, field: u32) -> bool {
        self.leaves.iter().any(|(known, _)| *known == field) || self.inside(field).is_some()
    }

    /// Forgets what was noted here and inside.
    pub(crate) fn unset(&self, taps: &mut Taps) {
        for (_, tap) in &self.leaves {
            taps.unset(*tap);
        }
        for (_, node) in &self.inner {
            node.unset(taps);
        }
    }
}
