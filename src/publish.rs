//! Publishing: entries into PublishBatch calls, and a confirmation an event.
//!
//! Entries of one topic travel together, by count, bytes and age; topics take turns, and all of them share the rate that
//! SNS holds. Every entry gets a verdict of its own, so that nine good ones never suffer from a bad tenth: passing
//! failures are tried again here, with jittered backoff, and what still fails goes back to the caller with what it
//! means for the message. On a FIFO topic the next entry of a group waits for the verdict of the one before. Only when
//! SNS has confirmed an entry is there a [`Confirmed`].

mod attributes;
mod backpressure;
mod call;
mod dispatch;
mod lanes;

use std::sync::Arc;

use tokio::sync::mpsc;

pub use attributes::{Attributes, EventId, TRACEPARENT, TRACESTATE};
pub use backpressure::Backpressure;

use crate::aws::{DataPlane, Failure, Kind};
use crate::config;
use crate::dedupe::Pair;
use crate::outcome::{Cause, Outcome, Reason};
use crate::rate::Rate;
use crate::telemetry::Metrics;
use crate::visibility::Ownership;

/// One event for one topic.
#[derive(Debug)]
pub struct Entry {
    /// ARN of the topic.
    pub topic: Arc<str>,
    /// The customer that the topic belongs to.
    pub customer: Option<Arc<str>>,
    /// Full name of the event's type.
    pub event_type: Arc<str>,
    /// The JSON. Shared by topics that want it in the same form.
    pub body: Arc<String>,
    /// The message attributes.
    pub attributes: Attributes,
    /// Message group, for FIFO topics.
    pub group: Option<String>,
    /// Deduplication id, for FIFO topics.
    pub deduplication_id: Option<String>,
    /// Event and customer, by which a duplicate is known.
    pub pair: Pair,
}

impl Entry {
    /// Size as SNS counts it: body and attributes, in bytes.
    pub fn size(&self) -> usize {
        self.body.len() + self.attributes.size()
    }
}

/// Proof that SNS has confirmed an entry.
#[derive(Debug)]
pub struct Confirmed(());

/// Why an event was not published, or not everywhere.
#[derive(Debug, thiserror::Error)]
#[error("publishing to {topic} failed: {failure}")]
pub struct Error {
    topic: Arc<str>,
    failure: Failure,
}

impl Error {
    /// Whether the message may be published later as it is. It may not only where SNS refused the entry for what it
    /// is; a missing topic or permission is somebody's to mend, and the message waits for that.
    pub fn is_retryable(&self) -> bool {
        self.failure.kind != Kind::Refused
    }

    /// Of two errors of one event the one that decides: one that may pass, because then the whole event is tried again.
    pub fn or_worse(self, other: Self) -> Self {
        if !self.is_retryable() && other.is_retryable() { other } else { self }
    }
}

impl From<Error> for Outcome {
    fn from(error: Error) -> Self {
        if error.is_retryable() {
            Cause::Publish.because(error).into()
        } else {
            Reason::PublishRefused.because(error).into()
        }
    }
}

/// The handle by which entries are published. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Publisher {
    items: mpsc::Sender<Vec<Pending>>,
    max_bytes: usize,
    backpressure: Backpressure,
}

/// An entry that waits for its verdict.
#[derive(Debug)]
struct Pending {
    entry: Entry,
    reply: Reply,
    /// Of the message that the entry came with.
    ownership: Ownership,
}

impl Pending {
    /// Whether the entry is not ours to publish any more: its message has a new owner, who will, or was given back at
    /// the end of a drain.
    fn is_lost(&self) -> bool {
        self.ownership.is_lost() || self.reply.verdicts.is_closed()
    }
}

/// Where the verdict on one entry goes to. Dropped without one, it says so.
#[derive(Debug)]
struct Reply {
    index: usize,
    verdicts: mpsc::UnboundedSender<Arrived>,
    is_sent: bool,
}

type Arrived = (usize, Result<(), Box<Failure>>);

impl Reply {
    fn send(mut self, verdict: Result<(), Failure>) {
        self.is_sent = true;
        // Nobody waits for it any more: the drain timed out, and the message is on its way back to the queue.
        let _gone = self.verdicts.send((self.index, verdict.map_err(Box::new)));
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if !self.is_sent {
            let why = not_sent("the publisher stopped before SNS answered");
            let _gone = self.verdicts.send((self.index, Err(Box::new(why))));
        }
    }
}

/// The verdict on one entry: its index among those that were published together, and what SNS said.
pub type Verdict = (usize, Result<Confirmed, Error>);

/// The verdicts on entries that were published together, as they come in.
#[derive(Debug)]
pub struct Verdicts {
    arriving: mpsc::UnboundedReceiver<Arrived>,
    arrived: Vec<Arrived>,
    /// Topics of the entries that have no verdict yet.
    open: Vec<Option<Arc<str>>>,
}

impl Verdicts {
    /// Waits for verdicts, and returns all that are there; none at all when every entry has had its own.
    pub async fn next(&mut self) -> Vec<Verdict> {
        let Self { arriving, arrived, open } = self;
        arriving.recv_many(arrived, open.len().max(1)).await;
        let of_open = |(index, verdict): Arrived| {
            let topic = open.get_mut(index)?.take()?;
            Some((index, verdict.map(|()| Confirmed(())).map_err(|failure| Error { topic, failure: *failure })))
        };
        arrived.drain(..).filter_map(of_open).collect()
    }
}

impl Publisher {
    /// The publisher, and the task that does its work until the last handle is gone and everything was answered.
    pub fn new(
        data_plane: DataPlane,
        settings: &config::Publish,
        rate: Arc<Rate>,
        metrics: Arc<Metrics>,
    ) -> (Self, impl Future<Output = ()> + Send + 'static) {
        // Entries wait in their lanes rather than here; the in-flight budget bounds both.
        let (items, arrived) = mpsc::channel(64);
        let (valve, backpressure) = backpressure::pair();
        let run = dispatch::Dispatch::new(data_plane, settings, rate, metrics, valve).run(arrived);
        (Self { items, max_bytes: settings.max_batch_bytes, backpressure }, run)
    }

    /// The most bytes that an entry may have.
    pub fn max_bytes(&self) -> usize {
        self.max_bytes
    }

    /// Says when receiving more would only make more wait.
    pub fn backpressure(&self) -> Backpressure {
        self.backpressure.clone()
    }

    /// Publishes entries, each for the message that it came with. The verdicts name them by their index. What still waits
    /// for its turn when its message is not ours any more is not published.
    pub async fn publish(&self, entries: Vec<(Entry, Ownership)>) -> Verdicts {
        let (verdicts, arriving) = mpsc::unbounded_channel();
        let open = entries.iter().map(|(entry, _)| Some(Arc::clone(&entry.topic))).collect();
        let pending = |(index, (entry, ownership))| {
            let reply = Reply { index, verdicts: verdicts.clone(), is_sent: false };
            Pending { entry, reply, ownership }
        };
        let pending = entries.into_iter().enumerate().map(pending).collect();
        // A closed channel drops the entries, and their replies say so.
        let _closed = self.items.send(pending).await;
        Verdicts { arriving, arrived: Vec::new(), open }
    }
}

fn not_sent(why: &str) -> Failure {
    Failure { kind: Kind::Transient, code: None, message: why.to_owned(), request_id: None }
}

#[cfg(test)]
mod tests;
