//! The customers of the demo. Each reads its queue, prints the events, and records them in the ledger.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tracing::warn;

use super::ledger::{Ledger, Quarantined};
use super::screen::{self, Screen};
use super::stage::{CUSTOMERS, Customer, Stage};
use crate::aws::{Clients, Failure};
use crate::cli::embedded::Notification;
use crate::message::attributes::{QUARANTINE_NOTE, REPLAY};
use aws_lean::Message;

/// How events are printed when they arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Show {
    Nothing,
    OneLine,
    Pretty,
}

/// The number of concurrent polls per customer: enough that the customers do not limit the rate of the demo.
const READERS: usize = 4;

/// Starts the tasks of all customers. Dropping the returned set stops them.
pub(super) fn start_customers(stage: &Stage, ledger: &Arc<Ledger>, screen: &Screen, show: Show) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for (index, inbox) in stage.inboxes.iter().enumerate() {
        for _ in 0..READERS {
            let reader = Reader {
                index,
                queue_url: inbox.queue_url.clone(),
                clients: stage.clients.clone(),
                ledger: Arc::clone(ledger),
                screen: screen.clone(),
                show,
            };
            tasks.spawn(reader.run());
        }
    }
    tasks
}

/// A task that polls the queue of one customer.
#[derive(Debug)]
struct Reader {
    index: usize,
    queue_url: String,
    clients: Clients,
    ledger: Arc<Ledger>,
    screen: Screen,
    show: Show,
}

impl Reader {
    async fn run(self) {
        loop {
            match receive(&self.clients, &self.queue_url, 20).await {
                Ok(messages) => self.process(messages).await,
                Err(failure) => {
                    warn!(%failure, customer = CUSTOMERS[self.index].id, "failed to receive from the queue of a customer");
                    sleep(Duration::from_millis(200)).await;
                }
            }
        }
    }

    async fn process(&self, messages: Vec<Message>) {
        let now = Instant::now();
        let events: Vec<ReceivedEvent> = messages.iter().filter_map(ReceivedEvent::parse).collect();
        for event in &events {
            if event.is_replayed {
                self.ledger.record_replayed();
            } else {
                self.ledger.record_arrival(self.index, &event.id, now);
            }
        }
        // Delete before printing: a slow terminal must not let the visibility timeout end.
        delete(&self.clients, &self.queue_url, &messages).await;
        if self.show == Show::Nothing {
            return;
        }
        for event in events {
            let text = event.show(&CUSTOMERS[self.index], self.show, screen::columns());
            self.screen.result(text).await;
        }
    }
}

/// An event that a customer received.
#[derive(Debug)]
struct ReceivedEvent {
    id: String,
    message_type: String,
    json: String,
    /// Whether a replay published the event.
    is_replayed: bool,
}

impl ReceivedEvent {
    /// Reads a message in either form: the user can switch raw delivery on for the queue of a customer.
    fn parse(message: &Message) -> Option<Self> {
        let body = message.body.as_deref()?;
        if let Some(id) = message.message_attributes.get("event-id") {
            let attribute = |name| message.message_attributes.get(name)?.string_value();
            let message_type = attribute("event-type").unwrap_or_default().to_owned();
            let (id, is_replayed) = (id.string_value()?.to_owned(), attribute(REPLAY).is_some());
            return Some(Self { id, message_type, json: body.to_owned(), is_replayed });
        }
        let notification = Notification::parse(body).ok()?;
        let attribute = |name: &str| notification.attribute(name).unwrap_or_default().to_owned();
        let (id, message_type) = (attribute("event-id"), attribute("event-type"));
        let is_replayed = notification.attribute(REPLAY).is_some();
        Some(Self { id, message_type, json: notification.message, is_replayed })
    }

    /// Returns the text that is printed for the event. A line is cut at the width of the terminal, if there is one.
    fn show(&self, customer: &Customer, show: Show, columns: Option<usize>) -> String {
        const ID_COLUMNS: usize = 8;
        let (style, id, Self { message_type, json, .. }) = (customer.style(), customer.id, self);
        let head = format!("{style}{id:<ID_COLUMNS$}{style:#}");
        if show == Show::Pretty {
            return format!("{head}{message_type}\n{}", pretty(json));
        }
        let line = format!("{message_type:<26} {json}");
        let line = columns.map_or((&*line).into(), |columns| screen::fit(&line, columns.saturating_sub(ID_COLUMNS)));
        head + &line
    }
}

/// Indents JSON, and keeps every value exactly as it is written.
fn pretty(json: &str) -> String {
    let mut text = String::with_capacity(json.len() * 2);
    let mut depth = 0;
    let (mut in_string, mut escaped) = (false, false);
    let new_line = |text: &mut String, depth: usize| {
        text.push('\n');
        text.push_str(&"  ".repeat(depth));
    };
    let mut rest = json.chars().peekable();
    while let Some(c) = rest.next() {
        if in_string {
            text.push(c);
            in_string = escaped || c != '"';
            escaped = !escaped && c == '\\';
            continue;
        }
        match c {
            '{' | '[' => {
                text.push(c);
                if let Some(close) = rest.next_if(|c| matches!(c, '}' | ']')) {
                    text.push(close);
                } else {
                    depth += 1;
                    new_line(&mut text, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                new_line(&mut text, depth);
                text.push(c);
            }
            ',' => {
                text.push(c);
                new_line(&mut text, depth);
            }
            ':' => text.push_str(": "),
            _ => {
                in_string = c == '"';
                text.push(c);
            }
        }
    }
    text
}

/// Receives and deletes the messages on the quarantine queue, until there are `expected` messages or the queue stays
/// empty for a while.
pub(super) async fn drain_quarantine(stage: &Stage, expected: u64) -> Vec<Quarantined> {
    let messages = drain(stage, &stage.quarantine, expected).await;
    messages.iter().filter_map(Quarantined::parse).collect()
}

/// Like [`drain_quarantine`], for the messages that the service left on the input queue. Returns their payloads in
/// base64.
pub(super) async fn drain_input_queue(stage: &Stage, expected: u64) -> Vec<String> {
    drain(stage, &stage.queue, expected).await.iter().filter_map(payload).collect()
}

async fn drain(stage: &Stage, queue_url: &str, expected: u64) -> Vec<Message> {
    /// Longer than the visibility timeout of a message that the user has received, for example with the AWS CLI.
    const PATIENCE: Duration = Duration::from_secs(35);
    let mut found = Vec::new();
    let mut waiting_since = Instant::now();
    while (found.len() as u64) < expected && waiting_since.elapsed() < PATIENCE {
        let messages = receive(&stage.clients, queue_url, 1).await.unwrap_or_default();
        if !messages.is_empty() {
            waiting_since = Instant::now();
        }
        delete(&stage.clients, queue_url, &messages).await;
        found.extend(messages);
    }
    found
}

/// Returns the payload in base64, whether the producer sent the event to the queue or through the topic.
fn payload(message: &Message) -> Option<String> {
    let body = message.body.as_deref()?;
    Some(Notification::parse(body).map_or_else(|_| body.to_owned(), |notification| notification.message))
}

impl Quarantined {
    fn parse(message: &Message) -> Option<Self> {
        #[derive(Deserialize)]
        struct Note {
            reason: String,
            message_id: String,
        }
        let note = message.message_attributes.get(QUARANTINE_NOTE)?;
        let note: Note = serde_json::from_str(note.string_value()?).ok()?;
        Some(Self { body: payload(message)?, reason: note.reason, message_id: note.message_id })
    }
}

async fn receive(clients: &Clients, queue_url: &str, wait_seconds: i32) -> Result<Vec<Message>, Failure> {
    /// Reading and deleting a message never takes longer.
    const VISIBILITY_TIMEOUT_SECONDS: i32 = 30;
    clients.lean.receive(queue_url, wait_seconds, VISIBILITY_TIMEOUT_SECONDS).await
}

async fn delete(clients: &Clients, queue_url: &str, messages: &[Message]) {
    let handles: Vec<&str> = messages.iter().filter_map(|message| message.receipt_handle.as_deref()).collect();
    if handles.is_empty() {
        return;
    }
    if let Err(failure) = clients.lean.delete(queue_url, handles.into_iter()).await {
        warn!(%failure, queue_url, "failed to delete messages; SQS will deliver them again");
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_sqs::types::MessageAttributeValue;

    use super::*;

    #[test]
    fn indented_json_keeps_the_spelling_of_every_value() {
        let json =
            r#"{"id":"a\\\"{,}:","total":{"units":"12","nanos":500000000},"tags":[],"rates":[1.0,-0.0],"none":{}}"#;
        let expected = r#"{
  "id": "a\\\"{,}:",
  "total": {
    "units": "12",
    "nanos": 500000000
  },
  "tags": [],
  "rates": [
    1.0,
    -0.0
  ],
  "none": {}
}"#;
        assert_eq!(pretty(json), expected);
    }

    #[test]
    fn an_event_is_printed_with_its_customer_and_type() {
        let event = ReceivedEvent {
            id: "e-1".into(),
            message_type: "shop.v1.OrderPlaced".into(),
            json: r#"{"a":1}"#.into(),
            is_replayed: false,
        };
        let shown = |show| anstream::adapter::strip_str(&event.show(&CUSTOMERS[0], show, None)).to_string();
        assert_eq!(shown(Show::OneLine), r#"acme    shop.v1.OrderPlaced        {"a":1}"#);
        assert_eq!(shown(Show::Pretty), "acme    shop.v1.OrderPlaced\n{\n  \"a\": 1\n}");
    }

    #[test]
    fn an_event_is_read_from_a_notification_and_from_raw_delivery() {
        let notification = r#"{"Type":"Notification","TopicArn":"t","Message":"{\"a\":1}","MessageAttributes":{
            "event-id":{"Type":"String","Value":"e-1"},"event-type":{"Type":"String","Value":"shop.v1.OrderPlaced"}}}"#;
        let value = |text| MessageAttributeValue::builder().data_type("String").string_value(text).build().unwrap();
        let raw = Message {
            body: Some(r#"{"a":1}"#.into()),
            message_attributes: [("event-id", "e-1"), ("event-type", "shop.v1.OrderPlaced")]
                .map(|(name, text)| (name.to_owned(), value(text)))
                .into(),
            ..Message::default()
        };
        for message in [Message { body: Some(notification.into()), ..Message::default() }, raw] {
            let event = ReceivedEvent::parse(&message).unwrap();
            assert_eq!((&*event.id, &*event.message_type, &*event.json), ("e-1", "shop.v1.OrderPlaced", r#"{"a":1}"#));
        }
    }

    #[test]
    fn a_quarantined_message_has_its_reason_and_the_payload_that_was_sent() {
        let note = r#"{"reason":"malformed_protobuf","detail":"?","queue":"q","message_id":"m-1"}"#;
        let note = MessageAttributeValue::builder().data_type("String").string_value(note).build().unwrap();
        for body in ["CAE=", r#"{"Type":"Notification","TopicArn":"t","Message":"CAE="}"#] {
            let message_attributes = [(QUARANTINE_NOTE.to_owned(), note.clone())].into();
            let message = Message { body: Some(body.into()), message_attributes, ..Message::default() };
            let parsed = Quarantined::parse(&message).unwrap();
            assert_eq!((&*parsed.body, &*parsed.reason, &*parsed.message_id), ("CAE=", "malformed_protobuf", "m-1"));
        }
    }
}
