//! The highest rate that SNS accepted over some seconds, with and without throttles.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use serde::Serialize;

use super::Throttled;
use crate::store::counters::coverage::{Coverage, time};
use crate::store::counters::{SECOND, Second};

/// The highest accepted rates over a span of some seconds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Highest {
    /// The length of the span.
    pub seconds: i64,
    /// The highest rate of a span without a throttle; `None` if each span has one, or if less time was counted. A span
    /// in which counters of a replica are missing is not taken, unless the replica was not heard of again.
    pub held: Option<Rate>,
    /// The highest rate of all spans; `None` if less time was counted.
    pub any: Option<Rate>,
}

/// A rate, and the span that had it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Rate {
    /// The messages per second, over all replicas.
    pub per_second: f64,
    /// The begin of the span.
    #[serde(serialize_with = "time")]
    pub from: i64,
}

/// Returns the highest rates over spans of whole seconds that lie in the counted time. Of equal rates it returns the
/// first.
pub(super) fn highest(
    span: i64,
    seconds: &BTreeMap<i64, Second>,
    throttles: &[Throttled],
    coverage: &Coverage,
) -> Highest {
    let counted = coverage.from.div_euclid(SECOND)..(coverage.to + SECOND - 1).div_euclid(SECOND);
    let sums = Sums::of(seconds);
    let throttled = throttled_seconds(seconds, throttles);
    let unknown: Vec<Range<i64>> = unknown(coverage);
    let is_clean = |from: i64| {
        throttled.range(from..from + span).next().is_none()
            && !unknown.iter().any(|time| time.start < from + span && from < time.end)
    };
    // A span with the highest sum can be moved until it ends with a second that has messages, or begins where the one
    // before it would spoil it.
    let ends = seconds.keys().map(|second| second + 1 - span);
    let after = throttled.iter().map(|second| second + 1).chain(unknown.iter().map(|time| time.end));
    let candidates: BTreeSet<i64> = ends.chain(after).chain([counted.start]).collect();
    let (mut held, mut any) = (None, None);
    for from in candidates {
        if from < counted.start || from + span > counted.end {
            continue;
        }
        let rate = Rate { per_second: sums.accepted(from..from + span) as f64 / span as f64, from: from * SECOND };
        keep_higher(&mut any, rate);
        if is_clean(from) {
            keep_higher(&mut held, rate);
        }
    }
    Highest { seconds: span, held, any }
}

fn keep_higher(best: &mut Option<Rate>, rate: Rate) {
    if best.is_none_or(|best: Rate| rate.per_second > best.per_second) {
        *best = Some(rate);
    }
}

fn throttled_seconds(seconds: &BTreeMap<i64, Second>, throttles: &[Throttled]) -> BTreeSet<i64> {
    let counted = seconds.iter().filter(|(_, second)| second.throttled > 0).map(|(at, _)| *at);
    counted.chain(throttles.iter().map(|throttle| throttle.at.div_euclid(SECOND))).collect()
}

/// Returns the seconds in which a replica that was counted afterwards has no counters.
fn unknown(coverage: &Coverage) -> Vec<Range<i64>> {
    coverage.inner_breaks().map(|gap| gap.from.div_euclid(SECOND)..(gap.to + SECOND - 1).div_euclid(SECOND)).collect()
}

/// The accepted messages up to each second, so that the sum of a span takes two lookups.
struct Sums {
    seconds: Vec<i64>,
    /// One longer than `seconds`: the sum of all before.
    before: Vec<u64>,
}

impl Sums {
    fn of(seconds: &BTreeMap<i64, Second>) -> Self {
        let mut before = vec![0];
        let mut sum = 0;
        for second in seconds.values() {
            sum += second.accepted;
            before.push(sum);
        }
        Self { seconds: seconds.keys().copied().collect(), before }
    }

    fn accepted(&self, span: Range<i64>) -> u64 {
        let before = |at: i64| self.before[self.seconds.partition_point(|second| *second < at)];
        before(span.end) - before(span.start)
    }
}
