//! The other backend: the embedded SQS and SNS of `protobridge demo`, for a second opinion on a drain.
//!
//! A consumer receives from a real queue that is subscribed to the customer's topic, so the arrivals are what a
//! consumer gets. This backend cannot count calls, deletes or receives, supports only one customer here, and cannot
//! inject faults. It keeps all messages in its memory.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use aws_sdk_sqs::types::{
    DeleteMessageBatchRequestEntry, MessageAttributeValue, QueueAttributeName as Name, SendMessageBatchRequestEntry,
};
use protobridge::aws::Clients;
use protobridge::cli::embedded::{Embedded, Notification, setup};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::ledger::{Arrival, Ledger};
use super::stats::Stats;
use super::{ControlCommand, print_line, read_commands};
use crate::events::{self, Events};
use crate::spec::Spec;

/// The number of concurrent senders, and of concurrent consumers.
const CONCURRENCY: u64 = 8;

struct EmbeddedBackend {
    spec: Spec,
    events: Events,
    clients: Clients,
    queue: String,
    arrived: String,
    /// The time at which all events become visible.
    opens: Instant,
    ledger: Mutex<Ledger>,
}

/// Serves until standard input ends. Speaks the same protocol as [`super::run`].
///
/// # Errors
/// Returns an error if the backend cannot start or cannot write an answer.
pub(crate) fn run(spec: Spec) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let embedded = Embedded::start().await?;
        let clients = embedded.clients().await;
        let queue = setup::queue(&clients.sqs, "events").await?;
        setup::queue(&clients.sqs, "quarantine").await?;
        let topic = events::topic(0);
        let name = topic.rsplit(':').next().unwrap_or_default();
        let arrived = setup::topic_with_queue(&clients, name, "arrived").await?.queue_url;
        // Leaves time to send the events and to start the subject.
        let opens = Instant::now() + Duration::from_secs(10 + spec.events / 1_000);
        let backend = EmbeddedBackend {
            events: Events::new(&spec)?,
            ledger: Mutex::new(Ledger::new(&spec)),
            clients,
            queue,
            arrived,
            opens,
            spec,
        };
        let backend = Arc::new(backend);
        backend.send().await?;
        print_line(&embedded.address().port().to_string())?;
        let mut consumers = JoinSet::new();
        for _ in 0..CONCURRENCY {
            consumers.spawn(Arc::clone(&backend).consume());
        }
        let mut commands = read_commands();
        while let Some(command) = commands.recv().await {
            if command == ControlCommand::Start {
                sleep_until(backend.opens).await;
            }
            print_line(&serde_json::to_string(&backend.stats().await?)?)?;
            if let Some(ended) = consumers.try_join_next() {
                ended??;
            }
        }
        Ok(())
    })
}

impl EmbeddedBackend {
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends all events with a delay that ends when the queue opens.
    async fn send(self: &Arc<Self>) -> anyhow::Result<()> {
        let mut senders = JoinSet::new();
        for sender in 0..CONCURRENCY {
            let this = Arc::clone(self);
            senders.spawn(async move {
                let mut batch = Vec::with_capacity(10);
                for number in (sender..this.spec.events).step_by(CONCURRENCY as usize) {
                    batch.push(this.message(number, batch.len())?);
                    if batch.len() == 10 {
                        this.send_batch(std::mem::take(&mut batch)).await?;
                    }
                }
                this.send_batch(batch).await
            });
        }
        while let Some(sent) = senders.join_next().await {
            sent??;
        }
        anyhow::ensure!(
            Instant::now() < self.opens,
            "this machine is too slow to send {} events before the queue opens",
            self.spec.events
        );
        Ok(())
    }

    fn message(&self, number: u64, index: usize) -> anyhow::Result<SendMessageBatchRequestEntry> {
        let template = self.events.template(number);
        let delay = self.opens.saturating_duration_since(Instant::now()).as_secs() as i32;
        let mut message = SendMessageBatchRequestEntry::builder()
            .id(index.to_string())
            .delay_seconds(delay.min(900))
            .message_body(&*template.body);
        for (name, value) in [
            ("message-type", template.message_type),
            ("event-id", &events::event_id(number)),
            ("customer-id", &events::customer_id(0)),
        ] {
            let value = MessageAttributeValue::builder().data_type("String").string_value(value).build()?;
            message = message.message_attributes(name, value);
        }
        Ok(message.build()?)
    }

    async fn send_batch(&self, batch: Vec<SendMessageBatchRequestEntry>) -> anyhow::Result<()> {
        if !batch.is_empty() {
            let request = self.clients.sqs.send_message_batch().queue_url(&self.queue).set_entries(Some(batch));
            let answer = request.send().await?;
            anyhow::ensure!(answer.failed().is_empty(), "the embedded SQS refused {:?}", answer.failed());
        }
        Ok(())
    }

    /// Receives from the customer's queue and records the arrivals.
    async fn consume(self: Arc<Self>) -> anyhow::Result<()> {
        loop {
            let messages = self.clients.lean.receive(&self.arrived, 20, 30).await?;
            let at = self.since_open();
            let mut entries = Vec::new();
            for message in messages {
                let notification = Notification::parse(message.body.as_deref().unwrap_or_default())?;
                let id = notification.attribute("event-id").unwrap_or_default();
                let number = events::number(id.as_bytes()).filter(|number| *number < self.spec.events);
                let is_intact = number.is_some_and(|number| notification.message == self.events.template(number).json);
                let number = number.unwrap_or(u64::MAX / 2);
                let arrival = Arrival { number, customer: 0, is_intact, sent: 0, first_received: None, at, message: 0 };
                self.ledger().arrived(arrival, &self.events);
                let entry = DeleteMessageBatchRequestEntry::builder().id(entries.len().to_string());
                entries.push(entry.set_receipt_handle(message.receipt_handle).build()?);
            }
            if !entries.is_empty() {
                let request = self.clients.sqs.delete_message_batch().queue_url(&self.arrived);
                request.set_entries(Some(entries)).send().await?;
            }
        }
    }

    fn since_open(&self) -> u64 {
        self.opens.elapsed().as_micros() as u64
    }

    async fn stats(&self) -> anyhow::Result<Stats> {
        let request = self.clients.sqs.get_queue_attributes().queue_url(&self.queue).attribute_names(Name::All);
        let attributes = request.send().await?.attributes.context("the queue has no attributes")?;
        let states = [
            Name::ApproximateNumberOfMessages,
            Name::ApproximateNumberOfMessagesNotVisible,
            Name::ApproximateNumberOfMessagesDelayed,
        ];
        let count = |name| attributes.get(name)?.parse::<u64>().ok();
        Ok(Stats {
            elapsed_us: self.since_open(),
            sent: self.spec.events,
            on_queue: states.iter().filter_map(count).sum(),
            // Not known here. The subject has until the queue opens to begin to poll.
            waiting_polls: 1,
            arrived: self.ledger().summary(&self.events),
            ..Stats::default()
        })
    }
}
