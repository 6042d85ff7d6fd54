//! How much is on the queues, asked for every now and then.
//!
//! Why it matters: a standard queue has a limit of messages in flight, over all of its consumers, and past it a long poll
//! is simply empty. That looks just like a quiet queue, unless somebody asks.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_sqs::types::QueueAttributeName as Name;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{debug, warn};

use super::Source;
use crate::aws::{Failure, Kind};
use crate::telemetry::{Metrics, Seldom};

/// Messages in flight that SQS allows a queue (Amazon SQS developer guide, message quotas).
const MOST_IN_FLIGHT: u64 = 120_000;

/// Watches queues.
#[derive(Debug)]
pub struct Depth {
    sqs: aws_sdk_sqs::Client,
    metrics: Arc<Metrics>,
    /// Queues that may be asked about.
    sources: Vec<Arc<Source>>,
    log: Seldom,
}

impl Depth {
    /// Watches these queues.
    pub fn new(sqs: aws_sdk_sqs::Client, metrics: Arc<Metrics>, sources: Vec<Arc<Source>>) -> Self {
        Self { sqs, metrics, sources, log: Seldom::new(Duration::from_secs(60)) }
    }

    /// Asks every `period`, for as long as the future is polled.
    pub async fn watch(mut self, period: Duration) {
        let mut tick = interval(period);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            for source in std::mem::take(&mut self.sources) {
                match self.ask(&source).await {
                    Ok(counts) => self.show(&source, &counts),
                    Err(failure) if failure.kind == Kind::Denied => {
                        self.forget(&source);
                        warn!(%failure, queue = source.label, "may not ask how much is on the queue (sqs:GetQueueAttributes); going on without");
                        continue;
                    }
                    Err(failure) => {
                        self.forget(&source);
                        debug!(%failure, queue = source.label, "could not ask how much is on the queue");
                    }
                }
                self.sources.push(source);
            }
        }
    }

    async fn ask(&self, source: &Source) -> Result<HashMap<Name, u64>, Failure> {
        let request = self.sqs.get_queue_attributes().queue_url(&*source.url);
        let answer =
            STATES.iter().fold(request, |request, (name, _)| request.attribute_names(name.clone())).send().await;
        self.metrics.call("sqs", "GetQueueAttributes", answer.is_ok());
        let attributes = answer.map_err(|error| Failure::of_call(&error))?.attributes.unwrap_or_default();
        Ok(attributes.into_iter().filter_map(|(name, value)| Some((name, value.parse().ok()?))).collect())
    }

    /// An old answer is no answer: a queue that has been drained since would look as if nobody received from it.
    fn forget(&self, source: &Source) {
        for (_, state) in STATES {
            self.metrics.queue_messages.with(&[&source.label, state]).forget();
        }
        self.metrics.queue_full.with(&[&source.label]).forget();
    }

    fn show(&self, source: &Source, counts: &HashMap<Name, u64>) {
        for (name, state) in STATES {
            if let Some(count) = counts.get(&name) {
                self.metrics.queue_messages.with(&[&source.label, state]).set(*count);
            }
        }
        let in_flight = counts.get(&Name::ApproximateNumberOfMessagesNotVisible).copied().unwrap_or(0);
        let is_full = in_flight >= MOST_IN_FLIGHT;
        self.metrics.queue_full.with(&[&source.label]).set(u64::from(is_full));
        if is_full && let Some(kept_back) = self.log.turn() {
            warn!(
                queue = source.label,
                in_flight,
                limit = MOST_IN_FLIGHT,
                kept_back,
                "the queue has as many messages in flight as SQS allows; until some are deleted, polls come back empty"
            );
        }
    }
}

const STATES: [(Name, &str); 3] = [
    (Name::ApproximateNumberOfMessages, "visible"),
    (Name::ApproximateNumberOfMessagesNotVisible, "in_flight"),
    (Name::ApproximateNumberOfMessagesDelayed, "delayed"),
];
