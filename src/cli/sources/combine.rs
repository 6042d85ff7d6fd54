//! Combines what several replicas know about the sources.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::missing;
use crate::app::admin::{KnownGapList, KnownSource, KnownSources};
use crate::monitor::sources::is_proof;

/// The combined knowledge of all replicas about one source. Times are in seconds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Combined {
    pub(super) source: String,
    pub(super) state: &'static str,
    pub(super) expected: bool,
    pub(super) age_seconds: Option<f64>,
    pub(super) interval_seconds: Option<f64>,
    pub(super) sequence: Option<u64>,
    /// The missing heartbeats by queue, as all replicas know them. Absent if the replicas share no Redis, or if the lists
    /// are unknown at the moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) missing: Option<Vec<KnownGapList>>,
    pub(super) restarts: u64,
    pub(super) before_queue_seconds: Option<f64>,
    pub(super) in_queue_seconds: Option<f64>,
    /// The number of replicas that heard the source.
    pub(super) heard_by: usize,
}

/// Combines the pages of all replicas. Returns the sources, sorted by name.
pub(super) fn combine(pages: &[KnownSources]) -> Vec<Combined> {
    let mut known: BTreeMap<&str, Vec<&KnownSource>> = BTreeMap::new();
    for source in pages.iter().flat_map(|page| &page.list) {
        known.entry(&source.source).or_default().push(source);
    }
    let gaps = missing::known(pages);
    let mut combined: Vec<Combined> = known.into_values().map(|reports| combine_one(&reports)).collect();
    for source in &mut combined {
        let is_its_list = |list: &&KnownGapList| list.source == source.source;
        source.missing = gaps.map(|gaps| gaps.list.iter().filter(is_its_list).cloned().collect());
    }
    combined
}

fn combine_one(reports: &[&KnownSource]) -> Combined {
    // The replica that received the last heartbeat knows the most.
    let age = |report: &KnownSource| report.age_seconds.unwrap_or(f64::INFINITY);
    let last = reports.iter().copied().min_by(|one, other| age(one).total_cmp(&age(other)));
    let last = last.expect("a source is on at least one page");
    let unproven = reports.iter().filter_map(|report| report.unproven_seconds).min_by(f64::total_cmp);
    Combined {
        source: last.source.clone(),
        state: state(reports, last, unproven),
        expected: reports.iter().any(|report| report.expected),
        age_seconds: last.age_seconds,
        interval_seconds: last.interval_seconds,
        sequence: last.sequence,
        missing: None,
        restarts: reports.iter().map(|report| report.restarts).max().unwrap_or(0),
        before_queue_seconds: last.before_queue_seconds,
        in_queue_seconds: last.in_queue_seconds,
        heard_by: reports.iter().filter(|report| report.age_seconds.is_some()).count(),
    }
}

/// Returns the state. The judgment is that of one replica, on the last heartbeat and on the best proof of all.
fn state(reports: &[&KnownSource], last: &KnownSource, unproven: Option<f64>) -> &'static str {
    let (Some(age), Some(interval), Some(stale_after)) =
        (last.age_seconds, last.interval_seconds, last.stale_after_seconds)
    else {
        return "unknown";
    };
    let says = |state: &str| reports.iter().any(|report| report.state == state);
    if age >= stale_after {
        let [since, interval, limit] = [age, interval, stale_after].map(duration);
        // A message that one replica has not read can be the heartbeat that all miss.
        let unread = reports.iter().filter_map(|report| report.unread_seconds).map(duration).max();
        let is_missing =
            unproven.is_some_and(|unproven| is_proof(since, (interval, limit), (duration(unproven), unread)));
        return if is_missing { "stale" } else { "late" };
    }
    match last.state.as_str() {
        "late" => "late",
        _ if says("flowing") => "flowing",
        _ => "quiet",
    }
}

/// Returns a time in seconds as a duration; zero if it is none.
fn duration(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(state: &str, age: Option<f64>, unproven: f64) -> KnownSource {
        KnownSource {
            source: "eu".into(),
            state: state.into(),
            expected: true,
            queues: Default::default(),
            age_seconds: age,
            interval_seconds: age.map(|_| 10.0),
            stale_after_seconds: age.map(|_| 30.0),
            sequence: age.map(|age| 1_000 - age as u64),
            gaps: 0,
            restarts: 0,
            before_queue_seconds: None,
            in_queue_seconds: None,
            clock_skew: false,
            unproven_seconds: Some(unproven),
            unread_seconds: None,
        }
    }

    fn page(list: Vec<KnownSource>) -> KnownSources {
        KnownSources { knowledge: String::new(), list, gaps: None }
    }

    #[test]
    fn replicas_that_hear_a_part_of_the_heartbeats_agree_on_a_state() {
        for (one, other, expected) in [
            (report("unknown", None, 0.0), report("unknown", None, 0.0), "unknown"),
            (report("unknown", None, 0.0), report("quiet", Some(3.0), 0.0), "quiet"),
            (report("stale", Some(40.0), 0.0), report("quiet", Some(5.0), 0.0), "quiet"),
            (report("stale", Some(40.0), 0.0), report("flowing", Some(5.0), 0.0), "flowing"),
            (report("quiet", Some(5.0), 0.0), report("late", Some(4.0), 50.0), "late"),
            (report("stale", Some(70.0), 0.0), report("stale", Some(40.0), 9.0), "stale"),
            // The proof of the first replica is older than the last heartbeat, which the second one received.
            (report("stale", Some(70.0), 35.0), report("late", Some(40.0), 40.0), "late"),
            (report("unknown", None, 2.0), report("late", Some(40.0), 40.0), "stale"),
        ] {
            let combined = combine(&[page(vec![one.clone()]), page(vec![other.clone()])]);
            assert_eq!((combined.len(), combined[0].state), (1, expected), "{one:?} {other:?}");
            assert_eq!(combine(&[page(vec![other]), page(vec![one])]), combined);
        }
    }

    #[test]
    fn a_message_that_one_replica_has_not_read_makes_a_source_late_and_not_stale() {
        for (unread, expected) in [(None, "stale"), (Some(10.1), "late"), (Some(9.9), "stale")] {
            let holder = KnownSource { unread_seconds: unread, ..report("late", Some(70.0), 0.0) };
            let combined = combine(&[page(vec![report("stale", Some(40.0), 0.0)]), page(vec![holder])]);
            assert_eq!(combined[0].state, expected, "{unread:?}");
        }
    }

    #[test]
    fn sources_of_different_replicas_are_listed_by_name() {
        let named = |name: &str| KnownSource { source: name.into(), ..report("quiet", Some(1.0), 0.0) };
        let combined = combine(&[page(vec![named("b")]), page(vec![named("a"), named("b")]), page(Vec::new())]);
        let names: Vec<_> = combined.iter().map(|it| (it.source.as_str(), it.heard_by)).collect();
        assert_eq!(names, [("a", 1), ("b", 2)]);
    }
}
