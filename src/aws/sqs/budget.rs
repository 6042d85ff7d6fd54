//! The in-flight budget, in messages and in bytes.

use std::sync::Arc;

use metrics::Gauge;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::aws::MAX_BATCH_ENTRIES;
use crate::telemetry::{Level, Metrics};

/// The most bytes that one receive returns: SQS limits one message, and all messages of one answer together, to 1 MiB.
const MAX_RECEIVE_BYTES: usize = 1024 * 1024;

/// The limit on what is in flight: received and not yet finished. Clones share it.
#[derive(Debug, Clone)]
pub struct Budget {
    messages: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    metrics: Arc<Metrics>,
}

/// A share of the budget. Dropping it returns the share.
#[derive(Debug)]
pub struct Permit {
    messages: OwnedSemaphorePermit,
    bytes: OwnedSemaphorePermit,
    /// The gauges that count this share. A reservation without a message is not counted.
    gauges: Option<(Arc<Level>, Gauge)>,
    metrics: Arc<Metrics>,
}

impl Budget {
    /// Creates a budget of `messages` messages and `bytes` bytes. Raises either limit, if needed, to what one receive can
    /// return.
    pub fn new(messages: usize, bytes: usize, metrics: Arc<Metrics>) -> Self {
        Self {
            messages: Arc::new(Semaphore::new(messages.max(MAX_BATCH_ENTRIES))),
            bytes: Arc::new(Semaphore::new(bytes.max(MAX_RECEIVE_BYTES))),
            metrics,
        }
    }

    /// Waits until there is room for the most that one receive can return, and reserves it.
    pub async fn reserve(&self) -> Permit {
        let all = |semaphore: &Arc<Semaphore>, count: usize| Arc::clone(semaphore).acquire_many_owned(count as u32);
        // Neither semaphore is ever closed.
        let messages = all(&self.messages, MAX_BATCH_ENTRIES).await.expect("the budget is open");
        let bytes = all(&self.bytes, MAX_RECEIVE_BYTES).await.expect("the budget is open");
        Permit { messages, bytes, gauges: None, metrics: Arc::clone(&self.metrics) }
    }
}

impl Permit {
    /// Takes the share of one message of `size` bytes out of a reservation.
    ///
    /// If the reservation has fewer bytes left, the share is what is left. That happens only if SQS returns more than its
    /// documented limit.
    pub fn split(&mut self, size: usize) -> Self {
        let take = |permit: &mut OwnedSemaphorePermit, count: usize| {
            permit.split(count.min(permit.num_permits())).expect("the count is at most what the permit holds")
        };
        let (messages, bytes) = (take(&mut self.messages, 1), take(&mut self.bytes, size));
        let gauges = (Arc::clone(&self.metrics.in_flight_messages), self.metrics.in_flight_bytes.clone());
        gauges.0.rise();
        gauges.1.increment(bytes.num_permits() as f64);
        Self { messages, bytes, gauges: Some(gauges), metrics: Arc::clone(&self.metrics) }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some((messages, bytes)) = &self.gauges {
            messages.fall();
            bytes.decrement(self.bytes.num_permits() as f64);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_message_keeps_its_share_and_the_rest_returns_to_the_budget() {
        let budget = Budget::new(10, MAX_RECEIVE_BYTES, Arc::new(Metrics::new(false)));
        let mut reserved = budget.reserve().await;
        let message = reserved.split(1_000);
        drop(reserved);
        assert_eq!(budget.messages.available_permits(), 9);
        assert_eq!(budget.bytes.available_permits(), MAX_RECEIVE_BYTES - 1_000);
        assert!(budget.metrics.render().contains("protobridge_in_flight_bytes 1000"));
        assert!(futures_ready(budget.reserve()).is_none(), "one message in flight leaves no room for ten");
        drop(message);
        assert!(futures_ready(budget.reserve()).is_some());
    }

    fn futures_ready<T>(future: impl Future<Output = T>) -> Option<T> {
        let mut future = std::pin::pin!(future);
        match future.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
            std::task::Poll::Ready(value) => Some(value),
            std::task::Poll::Pending => None,
        }
    }

    #[tokio::test]
    async fn a_receive_above_the_limit_takes_what_is_left() {
        let budget = Budget::new(10, MAX_RECEIVE_BYTES, Arc::new(Metrics::new(false)));
        let mut reserved = budget.reserve().await;
        let _large = reserved.split(MAX_RECEIVE_BYTES);
        let small = reserved.split(5);
        assert_eq!(small.bytes.num_permits(), 0);
    }
}
