//! The in-flight budget, in messages and in bytes.
//!
//! Each queue has a guaranteed share: half of the budget, divided by the number of queues. The other half is common. So a
//! queue whose messages cannot be finished leaves the others room to go on. A queue that has nothing in flight can always
//! receive once, however many queues there are.
//!
//! Bytes are counted twice in the life of a message: as SQS delivered it, when it is received, and as JSON, once it is
//! rendered. A message cannot be refused its JSON: it would keep what it has and wait for itself. So rendering takes more
//! than the budget if it must, and [`Permit::room_to_render`] holds the next message back until enough JSON is published.

use std::collections::HashMap;
use std::sync::Arc;

use metrics::Gauge;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::aws::MAX_BATCH_ENTRIES;
use crate::message::QueueUrl;
use crate::telemetry::{Level, Metrics};

/// The most bytes that one receive returns: SQS limits one message, and all messages of one answer together, to 1 MiB.
const MAX_RECEIVE_BYTES: usize = 1024 * 1024;

/// The limit on what is in flight: received and not yet finished. Clones share it.
#[derive(Debug, Clone)]
pub struct Budget(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Notified when a share returns and someone may wait for it.
    returned: Notify,
    messages: Arc<Level>,
    bytes: Gauge,
}

#[derive(Debug)]
struct State {
    messages: Account,
    bytes: Account,
    /// The bytes of JSON that is not published yet.
    rendered: usize,
    /// The index of each queue in the accounts.
    queues: HashMap<QueueUrl, usize>,
}

impl State {
    fn has_room_to_render(&self) -> bool {
        self.rendered < self.bytes.total()
    }

    /// Whether any queue has room for one receive.
    fn has_room_for_receive(&self) -> bool {
        let has = |queue| self.messages.has(queue, MAX_BATCH_ENTRIES) && self.bytes.has(queue, MAX_RECEIVE_BYTES);
        (0..self.queues.len()).any(has)
    }
}

/// The use of one resource.
#[derive(Debug)]
struct Account {
    /// The amount that all queues share.
    common: usize,
    /// The amount that each queue has for itself.
    guaranteed: usize,
    /// The part of the common amount in use.
    common_used: usize,
    /// The amount in use by each queue.
    used: Vec<usize>,
}

impl Account {
    fn new(total: usize, queues: usize) -> Self {
        let guaranteed = total / 2 / queues.max(1);
        Self { common: total - guaranteed * queues, guaranteed, common_used: 0, used: vec![0; queues] }
    }

    /// Whether the queue can take this amount.
    fn has(&self, queue: usize, amount: usize) -> bool {
        let used = self.used[queue];
        let from_common = |used: usize| used.saturating_sub(self.guaranteed);
        used == 0 || self.common_used - from_common(used) + from_common(used + amount) <= self.common
    }

    /// Takes the amount for the queue, even if there is less.
    fn take(&mut self, queue: usize, amount: usize) {
        self.set(queue, self.used[queue] + amount);
    }

    fn put_back(&mut self, queue: usize, amount: usize) {
        self.set(queue, self.used[queue] - amount);
    }

    fn set(&mut self, queue: usize, used: usize) {
        let from_common = |used: usize| used.saturating_sub(self.guaranteed);
        self.common_used = self.common_used - from_common(self.used[queue]) + from_common(used);
        self.used[queue] = used;
    }

    fn total(&self) -> usize {
        self.common + self.guaranteed * self.used.len()
    }
}

/// A share of the budget. Dropping it returns the share.
#[derive(Debug)]
pub struct Permit {
    budget: Budget,
    queue: usize,
    messages: usize,
    bytes: usize,
    rendered: usize,
    /// Whether the gauges count this share. A reservation without a message is not counted.
    is_counted: bool,
}

impl Budget {
    /// Creates a budget of `messages` messages and `bytes` bytes for these queues. Raises either limit, if needed, to what
    /// one receive can return.
    pub fn new<'q>(
        messages: usize,
        bytes: usize,
        queues: impl IntoIterator<Item = &'q QueueUrl>,
        metrics: &Metrics,
    ) -> Self {
        let queues: HashMap<QueueUrl, usize> =
            queues.into_iter().enumerate().map(|(index, url)| (url.clone(), index)).collect();
        let state = State {
            messages: Account::new(messages.max(MAX_BATCH_ENTRIES), queues.len()),
            bytes: Account::new(bytes.max(MAX_RECEIVE_BYTES), queues.len()),
            rendered: 0,
            queues,
        };
        Self(Arc::new(Shared {
            state: Mutex::new(state),
            returned: Notify::new(),
            messages: Arc::clone(&metrics.in_flight_messages),
            bytes: metrics.in_flight_bytes.clone(),
        }))
    }

    /// Waits until there is room for the most that one receive from the queue can return, and reserves it.
    ///
    /// # Panics
    /// If the budget was not created for this queue.
    pub async fn reserve(&self, queue: &QueueUrl) -> Permit {
        let queue = *self.0.state.lock().queues.get(queue).expect("the budget was created for all queues");
        self.wait_until(|state| {
            let is_possible = state.messages.has(queue, MAX_BATCH_ENTRIES) && state.bytes.has(queue, MAX_RECEIVE_BYTES);
            if !is_possible {
                return false;
            }
            state.messages.take(queue, MAX_BATCH_ENTRIES);
            state.bytes.take(queue, MAX_RECEIVE_BYTES);
            true
        })
        .await;
        Permit {
            budget: self.clone(),
            queue,
            messages: MAX_BATCH_ENTRIES,
            bytes: MAX_RECEIVE_BYTES,
            rendered: 0,
            is_counted: false,
        }
    }

    /// Waits until `attempt` returns true.
    async fn wait_until(&self, mut attempt: impl FnMut(&mut State) -> bool) {
        // A poller that never has to wait must not keep its thread from the other tasks.
        tokio::task::consume_budget().await;
        loop {
            // Created before the attempt, so that no return in between is missed.
            let returned = self.0.returned.notified();
            if attempt(&mut self.0.state.lock()) {
                return;
            }
            returned.await;
        }
    }
}

impl Permit {
    /// Takes the share of one message of `size` bytes out of a reservation.
    ///
    /// If the reservation has fewer bytes left, the share is what is left. That happens only if SQS returns more than its
    /// documented limit.
    pub fn split(&mut self, size: usize) -> Self {
        let (messages, bytes) = (self.messages.min(1), self.bytes.min(size));
        self.messages -= messages;
        self.bytes -= bytes;
        self.budget.0.messages.rise();
        self.budget.0.bytes.increment(bytes as f64);
        Self { budget: self.budget.clone(), queue: self.queue, messages, bytes, rendered: 0, is_counted: true }
    }

    /// Whether the JSON that is not published yet leaves room for more.
    pub fn has_room_to_render(&self) -> bool {
        self.budget.0.state.lock().has_room_to_render()
    }

    /// Waits until the JSON that is not published yet leaves room for more; usually returns at once.
    pub async fn room_to_render(&self) {
        self.budget.wait_until(|state| state.has_room_to_render()).await;
    }

    /// Counts the JSON of the message, in bytes of memory.
    pub fn count_rendered(&mut self, bytes: usize) {
        let mut state = self.budget.0.state.lock();
        state.bytes.take(self.queue, bytes);
        state.rendered += bytes;
        drop(state);
        self.budget.0.bytes.increment(bytes as f64);
        self.rendered += bytes;
    }

    /// Takes a part of the JSON out of the count of the message. It counts until the returned value is dropped.
    pub fn split_rendered(&mut self, bytes: usize) -> Rendered {
        let bytes = bytes.min(self.rendered);
        self.rendered -= bytes;
        Rendered { budget: self.budget.clone(), queue: self.queue, bytes }
    }

    /// Stops counting the JSON of the message, because it is published or will not be published now.
    pub fn end_rendered(&mut self) {
        drop(self.split_rendered(self.rendered));
    }
}

/// JSON that is in memory, in bytes. Dropping it stops the count.
#[derive(Debug)]
pub struct Rendered {
    budget: Budget,
    queue: usize,
    bytes: usize,
}

impl Drop for Rendered {
    fn drop(&mut self) {
        let Self { budget: Budget(shared), queue, bytes } = self;
        if *bytes > 0 {
            let mut state = shared.state.lock();
            state.bytes.put_back(*queue, *bytes);
            state.rendered -= *bytes;
            drop(state);
            shared.returned.notify_waiters();
            shared.bytes.decrement(*bytes as f64);
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let bytes = self.bytes + self.rendered;
        let mut state = self.budget.0.state.lock();
        state.messages.put_back(self.queue, self.messages);
        state.bytes.put_back(self.queue, bytes);
        state.rendered -= self.rendered;
        let is_of_use = self.rendered > 0 || state.has_room_for_receive();
        drop(state);
        if is_of_use {
            self.budget.0.returned.notify_waiters();
        }
        if self.is_counted {
            self.budget.0.messages.fall();
            self.budget.0.bytes.decrement(bytes as f64);
        }
    }
}

#[cfg(test)]
mod tests;
