//! What a segment says about itself, in its key and in its metadata.

/// What a segment says about itself. Times are microseconds since the Unix epoch.
///
/// The segments of one process cover its life without a break: each begins when the one before it ends. So the time
/// after the last segment of a process that did not stop in order is a hole, and what the process did then is unknown.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Declaration {
    /// The replica: the name of its host or pod.
    pub replica: String,
    /// Identifies the process: hexadecimal digits, the same in all of its segments.
    pub incarnation: String,
    /// The number of the segment, from 0, within its process.
    pub number: u64,
    /// The begin of the time in which the rows were recorded.
    pub from: i64,
    /// The end of that time, excluded.
    pub to: i64,
    /// When the process intends to have stored its next segment at the latest.
    pub next_by: i64,
    /// The number of rows.
    pub rows: u64,
    /// The number of rows of that time that were dropped.
    pub dropped: u64,
    /// Whether the process stopped in order after this segment.
    pub is_last: bool,
}
