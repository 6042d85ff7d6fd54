//! The lane of one topic: the entries that wait for it, in order, and what the topic's answers say about it.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use super::{LaneEntry, LaneLimits};
use crate::aws::MAX_BATCH_ENTRIES;

/// A topic that has not answered for this long is slow. Its waiting entries say nothing about the other topics.
pub(super) const SLOW: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub(super) struct Lane {
    /// The entries that can be sent, in order; at most the first of each group.
    queue: VecDeque<LaneEntry>,
    bytes: usize,
    /// The number of entries that wait, and their bytes: those in `queue`, in `later` and in `groups`.
    pub(super) waiting: (usize, usize),
    /// The entries that are sent again, with the earliest time.
    pub(super) later: Vec<(Instant, LaneEntry)>,
    /// The entries that wait behind an entry of the same group. That entry is in `queue`, in `later`, or in a call.
    pub(super) groups: HashMap<String, VecDeque<LaneEntry>>,
    pub(super) calls: usize,
    /// When the topic answered last, or when the oldest unanswered call was made.
    pub(super) last_answer: Option<Instant>,
    /// Whether the last call ended without an answer.
    pub(super) is_silent: bool,
    /// Until when the topic's own rate, or an outage, holds the lane back.
    pub(super) held_until: Option<Instant>,
    /// This lane's part of [`Lanes::full_batches`].
    pub(super) full_batches: usize,
    pub(super) is_ready: bool,
    pub(super) alarm: Option<Instant>,
}

impl Lane {
    pub(super) fn push_back(&mut self, waiting: LaneEntry) {
        self.bytes += waiting.bytes;
        self.queue.push_back(waiting);
    }

    /// Inserts an entry at the position of its age.
    pub(super) fn insert_by_age(&mut self, waiting: LaneEntry) {
        self.bytes += waiting.bytes;
        let at = self.queue.partition_point(|other| other.since <= waiting.since);
        self.queue.insert(at, waiting);
    }

    pub(super) fn take_due(&mut self, now: Instant) {
        if self.later.iter().all(|(due, _)| *due > now) {
            return;
        }
        for (due, waiting) in std::mem::take(&mut self.later) {
            if due <= now {
                self.insert_by_age(waiting);
            } else {
                self.later.push((due, waiting));
            }
        }
    }

    /// Returns when the lane will have a batch to send.
    pub(super) fn due(&self, limits: &LaneLimits) -> Option<Instant> {
        let first = self.queue.front().map(|first| {
            let is_full = self.queue.len() >= first.max_entries || self.bytes >= limits.bytes;
            if is_full { first.since } else { first.since + limits.linger }
        });
        let later = self.later.iter().map(|(due, _)| *due).min();
        first.into_iter().chain(later).min()
    }

    /// Returns how many entries from the front fit into one batch.
    pub(super) fn batch_len(&self, limits: &LaneLimits) -> usize {
        let (mut len, mut bytes, mut most) = (0, 0, MAX_BATCH_ENTRIES);
        for waiting in &self.queue {
            most = most.min(waiting.max_entries);
            bytes += waiting.bytes;
            // An entry that exceeds the limit by itself gets its own batch.
            if len >= most || (len > 0 && bytes > limits.bytes) {
                break;
            }
            len += 1;
        }
        len
    }

    pub(super) fn take_batch(&mut self, limits: &LaneLimits) -> Vec<LaneEntry> {
        let batch: Vec<LaneEntry> = self.queue.drain(..self.batch_len(limits)).collect();
        let bytes = batch.iter().map(|waiting| waiting.bytes).sum::<usize>();
        self.bytes -= bytes;
        self.waiting = (self.waiting.0 - batch.len(), self.waiting.1 - bytes);
        batch
    }

    /// Returns when the topic counts as slow, unless it answers before.
    pub(super) fn slow_at(&self) -> Option<Instant> {
        self.last_answer.filter(|_| self.calls > 0 || self.is_silent).map(|answered| answered + SLOW)
    }

    /// Returns the number of full batches that wait for their turn; zero for a slow topic, and for a topic that its own
    /// rate held back within the last second. Its batches say nothing about the other topics.
    pub(super) fn count_full_batches(&self, limits: &LaneLimits, now: Instant) -> usize {
        if self.is_in_trouble(now) {
            return 0;
        }
        (self.queue.len() / MAX_BATCH_ENTRIES).max(self.bytes / limits.bytes)
    }

    /// Counts an entry that begins to wait.
    pub(super) fn count(&mut self, waiting: &LaneEntry) {
        self.waiting = (self.waiting.0 + 1, self.waiting.1 + waiting.bytes);
    }

    /// Whether the topic is slow, or was held back within the last second.
    pub(super) fn is_in_trouble(&self, now: Instant) -> bool {
        self.held_until.is_some_and(|until| now < until + SLOW) || self.slow_at().is_some_and(|at| at <= now)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty() && self.later.is_empty() && self.groups.is_empty() && self.calls == 0
    }
}
