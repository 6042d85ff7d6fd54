//! What a whole session measured: the file, and the table.

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use comfy_table::{Cell, CellAlignment, Row, Table, presets};
use serde::{Deserialize, Serialize};

use crate::emulator::stats::Latency;
use crate::events::Events;
use crate::goals::Goal;
use crate::measure::{Measured, Plan};

/// All runs of a session, with where they were made.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) machine: Machine,
    /// Version of protobridge, and the revision where it is known.
    pub(crate) version: String,
    /// Variables that the service was configured with, besides what a scenario sets.
    pub(crate) variables: Vec<String>,
    pub(crate) runs: Vec<Run>,
    /// What was asked of the runs, and whether it holds.
    pub(crate) goals: Vec<Goal>,
}

/// Where it ran.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) cpu: String,
    /// Shared by the service and the emulator.
    pub(crate) cores: usize,
    /// How many processes wanted a core before the first run began; other work makes the figures worse.
    pub(crate) load_before: f64,
}

/// One run of a scenario.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Run {
    pub(crate) scenario: String,
    pub(crate) label: String,
    pub(crate) x: f64,
    /// The figures, derived from what follows.
    pub(crate) figures: Figures,
    pub(crate) plan: Plan,
    pub(crate) service: Measured,
    /// The floor, before and after the service.
    pub(crate) floors: Vec<Floor>,
    /// What must not happen and did, a sentence each.
    pub(crate) broken: Vec<String>,
}

/// The floor of a run.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Floor {
    pub(crate) events: u64,
    pub(crate) events_per_second: f64,
    pub(crate) cpu_us_per_event: f64,
    pub(crate) calls_per_event: f64,
}

/// The figures of a run.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Figures {
    /// Mean size of an event's JSON.
    pub(crate) json_bytes: f64,
    pub(crate) events_per_second: f64,
    /// Of the service, user and system.
    pub(crate) cpu_us_per_event: f64,
    /// In units of the floor's.
    pub(crate) cpu_of_floor: Option<f64>,
    pub(crate) emulator_cpu_us_per_event: f64,
    pub(crate) idle_cpu_percent: Option<f64>,
    pub(crate) peak_rss_mib: f64,
    pub(crate) calls_per_event: f64,
    pub(crate) units_per_event: f64,
    /// From send to arrival at the customer's queue.
    pub(crate) latency_ms: Latency,
    /// From the first receive to arrival.
    pub(crate) in_service_ms: Latency,
    pub(crate) lost: u64,
    pub(crate) doubled: u64,
}

impl Run {
    /// Puts a run together.
    ///
    /// # Errors
    /// When the plan has no events.
    pub(crate) fn new(
        scenario: String,
        label: String,
        x: f64,
        plan: Plan,
        service: Measured,
        floors: Vec<Floor>,
    ) -> anyhow::Result<Self> {
        let spec = &plan.spec;
        let floor = floors.iter().map(|floor| floor.cpu_us_per_event).sum::<f64>() / floors.len().max(1) as f64;
        let figures = Figures {
            json_bytes: Events::new(spec)?.json_bytes(),
            events_per_second: service.per_second(spec),
            cpu_us_per_event: service.cpu_us(spec),
            cpu_of_floor: (floor > 0.0).then(|| service.cpu_us(spec) / floor),
            emulator_cpu_us_per_event: service.emulator_cpu_ms as f64 * 1e3 / service.events(spec).max(1.0),
            idle_cpu_percent: service.idle_cpu_percent,
            peak_rss_mib: service.peak_rss_kib as f64 / 1024.0,
            calls_per_event: service.calls(spec),
            units_per_event: service.units(spec),
            latency_ms: service.stats.arrived.latency,
            in_service_ms: service.stats.arrived.in_service,
            lost: service.lost(spec),
            doubled: service.stats.arrived.doubled,
        };
        let broken = service.broken_promises(spec);
        Ok(Self { scenario, label, x, figures, plan, service, floors, broken })
    }

    /// What is worth saying as soon as it is over.
    pub(crate) fn line(&self) -> String {
        let figures = &self.figures;
        let floor = figures.cpu_of_floor.map_or_else(String::new, |floor| format!(" ({floor:.2} × floor)"));
        format!(
            "{}: {:.0} events/s, {:.1} µs{floor}, {:.0} MiB, {:.0} calls/1k, p95 {} ms",
            self.name(),
            figures.events_per_second,
            figures.cpu_us_per_event,
            figures.peak_rss_mib,
            figures.calls_per_event * 1e3,
            millis(figures.latency_ms.p95),
        )
    }

    /// Scenario and label.
    pub(crate) fn name(&self) -> String {
        format!("{} {}", self.scenario, self.label).trim_end().to_owned()
    }
}

impl Floor {
    /// What the floor of a plan came to.
    pub(crate) fn new(plan: &Plan, measured: &Measured) -> Self {
        let spec = &plan.spec;
        Self {
            events: spec.events,
            events_per_second: measured.per_second(spec),
            cpu_us_per_event: measured.cpu_us(spec),
            calls_per_event: measured.calls(spec),
        }
    }
}

impl Machine {
    /// This one.
    pub(crate) fn this() -> Self {
        let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        Self {
            cpu: model.map_or_else(|| std::env::consts::ARCH.to_owned(), |(_, model)| model.to_owned()),
            cores: std::thread::available_parallelism().map_or(1, Into::into),
            load_before: load.split_whitespace().next().and_then(|load| load.parse().ok()).unwrap_or_default(),
        }
    }
}

impl Report {
    /// Reads a file that [`Report::write`] wrote.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let text = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        serde_json::from_slice(&text).with_context(|| format!("{} is no report", path.display()))
    }

    /// Writes it as JSON.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn write(&self, path: &Path) -> anyhow::Result<()> {
        let text = serde_json::to_string_pretty(self)? + "\n";
        fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
    }

    /// The runs of a scenario.
    pub(crate) fn of(&self, scenario: &str) -> impl Iterator<Item = &Run> {
        self.runs.iter().filter(move |run| run.scenario == scenario)
    }

    /// The table, for people.
    pub(crate) fn table(&self) -> String {
        let mut table = table(&[
            "",
            "events/s",
            "µs CPU",
            "× floor",
            "MiB",
            "calls/1k",
            "units/1k",
            "p50 ms",
            "p95 ms",
            "p99 ms",
            "in service p95",
            "lost",
            "twice",
        ]);
        for run in &self.runs {
            let figures = &run.figures;
            let floor = figures.cpu_of_floor.map_or_else(String::new, |floor| format!("{floor:.2}"));
            let (latency, inner) = (figures.latency_ms, figures.in_service_ms);
            table.add_row(row(&[
                run.name(),
                format!("{:.0}", figures.events_per_second),
                format!("{:.1}", figures.cpu_us_per_event),
                floor,
                format!("{:.0}", figures.peak_rss_mib),
                format!("{:.0}", figures.calls_per_event * 1e3),
                format!("{:.0}", figures.units_per_event * 1e3),
                millis(latency.p50),
                millis(latency.p95),
                millis(latency.p99),
                millis(inner.p95),
                figures.lost.to_string(),
                figures.doubled.to_string(),
            ]));
        }
        table.to_string()
    }

    /// The goals, for people.
    pub(crate) fn goals_table(&self) -> String {
        let mut table = table(&["", "asked", "measured", ""]);
        for goal in &self.goals {
            let verdict = if goal.holds() { "yes" } else { "NO" };
            table.add_row(row(&[goal.what.clone(), goal.asked(), goal.shown(), verdict.to_owned()]));
        }
        table.to_string()
    }
}

fn table(heading: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header(row(&heading.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>()));
    table
}

/// Text on the left, figures on the right.
fn row(cells: &[String]) -> Row {
    let cell = |(index, text): (usize, &String)| {
        let alignment = if index == 0 { CellAlignment::Left } else { CellAlignment::Right };
        Cell::new(text).set_alignment(alignment)
    };
    Row::from(cells.iter().enumerate().map(cell).collect::<Vec<Cell>>())
}

fn millis(millis: f64) -> String {
    if millis < 100.0 { format!("{millis:.1}") } else { format!("{millis:.0}") }
}
