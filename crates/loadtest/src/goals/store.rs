//! The goals for what the journal and the archive cost, and for an outage of the store.

use super::pairs::median;
use crate::report::{Goal, Report, Run};
use crate::spec::Spec;

/// Returns the goals for what the journal costs.
pub(super) fn journal(report: &Report) -> Vec<Goal> {
    let is_with = |spec: &Spec| spec.has_store;
    let cpu_us = median(report.runs_of("journal"), is_with, difference(cpu_us));
    let peak_mib = median(report.runs_of("journal"), is_with, difference(peak_mib));
    let goals = [
        cpu_us.map(|cpu_us| Goal::at_most("CPU per event of the journal, µs, median", 2.0, cpu_us)),
        peak_mib.map(|peak_mib| Goal::at_most("peak memory of the journal, MiB, median", 64.0, peak_mib)),
    ];
    goals.into_iter().flatten().collect()
}

/// Returns the goals for what the archive costs. It makes no call to SQS or SNS. `archive.max_buffered_bytes` and four
/// segments are the most memory that it takes.
pub(super) fn archive(report: &Report) -> Vec<Goal> {
    let is_with = |spec: &Spec| spec.has_archive;
    let ratio =
        |figure: fn(&Run) -> f64| median(report.runs_of("archive"), is_with, move |on, off| figure(on) / figure(off));
    let peak_mib = median(report.runs_of("archive"), is_with, difference(peak_mib));
    let goals = [
        ratio(cpu_us).map(|cpu| Goal::at_most("CPU per event with the archive, × without, median", 1.5, cpu)),
        peak_mib.map(|peak_mib| Goal::at_most("peak memory of the archive, MiB, median", 160.0, peak_mib)),
        ratio(calls).map(|calls| Goal::at_most("calls per event with the archive, × without, median", 1.02, calls)),
    ];
    goals.into_iter().flatten().collect()
}

/// The latency that the noise of the machine adds to a percentile at most, in milliseconds.
const NOISE_MS: f64 = 10.0;

/// Returns the goals for an outage of the store: it delays no delivery.
pub(super) fn store_down(report: &Report) -> Vec<Goal> {
    let goal = |run: &Run| {
        let arrived = &run.service.after.arrived;
        let (up, down) = (arrived.while_store_up.p95, arrived.while_store_down.p95);
        let what = format!("p95 while the store is down for {}, ms more than while it is up", run.label);
        // A run without arrivals during the outage must not look fast.
        Goal::at_most(what, up.max(NOISE_MS), if down > 0.0 { down - up } else { f64::MAX })
    };
    report.runs_of("store-down").map(goal).collect()
}

fn cpu_us(run: &Run) -> f64 {
    run.service.cpu_until_exit_us(&run.plan.spec)
}

fn peak_mib(run: &Run) -> f64 {
    run.service.peak_until_exit_kib as f64 / 1024.0
}

fn calls(run: &Run) -> f64 {
    run.figures.calls_per_event.unwrap_or_default()
}

fn difference(figure: fn(&Run) -> f64) -> impl Fn(&Run, &Run) -> f64 {
    move |with, without| figure(with) - figure(without)
}
