//! The command line.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use clap::{Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

use crate::report::{Report, Run};
use crate::scenario::{NetworkOptions, Scenario, ScenarioParameters};
use crate::session::{self, Session};
use crate::spec::{BackendKind, Spec};
use crate::subject::Service;
use crate::{emulator, floor, goals, plot, rivals};

/// Measures protobridge from the outside: speed, cost, memory, latency, and that no event is lost or duplicated.
///
/// The service runs as its own process, as in production, against an emulator of SQS and SNS in another process. For
/// comparison, the floor makes only the necessary AWS calls, in a loop, with the SDK's clients.
#[derive(Debug, Parser)]
#[command(version, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Start here:
  loadtest smoke                                      one minute; exits with 1 if a bound is exceeded
  loadtest run drain                                  100,000 events, compared with the floor
  loadtest run drain --events 1000000 --json run.json
  loadtest run steady --loads 50,90 --seconds 60
  loadtest run throttled --set PROTOBRIDGE_RECEIVE_MAX_POLLERS=16
  loadtest run drain fan-out --store --replicas 3
  loadtest run journal archive
  loadtest run store-down --store-down 60
  loadtest run large-events
  loadtest run network --round-trip-ms 50
  loadtest run replicas
  loadtest rivals --rounds 1                          beside consumers in Rust, Go, Node and Python
  loadtest all --five-million --json docs/performance/report.json
  loadtest plots docs/performance/report.json --out docs/performance

docs/performance/README.md explains the columns.

Exit codes: 0 success, 1 a run failed or broke a guarantee, or a smoke bound was exceeded, 2 usage error.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Run short scenarios with loose bounds on ratios and counts; meant for every change
    Smoke(RunOptions),
    /// Run scenarios
    Run {
        /// Scenarios to run; if none is named, all except `backlog`
        #[arg(value_enum, value_name = "SCENARIO")]
        scenarios: Vec<Scenario>,
        #[command(flatten)]
        options: RunOptions,
    },
    /// Run every scenario
    All(RunOptions),
    /// Compare the service with the consumers that a user would write instead, in Rust, Go, Node and Python
    Rivals(rivals::Options),
    /// Draw the plots of one or more reports
    Plots {
        /// Reports that `--json` wrote; the runs of all reports are drawn together
        #[arg(required = true, value_name = "REPORT")]
        reports: Vec<PathBuf>,
        /// Folder in which the SVG files are written
        #[arg(long, value_name = "FOLDER", default_value = ".")]
        out: PathBuf,
    },
    /// Serve as SQS and SNS during a run
    #[command(hide = true)]
    Emulator {
        #[arg(long, value_parser = spec)]
        spec: Spec,
    },
    /// Run the floor
    #[command(hide = true)]
    Floor {
        #[arg(long, value_parser = spec)]
        spec: Spec,
        #[arg(long)]
        endpoint: String,
        #[arg(long)]
        loops: usize,
    },
}

#[derive(Debug, clap::Args)]
struct RunOptions {
    /// Number of events in a backlog [default: 100000; smoke: 20000]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(100..))]
    events: Option<u64>,
    /// Duration of each steady load, and of the quiet time before a burst, in seconds
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=3_000))]
    seconds: u64,
    /// Steady loads, in percent of the rate of a drain
    #[arg(long, value_name = "PERCENT,…", value_delimiter = ',', default_value = "10,25,50,75,90",
        value_parser = clap::value_parser!(u32).range(1..=200))]
    loads: Vec<u32>,
    /// Rate that counts as 100 percent, in events per second; measured if not given
    #[arg(long, value_name = "RATE")]
    capacity: Option<f64>,
    /// Add a backlog of five million events to the scenario `backlog`
    #[arg(long)]
    five_million: bool,
    /// Extra time that each SQS and SNS call takes, in milliseconds
    #[arg(long, default_value_t = 0, value_name = "MS")]
    call_ms: u64,
    /// Implementation of SQS and SNS
    #[arg(long, value_enum, default_value = "lean")]
    backend: BackendKind,
    /// File to which all figures are written after each run
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Binary of the service; built if not given
    #[arg(long, value_name = "FILE")]
    service: Option<PathBuf>,
    /// Cargo profile with which the service is built; the image ships `dist`
    #[arg(long, default_value = "release", value_name = "NAME")]
    profile: String,
    /// Variable of the service's configuration; can be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = variable)]
    set: Vec<(String, String)>,
    /// Give the service a store, and compare its journal and its counters with what the emulator counted
    #[arg(long)]
    store: bool,
    /// Time in which the store does not answer in the scenario `store-down`, in seconds
    #[arg(long, default_value_t = 300, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(2..=3_600))]
    store_down: u64,
    /// Number of processes of the service that share the work; the CPU time and the memory are their sums
    #[arg(long, default_value_t = 1, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=20))]
    replicas: u32,
    #[command(flatten)]
    network: NetworkOptions,
}

fn spec(text: &str) -> Result<Spec, serde_json::Error> {
    serde_json::from_str(text)
}

fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if name.starts_with("PROTOBRIDGE_") => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected PROTOBRIDGE_…=VALUE".to_owned()),
    }
}

/// The scenarios of `loadtest smoke`.
const SMOKE_SCENARIOS: [Scenario; 5] =
    [Scenario::Drain, Scenario::FanOut, Scenario::Failing, Scenario::Refusing, Scenario::StoreDown];
/// The time in which the store does not answer in `loadtest smoke`, in seconds.
const SMOKE_STORE_DOWN: u64 = 8;

/// Runs the command that the arguments name.
pub(crate) fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Smoke(options) => smoke(&options),
        Command::Run { scenarios, options } => {
            let default_scenarios =
                || Scenario::all().into_iter().filter(|scenario| *scenario != Scenario::Backlog).collect();
            run_scenarios(&options, &if scenarios.is_empty() { default_scenarios() } else { scenarios })
        }
        Command::All(options) => run_scenarios(&options, &Scenario::all()),
        Command::Rivals(options) => until_interrupted(rivals::run(&options)),
        Command::Plots { reports, out } => Report::read(&reports).and_then(|report| plot::all(&report, &out)),
        Command::Emulator { spec } => match spec.backend {
            BackendKind::Lean => emulator::run(spec),
            #[cfg(feature = "rustack")]
            BackendKind::Rustack => emulator::embedded::run(spec),
        },
        Command::Floor { spec, endpoint, loops } => floor::run(&spec, &endpoint, loops),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run_scenarios(options: &RunOptions, scenarios: &[Scenario]) -> anyhow::Result<()> {
    let report = run_session(options, options.events.unwrap_or(100_000), options.store_down, scenarios)?;
    println!("{}\n", report.table());
    report.network_table().iter().for_each(|table| println!("{table}\n"));
    println!("{}", report.goals_table());
    let broken: Vec<String> = report.runs.iter().filter(|run| !run.broken.is_empty()).map(Run::name).collect();
    if !broken.is_empty() {
        bail!("guarantees were broken in: {}", broken.join(", "));
    }
    Ok(())
}

fn smoke(options: &RunOptions) -> anyhow::Result<()> {
    let mut report = run_session(options, options.events.unwrap_or(20_000), SMOKE_STORE_DOWN, &SMOKE_SCENARIOS)?;
    report.goals = goals::smoke(&report);
    println!("{}\n", report.table());
    println!("{}", report.goals_table());
    let missed: Vec<&str> = report.goals.iter().filter(|goal| !goal.is_met()).map(|goal| goal.name.as_str()).collect();
    if !missed.is_empty() {
        bail!("goals were missed: {}", missed.join("; "));
    }
    Ok(())
}

fn run_session(options: &RunOptions, events: u64, store_down: u64, scenarios: &[Scenario]) -> anyhow::Result<Report> {
    if options.backend != BackendKind::Lean && scenarios != [Scenario::Drain] {
        bail!("--backend rustack supports only `run drain`");
    }
    let parameters = ScenarioParameters {
        events,
        seconds: options.seconds,
        five_million: options.five_million,
        loads: options.loads.clone(),
        call_ms: options.call_ms,
        backend: options.backend,
        has_store: options.store,
        store_down,
        network: options.network.clone(),
    };
    if options.store && options.backend != BackendKind::Lean {
        bail!("--store needs the backend `lean`, which counts calls");
    }
    let path = session::binary(options.service.as_deref(), &options.profile)?;
    let variables = options.set.iter().cloned().collect();
    let service = Service { path, variables, replicas: options.replicas };
    let session = Session::new(service, parameters, options.json.clone(), options.capacity);
    until_interrupted(session.run(scenarios))
}

/// Runs the future until it is done, or until this process is asked to end.
fn until_interrupted<T>(running: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            result = running => result,
            // Dropping the future kills its processes.
            _interrupted = tokio::signal::ctrl_c() => bail!("interrupted"),
            _terminated = terminate.recv() => bail!("terminated"),
        }
    })
}
