//! A bucket or the schema registry as a dependency of messages: its breaker, and the messages that wait for it.
//!
//! A message is blamed for a failure only if the dependency answered another message meanwhile. Otherwise it waits here and
//! tries again. While the breaker is open, a few messages wait here in memory and make the probes one at a time. The others are told that
//! they must be held, and cost no call.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep_until, timeout};

use crate::aws::outages::{Domain, Outages};
use crate::base::breaker::{Change, Permission};
use crate::base::{Backoff, Breaker};
use crate::message::Ownership;

/// The usual number of messages per dependency that wait in memory while it is out.
pub(super) const SEATS: usize = 8;

/// The number of failed attempts after which a message leaves the only seat to another: about twenty minutes of probes.
const SHIFT: u32 = 40;

/// How often a waiting message looks whether it is still ours.
const LOOK: Duration = Duration::from_secs(30);

/// Delays between the attempts of one message while the breaker is closed.
const AGAIN: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(15));

/// A part of the outside that lookups depend on.
#[derive(Debug)]
pub(super) struct Dependency {
    domain: Domain,
    breaker: Mutex<Breaker>,
    /// The number of attempts that were answered.
    answers: AtomicU64,
    seats: Semaphore,
    /// The number of seats, free or taken.
    seats_in_all: usize,
    /// Whether a message found no seat since the last one left its seat for another.
    is_seat_wanted: AtomicBool,
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
    /// The dependency failed, but answered another message meanwhile: this message is tried again later.
    Failed(String),
    /// The dependency is out.
    Out,
    /// The message has, or can have, a new owner.
    Lost,
}

impl Dependency {
    /// Creates a dependency that works, and counts as out after this number of failures in a row. While it is out, `seats`
    /// messages wait for it in memory.
    pub(super) fn new(domain: Domain, opens_after: u32, seats: usize, outages: Arc<Outages>) -> Self {
        Self {
            domain,
            breaker: Mutex::new(Breaker::new(opens_after)),
            answers: AtomicU64::new(0),
            seats: Semaphore::new(seats),
            seats_in_all: seats,
            is_seat_wanted: AtomicBool::new(false),
            changed: Notify::new(),
            outages,
        }
    }

    pub(super) fn domain(&self) -> &Domain {
        &self.domain
    }

    /// Begins the lookup of a message with this ownership.
    pub(super) fn visit<'d>(&'d self, ownership: &'d Ownership) -> Visit<'d> {
        let answers = self.answers.load(Ordering::Relaxed);
        Visit { dependency: self, ownership, answers, seat: None, failures: 0, not_before: None }
    }

    /// Takes a seat, if one is free.
    fn seat(&self) -> Option<Seat<'_>> {
        let Ok(permit) = self.seats.try_acquire() else {
            self.is_seat_wanted.store(true, Ordering::Relaxed);
            return None;
        };
        self.update_room(&self.breaker.lock());
        Some(Seat { dependency: self, permit: Some(permit) })
    }

    /// Whether a message with this number of failed attempts must leave its seat, because it may be the one that cannot be
    /// answered. The next message costs a receive, so the only seat changes seldom, and only if another message wants it.
    fn must_change_seats(&self, failures: u32) -> bool {
        if self.seats_in_all == 1 {
            return failures >= SHIFT && self.is_seat_wanted.swap(false, Ordering::Relaxed);
        }
        failures > 0 && self.seats.available_permits() == 0
    }

    /// Requests a parked message if the dependency is out and no message is left that makes the probes.
    fn update_room(&self, breaker: &Breaker) {
        let is_unattended = breaker.is_open() && self.seats.available_permits() == self.seats_in_all;
        self.outages.set_room(self.domain.clone(), is_unattended.then_some(1));
    }

    fn succeeded(&self) {
        self.answers.fetch_add(1, Ordering::Relaxed);
        // The lock keeps the outage and the breaker in step.
        let mut breaker = self.breaker.lock();
        if breaker.succeeded() == Some(Change::Closed) {
            self.outages.end(&self.domain);
            self.update_room(&breaker);
            self.changed.notify_waiters();
        }
    }

    fn failed(&self, reason: &str) {
        let mut breaker = self.breaker.lock();
        if breaker.failed(Instant::now()) == Some(Change::Opened) {
            self.outages.begin(&self.domain, reason);
            self.update_room(&breaker);
        }
        self.changed.notify_waiters();
    }
}

/// One message at a dependency.
pub(super) struct Visit<'d> {
    dependency: &'d Dependency,
    ownership: &'d Ownership,
    /// The number of the dependency's answers when the lookup began.
    answers: u64,
    seat: Option<Seat<'d>>,
    /// The number of attempts of this message that failed.
    failures: u32,
    /// The time of the next attempt, if the last one failed while the breaker was closed.
    not_before: Option<Instant>,
}

impl<'d> Visit<'d> {
    /// Records that the message waits for another turn.
    pub(super) fn again(&mut self) {
        self.failures = self.failures.saturating_add(1);
        let is_out = self.dependency.breaker.lock().is_open();
        self.not_before = (!is_out).then(|| Instant::now() + AGAIN.delay(self.failures));
    }

    /// Waits for the message's turn to make an attempt: at once, unless the dependency is out or has just failed.
    ///
    /// # Errors
    /// Returns an error if the message must be held because there is no seat, or if it is no longer ours.
    pub(super) async fn turn(&mut self) -> Result<Turn<'d>, Unanswered> {
        self.turn_noting(|| ()).await
    }

    /// Waits like [`Visit::turn`], and calls `on_seat` when the message begins to wait in memory for a dependency that is out.
    ///
    /// # Errors
    /// Returns an error in the cases of [`Visit::turn`].
    pub(super) async fn turn_noting(&mut self, mut on_seat: impl FnMut()) -> Result<Turn<'d>, Unanswered> {
        let Dependency { changed, .. } = self.dependency;
        loop {
            let changed = changed.notified();
            if self.ownership.is_lost() {
                return Err(Unanswered::Lost);
            }
            let (permission, is_out) = self.permission();
            let next = match permission {
                Permission::Granted => return Ok(self.begin(false)),
                Permission::Probe => return Ok(self.begin(true)),
                Permission::Denied(at) => at,
            };
            if is_out && self.seat.is_some() && self.dependency.must_change_seats(self.failures) {
                return Err(Unanswered::Out);
            }
            if is_out && self.seat.is_none() {
                self.seat = Some(self.dependency.seat().ok_or(Unanswered::Out)?);
                on_seat();
            }
            let turn = async {
                match next {
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

    /// Requests permission for an attempt. Also returns whether the dependency is out.
    fn permission(&self) -> (Permission, bool) {
        let (mut breaker, now) = (self.dependency.breaker.lock(), Instant::now());
        let is_out = breaker.is_open();
        match self.not_before.filter(|at| *at > now && !is_out) {
            Some(at) => (Permission::Denied(Some(at)), is_out),
            None => (breaker.permission(now), is_out),
        }
    }

    fn begin(&self, is_probe: bool) -> Turn<'d> {
        Turn { dependency: self.dependency, answers: self.answers, is_probe }
    }
}

/// The place in memory of a message that waits for a dependency that is out.
struct Seat<'d> {
    dependency: &'d Dependency,
    permit: Option<SemaphorePermit<'d>>,
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        self.permit = None;
        self.dependency.update_room(&self.dependency.breaker.lock());
    }
}

/// The turn of one message to make an attempt. Dropping the turn of a probe without its result lets another message make
/// the probe.
pub(super) struct Turn<'d> {
    dependency: &'d Dependency,
    /// The number of the dependency's answers when the message's lookup began.
    answers: u64,
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
        let answers_others = self.dependency.answers.load(Ordering::Relaxed) > self.answers;
        (!is_out && answers_others).then_some(Err(Unanswered::Failed(reason)))
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
    use std::sync::atomic::AtomicU32;

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
            let dependency = Dependency::new(Domain::SchemaRegistry, OPENS_AFTER, SEATS, Arc::clone(&outages));
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

        /// Makes a lookup until the breaker opens, and returns its message, which makes the probes.
        async fn break_it(self: &Arc<Self>) -> tokio::task::JoinHandle<Result<(), Unanswered>> {
            let this = Arc::clone(self);
            let probing = tokio::spawn(async move { this.lookup(Duration::from_secs(7_200)).await });
            tokio::time::sleep(Duration::from_secs(20)).await;
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
    async fn a_message_is_blamed_only_if_the_dependency_answered_another() {
        let stage = Stage::new();
        let this = Arc::clone(&stage);
        let lone = tokio::spawn(async move { this.lookup(Duration::from_secs(7_200)).await });
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert_eq!(stage.calls.load(Ordering::Relaxed), 1);
        assert!(!lone.is_finished() && !stage.outages.is_out(&Domain::SchemaRegistry), "it waits, and nothing is out");
        stage.works.store(true, Ordering::Relaxed);
        assert_eq!(stage.lookup(LOOK).await, Ok(()));
        stage.works.store(false, Ordering::Relaxed);
        assert_eq!(lone.await.unwrap(), Err(Unanswered::Failed("no".into())));
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_is_dropped_leaves_the_probe_to_another_message_even_if_all_are_parked() {
        let stage = Stage::new();
        let probing = stage.break_it().await;
        assert_eq!(stage.outages.room(&Domain::SchemaRegistry), 0, "parked messages stay parked");
        probing.abort();
        tokio::task::yield_now().await;
        assert_eq!(stage.outages.room(&Domain::SchemaRegistry), 1, "a parked message can make the probes");
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
