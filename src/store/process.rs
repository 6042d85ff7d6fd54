//! What the segments of the journal and of the archive say about the process that stores them.

use std::time::Duration;

use jiff::Timestamp;

/// A segment of a process. Times are microseconds since the Unix epoch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Segment<'s> {
    /// The name of the host or pod.
    pub(super) replica: &'s str,
    /// Identifies the process.
    pub(super) incarnation: &'s str,
    /// The begin of the time that it covers.
    pub(super) from: i64,
    /// The end of that time.
    pub(super) to: i64,
}

/// Returns an identity for a process that begins at this time, in microseconds since the Unix epoch: hexadecimal digits.
pub(super) fn incarnation(now: i64) -> String {
    format!("{:012x}{:04x}", now / 1_000, fastrand::u16(..))
}

/// Returns the folder below `folder` of the segments that begin in the hour of this time, in microseconds since the Unix
/// epoch. Its form is that of Hive, so that tools such as Athena read no other hours.
pub(super) fn hour_folder(folder: &str, time: i64) -> String {
    let hour = Timestamp::from_microsecond(time).unwrap_or_default().strftime("date=%Y-%m-%d/hour=%H");
    format!("{folder}/{hour}")
}

/// Returns when the process of a last segment ended at the latest, if that is known. Nothing tells a dead process from one
/// that only the store does not answer: that one goes on until the store has not taken its segments for `max_span`. But a
/// process of the same replica that began later proves that this one had ended. `all` are the segments of all processes.
pub(super) fn end_of_process<'s>(
    last: Segment<'s>,
    all: impl Iterator<Item = Segment<'s>>,
    max_span: Duration,
    now: i64,
) -> Option<i64> {
    let is_successor = |other: &Segment<'_>| {
        other.replica == last.replica && other.incarnation != last.incarnation && other.from >= last.to
    };
    let successor = all.filter(is_successor).map(|other| other.from).min();
    let longest = last.to.saturating_add(max_span.as_micros() as i64);
    successor.or((now >= longest).then_some(longest))
}
