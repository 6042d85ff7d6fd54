//! The customers: each reads the own queue, and the demo looks over their shoulders.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tracing::warn;

use super::ledger::{Ledger, Quarantined};
use super::screen::Screen;
use super::stage::{CUSTOMERS, Customer, Stage};
use crate::aws::data_plane::Message;
use crate::aws::{Clients, Failure};
use crate::cli::embedded::Notification;
use crate::message::attributes::QUARANTINE_NOTE;

/// How events are shown as they arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Show {
    Nothing,
    OneLine,
    Pretty,
}

/// How many polls a customer has under way at a time, so that the customers are not what the events wait for.
const READERS: usize = 4;

/// Lets every customer read, until the set of tasks is dropped.
pub(super) fn customers(stage: &Stage, ledger: &Arc<Ledger>, screen: &Screen, show: Show) -> JoinSet<()> {
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

/// One customer's consumer.
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
                Ok(messages) => self.read(messages).await,
                Err(failure) => {
                    warn!(%failure, customer = CUSTOMERS[self.index].id, "the customer cannot receive");
                    sleep(Duration::from_millis(200)).await;
                }
            }
        }
    }

    async fn read(&self, messages: Vec<Message>) {
        let now = Instant::now();
        let events: Vec<Arrived> = messages.iter().filter_map(Arrived::read).collect();
        for event in &events {
            self.ledger.arrived(self.index, &event.id, now);
        }
        // Before anything is shown: a reader of the terminal who takes a while must not make messages come again.
        delete(&self.clients, &self.queue_url, &messages).await;
        if self.show == Show::Nothing {
            return;
        }
        for event in events {
            self.screen.result(event.show(&CUSTOMERS[self.index], self.show)).await;
        }
    }
}

/// An event that arrived.
#[derive(Debug)]
struct Arrived {
    id: String,
    message_type: String,
    json: String,
}

impl Arrived {
    fn read(message: &Message) -> Option<Self> {
        let notification = Notification::parse(message.body.as_deref()?).ok()?;
        let attribute = |name: &str| notification.attribute(name).unwrap_or_default().to_owned();
        Some(Self { id: attribute("event-id"), message_type: attribute("event-type"), json: notification.message })
    }

    fn show(&self, customer: &Customer, show: Show) -> String {
        let (style, id, message_type) = (customer.style(), customer.id, &self.message_type);
        match show {
            Show::Pretty => format!("{style}{id:<8}{style:#}{message_type}\n{}", pretty(&self.json)),
            _ => format!("{style}{id:<8}{style:#}{message_type:<26} {}", self.json),
        }
    }
}

/// Spreads JSON over several lines, and leaves its values as they are written.
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

/// Reads the quarantine until it has given `expected` messages, or nothing for a while.
pub(super) async fn quarantined(stage: &Stage, expected: u64) -> Vec<Quarantined> {
    let messages = empty(stage, &stage.quarantine, expected).await;
    messages.iter().filter_map(Quarantined::read).collect()
}

/// Reads what the service left on the input queue, in the same way. Returns the payloads, in base64.
pub(super) async fn left(stage: &Stage, expected: u64) -> Vec<String> {
    empty(stage, &stage.queue, expected).await.iter().filter_map(payload).collect()
}

async fn empty(stage: &Stage, queue_url: &str, expected: u64) -> Vec<Message> {
    /// Longer than a message stays hidden that somebody else has looked at.
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

/// What a producer sent, in base64: to the queue, or to the topic before it.
fn payload(message: &Message) -> Option<String> {
    let body = message.body.as_deref()?;
    Some(Notification::parse(body).map_or_else(|_| body.to_owned(), |notification| notification.message))
}

impl Quarantined {
    fn read(message: &Message) -> Option<Self> {
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
    /// Nobody takes longer to read.
    const HIDDEN_SECONDS: i32 = 30;
    clients.data_plane.receive(queue_url, wait_seconds, HIDDEN_SECONDS).await
}

async fn delete(clients: &Clients, queue_url: &str, messages: &[Message]) {
    let handles: Vec<&str> = messages.iter().filter_map(|message| message.receipt_handle.as_deref()).collect();
    if handles.is_empty() {
        return;
    }
    if let Err(failure) = clients.data_plane.delete(queue_url, handles.into_iter()).await {
        warn!(%failure, queue_url, "messages that were read cannot be deleted, and will come again");
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_sqs::types::MessageAttributeValue;

    use super::*;

    #[test]
    fn pretty_json_has_the_values_of_the_original_in_the_same_spelling() {
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
    fn an_event_is_shown_with_its_customer_and_type() {
        let event = Arrived { id: "e-1".into(), message_type: "shop.v1.OrderPlaced".into(), json: r#"{"a":1}"#.into() };
        let shown = |show| anstream::adapter::strip_str(&event.show(&CUSTOMERS[0], show)).to_string();
        assert_eq!(shown(Show::OneLine), r#"acme    shop.v1.OrderPlaced        {"a":1}"#);
        assert_eq!(shown(Show::Pretty), "acme    shop.v1.OrderPlaced\n{\n  \"a\": 1\n}");
    }

    #[test]
    fn what_is_in_quarantine_says_why_and_what_was_sent() {
        let note = r#"{"reason":"malformed_protobuf","detail":"?","queue":"q","message_id":"m-1"}"#;
        let note = MessageAttributeValue::builder().data_type("String").string_value(note).build().unwrap();
        for body in ["CAE=", r#"{"Type":"Notification","TopicArn":"t","Message":"CAE="}"#] {
            let message_attributes = [(QUARANTINE_NOTE.to_owned(), note.clone())].into();
            let message = Message { body: Some(body.into()), message_attributes, ..Message::default() };
            let read = Quarantined::read(&message).unwrap();
            assert_eq!((&*read.body, &*read.reason, &*read.message_id), ("CAE=", "malformed_protobuf", "m-1"));
        }
    }
}
