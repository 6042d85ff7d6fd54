//! Parked messages: hidden on their queue, and no longer in memory, until the domain that they depend on takes them.
//!
//! A retry costs a receive, and the queue's redrive policy limits the receives of a message. So a message that is not at
//! fault is not retried. While there is room, it waits in memory with its body. Beyond that it is parked: only its receipt is
//! kept, and its visibility timeout is extended, up to the 12 hours that SQS allows. When the domain takes messages again,
//! parked messages become visible, as many at a time as the domain takes, so that a second outage finds the others still
//! parked.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, sleep};

use super::intake::Intake;
use crate::aws::outages::{Domain, Outages};
use crate::aws::sqs::release::Releaser;
use crate::aws::sqs::{ParkedReceipt, Receipt};
use crate::message::QueueUrl;
use crate::telemetry::{Metrics, QueueLabels};

/// The visibility timeout of parked messages. A longer time costs fewer calls; if the process is killed, its parked
/// messages are visible again after at most this time.
const EXTENSION: Duration = Duration::from_secs(10 * 60);

/// The time between two looks at the domains of parked messages.
const PERIOD: Duration = Duration::from_secs(1);

/// The most messages per domain that become visible at the same time.
const AT_ONCE: usize = 500;

/// How long a message that becomes visible still counts as one that its domain must take: the time until it is visible and
/// is received and rendered again, with a margin. The room of a domain does not show such messages yet.
const ON_THE_WAY: Duration = Duration::from_secs(5);

/// The parked messages of all queues.
#[derive(Debug)]
pub struct Parking {
    outages: Arc<Outages>,
    intake: Arc<Intake>,
    releaser: Releaser,
    metrics: Arc<Metrics>,
    max_per_queue: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The parked messages by the domain that they wait for, in the order of their arrival.
    parked: BTreeMap<Domain, VecDeque<ParkedReceipt>>,
    counts: HashMap<QueueUrl, usize>,
    /// The messages that became visible within the time [`ON_THE_WAY`]: when, for which domain, and their number.
    on_the_way: VecDeque<(Instant, Domain, usize)>,
    /// Whether the service stops, so that no message is parked any more.
    is_closed: bool,
}

impl Parking {
    /// Creates a parking without messages. At most `max_per_queue` messages of each queue are parked at the same time.
    pub fn new(
        max_per_queue: usize,
        outages: Arc<Outages>,
        intake: Arc<Intake>,
        releaser: Releaser,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self { outages, intake, releaser, metrics, max_per_queue, state: Mutex::default() }
    }

    /// Whether one more message of the queue can be parked.
    pub fn has_room(&self, queue: &QueueUrl) -> bool {
        self.state.lock().counts.get(queue).is_none_or(|count| *count < self.max_per_queue)
    }

    /// Parks a message until the domain takes it.
    pub fn park(&self, domain: &Domain, receipt: Receipt) {
        let receipt = receipt.park(EXTENSION);
        let mut state = self.state.lock();
        if state.is_closed {
            self.releaser.unpark(receipt);
            return;
        }
        *state.counts.entry(receipt.queue.url.clone()).or_default() += 1;
        self.metrics.parked.with(&QueueLabels { queue: &receipt.queue.label }).rise();
        state.parked.entry(domain.clone()).or_default().push_back(receipt);
        drop(state);
        self.outages.notify();
    }

    /// Makes all parked messages visible, and from now on each one at once that is to be parked, because the service stops.
    /// Otherwise another process could receive them only at the end of their long visibility timeouts.
    pub fn close(&self) {
        let mut state = self.state.lock();
        state.is_closed = true;
        state.counts.clear();
        for receipt in std::mem::take(&mut state.parked).into_values().flatten() {
            self.metrics.parked.with(&QueueLabels { queue: &receipt.queue.label }).fall();
            self.releaser.unpark(receipt);
        }
    }

    /// Makes parked messages visible when their domains take them, and stops and starts the receives, for as long as the
    /// future is polled.
    pub async fn run(self: Arc<Self>) {
        loop {
            let changed = self.outages.changed();
            let is_busy = self.intake.update(Instant::now()) | self.unpark();
            if is_busy {
                sleep(PERIOD).await;
            } else {
                changed.await;
            }
        }
    }

    /// Makes the messages visible that their domains take now. Returns whether there were any parked messages.
    fn unpark(&self) -> bool {
        let now = Instant::now();
        let State { parked, counts, on_the_way, .. } = &mut *self.state.lock();
        let were_any = !parked.is_empty();
        while on_the_way.pop_front_if(|(since, ..)| now >= *since + ON_THE_WAY).is_some() {}
        let mut take_out = |receipt: &ParkedReceipt| {
            if let Some(count) = counts.get_mut(&receipt.queue.url) {
                *count -= 1;
            }
            self.metrics.parked.with(&QueueLabels { queue: &receipt.queue.label }).fall();
        };
        parked.retain(|domain, receipts| {
            // A message that has, or can have, a new owner is that one's to finish.
            receipts.retain(|receipt| {
                let is_ours = !receipt.hold.is_stale();
                if !is_ours {
                    take_out(receipt);
                }
                is_ours
            });
            let coming = on_the_way.iter().filter(|(_, of, _)| of == domain).map(|(.., count)| *count).sum();
            let count = self.outages.room(domain).saturating_sub(coming).min(AT_ONCE).min(receipts.len());
            for receipt in receipts.drain(..count) {
                take_out(&receipt);
                self.releaser.unpark(receipt);
            }
            if count > 0 {
                on_the_way.push_back((now, domain.clone(), count));
            }
            !receipts.is_empty()
        });
        were_any
    }
}

#[cfg(test)]
mod tests;
