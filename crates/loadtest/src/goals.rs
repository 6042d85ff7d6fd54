//! The goals that the figures must meet.
//!
//! [`goals`] apply to a full session on a quiet machine. [`smoke`] applies to every change: ratios and counts with
//! bounds wide enough for a busy machine.

mod large;
mod network;
mod pairs;
mod replicas;
mod store;

use crate::report::{Goal, Report, Run};
use crate::spec::Spec;

/// Returns the goals of a session. Goals whose runs are missing are left out.
pub(crate) fn goals(report: &Report) -> Vec<Goal> {
    let mut goals = Vec::new();
    for run in report.runs_of("drain") {
        if let Some(ratio) = run.figures.cpu_of_floor {
            goals.push(Goal::at_most("CPU per event in a drain, × floor", 1.0, ratio));
        }
        goals.extend(run.figures.calls_per_event.map(|calls| Goal::at_most("calls per event in a drain", 0.32, calls)));
    }
    for run in report.runs_of("steady").filter(|run| run.label == "50%") {
        goals.push(Goal::at_most("p95 at 50% load, ms", 100.0, run.figures.latency_ms.p95));
    }
    for run in report.runs_of("burst") {
        goals.push(Goal::at_most("p95 of a burst from send, ms", 3_000.0, run.figures.latency_ms.p95));
        goals.push(Goal::at_most("p95 of a burst from receive, ms", 3_000.0, run.figures.in_service_ms.p95));
        if let Some(percent) = run.figures.idle_cpu_percent {
            goals.push(Goal::at_most("CPU while idle, % of a core", 1.0, percent));
        }
    }
    for run in report.runs_of("backlog").filter(|run| run.plan.spec.events >= 1_000_000) {
        goals.push(Goal::at_most(format!("peak MiB, backlog of {}", run.label), 150.0, run.figures.peak_rss_mib));
    }
    for run in report.runs_of("throttled") {
        goals.extend(throttled(run));
    }
    goals.extend(throttled_topic(report));
    goals.extend(store::journal(report));
    goals.extend(store::archive(report));
    goals.extend(store::store_down(report));
    goals.extend(large::large_events(report));
    goals.extend(network::network(report));
    goals.extend(replicas::replicas(report));
    let broken: usize = report.runs.iter().map(|run| run.broken.len()).sum();
    goals.push(Goal::at_most("broken guarantees in all runs", 0.0, broken as f64));
    goals
}

/// Returns the goals of the smoke run.
pub(crate) fn smoke(report: &Report) -> Vec<Goal> {
    let mut goals = Vec::new();
    for run in &report.runs {
        let name = run.name();
        // `broken` covers lost, duplicated and misdirected deliveries and every other broken guarantee.
        goals.push(Goal::at_most(format!("{name}: broken guarantees"), 0.0, run.broken.len() as f64));
        // In an outage of the store, up to `archive.max_buffered_bytes` wait for it.
        let most_mib = if run.plan.outage.is_some() { 250.0 } else { 100.0 };
        goals.push(Goal::at_most(format!("{name}: peak MiB"), most_mib, run.figures.peak_rss_mib));
        let most_calls = match run.scenario.as_str() {
            "drain" => 0.40,
            // A receive, ten publishes and a delete for ten events are 1.2 calls per event. More means that batches are
            // not full.
            "fan-out" => 1.6,
            // Failed calls are repeated, and batches are smaller.
            "failing" | "refusing" => 0.60,
            // A steady load fills no batches.
            "store-down" => 3.2,
            _ => f64::MAX,
        };
        let calls = |calls| Goal::at_most(format!("{name}: calls per event"), most_calls, calls);
        goals.extend(run.figures.calls_per_event.map(calls));
        let ratio = |ratio| Goal::at_most(format!("{name}: CPU per event, × floor"), 1.5, ratio);
        goals.extend(run.figures.cpu_of_floor.map(ratio));
    }
    goals
}

/// The number of seconds at the start that do not count, because the service is still finding the rate.
const SETTLING_SECONDS: usize = 5;

/// Returns the goals for the rate, the calls, and the share of the customers who do not cause the load.
fn throttled(run: &Run) -> Vec<Goal> {
    let Spec { faults, .. } = &run.plan.spec;
    let (Some(quota), Some(limit)) = (faults.quota, run.plan.limit_seconds) else { return Vec::new() };
    let arrived = &run.service.stats.arrived;
    let end = (limit as usize).min(arrived.by_second.len());
    let sum = |series: &[u32]| series.get(SETTLING_SECONDS..end).unwrap_or_default().iter().sum::<u32>() as f64;
    let (all, others) = (sum(&arrived.by_second), sum(&arrived.others_by_second));
    let rate = all / end.saturating_sub(SETTLING_SECONDS).max(1) as f64;
    let share = others / all.max(1.0) / arrived.others_share;
    vec![
        Goal::between(format!("published per second, × quota of {quota}"), 0.95, 1.02, rate / f64::from(quota)),
        Goal::at_most("publishes per accepted publish, at the quota", 1.1, publishes_per_accepted(run)),
        Goal {
            most: None,
            ..Goal::between("throughput of smaller customers at the quota, × their share", 0.95, 0.0, share)
        },
    ]
}

/// Returns the number of publishes for each one that SNS accepted.
fn publishes_per_accepted(run: &Run) -> f64 {
    let publishes = run.service.stats.calls.of("PublishBatch");
    let accepted = publishes.calls.saturating_sub(publishes.failed).max(1);
    publishes.calls as f64 / accepted as f64
}

/// The number of seconds at the start that do not count while a topic is throttled. The service finds the topic's rate.
const TOPIC_SETTLING_SECONDS: usize = 10;

/// Returns the goals for the rate of a topic that SNS throttles by itself, and for that of the other topics, compared with
/// the run without the quota.
fn throttled_topic(report: &Report) -> Vec<Goal> {
    let runs = || report.runs_of("throttled-topic");
    let with = runs().find_map(|run| Some((run, run.plan.spec.faults.topic_quota?, run.plan.limit_seconds?)));
    let without = runs().find(|run| run.plan.spec.faults.topic_quota.is_none());
    let (Some((with, quota, limit)), Some(without)) = (with, without) else { return Vec::new() };
    let seconds = (limit as usize).saturating_sub(TOPIC_SETTLING_SECONDS).max(1) as f64;
    let per_second = |series: &[u32]| {
        let counted = series.iter().take(limit as usize).skip(TOPIC_SETTLING_SECONDS);
        f64::from(counted.sum::<u32>()) / seconds
    };
    let others = |run: &Run| per_second(&run.service.stats.arrived.others_by_second);
    let topic = per_second(&with.service.stats.arrived.by_second) - others(with);
    vec![
        Goal {
            most: None,
            ..Goal::between("others while one topic is throttled, × without", 0.95, 0.0, others(with) / others(without))
        },
        Goal::between(
            format!("published to the throttled topic, × quota of {quota}"),
            0.85,
            1.02,
            topic / f64::from(quota),
        ),
    ]
}

#[cfg(test)]
#[path = "goals/tests.rs"]
mod tests;
