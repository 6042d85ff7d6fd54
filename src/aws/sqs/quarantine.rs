//! The quarantine queue: messages that can never be published as they are, unchanged, with the reason beside them.
//!
//! The body and the attributes stay as the producer sent them, so that an operator can send the message back to its queue
//! after the cause is fixed. protobridge adds exactly one attribute, [`QUARANTINE_NOTE`], a JSON object. If the message
//! already has the ten attributes that SQS allows, the smallest of them moves into the note, under `folded`.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_sdk_sqs::types::MessageAttributeValue;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

use super::attempts::attempts;
use crate::aws::{Failure, LeanClient, MAX_BATCH_ENTRIES, SendEntry};
use crate::base::batch::{self, Item, Limits};
use crate::base::time::rfc3339;
use crate::message::attributes::{MAX_ATTRIBUTES, QUARANTINE_NOTE, attribute_size, message_size, value_bytes};
use crate::message::{Message, QuarantineReason, QueueUrl};
use crate::telemetry::{Metrics, Operation};

/// The largest size of a batch in bytes: SQS limits all messages of a batch together to 1 MiB.
const MAX_BATCH_BYTES: usize = 1024 * 1024;
const LINGER: Duration = Duration::from_millis(20);
const CONCURRENT_CALLS: usize = 8;
/// The most characters of a message id (Amazon SQS developer guide, queue and message identifiers).
const MAX_MESSAGE_ID: usize = 100;

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

/// The content of the attribute [`QUARANTINE_NOTE`].
#[derive(Debug, Serialize)]
struct Note<'n> {
    reason: &'static str,
    detail: &'n str,
    #[serde(skip_serializing_if = "Option::is_none")]
    schema_hash: Option<&'n str>,
    queue: &'n str,
    message_id: &'n str,
    quarantined_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    folded: Option<Folded>,
}

/// An attribute of the original message that made room for the note.
#[derive(Debug, Serialize)]
struct Folded {
    name: String,
    data_type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    string_value: Option<String>,
    /// In standard base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    binary_value: Option<String>,
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

    /// Stores a message in the quarantine queue with this URL.
    ///
    /// # Errors
    /// Returns an error if SQS does not accept the message. The original must then stay on its queue.
    pub async fn store(
        &self,
        url: &QueueUrl,
        message: &Message,
        reason: &QuarantineReason,
        schema_hash: Option<&str>,
    ) -> Result<Stored, Failure> {
        let attributes = with_note(message, reason, schema_hash)?;
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

/// Returns the message id that the message had before its first quarantine, if it was quarantined and sent back. SQS
/// assigns another id each time a message is sent.
pub fn first_message_id(message: &Message) -> Option<String> {
    #[derive(Deserialize)]
    struct First {
        message_id: String,
    }
    let note = message.attributes.get(QUARANTINE_NOTE)?.string_value()?;
    let First { message_id } = serde_json::from_str(note).ok()?;
    // A producer can send a forged note, which must not push the message over the size limit.
    (message_id.len() <= MAX_MESSAGE_ID).then_some(message_id)
}

/// Returns the original attributes together with the note.
fn with_note(
    message: &Message,
    reason: &QuarantineReason,
    schema_hash: Option<&str>,
) -> Result<HashMap<String, MessageAttributeValue>, Failure> {
    let mut attributes = message.attributes.clone();
    // A message that was sent back can still carry the note of its earlier quarantine; the new note replaces it.
    attributes.remove(QUARANTINE_NOTE);
    let first = first_message_id(message);
    let folded = if attributes.len() >= MAX_ATTRIBUTES { fold(&mut attributes) } else { None };
    let note = Note {
        reason: reason.kind.code(),
        detail: &reason.detail,
        schema_hash,
        queue: message.queue.url.as_str(),
        message_id: first.as_deref().unwrap_or(&message.message_id),
        quarantined_at: rfc3339(SystemTime::now()),
        folded,
    };
    let note = serde_json::to_string(&note).map_err(|error| Failure::invalid_entry(&error))?;
    let note = escape(&note);
    let value = MessageAttributeValue::builder().data_type("String").string_value(note).build();
    attributes.insert(QUARANTINE_NOTE.to_owned(), value.map_err(|error| Failure::invalid_entry(&error))?);
    Ok(attributes)
}

/// Removes the smallest attribute, so that the note stays small.
fn fold(attributes: &mut HashMap<String, MessageAttributeValue>) -> Option<Folded> {
    let (_, name) = attributes.iter().map(|(name, value)| (value_bytes(value), name.clone())).min()?;
    let value = attributes.remove(&name)?;
    Some(Folded {
        name,
        data_type: value.data_type().to_owned(),
        string_value: value.string_value().map(str::to_owned),
        binary_value: value.binary_value().map(|blob| BASE64_STANDARD.encode(blob)),
    })
}

/// Escapes the characters of a JSON document that SQS refuses in an attribute and that JSON does not have to escape.
fn escape(json: &str) -> String {
    json.replace('\u{fffe}', "\\ufffe").replace('\u{ffff}', "\\uffff")
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
    let bytes = || entries.iter().map(|entry| message_size(&entry.body, &entry.attributes)).sum();
    attempts(|| async {
        let answer = lean.send_messages(url.as_str(), sent.clone()).await;
        metrics.transfer(Operation::SendMessageBatch, answer.is_ok().then(bytes), None);
        answer
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::attributes::is_accepted;
    use crate::message::{QuarantineKind, Queue};

    fn message(attributes: usize) -> Message {
        let values: Vec<(String, String)> = (0..attributes).map(|n| (format!("a{n}"), "x".repeat(10 - n))).collect();
        let attributes: Vec<(&str, &str)> = values.iter().map(|(name, value)| (&**name, &**value)).collect();
        Message::for_tests(Queue::for_tests(), "CAE=", &attributes, None)
    }

    fn note(attributes: &HashMap<String, MessageAttributeValue>) -> serde_json::Value {
        serde_json::from_str(attributes[QUARANTINE_NOTE].string_value().unwrap()).unwrap()
    }

    #[test]
    fn the_note_is_the_only_attribute_that_is_added() {
        let attributes = with_note(&message(9), &QuarantineKind::UnknownType.because("x.Y"), Some("abc")).unwrap();
        assert_eq!(attributes.len(), 10);
        let note = note(&attributes);
        assert_eq!(
            (&note["reason"], &note["detail"], &note["schema_hash"]),
            (&"unknown_type".into(), &"x.Y".into(), &"abc".into())
        );
        assert_eq!(note.get("folded"), None);
    }

    #[test]
    fn the_note_folds_the_smallest_of_ten_attributes() {
        let attributes = with_note(&message(10), &QuarantineKind::BadEnvelope.because("x"), None).unwrap();
        assert_eq!(attributes.len(), 10);
        assert!(!attributes.contains_key("a9"));
        let folded = &note(&attributes)["folded"];
        assert_eq!(*folded, serde_json::json!({"name": "a9", "data_type": "String", "string_value": "x"}));
    }

    #[test]
    fn the_note_keeps_the_message_id_of_the_first_quarantine() {
        let mut message = message(1);
        assert_eq!(first_message_id(&message), None);
        message.attributes = with_note(&message, &QuarantineKind::UnknownType.because("x.Y"), None).unwrap();
        // SQS assigns another id when the message is sent back.
        message.message_id = "m-2".to_owned();
        assert_eq!(first_message_id(&message).as_deref(), Some("m-1"));
        let again = with_note(&message, &QuarantineKind::UnknownType.because("x.Y"), None).unwrap();
        assert_eq!(note(&again)["message_id"], "m-1");
        message.attributes = [(QUARANTINE_NOTE.to_owned(), "not a note")]
            .map(|(name, text)| {
                let value = MessageAttributeValue::builder().data_type("String").string_value(text).build();
                (name, value.unwrap())
            })
            .into();
        assert_eq!(first_message_id(&message), None);
    }

    #[test]
    fn a_note_is_an_attribute_that_sqs_accepts_and_keeps_every_character() {
        let (mut message, detail) = (message(10), "a\u{1}b\u{ffff}c\u{fffe}");
        message.message_id = detail.to_owned();
        let attributes = with_note(&message, &QuarantineKind::BadEnvelope.because(detail), None).unwrap();
        assert!(is_accepted(attributes[QUARANTINE_NOTE].string_value().unwrap()));
        let note = note(&attributes);
        assert_eq!((&note["detail"], &note["message_id"]), (&detail.into(), &detail.into()));
    }

    #[test]
    fn a_note_is_small_even_if_the_message_brings_a_large_one() {
        let mut message = message(1);
        let forged = format!(r#"{{"message_id":"{}"}}"#, "x".repeat(300_000));
        let value = MessageAttributeValue::builder().data_type("String").string_value(forged).build().unwrap();
        message.attributes.insert(QUARANTINE_NOTE.to_owned(), value);
        let reason = QuarantineKind::NoCustomer.because("x".repeat(300_000));
        let attributes = with_note(&message, &reason, None).unwrap();
        assert_eq!(note(&attributes)["message_id"], "m-1");
        assert!(value_bytes(&attributes[QUARANTINE_NOTE]) < 2_000);
    }
}
