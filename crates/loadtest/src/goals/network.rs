//! The goals for a real network.

use crate::report::{Goal, Report, Run};
use crate::spec::SendSchedule;

/// The events per second that one topic carries with TLS and calls that take time.
const LEAST_PER_SECOND: f64 = 5_000.0;
/// The 95th percentile of the latency at half of the rate of a drain, in milliseconds.
const MOST_P95_MS: f64 = 150.0;
/// The TLS handshakes of a run if no connection is cut, whatever its number of calls: four for each receive, publish and
/// delete that can be under way. The client opens a connection when all others are in use, and can then use another one
/// that becomes free earlier.
const MOST_HANDSHAKES: f64 = 4.0 * 3.0 * 16.0;

/// Returns the goals for the rate and the latency over a network that is far but works, and for the calls that fail on any
/// network.
pub(super) fn network(report: &Report) -> Vec<Goal> {
    let far = || report.runs_of("network").filter(|run| is_far(run));
    let drains = far().filter(|run| run.plan.spec.send_schedule == SendSchedule::AtOnce);
    let loads = far().filter(|run| run.plan.spec.send_schedule != SendSchedule::AtOnce);
    let per_second = drains.map(|run| run.service.per_second_of_most(&run.plan.spec)).reduce(f64::min);
    let p95 = loads.map(|run| run.figures.latency_ms.p95).reduce(f64::max);
    let handshakes = far().map(|run| run.service.stats.network.handshakes).max();
    let unexplained = report.runs_of("network").filter_map(Run::failed_without_reason).max();
    let goals = [
        per_second.map(|rate| Goal {
            most: None,
            ..Goal::between("events/s of one topic, far, with TLS, the slower drain", LEAST_PER_SECOND, 0.0, rate)
        }),
        p95.map(|p95| Goal::at_most("p95 at half of that rate, ms", MOST_P95_MS, p95)),
        handshakes.map(|count| Goal::at_most("TLS handshakes of a run, far", MOST_HANDSHAKES, count as f64)),
        unexplained.map(|calls| Goal::at_most("failed calls without a cut", 0.0, calls as f64)),
    ];
    goals.into_iter().flatten().collect()
}

/// Whether calls of the run took time, and nothing else limited or disturbed them.
fn is_far(run: &Run) -> bool {
    let network = &run.plan.spec.network;
    network.tls && network.round_trip_ms > 0 && network.megabits.is_none() && network.cut_seconds.is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::emulator::stats::{ArrivalStats, Stats};
    use crate::measure::{Measured, RunPlan};
    use crate::network::{Network, NetworkStats};
    use crate::report::Machine;
    use crate::spec::Spec;

    /// Returns a run in which 100,000 events take `millis`, with 30,000 calls over 100 connections.
    fn run(network: Network, millis: u64, failed_calls: u64) -> Run {
        let arrived = ArrivalStats { arrived: 100_000, last_us: millis * 1_000, ..ArrivalStats::default() };
        let network_stats = NetworkStats { handshakes: 100, cut_in_request: 7, cut_in_answer: 3, ..Default::default() };
        let mut stats = Stats { arrived, network: network_stats, ..Stats::default() };
        (0..30_000).for_each(|_| stats.calls.add("PublishBatch", true, 10, 1));
        let service = Measured { after: stats.clone(), stats, failed_calls: Some(failed_calls), ..Measured::default() };
        let plan = RunPlan { spec: Spec { network, ..Spec::default() }, ..RunPlan::default() };
        Run::new("network".to_owned(), String::new(), 0.0, plan, service, Vec::new()).unwrap()
    }

    fn missed(runs: Vec<Run>) -> Vec<String> {
        let (machine, version) = (Machine::default(), String::new());
        let report = Report { machine, version, variables: Vec::new(), runs, goals: Vec::new() };
        let missed = network(&report).into_iter().filter(|goal| !goal.is_met());
        missed.map(|goal| goal.name).collect()
    }

    #[test]
    fn the_slower_of_the_far_drains_must_reach_the_rate() {
        let far = Network { tls: true, round_trip_ms: 20, ..Network::default() };
        let (fast, slow) = (run(far, 10_000, 0), run(far, 25_000, 0));
        assert_eq!(missed(vec![fast.clone()]), [""; 0]);
        assert_eq!(missed(vec![fast, slow]), ["events/s of one topic, far, with TLS, the slower drain"]);
        let narrow = Network { megabits: Some(10), ..far };
        assert_eq!(missed(vec![run(narrow, 90_000, 0)]), [""; 0], "a limited bandwidth has no goal");
    }

    #[test]
    fn each_failed_call_needs_a_cut_that_interrupted_it() {
        let cut = Network { cut_seconds: Some(3.0), ..Network::default() };
        assert_eq!(missed(vec![run(cut, 1, 10)]), [""; 0]);
        assert_eq!(missed(vec![run(cut, 1, 11)]), ["failed calls without a cut"]);
    }
}
