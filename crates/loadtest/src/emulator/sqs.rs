//! The operations of SQS.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::timeout_at;

use super::answer::Answer;
use super::clock::Micros;
use super::queue::{ReceiptHandle, ReceivedMessage};
use super::state::Emulator;
use crate::events;
use crate::totals::Carried;

const SECOND: Micros = 1_000_000;
/// The visibility timeout for receives that do not set one.
const DEFAULT_VISIBILITY_SECONDS: u64 = 30;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ReceiveRequest {
    #[serde(default)]
    max_number_of_messages: Option<usize>,
    #[serde(default)]
    wait_time_seconds: u64,
    #[serde(default)]
    visibility_timeout: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct BatchRequest<'b> {
    #[serde(borrow)]
    entries: Vec<BatchEntry<'b>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct BatchEntry<'b> {
    id: &'b str,
    #[serde(default)]
    receipt_handle: &'b str,
    #[serde(default)]
    visibility_timeout: u64,
    #[serde(default)]
    message_body: Value,
    #[serde(default)]
    message_attributes: Value,
}

impl Emulator {
    /// Answers a call.
    pub(super) async fn sqs(&self, operation: &str, body: &[u8]) -> Answer {
        let fails = self.state().faults.call_fails();
        let nothing = Carried::default();
        let (answer, carried) = match operation {
            _ if fails => (error(503, "ServiceUnavailable", "this call fails on purpose"), nothing),
            "ReceiveMessage" => match serde_json::from_slice(body) {
                Ok(receive) => self.receive(&receive).await,
                Err(wrong) => (malformed(&wrong), nothing),
            },
            "DeleteMessageBatch" | "ChangeMessageVisibilityBatch" | "SendMessageBatch" => {
                match serde_json::from_slice::<BatchRequest<'_>>(body) {
                    Ok(batch) => self.batch(operation, &batch.entries),
                    Err(wrong) => (malformed(&wrong), nothing),
                }
            }
            "GetQueueAttributes" => (self.attributes(), nothing),
            "GetQueueUrl" => (Answer::json(200, json!({"QueueUrl": "http://127.0.0.1/1/events"}).to_string()), nothing),
            other => (error(400, "InvalidAction", other), nothing),
        };
        self.count(operation, &answer, carried);
        answer
    }

    /// Waits until a message is visible or the wait time is over.
    async fn receive(&self, receive: &ReceiveRequest) -> (Answer, Carried) {
        let most = receive.max_number_of_messages.unwrap_or(1).clamp(1, 10);
        let hide = receive.visibility_timeout.unwrap_or(DEFAULT_VISIBILITY_SECONDS) * SECOND;
        let until = self.now() + receive.wait_time_seconds.min(20) * SECOND;
        let _waiting = WaitingPoll::new(self);
        loop {
            let changed = self.changed.notified();
            let (messages, next) = {
                let (now, state) = (self.now(), &mut *self.state());
                (state.queue.receive(most, hide, now), state.queue.next_change())
            };
            let now = self.now();
            if !messages.is_empty() || now >= until {
                return self.messages(&messages);
            }
            let at = next.map_or(until, |next| next.clamp(now + 1, until));
            // In both cases the loop looks for messages again.
            let _which = timeout_at(self.instant(at), changed).await;
        }
    }

    fn messages(&self, messages: &[ReceivedMessage]) -> (Answer, Carried) {
        let mut carried = Carried::default();
        if messages.is_empty() {
            return (Answer::json(200, "{}".to_owned()), carried);
        }
        let size = self.events.template(messages[0].number).body.len() + 1_200;
        let mut out = String::with_capacity(messages.len() * size);
        out.push_str("{\"Messages\":[");
        for (index, message) in messages.iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            carried.add(self.message(message, &mut out));
        }
        out.push_str("]}");
        (Answer::json(200, out), carried)
    }

    /// Writes a message as SQS does and returns its size as SQS counts it. No part of it but a pointer needs escaping.
    fn message(&self, message: &ReceivedMessage, out: &mut String) -> u64 {
        let number = message.number;
        let template = self.events.template(number);
        let body = match &template.object {
            Some(_) => Cow::Owned(template.body.replace('"', "\\\"")),
            None => Cow::Borrowed(&template.body),
        };
        let mut bytes = template.body.len();
        let (sent, received) = (self.wall_clock(message.sent), self.wall_clock(message.first_received));
        // Writing to a String does not fail.
        let _ = write!(
            out,
            "{{\"MessageId\":\"{}\",\
             \"ReceiptHandle\":\"{HANDLE_PREFIX}{number:012x}{:08x}\",\
             \"MD5OfBody\":\"{}\",\"Body\":\"{}\",\"Attributes\":{{\"SentTimestamp\":\"{sent}\",\
             \"ApproximateFirstReceiveTimestamp\":\"{received}\",\"ApproximateReceiveCount\":\"{}\"}},\
             \"MessageAttributes\":{{",
            events::message_id(number),
            message.receives,
            template.md5,
            body,
            message.receives
        );
        let (id, customer) = (events::event_id(number), events::customer_id(self.events.customer(number)));
        let mut attribute = |name: &str, kind: &str, value: &str| {
            let comma = if name == "message-type" { "" } else { "," };
            let _ = write!(out, "{comma}\"{name}\":{{\"StringValue\":\"{value}\",\"DataType\":\"{kind}\"}}");
            bytes += name.len() + kind.len() + value.len();
        };
        attribute("message-type", "String", template.message_type);
        attribute("event-id", "String", &id);
        if !self.spec.fan_out {
            // A broadcast event has no customer.
            attribute("customer-id", "String", &customer);
        }
        if let Some(encoding) = template.encoding {
            attribute("content-encoding", "String", encoding);
        }
        if let Some(object) = &template.object {
            attribute("ExtendedPayloadSize", "Number", &object.len().to_string());
        }
        out.push_str("}}");
        bytes as u64
    }

    fn batch(&self, operation: &str, entries: &[BatchEntry<'_>]) -> (Answer, Carried) {
        let (mut successful, mut failed) = (Vec::new(), Vec::new());
        let mut carried =
            if operation == "SendMessageBatch" { Carried::default() } else { Carried::entries(entries.len()) };
        let now = self.now();
        let state = &mut *self.state();
        for entry in entries {
            let id = entry.id;
            let handle = parse_handle(entry.receipt_handle);
            let is_done = match (operation, handle) {
                ("SendMessageBatch", _) => {
                    carried.add(size(entry));
                    let id = entry.message_attributes["event-id"]["StringValue"].as_str();
                    if let Some(number) = id.and_then(|id| events::number(id.as_bytes())) {
                        state.ledger.quarantined(number);
                    }
                    true
                }
                ("DeleteMessageBatch", Some(handle)) => {
                    if let Some(deleted) = state.queue.delete(handle) {
                        state.ledger.deleted(deleted, now);
                        state.replicas.deleted(deleted.number);
                    }
                    true
                }
                (_, Some(handle)) => state.queue.change_visibility(handle, entry.visibility_timeout * SECOND, now),
                (_, None) => false,
            };
            match is_done {
                true => successful.push(json!({"Id": id, "MessageId": "quarantined", "MD5OfMessageBody": ""})),
                false => failed.push(json!({"Id": id, "Code": "ReceiptHandleIsInvalid", "SenderFault": true})),
            }
        }
        if operation == "ChangeMessageVisibilityBatch" {
            self.changed.notify_waiters();
        }
        let answer = Answer::json(200, json!({"Successful": successful, "Failed": failed}).to_string());
        (answer, carried)
    }

    fn attributes(&self) -> Answer {
        let (now, state) = (self.now(), self.state());
        let left = state.queue.sent(now) - state.queue.deleted();
        let in_flight = state.queue.in_flight();
        Answer::json(
            200,
            json!({"Attributes": {
                "QueueArn": "arn:aws:sqs:eu-west-1:000000000000:events",
                "ApproximateNumberOfMessages": (left - in_flight).to_string(),
                "ApproximateNumberOfMessagesNotVisible": in_flight.to_string(),
                "ApproximateNumberOfMessagesDelayed": "0",
            }})
            .to_string(),
        )
    }
}

/// Returns the size of a sent message as SQS counts it. No attribute of the service is binary.
fn size(entry: &BatchEntry<'_>) -> u64 {
    let length = |value: &Value| value.as_str().map_or(0, str::len);
    let attributes = entry.message_attributes.as_object().into_iter().flatten();
    let attributes =
        attributes.map(|(name, value)| name.len() + length(&value["DataType"]) + length(&value["StringValue"]));
    (length(&entry.message_body) + attributes.sum::<usize>()) as u64
}

/// Counts a poll as long as it waits.
struct WaitingPoll<'a>(&'a Emulator);

impl<'a> WaitingPoll<'a> {
    fn new(emulator: &'a Emulator) -> Self {
        emulator.state().waiting_polls += 1;
        Self(emulator)
    }
}

impl Drop for WaitingPoll<'_> {
    fn drop(&mut self) {
        self.0.state().waiting_polls -= 1;
    }
}

/// Makes receipt handles as long as those of SQS, which have about 180 characters.
const HANDLE_PREFIX: &str = "AQEBxLp3Jx8mT0qvXc1r5Zb9uQwKf2sYhD7nG4eVtRaM6iPzC8oWjNlEkHgUyBdS3F0TqAxOvI5LpJmZ\
    rXcVbNhGfDsAqWeRtYuIoPkKjHgFdSaZxCvBnM1234567890QwErTyUiOpAsDfGhJkLz";

/// Parses a receipt handle: the prefix, twelve hexadecimal digits of the event number, then eight of the receive count.
fn parse_handle(text: &str) -> Option<ReceiptHandle> {
    let digits = text.strip_prefix(HANDLE_PREFIX)?;
    let (number, receives) = digits.split_at_checked(12)?;
    Some(ReceiptHandle {
        number: u64::from_str_radix(number, 16).ok()?,
        receives: u32::from_str_radix(receives, 16).ok()?,
    })
}

fn malformed(wrong: &serde_json::Error) -> Answer {
    error(400, "MalformedInput", &wrong.to_string())
}

fn error(status: u16, code: &str, message: &str) -> Answer {
    let body = json!({"__type": format!("com.amazonaws.sqs#{code}"), "message": message});
    Answer::json(status, body.to_string())
}
