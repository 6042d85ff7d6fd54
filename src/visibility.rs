//! Keeps received messages hidden from other receivers for as long as we work on them.
//!
//! One task extends all messages in flight, in batches, well before their visibility timeout lapses. A message is in
//! flight while its [`Hold`] lives; dropping the hold stops the extension. A receipt that SQS no longer knows makes the
//! hold stale: the message has a new owner, and we neither publish nor delete it any more. What the hold does not do is
//! give a message back early; that is for the [`Releaser`].

mod age;
mod release;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use aws_sdk_sqs::types::ChangeMessageVisibilityBatchRequestEntry as Entry;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tracing::{debug, warn};

use crate::aws::Failure;
use crate::batch::MAX_ENTRIES;
use crate::receive::Source;
use crate::telemetry::Metrics;
use age::Ages;

pub use release::Releaser;

/// The messages in flight and their visibility. Clones share the table.
#[derive(Debug, Clone)]
pub struct Visibility {
    table: Arc<Table>,
    sqs: aws_sdk_sqs::Client,
    metrics: Arc<Metrics>,
    timeout: Duration,
}

#[derive(Debug, Default)]
struct Table {
    /// In the order of their receipt.
    held: Mutex<BTreeMap<u64, Arc<Held>>>,
    ages: Ages,
    next: AtomicU64,
}

impl Table {
    fn held(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Held>>> {
        // Nothing in here panics while it holds the lock, so a poisoned table is still whole.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One message in flight.
#[derive(Debug)]
struct Held {
    id: u64,
    source: Arc<Source>,
    receipt_handle: Arc<str>,
    sent: SystemTime,
    received: Instant,
    /// When it becomes visible unless it is extended, in milliseconds from `received`.
    lapses: AtomicU64,
    /// Whether SQS has said that the receipt is not good any more, or too much time went by to be sure that it is.
    stale: AtomicBool,
    /// Whether a call that changes its visibility is under way.
    is_changing: AtomicBool,
    /// Whether its outcome was reached, and all that is left is its delete.
    is_settled: AtomicBool,
}

impl Held {
    fn new(
        id: u64,
        source: &Arc<Source>,
        message: (&Arc<str>, SystemTime),
        received: Instant,
        timeout: Duration,
    ) -> Self {
        let (receipt_handle, sent) = message;
        Self {
            id,
            source: Arc::clone(source),
            receipt_handle: Arc::clone(receipt_handle),
            sent,
            received,
            lapses: AtomicU64::new(u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX)),
            stale: AtomicBool::new(false),
            is_changing: AtomicBool::new(false),
            is_settled: AtomicBool::new(false),
        }
    }

    /// Since it was sent to its queue.
    fn age(&self) -> Duration {
        self.sent.elapsed().unwrap_or_default()
    }

    fn lapses(&self) -> Instant {
        self.received + Duration::from_millis(self.lapses.load(Ordering::Acquire))
    }

    /// Counts from `at` on, which is before SQS does.
    fn hide_until(&self, at: Instant) {
        let millis = at.saturating_duration_since(self.received).as_millis();
        self.lapses.store(u64::try_from(millis).unwrap_or(u64::MAX), Ordering::Release);
    }

    fn is_stale(&self) -> bool {
        self.stale.load(Ordering::Acquire) || self.lapses() <= Instant::now()
    }

    /// Notes that the message has, or may have, a new owner. Says whether that is news.
    fn go_stale(&self) -> bool {
        !self.stale.swap(true, Ordering::AcqRel)
    }
}

/// Messages that were in flight at one moment.
#[derive(Debug)]
pub struct Unfinished(Vec<Arc<Held>>);

impl Unfinished {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Keeps one message hidden for as long as it lives.
#[derive(Debug)]
pub struct Hold {
    held: Arc<Held>,
    table: Arc<Table>,
}

impl Hold {
    /// Whether the message has, or may have, a new owner: SQS said so, or its visibility has lapsed.
    pub fn is_stale(&self) -> bool {
        self.held.is_stale()
    }

    /// For whoever acts for the message without holding it.
    pub fn ownership(&self) -> Ownership {
        Ownership(Arc::clone(&self.held))
    }

    /// Notes that the message's outcome was reached. It stays hidden, but it is not given back any more: whoever got it
    /// would publish it a second time.
    pub fn settle(&self) {
        self.held.is_settled.store(true, Ordering::Release);
    }
}

/// Knows whether a message is still ours, and keeps nothing hidden.
#[derive(Debug, Clone)]
pub struct Ownership(Arc<Held>);

impl Ownership {
    /// Whether the message has, or may have, a new owner, as [`Hold::is_stale`] says.
    pub fn is_lost(&self) -> bool {
        self.0.is_stale()
    }
}

#[cfg(test)]
impl Ownership {
    /// Of a message that stays ours for so long.
    pub(crate) fn for_tests(timeout: Duration) -> Self {
        let source = Arc::new(Source::for_tests());
        Self(Arc::new(Held::new(0, &source, (&"receipt".into(), SystemTime::now()), Instant::now(), timeout)))
    }
}

#[cfg(test)]
impl Hold {
    pub(crate) fn mark_stale(&self) {
        self.held.go_stale();
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.table.held().remove(&self.held.id);
    }
}

impl Visibility {
    /// An empty table. `timeout` is the visibility timeout that receives ask for.
    pub fn new(sqs: aws_sdk_sqs::Client, metrics: Arc<Metrics>, timeout: Duration) -> Self {
        Self { table: Arc::default(), sqs, metrics, timeout }
    }

    /// Takes a message, by its receipt handle and when it was sent, whose visibility timeout counts from `received` on.
    pub fn hold(&self, source: &Arc<Source>, message: (&Arc<str>, SystemTime), received: Instant) -> Hold {
        let id = self.table.next.fetch_add(1, Ordering::Relaxed);
        let held = Arc::new(Held::new(id, source, message, received, self.timeout));
        self.table.ages.note(&source.label, held.age(), received);
        self.table.held().insert(id, Arc::clone(&held));
        Hold { held, table: Arc::clone(&self.table) }
    }

    pub(crate) fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// How many messages are in flight.
    pub fn in_flight(&self) -> usize {
        self.table.held().len()
    }

    /// Shows how old the oldest message of each queue is, of those in flight and those received lately.
    pub fn show_ages(&self) {
        let mut oldest = self.table.ages.oldest(Instant::now());
        for held in self.table.held().values() {
            if let Some(oldest) = oldest.get_mut(&held.source.label) {
                *oldest = held.age().max(*oldest);
            }
        }
        for (queue, age) in oldest {
            self.metrics.oldest_message.with(&[&queue]).set(age.as_secs());
        }
    }

    /// Extends what is in flight for as long as the future is polled.
    ///
    /// A message is extended when half of its timeout is left, so an extension that fails has time for another; a call
    /// that is slow keeps no other message waiting.
    pub async fn keep(self) {
        let mut tick = interval((self.timeout / 6).max(Duration::from_millis(500)));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut calls = JoinSet::new();
        loop {
            tick.tick().await;
            while calls.try_join_next().is_some() {}
            let now = Instant::now();
            self.note_lapsed(now);
            let due = self
                .take(|held| held.lapses() <= now + self.timeout / 2 && !held.is_changing.swap(true, Ordering::AcqRel));
            self.change(due, self.timeout, &mut calls);
        }
    }

    /// The messages in flight whose outcome was not reached, for [`Visibility::give_back`].
    pub fn unfinished(&self) -> Unfinished {
        Unfinished(self.take(|held| !held.is_settled.load(Ordering::Acquire)))
    }

    /// Gives messages back to their queues, visible at once: for the end of a drain that took too long. Returns how
    /// many there were.
    pub async fn give_back(&self, unfinished: Unfinished) -> usize {
        let count = unfinished.0.len();
        let mut calls = JoinSet::new();
        self.change(unfinished.0, Duration::ZERO, &mut calls);
        calls.join_all().await;
        count
    }

    fn take(&self, wanted: impl Fn(&Held) -> bool) -> Vec<Arc<Held>> {
        self.table.held().values().filter(|held| !held.is_stale() && wanted(held)).cloned().collect()
    }

    /// Messages that were not extended in time may have a new owner.
    fn note_lapsed(&self, now: Instant) {
        for held in self.table.held().values().filter(|held| held.lapses() <= now) {
            self.note_stale(held);
        }
    }

    fn note_stale(&self, held: &Held) {
        if held.go_stale() {
            self.metrics.stale_receipts.with(&[&held.source.label]).add(1);
        }
    }

    /// Sets the visibility of these messages, in batches a queue.
    fn change(&self, messages: Vec<Arc<Held>>, to: Duration, calls: &mut JoinSet<()>) {
        let mut by_queue: BTreeMap<Arc<str>, Vec<Arc<Held>>> = BTreeMap::new();
        for held in messages {
            by_queue.entry(Arc::clone(&held.source.url)).or_default().push(held);
        }
        for messages in by_queue.values() {
            for batch in messages.chunks(MAX_ENTRIES) {
                let (this, batch) = (self.clone(), batch.to_vec());
                calls.spawn(async move { this.change_batch(&batch, to).await });
            }
        }
    }

    async fn change_batch(&self, batch: &[Arc<Held>], to: Duration) {
        let Some(first) = batch.first() else { return };
        let source = &first.source;
        let asked = Instant::now();
        let changes = batch.iter().map(|held| (&*held.receipt_handle, to));
        match change(&self.sqs, &self.metrics, source, changes).await {
            Ok(refused) => {
                for (index, held) in batch.iter().enumerate() {
                    match refused.get(&index) {
                        Some(failure) if !failure.is_passing() => {
                            debug!(%failure, queue = source.label, "receipt went stale");
                            self.note_stale(held);
                        }
                        Some(failure) => {
                            debug!(%failure, queue = source.label, "visibility not extended, trying again");
                        }
                        None => held.hide_until(asked + to),
                    }
                }
            }
            Err(error) => warn!(%error, queue = source.label, messages = batch.len(), "failed to change visibility"),
        }
        for held in batch {
            held.is_changing.store(false, Ordering::Release);
        }
    }
}

/// One ChangeMessageVisibilityBatch call; returns the entries that failed, by index.
pub(crate) async fn change(
    sqs: &aws_sdk_sqs::Client,
    metrics: &Metrics,
    source: &Source,
    changes: impl Iterator<Item = (&str, Duration)>,
) -> Result<HashMap<usize, Failure>, Failure> {
    let mut request = sqs.change_message_visibility_batch().queue_url(&*source.url);
    for (index, (receipt_handle, to)) in changes.enumerate() {
        let entry = Entry::builder()
            .id(index.to_string())
            .receipt_handle(receipt_handle)
            .visibility_timeout(i32::try_from(to.as_secs()).unwrap_or(i32::MAX))
            .build();
        match entry {
            Ok(entry) => request = request.entries(entry),
            // Id and receipt handle are set above, and nothing else is required.
            Err(error) => return Err(Failure::invalid_entry(&error)),
        }
    }
    let answer = request.send().await;
    metrics.call("sqs", "ChangeMessageVisibilityBatch", answer.is_ok());
    let answer = answer.map_err(|error| Failure::of_call(&error))?;
    Ok(Failure::of_entries(answer.failed()))
}

#[cfg(test)]
mod tests;
