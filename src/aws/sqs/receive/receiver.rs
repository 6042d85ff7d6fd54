//! Receiving call by call, for commands that look through a queue and end.

use std::sync::Arc;

use tokio::time::Instant;

use super::pair_with_receipts;
use super::poller::size;
use crate::aws::sqs::Received;
use crate::aws::sqs::budget::Budget;
use crate::aws::sqs::visibility::Visibility;
use crate::aws::{Failure, LeanClient, call_end};
use crate::config::Config;
use crate::message::Queue;
use crate::telemetry::{Call, Carried, Operation};

/// The longest wait of a poll, in seconds. A long poll asks all servers of a queue however short it is, and somebody waits
/// for the command.
const MOST_WAIT_SECONDS: u32 = 2;

/// Receives from one queue whenever it is asked to.
#[derive(Debug)]
pub struct Receiver {
    queue: Arc<Queue>,
    lean: LeanClient,
    budget: Budget,
    visibility: Visibility,
    wait_seconds: i32,
    timeout_seconds: i32,
}

impl Receiver {
    /// Creates a receiver of one queue, with the in-flight budget of the configuration.
    pub fn new(queue: Arc<Queue>, config: &Config, lean: LeanClient, visibility: Visibility) -> Self {
        let (messages, bytes) = (config.receive.max_in_flight_messages, config.receive.max_in_flight_bytes);
        let budget = Budget::new(messages, bytes, [&queue.url], visibility.metrics());
        Self {
            queue,
            lean,
            budget,
            visibility,
            wait_seconds: config.receive.wait_seconds.min(MOST_WAIT_SECONDS).cast_signed(),
            timeout_seconds: config.visibility.timeout_seconds.cast_signed(),
        }
    }

    /// Waits until the budget has room for one receive, and makes one long poll.
    ///
    /// # Errors
    /// Returns an error if SQS does not return the messages.
    pub async fn receive(&self) -> Result<Vec<Received>, Failure> {
        let reserved = self.budget.reserve(&self.queue.url).await;
        let called = Instant::now();
        let answer = self.lean.receive(self.queue.url.as_str(), self.wait_seconds, self.timeout_seconds).await;
        let call = Call::new(Operation::ReceiveMessage, self.queue.url.is_fifo());
        let carried = |messages: &Vec<_>| Carried::sizes(messages.iter().map(size));
        self.visibility.metrics().transfer(&call, call_end(&answer, carried));
        let now = Instant::now();
        let times = (self.visibility.counted_from(called, now), now);
        Ok(pair_with_receipts(&self.queue, answer?, &self.visibility, reserved, times))
    }
}
