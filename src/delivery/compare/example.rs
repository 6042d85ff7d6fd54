//! An event that shows a difference.

use serde_json::Value;

use super::change::{Change, Kind};
use crate::base::cut;

/// The most differences of one kind that an example shows.
const MAX_PER_KIND: usize = 5;
/// The most bytes of a value that an example shows as JSON. A longer one is shown as text that is cut.
const MAX_VALUE_BYTES: usize = 1024;

/// An event that shows a difference: the smallest one that was seen.
#[derive(Debug, Clone, PartialEq)]
pub struct Example {
    /// The size of the message in bytes, as SQS counts it.
    pub bytes: usize,
    /// The name of the message: its message id, or that of the sample.
    pub message: String,
    /// The name of the queue.
    pub queue: String,
    /// The event's id, if it is known. It can be data of the event.
    pub event_id: Option<String>,
    /// The differences of the event, at most five of a kind.
    pub changes: Vec<Change>,
    /// The number of its other differences.
    pub more: usize,
}

impl Example {
    pub(super) fn new(bytes: usize, message: String, queue: String, event_id: Option<String>, all: &[Change]) -> Self {
        let mut changes: Vec<Change> = Vec::new();
        for kind in Kind::ALL {
            let of_kind = all.iter().filter(|change| change.kind == kind);
            changes.extend(of_kind.take(MAX_PER_KIND).map(shown));
        }
        let more = all.len() - changes.len();
        Self { bytes, message, queue, event_id, changes, more }
    }
}

fn shown(change: &Change) -> Change {
    let (old, new) = (change.old.as_ref().map(shortened), change.new.as_ref().map(shortened));
    Change { old, new, ..change.clone() }
}

/// Returns a value, or its text that is cut if it is long.
fn shortened(value: &Value) -> Value {
    match value {
        Value::String(text) if text.len() > MAX_VALUE_BYTES => Value::String(cut(text)),
        Value::Array(_) | Value::Object(_) if value.to_string().len() > MAX_VALUE_BYTES => Value::String(cut(value)),
        value => value.clone(),
    }
}
