//! Publishing: entries into PublishBatch calls, and a confirmation an event.
//!
//! Entries of one topic travel together, by count, bytes and age; topics take turns, and all of them share the rate that
//! SNS holds. Every entry gets a verdict of its own, so that nine good ones never suffer from a bad tenth: passing
//! failures are tried again here, with jittered backoff, and what still fails goes back to the caller with what it
//! means for the message. On a FIFO topic the next entry of a group waits for the verdict of the one before. Only when
//! SNS has confirmed an entry is there a [`Confirmed`].

mod attributes;
mod call;
mod dispatch;
mod lanes;

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

pub use attributes::{Attributes, EventId, TRACEPARENT, TRACESTATE};

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
    /// The JSON.
    pub body: Arc<str>,
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
    items: mpsc::Sender<Pending>,
    max_bytes: usize,
}

/// An entry that waits for its verdict.
#[derive(Debug)]
struct Pending {
    entry: Entry,
    verdict: oneshot::Sender<Result<(), Failure>>,
    /// Of the message that the entry came with.
    ownership: Ownership,
}

impl Pending {
    /// Whether the entry is not ours to publish any more: its message has a new owner, who will, or was given back at
    /// the end of a drain.
    fn is_lost(&self) -> bool {
        self.ownership.is_lost() || self.verdict.is_closed()
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
        let (items, arrived) = mpsc::channel(256);
        let run = dispatch::Dispatch::new(data_plane, settings, rate, metrics).run(arrived);
        (Self { items, max_bytes: settings.max_batch_bytes }, run)
    }

    /// The most bytes that an entry may have.
    pub fn max_bytes(&self) -> usize {
        self.max_bytes
    }

    /// Publishes the entries of one event, and waits until each is confirmed or has failed for good. The verdicts are in
    /// the order of the entries. What still waits for its turn when the message is not ours any more is not published.
    pub async fn publish(&self, entries: Vec<Entry>, ownership: &Ownership) -> Vec<Result<Confirmed, Error>> {
        let mut waiting = Vec::with_capacity(entries.len());
        for entry in entries {
            let (verdict, answer) = oneshot::channel();
            let topic = Arc::clone(&entry.topic);
            // A closed channel drops the entry and with it the sender of the verdict, which is noticed below.
            let _closed = self.items.send(Pending { entry, verdict, ownership: ownership.clone() }).await;
            waiting.push((topic, answer));
        }
        let mut verdicts = Vec::with_capacity(waiting.len());
        for (topic, answer) in waiting {
            let verdict = answer.await.unwrap_or_else(|_| Err(stopped()));
            verdicts.push(verdict.map(|()| Confirmed(())).map_err(|failure| Error { topic, failure }));
        }
        verdicts
    }
}

fn stopped() -> Failure {
    not_sent("the publisher stopped before SNS answered")
}

fn not_sent(why: &str) -> Failure {
    Failure { kind: Kind::Transient, code: None, message: why.to_owned(), request_id: None }
}

#[cfg(test)]
mod tests;
