//! What the segments of a window do not have.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use serde::Serialize;

use super::{Declaration, Lost, MAX_SPAN};
use crate::store::journal::stamp;
use crate::store::process::end_of_process;

/// A time in which messages were, or can have been, deleted without the archive. Times are microseconds since the Unix
/// epoch. In JSON they are texts in the format of RFC 3339.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Gap {
    /// The replica.
    pub replica: String,
    /// Identifies the process.
    pub incarnation: String,
    /// The begin of the gap.
    #[serde(serialize_with = "stamp::serialize")]
    pub from: i64,
    /// The end of the gap. `None` if it is open: nothing says when the process ended.
    #[serde(serialize_with = "stamp::serialize_option")]
    pub to: Option<i64>,
    /// Why messages are missing.
    #[serde(flatten)]
    pub kind: GapKind,
}

/// Why messages of a time are missing, or can be missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum GapKind {
    /// The process deleted messages without the archive and says so.
    Lost {
        /// The name of their queue.
        queue: String,
        /// Their number.
        count: u64,
    },
    /// A segment of the process is gone.
    Missing,
    /// The process did not stop in order, and its next segment did not come although it was due.
    Died,
    /// The next segment of the process is not due yet.
    NotStoredYet,
}

impl fmt::Display for Gap {
    /// Writes a sentence such as `pod-a: 3 messages of the queue events were deleted without the archive, between …`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { replica, incarnation, from, to, kind } = self;
        match kind {
            GapKind::Lost { queue, count: 1 } => {
                write!(f, "{replica}: 1 message of the queue {queue} was deleted without the archive, at {}", at(*from))
            }
            GapKind::Lost { queue, count } => {
                write!(f, "{replica}: {count} messages of the queue {queue} were deleted without the archive, ")?;
                write!(f, "between {} and {}", at(*from), at(to.unwrap_or(*from)))
            }
            GapKind::Missing => {
                write!(
                    f,
                    "{replica}: a segment of the process {incarnation} is gone, for the time from {} ",
                    at(*from)
                )?;
                write!(f, "to {}", at(to.unwrap_or(*from)))
            }
            GapKind::Died => {
                write!(
                    f,
                    "{replica}: the process {incarnation} did not stop in order; its messages from {} ",
                    at(*from)
                )?;
                match to {
                    Some(to) => write!(f, "to {} can be missing", at(*to)),
                    None => write!(f, "on can be missing"),
                }
            }
            GapKind::NotStoredYet => {
                write!(f, "{replica}: the messages from {} on are not stored yet; wait and try again", at(*from))
            }
        }
    }
}

fn at(micros: i64) -> String {
    format!("{} {} UTC", stamp::day(micros), stamp::time_of_day(micros))
}

/// Returns the gaps of a window between segments. The declarations are those of all segments that began in the window,
/// or at most [`MAX_SPAN`] before it. `now` is the time of their listing.
pub(super) fn between(declarations: &[&Declaration], window: &Range<i64>, now: i64) -> Vec<Gap> {
    let mut processes: BTreeMap<(&str, &str), Vec<&Declaration>> = BTreeMap::new();
    for &declaration in declarations {
        processes.entry((&declaration.replica, &declaration.incarnation)).or_default().push(declaration);
    }
    let mut gaps = Vec::new();
    for ((replica, incarnation), mut segments) in processes {
        segments.sort_unstable_by_key(|segment| (segment.number, segment.from));
        let gap = |from: i64, to: Option<i64>, kind| {
            let gap = Gap { replica: replica.into(), incarnation: incarnation.into(), from, to, kind };
            touches(from, to, window).then_some(gap)
        };
        if let Some(first) = segments.first().filter(|first| first.number > 0 && first.from > window.start) {
            // The segment before it began less than MAX_SPAN before it, so it would be listed.
            gaps.extend(gap(window.start, Some(first.from), GapKind::Missing));
        }
        for pair in segments.windows(2) {
            let (one, next) = (pair[0], pair[1]);
            if next.number > one.number + 1 || next.from > one.to {
                let (from, to) = (one.to.min(next.from), one.to.max(next.from));
                gaps.extend(gap(from, Some(to), GapKind::Missing));
            }
        }
        let Some(last) = segments.last().filter(|last| !last.is_last) else { continue };
        let all = || declarations.iter().map(|declaration| declaration.of_process());
        gaps.extend(if now < last.next_by {
            gap(last.to, None, GapKind::NotStoredYet)
        } else {
            gap(last.to, end_of_process(last.of_process(), all(), MAX_SPAN, now), GapKind::Died)
        });
    }
    gaps
}

/// Returns the gaps of a window that a segment declares.
pub(super) fn of_lost(declaration: &Declaration, lost: Vec<Lost>, window: &Range<i64>) -> Vec<Gap> {
    let Declaration { replica, incarnation, .. } = declaration;
    // The last message was finished at `to`.
    let within = lost.into_iter().filter(|lost| lost.from < window.end && lost.to >= window.start);
    let gap = |Lost { queue, from, to, count }| Gap {
        replica: replica.clone(),
        incarnation: incarnation.clone(),
        from,
        to: Some(to),
        kind: GapKind::Lost { queue, count },
    };
    within.map(gap).collect()
}

/// Whether a gap has a part in the window. A gap can have no length, if the clock of the process was set back.
fn touches(from: i64, to: Option<i64>, window: &Range<i64>) -> bool {
    let ends_later = to.is_none_or(|to| to > window.start || (to == from && to == window.start));
    from < window.end && ends_later
}

#[cfg(test)]
mod tests;
