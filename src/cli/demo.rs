//! `protobridge demo`: the whole way of an event, to watch.
//!
//! The service is the one that `protobridge run` runs, from a configuration file on; only SQS and SNS are
//! [embedded](crate::cli::embedded) ones. The demo plays producer and customers, and keeps its own books of both, so that
//! the table at the end is more than the service's word.

mod feed;
mod ledger;
mod screen;
mod stage;
mod table;
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

use crate::app::shutdown::Signals;
use crate::app::{App, Loaded};
use crate::message::OutcomeLabel;
use crate::telemetry::{self, Metrics};
use feed::Feed;
use ledger::Ledger;
use screen::Screen;
use stage::Stage;
use table::{Service, Summary};
use watch::Show;

/// Arguments of `demo`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// End after so many events; without it, Ctrl-C ends the demo
    #[arg(long, value_name = "N")]
    events: Option<u64>,
    /// Events a second; 0 is as fast as it goes
    #[arg(long, value_name = "N", default_value_t = 200)]
    rate: u32,
    /// Spread the JSON over several lines
    #[arg(long, conflicts_with = "quiet")]
    pretty: bool,
    /// Show no events, only the counters and the table at the end
    #[arg(long, short)]
    quiet: bool,
    /// The same seed gives the same events
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Compiled descriptor sets, a folder or one file, in the place of those that the demo brings
    #[arg(long, value_name = "PATH")]
    descriptors: Option<PathBuf>,
    /// How long an event of unknown type waits for its schema before it is quarantined
    #[arg(long, value_name = "SECONDS", default_value_t = 2)]
    unknown_grace_seconds: u64,
    /// Log level, or tracing directives. By default warnings, but not of events that are quarantined or tried again:
    /// the demo sends some that have to be
    #[arg(long, value_name = "LEVEL", default_value = "warn,protobridge::pipeline=error")]
    log: String,
}

const EXAMPLES: &str = "\
Three customers: acme gets everything, globex only orders, and initech everything in another spelling.
Now and then an event is malformed or of unknown type, and ends in quarantine.

Examples:
  protobridge demo                                    until Ctrl-C
  protobridge demo --events 2000                      2000 events, and a table that adds up
  protobridge demo --events 3 --pretty
  protobridge demo --events 20000 --rate 0 --quiet    how fast it goes

Events and the table go to standard output, everything else to standard error.
Exit codes: 0 everything adds up, 1 it does not.";

/// Both books, while they are written.
#[derive(Debug, Clone)]
struct Shared {
    ledger: Arc<Ledger>,
    metrics: Arc<Metrics>,
}

/// Plays until all events are through or a signal comes; a second signal ends the process at once.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    super::runtime()?.block_on(async {
        let mut signals = Signals::new()?;
        let stop = CancellationToken::new();
        let mut play = pin!(play(args, &stop));
        tokio::select! {
            ended = play.as_mut() => return ended,
            _signal = signals.next() => stop.cancel(),
        }
        tokio::select! {
            ended = play => ended,
            _signal = signals.next() => Ok(ExitCode::FAILURE),
        }
    })
}

async fn play(args: &Args, stop: &CancellationToken) -> anyhow::Result<ExitCode> {
    let stage = Stage::build(args).await?;
    let config = &stage.config;
    telemetry::init_log(&config.log).with_context(|| format!("--log {}", args.log))?;
    let mut app = App::start_with(config, Loaded::load(config)?, stage.clients.clone()).await?;
    let shared = Shared { ledger: Arc::new(Ledger::new()), metrics: Arc::clone(app.metrics()) };
    let (screen, written) = Screen::start()?;
    screen.remark(stage.introduction(&format!("http://{}", app.admin_address()))).await;

    let show = match args {
        Args { quiet: true, .. } => Show::Nothing,
        Args { pretty: true, .. } => Show::Pretty,
        _ => Show::OneLine,
    };
    let customers = watch::customers(&stage, &shared.ledger, &screen, show);
    let counters = AbortOnDropHandle::new(tokio::spawn(shared.clone().show_counters(screen.clone())));
    tokio::select! {
        fed = Feed::new(args, &stage, shared.clone()).run(stop) => fed?,
        defect = app.failed() => bail!("{defect}; this is a defect of protobridge"),
        () = screen.reader_gone() => return Ok(ExitCode::SUCCESS),
    }

    let end = async {
        if stop.is_cancelled() {
            screen.remark("\nfinishing what is under way; Ctrl-C again ends at once".to_owned()).await;
        }
        let summary = finish(args, &stage, app, &shared, stop).await?;
        drop((customers, counters));
        screen.result(summary.render(io::stdout().is_terminal())).await;
        anyhow::Ok(summary.problems())
    };
    let problems = tokio::select! {
        problems = end => problems?,
        () = screen.reader_gone() => return Ok(ExitCode::SUCCESS),
    };
    let code = verdict(&problems, &screen).await;
    drop(screen);
    // An error would mean that the thread panicked, which has been said then.
    let _panicked = written.await;
    stage.embedded.stop().await;
    Ok(code)
}

/// Waits until everything that was sent has come to its end, stops the service, and closes the books.
async fn finish(
    args: &Args,
    stage: &Stage,
    app: App,
    shared: &Shared,
    stop: &CancellationToken,
) -> anyhow::Result<Summary> {
    let metrics = &shared.metrics;
    // The last events may be of unknown type, and wait for their schema until they are tried for the last time.
    let patience = Duration::from_secs(args.unknown_grace_seconds) + Duration::from_secs(20);
    shared.settle(stage, stop, patience).await?;
    app.stop().await;
    shared.arrive(Duration::from_secs(10)).await;
    let found = watch::quarantined(stage, metrics.quarantined.sum()).await;
    let left = queue_length(stage).await?;
    let totals = shared.ledger.close(&found, &watch::left(stage, left).await);
    Ok(Summary::new(totals, Service::new(metrics), left, stop.is_cancelled()))
}

async fn verdict(problems: &[String], screen: &Screen) -> ExitCode {
    if problems.is_empty() {
        let text = "It adds up: for each customer received = published + filtered + quarantined, and everything that was \
                    published arrived.";
        screen.result(text.to_owned()).await;
        return ExitCode::SUCCESS;
    }
    for problem in problems {
        screen.remark(format!("{ERROR}does not add up:{ERROR:#} {problem}", ERROR = super::ERROR)).await;
    }
    ExitCode::FAILURE
}

/// How many messages the input queue has, in flight or not.
async fn queue_length(stage: &Stage) -> anyhow::Result<u64> {
    use QueueAttributeName::{ApproximateNumberOfMessages as Visible, ApproximateNumberOfMessagesNotVisible as Hidden};
    let request = stage.clients.sqs.get_queue_attributes().queue_url(&stage.queue);
    let answer = request.attribute_names(Visible).attribute_names(Hidden).send().await;
    let attributes = answer.context("cannot read the length of the queue")?.attributes.unwrap_or_default();
    let mut length = 0;
    for name in [Visible, Hidden] {
        let count = attributes.get(&name).with_context(|| format!("the queue has no {name}"))?;
        length += count.parse::<u64>().with_context(|| format!("{name} is {count}"))?;
    }
    Ok(length)
}

impl Shared {
    /// Messages whose outcome was reached.
    fn settled(&self) -> u64 {
        self.metrics.settled.sum_where(|labels| labels.outcome != OutcomeLabel::Retried)
    }

    /// Events that were sent and whose outcome was not reached yet.
    fn backlog(&self) -> u64 {
        self.ledger.sent().saturating_sub(self.settled())
    }

    /// Waits until the queue is empty, or nothing has happened for `patience`; not as long if someone has asked to stop.
    async fn settle(&self, stage: &Stage, stop: &CancellationToken, patience: Duration) -> anyhow::Result<()> {
        /// Enough for events of unknown type with the grace that they have by default.
        const PATIENCE_AFTER_STOP: Duration = Duration::from_secs(6);
        let (mut before, mut since) = (self.settled(), Instant::now());
        while queue_length(stage).await? > 0 {
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

    /// Waits until everything that SNS confirmed has arrived, for at most `patience`.
    async fn arrive(&self, patience: Duration) {
        let deadline = Instant::now() + patience;
        while self.ledger.deliveries() < self.metrics.published.sum() && Instant::now() < deadline {
            sleep(Duration::from_millis(20)).await;
        }
    }

    async fn show_counters(self, screen: Screen) {
        const WINDOW: usize = 10;
        let mut tick = interval(Screen::counters_period());
        // The first one comes at once.
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
            let (sent, retried) = (self.ledger.sent(), settled(OutcomeLabel::Retried));
            screen.counters(format!(
                "{sent} sent  {published} published  {filtered} filtered  {quarantined} quarantined  {retried} given back  {rate:.0}/s",
            ));
        }
    }
}

fn rate(history: &VecDeque<(Instant, u64)>) -> f64 {
    let (Some((from, before)), Some((to, after))) = (history.front(), history.back()) else { return 0.0 };
    let seconds = to.saturating_duration_since(*from).as_secs_f64();
    if seconds > 0.0 { (after - before) as f64 / seconds } else { 0.0 }
}
