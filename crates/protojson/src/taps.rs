//! Values noted on the way through a payload.

/// The values that the taps of a [`Plan`](crate::Plan) found in one payload, as text. Reuse one for many payloads.
///
/// A value is text whatever its type: a string as it is, numbers in decimal, `true` or `false`, bytes in standard
/// base64, an enum by name, a `google.protobuf.Timestamp` in RFC 3339. Wrappers count as what they wrap. A field that
/// is absent, or that has no presence and holds its default, gives nothing.
#[derive(Debug, Clone, Default)]
pub struct Taps {
    values: Vec<Option<String>>,
}

impl Taps {
    /// An empty set of values.
    pub fn new() -> Self {
        Self::default()
    }

    /// The value of the tap with this index (taps are numbered in the order of
    /// [`Plan::with_tap`](crate::Plan::with_tap)), if the payload had one.
    pub fn get(&self, tap: usize) -> Option<&str> {
        self.values.get(tap)?.as_deref()
    }

    pub(crate) fn clear(&mut self) {
        self.values.clear();
    }

    pub(crate) fn push(&mut self, value: Option<String>) {
        self.values.push(value);
    }
}
