//! The window of one process.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use foldhash::fast::RandomState;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::unfinished::Unfinished;
use super::{DeliveryKey, MessageId};

/// The deliveries that were published, bounded by count and by time, and the deliveries that are being published. The
/// deliveries of unfinished messages outlast the window.
#[derive(Debug)]
pub(super) struct Memory {
    span: Duration,
    max_entries: usize,
    published: HashMap<DeliveryKey, (MessageId, Instant), RandomState>,
    /// The keys by age. A key that was noted again is listed twice, and the later time counts.
    by_age: VecDeque<(Instant, DeliveryKey)>,
    /// The deliveries that are being published, each with the channels of the messages that wait for the result.
    claimed: HashMap<DeliveryKey, Vec<oneshot::Sender<()>>, RandomState>,
    unfinished: Unfinished,
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
        Self { span, max_entries, published, by_age, claimed, unfinished: Unfinished::new(max_entries) }
    }

    /// Claims a delivery of a message. If the same message was published, and half of the window has passed, its time in the
    /// window begins again: as long as the message comes again, it was not deleted.
    pub(super) fn claim(&mut self, key: DeliveryKey, message: MessageId, now: Instant) -> Found {
        self.forget(now);
        if let Some((first, noted)) = self.published.get(&key).copied() {
            let is_old = now.duration_since(noted) >= self.span / 2;
            if first == message && is_old && !self.unfinished.contains(message) {
                self.note(key, message, now);
            }
            return Found::Published(first);
        }
        if let Some(first) = self.unfinished.find(key) {
            return Found::Published(first);
        }
        if let Some(waiting) = self.claimed.get_mut(&key) {
            let (over, released) = oneshot::channel();
            waiting.push(over);
            return Found::Busy(released);
        }
        self.claimed.insert(key, Vec::new());
        Found::Free
    }

    /// Returns the unfinished message from which alone this process knows that the delivery was published: the delivery
    /// left the window.
    pub(super) fn kept_for(&self, key: DeliveryKey) -> Option<MessageId> {
        if self.published.contains_key(&key) { None } else { self.unfinished.find(key) }
    }

    /// Forgets that a delivery was kept for this message, because another replica has finished it.
    pub(super) fn forget_kept(&mut self, key: DeliveryKey, message: MessageId) {
        self.unfinished.forget_delivery(key, message);
    }

    pub(super) fn release(&mut self, key: DeliveryKey) {
        self.claimed.remove(&key);
    }

    pub(super) fn note(&mut self, key: DeliveryKey, message: MessageId, now: Instant) {
        self.published.insert(key, (message, now));
        self.by_age.push_back((now, key));
        self.forget(now);
    }

    /// Notes that a message with several destinations is being published. Its deliveries stay confirmed until it is
    /// finished. Adopts the deliveries among these that another message published, unless that message is unfinished too.
    /// Returns the adopted ones.
    pub(super) fn begin(
        &mut self,
        message: MessageId,
        published: impl Iterator<Item = (DeliveryKey, MessageId)>,
        now: Instant,
    ) -> Vec<DeliveryKey> {
        self.unfinished.begin(message, now);
        let adopted: Vec<DeliveryKey> = published
            .filter(|(_, first)| *first != message && !self.unfinished.contains(*first))
            .map(|(key, _)| key)
            .collect();
        for key in adopted.iter().copied() {
            self.note(key, message, now);
        }
        adopted
    }

    /// Whether a message with several destinations is not finished.
    pub(super) fn is_unfinished(&self, message: MessageId) -> bool {
        self.unfinished.contains(message)
    }

    /// Notes that a message is finished. Its deliveries begin their time in the window again, and those that had left it
    /// enter it again, because SQS can deliver a message again after its delete. So all destinations of the message are
    /// remembered for the same time.
    pub(super) fn finish(&mut self, message: MessageId, deliveries: &[DeliveryKey], now: Instant) {
        let is_of_message = |key: &DeliveryKey| self.published.get(key).is_some_and(|(first, _)| *first == message);
        let in_window: Vec<DeliveryKey> = deliveries.iter().copied().filter(is_of_message).collect();
        for key in self.unfinished.finish(message).into_iter().chain(in_window) {
            self.note(key, message, now);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.published.len() + self.unfinished.len()
    }

    fn forget(&mut self, now: Instant) {
        while let Some((noted, key)) = self.by_age.front().copied() {
            if now.duration_since(noted) < self.span && self.published.len() <= self.max_entries {
                return;
            }
            self.by_age.pop_front();
            if let Some((message, last)) = self.published.get(&key).copied()
                && last == noted
            {
                self.published.remove(&key);
                self.unfinished.keep(key, message, now);
            }
        }
    }
}
