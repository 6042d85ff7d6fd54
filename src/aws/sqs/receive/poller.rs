//! One poller: reserve room, poll, pass the messages on, repeat.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::evidence::PollSpan;
use super::pair_with_receipts;
use super::pollers::Demand;
use super::reception::Reception;
use crate::aws::sqs::Received;
use crate::aws::sqs::budget::{Budget, Permit};
use crate::aws::sqs::visibility::Visibility;
use crate::aws::{Failure, LeanClient, MAX_BATCH_ENTRIES, call_end};
use crate::base::{Backoff, Backpressure, Gate};
use crate::config;
use crate::message::{Queue, attributes};
use crate::telemetry::{Call, Carried, Level, Metrics, Operation, PollLabels, PollResult, QueueLabels};

/// Delays between failed polls. Errors that only time fixes are retried within seconds.
const PASSING: Backoff = Backoff::new(Duration::from_millis(400), Duration::from_secs(10));
/// Delays between failed polls whose cause an operator must fix.
const LASTING: Backoff = Backoff::new(Duration::from_millis(400), Duration::from_secs(60));

/// A long-polling loop over one queue. [`pollers::run`](super::pollers::run) starts as many as there is demand for.
#[derive(Debug, Clone)]
pub struct Poller {
    queue: Arc<Queue>,
    /// Whether the queue can be received from.
    reception: Arc<Reception>,
    lean: LeanClient,
    budget: Budget,
    visibility: Visibility,
    metrics: Arc<Metrics>,
    /// While any of these is high, no message is received.
    backpressure: Vec<Backpressure>,
    /// Shut while the messages of this queue cannot be finished.
    gate: Arc<Gate>,
    wait_seconds: i32,
    visibility_timeout_seconds: i32,
}

impl Poller {
    /// Creates a poller of one queue.
    pub fn new(
        reception: Arc<Reception>,
        config: &config::Config,
        lean: LeanClient,
        budget: Budget,
        visibility: Visibility,
        (backpressure, gate): (Vec<Backpressure>, Arc<Gate>),
    ) -> Self {
        let metrics = Arc::clone(visibility.metrics());
        Self {
            queue: Arc::clone(&reception.queue),
            reception,
            lean,
            budget,
            visibility,
            metrics,
            backpressure,
            gate,
            wait_seconds: config.receive.wait_seconds.cast_signed(),
            visibility_timeout_seconds: config.visibility.timeout_seconds.cast_signed(),
        }
    }

    /// Returns the gauge that counts this queue's pollers.
    pub(super) fn gauge(&self) -> Arc<Level> {
        self.metrics.pollers.with(&QueueLabels { queue: &self.queue.label })
    }

    /// Polls until `stop` is cancelled or the demand no longer needs this poller. Passes what each poll returns to
    /// `deliver`.
    ///
    /// A poll that is under way when `stop` is cancelled is dropped at once. Messages that SQS had already chosen for its
    /// answer become visible again when their visibility timeout lapses.
    pub(super) async fn run(self, stop: CancellationToken, demand: Demand, deliver: impl Fn(Vec<Received>)) {
        let (mut failures, mut is_throttled, mut was_full) = (0, false, false);
        loop {
            let poll = async {
                let reserved = self.reserve().await;
                let wait = self.wait(is_throttled);
                (self.poll(wait).await, reserved, wait)
            };
            let (polled, reserved, waited) = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                polled = poll => polled,
            };
            match polled {
                Ok((messages, span)) => {
                    (failures, is_throttled) = (0, false);
                    self.reception.note_answer();
                    let is_empty = messages.is_empty();
                    // A short poll asks some of the servers only. It proves nothing, unless all polls are short.
                    if is_empty && waited == self.wait_seconds && !self.is_full() {
                        self.reception.evidence.note_empty(span);
                    }
                    let is_full = messages.len() == MAX_BATCH_ENTRIES;
                    self.accept(messages, span, reserved, &deliver);
                    // While receives are held back, polls say nothing about the number of pollers.
                    let is_too_many = match (is_full, is_empty) {
                        (true, _) if !self.is_held_back() => {
                            demand.note_full_poll(was_full.then(|| span.ended - span.began))
                        }
                        (_, true) => demand.note_empty_poll(),
                        _ => false,
                    };
                    if is_too_many {
                        return;
                    }
                    was_full = is_full;
                }
                Err(failure) => {
                    drop(reserved);
                    was_full = false;
                    self.count_poll(PollResult::Error);
                    self.reception.note_failure(&failure);
                    if demand.give_up_poller() {
                        return;
                    }
                    (failures, is_throttled) = (failures + 1, failure.is_throttle());
                    let backoff = if failure.is_passing() { PASSING } else { LASTING };
                    tokio::select! {
                        biased;
                        () = stop.cancelled() => return,
                        () = sleep(backoff.delay(failures)) => {}
                    }
                }
            }
        }
    }

    /// Counts what a poll returned, and passes it on with its receipts.
    fn accept(
        &self,
        messages: Vec<aws_lean::Message>,
        span: PollSpan,
        reserved: Permit,
        deliver: &impl Fn(Vec<Received>),
    ) {
        let result = if messages.is_empty() { PollResult::Empty } else { PollResult::Messages };
        self.count_poll(result);
        self.metrics.received.with(&QueueLabels { queue: &self.queue.label }).add(messages.len() as u64);
        if !messages.is_empty() {
            let times = (self.visibility.counted_from(span.began, span.ended), span.ended);
            let received = pair_with_receipts(&self.queue, messages, &self.visibility, reserved, times);
            self.reception.evidence.note_messages(received.iter().map(|received| &received.message), span);
            deliver(received);
        }
    }

    /// Whether the queue has as many messages in flight as SQS allows. Its polls are empty then.
    fn is_full(&self) -> bool {
        self.metrics.queue_full.sum_where(|labels| labels.queue == self.queue.label) > 0
    }

    fn is_held_back(&self) -> bool {
        self.backpressure.iter().any(Backpressure::is_high)
    }

    /// Waits until the gate and backpressure allow a receive and the budget has room for it.
    async fn reserve(&self) -> Permit {
        loop {
            for backpressure in &self.backpressure {
                backpressure.released().await;
            }
            let reserved = self.budget.reserve(&self.queue.url).await;
            if self.is_held_back() {
                continue;
            }
            if !self.gate.is_shut() {
                return reserved;
            }
            // The others can use the room in the meantime. A single pass must not be lost, so it is taken last.
            drop(reserved);
            self.gate.pass().await;
            return self.budget.reserve(&self.queue.url).await;
        }
    }

    /// Returns the time, in seconds, for which the next poll waits for a message. A queue that has not answered, or
    /// whose last poll failed, gets a short poll: a long poll of an empty queue would tell only at its end whether the
    /// queue can be received from. After a throttle the poll is long, because SQS reports `OverLimit` to short polls
    /// only.
    fn wait(&self, is_throttled: bool) -> i32 {
        if self.reception.works() || is_throttled { self.wait_seconds } else { 0 }
    }

    /// Makes one poll. Returns the messages and the time of the poll.
    async fn poll(&self, wait_seconds: i32) -> Result<(Vec<aws_lean::Message>, PollSpan), Failure> {
        let began = Instant::now();
        let answer = self.lean.receive(self.queue.url.as_str(), wait_seconds, self.visibility_timeout_seconds).await;
        let call = Call::new(Operation::ReceiveMessage, self.queue.url.is_fifo());
        self.metrics.transfer(&call, call_end(&answer, |messages| Carried::sizes(messages.iter().map(size))));
        let wait = Duration::from_secs(wait_seconds.unsigned_abs().into());
        Ok((answer?, PollSpan { began, ended: Instant::now(), wait }))
    }

    fn count_poll(&self, result: PollResult) {
        self.metrics.polls.with(&PollLabels { queue: &self.queue.label, result }).add(1);
    }
}

pub(super) fn size(message: &aws_lean::Message) -> usize {
    attributes::message_size(message.body.as_deref().unwrap_or_default(), &message.message_attributes)
}
