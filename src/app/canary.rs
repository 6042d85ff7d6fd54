//! The prober: sends canaries to an input queue, and waits for them in the return queue.
//!
//! Two tasks share a [`Ledger`]: one sends a canary per interval, the other one polls the return queue. A failed call
//! ends neither; both back off. The prober knows nothing of the service, so it can run in a process of its own
//! ([`CanaryApp`]), which outlives the service's death and can report it.

mod admin;
mod process;
mod report;
mod returns;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tracing::{debug, warn};

pub use process::CanaryApp;
pub(super) use report::CanaryReport;

use crate::aws::sqs::receive::Reception;
use crate::aws::{Clients, Failure, LeanClient, Permission, SendEntry, call_end};
use crate::base::{Backoff, RateLimitedLog};
use crate::config::{self, Config};
use crate::message::{Queue, attributes};
use crate::monitor::canary::{Composer, Instance, Ledger, Outgoing};
use crate::telemetry::{Call, Carried, Metrics, NoLabels, Operation, PollLabels, PollResult};
use report::{Seen, SendTrouble};
use returns::Returns;

/// The extra delays after sends that failed, besides the interval.
const SEND_BACKOFF: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));
/// A line about a fault that goes on is logged at most once per period.
const LOG_PERIOD: Duration = Duration::from_secs(60);

/// The configuration has no canary.
#[derive(Debug, thiserror::Error)]
#[error("missing; set it, and `canary.return_queue_url` (docs/operations.md, \"The canary\")")]
pub struct NoCanary;

/// Sends the canaries of one instance and receives them.
#[derive(Debug)]
pub struct Prober {
    settings: config::Canary,
    /// The ARN of the topic that canaries return from.
    topic: String,
    composer: Composer,
    lean: LeanClient,
    /// The permission to send to the input queue.
    send: Permission,
    input: Queue,
    returns: Returns,
    ledger: Mutex<Ledger>,
    seen: Mutex<Seen>,
    metrics: Arc<Metrics>,
    send_log: RateLimitedLog,
}

impl Prober {
    /// Creates the prober of a new instance.
    ///
    /// # Errors
    /// Returns an error if the configuration has no canary.
    pub fn new(config: &Config, clients: &Clients, metrics: &Arc<Metrics>) -> Result<Arc<Self>, NoCanary> {
        let path = config.canary_path().ok_or(NoCanary)?;
        let region = clients.region();
        let permission = |action, url, key: &str| Permission::of_queue(action, url, region.as_deref(), key);
        let back = config::Queue { url: path.return_queue_url.to_owned(), ..config::Queue::default() };
        let receive = permission("sqs:ReceiveMessage", &back.url, "canary.return_queue_url");
        let reception = Reception::of(Arc::new(Queue::from(&back)), receive.clone(), metrics);
        metrics.canary.start_at_zero();
        for result in PollResult::ALL.iter().copied() {
            metrics.polls.with(&PollLabels { queue: &reception.queue.label, result });
        }
        Ok(Arc::new(Self {
            settings: config.canary.clone(),
            topic: path.topic.to_owned(),
            composer: Composer::new(config, path.queue, Instance::random()),
            lean: clients.lean.clone(),
            send: permission("sqs:SendMessage", &path.queue.url, "canary.queue"),
            input: Queue::from(path.queue),
            returns: Returns::new(reception, receive),
            ledger: Mutex::new(Ledger::new(config.canary.deadline())),
            seen: Mutex::default(),
            metrics: Arc::clone(metrics),
            send_log: RateLimitedLog::new(LOG_PERIOD),
        }))
    }

    /// Starts the tasks. They end when the set is dropped. Must be called in a runtime of tokio.
    pub fn start(self: &Arc<Self>) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        tasks.spawn(Arc::clone(self).send_all());
        tasks.spawn(Arc::clone(self).receive_all());
        tasks
    }

    /// Returns the instance, by which canaries of other processes are told apart.
    pub fn instance(&self) -> &Instance {
        self.composer.instance()
    }

    async fn send_all(self: Arc<Self>) {
        let mut ticks = interval(self.settings.interval());
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut failures = 0;
        loop {
            ticks.tick().await;
            match self.send_one().await {
                Ok(()) => failures = 0,
                Err(failure) => {
                    failures += 1;
                    self.note_unsent(&failure);
                    sleep(SEND_BACKOFF.delay(failures)).await;
                }
            }
        }
    }

    async fn send_one(&self) -> Result<(), Failure> {
        let (sequence, outgoing) = {
            let mut ledger = self.ledger.lock();
            let sequence = ledger.next_sequence();
            let composed = self.composer.compose(sequence, SystemTime::now());
            let (canary, outgoing) = composed.map_err(|error| Failure::invalid_entry(&error))?;
            ledger.sending(canary, Instant::now());
            (sequence, outgoing)
        };
        let answer = self.call(&outgoing).await;
        match answer {
            Ok(()) if self.ledger.lock().sent(sequence) => self.metrics.canary.sent.with(&NoLabels).add(1),
            Ok(()) => {}
            Err(_) => self.ledger.lock().unsent(sequence),
        }
        if answer.is_ok() {
            debug!(sequence, queue = self.input.label, "canary sent");
            self.seen.lock().note_sent();
        }
        answer
    }

    async fn call(&self, outgoing: &Outgoing) -> Result<(), Failure> {
        let entry = SendEntry {
            body: &outgoing.body,
            attributes: &outgoing.attributes,
            group: outgoing.group.as_deref(),
            deduplication_id: outgoing.deduplication_id.as_deref(),
        };
        let answer = self.lean.send_messages(self.input.url.as_str(), std::iter::once(entry)).await;
        let call = Call::new(Operation::SendMessageBatch, self.input.url.is_fifo());
        let bytes = attributes::message_size(&outgoing.body, &outgoing.attributes);
        self.metrics.transfer(&call, call_end(&answer, |_| Carried::sizes([bytes])));
        answer?.into_values().next().map_or(Ok(()), Err)
    }

    /// Counts a canary that was not sent, and logs it at most once per minute.
    fn note_unsent(&self, failure: &Failure) {
        self.metrics.canary.send_errors.with(&NoLabels).add(1);
        let way_out = self.send.way_out(failure);
        if let Some(suppressed) = self.send_log.permit() {
            let queue = &self.input.label;
            warn!(%failure, queue, way_out, suppressed, "a canary could not be sent, trying again with the next one");
        }
        self.seen.lock().note_unsent(SendTrouble::new(failure, way_out));
    }
}
