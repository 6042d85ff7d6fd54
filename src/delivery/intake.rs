//! Stopping the receives from a queue whose messages cannot be finished at the moment.
//!
//! Each receive counts towards the queue's redrive policy, and each held message towards the number that SQS allows in
//! flight. So there is no point in receiving what can only be held. While SNS as a whole is out, receives from all queues
//! stop. If [`STREAK`] messages of one queue in a row had to be held, receives from that queue stop, until one of the domains
//! that they depend on takes messages again. In between, single receives find out whether other messages can be finished.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;
use tracing::info;

use crate::aws::outages::{Domain, Outages};
use crate::base::{Backoff, Gate};
use crate::message::{Queue, QueueUrl};

/// The number of messages in a row after which receives from their queue stop: three full receives.
const STREAK: u32 = 30;

/// Delays between single receives from a queue whose receives are stopped.
const PROBES: Backoff = Backoff::new(Duration::from_secs(2), Duration::from_secs(60));

/// The receives of all queues.
#[derive(Debug)]
pub struct Intake {
    queues: BTreeMap<QueueUrl, QueueIntake>,
    outages: Arc<Outages>,
}

#[derive(Debug)]
struct QueueIntake {
    label: String,
    gate: Arc<Gate>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The number of messages in a row that had to be held.
    streak: u32,
    /// The domains that these messages depend on.
    domains: BTreeSet<Domain>,
    /// The number of single receives since the receives were stopped, and the time of the next one.
    stopped: Option<(u32, Instant)>,
}

impl Intake {
    /// Creates the intake of these queues. All receives are allowed.
    pub fn new<'q>(queues: impl IntoIterator<Item = &'q Arc<Queue>>, outages: Arc<Outages>) -> Self {
        let intake = |queue: &Arc<Queue>| QueueIntake {
            label: queue.label.clone(),
            gate: Arc::default(),
            state: Mutex::default(),
        };
        Self { queues: queues.into_iter().map(|queue| (queue.url.clone(), intake(queue))).collect(), outages }
    }

    /// Returns the gate in front of the receives from a queue.
    pub fn gate(&self, queue: &QueueUrl) -> Arc<Gate> {
        self.queues.get(queue).map_or_else(Arc::default, |queue| Arc::clone(&queue.gate))
    }

    /// Records that a message of the queue had to be held, because of this domain.
    pub fn held(&self, queue: &QueueUrl, domain: &Domain) {
        let Some(queue) = self.queues.get(queue) else { return };
        let state = &mut *queue.state.lock();
        state.streak = state.streak.saturating_add(1);
        if !state.domains.contains(domain) {
            state.domains.insert(domain.clone());
        }
    }

    /// Records that a message of the queue was finished, or that it is retried for a cause of its own.
    pub fn finished(&self, queue: &QueueUrl) {
        let Some(queue) = self.queues.get(queue) else { return };
        let state = &mut *queue.state.lock();
        state.streak = 0;
        if !state.domains.is_empty() {
            state.domains.clear();
        }
    }

    /// Opens and shuts the gates. Returns whether this must be called again within a second, whatever happens.
    pub fn update(&self, now: Instant) -> bool {
        let is_account_out = self.outages.is_out(&Domain::Account);
        let mut is_any_shut = false;
        for queue in self.queues.values() {
            let state = &mut *queue.state.lock();
            let is_stuck = state.streak >= STREAK && state.domains.iter().all(|domain| self.outages.room(domain) == 0);
            if !is_account_out && !is_stuck {
                if state.stopped.take().is_some() {
                    info!(queue = queue.label, "receiving from the queue again");
                    *state = State::default();
                }
                queue.gate.open();
                continue;
            }
            is_any_shut = true;
            match &mut state.stopped {
                None => {
                    info!(queue = queue.label, "receives from the queue stop: its messages cannot be finished now");
                    queue.gate.shut();
                    state.stopped = Some((1, now + PROBES.delay(1)));
                }
                Some((probes, at)) if *at <= now => {
                    *probes += 1;
                    *at = now + PROBES.delay(*probes);
                    queue.gate.let_one_pass();
                }
                Some(_) => {}
            }
        }
        is_any_shut
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::Metrics;

    fn intake() -> (Intake, Arc<Outages>, QueueUrl) {
        let outages = Arc::new(Outages::new(Arc::new(Metrics::new(false))));
        let queue = Arc::new(Queue::for_tests());
        (Intake::new([&queue], Arc::clone(&outages)), outages, queue.url.clone())
    }

    #[test]
    fn receives_stop_while_sns_is_out() {
        let (intake, outages, queue) = intake();
        let gate = intake.gate(&queue);
        assert!(!intake.update(Instant::now()) && !gate.is_shut());
        outages.begin(&Domain::Account, "no answer");
        assert!(intake.update(Instant::now()) && gate.is_shut());
        outages.end(&Domain::Account);
        assert!(!intake.update(Instant::now()) && !gate.is_shut());
    }

    #[test]
    fn receives_stop_if_all_messages_of_a_queue_must_be_held() {
        let (intake, outages, queue) = intake();
        let (gate, topic) = (intake.gate(&queue), Domain::Topic("arn:aws:sns:eu-west-1:1:acme".into()));
        outages.begin(&topic, "no answer");
        let hold = |count| (0..count).for_each(|_| intake.held(&queue, &topic));
        hold(STREAK - 1);
        intake.finished(&queue);
        hold(STREAK - 1);
        assert!(!intake.update(Instant::now()) && !gate.is_shut(), "a message of another customer was finished");
        hold(1);
        assert!(intake.update(Instant::now()) && gate.is_shut());
        outages.end(&topic);
        assert!(!intake.update(Instant::now()) && !gate.is_shut());
    }

    #[tokio::test(start_paused = true)]
    async fn single_receives_find_out_whether_other_messages_can_be_finished() {
        let (intake, outages, queue) = intake();
        let (gate, bucket) = (intake.gate(&queue), Domain::Bucket("events".into()));
        outages.begin(&bucket, "no answer");
        (0..STREAK).for_each(|_| intake.held(&queue, &bucket));
        let mut passes = 0;
        for _ in 0..600 {
            intake.update(Instant::now());
            let pass = tokio::time::timeout(Duration::from_millis(500), gate.pass());
            passes += u32::from(pass.await.is_ok());
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        assert!((9..=30).contains(&passes), "{passes} receives in ten minutes");
        intake.finished(&queue);
        assert!(!intake.update(Instant::now()) && !gate.is_shut());
    }
}
