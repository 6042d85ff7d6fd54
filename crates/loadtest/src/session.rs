//! Runs scenarios one after the other and collects their report.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

use crate::goals;
use crate::measure::{RunPlan, measure};
use crate::progress::Progress;
use crate::replicas::redis;
use crate::report::{FloorFigures, Machine, Report, Run};
use crate::scenario::{Scenario, ScenarioParameters, Step};
use crate::spec::{SendSchedule, Spec};
use crate::subject::{Service, Subject};

/// The state of a series of scenario runs.
#[derive(Debug)]
pub(crate) struct Session {
    service: Service,
    parameters: ScenarioParameters,
    progress: Progress,
    /// The file to which the report is written after each run, so that an interrupted session keeps its finished runs.
    file: Option<PathBuf>,
    /// The events per second of a drain, once measured.
    capacity: Option<f64>,
    report: Report,
}

/// The largest number of events for which the floor is measured. More events do not make it more precise.
const FLOOR_EVENTS: u64 = 100_000;

impl Session {
    pub(crate) fn new(
        service: Service,
        parameters: ScenarioParameters,
        file: Option<PathBuf>,
        capacity: Option<f64>,
    ) -> Self {
        let variables = service.variables.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let report =
            Report { machine: Machine::this(), version: version(), variables, runs: Vec::new(), goals: Vec::new() };
        Self { service, parameters, progress: Progress::new(), file, capacity, report }
    }

    /// Runs the scenarios in the given order and returns the report.
    ///
    /// # Errors
    /// Returns an error if a run fails.
    pub(crate) async fn run(mut self, scenarios: &[Scenario]) -> anyhow::Result<Report> {
        for scenario in scenarios {
            if scenario.requires_capacity() && self.capacity.is_none() {
                self.calibrate().await?;
            }
            for step in scenario.steps(&self.parameters, self.capacity.unwrap_or_default()) {
                if let Err(error) = redis::check(step.plan.replicas.as_ref()).await {
                    eprintln!("{} {} is skipped: {error:#}", scenario.name(), step.label);
                    continue;
                }
                self.step(*scenario, step).await?;
            }
        }
        self.report.goals = goals::goals(&self.report);
        self.write()?;
        Ok(self.report)
    }

    /// Runs a drain only to measure its speed.
    async fn calibrate(&mut self) -> anyhow::Result<()> {
        let events = (self.parameters.events / 2).max(1);
        let ScenarioParameters { call_ms, has_store, .. } = self.parameters;
        let spec = Spec { events, call_ms, has_store, ..Spec::default() };
        let plan = RunPlan { spec, ..RunPlan::default() };
        self.progress.label = "capacity".to_owned();
        let measured = measure(&plan, &self.subject(&plan), &mut self.progress).await?;
        let capacity = measured.per_second(&plan.spec);
        eprintln!("capacity: {capacity:.0} events per second");
        self.capacity = Some(capacity);
        Ok(())
    }

    async fn step(&mut self, scenario: Scenario, step: Step) -> anyhow::Result<()> {
        let Step { label, plan, has_floor, x } = step;
        let plan = self.at_half_load(scenario, plan);
        let name = format!("{} {label}", scenario.name()).trim_end().to_owned();
        // Half of the floor runs before the service and half after it, so that a change in the machine's load affects
        // both.
        let mut floors = Vec::new();
        if has_floor {
            floors.push(self.floor(&name, &plan).await?);
        }
        self.progress.label = format!("{name}, service");
        let service = measure(&plan, &self.subject(&plan), &mut self.progress).await.context(name.clone())?;
        if has_floor {
            floors.push(self.floor(&name, &plan).await?);
        }
        if scenario == Scenario::Drain {
            self.capacity = Some(service.per_second(&plan.spec));
        }
        let run = Run::new(scenario.name(), label, x, plan, service, floors)?;
        eprintln!("{}", run.line());
        run.archive_lines()
            .iter()
            .chain(&run.large_lines())
            .chain(&run.replica_lines())
            .for_each(|line| eprintln!("  {line}"));
        for broken in &run.broken {
            eprintln!("  {broken}");
        }
        self.report.runs.push(run);
        self.write()
    }

    /// Returns the plan with the load that it has because of the drains before it.
    fn at_half_load(&self, scenario: Scenario, plan: RunPlan) -> RunPlan {
        let Some(drain) = &plan.half_of else { return plan };
        let name = scenario.name();
        let drains = self.report.runs_of(&name).filter(|run| run.label == *drain);
        let rates: Vec<f64> = drains.map(|run| run.service.per_second_of_most(&run.plan.spec)).collect();
        let per_second = (rates.iter().sum::<f64>() / rates.len().max(1) as f64 / 2.0).max(1.0);
        let events = (per_second * plan.steady_seconds as f64).ceil() as u64;
        let spec = Spec { events, send_schedule: SendSchedule::Steady { per_second }, ..plan.spec.clone() };
        RunPlan { spec, ..plan }
    }

    async fn floor(&mut self, name: &str, plan: &RunPlan) -> anyhow::Result<FloorFigures> {
        let spec = Spec { events: plan.spec.events.min(FLOOR_EVENTS).div_ceil(2), ..plan.spec.clone() };
        let plan = RunPlan { spec, ..plan.clone() };
        self.progress.label = format!("{name}, floor");
        let measured =
            measure(&plan, &Subject::Floor, &mut self.progress).await.with_context(|| format!("{name}, floor"))?;
        Ok(FloorFigures::new(&plan, &measured))
    }

    fn subject(&self, plan: &RunPlan) -> Subject {
        Subject::Service { service: self.service.clone(), linger_ms: plan.linger_ms }
    }

    fn write(&self) -> anyhow::Result<()> {
        self.file.as_deref().map_or(Ok(()), |file| self.report.write(file))
    }
}

/// The root of the workspace.
pub(crate) const WORKSPACE_ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// The profile of the image. It is built with the features of the image, which has no embedded SQS and SNS.
pub(crate) const SHIPPED_PROFILE: &str = "dist";

/// Returns the path of the service's binary. Builds the service if `given` is `None`.
///
/// # Errors
/// Returns an error if the build fails or the binary does not exist.
pub(crate) fn binary(given: Option<&Path>, profile: &str) -> anyhow::Result<PathBuf> {
    let path = match given {
        Some(path) => path.to_owned(),
        None => {
            // This binary is in the target directory, such as target/release/loadtest.
            let own = std::env::current_exe()?;
            let target = own.ancestors().nth(2).context("this binary is not in a target directory")?;
            let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
            let mut command = Command::new(cargo);
            command.args(["build", "--locked", "--bin", "protobridge", "--profile", profile]);
            if profile == SHIPPED_PROFILE {
                command.arg("--no-default-features");
            }
            command.arg("--target-dir");
            // `cargo run` sets variables that describe this package. Build scripts that watch them, such as ring's,
            // would run again and rebuild half of the dependencies.
            let of_this_package = |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
            for (name, _) in std::env::vars().filter(|(name, _)| of_this_package(name)) {
                command.env_remove(name);
            }
            if !command.arg(target).current_dir(WORKSPACE_ROOT).status().context("cannot run cargo")?.success() {
                bail!("the build of the service failed");
            }
            target.join(profile).join("protobridge")
        }
    };
    path.canonicalize()
        .with_context(|| format!("there is no service at {}; give its path with --service", path.display()))
}

/// Returns the version of this tool, followed by the git revision if known.
pub(crate) fn version() -> String {
    let git = Command::new("git").args(["rev-parse", "--short", "HEAD"]).current_dir(WORKSPACE_ROOT).output();
    let revision = git.ok().filter(|output| output.status.success()).map(|output| output.stdout);
    let revision = revision.and_then(|revision| String::from_utf8(revision).ok()).unwrap_or_default();
    format!("{} {}", env!("CARGO_PKG_VERSION"), revision.trim()).trim_end().to_owned()
}
