//! The plot of a quota that replicas share.

use super::chart::{Axis, Chart, Line, Scale};
use crate::emulator::replicas::ReplicaStats;
use crate::report::Report;

/// The seconds that one point of a line stands for.
const SPAN: usize = 5;

/// Draws the messages per second of each replica and of all of them.
pub(super) fn quota(report: &Report) -> Chart {
    let mut lines = Vec::new();
    if let Some(run) = report.runs_of("replicas").find(|run| run.plan.spec.faults.quota.is_some()) {
        let seconds = run.plan.limit_seconds.unwrap_or_default() as usize;
        lines.push(over_time("all", &run.service.stats.arrived.by_second, seconds));
        let mut replicas: Vec<&ReplicaStats> = run.service.stats.replicas.iter().collect();
        replicas.sort_by(|one, other| one.name.cmp(&other.name));
        lines.extend(replicas.iter().map(|replica| over_time(&replica.name, &replica.by_second, seconds)));
    }
    Chart {
        title: "Three replicas at a quota; one is killed and one is added".to_owned(),
        x: Axis::new("seconds", Scale::Linear),
        y: Axis::new("messages per second", Scale::Linear),
        lines,
    }
}

fn over_time(name: &str, by_second: &[u32], seconds: usize) -> Line {
    let rate = |from: usize| f64::from(by_second.iter().skip(from).take(SPAN).sum::<u32>()) / SPAN as f64;
    let spans = (0..seconds / SPAN).map(|span| span * SPAN);
    let points = spans.map(|from| ((from + SPAN / 2) as f64, rate(from)));
    Line::new(name, points.collect()).without_marks()
}
