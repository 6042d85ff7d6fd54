//! The figures of a run about its replicas.

use super::Run;
use crate::emulator::replicas::ReplicaStats;
use crate::replicas::name;

/// The seconds of a run with a quota that are shown together.
const SPAN: usize = 10;

impl Run {
    /// Returns the lines about the replicas, for runs that tell them apart: the share of each, the killed one, and how
    /// the shares change over time at a quota.
    pub(crate) fn replica_lines(&self) -> Vec<String> {
        let Some(plan) = &self.plan.replicas else { return Vec::new() };
        let mut replicas: Vec<&ReplicaStats> = self.service.after.replicas.iter().collect();
        replicas.sort_by(|one, other| one.name.cmp(&other.name));
        let all: u64 = replicas.iter().map(|replica| replica.published).sum();
        let share = |replica: &&ReplicaStats| {
            let percent = replica.published as f64 * 100.0 / all.max(1) as f64;
            format!("{} {percent:.0} %", replica.name)
        };
        let shares: Vec<String> = replicas.iter().map(share).collect();
        let emulator = self.figures.emulator_cpu_us_per_event;
        let mut lines = vec![format!("emulator {emulator:.1} µs per event; events: {}", shares.join(", "))];
        if let Some(kill) = &self.service.kill {
            let (in_flight, after) = (kill.in_flight.unwrap_or_default(), &self.service.after);
            lines.push(format!(
                "{} was killed after {:.1} s with {in_flight} events published and not deleted, and {} was added; {} \
                 arrived twice, of which the kill explains {}",
                kill.replica,
                kill.at_ms as f64 / 1e3,
                name(plan.count + 1),
                after.arrived.doubled,
                kill.explained(after),
            ));
        }
        if self.plan.spec.faults.quota.is_some() {
            lines.extend(self.over_time(&replicas));
        }
        lines
    }

    /// Returns the messages per second of each replica, in spans of ten seconds.
    fn over_time(&self, replicas: &[&ReplicaStats]) -> Vec<String> {
        let end = self.plan.limit_seconds.unwrap_or_default() as usize;
        let line = |from: usize| {
            let rate = |replica: &&ReplicaStats| {
                let counted: u32 = replica.by_second.iter().skip(from).take(SPAN).sum();
                f64::from(counted) / SPAN as f64
            };
            let rates: Vec<f64> = replicas.iter().map(rate).collect();
            let each: Vec<String> = rates.iter().map(|rate| format!("{rate:>5.0}")).collect();
            format!("{from:>3} s: {} = {:.0} messages/s", each.join(" +"), rates.iter().sum::<f64>())
        };
        (0..end / SPAN).map(|span| line(span * SPAN)).collect()
    }
}
