//! The producer of the demo: sends events to the input queue, a few of them through a topic that feeds the queue.

use std::time::Duration;

use anyhow::{Context as _, bail};
use aws_sdk_sns::types::{MessageAttributeValue as TopicAttribute, PublishBatchRequestEntry};
use aws_sdk_sqs::types::{MessageAttributeValue as QueueAttribute, SendMessageBatchRequestEntry};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use fastrand::Rng;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::stage::{CUSTOMERS, Stage};
use super::{Args, Books};
use crate::aws::Clients;
use crate::aws::MAX_BATCH_ENTRIES;
use crate::cli::embedded::samples::{Sample, Samples};

/// The producer. It decides which event is sent when.
#[derive(Debug)]
pub(super) struct Feed {
    samples: Samples,
    random: Rng,
    rate: u32,
    /// The number of events to send in total.
    events: u64,
    sent: u64,
    next_heartbeat: Instant,
    target: Target,
    books: Books,
}

/// The queue and the topic that events are sent to.
#[derive(Debug, Clone)]
struct Target {
    clients: Clients,
    queue: String,
    topic: String,
}

/// An event in the form in which it is sent.
#[derive(Debug)]
struct Outgoing {
    body: String,
    message_type: String,
    /// The event id as a message attribute, for events whose payload contains none.
    event_id: Option<String>,
}

const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(1);
/// On average, one event in this number is malformed.
const MALFORMED_ONE_IN: u64 = 200;
/// On average, one event in this number is of unknown type.
const UNKNOWN_ONE_IN: u64 = 250;
/// This event, counted from 0, is always malformed, so that a short demo shows one.
const FIRST_MALFORMED: u64 = 13;
/// This event, counted from 0, is always of unknown type.
const FIRST_UNKNOWN: u64 = 17;
/// On average, one event in this number is published to the topic that feeds the queue.
const BY_TOPIC_ONE_IN: u64 = 10;
/// The maximum number of batches that are sent at the same time.
const CONCURRENT_SENDS: usize = 16;
/// The number of events without an outcome from which the producer waits for the service.
const MAX_BACKLOG: u64 = 1_000;

impl Feed {
    pub(super) fn new(args: &Args, stage: &Stage, books: Books) -> Self {
        Self {
            samples: Samples::new(args.seed).with_heartbeat_interval(HEARTBEAT_INTERVAL),
            // A stream of its own: it must not depend on how many random numbers the samples take.
            random: Rng::with_seed(args.seed.rotate_left(32)),
            rate: args.rate,
            events: args.events.unwrap_or(u64::MAX),
            sent: 0,
            next_heartbeat: Instant::now(),
            target: Target {
                clients: stage.clients.clone(),
                queue: stage.queue.clone(),
                topic: stage.input_topic.clone(),
            },
            books,
        }
    }

    /// Sends events until all are sent or `stop` is cancelled.
    ///
    /// # Errors
    /// Returns an error if the queue or the topic refuses an event, which only a bug can cause.
    pub(super) async fn run(mut self, stop: &CancellationToken) -> anyhow::Result<()> {
        let started = Instant::now();
        let mut sends = JoinSet::new();
        while self.sent < self.events {
            let Some(count) = stop.run_until_cancelled(self.wait_for_batch(started)).await else { break };
            let (mut direct, mut by_topic) = (Vec::new(), Vec::new());
            for _ in 0..count {
                let event = self.next_event();
                let list = if self.one_in(BY_TOPIC_ONE_IN) { &mut by_topic } else { &mut direct };
                list.push(event);
            }
            while sends.len() >= CONCURRENT_SENDS {
                check_sent(sends.join_next().await)?;
            }
            let target = self.target.clone();
            sends.spawn(async move {
                target.send(direct).await?;
                target.publish(by_topic).await
            });
        }
        while !sends.is_empty() {
            check_sent(sends.join_next().await)?;
        }
        Ok(())
    }

    /// Waits until events are due, and returns their number.
    async fn wait_for_batch(&self, started: Instant) -> u64 {
        while self.books.backlog() >= MAX_BACKLOG {
            sleep(Duration::from_millis(5)).await;
        }
        let left = self.events - self.sent;
        if self.rate == 0 {
            return left.min(MAX_BATCH_ENTRIES as u64);
        }
        // At most as many events as are due within 50 ms, and at most one full batch.
        let count = u64::from(self.rate / 20).clamp(1, MAX_BATCH_ENTRIES as u64).min(left);
        let due = (self.sent + count) as f64 / f64::from(self.rate);
        sleep_until(started + Duration::from_secs_f64(due)).await;
        count
    }

    fn next_event(&mut self) -> Outgoing {
        let customers = CUSTOMERS.each_ref().map(|customer| customer.id);
        let number = self.sent;
        let sample = if number == FIRST_MALFORMED || self.one_in(MALFORMED_ONE_IN) {
            self.samples.malformed(&customers)
        } else if number == FIRST_UNKNOWN || self.one_in(UNKNOWN_ONE_IN) {
            self.samples.unknown_type(&customers)
        } else if Instant::now() >= self.next_heartbeat {
            self.next_heartbeat += HEARTBEAT_INTERVAL;
            self.samples.heartbeat()
        } else {
            self.samples.next_event(&customers)
        };
        self.sent += 1;
        let outgoing = Outgoing::new(&sample);
        self.books.ledger.record_sent(&sample, &outgoing.body);
        outgoing
    }

    /// Returns true with a probability of one in `count`.
    fn one_in(&mut self, count: u64) -> bool {
        self.random.u64(..count) == 0
    }
}

/// Returns the result of a finished task.
fn check_sent(send: Option<Result<anyhow::Result<()>, tokio::task::JoinError>>) -> anyhow::Result<()> {
    match send {
        Some(sent) => sent.context("sending events failed")?,
        None => Ok(()),
    }
}

impl Outgoing {
    fn new(sample: &Sample) -> Self {
        // Only heartbeats have no customer, and only their payload contains no event id.
        let event_id = sample.customer.is_none().then(|| sample.event_id.clone());
        Self { body: BASE64_STANDARD.encode(&sample.payload), message_type: sample.message_type.clone(), event_id }
    }

    fn attributes(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let event_id = self.event_id.as_deref().map(|id| ("event-id", id));
        [("message-type", self.message_type.as_str())].into_iter().chain(event_id)
    }
}

impl Target {
    /// Sends events to the queue.
    async fn send(&self, events: Vec<Outgoing>) -> anyhow::Result<()> {
        if events.is_empty() {
            return Ok(());
        }
        let mut request = self.clients.sqs.send_message_batch().queue_url(&self.queue);
        for (index, event) in events.iter().enumerate() {
            let mut entry = SendMessageBatchRequestEntry::builder().id(index.to_string()).message_body(&event.body);
            for (name, value) in event.attributes() {
                let value = QueueAttribute::builder().data_type("String").string_value(value).build()?;
                entry = entry.message_attributes(name, value);
            }
            request = request.entries(entry.build()?);
        }
        let answer = request.send().await.context("cannot send events to the queue")?;
        if let Some(refused) = answer.failed().first() {
            bail!("the queue refused an event: {}", refused.message().unwrap_or(refused.code()));
        }
        Ok(())
    }

    /// Publishes events to the topic that feeds the queue.
    async fn publish(&self, events: Vec<Outgoing>) -> anyhow::Result<()> {
        if events.is_empty() {
            return Ok(());
        }
        let mut request = self.clients.sns.publish_batch().topic_arn(&self.topic);
        for (index, event) in events.iter().enumerate() {
            let mut entry = PublishBatchRequestEntry::builder().id(index.to_string()).message(&event.body);
            for (name, value) in event.attributes() {
                let value = TopicAttribute::builder().data_type("String").string_value(value).build()?;
                entry = entry.message_attributes(name, value);
            }
            request = request.publish_batch_request_entries(entry.build()?);
        }
        let answer = request.send().await.context("cannot publish events to the input topic")?;
        if let Some(refused) = answer.failed().first() {
            bail!("the input topic refused an event: {}", refused.message().unwrap_or(refused.code()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::Arc;

    use clap::Parser;

    use super::super::ledger::Ledger;
    use super::*;
    use crate::app::Loaded;
    use crate::cli::embedded::samples::UNKNOWN_TYPE;
    use crate::telemetry::Metrics;

    #[derive(Debug, Parser)]
    struct Demo {
        #[command(flatten)]
        args: Args,
    }

    #[tokio::test]
    async fn the_first_twenty_events_include_a_heartbeat_a_malformed_event_and_one_of_unknown_type() {
        let args = Demo::parse_from(["demo", "--events", "20", "--rate", "0"]).args;
        let stage = Stage::build(&args).await.unwrap();
        let books = Books { ledger: Arc::new(Ledger::new()), metrics: Arc::new(Metrics::new(true)) };
        Feed::new(&args, &stage, books.clone()).run(&CancellationToken::new()).await.unwrap();
        assert_eq!(books.ledger.sent(), 20);

        let events = super::super::watch::drain_input_queue(&stage, 20).await;
        assert_eq!(events.iter().collect::<HashSet<_>>().len(), 20, "each event is on the queue once");
        let loaded = Loaded::load(&stage.config).unwrap();
        assert_eq!(loaded.warnings, []);
        let mut feed = Feed::new(&args, &stage, books);
        let sent: Vec<Outgoing> = (0..20).map(|_| feed.next_event()).collect();
        let is_decodable = |event: &Outgoing| {
            let payload = BASE64_STANDARD.decode(&event.body).unwrap();
            let registry = loaded.registry.current();
            let plan = registry.find(&event.message_type)?.plan(Default::default());
            Some(plan.transcode(&payload, &mut Vec::new()).is_ok())
        };
        assert_eq!(sent[0].message_type, "protobridge.v1.Heartbeat");
        assert_eq!(is_decodable(&sent[13]), Some(false));
        assert_eq!((sent[17].message_type.as_str(), is_decodable(&sent[17])), (UNKNOWN_TYPE, None));
        assert!(sent.iter().all(|event| event.event_id.is_some() == event.message_type.ends_with("Heartbeat")));
    }
}
