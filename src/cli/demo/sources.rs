//! The two sources of the demo. The backend sends all events but database changes, and its heartbeats are
//! `protobridge.v1.Heartbeat`. The database sends the changes, and its heartbeats are changes in a table `heartbeat`.
//!
//! The backend works all the time. The database falls quiet: its changes stop. When the service has noticed, the
//! heartbeats of the database stop also, until the service calls it stale. The demo shows only what the page `/status`
//! says about both.

use std::sync::Arc;

use anyhow::Context as _;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::Args;
use super::course::{BACKEND, BACKEND_INTERVAL, Course, DATABASE_INTERVAL};
use super::ledger::Ledger;
use super::screen::Screen;
use super::stage::Stage;
use super::states::{Observer, States};
use super::target::{Outgoing, Target};
use super::watch::Show;
use crate::cli::embedded::samples::{DATABASE, Sample, Samples};
use crate::telemetry::SourceState;

/// The signals by which the producer of events tells the sources how far it is.
#[derive(Debug, Clone, Default)]
pub(super) struct Signals {
    /// Cancelled when both sources have sent events.
    pub(super) events_began: CancellationToken,
    /// Cancelled when the database sends no more events.
    pub(super) database_fell_silent: CancellationToken,
}

/// Both sources while they run. Dropping the value stops them.
#[derive(Debug)]
pub(super) struct Sources {
    states: States,
    stop: CancellationToken,
    task: AbortOnDropHandle<anyhow::Result<()>>,
}

impl Sources {
    /// Starts the heartbeats of both sources, and looks at the page `/status` of the admin endpoint.
    pub(super) fn start(
        (args, stage, show): (&Args, &Stage, Show),
        (ledger, screen): (&Arc<Ledger>, &Screen),
        (admin, signals): (&str, Signals),
    ) -> Self {
        let (observer, states) = Observer::new(admin);
        let stop = CancellationToken::new();
        let heartbeats = Heartbeats {
            // Another seed than that of the events, so that the ids differ.
            samples: Samples::new(args.seed ^ 0x6265_6174)
                .with_source(BACKEND)
                .with_heartbeat_interval(BACKEND_INTERVAL),
            course: Course::new(args.events, args.rate),
            signals,
            states: states.clone(),
            target: Target::new(stage),
            ledger: Arc::clone(ledger),
        };
        let (screen, shown, token) = (screen.clone(), states.clone(), stop.clone());
        let task = AbortOnDropHandle::new(tokio::spawn(async move {
            let print = async {
                if show != Show::Nothing {
                    shown.print_to(&screen).await;
                }
            };
            let ((), sent, ()) = tokio::join!(observer.observe_until(&token), heartbeats.run(&token), print);
            sent
        }));
        Self { states, stop, task }
    }

    /// Returns the states that the service has shown.
    pub(super) fn states(&self) -> &States {
        &self.states
    }

    /// Waits until the service calls the database stale.
    pub(super) async fn until_stale(&self) {
        self.states.until(DATABASE, SourceState::Stale).await;
    }

    /// Ends the heartbeats, after a last look at the states.
    ///
    /// # Errors
    /// Returns an error if the queue refused a heartbeat, which only a bug can cause.
    pub(super) async fn end(self) -> anyhow::Result<States> {
        self.stop.cancel();
        self.task.await.context("the heartbeats failed")??;
        Ok(self.states)
    }
}

/// The heartbeats of both sources.
struct Heartbeats {
    samples: Samples,
    course: Course,
    signals: Signals,
    states: States,
    target: Target,
    ledger: Arc<Ledger>,
}

impl Heartbeats {
    /// Sends heartbeats until `stop` is cancelled.
    async fn run(mut self, stop: &CancellationToken) -> anyhow::Result<()> {
        // The sources do not look quiet at first: both have sent events when their first heartbeats arrive.
        if stop.run_until_cancelled(self.signals.events_began.cancelled()).await.is_none() {
            return Ok(());
        }
        let now = Instant::now();
        let (mut backend, mut database) = (now, Some(now));
        loop {
            let mut due = Vec::new();
            if backend <= Instant::now() {
                backend += BACKEND_INTERVAL;
                due.push(self.samples.heartbeat());
            }
            if database.is_some_and(|at| at <= Instant::now()) {
                database = database.filter(|_| !self.database_is_down()).map(|at| at + DATABASE_INTERVAL);
                due.extend(database.map(|_| self.samples.heartbeat_row()));
            }
            self.send(&due).await?;
            let next = database.map_or(backend, |database| database.min(backend));
            if stop.run_until_cancelled(sleep_until(next)).await.is_none() {
                return Ok(());
            }
        }
    }

    /// Whether the database sends no more heartbeats: it sends no events, and the service has noticed that.
    fn database_is_down(&self) -> bool {
        let quiet_for = self.states.current(DATABASE).filter(|(state, _)| *state == SourceState::Quiet.code());
        self.signals.database_fell_silent.is_cancelled()
            && quiet_for.is_some_and(|(_, since)| since.elapsed() >= self.course.quiet_for)
    }

    async fn send(&self, heartbeats: &[Sample]) -> anyhow::Result<()> {
        let outgoing = heartbeats.iter().map(|heartbeat| {
            let outgoing = Outgoing::new(heartbeat);
            self.ledger.record_sent(heartbeat, &outgoing.body);
            outgoing
        });
        self.target.send(outgoing.collect()).await
    }
}
