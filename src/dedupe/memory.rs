//! The window of one process.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use foldhash::fast::RandomState;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::{MessageId, Pair};

/// Pairs that were published, bounded by count and by time, and pairs that are being published.
#[derive(Debug)]
pub(super) struct Memory {
    span: Duration,
    most: usize,
    published: HashMap<Pair, (MessageId, Instant), RandomState>,
    /// By age. A pair that was noted again is named twice; the later time counts.
    by_age: VecDeque<(Instant, Pair)>,
    /// What is being published, and who waits for it.
    claimed: HashMap<Pair, Vec<oneshot::Sender<()>>, RandomState>,
}

/// What is known of a pair.
#[derive(Debug)]
pub(super) enum Found {
    /// Nothing; it is claimed now.
    Free,
    /// It was published, by this message.
    Published(MessageId),
    /// It is being published; the receiver ends when that is over.
    Busy(oneshot::Receiver<()>),
}

impl Memory {
    pub(super) fn new(span: Duration, most: usize) -> Self {
        let (published, by_age, claimed) = (HashMap::default(), VecDeque::new(), HashMap::default());
        Self { span, most, published, by_age, claimed }
    }

    pub(super) fn claim(&mut self, pair: Pair, now: Instant) -> Found {
        self.forget(now);
        if let Some((message, _)) = self.published.get(&pair) {
            return Found::Published(*message);
        }
        if let Some(waiting) = self.claimed.get_mut(&pair) {
            let (over, released) = oneshot::channel();
            waiting.push(over);
            return Found::Busy(released);
        }
        self.claimed.insert(pair, Vec::new());
        Found::Free
    }

    pub(super) fn release(&mut self, pair: Pair) {
        self.claimed.remove(&pair);
    }

    pub(super) fn note(&mut self, pair: Pair, message: MessageId, now: Instant) {
        self.published.insert(pair, (message, now));
        self.by_age.push_back((now, pair));
        self.forget(now);
    }

    pub(super) fn len(&self) -> usize {
        self.published.len()
    }

    fn forget(&mut self, now: Instant) {
        while let Some((noted, pair)) = self.by_age.front().copied() {
            if now.duration_since(noted) < self.span && self.by_age.len() <= self.most {
                return;
            }
            self.by_age.pop_front();
            if self.published.get(&pair).is_some_and(|(_, last)| *last == noted) {
                self.published.remove(&pair);
            }
        }
    }
}
