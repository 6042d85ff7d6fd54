//! The number of messages on each queue, requested from SQS at an interval.
//!
//! A standard queue has a limit of messages in flight over all of its consumers. Beyond it, a long poll is simply empty,
//! which looks like a quiet queue. Only the queue's attributes tell the two apart.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_sqs::types::QueueAttributeName as Name;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{debug, warn};

use crate::aws::{Failure, FailureKind};
use crate::base::RateLimitedLog;
use crate::message::Queue;
use crate::telemetry::{Metrics, Operation, QueueLabels, QueueMessagesLabels, QueueState};

/// The number of messages in flight that SQS allows per queue (Amazon SQS developer guide, message quotas).
const MAX_IN_FLIGHT: u64 = 120_000;

/// Keeps the gauges of queue depth up to date.
#[derive(Debug)]
pub struct Depth {
    sqs: aws_sdk_sqs::Client,
    metrics: Arc<Metrics>,
    /// The queues whose attributes protobridge is allowed to read.
    queues: Vec<Arc<Queue>>,
    log: RateLimitedLog,
}

impl Depth {
    /// Creates a watch over these queues.
    pub fn new(sqs: aws_sdk_sqs::Client, metrics: Arc<Metrics>, queues: Vec<Arc<Queue>>) -> Self {
        Self { sqs, metrics, queues, log: RateLimitedLog::new(Duration::from_secs(60)) }
    }

    /// Requests the attributes every `period`, for as long as the future is polled.
    pub async fn watch(mut self, period: Duration) {
        let mut tick = interval(period);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            for queue in std::mem::take(&mut self.queues) {
                match self.attributes(&queue).await {
                    Ok(counts) => self.show(&queue, &counts),
                    Err(failure) if failure.kind == FailureKind::Denied => {
                        self.forget(&queue);
                        warn!(%failure, queue = queue.label, "not allowed to read the queue's depth (sqs:GetQueueAttributes); continuing without it");
                        continue;
                    }
                    Err(failure) => {
                        self.forget(&queue);
                        debug!(%failure, queue = queue.label, "failed to read the queue's depth");
                    }
                }
                self.queues.push(queue);
            }
        }
    }

    async fn attributes(&self, queue: &Queue) -> Result<HashMap<Name, u64>, Failure> {
        let request = self.sqs.get_queue_attributes().queue_url(queue.url.as_str());
        let answer =
            STATES.iter().fold(request, |request, (name, _)| request.attribute_names(name.clone())).send().await;
        self.metrics.call(Operation::GetQueueAttributes, answer.is_ok());
        let attributes = answer.map_err(|error| Failure::of_call(&error))?.attributes.unwrap_or_default();
        Ok(attributes.into_iter().filter_map(|(name, value)| Some((name, value.parse().ok()?))).collect())
    }

    /// Removes the queue's gauges. An old value would mislead: a queue that was drained in the meantime would look as if
    /// it still had a backlog.
    fn forget(&self, queue: &Queue) {
        for (_, state) in STATES {
            self.metrics.queue_messages.with(&QueueMessagesLabels { queue: &queue.label, state }).forget();
        }
        self.metrics.queue_full.with(&QueueLabels { queue: &queue.label }).forget();
    }

    fn show(&self, queue: &Queue, counts: &HashMap<Name, u64>) {
        for (name, state) in STATES {
            if let Some(count) = counts.get(&name) {
                self.metrics.queue_messages.with(&QueueMessagesLabels { queue: &queue.label, state }).set(*count);
            }
        }
        let in_flight = counts.get(&Name::ApproximateNumberOfMessagesNotVisible).copied().unwrap_or(0);
        let is_full = in_flight >= MAX_IN_FLIGHT;
        self.metrics.queue_full.with(&QueueLabels { queue: &queue.label }).set(u64::from(is_full));
        if is_full && let Some(suppressed) = self.log.permit() {
            warn!(
                queue = queue.label,
                in_flight,
                limit = MAX_IN_FLIGHT,
                suppressed,
                "the queue has as many messages in flight as SQS allows; polls are empty until some are deleted"
            );
        }
    }
}

/// The attributes that are requested, with the state whose messages each counts.
const STATES: [(Name, QueueState); 3] = [
    (Name::ApproximateNumberOfMessages, QueueState::Visible),
    (Name::ApproximateNumberOfMessagesNotVisible, QueueState::InFlight),
    (Name::ApproximateNumberOfMessagesDelayed, QueueState::Delayed),
];
