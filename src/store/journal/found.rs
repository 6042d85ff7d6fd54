//! What a reader of the journal found, and what it could not know.
//!
//! Times are microseconds since the Unix epoch. In JSON they are texts in the format of RFC 3339.

use std::collections::BTreeSet;

use serde::Serialize;

use super::{Row, stamp};

/// The id whose rows are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// The id of an event, as in the column `event_id`.
    Event(String),
    /// The id of an SQS message, as in the column `message_id`.
    Message(String),
    /// The id that SNS gave to a published message, as in the column `sns_message_id`.
    SnsMessage(String),
}

/// The rows with the wanted id, and what was looked at to find them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// The rows, in no particular order.
    pub rows: Vec<Row>,
    /// What was looked at.
    pub looked: Looked,
}

/// What was read, and what of the window is unknown.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Looked {
    /// The segments of the window.
    pub segments: u64,
    /// The replicas that wrote them.
    pub replicas: BTreeSet<String>,
    /// The ranges that were read from them.
    pub ranges: u64,
    /// The bytes of these ranges.
    pub bytes: u64,
    /// The times within the window for which a process has no segment.
    pub holes: Vec<Hole>,
    /// The rows that were dropped before they were stored.
    pub dropped: Vec<Dropped>,
}

impl Looked {
    /// Whether the rows are all rows of the window: no process has a hole in it, and none dropped a row.
    pub fn is_complete(&self) -> bool {
        self.holes.is_empty() && self.dropped.iter().all(|dropped| dropped.rows == 0)
    }
}

/// A time for which a process has no segment, so that what it did then is unknown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Hole {
    /// The replica.
    pub replica: String,
    /// Identifies the process.
    pub incarnation: String,
    /// The begin of the hole: the end of the segment before it.
    #[serde(serialize_with = "stamp::serialize")]
    pub from: i64,
    /// The end of the hole. `None` if it is open: nothing says when the process ended.
    #[serde(serialize_with = "stamp::serialize_option")]
    pub to: Option<i64>,
    /// Why there is no segment.
    pub kind: HoleKind,
}

/// Why a process has no segment for a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HoleKind {
    /// The process did not stop in order, and its next segment did not come although it was due.
    Died,
    /// A segment between two others is gone.
    Missing,
    /// The next segment is not due yet. The process answers for its rows at `GET /trace/{id}`.
    NotStoredYet,
}

/// Rows of a segment's time that were dropped, because the store did not keep up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Dropped {
    /// The replica.
    pub replica: String,
    /// The begin of the segment's time.
    #[serde(serialize_with = "stamp::serialize")]
    pub from: i64,
    /// The end of the segment's time.
    #[serde(serialize_with = "stamp::serialize")]
    pub to: i64,
    /// The number of dropped rows.
    pub rows: u64,
}
