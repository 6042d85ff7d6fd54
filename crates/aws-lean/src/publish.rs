//! The wire format of SNS PublishBatch: form fields in the request, XML in the answer
//! (<https://docs.aws.amazon.com/sns/latest/api/API_PublishBatch.html>).

use std::fmt::Write as _;

use crate::Failure;
use crate::answer::Answer;
use crate::form::escape_into;
use crate::publish_answer::{self, SuccessfulEntry};

/// An estimate of the bytes that the field names of one entry take, and likewise those of one attribute.
const NAMES: usize = 256;

/// One entry of a [`publish`](crate::LeanClient::publish). It borrows everything, so building it allocates nothing.
///
/// `A` iterates over the message attributes.
#[derive(Debug, Clone, Copy)]
pub struct PublishEntry<'e, A> {
    /// The message.
    pub body: &'e str,
    /// The message attributes, in the order in which they are written.
    pub attributes: A,
    /// The message group: required on FIFO topics.
    pub group: Option<&'e str>,
    /// The deduplication id, for FIFO topics.
    pub deduplication_id: Option<&'e str>,
}

/// One message attribute, whose value is text.
#[derive(Debug, Clone, Copy)]
pub struct PublishAttribute<'e> {
    /// The name.
    pub name: &'e str,
    /// The data type: `String`, or `Number` for a value of digits.
    pub data_type: &'static str,
    /// The value.
    pub value: &'e str,
}

impl<'e, A: Iterator<Item = PublishAttribute<'e>> + Clone> PublishEntry<'e, A> {
    /// Estimates the bytes that the entry takes in the form.
    fn room(&self) -> usize {
        let attribute = |PublishAttribute { name, data_type, value }: PublishAttribute<'_>| {
            2 * (name.len() + data_type.len() + value.len()) + NAMES
        };
        2 * self.body.len() + NAMES + self.attributes.clone().map(attribute).sum::<usize>()
    }
}

/// What SNS says about an entry that it accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// The id that SNS gave to the message. Empty if SNS does not mention it.
    pub message_id: String,
    /// The sequence number that SNS gave to the message, of 20 digits. The numbers of one message group grow, with gaps.
    /// `None` on a topic that is not FIFO.
    pub sequence_number: Option<String>,
}

/// Writes the form of one call. The id of an entry is its index.
pub(crate) fn form<'e, A>(topic: &str, entries: impl Iterator<Item = PublishEntry<'e, A>> + Clone) -> Vec<u8>
where
    A: Iterator<Item = PublishAttribute<'e>> + Clone,
{
    let mut form = Vec::with_capacity(NAMES + entries.clone().map(|entry| entry.room()).sum::<usize>());
    form.extend_from_slice(b"Action=PublishBatch&Version=2010-03-31&TopicArn=");
    escape_into(&mut form, topic);
    let (mut prefix, mut id) = (String::new(), String::new());
    for (index, entry) in entries.enumerate() {
        id.clear();
        prefix.clear();
        // Writing to a `String` cannot fail.
        let _ = write!(id, "{index}");
        let _ = write!(prefix, "&PublishBatchRequestEntries.member.{}.", index + 1);
        field(&mut form, &prefix, "Id", &id);
        field(&mut form, &prefix, "Message", entry.body);
        let entry_prefix = prefix.len();
        for (index, PublishAttribute { name, data_type, value }) in entry.attributes.enumerate() {
            let _ = write!(prefix, "MessageAttributes.entry.{}.", index + 1);
            field(&mut form, &prefix, "Name", name);
            field(&mut form, &prefix, "Value.DataType", data_type);
            field(&mut form, &prefix, "Value.StringValue", value);
            prefix.truncate(entry_prefix);
        }
        if let Some(id) = entry.deduplication_id {
            field(&mut form, &prefix, "MessageDeduplicationId", id);
        }
        if let Some(group) = entry.group {
            field(&mut form, &prefix, "MessageGroupId", group);
        }
    }
    form
}

/// Appends one field. Only its value needs encoding.
fn field(form: &mut Vec<u8>, prefix: &str, name: &str, value: &str) {
    form.extend_from_slice(prefix.as_bytes());
    form.extend_from_slice(name.as_bytes());
    form.push(b'=');
    escape_into(form, value);
}

/// Returns the result of each entry of a call, in their order: the ids that SNS gave to its message, or its failure with
/// the request id of the call. `entries` is the number of entries that were sent. An entry that the answer does not
/// mention has failed, and so has one that it mentions as both.
///
/// # Errors
/// Returns an error if the whole call failed or its answer cannot be read.
pub(crate) fn outcome(answer: &Answer, entries: usize) -> Result<Vec<Result<Published, Failure>>, Failure> {
    if !answer.is_success() {
        return Err(sns_failure(answer));
    }
    let read = publish_answer::read(&answer.body).map_err(|error| answer.unreadable(error))?;
    let mut results: Vec<Option<Result<Published, Failure>>> = (0..entries).map(|_| None).collect();
    for entry in read.successful {
        if let Some(result) = entry.index.and_then(|index| results.get_mut(index)) {
            let SuccessfulEntry { message_id, sequence_number, .. } = entry;
            *result = Some(Ok(Published { message_id, sequence_number }));
        }
    }
    for entry in read.failed {
        if let Some(result) = entry.id.parse().ok().and_then(|index: usize| results.get_mut(index)) {
            let failure = Failure::of_entry(&entry.code, entry.message.as_deref(), entry.sender_fault);
            *result = Some(Err(failure));
        }
    }
    let request_id = answer.request_id().or(read.request_id.as_deref());
    let with_request_id = |failure| Failure { request_id: request_id.map(str::to_owned), ..failure };
    let result =
        |result: Option<Result<_, _>>| result.unwrap_or_else(|| Err(Failure::unanswered())).map_err(with_request_id);
    Ok(results.into_iter().map(result).collect())
}

/// Reads the failure of a call to SNS.
fn sns_failure(answer: &Answer) -> Failure {
    let error = publish_answer::read_error(&answer.body);
    answer.failure(error.code.as_deref(), error.message.as_deref(), error.request_id.as_deref())
}
