//! Which time of a window was counted, by which replicas, and which time was not.
//!
//! The minutes of a process cover its life without a break, and its last one says so. So a time without counters is
//! unknown, not zero, unless the replica stopped in order. A report names this time and adds nothing for it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use serde::{Serialize, Serializer};

use super::{MINUTE, Minute, SECOND};
use crate::base::time::rfc3339_of_unix;

/// The longest time between two minutes of one process that is not a break.
const TOLERANCE: i64 = SECOND;
/// The time within which the counters of a minute are expected in the store, after its begin.
const STORED_WITHIN: i64 = 2 * MINUTE;

/// The time that the minutes of a window cover. Times are microseconds since the Unix epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Coverage {
    /// The begin of the first minute.
    #[serde(serialize_with = "time")]
    pub from: i64,
    /// The end of the last minute.
    #[serde(serialize_with = "time")]
    pub to: i64,
    /// The replicas, sorted.
    pub replicas: BTreeSet<String>,
    /// The number of counters objects.
    pub objects: u64,
    /// The times without counters, by replica and time.
    pub breaks: Vec<Break>,
    /// When the first of the replicas stops being counted, if the window ends a little later. The counters of that time
    /// are not stored yet, or the replica stopped.
    #[serde(serialize_with = "optional_time")]
    pub not_stored_after: Option<i64>,
}

/// A time in which a replica has no counters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Break {
    /// The replica.
    pub replica: String,
    /// The begin.
    #[serde(serialize_with = "time")]
    pub from: i64,
    /// The end.
    #[serde(serialize_with = "time")]
    pub to: i64,
    /// Where it is.
    pub kind: BreakKind,
}

/// Where a break is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BreakKind {
    /// Before the first minute of the window: counters are lost.
    Before,
    /// Between two minutes: counters are lost.
    Within,
    /// Between two processes of the replica: the first one died, or its last counters are lost.
    Restart,
    /// After the last minute: the process died, or its last counters are lost.
    After,
}

/// Returns the minutes that begin in the window, by replica and time, and what they cover. Without any it returns
/// `None`.
pub fn in_window(minutes: &[Minute], window: Range<i64>) -> Option<(Vec<&Minute>, Coverage)> {
    let mut found: Vec<&Minute> = minutes.iter().filter(|minute| window.contains(&minute.from)).collect();
    found.sort_by(|one, other| (&one.replica, one.from).cmp(&(&other.replica, other.from)));
    let from = found.iter().map(|minute| minute.from).min()?;
    let to = found.iter().map(|minute| minute.to).max()?;
    let mut by_replica: BTreeMap<&str, Vec<&Minute>> = BTreeMap::new();
    for minute in &found {
        by_replica.entry(&minute.replica).or_default().push(minute);
    }
    let mut breaks = Vec::new();
    let mut not_stored_after = None;
    for (replica, minutes) in &by_replica {
        let (first, last) = (minutes[0], minutes[minutes.len() - 1]);
        if first.number > 0 && first.from >= window.start + MINUTE {
            breaks.push(Break::new(replica, window.start..first.from, BreakKind::Before));
        }
        for pair in minutes.windows(2) {
            breaks.extend(between(pair[0], pair[1]).map(|kind| Break::new(replica, pair[0].to..pair[1].from, kind)));
        }
        if !last.is_last && last.to + STORED_WITHIN <= window.end {
            breaks.push(Break::new(replica, last.to..window.end, BreakKind::After));
        } else if !last.is_last && last.to < window.end {
            not_stored_after = Some(not_stored_after.map_or(last.to, |first: i64| first.min(last.to)));
        }
    }
    let replicas = by_replica.into_keys().map(str::to_owned).collect();
    let coverage = Coverage { from, to, replicas, objects: found.len() as u64, breaks, not_stored_after };
    Some((found, coverage))
}

/// Returns what is between two minutes of a replica, if time is missing there.
fn between(one: &Minute, next: &Minute) -> Option<BreakKind> {
    if next.from <= one.to + TOLERANCE {
        return None;
    }
    match (one.incarnation == next.incarnation, one.is_last, next.number) {
        (false, true, 0) => None,
        (false, false, 0) => Some(BreakKind::Restart),
        _ => Some(BreakKind::Within),
    }
}

impl Coverage {
    /// Returns the breaks of replicas that were heard of afterwards. A replica that died may be gone for good.
    pub(super) fn inner_breaks(&self) -> impl Iterator<Item = &Break> {
        self.breaks.iter().filter(|gap| gap.kind != BreakKind::After)
    }
}

impl Break {
    fn new(replica: &str, time: Range<i64>, kind: BreakKind) -> Self {
        Self { replica: replica.to_owned(), from: time.start, to: time.end, kind }
    }
}

/// Writes a time as RFC 3339.
pub(super) fn time<S: Serializer>(micros: &i64, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&rfc3339(*micros))
}

fn optional_time<S: Serializer>(micros: &Option<i64>, to: S) -> Result<S::Ok, S::Error> {
    micros.map(rfc3339).serialize(to)
}

fn rfc3339(micros: i64) -> String {
    let nanos = u32::try_from(micros.rem_euclid(SECOND)).unwrap_or_default() * 1_000;
    rfc3339_of_unix(micros.div_euclid(SECOND), nanos).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minute(replica: &str, incarnation: &str, number: u64, from: i64, to: i64) -> Minute {
        let (replica, incarnation) = (replica.to_owned(), incarnation.to_owned());
        Minute { replica, incarnation, number, from: from * SECOND, to: to * SECOND, ..Minute::default() }
    }

    fn last(minute: Minute) -> Minute {
        Minute { is_last: true, ..minute }
    }

    fn coverage(minutes: &[Minute], window: Range<i64>) -> Option<Coverage> {
        Some(in_window(minutes, window.start * SECOND..window.end * SECOND)?.1)
    }

    fn breaks(minutes: &[Minute], window: Range<i64>) -> Vec<(String, i64, i64, BreakKind)> {
        let breaks = coverage(minutes, window).unwrap().breaks;
        let seconds = |gap: Break| (gap.replica, gap.from / SECOND, gap.to / SECOND, gap.kind);
        breaks.into_iter().map(seconds).collect()
    }

    #[test]
    fn replicas_that_overlap_without_a_break_have_none() {
        let minutes = [
            minute("b", "1", 7, 0, 60),
            minute("a", "1", 3, 0, 60),
            minute("a", "1", 4, 60, 120),
            minute("b", "1", 8, 60, 75),
            minute("b", "2", 0, 76, 120),
        ];
        let found = coverage(&minutes, 0..120).unwrap();
        assert_eq!((found.from, found.to, found.objects, found.not_stored_after), (0, 120 * SECOND, 5, None));
        assert_eq!(found.replicas.iter().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(found.breaks, []);
    }

    #[test]
    fn a_replica_that_starts_and_stops_in_order_has_no_break() {
        let minutes = [
            minute("a", "1", 0, 100, 120),
            last(minute("a", "1", 1, 120, 130)),
            minute("a", "2", 0, 300, 360),
            last(minute("a", "2", 1, 360, 370)),
        ];
        let found = coverage(&minutes, 0..1_000).unwrap();
        assert_eq!((found.breaks, found.not_stored_after), (vec![], None));
    }

    #[test]
    fn each_kind_of_break_is_named_with_its_replica_and_time() {
        let minutes = [
            minute("a", "1", 5, 60, 120),
            minute("a", "1", 7, 180, 240),
            minute("a", "2", 0, 250, 300),
            last(minute("a", "2", 1, 300, 310)),
            minute("a", "3", 1, 320, 330),
            minute("b", "1", 0, 0, 60),
            last(minute("b", "1", 1, 60, 480)),
        ];
        assert_eq!(
            breaks(&minutes, 0..480),
            [
                ("a".into(), 0, 60, BreakKind::Before),
                ("a".into(), 120, 180, BreakKind::Within),
                ("a".into(), 240, 250, BreakKind::Restart),
                ("a".into(), 310, 320, BreakKind::Within),
                ("a".into(), 330, 480, BreakKind::After),
            ]
        );
    }

    #[test]
    fn the_last_minutes_before_now_are_not_stored_yet_and_no_break() {
        let minutes = [minute("a", "1", 0, 0, 120), minute("b", "1", 0, 0, 180)];
        assert_eq!(breaks(&minutes, 0..239), []);
        assert_eq!(coverage(&minutes, 0..239).unwrap().not_stored_after, Some(120 * SECOND));
        assert_eq!(breaks(&minutes, 0..240), [("a".into(), 120, 240, BreakKind::After)]);
    }

    #[test]
    fn a_minute_belongs_to_the_window_in_which_it_begins() {
        let minutes =
            [0, 1, 2].map(|number: i64| minute("a", "1", number.unsigned_abs(), number * 60, number * 60 + 60));
        let of = |window: Range<i64>| coverage(&minutes, window).map(|found| found.from / SECOND..found.to / SECOND);
        assert_eq!(of(30..90), Some(60..120));
        assert_eq!(of(90..150), Some(120..180));
        assert_eq!(of(1..60), None);
        assert_eq!(breaks(&minutes, 1..180), []);
    }
}
