//! Publishing: entries into PublishBatch calls, and a confirmation an event.
//!
//! Entries of one topic travel together, by count, bytes and age; topics take turns, and all of them share the rate that
//! SNS holds. Every entry gets a verdict of its own, so that nine good ones never suffer from a bad tenth: passing
//! failures are tried again here, with jittered backoff, and what still fails goes back to the caller with what it
//! means for the message. On a FIFO topic the next entry of a group waits for the verdict of the one before. An event
//! counts as published when SNS has confirmed the last of its entries, and only then is there a [`Confirmed`].

mod attributes;
mod call;
mod dispatch;
mod lanes;

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

pub use attributes::{Attributes, EventId};

use crate::aws::{Failure, Kind};
use crate::config;
use crate::outcome::{Outcome, Reason};
use crate::rate::Rate;
use crate::telemetry::Metrics;

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
}

impl Entry {
    /// Size as SNS counts it: body and attributes, in bytes.
    pub fn size(&self) -> usize {
        self.body.len() + self.attributes.size()
    }
}

/// Proof that SNS has confirmed every entry of an event.
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
}

impl From<Error> for Outcome {
    fn from(error: Error) -> Self {
        if error.is_retryable() { Self::Retry(error.to_string()) } else { Reason::PublishRefused.because(error).into() }
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
}

impl Publisher {
    /// The publisher, and the task that does its work until the last handle is gone and everything was answered.
    pub fn new(
        sns: aws_sdk_sns::Client,
        settings: &config::Publish,
        rate: Arc<Rate>,
        metrics: Arc<Metrics>,
    ) -> (Self, impl Future<Output = ()> + Send + 'static) {
        // Entries wait in their lanes rather than here; the in-flight budget bounds both.
        let (items, arrived) = mpsc::channel(256);
        let run = dispatch::Dispatch::new(sns, settings, rate, metrics).run(arrived);
        (Self { items, max_bytes: settings.max_batch_bytes }, run)
    }

    /// The most bytes that an entry may have.
    pub fn max_bytes(&self) -> usize {
        self.max_bytes
    }

    /// Publishes all entries of one event, and waits until each is confirmed or has failed for good.
    ///
    /// # Errors
    /// The first failure; one that may pass is preferred, because then the whole event is tried again.
    pub async fn publish(&self, entries: Vec<Entry>) -> Result<Confirmed, Error> {
        let mut waiting = Vec::with_capacity(entries.len());
        for entry in entries {
            let (verdict, answer) = oneshot::channel();
            let topic = Arc::clone(&entry.topic);
            // A closed channel drops the entry and with it the sender of the verdict, which is noticed below.
            let _closed = self.items.send(Pending { entry, verdict }).await;
            waiting.push((topic, answer));
        }
        let mut worst: Option<Error> = None;
        for (topic, answer) in waiting {
            let verdict = answer.await.unwrap_or_else(|_| Err(stopped()));
            if let Err(failure) = verdict {
                let error = Error { topic, failure };
                if worst.as_ref().is_none_or(|known| !known.is_retryable() && error.is_retryable()) {
                    worst = Some(error);
                }
            }
        }
        match worst {
            Some(error) => Err(error),
            None => Ok(Confirmed(())),
        }
    }
}

fn stopped() -> Failure {
    let message = "the publisher stopped before SNS answered".to_owned();
    Failure { kind: Kind::Transient, code: None, message, request_id: None }
}

#[cfg(test)]
mod tests;
