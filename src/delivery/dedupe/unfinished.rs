//! Messages with several destinations that are not finished, and the deliveries of these that left the window.
//!
//! One destination can be out for longer than the window lasts, and the message comes again after that. The destinations
//! that have the event must not get it twice, so their deliveries stay confirmed for as long as the message can come again.
//! A message with one destination is finished with its only delivery and is never listed here.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use foldhash::fast::RandomState;
use tokio::time::Instant;

use super::{DeliveryKey, MessageId};

/// The longest time for which a message can come again: SQS keeps a message for at most 14 days.
pub(super) const MAX_RETENTION: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// The unfinished messages, bounded by time and by count.
#[derive(Debug)]
pub(super) struct Unfinished {
    /// The most messages, and the most deliveries. Beyond that, the message that was seen the longest time ago is
    /// forgotten.
    max_entries: usize,
    messages: HashMap<MessageId, UnfinishedMessage, RandomState>,
    /// The messages in the order in which they were seen last.
    by_turn: BTreeMap<u64, MessageId>,
    next_turn: u64,
    /// The deliveries that left the window, each with the message that was published.
    kept: HashMap<DeliveryKey, MessageId, RandomState>,
}

#[derive(Debug)]
struct UnfinishedMessage {
    turn: u64,
    seen: Instant,
    kept: Vec<DeliveryKey>,
}

impl Unfinished {
    pub(super) fn new(max_entries: usize) -> Self {
        let (messages, by_turn, kept) = (HashMap::default(), BTreeMap::new(), HashMap::default());
        Self { max_entries, messages, by_turn, next_turn: 0, kept }
    }

    /// Adds a message that is being published, or notes that it came again.
    pub(super) fn begin(&mut self, message: MessageId, now: Instant) {
        let turn = self.next_turn;
        self.next_turn += 1;
        let known =
            self.messages.entry(message).or_insert_with(|| UnfinishedMessage { turn, seen: now, kept: Vec::new() });
        if known.turn != turn {
            self.by_turn.remove(&known.turn);
            (known.turn, known.seen) = (turn, now);
        }
        self.by_turn.insert(turn, message);
        self.forget(now);
    }

    /// Removes a message that is finished. Returns its deliveries that had left the window.
    pub(super) fn finish(&mut self, message: MessageId) -> Vec<DeliveryKey> {
        let Some(UnfinishedMessage { turn, kept, .. }) = self.messages.remove(&message) else { return Vec::new() };
        self.by_turn.remove(&turn);
        kept.into_iter().filter(|key| self.forget_delivery(*key, message)).collect()
    }

    /// Forgets a delivery of a message that left the window. Returns whether it was known.
    pub(super) fn forget_delivery(&mut self, key: DeliveryKey, message: MessageId) -> bool {
        let is_known = self.find(key) == Some(message);
        if is_known {
            self.kept.remove(&key);
        }
        is_known
    }

    pub(super) fn contains(&self, message: MessageId) -> bool {
        self.messages.contains_key(&message)
    }

    /// Keeps a delivery that leaves the window, if its message is not finished.
    pub(super) fn keep(&mut self, key: DeliveryKey, message: MessageId, now: Instant) {
        let Some(known) = self.messages.get_mut(&message) else { return };
        if self.kept.insert(key, message).is_none() {
            known.kept.push(key);
        }
        self.forget(now);
    }

    /// Returns the message with which a delivery was published that left the window.
    pub(super) fn find(&self, key: DeliveryKey) -> Option<MessageId> {
        self.kept.get(&key).copied()
    }

    /// Returns the number of deliveries that left the window and are kept.
    pub(super) fn len(&self) -> usize {
        self.kept.len()
    }

    fn forget(&mut self, now: Instant) {
        while let Some((_, oldest)) = self.by_turn.first_key_value() {
            let is_full = self.messages.len() > self.max_entries || self.kept.len() > self.max_entries;
            let seen = self.messages.get(oldest).map(|message| message.seen);
            if !is_full && seen.is_some_and(|seen| now.duration_since(seen) < MAX_RETENTION) {
                return;
            }
            self.finish(*oldest);
        }
    }
}
