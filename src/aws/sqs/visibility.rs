//! Keeping received messages hidden from other receivers while protobridge works on them.
//!
//! One task extends the visibility of all messages in flight, in batches, well before their visibility timeouts lapse. A
//! message is in flight while its [`Hold`] lives; dropping the hold stops the extension. If SQS no longer knows a receipt,
//! the hold goes stale: the message has a new owner, and protobridge neither publishes nor deletes it. A hold does not
//! return a message early; [`Releaser`](super::release::Releaser) does that. SQS hides a message for at most 12 hours after
//! its receive, whatever the extensions; then the hold goes stale too.

mod age;
mod unread;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tracing::{debug, warn};

use super::change::change_batch;
use super::stale::is_stale_receipt;
use crate::aws::{Failure, LeanClient, MAX_BATCH_ENTRIES};
use crate::base::RateLimitedLog;
use crate::message::{Message, Ownership, Queue, QueueUrl};
use crate::telemetry::{Metrics, QueueLabels};
use age::Ages;
pub use unread::Unread;
use unread::{FormerMessages, Skew};

/// The longest time for which SQS hides a message after a receive (Amazon SQS developer guide, visibility timeout), less
/// the time that a receive's answer can take.
const MAX_HIDDEN: Duration = Duration::from_secs(12 * 60 * 60 - 60);

/// The messages in flight and their visibility. Clones share the table.
#[derive(Debug, Clone)]
pub struct Visibility {
    table: Arc<Table>,
    lean: LeanClient,
    metrics: Arc<Metrics>,
    timeout: Duration,
}

#[derive(Debug)]
struct Table {
    /// The messages in flight, in the order of their receives.
    held: Mutex<BTreeMap<u64, Arc<Held>>>,
    ages: Ages,
    skew: Skew,
    former: FormerMessages,
    /// When the table was created: before any of its messages was received.
    began: Instant,
    next_id: AtomicU64,
    log: RateLimitedLog,
}

/// One message in flight.
#[derive(Debug)]
struct Held {
    id: u64,
    queue: Arc<Queue>,
    receipt_handle: Arc<str>,
    sent: SystemTime,
    /// When the message reached its queue, by our clock; `None` if that is unknown.
    reached: Option<Instant>,
    /// The group of the message, if its queue is a FIFO queue.
    group: Option<Arc<str>>,
    /// The time after which SQS no longer extends the visibility timeout.
    ends: Instant,
    /// Whether the message is on its way back to its queue, so that an extension would hide it again.
    is_returning: AtomicBool,
    /// The seconds by which the visibility timeout is extended.
    extension: AtomicU64,
    ownership: Ownership,
    /// Whether a call that changes the visibility is under way.
    is_changing: AtomicBool,
    /// Whether the outcome was reached and only the delete is left.
    is_settled: AtomicBool,
    /// Whether the content of the message is known.
    is_read: AtomicBool,
}

impl Held {
    /// Returns the time since the message was sent to its queue.
    fn age(&self) -> Duration {
        self.sent.elapsed().unwrap_or_default()
    }

    fn extension(&self) -> Duration {
        Duration::from_secs(self.extension.load(Ordering::Relaxed))
    }

    /// Whether half of the timeout has passed and an extension is possible.
    fn is_due(&self, now: Instant) -> bool {
        let lapses_at = self.ownership.lapses_at();
        let is_returning = self.is_returning.load(Ordering::Acquire);
        !is_returning && lapses_at <= now + self.extension() / 2 && lapses_at < self.ends
    }
}

/// The messages that were in flight at one moment.
#[derive(Debug)]
pub struct Unfinished(Vec<Arc<Held>>);

impl Unfinished {
    /// Returns the number of messages.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no message.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Keeps one message hidden until it is dropped.
#[derive(Debug)]
pub struct Hold {
    held: Arc<Held>,
    table: Arc<Table>,
}

impl Hold {
    /// Whether the message has, or can have, a new owner: SQS reported it, or the visibility timeout lapsed.
    pub fn is_stale(&self) -> bool {
        self.held.ownership.is_lost()
    }

    /// Returns the flag by which other parts learn that the message is no longer ours.
    pub fn ownership(&self) -> Ownership {
        self.held.ownership.clone()
    }

    /// Records that the message's outcome was reached. The message stays hidden, and [`Visibility::unfinished`] leaves it
    /// out: if it were returned, its next owner would publish it a second time.
    pub fn mark_settled(&self) {
        self.held.is_settled.store(true, Ordering::Release);
    }

    /// Records that the message returns to its queue and is visible after `delay`. Its visibility timeout is not extended
    /// any more.
    pub fn mark_returning(&self, delay: Duration) {
        self.held.is_returning.store(true, Ordering::Release);
        self.table.former.note(&self.held, delay);
    }

    /// Extends the visibility timeout by this time from now on, in whole seconds. A longer time costs fewer calls; if the
    /// process is killed, the message stays hidden for at most this time.
    pub fn extend_by(&self, extension: Duration) {
        self.held.extension.store(extension.as_secs(), Ordering::Relaxed);
    }
}

#[cfg(test)]
impl Hold {
    pub(crate) fn mark_stale(&self) {
        self.held.ownership.give_up();
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.table.held.lock().remove(&self.held.id);
        self.note_end();
    }
}

impl Visibility {
    /// Creates an empty table. `timeout` is the visibility timeout that receives request.
    pub fn new(lean: LeanClient, metrics: Arc<Metrics>, timeout: Duration) -> Self {
        let log = RateLimitedLog::new(Duration::from_secs(10));
        let (held, ages, former) = (Mutex::default(), Ages::default(), FormerMessages::default());
        let skew = Skew::default();
        let table = Table { held, ages, skew, former, began: Instant::now(), next_id: AtomicU64::new(0), log };
        Self { table: Arc::new(table), lean, metrics, timeout }
    }

    /// Returns the time from which the visibility timeouts of received messages count. SQS counts from the moment when
    /// it chooses the messages for its answer, which is between the call and the arrival of the answer.
    ///
    /// A time that is too late makes a message look owned after SQS has given it to another consumer. A time that is
    /// too early costs an early extension. A long poll waits up to 20 s for its messages, so the time of the call can
    /// be too early by most of the timeout. This function assumes that an answer travels for at most a quarter of the
    /// timeout: it returns the time that much before the arrival, but not before the call. The first extension is due a
    /// quarter of the timeout after the arrival, so an answer that travels for up to half of the timeout is still
    /// extended in time.
    pub fn counted_from(&self, called: Instant, answered: Instant) -> Instant {
        answered.checked_sub(self.timeout / 4).map_or(called, |earliest| earliest.max(called))
    }

    /// Adds a message with its receipt handle. Its visibility timeout counts from `received`.
    pub fn hold(&self, message: &Message, receipt_handle: &Arc<str>, received: Instant) -> Hold {
        let Message { queue, sent, .. } = message;
        let id = self.table.next_id.fetch_add(1, Ordering::Relaxed);
        let held = Arc::new(Held {
            id,
            queue: Arc::clone(queue),
            receipt_handle: Arc::clone(receipt_handle),
            sent: *sent,
            reached: self.table.skew.reached(message),
            group: message.group.as_deref().filter(|_| queue.url.is_fifo()).map(Arc::from),
            ends: received + MAX_HIDDEN,
            is_returning: AtomicBool::new(false),
            extension: AtomicU64::new(self.timeout.as_secs()),
            ownership: Ownership::new(received, self.timeout),
            is_changing: AtomicBool::new(false),
            is_settled: AtomicBool::new(false),
            is_read: AtomicBool::new(false),
        });
        self.table.ages.note(&queue.label, held.age(), received);
        self.table.held.lock().insert(id, Arc::clone(&held));
        Hold { held, table: Arc::clone(&self.table) }
    }

    pub(crate) fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Returns the number of messages in flight.
    pub fn in_flight(&self) -> usize {
        self.table.held.lock().len()
    }

    /// Sets the gauge of each queue's oldest message, among those in flight and those received recently.
    pub fn update_age_gauges(&self) {
        let mut oldest = self.table.ages.oldest(Instant::now());
        for held in self.table.held.lock().values() {
            if let Some(oldest) = oldest.get_mut(&held.queue.label) {
                *oldest = held.age().max(*oldest);
            }
        }
        for (queue, age) in oldest {
            self.metrics.oldest_message.with(&QueueLabels { queue: &queue }).set(age.as_secs());
        }
    }

    /// Extends the messages in flight for as long as the future is polled.
    ///
    /// A message is extended when half of its timeout is left, so a failed extension has time for another attempt. A slow
    /// call delays no other message.
    pub async fn keep_hidden(self) {
        let mut tick = interval((self.timeout / 6).max(Duration::from_millis(500)));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut calls = JoinSet::new();
        loop {
            tick.tick().await;
            while calls.try_join_next().is_some() {}
            let now = Instant::now();
            self.give_up_lapsed(now);
            let due = self.select(|held| held.is_due(now) && !held.is_changing.swap(true, Ordering::AcqRel));
            self.change(due, Held::extension, &mut calls);
        }
    }

    /// Returns the messages in flight whose outcome was not reached, for [`Visibility::return_to_queue`].
    pub fn unfinished(&self) -> Unfinished {
        Unfinished(self.select(|held| !held.is_settled.load(Ordering::Acquire)))
    }

    /// Makes messages visible at once, at the end of a drain that took too long. Returns their number.
    pub async fn return_to_queue(&self, unfinished: Unfinished) -> usize {
        let count = unfinished.0.len();
        let mut calls = JoinSet::new();
        self.change(unfinished.0, |_| Duration::ZERO, &mut calls);
        calls.join_all().await;
        count
    }

    /// Returns the messages that are still ours and satisfy `condition`.
    fn select(&self, condition: impl Fn(&Held) -> bool) -> Vec<Arc<Held>> {
        let held = self.table.held.lock();
        held.values().filter(|held| !held.ownership.is_lost() && condition(held)).cloned().collect()
    }

    /// Gives up messages that were not extended in time, because they can have a new owner.
    fn give_up_lapsed(&self, now: Instant) {
        for held in self.table.held.lock().values().filter(|held| held.ownership.lapses_at() <= now) {
            self.give_up(held);
        }
    }

    fn give_up(&self, held: &Held) {
        if held.ownership.give_up() {
            self.metrics.stale_receipts.with(&QueueLabels { queue: &held.queue.label }).add(1);
        }
    }

    /// Sets the visibility timeout of these messages, in batches per queue.
    fn change(&self, messages: Vec<Arc<Held>>, to: fn(&Held) -> Duration, calls: &mut JoinSet<()>) {
        let mut by_queue: BTreeMap<QueueUrl, Vec<Arc<Held>>> = BTreeMap::new();
        for held in messages {
            by_queue.entry(held.queue.url.clone()).or_default().push(held);
        }
        for messages in by_queue.values() {
            for batch in messages.chunks(MAX_BATCH_ENTRIES) {
                let (this, batch) = (self.clone(), batch.to_vec());
                calls.spawn(async move { this.change_held(&batch, to).await });
            }
        }
    }

    async fn change_held(&self, batch: &[Arc<Held>], to: fn(&Held) -> Duration) {
        let Some(first) = batch.first() else { return };
        let queue = &first.queue;
        let called = Instant::now();
        let times: Vec<Duration> = batch.iter().map(|held| to(held).min(held.ends.duration_since(called))).collect();
        let changes = batch.iter().zip(&times).map(|(held, time)| (&*held.receipt_handle, *time));
        match change_batch(&self.lean, &self.metrics, queue, changes).await {
            Ok(failed) => {
                for (index, held) in batch.iter().enumerate() {
                    match failed.get(&index) {
                        Some(failure) if is_stale_receipt(failure) => {
                            debug!(%failure, queue = queue.label, "receipt went stale");
                            self.give_up(held);
                        }
                        Some(failure) => self.log_failure(failure, queue, 1),
                        // The time of the call is earlier than the time from which SQS counts.
                        None => held.ownership.extend_to(called + times[index]),
                    }
                }
            }
            Err(failure) => self.log_failure(&failure, queue, batch.len()),
        }
        for held in batch {
            held.is_changing.store(false, Ordering::Release);
        }
    }
}

impl Visibility {
    /// Logs a failure to change the visibility of messages, which is tried again while there is time.
    fn log_failure(&self, failure: &Failure, queue: &Queue, messages: usize) {
        if let Some(suppressed) = self.table.log.permit() {
            warn!(%failure, queue = queue.label, messages, suppressed, "failed to change visibility, trying again");
        }
    }
}

#[cfg(test)]
mod tests;
