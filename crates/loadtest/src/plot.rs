//! The plots of a report, as SVG.

mod chart;
mod replicas;

use std::fs;
use std::path::Path;

use anyhow::{Context as _, bail};

use crate::report::{Report, Run};
use chart::{Axis, Chart, Line, Scale};

/// Draws every plot for which the report has runs.
///
/// # Errors
/// Returns an error if there is nothing to draw or a file cannot be written.
pub(crate) fn all(report: &Report, folder: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let mut drawn = 0;
    for (name, chart) in [
        ("throughput", throughput(report)),
        ("latency", latency(report)),
        ("memory", memory(report)),
        ("memory-over-time", memory_over_time(report)),
        ("calls", calls(report)),
        ("linger-calls", linger_calls(report)),
        ("linger-latency", linger_latency(report)),
        ("replicas-quota", replicas::quota(report)),
    ] {
        if chart.lines.iter().all(|line| line.points.is_empty()) {
            continue;
        }
        let path = folder.join(format!("{name}.svg"));
        fs::write(&path, chart.svg()).with_context(|| format!("cannot write {}", path.display()))?;
        eprintln!("{}", path.display());
        drawn += 1;
    }
    if drawn == 0 {
        bail!("no report has a run of steady, customers, linger, backlog or replicas");
    }
    Ok(())
}

fn line(name: &str, report: &Report, scenario: &str, value: impl Fn(&Run) -> f64) -> Line {
    Line::new(name, report.runs_of(scenario).map(|run| (run.x, value(run))).collect())
}

fn throughput(report: &Report) -> Chart {
    let offered = |run: &Run| match run.plan.spec.send_schedule {
        crate::spec::SendSchedule::Steady { per_second } => per_second,
        crate::spec::SendSchedule::AtOnce => 0.0,
    };
    Chart {
        title: "Throughput by load".to_owned(),
        x: Axis::new("load, % of the rate of a drain", Scale::Linear),
        y: Axis::new("events per second", Scale::Linear),
        lines: vec![
            line("arrived", report, "steady", |run| run.figures.events_per_second),
            line("sent", report, "steady", offered),
        ],
    }
}

fn latency(report: &Report) -> Chart {
    Chart {
        title: "Latency by load, from send to the customer's queue".to_owned(),
        x: Axis::new("load, % of the rate of a drain", Scale::Linear),
        y: Axis::new("milliseconds", Scale::Log),
        lines: vec![
            line("p99", report, "steady", |run| run.figures.latency_ms.p99),
            line("p95", report, "steady", |run| run.figures.latency_ms.p95),
            line("p50", report, "steady", |run| run.figures.latency_ms.p50),
        ],
    }
}

fn memory(report: &Report) -> Chart {
    Chart {
        title: "Memory by backlog".to_owned(),
        x: Axis::new("events on the queue at the start", Scale::Log),
        y: Axis::new("peak MiB", Scale::Linear),
        lines: vec![line("", report, "backlog", |run| run.figures.peak_rss_mib)],
    }
}

fn memory_over_time(report: &Report) -> Chart {
    let largest = report.runs_of("backlog").max_by_key(|run| run.plan.spec.events);
    let moments = largest.map(|run| run.service.moments.as_slice()).unwrap_or_default();
    let points = moments.iter().map(|moment| (moment.at_ms as f64 / 1e3, moment.rss_kib as f64 / 1024.0));
    Chart {
        title: format!("Memory while {} events drain", largest.map_or("", |run| run.label.as_str())),
        x: Axis::new("seconds", Scale::Linear),
        y: Axis::new("MiB", Scale::Linear),
        lines: vec![Line::new("", points.collect()).without_marks()],
    }
}

fn calls(report: &Report) -> Chart {
    let of = |operation: &'static str| {
        move |run: &Run| run.service.stats.calls.of(operation).calls as f64 / run.service.events(&run.plan.spec) * 1e3
    };
    Chart {
        title: "Calls by number of customers (Zipf's law); deletes equal receives".to_owned(),
        x: Axis::new("customers", Scale::Log),
        y: Axis::new("calls per 1,000 events", Scale::Linear),
        lines: vec![
            line("all", report, "customers", |run| run.figures.calls_per_event.unwrap_or_default() * 1e3),
            line("publish", report, "customers", of("PublishBatch")),
            line("receive", report, "customers", of("ReceiveMessage")),
        ],
    }
}

/// A logarithmic axis has no 0, so 0 ms is drawn at 1 ms.
fn lingers(name: &str, report: &Report, value: impl Fn(&Run) -> f64) -> Line {
    Line::new(name, report.runs_of("linger").map(|run| (run.x.max(1.0), value(run))).collect())
}

fn linger_calls(report: &Report) -> Chart {
    Chart {
        title: "Calls by linger, 10,000 customers".to_owned(),
        x: Axis::new("publish.linger_ms", Scale::Log),
        y: Axis::new("calls per 1,000 events", Scale::Linear),
        lines: vec![lingers("", report, |run| run.figures.calls_per_event.unwrap_or_default() * 1e3)],
    }
}

fn linger_latency(report: &Report) -> Chart {
    Chart {
        title: "Latency by linger, 10,000 customers".to_owned(),
        x: Axis::new("publish.linger_ms", Scale::Log),
        y: Axis::new("milliseconds", Scale::Log),
        lines: vec![
            lingers("p95", report, |run| run.figures.latency_ms.p95),
            lingers("p50", report, |run| run.figures.latency_ms.p50),
        ],
    }
}
