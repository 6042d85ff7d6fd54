//! The quarantine queue: messages that can never be published as they are, unchanged, with the reason beside them.
//!
//! Body and attributes stay as they were sent, so that the message can go back to its queue once the cause is mended.
//! All that is added is one attribute, [`ATTRIBUTE`], a JSON object. SQS takes ten attributes: of an original that has
//! ten already, the smallest moves into that object, under `folded`.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_sqs::primitives::{DateTime, DateTimeFormat};
use aws_sdk_sqs::types::{MessageAttributeValue, SendMessageBatchRequestEntry};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

use crate::aws::Failure;
use crate::batch::{self, Item, Limits, MAX_ENTRIES};
use crate::outcome::Verdict;
use crate::receive::Message;
use crate::telemetry::Metrics;

/// Name of the one attribute that is added to a quarantined message.
pub const ATTRIBUTE: &str = "protobridge-quarantine";

/// SQS limits a batch, all messages together, to 1 MiB.
const MAX_BATCH_BYTES: usize = 1024 * 1024;
const LINGER: Duration = Duration::from_millis(20);
const CONCURRENT_CALLS: usize = 8;
/// Details are for people; they must not push a message over the size limit.
const MAX_DETAIL: usize = 1024;

/// Proof that the quarantine queue has the message.
#[derive(Debug)]
pub struct Stored(());

/// The handle by which messages go into quarantine. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Quarantine {
    /// Bounded by the in-flight budget: whoever sends waits for the answer with its message.
    items: mpsc::UnboundedSender<Item<Arc<str>, Pending>>,
}

#[derive(Debug)]
struct Pending {
    body: String,
    attributes: HashMap<String, MessageAttributeValue>,
    group: String,
    deduplication_id: String,
    verdict: oneshot::Sender<Result<(), Failure>>,
}

/// What stands in the attribute.
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

/// An attribute of the original for which there was no room.
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
    /// The quarantine, and the task that does its work until the last handle is gone and everything was answered.
    pub fn new(sqs: aws_sdk_sqs::Client, metrics: Arc<Metrics>) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let limits = Limits { entries: MAX_ENTRIES, bytes: MAX_BATCH_BYTES, linger: LINGER };
        let (items, arrived) = mpsc::unbounded_channel();
        let run = batch::run(limits, CONCURRENT_CALLS, arrived, move |url, pending| {
            send(sqs.clone(), Arc::clone(&metrics), url, pending)
        });
        (Self { items }, run)
    }

    /// Stores a message in the quarantine queue with this URL.
    ///
    /// # Errors
    /// When SQS does not take it; then the original has to stay where it is.
    pub async fn store(
        &self,
        url: &Arc<str>,
        message: &Message,
        verdict: &Verdict,
        schema_hash: Option<&str>,
    ) -> Result<Stored, Failure> {
        let attributes = with_note(message, verdict, schema_hash)?;
        let (answer, stored) = oneshot::channel();
        let note = attributes.get(ATTRIBUTE).and_then(|note| note.string_value()).map_or(0, str::len);
        let pending = Pending {
            body: message.body.clone(),
            attributes,
            group: message.group.clone().unwrap_or_else(|| message.message_id.clone()),
            deduplication_id: message.message_id.clone(),
            verdict: answer,
        };
        let bytes = message.size() + ATTRIBUTE.len() + "String".len() + note;
        // A closed channel drops the item and with it the sender of the answer, which is noticed below.
        let _closed = self.items.send(Item { key: Arc::clone(url), bytes, entry: pending });
        stored.await.unwrap_or_else(|_| Err(Failure::unanswered())).map(|()| Stored(()))
    }
}

/// The message id under which a message came first, if it has been in quarantine since and was sent back: SQS gives it
/// another one each time.
pub fn first_message_id(message: &Message) -> Option<String> {
    #[derive(Deserialize)]
    struct First {
        message_id: String,
    }
    let note = message.attributes.get(ATTRIBUTE)?.string_value()?;
    serde_json::from_str(note).ok().map(|First { message_id }| message_id)
}

/// The original attributes and the note.
fn with_note(
    message: &Message,
    verdict: &Verdict,
    schema_hash: Option<&str>,
) -> Result<HashMap<String, MessageAttributeValue>, Failure> {
    const MAX_ATTRIBUTES: usize = 10;
    let mut attributes = message.attributes.clone();
    // A note from an earlier quarantine is replaced; its message was sent back as it is.
    attributes.remove(ATTRIBUTE);
    let first = first_message_id(message);
    let folded = if attributes.len() >= MAX_ATTRIBUTES { fold(&mut attributes) } else { None };
    let note = Note {
        reason: verdict.reason.code(),
        detail: &shorten(&verdict.detail),
        schema_hash,
        queue: &message.source.url,
        message_id: first.as_deref().unwrap_or(&message.message_id),
        quarantined_at: DateTime::from(std::time::SystemTime::now()).fmt(DateTimeFormat::DateTime).unwrap_or_default(),
        folded,
    };
    let note = serde_json::to_string(&note).map_err(|error| Failure::invalid_entry(&error))?;
    let value = MessageAttributeValue::builder().data_type("String").string_value(note).build();
    attributes.insert(ATTRIBUTE.to_owned(), value.map_err(|error| Failure::invalid_entry(&error))?);
    Ok(attributes)
}

/// Takes the smallest attribute out, so that the note stays small.
fn fold(attributes: &mut HashMap<String, MessageAttributeValue>) -> Option<Folded> {
    let size = |value: &MessageAttributeValue| {
        value.string_value().map_or(0, str::len) + value.binary_value().map_or(0, |blob| blob.as_ref().len())
    };
    let (_, name) = attributes.iter().map(|(name, value)| (size(value), name.clone())).min()?;
    let value = attributes.remove(&name)?;
    Some(Folded {
        name,
        data_type: value.data_type().to_owned(),
        string_value: value.string_value().map(str::to_owned),
        binary_value: value.binary_value().map(|blob| BASE64_STANDARD.encode(blob)),
    })
}

/// Cuts a detail to size, and leaves out the characters that SQS refuses.
fn shorten(detail: &str) -> String {
    let allowed = |c: &char| !matches!(c, '\u{0}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}');
    let mut text: String = detail.chars().filter(allowed).collect();
    if text.len() > MAX_DETAIL {
        let end = (0..=MAX_DETAIL).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    text
}

/// Sends one batch and answers every message of it. The SDK tries the call again; an entry that fails leaves its
/// original on the source, which tries again later.
async fn send(sqs: aws_sdk_sqs::Client, metrics: Arc<Metrics>, url: Arc<str>, pending: Vec<Pending>) {
    let mut failures = match call(&sqs, &metrics, &url, &pending).await {
        Ok(failures) => failures,
        Err(failure) => (0..pending.len()).map(|index| (index, failure.clone())).collect(),
    };
    for (index, pending) in pending.into_iter().enumerate() {
        let answer = failures.remove(&index).map_or(Ok(()), Err);
        // Nobody waits for it any more: the drain timed out.
        let _gone = pending.verdict.send(answer);
    }
}

async fn call(
    sqs: &aws_sdk_sqs::Client,
    metrics: &Metrics,
    url: &str,
    pending: &[Pending],
) -> Result<HashMap<usize, Failure>, Failure> {
    let fifo = url.ends_with(".fifo");
    let mut request = sqs.send_message_batch().queue_url(url);
    for (index, message) in pending.iter().enumerate() {
        let entry = SendMessageBatchRequestEntry::builder()
            .id(index.to_string())
            .message_body(&message.body)
            .set_message_attributes(Some(message.attributes.clone()))
            .set_message_group_id(fifo.then(|| message.group.clone()))
            .set_message_deduplication_id(fifo.then(|| message.deduplication_id.clone()))
            .build();
        request = request.entries(entry.map_err(|error| Failure::invalid_entry(&error))?);
    }
    let answer = request.send().await;
    let bytes = pending.iter().map(|message| crate::receive::size(&message.body, &message.attributes)).sum();
    metrics.transfer("sqs", "SendMessageBatch", answer.is_ok().then_some(bytes), None);
    let answer = answer.map_err(|error| Failure::of_call(&error))?;
    let mut failures: HashMap<usize, Failure> = (0..pending.len()).map(|i| (i, Failure::unanswered())).collect();
    for entry in answer.successful() {
        if let Ok(index) = entry.id().parse() {
            failures.remove(&index);
        }
    }
    failures.extend(Failure::of_entries(answer.failed()));
    Ok(failures)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Reason;
    use crate::receive::Source;

    fn message(attributes: usize) -> Message {
        let values: Vec<(String, String)> = (0..attributes).map(|n| (format!("a{n}"), "x".repeat(10 - n))).collect();
        let attributes: Vec<(&str, &str)> = values.iter().map(|(name, value)| (&**name, &**value)).collect();
        Message::for_tests(Source::for_tests(), "CAE=", &attributes, None)
    }

    fn note(attributes: &HashMap<String, MessageAttributeValue>) -> serde_json::Value {
        serde_json::from_str(attributes[ATTRIBUTE].string_value().unwrap()).unwrap()
    }

    #[test]
    fn one_attribute_is_added_and_the_others_stay() {
        let attributes = with_note(&message(9), &Reason::UnknownType.because("x.Y"), Some("abc")).unwrap();
        assert_eq!(attributes.len(), 10);
        let note = note(&attributes);
        assert_eq!(
            (&note["reason"], &note["detail"], &note["schema_hash"]),
            (&"unknown_type".into(), &"x.Y".into(), &"abc".into())
        );
        assert_eq!(note.get("folded"), None);
    }

    #[test]
    fn of_ten_attributes_the_smallest_is_folded_into_the_note() {
        let attributes = with_note(&message(10), &Reason::BadEnvelope.because("x"), None).unwrap();
        assert_eq!(attributes.len(), 10);
        assert!(!attributes.contains_key("a9"));
        let folded = &note(&attributes)["folded"];
        assert_eq!(*folded, serde_json::json!({"name": "a9", "data_type": "String", "string_value": "x"}));
    }

    #[test]
    fn a_note_keeps_the_id_under_which_the_message_came_first() {
        let mut message = message(1);
        assert_eq!(first_message_id(&message), None);
        message.attributes = with_note(&message, &Reason::UnknownType.because("x.Y"), None).unwrap();
        // What SQS makes of it when it is sent back.
        message.message_id = "m-2".to_owned();
        assert_eq!(first_message_id(&message).as_deref(), Some("m-1"));
        let again = with_note(&message, &Reason::UnknownType.because("x.Y"), None).unwrap();
        assert_eq!(note(&again)["message_id"], "m-1");
        message.attributes = [(ATTRIBUTE.to_owned(), "not ours")]
            .map(|(name, text)| {
                let value = MessageAttributeValue::builder().data_type("String").string_value(text).build();
                (name, value.unwrap())
            })
            .into();
        assert_eq!(first_message_id(&message), None);
    }

    #[test]
    fn a_detail_is_cut_to_size_and_cleaned() {
        assert_eq!(shorten("a\u{1}b\u{ffff}c"), "abc");
        assert!(shorten(&"ü".repeat(2_000)).len() <= MAX_DETAIL + '…'.len_utf8());
    }
}
