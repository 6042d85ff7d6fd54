//! The goals for several replicas.

use std::ops::Range;

use super::publishes_per_accepted;
use crate::replicas::steps::PLACES;
use crate::replicas::{RedisPlace, ReplicaPlan, name};
use crate::report::{Goal, Report, Run};

/// The seconds at the start of a run with a quota that do not count, because the replicas are still finding the rate.
const SETTLING_SECONDS: u64 = 15;

/// Returns the goals for the throughput of four limited replicas, and for the quota that three replicas share.
pub(super) fn replicas(report: &Report) -> Vec<Goal> {
    let mut goals = scaling(report);
    for run in report.runs_of("replicas") {
        goals.extend(quota(run));
    }
    goals
}

/// Compares the limited runs with four replicas and with one, for each place of Redis.
fn scaling(report: &Report) -> Vec<Goal> {
    let limited: Vec<&Run> = report.runs_of("replicas").filter(|run| run.label.starts_with("limited")).collect();
    let rate = |count: u32, redis: RedisPlace| {
        let is_it = |plan: &ReplicaPlan| plan.count == count && plan.redis == redis;
        let run = limited.iter().find(|run| run.plan.replicas.as_ref().is_some_and(is_it))?;
        Some(run.figures.events_per_second)
    };
    let goal = |redis: RedisPlace| {
        let ratio = rate(4, redis)? / rate(1, redis)?;
        let what = format!("throughput of 4 limited replicas, {}, × one", redis.name());
        Some(Goal { most: None, ..Goal::between(what, 3.0, 0.0, ratio) })
    };
    PLACES.into_iter().filter_map(goal).collect()
}

/// Returns the goals for a quota: before a replica is killed, and after one was added.
fn quota(run: &Run) -> Vec<Goal> {
    let (Some(quota), Some(plan)) = (run.plan.spec.faults.quota, &run.plan.replicas) else { return Vec::new() };
    let (Some(change), Some(end)) = (plan.change, run.plan.limit_seconds) else { return Vec::new() };
    let (before, after) = (SETTLING_SECONDS..change.kill_after, change.add_after + SETTLING_SECONDS..end);
    let ratio = |span: Range<u64>| per_second(&run.service.stats.arrived.by_second, span) / f64::from(quota);
    // A replica that published nothing has no figures.
    let rate = |number| {
        let of_name = run.service.stats.replicas.iter().find(|replica| replica.name == name(number));
        of_name.map_or(0.0, |replica| per_second(&replica.by_second, before.clone()))
    };
    let smallest = (1..=plan.count).map(rate).fold(f64::MAX, f64::min);
    let equal = f64::from(quota) / f64::from(plan.count);
    vec![
        Goal::between(format!("published by {} replicas, × quota of {quota}", plan.count), 0.95, 1.05, ratio(before)),
        Goal::between(format!("after a kill and an addition, × quota of {quota}"), 0.95, 1.05, ratio(after)),
        Goal::at_most("publishes per accepted publish, replicas at the quota", 1.1, publishes_per_accepted(run)),
        Goal {
            most: None,
            ..Goal::between("smallest share of a replica at the quota, × an equal share", 0.3, 0.0, smallest / equal)
        },
    ]
}

/// Returns the messages per second in a span of seconds.
fn per_second(series: &[u32], span: Range<u64>) -> f64 {
    let length = (span.end - span.start).max(1) as f64;
    let counted = series.iter().skip(span.start as usize).take((span.end - span.start) as usize);
    f64::from(counted.sum::<u32>()) / length
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::emulator::replicas::ReplicaStats;
    use crate::emulator::stats::{ArrivalStats, Stats};
    use crate::measure::Measured;
    use crate::report::Machine;
    use crate::scenario::{NetworkOptions, ScenarioParameters};
    use crate::spec::BackendKind;

    fn parameters() -> ScenarioParameters {
        ScenarioParameters {
            events: 1_000,
            seconds: 20,
            five_million: false,
            loads: Vec::new(),
            call_ms: 0,
            backend: BackendKind::Lean,
            has_store: false,
            store_down: 300,
            network: NetworkOptions::for_tests(),
        }
    }

    /// Returns the goals of the runs of the scenario, with the measurements that `measured` makes of each label.
    fn goals(measured: impl Fn(&str) -> Stats) -> Vec<Goal> {
        let run = |step: crate::scenario::Step| {
            let stats = measured(&step.label);
            let measured = Measured { after: stats.clone(), stats, stopped_well: true, ..Measured::default() };
            Run::new("replicas".to_owned(), step.label, step.x, step.plan, measured, Vec::new()).unwrap()
        };
        let runs = crate::replicas::steps::steps(&parameters()).into_iter().map(run).collect();
        let (version, variables, goals) = (String::new(), Vec::new(), Vec::new());
        replicas(&Report { machine: Machine::default(), version, variables, runs, goals })
    }

    fn missed(goals: &[Goal]) -> Vec<&str> {
        goals.iter().filter(|goal| !goal.is_met()).map(|goal| goal.name.as_str()).collect()
    }

    /// Returns a run of this many events in a second.
    fn drained(arrived: u64) -> Stats {
        Stats { arrived: ArrivalStats { arrived, last_us: 1_000_000, ..ArrivalStats::default() }, ..Stats::default() }
    }

    /// Returns a run with the quota, in which each replica publishes at a rate, and the first is dead after a minute.
    fn shared(rates: [u32; 4]) -> Stats {
        let series = |index: usize| {
            (0..110).map(move |second| match (index, second) {
                (0, 60..) | (3, ..75) => 0,
                _ => rates[index],
            })
        };
        let by_second = (0..110).map(|second| (0..4).map(|index| series(index).nth(second).unwrap()).sum()).collect();
        let name = |index: usize| name(index as u32 + 1);
        let replica =
            |index| ReplicaStats { name: name(index), by_second: series(index).collect(), ..ReplicaStats::default() };
        let arrived = ArrivalStats { by_second, ..ArrivalStats::default() };
        let mut stats = Stats { arrived, replicas: (0..4).map(replica).collect(), ..Stats::default() };
        stats.calls.add("PublishBatch", true, 10, 1);
        stats
    }

    fn all(label: &str, four: u64, rates: [u32; 4]) -> Stats {
        match label {
            label if label.starts_with("quota") => shared(rates),
            label if label.starts_with("limited, 4") => drained(four),
            _ => drained(1_000),
        }
    }

    #[test]
    fn four_replicas_must_reach_three_times_the_throughput_of_one() {
        assert_eq!(missed(&goals(|label| all(label, 3_000, [100; 4]))), [""; 0]);
        let missed_goals = goals(|label| all(label, 2_990, [100; 4]));
        assert_eq!(
            missed(&missed_goals),
            PLACES.map(|place| { format!("throughput of 4 limited replicas, {}, × one", place.name()) })
        );
    }

    #[test]
    fn replicas_must_use_a_quota_and_share_it() {
        for (rates, expected) in [
            ([100, 100, 100, 100], &[][..]),
            ([150, 110, 40, 150], &[]),
            ([94, 94, 94, 112], &["published by 3 replicas, × quota of 300"]),
            ([100, 100, 100, 80], &["after a kill and an addition, × quota of 300"]),
            ([170, 104, 26, 170], &["smallest share of a replica at the quota, × an equal share"]),
        ] {
            assert_eq!(missed(&goals(|label| all(label, 4_000, rates))), expected, "{rates:?}");
        }
        let without_the_second = |label: &str| {
            let mut stats = all(label, 4_000, [150, 0, 150, 150]);
            stats.replicas.retain(|replica| replica.name != name(2));
            stats
        };
        assert_eq!(missed(&goals(without_the_second)), ["smallest share of a replica at the quota, × an equal share"]);
    }
}
