//! `protobridge demo`: shows the path of events from the producer to the customers.
//!
//! The demo writes a configuration file and runs the same service as `protobridge run`; only SQS and SNS are
//! [embedded](crate::cli::embedded). The demo is also the producer and the customers. It keeps its own ledger of what
//! it sends and receives, so that the table at the end verifies the metrics of the service. The events come from two
//! [sources], and one of these falls quiet and then stale.

mod course;
mod feed;
mod ledger;
mod screen;
mod sources;
mod stage;
mod states;
mod table;
mod target;
mod watch;

use std::collections::VecDeque;
use std::io::{self, IsTerminal as _};
use std::path::PathBuf;
use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use aws_sdk_sqs::types::QueueAttributeName;
use tokio::time::{Instant, interval, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::app::shutdown::StopSignals;
use crate::app::{App, Listener, Loaded};
use crate::message::OutcomeLabel;
use crate::telemetry::{self, Metrics};
use feed::Feed;
use ledger::Ledger;
use screen::Screen;
use sources::{Signals, Sources};
use stage::Stage;
use states::States;
use table::{Service, Summary};
use watch::Show;

/// Arguments of `demo`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The number of events to send, besides heartbeats; without it, the demo runs until Ctrl-C
    #[arg(long, value_name = "N")]
    events: Option<u64>,
    /// The number of events per second; 0 means as fast as possible
    #[arg(long, value_name = "N", default_value_t = 200)]
    rate: u32,
    /// Print the JSON indented, on several lines
    #[arg(long, conflicts_with = "quiet")]
    pretty: bool,
    /// Print no events, only the counters and the tables at the end
    #[arg(long, short)]
    quiet: bool,
    /// Seed of the random events; the same seed gives the same events
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// The port of SQS and SNS; the admin endpoint has the next port. By default, the system chooses free ports
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..65535))]
    port: Option<u16>,
    /// Compiled descriptor sets to use instead of the built-in ones: a folder, or one file
    #[arg(long, value_name = "PATH")]
    descriptors: Option<PathBuf>,
    /// How long the service retries an event of unknown type before it quarantines the event
    #[arg(long, value_name = "SECONDS", default_value_t = 2)]
    unknown_grace_seconds: u64,
    /// Keep a journal and an archive in this folder, beside the configuration. Commands such as `protobridge replay` take
    /// --config FOLDER/protobridge.yaml, and reach SQS and SNS as long as the demo runs
    #[arg(long, value_name = "FOLDER")]
    store: Option<PathBuf>,
    /// Send about one in N of acme's events twice, each time as a message of its own, like a producer that is only half
    /// rolled back
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    twice: Option<u64>,
    /// Log level, or tracing directives. The default shows warnings, except those about quarantined and retried events:
    /// the demo sends some on purpose
    #[arg(long, value_name = "LEVEL", default_value = "warn,protobridge::delivery::pipeline=error")]
    log: String,
}

const EXAMPLES: &str = "\
There are three customers. acme receives everything. globex receives only orders. initech receives everything with \
the field names of the .proto files and with 64-bit integers as JSON numbers. A few events are malformed or of unknown \
type; the service quarantines them.

The events come from two sources, shop-backend and shop-db-eu-1, which also send heartbeats. The service shows the \
state of each. shop-db-eu-1 falls quiet, because its events stop, and then stale, because its heartbeats stop too.

Examples:
  protobridge demo                                    run until Ctrl-C
  protobridge demo --events 2000                      send 2000, compare counts
  protobridge demo --events 3 --pretty                show three events in full
  protobridge demo --events 20000 --rate 0 --quiet    measure the maximum rate
  protobridge demo --twice 50 --store ./incident      a producer repeats itself
  protobridge demo --quiet --store ./incident         replay and redrive events
  protobridge demo | less                             page through the events

Events and tables go to standard output, everything else to standard error. On a terminal, each event is one line, cut \
at the width of the terminal.

Exit codes: 0 all counts agree, 1 they do not, 2 wrong usage, 64 wrong configuration.";

/// The two accounts that the demo compares: its own ledger, and the metrics of the service.
#[derive(Debug, Clone)]
struct Books {
    ledger: Arc<Ledger>,
    metrics: Arc<Metrics>,
}

/// Runs the demo until every event has its outcome, or until a signal arrives. A second signal ends it at once.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    super::runtime()?.block_on(async {
        let mut signals = StopSignals::new()?;
        let stop = CancellationToken::new();
        let mut demo = pin!(run_until(args, &stop));
        tokio::select! {
            ended = demo.as_mut() => return ended,
            _signal = signals.next() => stop.cancel(),
        }
        tokio::select! {
            ended = demo => ended,
            _signal = signals.next() => Ok(ExitCode::FAILURE),
        }
    })
}

async fn run_until(args: &Args, stop: &CancellationToken) -> anyhow::Result<ExitCode> {
    let stage = Stage::build(args).await?;
    let config = &stage.config;
    telemetry::init_log(&config.log).with_context(|| format!("--log {}", args.log))?;
    let admin = Listener::bind(&config.admin).await?;
    let address = admin.address();
    let mut app = App::start_with(config, Loaded::load(config)?, stage.clients.clone(), Some(admin))?;
    let books = Books { ledger: Arc::new(Ledger::new()), metrics: Arc::clone(app.metrics()) };
    let (screen, written) = Screen::start()?;
    screen.remark(stage.introduction(&format!("http://{address}"))).await;

    let show = match args {
        Args { quiet: true, .. } => Show::Nothing,
        Args { pretty: true, .. } => Show::Pretty,
        _ => Show::OneLine,
    };
    let customers = watch::start_customers(&stage, &books.ledger, &screen, show);
    let admin = format!("http://{address}");
    let signals = Signals::default();
    let sources = Sources::start((args, &stage, show), (&books.ledger, &screen), (&admin, signals.clone()));
    let counters = books.clone().show_counters(screen.clone(), admin, sources.states().clone());
    let counters = AbortOnDropHandle::new(tokio::spawn(counters));
    tokio::select! {
        sent = Feed::new(args, &stage, books.clone(), signals).run(stop) => sent?,
        defect = app.failed() => bail!("{defect}; this is a bug in protobridge"),
        () = screen.reader_gone() => return Ok(ExitCode::SUCCESS),
    }

    let end = async {
        if stop.is_cancelled() {
            screen.remark("\nfinishing the events in flight; press Ctrl-C again to end at once".to_owned()).await;
        }
        let states = books.let_sources_go_on(&stage, sources, stop).await?;
        let summary = finish(args, &stage, app, &books, states, stop).await?;
        drop((customers, counters));
        screen.result(summary.render(io::stdout().is_terminal())).await;
        if let Some(folder) = &args.store {
            screen.remark(stage::about_store(folder)).await;
        }
        anyhow::Ok(summary)
    };
    let summary = tokio::select! {
        summary = end => summary?,
        () = screen.reader_gone() => return Ok(ExitCode::SUCCESS),
    };
    let code = report(&summary, &screen).await;
    drop(screen);
    // An error means that the thread panicked, and the panic has been printed.
    let _panicked = written.await;
    stage.embedded.stop().await;
    Ok(code)
}

/// Waits until every event that was sent has its outcome, stops the service, and closes the ledger.
async fn finish(
    args: &Args,
    stage: &Stage,
    app: App,
    books: &Books,
    states: States,
    stop: &CancellationToken,
) -> anyhow::Result<Summary> {
    let metrics = &books.metrics;
    // The last events can be of unknown type. The service retries those until their grace period ends.
    let patience = Duration::from_secs(args.unknown_grace_seconds) + Duration::from_secs(20);
    books.wait_until_queue_is_empty(stage, stop, patience).await?;
    app.stop().await;
    books.wait_for_arrivals(Duration::from_secs(10)).await;
    let quarantined = metrics.quarantined.sum();
    // Without a store there is no configuration with which the user redrives, so a message that is gone is lost.
    let gone = match &args.store {
        Some(_) => quarantined.saturating_sub(queue_length(stage, &stage.quarantine).await?),
        None => 0,
    };
    let found = watch::drain_quarantine(stage, quarantined - gone).await;
    let left = queue_length(stage, &stage.queue).await?;
    let totals = books.ledger.close(&found, &watch::drain_input_queue(stage, left).await);
    Ok(Summary::new(totals, Service::new(metrics, &states), (left, gone), stop.is_cancelled()))
}

/// Prints whether the counts agree, and returns the exit code.
async fn report(summary: &Summary, screen: &Screen) -> ExitCode {
    if let Some(gone) = summary.gone_from_quarantine() {
        let text = format!("The counts are not compared: {gone} messages left quarantine while the demo ran.");
        screen.result(text).await;
        return ExitCode::SUCCESS;
    }
    let problems = summary.problems();
    if problems.is_empty() {
        let text = "All counts agree: for each customer, received = published + filtered + quarantined, and every \
                    published event arrived.";
        screen.result(text.to_owned()).await;
        return ExitCode::SUCCESS;
    }
    for problem in problems {
        screen.remark(format!("{ERROR}the counts disagree:{ERROR:#} {problem}", ERROR = super::ERROR)).await;
    }
    ExitCode::FAILURE
}

/// Returns the number of messages on a queue, including those in flight.
async fn queue_length(stage: &Stage, queue_url: &str) -> anyhow::Result<u64> {
    use QueueAttributeName::{ApproximateNumberOfMessages as Visible, ApproximateNumberOfMessagesNotVisible as Hidden};
    let request = stage.clients.sqs.get_queue_attributes().queue_url(queue_url);
    let answer = request.attribute_names(Visible).attribute_names(Hidden).send().await;
    let attributes = answer.context("cannot read the length of the queue")?.attributes.unwrap_or_default();
    let mut length = 0;
    for name in [Visible, Hidden] {
        let count = attributes.get(&name).with_context(|| format!("SQS returned no {name}"))?;
        length += count.parse::<u64>().with_context(|| format!("{name} is {count}"))?;
    }
    Ok(length)
}

impl Books {
    /// The number of messages with a final outcome, as the service counts them.
    fn settled(&self) -> u64 {
        self.metrics.settled.sum_where(|labels| labels.outcome != OutcomeLabel::Retried)
    }

    /// The number of events that were sent and do not have a final outcome yet.
    fn backlog(&self) -> u64 {
        self.ledger.sent().saturating_sub(self.settled())
    }

    /// Lets the sources go on after the last event until the service calls the database stale. Then ends their
    /// heartbeats and returns the states of the sources. The demo takes at most half as long again because of this.
    async fn let_sources_go_on(
        &self,
        stage: &Stage,
        sources: Sources,
        stop: &CancellationToken,
    ) -> anyhow::Result<States> {
        /// The backend stays flowing for longer than this after its last event.
        const LONGEST: Duration = Duration::from_secs(4);
        let enough = async {
            self.wait_until_queue_is_empty(stage, stop, LONGEST).await?;
            sleep(sources.states().elapsed() / 2).await;
            anyhow::Ok(())
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            () = sources.until_stale() => {}
            () = sleep(LONGEST) => {}
            is_empty = enough => is_empty?,
        }
        sources.end().await
    }

    /// Waits until the input queue is empty. Gives up after `patience` without a new outcome, or earlier if the user
    /// has asked to stop.
    async fn wait_until_queue_is_empty(
        &self,
        stage: &Stage,
        stop: &CancellationToken,
        patience: Duration,
    ) -> anyhow::Result<()> {
        /// Long enough for events of unknown type with the default grace period.
        const PATIENCE_AFTER_STOP: Duration = Duration::from_secs(6);
        let (mut before, mut since) = (self.settled(), Instant::now());
        while queue_length(stage, &stage.queue).await? > 0 {
            let now = self.settled();
            if now != before {
                (before, since) = (now, Instant::now());
            }
            if since.elapsed() > if stop.is_cancelled() { PATIENCE_AFTER_STOP } else { patience } {
                break;
            }
            sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Waits until every entry that SNS confirmed has arrived, for at most `patience`.
    async fn wait_for_arrivals(&self, patience: Duration) {
        let deadline = Instant::now() + patience;
        while self.ledger.deliveries() < self.metrics.published.sum() && Instant::now() < deadline {
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Shows the counters and the address of the admin endpoint on the screen at regular intervals, until the task is
    /// dropped.
    async fn show_counters(self, screen: Screen, admin: String, states: States) {
        const WINDOW: usize = 10;
        let mut tick = interval(Screen::counters_period());
        // The first tick completes immediately.
        tick.tick().await;
        let mut history = VecDeque::from([(Instant::now(), 0)]);
        loop {
            tick.tick().await;
            let settled = |outcome| self.metrics.settled.sum_where(|labels| labels.outcome == outcome);
            let (published, filtered, quarantined) =
                (settled(OutcomeLabel::Published), settled(OutcomeLabel::Filtered), settled(OutcomeLabel::Quarantined));
            let done = published + filtered + quarantined;
            if history.len() == WINDOW {
                history.pop_front();
            }
            history.push_back((Instant::now(), done));
            let rate = rate(&history);
            let (sent, retried, states) = (self.ledger.sent(), settled(OutcomeLabel::Retried), states.line());
            screen.counters(format!(
                "{admin}  {sent} sent  {published} published  {filtered} filtered  {quarantined} quarantined  {retried} retried  {rate:.0}/s{states}",
            ));
        }
    }
}

/// Returns the number of outcomes per second over the history, which holds the count at several instants.
fn rate(history: &VecDeque<(Instant, u64)>) -> f64 {
    let (Some((from, before)), Some((to, after))) = (history.front(), history.back()) else { return 0.0 };
    let seconds = to.saturating_duration_since(*from).as_secs_f64();
    if seconds > 0.0 { (after - before) as f64 / seconds } else { 0.0 }
}
