//! The measurements of a whole session, as a file and as tables.

mod archived;
mod goal;
mod large;
mod network;
mod replicas;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use comfy_table::{Cell, CellAlignment, Row, Table, presets};
use serde::{Deserialize, Serialize};

use crate::emulator::stats::Latency;
use crate::events::Events;
use crate::measure::{Measured, RunPlan};

pub(crate) use goal::Goal;

/// All runs of a session and the machine they ran on.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) machine: Machine,
    /// The version of protobridge, followed by the git revision if known.
    pub(crate) version: String,
    /// The service's configuration variables that were set with `--set`.
    pub(crate) variables: Vec<String>,
    pub(crate) runs: Vec<Run>,
    /// The goals and the figures that were compared with them.
    pub(crate) goals: Vec<Goal>,
}

/// The machine that the session ran on.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) cpu: String,
    /// The number of cores, which the service and the emulator share.
    pub(crate) cores: usize,
    /// The load average before the first run. Other work on the machine makes the figures worse.
    pub(crate) load_before: f64,
}

/// A finished run of a scenario.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Run {
    pub(crate) scenario: String,
    pub(crate) label: String,
    pub(crate) x: f64,
    /// The figures, derived from the fields below.
    pub(crate) figures: Figures,
    pub(crate) plan: RunPlan,
    pub(crate) service: Measured,
    /// The floor, measured before and after the service.
    pub(crate) floors: Vec<FloorFigures>,
    /// The broken guarantees, one sentence each.
    pub(crate) broken: Vec<String>,
}

/// The figures of the floor of a run.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct FloorFigures {
    pub(crate) events: u64,
    pub(crate) events_per_second: f64,
    pub(crate) cpu_us_per_event: f64,
    pub(crate) calls_per_event: Option<f64>,
}

/// The figures of a run.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Figures {
    /// The mean size of an event's JSON.
    pub(crate) json_bytes: f64,
    pub(crate) events_per_second: f64,
    /// The CPU time of the service, user and system.
    pub(crate) cpu_us_per_event: f64,
    /// The CPU time per event, divided by that of the floor.
    pub(crate) cpu_of_floor: Option<f64>,
    pub(crate) emulator_cpu_us_per_event: f64,
    pub(crate) idle_cpu_percent: Option<f64>,
    pub(crate) peak_rss_mib: f64,
    /// `None` if the backend does not count calls; the same applies to `units_per_event`.
    pub(crate) calls_per_event: Option<f64>,
    pub(crate) units_per_event: Option<f64>,
    /// From send to arrival at the customer's queue.
    pub(crate) latency_ms: Latency,
    /// From the first receive to arrival.
    pub(crate) in_service_ms: Latency,
    /// From the last accepted publish of an event to its delete.
    #[serde(default)]
    pub(crate) to_delete_ms: Latency,
    pub(crate) lost: u64,
    pub(crate) doubled: u64,
}

impl Run {
    /// Derives the figures of a run and its broken guarantees.
    ///
    /// # Errors
    /// Returns an error if the events of the plan cannot be made.
    pub(crate) fn new(
        scenario: String,
        label: String,
        x: f64,
        plan: RunPlan,
        service: Measured,
        floors: Vec<FloorFigures>,
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
            to_delete_ms: service.after.arrived.to_delete,
            lost: service.lost(spec),
            doubled: service.after.arrived.doubled,
        };
        let broken = service.broken_guarantees(spec);
        Ok(Self { scenario, label, x, figures, plan, service, floors, broken })
    }

    /// Returns a one-line summary, printed when the run ends.
    pub(crate) fn line(&self) -> String {
        let figures = &self.figures;
        let floor = figures.cpu_of_floor.map_or_else(String::new, |floor| format!(" ({floor:.2} × floor)"));
        let journal = self.service.journal.as_ref().map_or_else(String::new, |journal| format!(", {journal}"));
        let archive = self.service.archive.as_ref().map_or_else(String::new, |archive| format!(", {archive}"));
        format!(
            "{}: {:.0} events/s, {:.1} µs{floor}, {:.0} MiB, {} calls/1k, p95 {} ms{journal}{archive}",
            self.name(),
            figures.events_per_second,
            figures.cpu_us_per_event,
            figures.peak_rss_mib,
            per_thousand(figures.calls_per_event),
            millis(figures.latency_ms.p95),
        )
    }

    /// Returns the scenario and the label.
    pub(crate) fn name(&self) -> String {
        format!("{} {}", self.scenario, self.label).trim_end().to_owned()
    }
}

impl FloorFigures {
    /// Derives the figures from the measurements of a floor run.
    pub(crate) fn new(plan: &RunPlan, measured: &Measured) -> Self {
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
    /// Describes the machine that this process runs on.
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
    /// Reads files that [`Report::write`] wrote, and merges their runs into the first report.
    ///
    /// # Errors
    /// Returns an error if a file cannot be read or `paths` is empty.
    pub(crate) fn read(paths: &[PathBuf]) -> anyhow::Result<Self> {
        let mut reports = Vec::new();
        for path in paths {
            let text = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
            let report: Self =
                serde_json::from_slice(&text).with_context(|| format!("{} is not a report", path.display()))?;
            reports.push(report);
        }
        let all = reports.into_iter().reduce(|mut all, report| {
            all.runs.extend(report.runs);
            all
        });
        all.context("no report was given")
    }

    /// Writes the report as JSON, with one line per run and per goal.
    ///
    /// # Errors
    /// Returns an error if the file cannot be written.
    pub(crate) fn write(&self, path: &Path) -> anyhow::Result<()> {
        let Self { machine, version, variables, runs, goals } = self;
        let text = format!(
            "{{\n\"machine\": {},\n\"version\": {},\n\"variables\": {},\n\"goals\": {},\n\"runs\": {}\n}}\n",
            serde_json::to_string(machine)?,
            serde_json::to_string(version)?,
            serde_json::to_string(variables)?,
            lines(goals)?,
            lines(runs)?,
        );
        fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
    }

    /// Returns the runs of a scenario.
    pub(crate) fn runs_of(&self, scenario: &str) -> impl Iterator<Item = &Run> {
        self.runs.iter().filter(move |run| run.scenario == scenario)
    }

    /// Returns the table of the runs.
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
            "p95 in service",
            "lost",
            "duplicates",
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
                per_thousand(figures.calls_per_event),
                per_thousand(figures.units_per_event),
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

    /// Returns the table of the goals.
    pub(crate) fn goals_table(&self) -> String {
        let mut table = table(&["", "goal", "measured", "met"]);
        for goal in &self.goals {
            let met = if goal.is_met() { "yes" } else { "NO" };
            table.add_row(row(&[goal.name.clone(), goal.bounds_text(), goal.measured_text(), met.to_owned()]));
        }
        table.to_string()
    }
}

/// Formats items as a JSON array with one line per item.
fn lines(items: &[impl Serialize]) -> serde_json::Result<String> {
    let items = items.iter().map(serde_json::to_string).collect::<Result<Vec<_>, _>>()?;
    Ok(format!("[\n{}\n]", items.join(",\n")))
}

/// Returns an empty table without borders.
pub(crate) fn table(heading: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header(row(&heading.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>()));
    table
}

/// Aligns the first cell left and the others right.
pub(crate) fn row(cells: &[String]) -> Row {
    let cell = |(index, text): (usize, &String)| {
        let alignment = if index == 0 { CellAlignment::Left } else { CellAlignment::Right };
        Cell::new(text).set_alignment(alignment)
    };
    Row::from(cells.iter().enumerate().map(cell).collect::<Vec<Cell>>())
}

fn per_thousand(per_event: Option<f64>) -> String {
    per_event.map_or_else(|| "?".to_owned(), |per_event| format!("{:.0}", per_event * 1e3))
}

fn millis(millis: f64) -> String {
    if millis < 100.0 { format!("{millis:.1}") } else { format!("{millis:.0}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_reports_are_read_and_merged() {
        let run = |scenario: &str| {
            let (plan, measured) = (RunPlan::default(), Measured::default());
            Run::new(scenario.to_owned(), String::new(), 1.0, plan, measured, Vec::new()).unwrap()
        };
        let report = |scenario: &str| Report {
            machine: Machine::this(),
            version: "1".to_owned(),
            variables: vec!["A=b".to_owned()],
            runs: vec![run(scenario), run(scenario)],
            goals: Vec::new(),
        };
        let folder = tempfile::tempdir().unwrap();
        let [one, other] = ["one", "other"].map(|name| folder.path().join(name));
        report("drain").write(&one).unwrap();
        report("steady").write(&other).unwrap();
        let read = Report::read(&[one, other]).unwrap();
        let scenarios: Vec<&str> = read.runs.iter().map(|run| run.scenario.as_str()).collect();
        assert_eq!(scenarios, ["drain", "drain", "steady", "steady"]);
        assert_eq!((read.runs_of("steady").count(), read.variables), (2, vec!["A=b".to_owned()]));
        assert!(Report::read(&[folder.path().join("none")]).is_err());
    }
}
