//! What AWS counts of the calls of one run of the service: the requests that it bills, and the calls that it throttles.
//!
//! The counts are made from the calls and the answers on the wire. A call counts when its answer reaches the service, so
//! a poll that the service drops does not count.

use std::collections::BTreeMap;

use serde_json::Value;

use super::lookups::Lookup;
use super::wire::{Answer, Call, Form, Input};
use super::{sns, sqs};

/// What AWS counted for one run of the service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Bill {
    /// The calls by service, operation, and whether the topic or the queue is FIFO.
    pub(crate) calls: BTreeMap<(String, String, bool), Billed>,
    /// The messages in calls to publish.
    pub(crate) attempted: u64,
    /// The messages that SNS accepted.
    pub(crate) accepted: u64,
    /// The messages that SNS throttled.
    pub(crate) throttled: u64,
    /// The calls to publish that SNS throttled, sorted.
    pub(crate) throttles: Vec<ThrottledCall>,
}

/// The calls of one kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Billed {
    pub(crate) calls: u64,
    pub(crate) empty: u64,
    pub(crate) failed: u64,
    pub(crate) throttled: u64,
    pub(crate) entries: u64,
    pub(crate) bytes: u64,
    pub(crate) units_per_call: u64,
    pub(crate) units_per_entry: u64,
}

/// A call to publish that SNS throttled, as a whole or in part.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ThrottledCall {
    pub(crate) request_id: Option<String>,
    pub(crate) topic: String,
    pub(crate) code: String,
    pub(crate) messages: u64,
    pub(crate) whole_call: bool,
}

/// A call that is under way, as far as it is billed.
#[derive(Debug)]
pub(super) struct Request {
    service: &'static str,
    operation: String,
    /// The queue or the topic.
    place: String,
    /// The sizes of the entries, or of none if their answer has them.
    sizes: Vec<usize>,
}

impl Request {
    /// Returns what is billed of a call; `None` if it is not a call of AWS.
    pub(super) fn of(call: &Call) -> Option<Self> {
        let (service, operation) = match &call.input {
            Input::Sqs(_) => ("sqs", &*call.operation),
            Input::Sns(_) => ("sns", &*call.operation),
            Input::Lookup(Lookup::Object { .. }) => ("s3", "GetObject"),
            Input::Lookup(Lookup::Put(_)) => ("s3", "PutObject"),
            Input::Lookup(Lookup::Schema(_)) => return None,
        };
        let (place, sizes) = match &call.input {
            Input::Sqs(input) => {
                let size = |entry: &super::wire::SqsEntry| sqs::size(&entry.message_body, &entry.message_attributes);
                (&*input.queue_url, input.entries.iter().map(size).collect())
            }
            Input::Sns(form) => (form.text("TopicArn"), entries(form).iter().map(sns::size).collect()),
            Input::Lookup(Lookup::Put(put)) => ("", vec![put.content.len()]),
            Input::Lookup(_) => ("", Vec::new()),
        };
        Some(Self { service, operation: operation.to_owned(), place: place.to_owned(), sizes })
    }
}

fn entries(form: &Form) -> &[Form] {
    form.list("PublishBatchRequestEntries.member")
}

impl Bill {
    /// Counts a call that the connection ended without an answer.
    pub(super) fn reset(&mut self, request: &Request) {
        self.attempt(request);
        self.of(request).failed += 1;
    }

    /// Counts an answered call.
    pub(super) fn answered(&mut self, request: Request, answer: &Answer, request_id: Option<&str>) {
        self.attempt(&request);
        let throttles = answer.codes().into_iter().filter(|code| is_throttle(code));
        let throttles: Vec<String> = throttles.map(str::to_owned).collect();
        if answer.is_error() {
            let billed = self.of(&request);
            billed.failed += 1;
            billed.throttled += throttles.len() as u64;
        } else {
            let sizes = match &*request.operation {
                "ReceiveMessage" => received(&answer.body),
                "GetObject" => vec![answer.body.len()],
                _ => request.sizes.clone(),
            };
            let by_size = matches!(&*request.operation, "ReceiveMessage" | "SendMessageBatch" | "PublishBatch");
            let units = |bytes: usize| if by_size { bytes.div_ceil(65_536).max(1) as u64 } else { 1 };
            let bytes = sizes.iter().sum();
            let per_entry: u64 = if by_size { sizes.iter().map(|size| units(*size)).sum() } else { 1 };
            let billed = self.of(&request);
            billed.calls += 1;
            billed.empty += u64::from(request.operation == "ReceiveMessage" && sizes.is_empty());
            billed.entries += sizes.len() as u64;
            billed.bytes += bytes as u64;
            billed.units_per_call += units(bytes);
            billed.units_per_entry += per_entry.max(1);
        }
        if request.operation == "PublishBatch" {
            self.published(request, answer, throttles, request_id);
        }
    }

    fn published(&mut self, request: Request, answer: &Answer, throttles: Vec<String>, request_id: Option<&str>) {
        self.accepted += answer.body.matches("<MessageId>").count() as u64;
        let Some(code) = throttles.first().cloned() else { return };
        let whole_call = answer.is_error();
        let messages = if whole_call { request.sizes.len() } else { throttles.len() } as u64;
        self.throttled += messages;
        let request_id = request_id.map(str::to_owned);
        self.throttles.push(ThrottledCall { request_id, topic: request.place, code, messages, whole_call });
        self.throttles.sort();
    }

    fn attempt(&mut self, request: &Request) {
        if request.operation == "PublishBatch" {
            self.attempted += request.sizes.len() as u64;
        }
    }

    fn of(&mut self, request: &Request) -> &mut Billed {
        let key = (request.service.to_owned(), request.operation.clone(), request.place.ends_with(".fifo"));
        self.calls.entry(key).or_default()
    }
}

/// Returns the sizes of the messages in an answer to a receive.
fn received(body: &str) -> Vec<usize> {
    let answer: Value = serde_json::from_str(body).expect("the model writes JSON");
    let messages = answer["Messages"].as_array().cloned().unwrap_or_default();
    let size = |message: &Value| {
        sqs::size(message["Body"].as_str().expect("a message has a body"), &message["MessageAttributes"])
    };
    messages.iter().map(size).collect()
}

pub(super) fn is_throttle(code: &str) -> bool {
    code.contains("Throttl") || matches!(code, "OverLimit" | "SlowDown")
}
