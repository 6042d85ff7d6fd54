//! The path of an event, on one page: open → decide → claim → publish → settle.
//!
//! [`decide`](super::decide) does everything up to the publish as plain computation, apart from [lookups](Lookups). The
//! messages that one receive returned are processed together, in one task, as far as they do not wait for different things.
//! Each message is settled as soon as its own topics have answered. These rules always hold: a message is deleted only
//! through [`Archiving::finish`], which requires the proof of its outcome; a returned message becomes visible after a delay
//! that is never zero; and a message that is dropped on the way, by a panic or at the end of a drain, becomes visible when
//! its visibility timeout lapses.

mod about;
mod in_flight;
mod publishing;
mod settle;
mod step;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::archiving::Archiving;
use super::claims::Claims;
use super::decide::{Delivery, IsLarge, Lookup, Rules};
use super::dedupe::{PublishedBefore, Window};
use super::intake::Intake;
use super::lookups::Lookups;
use super::parking::Parking;
use super::record::Ending;
use crate::aws::sns::publish::Publisher;
use crate::aws::sqs::Received;
use crate::aws::sqs::quarantine::Quarantine;
use crate::aws::sqs::release::Releaser;
use crate::base::{Backoff, RateLimitedLog};
use crate::message::{OutcomeLabel, RetryCause, TopicArn};
use crate::monitor::Monitor;
use crate::route::Routes;
use crate::store::journal::Journal;
use crate::telemetry::{DuplicateLabels, Metrics, Traces, UNKNOWN_TYPE};
use about::{log_about, log_about_limited};
use in_flight::InFlightMessage;
use publishing::{Claimed, Publishing};
use settle::Settlement;
use step::Step;

/// Processes messages from receive to delete. The fields are its collaborators, in the order of their use.
#[derive(Debug)]
pub struct Pipeline {
    rules: Rules,
    lookups: Lookups,
    routes: Arc<Routes>,
    /// Follows the heartbeats and the last events.
    monitor: Arc<Monitor>,
    window: Arc<Window>,
    publisher: Publisher,
    claims: Arc<Claims>,
    quarantine: Quarantine,
    releaser: Releaser,
    parking: Arc<Parking>,
    intake: Arc<Intake>,
    archiving: Archiving,
    /// The delays of returned messages, by their receive count.
    retry_backoff: Backoff,
    traces: Traces,
    /// Records what becomes of messages, if the configuration has a store.
    journal: Option<Arc<Journal>>,
    metrics: Arc<Metrics>,
    logs: Logs,
}

/// Limits on repeated lines of the log.
#[derive(Debug)]
struct Logs {
    duplicates: RateLimitedLog,
    quarantined: RateLimitedLog,
    retried: RateLimitedLog,
    held: RateLimitedLog,
}

impl Default for Logs {
    fn default() -> Self {
        let one_per_second = || RateLimitedLog::new(Duration::from_secs(1));
        Self {
            duplicates: one_per_second(),
            quarantined: one_per_second(),
            retried: one_per_second(),
            held: one_per_second(),
        }
    }
}

/// The parts that the pipeline passes its results to.
#[derive(Debug)]
pub struct Downstream {
    /// Knows what was published recently.
    pub window: Arc<Window>,
    /// Publishes entries to topics.
    pub publisher: Publisher,
    /// Stores the JSON of claim checks.
    pub claims: Arc<Claims>,
    /// Stores messages that can never be published.
    pub quarantine: Quarantine,
    /// Returns messages to their queue.
    pub releaser: Releaser,
    /// Hides messages until a broken part of the outside works again.
    pub parking: Arc<Parking>,
    /// Stops the receives of messages that cannot be finished now.
    pub intake: Arc<Intake>,
    /// Archives finished messages, and deletes them.
    pub archiving: Archiving,
    /// Exports the spans.
    pub traces: Traces,
    /// Records what becomes of messages.
    pub journal: Option<Arc<Journal>>,
}

impl Pipeline {
    /// Creates a pipeline.
    pub fn new(
        rules: Rules,
        retry_backoff: Backoff,
        lookups: Lookups,
        (routes, monitor): (Arc<Routes>, Arc<Monitor>),
        downstream: Downstream,
        metrics: Arc<Metrics>,
    ) -> Self {
        let Downstream { window, publisher, claims, quarantine, releaser, parking, intake, archiving, traces, journal } =
            downstream;
        Self {
            rules,
            lookups,
            routes,
            monitor,
            window,
            publisher,
            claims,
            quarantine,
            releaser,
            parking,
            intake,
            archiving,
            retry_backoff,
            traces,
            journal,
            metrics,
            logs: Logs::default(),
        }
    }

    /// Returns the parked messages to their queues, because the service stops.
    pub fn close_parking(&self) {
        self.parking.close();
    }

    /// Starts processing the messages that one poll returned. The messages of one message group of a FIFO queue are processed in
    /// sequence; all others are processed together.
    pub fn accept(self: &Arc<Self>, tasks: &Tasks, received: Vec<Received>) {
        let mut groups: BTreeMap<String, Vec<InFlightMessage>> = BTreeMap::new();
        let mut batch = Vec::with_capacity(received.len());
        for received in received {
            let group = received.message.group.clone().filter(|_| received.message.queue.url.is_fifo());
            let message = InFlightMessage::new(received, &self.metrics, self.journal.as_ref());
            match group {
                Some(group) => groups.entry(group).or_default().push(message),
                None => batch.push(message),
            }
        }
        if !batch.is_empty() {
            tasks.spawn(Arc::clone(self).process_batch(tasks.clone(), batch));
        }
        for group in groups.into_values() {
            tasks.spawn(Arc::clone(self).process_group(group));
        }
    }

    /// Processes the messages of one group in order. If one of them is retried or parked, the messages behind it follow it,
    /// unpublished: SQS delivers a group in order again once all of its messages are visible.
    async fn process_group(self: Arc<Self>, group: Vec<InFlightMessage>) {
        let mut group = group.into_iter();
        while let Some(message) = group.next() {
            let settlement = self.process(message).await;
            if settlement == Settlement::Done {
                continue;
            }
            for message in group {
                self.return_unprocessed(message, &settlement).await;
            }
            return;
        }
    }

    /// Processes messages that do not depend on each other. A message that must wait for a lookup, for another message of
    /// the same event, for the quarantine queue, or for its turn among large payloads continues in a task of its own.
    async fn process_batch(self: Arc<Self>, tasks: Tasks, batch: Vec<InFlightMessage>) {
        let mut claimed = Vec::with_capacity(batch.len());
        for mut message in batch {
            let permit = &message.receipt.permit;
            if !claimed.is_empty() && !permit.has_room_to_render() {
                // Room comes from publishing, so nothing that is rendered can wait for it.
                tasks.spawn(Arc::clone(&self).publish_and_settle(tasks.clone(), std::mem::take(&mut claimed)));
            }
            permit.room_to_render().await;
            match self.decide_small(&mut message, None) {
                Ok(Step::Publish(deliveries)) => match Claimed::try_new(&self.window, message, deliveries) {
                    Ok(one) => claimed.push(one),
                    Err(busy) => {
                        let (this, (message, deliveries)) = (Arc::clone(&self), *busy);
                        tasks.spawn(async move {
                            this.publish_when_free(message, deliveries).await;
                        });
                    }
                },
                Ok(Step::Settle(outcome)) => self.settle_without_waiting(&tasks, message, outcome).await,
                Ok(Step::Lookup(lookup)) => {
                    let this = Arc::clone(&self);
                    tasks.spawn(async move {
                        this.process_with_lookups(message, lookup).await;
                    });
                }
                Err(IsLarge) => {
                    let this = Arc::clone(&self);
                    tasks.spawn(async move {
                        let step = this.decide_large(&mut message, None).await;
                        this.proceed(message, step).await;
                    });
                }
            }
        }
        self.publish_and_settle(tasks, claimed).await;
    }

    /// Publishes claimed events, and settles each message as soon as its own topics have answered.
    async fn publish_and_settle(self: Arc<Self>, tasks: Tasks, claimed: Vec<Claimed>) {
        let mut publishing = self.publish(claimed).await;
        while let Some(ended) = publishing.next(&self.window).await {
            for (message, outcome) in ended {
                self.settle_without_waiting(&tasks, message, outcome).await;
            }
        }
    }

    /// Processes one message, from the decision to the settlement.
    async fn process(&self, mut message: InFlightMessage) -> Settlement {
        message.receipt.permit.room_to_render().await;
        let step = self.decide(&mut message, None).await;
        self.proceed(message, step).await
    }

    /// Takes the step of a message that was decided without a lookup.
    async fn proceed(&self, message: InFlightMessage, step: Step) -> Settlement {
        match step {
            Step::Publish(deliveries) => self.publish_when_free(message, deliveries).await,
            Step::Settle(outcome) => self.settle(message, outcome).await,
            Step::Lookup(lookup) => self.process_with_lookups(message, lookup).await,
        }
    }

    /// Processes one message that needs at least one lookup.
    async fn process_with_lookups(&self, mut message: InFlightMessage, mut lookup: Lookup) -> Settlement {
        // A message needs at most one object and one schema, and its object a second time after the wait for the schema.
        const MAX_LOOKUPS: usize = 3;
        // The object is kept until the event is rendered, and with it the object's share of the memory.
        let mut object = None;
        for _ in 0..MAX_LOOKUPS {
            let missing_object = |detail| self.rules.missing_object(&message.message, detail);
            let ownership = message.receipt.hold.ownership();
            // Before the lookup, because the wait must not occupy the room for objects.
            message.receipt.permit.room_to_render().await;
            match self.lookups.answer(lookup, &ownership, &self.metrics, missing_object).await {
                Ok(answer) => object = answer.or(object),
                Err(outcome) => return self.settle(message, outcome).await,
            }
            let bytes = object.as_ref().map(|object| &*object.bytes);
            match self.decide(&mut message, bytes).await {
                Step::Publish(deliveries) => {
                    drop(object);
                    return self.publish_when_free(message, deliveries).await;
                }
                Step::Settle(outcome) => {
                    // A slow quarantine queue must not occupy the room for objects.
                    drop(object);
                    return self.settle(message, outcome).await;
                }
                Step::Lookup(next) => {
                    // The wait for a schema must not occupy the room for objects.
                    object = None;
                    lookup = next;
                }
            }
        }
        let retry = RetryCause::Lookup.because("the answer of the schema registry expired before it was used");
        self.settle(message, retry.into()).await
    }

    /// Publishes one message once no other message of this process publishes the same event, and settles it.
    async fn publish_when_free(&self, message: InFlightMessage, deliveries: Vec<Delivery>) -> Settlement {
        let claimed = Claimed::new(&self.window, message, deliveries).await;
        let mut publishing = self.publish(vec![claimed]).await;
        let mut settlement = Settlement::Done;
        while let Some(ended) = publishing.next(&self.window).await {
            for (message, outcome) in ended {
                settlement = self.settle(message, outcome).await;
            }
        }
        settlement
    }

    /// Publishes events to those of their topics that do not have them yet.
    async fn publish(&self, mut claimed: Vec<Claimed>) -> Publishing {
        self.window.claim_in_store(claimed.iter_mut().flat_map(Claimed::attempts)).await;
        for (message, topic, before) in claimed.iter().flat_map(Claimed::duplicates) {
            self.note_duplicate(message, topic, before);
        }
        Publishing::start(claimed, &self.window, &self.publisher, &self.claims).await
    }

    fn note_duplicate(&self, message: &InFlightMessage, topic: &TopicArn, before: &PublishedBefore) {
        let event_type = message.event_type.as_ref().map_or(UNKNOWN_TYPE, |event_type| &event_type.name);
        let (queue, cause) = (&message.message.queue.label, before.cause);
        self.metrics.duplicates.with(&DuplicateLabels { queue, event_type, cause }).add(1);
        let (first_message_id, cause) = (before.first, cause.code());
        let limit = &self.logs.duplicates;
        log_about_limited!(info, limit, message, cause, %topic, %first_message_id, "duplicate suppressed");
    }

    /// Returns a message to its queue, or parks it, like the first message of its group that was not finished.
    async fn return_unprocessed(&self, mut message: InFlightMessage, first: &Settlement) {
        message.event_type = self.event_type(&message.message).await;
        message.open_account();
        let delay = match first {
            Settlement::Parked(domain) => {
                self.park(message, domain.clone(), "a message before it in its group is held");
                return;
            }
            Settlement::Returned(delay) => *delay,
            Settlement::Done => Duration::ZERO,
        };
        let cause = RetryCause::GroupOrder;
        log_about!(debug, message, cause = cause.code(), delay_seconds = delay.as_secs(), "message will be retried");
        let detail = Some("a message before it in its group is retried");
        message.close_record(&Ending { outcome: OutcomeLabel::Retried, reason: Some(cause.code()), detail });
        let InFlightMessage { message, receipt, mut account, .. } = message;
        self.note_retried(&message.queue, cause);
        account.close(OutcomeLabel::Retried);
        self.releaser.release(receipt, delay);
    }
}

/// Runs the tasks that process messages.
#[derive(Debug, Clone)]
pub struct Tasks {
    tracker: TaskTracker,
    abort: CancellationToken,
}

impl Tasks {
    /// Creates tasks that `tracker` counts. Cancelling `abort` drops the tasks that are under way.
    pub fn new(tracker: TaskTracker, abort: CancellationToken) -> Self {
        Self { tracker, abort }
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tracker.spawn(self.abort.clone().run_until_cancelled_owned(task));
    }
}

#[cfg(test)]
mod tests;
