//! The attributes of each queue, requested from SQS at an interval: the number of its messages, and its redrive policy.
//!
//! A standard queue has a limit of messages in flight over all of its consumers. Beyond it, a long poll is simply empty,
//! which looks like a quiet queue. Only the queue's attributes tell the two apart.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_sqs::types::QueueAttributeName as Name;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tracing::{debug, warn};

use super::dead_letters::DeadLetters;
use super::redrive::{RedrivePolicy, Schedule, Verdict};
use crate::aws::{Failure, FailureKind};
use crate::base::{Backoff, RateLimitedLog};
use crate::message::Queue;
use crate::telemetry::{Metrics, Operation, QueueLabels, QueueMessagesLabels, QueueState};

/// The number of messages in flight that SQS allows per queue (Amazon SQS developer guide, message quotas).
const MAX_IN_FLIGHT: u64 = 120_000;
/// The pause before a call that was denied is made again: a role can be corrected while the service runs.
const DENIED_PAUSE: Duration = Duration::from_secs(600);
/// Delays between the attempts to read redrive policies, if queue depths are not watched.
const BACKOFF: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(300));

/// Keeps the gauges of queue depth and of redrive policies up to date.
#[derive(Debug)]
pub struct Depth {
    sqs: aws_sdk_sqs::Client,
    metrics: Arc<Metrics>,
    sources: Vec<Source>,
    schedule: Schedule,
    log: RateLimitedLog,
}

/// A queue, with what was found out about its redrive policy.
#[derive(Debug)]
struct Source {
    queue: Arc<Queue>,
    /// The text of the attribute `RedrivePolicy` that was judged last; `None` before the first answer.
    judged: Option<String>,
    dead_letters: Option<DeadLetters>,
    /// When the attributes are requested again after the call was denied.
    denied_until: Option<Instant>,
}

impl Depth {
    /// Creates a watch over these queues. `schedule` is the schedule of the retries that redrive policies must allow.
    pub fn new(sqs: aws_sdk_sqs::Client, metrics: Arc<Metrics>, queues: Vec<Arc<Queue>>, schedule: Schedule) -> Self {
        let source = |queue| Source { queue, judged: None, dead_letters: None, denied_until: None };
        let sources = queues.into_iter().map(source).collect();
        Self { sqs, metrics, sources, schedule, log: RateLimitedLog::new(Duration::from_secs(60)) }
    }

    /// Requests the attributes every `period`, for as long as the future is polled.
    pub async fn watch(mut self, period: Duration) {
        let mut tick = interval(period);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            for mut source in std::mem::take(&mut self.sources) {
                if source.denied_until.is_none_or(|until| until <= Instant::now()) {
                    self.update(&mut source).await;
                }
                self.sources.push(source);
            }
        }
    }

    /// Requests the attributes of a queue, and shows them.
    async fn update(&self, source: &mut Source) {
        let answer = self.request(source).await;
        source.denied_until = answer.is_none().then(|| Instant::now() + DENIED_PAUSE);
        let Some(Ok(attributes)) = answer else { return };
        self.show(&source.queue, &attributes);
        self.judge(source, &attributes);
        if let Some(dead_letters) = &mut source.dead_letters {
            dead_letters.show(&self.sqs, &self.metrics, &source.queue).await;
        }
    }

    /// Judges the redrive policy of each queue once. Ends when SQS has answered for each queue or denied the call.
    pub async fn judge_once(mut self) {
        for attempt in 1.. {
            for mut source in std::mem::take(&mut self.sources) {
                match self.request(&source).await {
                    None => {}
                    Some(Ok(attributes)) => self.judge(&mut source, &attributes),
                    Some(Err(_)) => self.sources.push(source),
                }
            }
            if self.sources.is_empty() {
                return;
            }
            sleep(BACKOFF.delay(attempt)).await;
        }
    }

    /// Requests the attributes of a queue. Returns `None` if the call is denied.
    async fn request(&self, source: &Source) -> Option<Result<HashMap<Name, String>, Failure>> {
        let queue = &source.queue;
        let answer = self.attributes(queue).await;
        if let Err(failure) = &answer {
            self.forget(queue);
            if source.dead_letters.is_some() {
                self.metrics.dead_letters.with(&QueueLabels { queue: &queue.label }).forget();
            }
            if failure.kind == FailureKind::Denied {
                warn!(%failure, queue = queue.label, "not allowed to read the queue's depth and redrive policy (sqs:GetQueueAttributes); continuing without them");
                return None;
            }
            debug!(%failure, queue = queue.label, "failed to read the queue's depth");
        }
        Some(answer)
    }

    async fn attributes(&self, queue: &Queue) -> Result<HashMap<Name, String>, Failure> {
        let request = self.sqs.get_queue_attributes().queue_url(queue.url.as_str());
        let request = request.attribute_names(Name::QueueArn).attribute_names(Name::RedrivePolicy);
        let answer =
            STATES.iter().fold(request, |request, (name, _)| request.attribute_names(name.clone())).send().await;
        self.metrics.call(Operation::GetQueueAttributes, queue.url.is_fifo(), answer.is_ok());
        Ok(answer.map_err(|error| Failure::of_call(&error))?.attributes.unwrap_or_default())
    }

    /// Judges the redrive policy if it is the first one or has changed, and logs a policy that is too low.
    fn judge(&self, source: &mut Source, attributes: &HashMap<Name, String>) {
        let text = attributes.get(&Name::RedrivePolicy).cloned().unwrap_or_default();
        if source.judged.as_ref() == Some(&text) {
            return;
        }
        source.judged = Some(text);
        let queue = &source.queue;
        let policy = RedrivePolicy::of(attributes).unwrap_or_else(|error| {
            warn!(%error, queue = queue.label, "cannot read the queue's redrive policy; continuing without it");
            None
        });
        let labels = QueueLabels { queue: &queue.label };
        self.metrics.receives_needed.with(&labels).set(u64::from(self.schedule.receives_needed()));
        let own_arn = attributes.get(&Name::QueueArn).map(String::as_str);
        if source.dead_letters.take().is_some() {
            self.metrics.receives_allowed.with(&labels).forget();
            self.metrics.dead_letters.with(&labels).forget();
        }
        if let Some(policy) = &policy {
            self.metrics.receives_allowed.with(&labels).set(u64::from(policy.max_receive_count));
            source.dead_letters = Some(DeadLetters::new(queue, own_arn, policy));
        }
        let verdict = Verdict::new(policy, self.schedule);
        if verdict.is_too_low() {
            warn!(queue = queue.label, url = %queue.url, "the queue's redrive policy: {verdict}");
        }
    }

    /// Removes the queue's gauges. An old value would mislead: a queue that was drained in the meantime would look as if
    /// it still had a backlog.
    fn forget(&self, queue: &Queue) {
        for (_, state) in STATES {
            self.metrics.queue_messages.with(&QueueMessagesLabels { queue: &queue.label, state }).forget();
        }
        self.metrics.queue_full.with(&QueueLabels { queue: &queue.label }).forget();
    }

    fn show(&self, queue: &Queue, attributes: &HashMap<Name, String>) {
        let count = |name: &Name| attributes.get(name).and_then(|count| count.parse::<u64>().ok());
        for (name, state) in STATES {
            if let Some(count) = count(&name) {
                self.metrics.queue_messages.with(&QueueMessagesLabels { queue: &queue.label, state }).set(count);
            }
        }
        let in_flight = count(&Name::ApproximateNumberOfMessagesNotVisible).unwrap_or(0);
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

/// Returns the approximate number of messages that a queue can be received from now.
///
/// # Errors
/// Returns an error if SQS does not tell the number.
pub async fn visible_messages(sqs: &aws_sdk_sqs::Client, metrics: &Metrics, queue: &Queue) -> Result<u64, Failure> {
    let name = Name::ApproximateNumberOfMessages;
    let answer = sqs.get_queue_attributes().queue_url(queue.url.as_str()).attribute_names(name.clone()).send().await;
    metrics.call(Operation::GetQueueAttributes, queue.url.is_fifo(), answer.is_ok());
    let attributes = answer.map_err(|error| Failure::of_call(&error))?.attributes.unwrap_or_default();
    attributes.get(&name).and_then(|count| count.parse().ok()).ok_or_else(Failure::unanswered)
}

/// The attributes that are requested, with the state whose messages each counts.
const STATES: [(Name, QueueState); 3] = [
    (Name::ApproximateNumberOfMessages, QueueState::Visible),
    (Name::ApproximateNumberOfMessagesNotVisible, QueueState::InFlight),
    (Name::ApproximateNumberOfMessagesDelayed, QueueState::Delayed),
];

#[cfg(test)]
mod tests;
