//! The quarantine queue: messages that can never be published as they are, unchanged, with the reason beside them.
//!
//! The body and the attributes stay as the producer sent them, so that an operator can send the message back to its queue
//! after the cause is fixed. protobridge adds exactly one attribute, [`QUARANTINE_NOTE`], a JSON object. If the message
//! already has the ten attributes that SQS allows, the smallest of them moves into the note, under `folded`.
//! [`Quarantined`] reads the note, and restores the message that was quarantined.
//!
//! [`QUARANTINE_NOTE`]: crate::message::attributes::QUARANTINE_NOTE

mod note;
mod restore;
mod send_back;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_sqs::types::MessageAttributeValue;
use tokio::sync::{mpsc, oneshot};

pub use note::{NotedRecipients, first_message_id};
pub use restore::{NoNote, Quarantined};
pub use send_back::{Kept, NoRoom, Sent, StoredCopy};

use super::attempts::attempts;
use crate::aws::{Failure, LeanClient, MAX_BATCH_ENTRIES, SendEntry, call_end};
use crate::base::batch::{self, Item, Limits};
use crate::message::attributes::message_size;
use crate::message::{Message, PartlyDelivered, QuarantineReason, QueueUrl};
use crate::telemetry::{Call, Carried, Metrics, Operation};

/// The largest size of a batch in bytes: SQS limits all messages of a batch together to 1 MiB.
const MAX_BATCH_BYTES: usize = 1024 * 1024;
const LINGER: Duration = Duration::from_millis(20);
const CONCURRENT_CALLS: usize = 8;

/// Proof that the quarantine queue has the message.
#[derive(Debug)]
pub struct Stored(());

/// The handle by which messages go into quarantine. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Quarantine {
    /// The in-flight budget bounds the channel: each sender waits for the answer and keeps its message until then.
    items: mpsc::UnboundedSender<Item<QueueUrl, QuarantineEntry>>,
}

/// A message on its way into the quarantine queue.
#[derive(Debug)]
struct QuarantineEntry {
    body: String,
    attributes: HashMap<String, MessageAttributeValue>,
    group: Option<String>,
    deduplication_id: String,
    result: oneshot::Sender<Result<(), Failure>>,
}

impl Quarantine {
    /// Creates the quarantine, and the task that makes its calls. The task ends when the last handle is dropped and every
    /// message was answered.
    pub fn new(lean: LeanClient, metrics: Arc<Metrics>) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let limits = Limits { entries: MAX_BATCH_ENTRIES, bytes: MAX_BATCH_BYTES, linger: LINGER };
        let (items, arrived) = mpsc::unbounded_channel();
        let run = batch::run(limits, CONCURRENT_CALLS, arrived, move |url, entries| {
            send(lean.clone(), Arc::clone(&metrics), url, entries)
        });
        (Self { items }, run)
    }

    /// Stores a message in the quarantine queue with this URL. `delivered` names the destinations that have its event.
    ///
    /// # Errors
    /// Returns an error if SQS does not accept the message. The original must then stay on its queue.
    pub async fn store(
        &self,
        url: &QueueUrl,
        message: &Message,
        reason: &QuarantineReason,
        schema_hash: Option<&str>,
        delivered: Option<&PartlyDelivered>,
    ) -> Result<Stored, Failure> {
        let attributes = note::with_note(message, reason, schema_hash, delivered)?;
        let deduplication_id = message.message_id.clone();
        self.send(url, message, attributes, deduplication_id).await.map(|()| Stored(()))
    }

    /// Sends a message with these attributes to a queue. On a FIFO queue, a message without a group has one of its own. A
    /// standard queue gets the group only if the message comes from there: it can be a fair queue.
    async fn send(
        &self,
        url: &QueueUrl,
        message: &Message,
        attributes: HashMap<String, MessageAttributeValue>,
        deduplication_id: String,
    ) -> Result<(), Failure> {
        let bytes = message_size(&message.body, &attributes);
        let (result, stored) = oneshot::channel();
        let group = message.group.clone().filter(|_| url.is_fifo() || *url == message.queue.url);
        let own_group = || url.is_fifo().then(|| message.message_id.clone());
        let entry = QuarantineEntry {
            body: message.body.clone(),
            attributes,
            group: group.or_else(own_group),
            deduplication_id,
            result,
        };
        // A closed channel drops the entry and with it the sender of the result, which ends the wait below.
        let _closed = self.items.send(Item { key: url.clone(), bytes, entry });
        stored.await.unwrap_or_else(|_| Err(Failure::unanswered()))
    }
}

/// Sends one batch and answers each of its entries. An entry that fails leaves its original on the source queue, which is
/// tried again later.
async fn send(lean: LeanClient, metrics: Arc<Metrics>, url: QueueUrl, entries: Vec<QuarantineEntry>) {
    let mut failures = match call(&lean, &metrics, &url, &entries).await {
        Ok(failures) => failures,
        Err(failure) => (0..entries.len()).map(|index| (index, failure.clone())).collect(),
    };
    for (index, entry) in entries.into_iter().enumerate() {
        let result = failures.remove(&index).map_or(Ok(()), Err);
        // The receiver is gone if the drain timed out.
        let _gone = entry.result.send(result);
    }
}

/// Makes one call. Returns the failed entries, by index.
async fn call(
    lean: &LeanClient,
    metrics: &Metrics,
    url: &QueueUrl,
    entries: &[QuarantineEntry],
) -> Result<HashMap<usize, Failure>, Failure> {
    let sent = entries.iter().map(|entry| SendEntry {
        body: &entry.body,
        attributes: &entry.attributes,
        // A standard queue takes groups, too, which make it a fair queue.
        group: entry.group.as_deref(),
        deduplication_id: url.is_fifo().then_some(&*entry.deduplication_id),
    });
    let kind = Call::new(Operation::SendMessageBatch, url.is_fifo());
    let sizes = || entries.iter().map(|entry| message_size(&entry.body, &entry.attributes));
    attempts(|| async {
        let answer = lean.send_messages(url.as_str(), sent.clone()).await;
        metrics.transfer(&kind, call_end(&answer, |_| Carried::sizes(sizes())));
        answer
    })
    .await
}
