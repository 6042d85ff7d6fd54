//! Keeps received messages hidden from other receivers for as long as we work on them.
//!
//! One task extends all messages in flight, in batches, well before their visibility timeout lapses. A message is in
//! flight while its [`Hold`] lives; dropping the hold stops the extension. A receipt that SQS no longer knows makes the
//! hold stale: the message has a new owner, and we neither publish nor delete it any more. What the hold does not do is
//! give a message back early; that is for the [`Releaser`].

mod release;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_sdk_sqs::types::ChangeMessageVisibilityBatchRequestEntry as Entry;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tracing::{debug, warn};

use crate::aws::Failure;
use crate::batch::MAX_ENTRIES;
use crate::receive::Source;
use crate::telemetry::Metrics;

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
    held: Mutex<HashMap<u64, Held>>,
    next: AtomicU64,
}

impl Table {
    fn held(&self) -> MutexGuard<'_, HashMap<u64, Held>> {
        // Nothing in here panics while it holds the lock, so a poisoned table is still whole.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, Clone)]
struct Held {
    source: Arc<Source>,
    receipt_handle: Arc<str>,
    lapses: Instant,
    stale: Arc<AtomicBool>,
}

/// Messages that were in flight at one moment.
#[derive(Debug)]
pub struct Unfinished(Vec<(u64, Held)>);

/// Keeps one message hidden for as long as it lives.
#[derive(Debug)]
pub struct Hold {
    id: u64,
    stale: Arc<AtomicBool>,
    table: Arc<Table>,
}

impl Hold {
    /// Whether the message has, or may have, a new owner.
    pub fn is_stale(&self) -> bool {
        self.stale.load(Ordering::Acquire)
    }
}

#[cfg(test)]
impl Hold {
    pub(crate) fn mark_stale(&self) {
        self.stale.store(true, Ordering::Release);
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.table.held().remove(&self.id);
    }
}

impl Visibility {
    /// An empty table. `timeout` is the visibility timeout that receives ask for.
    pub fn new(sqs: aws_sdk_sqs::Client, metrics: Arc<Metrics>, timeout: Duration) -> Self {
        Self { table: Arc::default(), sqs, metrics, timeout }
    }

    /// Takes a message that was received at `received`.
    pub fn hold(&self, source: &Arc<Source>, receipt_handle: &Arc<str>, received: Instant) -> Hold {
        let id = self.table.next.fetch_add(1, Ordering::Relaxed);
        let stale = Arc::new(AtomicBool::new(false));
        let held = Held {
            source: Arc::clone(source),
            receipt_handle: Arc::clone(receipt_handle),
            lapses: received + self.timeout,
            stale: Arc::clone(&stale),
        };
        self.table.held().insert(id, held);
        Hold { id, stale, table: Arc::clone(&self.table) }
    }

    /// How many messages are in flight.
    pub fn in_flight(&self) -> usize {
        self.table.held().len()
    }

    /// Extends what is in flight for as long as the future is polled.
    ///
    /// A message is extended when half of its timeout is left, so an extension that fails has time for another.
    pub async fn keep(self) {
        let mut tick = interval((self.timeout / 6).max(Duration::from_millis(500)));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            let now = Instant::now();
            let due = self.take(|held| held.lapses <= now + self.timeout / 2);
            self.change(due, self.timeout, now).await;
        }
    }

    /// The messages in flight, for [`Visibility::give_back`].
    pub fn unfinished(&self) -> Unfinished {
        Unfinished(self.take(|_| true))
    }

    /// Gives messages back to their queues, visible at once: for the end of a drain that took too long. Returns how
    /// many there were.
    pub async fn give_back(&self, unfinished: Unfinished) -> usize {
        let count = unfinished.0.len();
        self.change(unfinished.0, Duration::ZERO, Instant::now()).await;
        count
    }

    fn take(&self, wanted: impl Fn(&Held) -> bool) -> Vec<(u64, Held)> {
        let held = self.table.held();
        let live = |held: &Held| !held.stale.load(Ordering::Acquire);
        held.iter().filter(|(_, held)| live(held) && wanted(held)).map(|(id, held)| (*id, held.clone())).collect()
    }

    /// Sets the visibility of these messages, in batches a queue.
    async fn change(&self, messages: Vec<(u64, Held)>, to: Duration, now: Instant) {
        let mut by_queue: HashMap<Arc<str>, Vec<(u64, Held)>> = HashMap::new();
        for (id, held) in messages {
            by_queue.entry(Arc::clone(&held.source.url)).or_default().push((id, held));
        }
        let mut calls = JoinSet::new();
        for (_, messages) in by_queue {
            for batch in messages.chunks(MAX_ENTRIES) {
                let (this, batch) = (self.clone(), batch.to_vec());
                calls.spawn(async move { this.change_batch(batch, to, now).await });
            }
        }
        calls.join_all().await;
    }

    async fn change_batch(&self, batch: Vec<(u64, Held)>, to: Duration, now: Instant) {
        let Some((_, first)) = batch.first() else { return };
        let source = Arc::clone(&first.source);
        let changes = batch.iter().map(|(_, held)| (&*held.receipt_handle, to));
        let refused = match change(&self.sqs, &self.metrics, &source, changes).await {
            Ok(refused) => refused,
            Err(error) => {
                warn!(%error, queue = source.label, messages = batch.len(), "failed to change visibility");
                self.mark_lapsed(&batch, now);
                return;
            }
        };
        let mut table = self.table.held();
        for (index, (id, held)) in batch.iter().enumerate() {
            match refused.get(&index) {
                Some(failure) if !failure.is_passing() => {
                    debug!(%failure, queue = source.label, "receipt went stale");
                    self.metrics.stale_receipts.with(&[&source.label]).add(1);
                    held.stale.store(true, Ordering::Release);
                }
                Some(failure) => debug!(%failure, queue = source.label, "visibility not extended, trying again"),
                None => {
                    if let Some(held) = table.get_mut(id) {
                        held.lapses = now + to;
                    }
                }
            }
        }
    }

    /// Messages that could not be extended in time may have a new owner.
    fn mark_lapsed(&self, batch: &[(u64, Held)], now: Instant) {
        for (_, held) in batch.iter().filter(|(_, held)| held.lapses <= now) {
            self.metrics.stale_receipts.with(&[&held.source.label]).add(1);
            held.stale.store(true, Ordering::Release);
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
