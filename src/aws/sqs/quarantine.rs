//! The quarantine queue: messages that can never be published as they are, unchanged, with the reason beside them.
//!
//! The body and the attributes stay as the producer sent them, so that an operator can send the message back to its queue
//! after the cause is fixed. protobridge adds exactly one attribute, [`QUARANTINE_NOTE`], a JSON object. If the message
//! already has the ten attributes that SQS allows, the smallest of them moves into the note, under `folded`.

mod note;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_sqs::types::MessageAttributeValue;
use tokio::sync::{mpsc, oneshot};

pub use note::{NotedRecipients, first_message_id};

use super::attempts::attempts;
use crate::aws::{Failure, LeanClient, MAX_BATCH_ENTRIES, SendEntry, call_end};
use crate::base::batch::{self, Item, Limits};
use crate::message::attributes::{QUARANTINE_NOTE, attribute_size, message_size, value_bytes};
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
    group: String,
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
        let note_bytes = attributes.get(QUARANTINE_NOTE).map_or(0, value_bytes);
        let bytes = message.size() + attribute_size(QUARANTINE_NOTE, "String", note_bytes);
        let (result, stored) = oneshot::channel();
        let entry = QuarantineEntry {
            body: message.body.clone(),
            attributes,
            group: message.group.clone().unwrap_or_else(|| message.message_id.clone()),
            deduplication_id: message.message_id.clone(),
            result,
        };
        // A closed channel drops the entry and with it the sender of the result, which ends the wait below.
        let _closed = self.items.send(Item { key: url.clone(), bytes, entry });
        stored.await.unwrap_or_else(|_| Err(Failure::unanswered())).map(|()| Stored(()))
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
        group: url.is_fifo().then_some(&*entry.group),
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
