//! The two sources of the demo. The backend sends all events but database changes, and its heartbeats are
//! `protobridge.v1.Heartbeat`. The database sends the changes, and its heartbeats are changes in a table `heartbeat`.
//!
//! The backend works all the time. The database falls quiet: its changes stop. When the service has noticed, the
//! heartbeats of the database stop also, until the service calls it stale. The demo shows only what the page `/status`
//! says about both.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::Args;
use super::ledger::Ledger;
use super::screen::Screen;
use super::stage::Stage;
use super::states::{Observer, States};
use super::target::{Outgoing, Target};
use super::watch::Show;
use crate::cli::embedded::samples::{CHANGE, DATABASE, Sample, Samples};
use crate::config::STALE_AFTER_INTERVALS;
use crate::telemetry::SourceState;

/// The name of the backend in its heartbeats.
pub(super) const BACKEND: &str = "shop-backend";
/// The time between two heartbeats of the backend.
const BACKEND_INTERVAL: Duration = Duration::from_secs(2);
/// The time between two heartbeats of the database: the shortest that a configuration can have.
const DATABASE_INTERVAL: Duration = Duration::from_secs(1);
/// The course of the database. It depends only on the arguments of the demo, so that the same seed gives the same events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Course {
    /// The number of events of the demo after which the database sends no more events.
    pub(super) events_of_database: u64,
    /// The most events between two changes, so that the database is not quiet before that.
    pub(super) most_between_changes: u64,
    /// The time for which a quiet database sends heartbeats, after the service has noticed that it is quiet.
    quiet_for: Duration,
    /// The number of intervals without a heartbeat after which the database is stale.
    stale_after_intervals: u32,
}

impl Course {
    /// Returns the course of a demo with this number of events, and with this number of events per second. The database
    /// is stale after about seven of the ten seconds that 2000 events take by default.
    pub(super) fn new(events: Option<u64>, rate: u32) -> Self {
        /// The number of events per second that the course assumes if the demo is as fast as possible.
        const FAST: u32 = 5_000;
        /// The length that leaves time to look at each state, in seconds. A demo without an end has the same course.
        const LONG: f64 = 60.0;
        /// The shortest length in which a source can become quiet and stale with the default number of intervals, in
        /// seconds.
        const SHORT: f64 = 8.0;
        let rate = f64::from(if rate == 0 { FAST } else { rate });
        let length = events.map_or(LONG, |events| (events as f64 / rate).min(LONG));
        Self {
            events_of_database: ((length * rate / 6.0) as u64).max(2),
            most_between_changes: ((rate / 2.0) as u64).max(1),
            quiet_for: Duration::from_secs_f64(length / 40.0),
            // The smallest number that a configuration can have is 2.
            stale_after_intervals: if length < SHORT { 2 } else { STALE_AFTER_INTERVALS },
        }
    }
}

/// The producer of events tells the sources how far it is.
#[derive(Debug, Clone, Default)]
pub(super) struct Signals {
    /// Both sources have sent events.
    pub(super) events_began: CancellationToken,
    /// The database sends no more events.
    pub(super) database_fell_silent: CancellationToken,
}

/// Returns the part of the configuration that makes both sources known to the service.
pub(super) fn config_section(course: &Course) -> String {
    format!(
        "\
heartbeats:
  types:
    # The database has a table with one row, which is updated at each interval. Its heartbeats travel like its events.
    - type: {CHANGE}
      where: {{path: source.table, equals: heartbeat}}
      source: source.cluster
      sent_at: commit_time
      interval_seconds: {interval}
  expect:
    - source: {BACKEND}
      events: [shop.v1.Order*, shop.v1.Payment*, shop.v1.Customer*]
    - source: {DATABASE}
      events: [{CHANGE}]
      stale_after_intervals: {limit}
",
        interval = DATABASE_INTERVAL.as_secs(),
        limit = course.stale_after_intervals,
    )
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
            // Seeds of their own, so that the ids differ from those of the events.
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the seconds of events and of quiet, and the number of intervals.
    fn course(events: Option<u64>, rate: u32) -> (f64, f64, u32) {
        let Course { events_of_database, quiet_for, stale_after_intervals, .. } = Course::new(events, rate);
        let seconds = events_of_database as f64 / f64::from(if rate == 0 { 5_000 } else { rate });
        let rounded = |seconds: f64| (seconds * 10.0).round() / 10.0;
        (rounded(seconds), rounded(quiet_for.as_secs_f64()), stale_after_intervals)
    }

    #[test]
    fn the_course_of_the_database_fits_into_the_length_of_the_demo() {
        assert_eq!(course(Some(2_000), 200), (1.7, 0.3, 3));
        assert_eq!(course(Some(500), 100), (0.8, 0.1, 2));
        assert_eq!(course(Some(50), 5), (1.6, 0.3, 3));
        assert_eq!(course(Some(20_000), 0), (0.7, 0.1, 2));
        // A long demo, and one without an end, leave time to look at each state.
        for rate in [1, 200, 0] {
            assert_eq!(course(None, rate), (10.0, 1.5, 3), "rate {rate}");
        }
        assert_eq!(course(Some(1_000_000), 200), (10.0, 1.5, 3));
    }

    #[test]
    fn even_a_short_or_slow_demo_has_a_change_and_other_events() {
        let numbers = |events, rate| {
            let course = Course::new(events, rate);
            (course.events_of_database, course.most_between_changes)
        };
        assert_eq!(numbers(Some(1), 200), (2, 100));
        assert_eq!(numbers(None, 1), (10, 1));
        assert_eq!(numbers(None, 5), (50, 2));
    }
}
