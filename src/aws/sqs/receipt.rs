//! The right to settle a received message.

use std::sync::Arc;

use super::budget::Permit;
use super::visibility::Hold;
use crate::message::{Message, Queue};

/// The right to settle one message: to delete it, or to return it to its queue.
///
/// Dropping a receipt without a decision leaves the message to become visible again when its visibility timeout lapses.
#[derive(Debug)]
pub struct Receipt {
    /// The queue that the message was received from.
    pub queue: Arc<Queue>,
    /// The SQS receipt handle of this receive.
    pub handle: Arc<str>,
    /// Keeps the message hidden.
    pub hold: Hold,
    /// The message's share of the in-flight budget.
    _permit: Permit,
}

impl Receipt {
    /// Creates the receipt of a message that was just received.
    pub fn new(queue: Arc<Queue>, handle: Arc<str>, hold: Hold, permit: Permit) -> Self {
        Self { queue, handle, hold, _permit: permit }
    }
}

/// A message together with the right to settle it.
#[derive(Debug)]
pub struct Received {
    /// The message.
    pub message: Message,
    /// The right to settle it.
    pub receipt: Receipt,
}

#[cfg(test)]
impl Receipt {
    pub(crate) fn for_tests(
        handle: &str,
        visibility: &super::visibility::Visibility,
        permit: Permit,
        received: tokio::time::Instant,
    ) -> Self {
        let (queue, handle) = (Arc::new(Queue::for_tests()), handle.into());
        let hold = visibility.hold(&queue, (&handle, std::time::SystemTime::now()), received);
        Self::new(queue, handle, hold, permit)
    }
}
