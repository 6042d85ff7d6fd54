//! The states of the sources, as the page `/status` of the service shows them. Nothing here knows what the sources do.

use std::collections::BTreeMap;
use std::time::Duration;

use anstyle::AnsiColor;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::screen::{self, Screen};
use crate::app::admin::KnownSource;
use crate::base::RateLimitedLog;
use crate::base::http::{Http, Network};
use crate::cli::sources::ask;
use crate::telemetry::SourceState;

/// How often the demo looks at the page.
const PERIOD: Duration = Duration::from_millis(100);
/// The longest time for one answer.
const ANSWER: Duration = Duration::from_secs(5);

/// The sources on the page, by name.
type Seen = BTreeMap<String, History>;

/// A source on the page.
#[derive(Debug, Clone)]
pub(super) struct History {
    /// The source on the last page.
    pub(super) now: KnownSource,
    /// The time of the last change to each state, by the code of the state.
    since: BTreeMap<String, Instant>,
}

/// Looks at the page.
#[derive(Debug)]
pub(super) struct Observer {
    http: Http,
    admin: String,
    seen: watch::Sender<Seen>,
    failures: RateLimitedLog,
}

/// The pages that an observer has read so far. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct States {
    start: Instant,
    seen: watch::Receiver<Seen>,
}

impl Observer {
    /// Creates the observer of an admin endpoint, and the view of the pages that it reads.
    pub(super) fn new(admin: &str) -> (Self, States) {
        let (sender, seen) = watch::channel(Seen::new());
        let http = Network::default().client(ANSWER, ANSWER);
        let failures = RateLimitedLog::new(Duration::from_secs(60));
        (Self { http, admin: admin.to_owned(), seen: sender, failures }, States { start: Instant::now(), seen })
    }

    /// Looks at the page at regular intervals until `stop` is cancelled, and then once more.
    pub(super) async fn observe_until(self, stop: &CancellationToken) {
        let mut tick = interval(PERIOD);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(tick.tick()).await.is_some() {
            self.look().await;
        }
        self.look().await;
    }

    async fn look(&self) {
        match ask(&self.http, &self.admin).await {
            Ok(sources) => self.seen.send_modify(|seen| note(seen, sources.list, Instant::now())),
            Err(error) => {
                if let Some(suppressed) = self.failures.permit() {
                    warn!(error = %format!("{error:#}"), suppressed, "failed to read the states of the sources");
                }
            }
        }
    }
}

/// Adds the sources of a page that was read at this time.
fn note(seen: &mut Seen, sources: Vec<KnownSource>, at: Instant) {
    for now in sources {
        let history = seen.entry(now.source.clone());
        let history = history.or_insert_with(|| History { now: now.clone(), since: BTreeMap::new() });
        if history.since.is_empty() || history.now.state != now.state {
            history.since.insert(now.state.clone(), at);
        }
        history.now = now;
    }
}

impl States {
    /// Returns the time since the start of the demo.
    pub(super) fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// Returns all sources by name.
    pub(super) fn all(&self) -> Seen {
        self.seen.borrow().clone()
    }

    /// Returns the code of a source's state, and the time of the change to it. Returns `None` if the source was on no
    /// page yet.
    pub(super) fn current(&self, source: &str) -> Option<(String, Instant)> {
        let seen = self.seen.borrow();
        let history = seen.get(source)?;
        Some((history.now.state.clone(), *history.since.get(&history.now.state)?))
    }

    /// Waits until the page shows a source in this state, or until the observer ends.
    pub(super) async fn until(&self, source: &str, state: SourceState) {
        let is_in_state = |seen: &Seen| seen.get(source).is_some_and(|history| history.now.state == state.code());
        let mut seen = self.seen.clone();
        // An error means that the observer has ended.
        let _ended = seen.wait_for(is_in_state).await;
    }

    /// Returns the time from the start of the demo to the last change of a source to this state.
    pub(super) fn time_of(&self, history: &History, state: SourceState) -> Option<Duration> {
        Some(history.since.get(state.code())?.saturating_duration_since(self.start))
    }

    /// Returns the present states in one line.
    pub(super) fn line(&self) -> String {
        let seen = self.seen.borrow();
        seen.values().map(|history| format!("  {} {}", history.now.source, history.now.state)).collect()
    }

    /// Prints each change of a state until the observer ends. If the screen is slow, only the last change is printed.
    pub(super) async fn print_to(mut self, screen: &Screen) {
        let mut printed: BTreeMap<String, String> = BTreeMap::new();
        loop {
            let seen = self.seen.borrow_and_update().clone();
            for (name, history) in seen {
                let state = &history.now.state;
                let is_known = *state != SourceState::Unknown.code();
                if is_known && printed.insert(name, state.clone()).as_ref() != Some(state) {
                    screen.result(show(&history.now, screen::columns())).await;
                }
            }
            if self.seen.changed().await.is_err() {
                return;
            }
        }
    }
}

/// Returns the line that is printed when a source gets into another state, cut at the width of the terminal.
fn show(source: &KnownSource, columns: Option<usize>) -> String {
    const HEAD: &str = "source  ";
    let age = source.age_seconds.unwrap_or_default();
    let state = SourceState::ALL.iter().find(|state| state.code() == source.state);
    let (color, meaning) = match state {
        Some(SourceState::Flowing) => (AnsiColor::Green, "heartbeats and events arrive".to_owned()),
        Some(SourceState::Quiet) => {
            (AnsiColor::Yellow, format!("no events arrive; the last heartbeat came {age:.1} s ago"))
        }
        Some(SourceState::Stale) => (AnsiColor::Red, format!("the last heartbeat came {age:.1} s ago")),
        Some(SourceState::Late) => (AnsiColor::Magenta, "protobridge is behind, and cannot judge".to_owned()),
        Some(SourceState::Unknown) | None => (AnsiColor::White, "not heard yet".to_owned()),
    };
    let style = color.on_default();
    let line = format!("{:<26} {}: {meaning}", source.source, source.state);
    let line = columns.map_or((&*line).into(), |columns| screen::fit(&line, columns.saturating_sub(HEAD.len())));
    format!("{style}{HEAD}{style:#}{line}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(name: &str, state: &str) -> KnownSource {
        KnownSource {
            source: name.to_owned(),
            state: state.to_owned(),
            expected: true,
            queues: Default::default(),
            age_seconds: Some(2.04),
            interval_seconds: Some(1.0),
            stale_after_seconds: Some(2.0),
            sequence: None,
            gaps: 0,
            restarts: 0,
            before_queue_seconds: None,
            in_queue_seconds: None,
            clock_skew: false,
            unproven_seconds: Some(0.0),
            unread_seconds: None,
        }
    }

    #[test]
    fn the_time_of_a_state_is_that_of_the_last_change_to_it() {
        let (observer, states) = Observer::new("http://127.0.0.1:1");
        let pages = ["unknown", "flowing", "flowing", "late", "flowing", "quiet", "quiet"];
        for (second, state) in pages.into_iter().enumerate() {
            let at = states.start + Duration::from_secs(second as u64);
            observer.seen.send_modify(|seen| note(seen, vec![source("eu", state), source("us", "flowing")], at));
        }
        let all = states.all();
        let seconds = |name: &str| {
            let time = |state| states.time_of(&all[name], state).map(|time| time.as_secs());
            [SourceState::Flowing, SourceState::Quiet, SourceState::Stale].map(time)
        };
        assert_eq!((seconds("eu"), seconds("us")), ([Some(4), Some(5), None], [Some(0), None, None]));
        assert_eq!(states.current("eu"), Some(("quiet".to_owned(), states.start + Duration::from_secs(5))));
        assert_eq!(states.line(), "  eu quiet  us flowing");
    }

    #[tokio::test]
    async fn a_wait_for_a_state_ends_with_the_state_or_with_the_observer() {
        let (observer, states) = Observer::new("http://127.0.0.1:1");
        let waiting = tokio::spawn({
            let states = states.clone();
            async move { states.until("eu", SourceState::Stale).await }
        });
        tokio::task::yield_now().await;
        observer.seen.send_modify(|seen| note(seen, vec![source("eu", "quiet")], Instant::now()));
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        observer.seen.send_modify(|seen| note(seen, vec![source("eu", "stale")], Instant::now()));
        waiting.await.unwrap();
        drop(observer);
        states.until("eu", SourceState::Flowing).await;
    }

    #[test]
    fn a_state_is_printed_with_its_meaning_and_cut_at_the_width_of_the_terminal() {
        let plain = |state, columns| anstream::adapter::strip_str(&show(&source("eu", state), columns)).to_string();
        let quiet = "source  eu                         quiet: no events arrive; the last heartbeat came 2.0 s ago";
        assert_eq!(plain("quiet", None), quiet);
        assert_eq!(plain("stale", Some(50)), "source  eu                         stale: the las…");
    }
}
