//! Whether a received message is still ours.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// Whether this process still owns a received message. Clones share one state.
///
/// A message is owned from its receive until its visibility timeout lapses, or until SQS reports that the receipt is
/// stale. After that, another consumer can own it, so protobridge neither publishes nor deletes it. Ownership does not
/// keep the message hidden; [`Visibility`](crate::aws::sqs::visibility::Visibility) does that.
#[derive(Debug, Clone)]
pub struct Ownership(Arc<State>);

#[derive(Debug)]
struct State {
    received: Instant,
    /// When the visibility timeout lapses, in milliseconds after `received`.
    lapses_after: AtomicU64,
    is_lost: AtomicBool,
}

impl Ownership {
    /// Creates the ownership of a message whose visibility timeout of `timeout` began at `received`.
    pub fn new(received: Instant, timeout: Duration) -> Self {
        let lapses_after = AtomicU64::new(millis(timeout));
        Self(Arc::new(State { received, lapses_after, is_lost: AtomicBool::new(false) }))
    }

    /// Whether the message has, or can have, a new owner.
    pub fn is_lost(&self) -> bool {
        self.0.is_lost.load(Ordering::Acquire) || self.lapses_at() <= Instant::now()
    }

    /// Returns when the visibility timeout lapses.
    pub fn lapses_at(&self) -> Instant {
        self.0.received + Duration::from_millis(self.0.lapses_after.load(Ordering::Acquire))
    }

    /// Records that SQS hides the message until `at`.
    pub fn extend_to(&self, at: Instant) {
        self.0.lapses_after.store(millis(at.saturating_duration_since(self.0.received)), Ordering::Release);
    }

    /// Records that the message has, or can have, a new owner. Returns whether this was not recorded before.
    pub fn give_up(&self) -> bool {
        !self.0.is_lost.swap(true, Ordering::AcqRel)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
