//! The window of one process.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use foldhash::fast::RandomState;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::{DeliveryKey, MessageId};

/// The deliveries that were published, bounded by count and by time, and the deliveries that are being published.
#[derive(Debug)]
pub(super) struct Memory {
    span: Duration,
    max_entries: usize,
    published: HashMap<DeliveryKey, (MessageId, Instant), RandomState>,
    /// The keys by age. A key that was noted again is listed twice, and the later time counts.
    by_age: VecDeque<(Instant, DeliveryKey)>,
    /// The deliveries that are being published, each with the channels of the messages that wait for the result.
    claimed: HashMap<DeliveryKey, Vec<oneshot::Sender<()>>, RandomState>,
}

/// The state of a delivery in this process.
#[derive(Debug)]
pub(super) enum Found {
    /// Nothing, so it is claimed now.
    Free,
    /// It was published, by this message.
    Published(MessageId),
    /// It is being published. The channel closes when the claim ends.
    Busy(oneshot::Receiver<()>),
}

impl Memory {
    pub(super) fn new(span: Duration, max_entries: usize) -> Self {
        let (published, by_age, claimed) = (HashMap::default(), VecDeque::new(), HashMap::default());
        Self { span, max_entries, published, by_age, claimed }
    }

    pub(super) fn claim(&mut self, key: DeliveryKey, now: Instant) -> Found {
        self.forget(now);
        if let Some((message, _)) = self.published.get(&key) {
            return Found::Published(*message);
        }
        if let Some(waiting) = self.claimed.get_mut(&key) {
            let (over, released) = oneshot::channel();
            waiting.push(over);
            return Found::Busy(released);
        }
        self.claimed.insert(key, Vec::new());
        Found::Free
    }

    pub(super) fn release(&mut self, key: DeliveryKey) {
        self.claimed.remove(&key);
    }

    pub(super) fn note(&mut self, key: DeliveryKey, message: MessageId, now: Instant) {
        self.published.insert(key, (message, now));
        self.by_age.push_back((now, key));
        self.forget(now);
    }

    pub(super) fn len(&self) -> usize {
        self.published.len()
    }

    fn forget(&mut self, now: Instant) {
        while let Some((noted, key)) = self.by_age.front().copied() {
            if now.duration_since(noted) < self.span && self.by_age.len() <= self.max_entries {
                return;
            }
            self.by_age.pop_front();
            if self.published.get(&key).is_some_and(|(_, last)| *last == noted) {
                self.published.remove(&key);
            }
        }
    }
}
