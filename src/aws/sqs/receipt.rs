//! The right to settle a received message.

use std::sync::Arc;
use std::time::Duration;

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
    pub permit: Permit,
}

impl Receipt {
    /// Creates the receipt of a message that was just received.
    pub fn new(queue: Arc<Queue>, handle: Arc<str>, hold: Hold, permit: Permit) -> Self {
        Self { queue, handle, hold, permit }
    }
}

/// The right to return one message to its queue, while the message itself is no longer in memory.
#[derive(Debug)]
pub struct ParkedReceipt {
    /// The queue that the message was received from.
    pub queue: Arc<Queue>,
    /// The SQS receipt handle of this receive.
    pub handle: Arc<str>,
    /// Keeps the message hidden.
    pub hold: Hold,
}

impl Receipt {
    /// Returns the message's share of the in-flight budget and keeps the message hidden, with fewer calls: its visibility
    /// timeout is extended by `extension` from now on.
    pub fn park(self, extension: Duration) -> ParkedReceipt {
        let Self { queue, handle, hold, permit: _ } = self;
        hold.extend_by(extension);
        ParkedReceipt { queue, handle, hold }
    }
}

/// The right to delete one message whose outcome was reached.
#[derive(Debug)]
pub struct SettledReceipt {
    /// The queue that the message was received from.
    pub queue: Arc<Queue>,
    /// The SQS receipt handle of this receive.
    pub handle: Arc<str>,
    /// Keeps the message hidden.
    pub hold: Hold,
    /// The message's share of the in-flight budget, unless it was returned before the delete.
    permit: Option<Permit>,
}

impl Receipt {
    /// Records that the message's outcome was reached. At the end of a drain it is not returned to its queue.
    pub fn settled(self) -> SettledReceipt {
        let Self { queue, handle, hold, permit } = self;
        hold.mark_settled();
        SettledReceipt { queue, handle, hold, permit: Some(permit) }
    }
}

impl SettledReceipt {
    /// Returns the message's share of the in-flight budget. The message stays hidden.
    pub fn return_permit(&mut self) {
        self.permit = None;
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
        let message = Message::for_tests(Queue::for_tests(), "", &[], None);
        let handle = handle.into();
        let hold = visibility.hold(&message, &handle, received);
        Self::new(message.queue, handle, hold, permit)
    }
}
