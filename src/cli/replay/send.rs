//! Sending archived messages again.

use std::io::Write as _;
use std::ops::Range;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::plan::Plan;
use super::session::Session;
use super::summary::Summary;
use super::{Filter, known, progress, unconfirmed};
use crate::app::shutdown::StopSignals;
use crate::base::time::unix_micros;
use crate::cli::config_file::ConfigFile;
use crate::cli::window::Window;
use crate::cli::{Usage, runtime};
use crate::config;
use crate::delivery::confirmed::ConfirmedDeliveries;
use crate::delivery::replay::{Choice, Ended, Pace, Progress, Replay, Source};
use crate::store::archive::{self, Listing, Row, Rows};
use crate::store::replays::{Cursor, Name, Owner, Replays, Request, Status};

/// The text below the options of the help.
pub(super) const HELP: &str = "\
Reads the messages that were finished in the window from the archive and sends them through today's descriptors, routes \
and profiles. Event ids stay the same, so consumers that deduplicate skip what they have. Each delivery has the attribute \
`replay` with the name of the replay. Messages that went into quarantine are left out, because `protobridge redrive` is \
for those.

Messages of one queue and group are sent one after the other. After each step the replay writes its cursor to the store. \
A replay that was interrupted or killed continues with --resume and repeats at most one step. SNS throttles halve the \
rate, because live traffic goes first.

Examples:
  protobridge replay --from 2026-11-28T12:00:00Z --to 2026-11-28T12:05:00Z \\
      --dry-run
  protobridge replay --from 1h --to 30m --customer acme --name incident-42
  protobridge replay --from 1h --to 30m --customer acme --unconfirmed
  protobridge replay --from 2h --to 1h --type 'shop.v1.Order*' --rate 50 --yes
  protobridge replay --list
  protobridge replay --resume incident-42

Exit codes: 0 everything was sent, 1 something was not, nothing matched, or the archive has a gap in the window, 2 wrong \
usage, 64 wrong configuration, 130 interrupted.";

/// The exit code of a process that an operator interrupted (128 and the number of SIGINT).
const INTERRUPTED: u8 = 130;

/// The time after `archive.flush_ms` until which a closed segment is stored.
const STORED_AFTER: Duration = Duration::from_secs(1);

/// The rate without `--rate` and without a known quota, in messages to topics per second.
const DEFAULT_RATE: f64 = 100.0;

/// The options of a replay that sends.
#[derive(Debug, Clone, Default, clap::Args)]
#[group(skip)]
pub(super) struct Options {
    /// Only deliveries that the journal does not show as confirmed for --customer, messages in quarantine included
    #[arg(long, requires = "customer")]
    unconfirmed: bool,
    /// Also messages that went into quarantine
    #[arg(long)]
    quarantined: bool,
    /// The most messages to topics per second [default: a tenth of publish.quota_messages_per_second, or 100]
    #[arg(long, value_name = "N", value_parser = rate)]
    rate: Option<f64>,
    /// The most messages between two updates of the cursor [default: those of a second, 10 to 1000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=10_000))]
    step: Option<u16>,
    /// Send nothing: print what a replay would send, by customer, type and outcome, its cost and its duration
    #[arg(long)]
    dry_run: bool,
    /// Do not ask before sending
    #[arg(long)]
    yes: bool,
    /// The name of the replay: letters, digits, `-`, `.` and `_` [default: the time]
    #[arg(long, value_name = "NAME")]
    name: Option<Name>,
    /// Continue the replay of this name with its own window and filters
    #[arg(long, value_name = "NAME", conflicts_with_all = NEW)]
    resume: Option<Name>,
    /// With --name: continue the replay of this name if it has begun, so that a Job can be restarted
    #[arg(long, requires = "name")]
    resume_if_begun: bool,
    /// List all replays of the store, the latest first
    #[arg(long, conflicts_with_all = NEW, conflicts_with_all = ["resume", "cancel", "rate", "step", "yes"])]
    list: bool,
    /// End the replay of this name for good; a process that runs it stops at its next step
    #[arg(long, value_name = "NAME", conflicts_with_all = NEW, conflicts_with_all = ["resume", "rate", "step", "yes"])]
    cancel: Option<Name>,
}

/// The options of a replay that begins.
const NEW: [&str; 10] =
    ["from", "to", "customer", "types", "queue", "unconfirmed", "quarantined", "name", "dry_run", "resume_if_begun"];

fn rate(text: &str) -> Result<f64, &'static str> {
    let rate = text.parse().ok().filter(|rate| (0.01..=100_000.0).contains(rate));
    rate.ok_or("it is not a number from 0.01 to 100000")
}

/// Sends the messages, or does what the options ask for instead.
pub(super) fn run(
    options: &Options,
    window: &Window,
    filter: &Filter,
    config: &ConfigFile,
) -> anyhow::Result<ExitCode> {
    if options.list {
        return runtime()?.block_on(known::list(config, filter.json));
    }
    if let Some(name) = &options.cancel {
        return runtime()?.block_on(known::cancel(config, name));
    }
    let window = if options.resume.is_some() { None } else { Some(named(window)?) };
    runtime()?.block_on(async {
        let session = Session::open(config).await?;
        match (&options.resume, window) {
            (Some(name), _) => resume(options, filter, &session, name.clone()).await,
            (None, window) => {
                let request = options.request(window.unwrap_or_default(), filter, session.quota());
                session.check_queues(&request.queues)?;
                if options.resume_if_begun
                    && let Some(name) = &options.name
                    && Replays::new(session.store.clone()).has(name).await?
                {
                    return resume(options, filter, &session, name.clone()).await;
                }
                begin(options, filter, &session, request).await
            }
        }
    })
}

/// Returns the window, which must be named: a replay of the wrong time is not undone.
fn named(window: &Window) -> Result<Range<i64>, Usage> {
    let now = SystemTime::now();
    let (Some(from), Some(to)) = window.named(now) else {
        return Err(Usage("name the window with --from and --to, or continue a replay with --resume NAME"));
    };
    if from >= to {
        return Err(Usage("--from must be before --to"));
    }
    if to > unix_micros(now) {
        return Err(Usage("--to is in the future, and the archive has the past only"));
    }
    Ok(from..to)
}

impl Options {
    fn request(&self, window: Range<i64>, filter: &Filter, quota: Option<u32>) -> Request {
        let default = || quota.map_or(DEFAULT_RATE, |quota| f64::from(quota) / 10.0);
        Request {
            from: window.start,
            to: window.end,
            customer: filter.customer.clone(),
            types: filter.types.clone(),
            queues: filter.queue.clone(),
            unconfirmed: self.unconfirmed,
            quarantined: self.quarantined,
            rate: self.rate.unwrap_or_else(default),
        }
    }

    /// Returns the most messages of a step: about those of a second.
    fn step(&self, rate: f64) -> usize {
        self.step.map_or(rate.clamp(10.0, 1_000.0) as usize, usize::from)
    }
}

/// What the archive and the journal have of a window.
struct Found {
    listing: Listing,
    confirmed: Option<Arc<ConfirmedDeliveries>>,
    /// Whether an operator should decide about what the journal does not tell.
    has_doubts: bool,
}

impl Found {
    /// Looks at the archive and the journal. Tells on standard error what is unknown.
    async fn look(session: &Session, request: &Request) -> anyhow::Result<Self> {
        wait_for_end(&session.config.archive, request.to).await;
        let listing = session.archive.look(request.window()).await?;
        for gap in &listing.gaps {
            anstream::eprintln!("gap in the archive: {gap}");
        }
        let (mut confirmed, mut has_doubts) = (None, false);
        if let (true, Some(customer)) = (request.unconfirmed, &request.customer) {
            let found = unconfirmed::read(session, customer, &request.window()).await?;
            (confirmed, has_doubts) = (Some(Arc::new(found.confirmed)), found.has_doubts);
        }
        Ok(Self { listing, confirmed, has_doubts })
    }
}

/// Waits until the messages that were finished at the end of the window are stored.
pub(super) async fn wait_for_end(settings: &config::Archive, end: i64) {
    let stored = Duration::from_millis(settings.flush_ms) + STORED_AFTER;
    let now = unix_micros(SystemTime::now());
    let missing = end.saturating_add(stored.as_micros() as i64).saturating_sub(now);
    if missing > 0 {
        anstream::eprintln!("the window has just ended: waiting until the archive has its last messages");
        sleep(Duration::from_micros(missing.unsigned_abs())).await;
    }
}

/// Begins a replay, or makes a dry run of one.
async fn begin(options: &Options, filter: &Filter, session: &Session, request: Request) -> anyhow::Result<ExitCode> {
    let found = Found::look(session, &request).await?;
    let name = options.name.clone().unwrap_or_else(|| Name::of_time(unix_micros(SystemTime::now())));
    if options.dry_run {
        return preview(options, filter, session, &request, name, found).await;
    }
    let plan = Plan { name: &name, request: &request, messages: found.listing.rows(), has_doubts: found.has_doubts };
    if found.listing.rows() > 0 && !plan.is_wanted(options.yes)? {
        anstream::eprintln!("nothing was sent");
        return Ok(ExitCode::FAILURE);
    }
    let replays = Replays::new(session.store.clone());
    let mut cursor = replays.begin(name, request, Owner::random()).await?;
    send(options, filter, session, &mut cursor, found).await
}

/// Continues a replay.
async fn resume(options: &Options, filter: &Filter, session: &Session, name: Name) -> anyhow::Result<ExitCode> {
    let replays = Replays::new(session.store.clone());
    let mut cursor = replays.resume(name, Owner::random(), unix_micros(SystemTime::now())).await?;
    if cursor.state().status == Status::Done {
        Summary::of_state(cursor.state()).write(session, filter.json)?;
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(rate) = options.rate {
        cursor.set_rate(rate);
    }
    let request = cursor.state().request.clone();
    match Found::look(session, &request).await {
        Ok(found) => send(options, filter, session, &mut cursor, found).await,
        Err(error) => {
            // Another process need not wait until this one is taken for dead.
            let _best_effort = cursor.end(Status::Failed).await;
            Err(error)
        }
    }
}

/// The rows of the archive, as a replay reads them.
struct Archived(Rows);

impl Source for Archived {
    type Error = archive::Error;

    async fn next(&mut self) -> Result<Option<Row>, archive::Error> {
        self.0.next().await
    }
}

/// Makes a dry run.
async fn preview(
    options: &Options,
    filter: &Filter,
    session: &Session,
    request: &Request,
    name: Name,
    Found { listing, confirmed, .. }: Found,
) -> anyhow::Result<ExitCode> {
    let resender = session.resender(None, true)?;
    let progress = Progress::default();
    let replay = Replay {
        name: name.clone(),
        choice: Choice::new(request, confirmed),
        step: options.step(request.rate),
        sender: &resender,
        pace: None,
        progress: &progress,
        stop: CancellationToken::new(),
    };
    let mut rows = Archived(session.archive.rows(&listing, request.window(), None));
    let run = replay.run(&mut rows, None);
    let (tally, ended) = progress::watch(&name, (&progress, listing.rows()), None, run).await;
    ended?;
    let summary = Summary::of_preview(&name, request, tally, listing);
    summary.write(session, filter.json)?;
    Ok(summary.exit_code())
}

/// Sends what is left of a replay.
async fn send(
    options: &Options,
    filter: &Filter,
    session: &Session,
    cursor: &mut Cursor,
    Found { listing, confirmed, .. }: Found,
) -> anyhow::Result<ExitCode> {
    let state = cursor.state().clone();
    let (name, request) = (state.name.clone(), state.request.clone());
    let mut signals = StopSignals::new()?;
    let records = session.keep_records(&name);
    let resender = session.resender(records.journal(), false)?;
    let (pace, progress) = (Pace::new(request.rate), Progress::new(state.counts.rows));
    let stop = CancellationToken::new();
    let replay = Replay {
        name: name.clone(),
        choice: Choice::new(&request, confirmed),
        step: options.step(request.rate),
        sender: &resender,
        pace: Some(&pace),
        progress: &progress,
        stop: stop.clone(),
    };
    let mut rows = Archived(session.archive.rows(&listing, request.window(), state.position));
    let run = replay.run(&mut rows, Some(cursor));
    let watched = progress::watch(&name, (&progress, listing.rows()), Some(&pace), run);
    let finished = tokio::select! {
        finished = watched => Some(finished),
        // The run goes on while this waits for the second signal.
        () = interrupted(&mut signals, &stop) => None,
    };
    session.finish(resender, records).await;
    let Some((tally, ended)) = finished else {
        let again =
            format!("continue in a minute with `protobridge replay --resume {name}`, which repeats at most one step");
        anstream::eprintln!("stopped at once; {again}");
        return Ok(ExitCode::from(INTERRUPTED));
    };
    let is_lost = matches!(&ended, Err(crate::delivery::replay::Error::Cursor(error)) if error.is_lost());
    let ended = match ended {
        Err(error) if is_lost => return Err(error.into()),
        ended => ended.with_context(|| {
            format!("the replay {name} stopped; `protobridge replay --resume {name}` continues it once this is fixed")
        })?,
    };
    let summary = Summary::of_run(cursor.state(), tally, listing);
    summary.write(session, filter.json)?;
    if ended == Ended::Stopped {
        anstream::eprintln!("interrupted; continue with `protobridge replay --resume {name}`");
        return Ok(ExitCode::from(INTERRUPTED));
    }
    std::io::stdout().flush()?;
    Ok(summary.exit_code())
}

/// Ends the run after its step at the first signal. Returns at the second one.
async fn interrupted(signals: &mut StopSignals, stop: &CancellationToken) {
    signals.next().await;
    stop.cancel();
    anstream::eprintln!("\nfinishing the step; a second signal stops at once");
    signals.next().await;
}
