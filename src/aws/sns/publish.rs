//! Publishing: entries into PublishBatch calls, and a result for each entry.
//!
//! Entries of one topic share calls, by count, bytes and age. Topics take turns, and all of them share the rate that SNS
//! accepts. Each entry gets its own result, so nine good entries never suffer from a bad tenth. The publisher repeats
//! entries with jittered backoff until SNS accepts them, unless the entry itself is at fault, or its topic is in trouble
//! and enough entries wait for it. On a FIFO topic, the
//! next entry of a message group waits for the result of the entry before it. A [`Confirmed`] exists only for an entry that
//! SNS has confirmed. Each result has the [`Trail`] of its entry.

mod attributes;
mod call;
mod crowding;
mod dispatch;
mod health;
mod lanes;
mod ready;
mod trail;

use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::mpsc;

pub use attributes::EntryAttributes;
pub use ready::{OffloadedEntry, ReadyEntry};
pub use trail::Trail;

use crate::aws::outages::Outages;
use crate::aws::sns::rate::Rate;
use crate::aws::{Failure, FailureKind, LeanClient, Published};
use crate::base::{Backpressure, backpressure};
use crate::config;
use crate::message::envelope::Pointer;
use crate::message::{Offload, Ownership, TopicArn};
use crate::telemetry::Metrics;

/// One event for one topic.
#[derive(Debug)]
pub struct TopicEntry {
    /// The topic.
    pub topic: TopicArn,
    /// The configured customer whom the topic belongs to. It is a label of metrics, unlike a customer that only the
    /// event names.
    pub customer: Option<Arc<str>>,
    /// The full name of the event's type.
    pub event_type: Arc<str>,
    /// The JSON, or the pointer to it if it is offloaded. Topics whose customers chose the same profile share it.
    pub body: Arc<String>,
    /// The object that must be stored before the entry is published, if the JSON leaves as a claim check.
    pub offload: Option<Box<Offload>>,
    /// The message attributes.
    pub attributes: EntryAttributes,
    /// The message group, for FIFO topics.
    pub group: Option<String>,
    /// The deduplication id, for FIFO topics.
    pub deduplication_id: Option<String>,
}

impl TopicEntry {
    /// Returns the size in bytes as SNS counts it: body and attributes.
    pub fn size(&self) -> usize {
        self.body.len() + self.attributes.size()
    }

    /// Returns the object that the entry points to, if its JSON is offloaded.
    pub fn claim_check(&self) -> Option<Pointer> {
        self.offload.as_ref().and_then(|_| Pointer::of_body(&self.body))
    }

    /// Returns the JSON of the event, also if it is offloaded.
    pub fn json(&self) -> &Arc<String> {
        self.offload.as_ref().map_or(&self.body, |offload| &offload.json)
    }
}

/// Proof that SNS has confirmed an entry. Names the topic, and the ids that SNS gave to the entry's message.
#[derive(Debug)]
pub struct Confirmed {
    topic: TopicArn,
    published: Published,
    trail: Trail,
}

impl Confirmed {
    /// Returns the topic that has the message.
    pub fn topic(&self) -> &TopicArn {
        &self.topic
    }

    /// Returns the message id that SNS gave to the message. Subscribers find it in the notification; raw delivery does
    /// not carry it. The id is empty if SNS did not mention it.
    pub fn message_id(&self) -> &str {
        &self.published.message_id
    }

    /// Returns the sequence number that SNS gave to the message; `None` on a topic that is not FIFO.
    pub fn sequence_number(&self) -> Option<&str> {
        self.published.sequence_number.as_deref()
    }

    /// Returns the calls that the entry was part of.
    pub fn trail(&self) -> &Trail {
        &self.trail
    }
}

/// Why an entry was not published.
#[derive(Debug, thiserror::Error)]
#[error("publishing to {topic} failed: {}", .unpublished.failure)]
pub struct Error {
    topic: TopicArn,
    unpublished: Box<Unpublished>,
    trail: Trail,
}

/// The side that is at fault for an entry that was not published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// The entry: SNS refused it, and accepted others.
    Refused,
    /// Possibly the entry: it failed while its topic accepted others.
    Failed,
    /// The topic: it is out, or has as many waiting entries as are kept in memory.
    TurnedAway,
}

impl Error {
    /// Whether the message can be published later as it is. It cannot only if SNS refused the entry itself.
    pub fn is_retryable(&self) -> bool {
        self.unpublished.verdict != Verdict::Refused
    }

    /// Returns the topic that the entry was for.
    pub fn topic(&self) -> &TopicArn {
        &self.topic
    }

    /// Returns the error code of the failure; `none` if it has no code.
    pub fn code(&self) -> &str {
        self.unpublished.failure.label()
    }

    /// Returns the calls that the entry was part of.
    pub fn trail(&self) -> &Trail {
        &self.trail
    }

    /// Returns the topic, if it is the topic that does not take the entry now.
    pub fn turned_away_by(&self) -> Option<&TopicArn> {
        (self.unpublished.verdict == Verdict::TurnedAway).then_some(&self.topic)
    }
}

/// The handle by which entries are published. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Publisher {
    items: mpsc::Sender<Vec<QueuedEntry>>,
    max_bytes: usize,
    backpressure: Backpressure,
}

/// An entry that waits for its result.
#[derive(Debug)]
struct QueuedEntry {
    entry: TopicEntry,
    reply: Reply,
    /// Whether the message that the entry came with is still ours.
    ownership: Ownership,
}

impl QueuedEntry {
    /// Whether this process must not publish the entry any more: its message has a new owner, or was returned to its
    /// queue at the end of a drain.
    fn is_lost(&self) -> bool {
        self.ownership.is_lost() || self.reply.results.is_closed()
    }
}

/// Sends the result of one entry. If it is dropped without a result, it sends a failure.
#[derive(Debug)]
struct Reply {
    index: usize,
    results: mpsc::UnboundedSender<IndexedResult>,
    trail: Trail,
    is_sent: bool,
}

/// The index of an entry, what SNS said about it, and its trail.
type IndexedResult = (usize, Result<Published, Box<Unpublished>>, Trail);

/// Why an entry has no confirmation, and who is at fault.
#[derive(Debug)]
struct Unpublished {
    failure: Failure,
    verdict: Verdict,
}

impl Reply {
    fn new(index: usize, results: mpsc::UnboundedSender<IndexedResult>, now: SystemTime) -> Self {
        Self { index, results, trail: Trail::new(now), is_sent: false }
    }

    fn send(mut self, result: Result<Published, Unpublished>) {
        self.send_once(result);
    }

    fn send_once(&mut self, result: Result<Published, Unpublished>) {
        self.is_sent = true;
        let trail = Trail { request_id: self.trail.request_id.take(), ..self.trail };
        // The receiver is gone if the drain timed out and the message returns to its queue.
        let _gone = self.results.send((self.index, result.map_err(Box::new), trail));
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if !self.is_sent {
            self.send_once(Err(not_sent("the publisher stopped before SNS answered")));
        }
    }
}

/// The result of one entry: its index among the entries that were enqueued together, and what SNS answered.
pub type EntryResult = (usize, Result<Confirmed, Error>);

/// The results of entries that were enqueued together, in the order of their arrival.
#[derive(Debug)]
pub struct EntryResults {
    arriving: mpsc::UnboundedReceiver<IndexedResult>,
    arrived: Vec<IndexedResult>,
    /// The topics of the entries that have no result yet, by index.
    open: Vec<Option<TopicArn>>,
}

impl EntryResults {
    /// Waits for results, and returns all that have arrived. Returns none when every entry has had its result.
    pub async fn next(&mut self) -> Vec<EntryResult> {
        let Self { arriving, arrived, open } = self;
        arriving.recv_many(arrived, open.len().max(1)).await;
        let of_open = |(index, result, trail): IndexedResult| {
            let topic = open.get_mut(index)?.take()?;
            Some((
                index,
                match result {
                    Ok(published) => Ok(Confirmed { topic, published, trail }),
                    Err(unpublished) => Err(Error { topic, unpublished, trail }),
                },
            ))
        };
        arrived.drain(..).filter_map(of_open).collect()
    }
}

impl Publisher {
    /// Creates the publisher, and the task that makes its calls. `budget` is the in-flight budget in messages and bytes. The task ends when the last handle is dropped and every
    /// entry has its result.
    pub fn new(
        lean: LeanClient,
        (settings, budget): (&config::Publish, (usize, usize)),
        rate: Arc<Rate>,
        outages: Arc<Outages>,
        metrics: Arc<Metrics>,
    ) -> (Self, impl Future<Output = ()> + Send + 'static) {
        // Entries wait in their lanes rather than here. The in-flight budget bounds both.
        let (items, arrived) = mpsc::channel(64);
        let (valve, backpressure) = backpressure::pair();
        let run = dispatch::Dispatch::new(lean, (settings, budget), rate, outages, metrics, valve).run(arrived);
        (Self { items, max_bytes: settings.max_batch_bytes, backpressure }, run)
    }

    /// Returns the largest size of an entry in bytes.
    pub fn max_bytes(&self) -> usize {
        self.max_bytes
    }

    /// Returns the backpressure that this publisher puts on receives.
    pub fn backpressure(&self) -> Backpressure {
        self.backpressure.clone()
    }

    /// Enqueues entries, each with the ownership of its message. The results name the entries by their index. An entry
    /// whose message is lost before its turn is not published.
    pub async fn enqueue(&self, entries: Vec<(ReadyEntry, Ownership)>) -> EntryResults {
        let (results, arriving) = mpsc::unbounded_channel();
        let open = entries.iter().map(|(entry, _)| Some(entry.topic().clone())).collect();
        let now = SystemTime::now();
        let queued = |(index, (entry, ownership)): (usize, (ReadyEntry, Ownership))| {
            let reply = Reply::new(index, results.clone(), now);
            QueuedEntry { entry: entry.into_entry(), reply, ownership }
        };
        let queued = entries.into_iter().enumerate().map(queued).collect();
        // A closed channel drops the entries, and their replies send the failure.
        let _closed = self.items.send(queued).await;
        EntryResults { arriving, arrived: Vec::new(), open }
    }
}

/// The result of an entry whose topic keeps no more entries in memory.
fn turned_away() -> Unpublished {
    let message = "the topic does not take its entries now, and enough of them wait".to_owned();
    let failure = Failure { kind: FailureKind::Transient, code: None, message, request_id: None };
    Unpublished { failure, verdict: Verdict::TurnedAway }
}

/// The result of an entry that was not sent to the end, through no fault of its own.
fn not_sent(why: &str) -> Unpublished {
    let failure = Failure { kind: FailureKind::Transient, code: None, message: why.to_owned(), request_id: None };
    Unpublished { failure, verdict: Verdict::Failed }
}

#[cfg(test)]
mod tests;
