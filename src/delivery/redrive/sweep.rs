//! The way through a quarantine queue: receive, settle or hold each message, and know when the queue was seen to its end.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, SystemTime};

use futures_util::future::join_all;
use tokio::time::{sleep, timeout};

use super::{Action, Error, Examined, Redrive, Settled};
use crate::aws::Failure;
use crate::aws::sqs::depth::visible_messages;
use crate::aws::sqs::release::Releaser;
use crate::aws::sqs::{ParkedReceipt, Received};
use crate::base::Backoff;

/// The number of polls in a row without a message from before the run after which the queue can be at its end.
const EMPTY_POLLS: u32 = 3;
/// The number of such polls in a row that end a run whatever SQS counts. The count is approximate, and messages that another
/// consumer holds can become visible.
const MOST_EMPTY_POLLS: u32 = 12;
/// The most messages that a run holds. SQS allows 120,000 in flight (Amazon SQS developer guide, message quotas).
const MOST_HELD: usize = 100_000;
/// The time by which the visibility timeout of a held message is extended. If the process is killed, the message stays
/// hidden for at most this time.
const HOLD: Duration = Duration::from_secs(5 * 60);
/// The number of times that a failed receive is repeated.
const RECEIVE_ATTEMPTS: u32 = 6;
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(400), Duration::from_secs(10));
/// The longest wait for room in the budget, which only messages on their way to be deleted take.
const ROOM_TIMEOUT: Duration = Duration::from_secs(120);

/// What a run reports.
#[derive(Debug)]
pub enum Event {
    /// The number of messages that were received, and the approximate number of the queue.
    Progress {
        /// The number of messages that were received.
        seen: usize,
        /// The approximate number of messages on the queue at the start, if it is known.
        depth: Option<u64>,
    },
    /// A message that matches, with what became of it.
    Examined(Box<Examined>),
}

/// Why a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// No further message can be received.
    Empty,
    /// As many messages matched as the limit allows.
    Limit,
    /// As many messages were held as SQS allows.
    Full,
    /// The operator stopped the run.
    Stopped,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// Why it ended.
    pub why: Why,
    /// The number of messages that were received.
    pub seen: usize,
    /// The number of messages that matched.
    pub matched: usize,
    /// The number of messages that did not match, and of those beyond the limit.
    pub untouched: usize,
    /// The number of messages without a note that can be read. They are not protobridge's, and stay untouched.
    pub without_note: usize,
    /// The approximate number of messages that were on the queue and were not received. On a FIFO queue, they wait behind
    /// held messages of their groups.
    pub waiting: u64,
    /// The number of messages whose delete, or whose return, SQS did not answer in time.
    pub undeleted: usize,
}

/// The messages that a run keeps hidden, and those that it has seen.
#[derive(Debug, Default)]
pub(super) struct Held {
    receipts: Vec<ParkedReceipt>,
    /// The messages that were seen, by their id on the quarantine queue, and whether they were settled.
    seen: HashMap<String, bool>,
    /// The notes of the copies that this run stored.
    copies: HashSet<String>,
}

impl Held {
    /// Makes the held messages visible.
    pub(super) fn return_to(self, releaser: &Releaser) {
        for receipt in self.receipts {
            releaser.return_parked(receipt);
        }
    }

    fn keep(&mut self, received: Received) {
        self.receipts.push(received.receipt.park(HOLD));
    }
}

/// What became of a message.
pub(super) enum Looked {
    /// It matches. If it stays on the queue, it is held.
    Examined { examined: Box<Examined>, held: Option<ParkedReceipt>, copy: Option<String> },
    /// It does not match.
    Untouched(ParkedReceipt),
    /// It has no note.
    WithoutNote(ParkedReceipt),
}

impl Redrive {
    pub(super) async fn sweep(&self, held: &mut Held, on: &mut impl FnMut(Event)) -> Result<Ended, Error> {
        let depth = visible_messages(&self.sqs, &self.metrics, &self.quarantine).await.ok();
        let mut ended =
            Ended { why: Why::Empty, seen: 0, matched: 0, untouched: 0, without_note: 0, waiting: 0, undeleted: 0 };
        let (began, mut empty) = (SystemTime::now(), 0);
        loop {
            on(Event::Progress { seen: ended.seen, depth });
            if ended.matched >= self.options.limit {
                return Ok(Ended { why: Why::Limit, ..ended });
            }
            if held.receipts.len() >= MOST_HELD {
                return Ok(Ended { why: Why::Full, ..ended });
            }
            let received = tokio::select! {
                biased;
                () = self.stop.cancelled() => return Ok(Ended { why: Why::Stopped, ..ended }),
                received = self.receive() => received?,
            };
            // Messages that arrive meanwhile are taken, but a queue that gets more and more of them would have no end.
            let has_old = received.iter().any(|received| received.message.sent < began);
            if !received.is_empty() {
                self.take(received, held, &mut ended, on).await;
            }
            if has_old {
                empty = 0;
            } else {
                empty += 1;
                if let Some(waiting) = self.is_at_end(empty, (ended.seen as u64, depth)).await {
                    return Ok(Ended { waiting, ..ended });
                }
            }
        }
    }

    /// Receives, and repeats a receive that can succeed a moment later.
    async fn receive(&self) -> Result<Vec<Received>, Error> {
        let url = || self.quarantine.url.clone();
        let mut attempt = 1;
        loop {
            let Ok(answer) = timeout(ROOM_TIMEOUT, self.receiver.receive()).await else {
                return Err(Error::Deletes { url: url() });
            };
            match answer {
                Ok(received) => return Ok(received),
                Err(failure) if failure.is_passing() && attempt < RECEIVE_ATTEMPTS => {
                    sleep(BACKOFF.delay(attempt)).await;
                    attempt += 1;
                }
                Err(failure) => {
                    let way_out = self.permission.way_out(&failure);
                    return Err(Error::Receive { url: url(), failure, way_out });
                }
            }
        }
    }

    /// Whether the queue was seen to its end. Returns the approximate number of messages that cannot be received.
    async fn is_at_end(&self, empty: u32, (seen, depth): (u64, Option<u64>)) -> Option<u64> {
        if empty < EMPTY_POLLS {
            return None;
        }
        if depth.is_some_and(|depth| seen >= depth) && !self.quarantine.url.is_fifo() {
            return Some(0);
        }
        // On a FIFO queue, a held message hides those behind it in its group, and SQS counts them all the same.
        let left = visible_messages(&self.sqs, &self.metrics, &self.quarantine).await;
        match left {
            Ok(0) | Err(_) => Some(0),
            Ok(left) if self.quarantine.url.is_fifo() || empty >= MOST_EMPTY_POLLS => Some(left),
            Ok(_) => None,
        }
    }

    /// Settles or holds the messages of one receive. Those of a FIFO queue are taken one after the other.
    async fn take(&self, received: Vec<Received>, held: &mut Held, ended: &mut Ended, on: &mut impl FnMut(Event)) {
        let mut fresh = Vec::new();
        for received in received {
            match held.seen.get(&received.message.message_id) {
                Some(true) => self.delete(received.receipt, Settled::Before),
                Some(false) => held.keep(received),
                None => {
                    ended.seen += 1;
                    held.seen.insert(received.message.message_id.clone(), false);
                    if held.is_copy(&received) { held.keep(received) } else { fresh.push(received) }
                }
            }
        }
        while !fresh.is_empty() {
            let room = self.options.limit.saturating_sub(ended.matched);
            if room == 0 || self.stop.is_cancelled() {
                ended.untouched += fresh.len();
                return fresh.into_iter().for_each(|received| held.keep(received));
            }
            let together = if self.quarantine.url.is_fifo() { 1 } else { room.min(fresh.len()) };
            let batch = fresh.drain(..together).map(|received| self.examine(received));
            for looked in join_all(batch).await {
                held.add(looked, ended, on);
            }
        }
    }

    /// Deletes a message of the quarantine queue.
    pub(super) fn delete(&self, receipt: crate::aws::sqs::Receipt, settled: Settled) {
        debug_assert!(!self.options.is_preview && self.options.action != Action::Look);
        self.deleter.delete(receipt.settled(), settled);
    }
}

impl Held {
    /// Whether this run stored the message.
    fn is_copy(&self, received: &Received) -> bool {
        let note = received.message.attributes.get(crate::message::attributes::QUARANTINE_NOTE);
        note.and_then(|note| note.string_value()).is_some_and(|note| self.copies.contains(note))
    }

    fn add(&mut self, looked: Looked, ended: &mut Ended, on: &mut impl FnMut(Event)) {
        match looked {
            Looked::Examined { examined, held, copy } => {
                ended.matched += 1;
                self.copies.extend(copy);
                if held.is_none() {
                    self.seen.insert(examined.quarantined.message_id().to_owned(), true);
                }
                self.receipts.extend(held);
                on(Event::Examined(examined));
            }
            Looked::Untouched(receipt) => {
                ended.untouched += 1;
                self.receipts.push(receipt);
            }
            Looked::WithoutNote(receipt) => {
                ended.without_note += 1;
                self.receipts.push(receipt);
            }
        }
    }
}

/// Hides a message until the end of the run.
pub(super) fn park(receipt: crate::aws::sqs::Receipt) -> ParkedReceipt {
    receipt.park(HOLD)
}

/// Returns why a copy could not be stored.
pub(super) fn not_stored(failure: &Failure, delivered: usize) -> String {
    format!(
        "{delivered} more destinations have the event, and the quarantine queue did not take a note of that ({failure}); \
         the next redrive publishes to them again, unless the window of duplicates in Redis knows them"
    )
}
