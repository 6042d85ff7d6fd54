//! A bucket or the schema registry as a dependency of messages: its breaker, and the messages that wait for it.
//!
//! While the breaker is open, a few messages wait here in memory and make the probes one at a time. The others are told that
//! they must be held, and cost no call.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep_until, timeout};

use crate::aws::outages::{Domain, Outages};
use crate::base::Breaker;
use crate::base::breaker::{Change, Permission};
use crate::message::Ownership;

/// The number of messages per dependency that wait in memory while it is out.
const SEATS: usize = 8;

/// How often a waiting message looks whether it is still ours.
const LOOK: Duration = Duration::from_secs(30);

/// A part of the outside that lookups depend on.
#[derive(Debug)]
pub(super) struct Dependency {
    domain: Domain,
    breaker: Mutex<Breaker>,
    seats: Semaphore,
    changed: Notify,
    outages: Arc<Outages>,
}

/// The result of one attempt at a lookup.
pub(super) enum Attempt<T> {
    /// The dependency answered.
    Answered(T),
    /// The dependency did not answer, or could not.
    Failed(String),
    /// No call was made, because an earlier one failed a moment ago.
    NotMade(String),
    /// No call was made, because there was no room for its answer.
    NoRoom,
}

/// Why a lookup was not answered.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unanswered {
    /// The dependency failed, and other messages may be answered: this message is tried again later.
    Failed(String),
    /// The dependency is out.
    Out,
    /// The message has, or can have, a new owner.
    Lost,
}

impl Dependency {
    /// Creates a dependency that works, and counts as out after this number of failures in a row.
    pub(super) fn new(domain: Domain, opens_after: u32, outages: Arc<Outages>) -> Self {
        let (seats, breaker) = (Semaphore::new(SEATS), Mutex::new(Breaker::new(opens_after)));
        Self { domain, breaker, seats, changed: Notify::new(), outages }
    }

    pub(super) fn domain(&self) -> &Domain {
        &self.domain
    }

    /// Begins the lookup of a message with this ownership.
    pub(super) fn visit<'d>(&'d self, ownership: &'d Ownership) -> Visit<'d> {
        Visit { dependency: self, ownership, seat: None, has_failed: false }
    }

    fn succeeded(&self) {
        // The lock keeps the outage and the breaker in step.
        let mut breaker = self.breaker.lock();
        if breaker.succeeded() == Some(Change::Closed) {
            self.outages.end(&self.domain);
            self.changed.notify_waiters();
        }
    }

    fn failed(&self, reason: &str) {
        let mut breaker = self.breaker.lock();
        if breaker.failed(Instant::now()) == Some(Change::Opened) {
            self.outages.begin(&self.domain, reason);
        }
        self.changed.notify_waiters();
    }
}

/// One message at a dependency.
pub(super) struct Visit<'d> {
    dependency: &'d Dependency,
    ownership: &'d Ownership,
    seat: Option<SemaphorePermit<'d>>,
    /// Whether an attempt of this message failed while it had a seat.
    has_failed: bool,
}

impl<'d> Visit<'d> {
    /// Records that the message waits for another turn.
    pub(super) fn again(&mut self) {
        self.has_failed = true;
    }

    /// Waits for the message's turn to make an attempt: at once, unless the dependency is out.
    ///
    /// # Errors
    /// Returns an error if the message must be held because there is no seat, or if it is no longer ours.
    pub(super) async fn turn(&mut self) -> Result<Turn<'d>, Unanswered> {
        let Dependency { breaker, changed, seats, .. } = self.dependency;
        loop {
            let changed = changed.notified();
            if self.ownership.is_lost() {
                return Err(Unanswered::Lost);
            }
            let permission = breaker.lock().permission(Instant::now());
            let probe_at = match permission {
                Permission::Granted => return Ok(Turn { dependency: self.dependency, is_probe: false }),
                Permission::Probe => return Ok(Turn { dependency: self.dependency, is_probe: true }),
                Permission::Denied(at) => at,
            };
            if self.seat.is_some() && self.has_failed && seats.available_permits() == 0 {
                // Other messages get a seat, because this message may be the one that cannot be answered.
                return Err(Unanswered::Out);
            }
            if self.seat.is_none() {
                self.seat = Some(seats.try_acquire().map_err(|_| Unanswered::Out)?);
            }
            let turn = async {
                match probe_at {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            let wake = async {
                tokio::select! {
                    () = changed => {}
                    () = turn => {}
                }
            };
            let _look = timeout(LOOK, wake).await;
        }
    }
}

/// The turn of one message to make an attempt. Dropping the turn of a probe without its result lets another message make
/// the probe.
pub(super) struct Turn<'d> {
    dependency: &'d Dependency,
    is_probe: bool,
}

impl Turn<'_> {
    /// Records the result of the attempt. Returns `None` if the message waits for another turn; it must then call
    /// [`Visit::again`].
    pub(super) fn end<T>(mut self, attempt: Attempt<T>) -> Option<Result<T, Unanswered>> {
        let is_probe = std::mem::replace(&mut self.is_probe, false);
        let reason = match attempt {
            Attempt::NoRoom => {
                self.is_probe = is_probe;
                return None;
            }
            Attempt::Answered(answer) => {
                self.dependency.succeeded();
                return Some(Ok(answer));
            }
            // An earlier failure was counted when it happened. A probe needs a result, and this is none.
            Attempt::NotMade(reason) if !is_probe => reason,
            Attempt::NotMade(reason) | Attempt::Failed(reason) => {
                self.dependency.failed(&reason);
                reason
            }
        };
        let is_out = self.dependency.breaker.lock().is_open();
        if is_out { None } else { Some(Err(Unanswered::Failed(reason))) }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if self.is_probe {
            self.dependency.breaker.lock().cancel_probe();
            self.dependency.changed.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

    use super::*;
    use crate::base::breaker::OPENS_AFTER;
    use crate::telemetry::Metrics;

    struct Stage {
        dependency: Dependency,
        outages: Arc<Outages>,
        works: AtomicBool,
        calls: AtomicU32,
    }

    impl Stage {
        fn new() -> Arc<Self> {
            let outages = Arc::new(Outages::new(Arc::new(Metrics::new(false))));
            let dependency = Dependency::new(Domain::SchemaRegistry, OPENS_AFTER, Arc::clone(&outages));
            Arc::new(Self { dependency, outages, works: AtomicBool::new(false), calls: AtomicU32::new(0) })
        }

        async fn lookup(&self, hidden: Duration) -> Result<(), Unanswered> {
            let ownership = Ownership::new(Instant::now(), hidden);
            let mut visit = self.dependency.visit(&ownership);
            loop {
                let turn = visit.turn().await?;
                self.calls.fetch_add(1, Ordering::Relaxed);
                let works = self.works.load(Ordering::Relaxed);
                let attempt = if works { Attempt::Answered(()) } else { Attempt::Failed("no".into()) };
                if let Some(result) = turn.end(attempt) {
                    return result;
                }
                visit.again();
            }
        }

        /// Makes lookups until the breaker opens, and returns the message that makes the probes.
        async fn break_it(self: &Arc<Self>) -> tokio::task::JoinHandle<Result<(), Unanswered>> {
            for _ in 1..OPENS_AFTER {
                assert_eq!(self.lookup(LOOK).await, Err(Unanswered::Failed("no".into())));
            }
            let this = Arc::clone(self);
            let probing = tokio::spawn(async move { this.lookup(Duration::from_secs(7_200)).await });
            tokio::time::sleep(Duration::from_millis(1)).await;
            assert!(self.outages.is_out(&Domain::SchemaRegistry));
            probing
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_few_messages_wait_for_a_dependency_that_is_out_and_the_others_are_held() {
        let stage = Stage::new();
        let mut waiting = vec![stage.break_it().await];
        for _ in 1..SEATS {
            let stage = Arc::clone(&stage);
            waiting.push(tokio::spawn(async move { stage.lookup(Duration::from_secs(7_200)).await }));
        }
        tokio::task::yield_now().await;
        let begun = Instant::now();
        assert_eq!(stage.lookup(LOOK).await, Err(Unanswered::Out));
        assert_eq!(begun.elapsed(), Duration::ZERO, "it does not wait for a seat");
        tokio::time::sleep(Duration::from_secs(600)).await;
        assert_eq!(stage.lookup(LOOK).await, Err(Unanswered::Out));
        let calls = stage.calls.load(Ordering::Relaxed);
        assert!((20..=60).contains(&calls), "{calls} calls in ten minutes");
        stage.works.store(true, Ordering::Relaxed);
        let mut answered = 0;
        for one in waiting {
            match one.await.unwrap() {
                Ok(()) => answered += 1,
                other => assert_eq!(other, Err(Unanswered::Out), "it left its seat to another message"),
            }
        }
        assert_eq!(answered, SEATS - 1);
        assert!(!stage.outages.is_out(&Domain::SchemaRegistry));
        assert_eq!(stage.lookup(LOOK).await, Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_is_dropped_leaves_the_probe_to_another_message() {
        let stage = Stage::new();
        let probing = stage.break_it().await;
        probing.abort();
        stage.works.store(true, Ordering::Relaxed);
        assert_eq!(stage.lookup(Duration::from_secs(60)).await, Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_with_a_new_owner_stops_waiting() {
        let stage = Stage::new();
        let _probing = stage.break_it().await;
        assert_eq!(stage.lookup(Duration::from_secs(20)).await, Err(Unanswered::Lost));
    }
}
