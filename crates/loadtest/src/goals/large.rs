//! The goals for large events, and for the events beside them.

use super::pairs::median;
use crate::report::{Goal, Report, Run};
use crate::spec::{SendSchedule, Spec};

/// The latency that large events can add to a percentile of the others, in milliseconds. A large event keeps one core busy
/// for a few of them.
const BESIDE_MS: f64 = 25.0;

/// Returns the goals for large events: each is stored once, and they take little from the events beside them.
pub(super) fn large_events(report: &Report) -> Vec<Goal> {
    let is_with = |spec: &Spec| spec.large_percent > 0;
    let runs = |is_backlog: bool| {
        let runs = report.runs_of("large-events");
        runs.filter(move |run| (run.plan.spec.send_schedule == SendSchedule::AtOnce) == is_backlog)
    };
    let puts = runs(true).chain(runs(false)).filter(|run| is_with(&run.plan.spec)).map(puts).reduce(f64::max);
    let peak_mib = median(runs(true), is_with, |with, without| peak_mib(with) - peak_mib(without));
    let publishes = median(runs(true), is_with, |with, without| publishes(with) / publishes(without));
    let beside_ms = median(runs(false), is_with, |with, without| beside_ms(with) - beside_ms(without));
    let goals = [
        puts.map(|puts| Goal::at_most("PUTs per large event", 1.0, puts)),
        peak_mib.map(|mib| Goal::at_most("peak memory of 1 % of large events, MiB, median", 128.0, mib)),
        publishes.map(|ratio| Goal::at_most("publishes beside large events, × without, median", 1.3, ratio)),
        beside_ms.map(|ms| Goal::at_most("p95 beside large events, ms more than without, median", BESIDE_MS, ms)),
    ];
    goals.into_iter().flatten().collect()
}

/// Returns the calls that stored an object, per large event.
fn puts(run: &Run) -> f64 {
    let after = &run.service.after;
    after.calls.of("PutObject").calls as f64 / (after.claims.pointers as f64).max(1.0)
}

fn publishes(run: &Run) -> f64 {
    run.service.after.calls.of("PublishBatch").calls as f64
}

fn peak_mib(run: &Run) -> f64 {
    run.service.peak_until_exit_kib as f64 / 1024.0
}

/// Returns the 95th percentile of the time in the service of the events that are not large.
fn beside_ms(run: &Run) -> f64 {
    run.service.after.arrived.small_in_service.p95
}
