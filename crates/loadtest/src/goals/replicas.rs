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
    let rates = run.service.stats.replicas.iter().filter(|replica| replica.name != name(plan.count + 1));
    let smallest = rates.map(|replica| per_second(&replica.by_second, before.clone())).fold(f64::MAX, f64::min);
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
