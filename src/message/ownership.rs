//! Whether a received message, or one of its entries, is still ours.

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
pub struct Ownership {
    message: Arc<State>,
    /// The mark of one entry of the message; `None` if no other replica can take it over.
    taken_over: Option<TakenOver>,
}

/// The mark that another replica publishes an entry, or has published it. Clones share one mark.
#[derive(Debug, Clone, Default)]
pub struct TakenOver(Arc<AtomicBool>);

impl TakenOver {
    /// Sets the mark for good.
    pub fn set(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether the mark is set.
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

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
        let message = Arc::new(State { received, lapses_after, is_lost: AtomicBool::new(false) });
        Self { message, taken_over: None }
    }

    /// Returns the ownership of one entry of the message, which is also lost when the mark is set.
    #[must_use]
    pub fn of_entry(self, taken_over: Option<TakenOver>) -> Self {
        Self { taken_over, ..self }
    }

    /// Whether the message, or this entry of it, has or can have a new owner.
    pub fn is_lost(&self) -> bool {
        self.message.is_lost.load(Ordering::Acquire)
            || self.lapses_at() <= Instant::now()
            || self.taken_over.as_ref().is_some_and(TakenOver::is_set)
    }

    /// Returns when the visibility timeout lapses.
    pub fn lapses_at(&self) -> Instant {
        self.message.received + Duration::from_millis(self.message.lapses_after.load(Ordering::Acquire))
    }

    /// Records that SQS hides the message until `at`.
    pub fn extend_to(&self, at: Instant) {
        self.message.lapses_after.store(millis(at.saturating_duration_since(self.message.received)), Ordering::Release);
    }

    /// Records that the message has, or can have, a new owner. Returns whether this was not recorded before.
    pub fn give_up(&self) -> bool {
        !self.message.is_lost.swap(true, Ordering::AcqRel)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_entry_that_another_replica_took_over_is_lost_and_its_message_is_not() {
        let message = Ownership::new(Instant::now(), Duration::from_secs(60));
        let taken_over = TakenOver::default();
        let entry = message.clone().of_entry(Some(taken_over.clone()));
        assert!(!entry.is_lost());
        taken_over.set();
        assert!(entry.is_lost() && !message.is_lost());
        let other = message.clone().of_entry(Some(TakenOver::default()));
        message.give_up();
        assert!(other.is_lost(), "the entries share the state of their message");
    }
}
