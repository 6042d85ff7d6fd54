//! The way of an event, on one page: envelope → registry → transcode → route → dedupe → publish → outcome → delete.
//!
//! Everything up to the publish is plain computation on one message, except where the payload or its type has to be asked
//! for elsewhere ([`Outside`]); it ends in entries or in an outcome. What one receive returned goes its way together, in
//! one task, as far as nobody has to wait for another; each message is settled as soon as its own topics have answered.
//! What holds whatever happens: a message is deleted only through [`Deleter::delete`], which wants the proof; it is given
//! back with a delay that is never zero; and whatever is dropped on the way, by a panic or at the end of a drain, returns
//! to its queue when its visibility lapses.

mod attempt;
mod event;
mod open;
mod prepare;
mod settle;

use std::collections::BTreeMap;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::info;

use attempt::Attempts;
pub use open::Outside;

use crate::config::{self, Config};
use crate::dedupe::{Seen, Window};
use crate::delete::Deleter;
use crate::envelope::Envelope;
use crate::outcome::quarantine::Quarantine;
use crate::outcome::{Cause, Outcome, Settled};
use crate::publish::{Entry, Publisher};
use crate::receive::{Message, Receipt, Received};
use crate::registry::{EventType, Registry, Snapshot};
use crate::route::Routes;
use crate::telemetry::{Metrics, Seldom, Trace, Traces};
use crate::visibility::Releaser;

/// Carries messages from receive to delete. The fields are its collaborators, in the order of their use.
#[derive(Debug)]
pub struct Pipeline {
    outside: Outside,
    envelope: config::Envelope,
    customer_attribute: String,
    retry: config::Retry,
    registry: Arc<Registry>,
    routes: Arc<Routes>,
    window: Arc<Window>,
    publisher: Publisher,
    quarantine: Quarantine,
    releaser: Releaser,
    deleter: Deleter,
    traces: Traces,
    metrics: Arc<Metrics>,
    logs: Logs,
}

/// Repeated lines of the log.
#[derive(Debug)]
struct Logs {
    duplicates: Seldom,
    quarantined: Seldom,
    retried: Seldom,
}

/// Where the pipeline's work ends up.
#[derive(Debug)]
pub struct Ends {
    /// Knows what was published lately.
    pub window: Arc<Window>,
    /// Takes what is ready for the topics.
    pub publisher: Publisher,
    /// Takes what can never be published.
    pub quarantine: Quarantine,
    /// Takes what is given back.
    pub releaser: Releaser,
    /// Takes what is done.
    pub deleter: Deleter,
    /// Takes the spans.
    pub traces: Traces,
}

impl Pipeline {
    /// A pipeline of these parts.
    pub fn new(
        config: &Config,
        outside: Outside,
        registry: Arc<Registry>,
        routes: Arc<Routes>,
        ends: Ends,
        metrics: Arc<Metrics>,
    ) -> Self {
        let period = Duration::from_secs(1);
        Self {
            outside,
            envelope: config.envelope.clone(),
            customer_attribute: config.route.customer_attribute.clone(),
            retry: config.retry.clone(),
            registry,
            routes,
            window: ends.window,
            publisher: ends.publisher,
            quarantine: ends.quarantine,
            releaser: ends.releaser,
            deleter: ends.deleter,
            traces: ends.traces,
            metrics,
            logs: Logs {
                duplicates: Seldom::new(period),
                quarantined: Seldom::new(period),
                retried: Seldom::new(period),
            },
        }
    }

    /// Starts on what one poll returned: all of it together, but the messages of one message group of a FIFO queue one
    /// after the other, in order.
    pub fn accept(self: &Arc<Self>, tasks: &Tasks, received: Vec<Received>) {
        let mut groups: BTreeMap<String, Vec<Received>> = BTreeMap::new();
        let mut together = Vec::with_capacity(received.len());
        for received in received {
            match &received.message.group {
                Some(group) if received.message.source.fifo => groups.entry(group.clone()).or_default().push(received),
                _ => together.push(received),
            }
        }
        if !together.is_empty() {
            tasks.spawn(Arc::clone(self).carry_together(tasks.clone(), together));
        }
        for group in groups.into_values() {
            tasks.spawn(Arc::clone(self).carry_group(group));
        }
    }

    /// Messages of one group, in order. Where one has to be tried again, those behind it go back with it, unpublished:
    /// SQS hands a group's messages out in order again once all of them are visible.
    async fn carry_group(self: Arc<Self>, group: Vec<Received>) {
        let mut group = group.into_iter();
        while let Some(received) = group.next() {
            let carried = Carried::new(received, &self.traces);
            let Some(delay) = self.carry(&self.registry.current(), carried).await else { continue };
            for Received { message, mut receipt } in group {
                receipt.account.open(self.known_type(&message).as_ref());
                self.note_retried(&message.source, Cause::GroupOrder);
                receipt.account.close(Settled::Retried);
                self.releaser.release(receipt, delay);
            }
            return;
        }
    }

    /// Messages that need not wait for each other, from receive to delete. What has to wait for something else, be it an
    /// S3 object, another message of the same event, or the quarantine queue, goes on in a task of its own.
    async fn carry_together(self: Arc<Self>, tasks: Tasks, received: Vec<Received>) {
        let snapshot = self.registry.current();
        let mut attempts = Attempts::default();
        for received in received {
            let mut carried = Carried::new(received, &self.traces);
            match caught(|| self.open_at_once(&snapshot, &mut carried)) {
                Some(Ok(entries)) => {
                    carried.open_account();
                    if let Some((carried, entries)) = attempts.begin(&self.window, carried, entries) {
                        let this = Arc::clone(&self);
                        tasks.spawn(async move {
                            this.publish_when_free(carried, entries).await;
                        });
                    }
                }
                Some(Err(outcome)) => {
                    carried.open_account();
                    self.settle_apart(&tasks, carried, outcome).await;
                }
                None => {
                    let (this, snapshot) = (Arc::clone(&self), Arc::clone(&snapshot));
                    tasks.spawn(async move {
                        this.carry(&snapshot, carried).await;
                    });
                }
            }
        }
        self.publish(&mut attempts).await;
        while !attempts.is_empty() {
            for (carried, outcome) in attempts.next(&self.window).await {
                self.settle_apart(&tasks, carried, outcome).await;
            }
        }
    }

    /// One message, from receive to delete. Returns the delay if it was given back.
    async fn carry(&self, snapshot: &Snapshot, mut carried: Carried) -> Option<Duration> {
        let opened = self.open(snapshot, &mut carried).await;
        carried.open_account();
        match opened {
            Ok(entries) => self.publish_when_free(carried, entries).await,
            Err(outcome) => self.settle(carried, outcome).await,
        }
    }

    /// The rest of the way of one message, once nobody else publishes the same event. Returns the delay if it was given
    /// back.
    async fn publish_when_free(&self, carried: Carried, entries: Vec<Entry>) -> Option<Duration> {
        let mut attempts = Attempts::default();
        attempts.begin_when_free(&self.window, carried, entries).await;
        self.publish(&mut attempts).await;
        let mut delay = None;
        while !attempts.is_empty() {
            for (carried, outcome) in attempts.next(&self.window).await {
                delay = self.settle(carried, outcome).await;
            }
        }
        delay
    }

    /// Publishes events to those of their topics that have not had them yet.
    async fn publish(&self, attempts: &mut Attempts) {
        attempts.ask_replicas(&self.window).await;
        for (carried, entry, seen) in attempts.duplicates() {
            self.note_duplicate(&carried.message, entry, seen);
        }
        attempts.publish(&self.window, &self.publisher).await;
    }

    fn note_duplicate(&self, message: &Message, entry: &Entry, seen: &Seen) {
        let (queue, cause) = (&message.source.label, seen.cause.code());
        self.metrics.duplicates.with(&[queue, &entry.event_type, cause]).add(1);
        if let Some(kept_back) = self.logs.duplicates.turn() {
            let (message_id, first_message_id, topic) = (&message.message_id, &seen.first, &*entry.topic);
            let event_type = &*entry.event_type;
            info!(cause, event_type, topic, message_id, %first_message_id, queue, kept_back, "duplicate suppressed");
        }
    }

    /// Name of the event's type, if it is a known one.
    fn known_type(&self, message: &Message) -> Option<Arc<str>> {
        let framing = message.source.framing;
        let envelope = Envelope::open(&message.body, &message.attributes, &self.envelope, framing).ok()?;
        let snapshot = self.registry.current();
        self.event_type(&snapshot, message, &envelope).ok().map(|event_type| Arc::clone(&event_type.name))
    }
}

/// A message on its way, with what is found out about it.
struct Carried {
    message: Message,
    receipt: Receipt,
    known: Known,
}

struct Known {
    event_type: Option<Arc<EventType>>,
    trace: Trace,
}

impl Carried {
    fn new(received: Received, traces: &Traces) -> Self {
        let Received { message, receipt } = received;
        let trace = traces.begin(&message);
        Self { message, receipt, known: Known { event_type: None, trace } }
    }

    /// Counts it, now that its type was looked up.
    fn open_account(&mut self) {
        self.receipt.account.open(self.known.event_type.as_ref().map(|event_type| &event_type.name));
    }
}

/// Where messages are worked on.
#[derive(Debug, Clone)]
pub struct Tasks {
    tracker: TaskTracker,
    abort: CancellationToken,
}

impl Tasks {
    /// Tasks that `tracker` counts. Cancelling `abort` drops what is under way.
    pub fn new(tracker: TaskTracker, abort: CancellationToken) -> Self {
        Self { tracker, abort }
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tracker.spawn(self.abort.clone().run_until_cancelled_owned(task));
    }
}

/// What `work` on one message returns. If it panics, that is a retry for this message and no trouble to those that go
/// their way with it.
fn caught<T>(work: impl FnOnce() -> Option<Result<T, Outcome>>) -> Option<Result<T, Outcome>> {
    // What it leaves behind half done is of this message alone.
    panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        let detail = format!("a defect of protobridge: {}", text.unwrap_or("a panic without a text"));
        Some(Err(Cause::Defect.because(detail).into()))
    })
}

#[cfg(test)]
mod tests;
