//! Which entries travel next: a lane for each topic, served in turn.
//!
//! A lane is ready when it can fill a batch, or when its first entry has waited for as long as the linger. Ready lanes
//! take turns, a batch each, so that the backlog of one customer does not starve the others; and no lane has more than
//! its share of the calls, so that a topic that answers slowly does not, either. While a lane waits for its turn its
//! batch goes on filling.
//!
//! Nothing here does I/O or looks at the clock.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Pending;
use crate::batch::MAX_ENTRIES;

/// When a batch is full, and how many calls there may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Most bytes of one batch, bodies and attributes together.
    pub(super) bytes: usize,
    /// How long a batch that is not full waits for more.
    pub(super) linger: Duration,
    /// Most calls at a time, over all topics.
    pub(super) calls: usize,
    /// Most calls at a time for one topic.
    pub(super) calls_per_topic: usize,
}

/// An entry in its lane.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) pending: Pending,
    /// As SNS counts it.
    pub(super) bytes: usize,
    /// Since when it waits.
    pub(super) since: Instant,
    /// How often it was sent.
    pub(super) attempts: u32,
    /// How often it was throttled; that says nothing about the entry.
    pub(super) throttles: u32,
    /// The most entries that may travel with it, itself included: less where a batch was refused as a whole.
    pub(super) most: usize,
}

impl Waiting {
    pub(super) fn new(pending: Pending, now: Instant) -> Self {
        let bytes = pending.entry.size();
        Self { pending, bytes, since: now, attempts: 0, throttles: 0, most: MAX_ENTRIES }
    }

    /// The group in which it has to keep its place.
    fn group(&self) -> Option<&str> {
        self.pending.entry.group.as_deref()
    }
}

/// The lanes of all topics.
#[derive(Debug)]
pub(super) struct Lanes {
    limits: Limits,
    lanes: HashMap<Arc<str>, Lane>,
    /// Topics whose lane is ready, in the order of their turns.
    ready: VecDeque<Arc<str>>,
    /// When to look at a lane again. A lane that changed meanwhile may be named too early; looking costs little.
    alarms: BinaryHeap<Reverse<(Instant, Arc<str>)>>,
    /// Calls under way.
    calls: usize,
    /// Full batches that wait, in all lanes.
    full: usize,
}

/// A topic that has not answered for so long is slow: what waits for it says nothing about the others.
const SLOW: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
struct Lane {
    /// Entries that may travel, in order; of each group at most the first.
    queue: VecDeque<Waiting>,
    bytes: usize,
    /// Entries that are sent again at a time.
    later: Vec<(Instant, Waiting)>,
    /// What waits behind an entry of the same group, which is in the queue, sent again later, or under way.
    groups: HashMap<String, VecDeque<Waiting>>,
    calls: usize,
    /// When a call was answered last, or since when one is waited for.
    heard: Option<Instant>,
    /// Whether its last call ended without an answer.
    is_silent: bool,
    /// Its part of [`Lanes::full`].
    full: usize,
    is_ready: bool,
    alarm: Option<Instant>,
}

impl Lane {
    fn push_back(&mut self, waiting: Waiting) {
        self.bytes += waiting.bytes;
        self.queue.push_back(waiting);
    }

    /// Puts an entry where its age says.
    fn push_again(&mut self, waiting: Waiting) {
        self.bytes += waiting.bytes;
        let at = self.queue.partition_point(|other| other.since <= waiting.since);
        self.queue.insert(at, waiting);
    }

    fn take_due(&mut self, now: Instant) {
        if self.later.iter().all(|(due, _)| *due > now) {
            return;
        }
        for (due, waiting) in std::mem::take(&mut self.later) {
            if due <= now {
                self.push_again(waiting);
            } else {
                self.later.push((due, waiting));
            }
        }
    }

    /// When there will be something to send.
    fn due(&self, limits: &Limits) -> Option<Instant> {
        let first = self.queue.front().map(|first| {
            let is_full = self.queue.len() >= first.most || self.bytes >= limits.bytes;
            if is_full { first.since } else { first.since + limits.linger }
        });
        let later = self.later.iter().map(|(due, _)| *due).min();
        first.into_iter().chain(later).min()
    }

    /// How many entries from the front fit into one batch.
    fn batch_len(&self, limits: &Limits) -> usize {
        let (mut len, mut bytes, mut most) = (0, 0, MAX_ENTRIES);
        for waiting in &self.queue {
            most = most.min(waiting.most);
            bytes += waiting.bytes;
            // An entry that exceeds the limit alone travels alone.
            if len >= most || (len > 0 && bytes > limits.bytes) {
                break;
            }
            len += 1;
        }
        len
    }

    fn take_batch(&mut self, limits: &Limits) -> Vec<Waiting> {
        let batch: Vec<Waiting> = self.queue.drain(..self.batch_len(limits)).collect();
        self.bytes -= batch.iter().map(|waiting| waiting.bytes).sum::<usize>();
        batch
    }

    /// When the topic counts as slow, unless it answers before.
    fn slow_at(&self) -> Option<Instant> {
        self.heard.filter(|_| self.calls > 0 || self.is_silent).map(|heard| heard + SLOW)
    }

    /// How many full batches wait for their turn, and are not held up by a slow topic.
    fn full_batches(&self, limits: &Limits, now: Instant) -> usize {
        match self.slow_at() {
            Some(at) if at <= now => 0,
            _ => (self.queue.len() / MAX_ENTRIES).max(self.bytes / limits.bytes),
        }
    }

    fn is_empty(&self) -> bool {
        self.queue.is_empty() && self.later.is_empty() && self.groups.is_empty() && self.calls == 0
    }
}

impl Lanes {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, lanes: HashMap::new(), ready: VecDeque::new(), alarms: BinaryHeap::new(), calls: 0, full: 0 }
    }

    /// Takes an entry.
    pub(super) fn push(&mut self, pending: Pending, now: Instant) {
        let topic = Arc::clone(&pending.entry.topic);
        let waiting = Waiting::new(pending, now);
        let lane = self.lanes.entry(Arc::clone(&topic)).or_default();
        match waiting.group() {
            Some(group) => match lane.groups.get_mut(group) {
                Some(behind) => return behind.push_back(waiting),
                None => {
                    lane.groups.insert(group.to_owned(), VecDeque::new());
                    lane.push_back(waiting);
                }
            },
            None => lane.push_back(waiting),
        }
        self.look(&topic, now);
    }

    /// How many entries the next batch will have. None while no lane is ready, or every call is under way.
    pub(super) fn next_len(&mut self, now: Instant) -> Option<usize> {
        while self.alarms.peek().is_some_and(|Reverse((at, _))| *at <= now) {
            let Some(Reverse((at, topic))) = self.alarms.pop() else { break };
            // One that is not the lane's next was set before an earlier one, which has looked since.
            if let Some(lane) = self.lanes.get_mut(&topic).filter(|lane| lane.alarm == Some(at)) {
                lane.alarm = None;
                self.look(&topic, now);
            }
        }
        if self.calls >= self.limits.calls {
            return None;
        }
        let lane = self.lanes.get(self.ready.front()?)?;
        Some(lane.batch_len(&self.limits))
    }

    /// The next batch: topic and entries, as [`Lanes::next_len`] said. It counts as a call until
    /// [`Lanes::call_is_over`].
    pub(super) fn next_batch(&mut self, now: Instant) -> Option<(Arc<str>, Vec<Waiting>)> {
        let topic = self.ready.pop_front()?;
        let lane = self.lanes.get_mut(&topic)?;
        lane.is_ready = false;
        let batch = lane.take_batch(&self.limits);
        if lane.calls == 0 && !lane.is_silent {
            lane.heard = Some(now);
        }
        lane.calls += 1;
        self.calls += 1;
        self.look(&topic, now);
        Some((topic, batch))
    }

    /// When a lane will be ready. None while every call is under way, or nothing waits.
    pub(super) fn next_due(&self) -> Option<Instant> {
        if self.calls >= self.limits.calls { None } else { self.alarms.peek().map(|Reverse((at, _))| *at) }
    }

    /// A call is over, with an answer or without one.
    pub(super) fn call_is_over(&mut self, topic: &Arc<str>, has_answer: bool, now: Instant) {
        self.calls -= 1;
        if let Some(lane) = self.lanes.get_mut(topic) {
            lane.calls -= 1;
            lane.is_silent = !has_answer;
            if has_answer {
                lane.heard = Some(now);
            }
        }
        self.look(topic, now);
    }

    /// A call was not made after all.
    pub(super) fn call_was_not_made(&mut self, topic: &Arc<str>, now: Instant) {
        self.calls -= 1;
        if let Some(lane) = self.lanes.get_mut(topic) {
            lane.calls -= 1;
        }
        self.look(topic, now);
    }

    /// Calls under way.
    pub(super) fn calls(&self) -> usize {
        self.calls
    }

    /// Full batches that could travel if there were more calls, or a higher rate.
    pub(super) fn full_batches(&self) -> usize {
        self.full
    }

    /// An entry has its verdict, whatever it is: the next of its group may go.
    pub(super) fn is_done(&mut self, topic: &Arc<str>, group: Option<&str>, now: Instant) {
        let (Some(group), Some(lane)) = (group, self.lanes.get_mut(topic)) else { return };
        let Some(behind) = lane.groups.get_mut(group) else { return };
        match behind.pop_front() {
            Some(next) => lane.push_again(next),
            None => {
                lane.groups.remove(group);
            }
        }
        self.look(topic, now);
    }

    /// An entry is sent again, not before `due`; its group waits for it.
    pub(super) fn again(&mut self, topic: &Arc<str>, waiting: Waiting, due: Instant, now: Instant) {
        self.lanes.entry(Arc::clone(topic)).or_default().later.push((due, waiting));
        self.look(topic, now);
    }

    /// Whether nothing waits and nothing is under way.
    pub(super) fn is_empty(&self) -> bool {
        self.lanes.is_empty()
    }

    /// Puts a lane among those that are ready, or sets its alarm, or lets it go when it is empty.
    fn look(&mut self, topic: &Arc<str>, now: Instant) {
        let Some(lane) = self.lanes.get_mut(topic) else { return };
        lane.take_due(now);
        let full = lane.full_batches(&self.limits, now);
        self.full = self.full - lane.full + full;
        lane.full = full;
        if lane.is_empty() {
            self.lanes.remove(topic);
            return;
        }
        let mut alarm = lane.slow_at().filter(|_| full > 0);
        if !lane.is_ready && lane.calls < self.limits.calls_per_topic {
            match lane.due(&self.limits) {
                Some(due) if due <= now => {
                    lane.is_ready = true;
                    self.ready.push_back(Arc::clone(topic));
                }
                due => alarm = alarm.into_iter().chain(due).min(),
            }
        }
        if let Some(at) = alarm.filter(|at| lane.alarm.is_none_or(|alarm| *at < alarm)) {
            lane.alarm = Some(at);
            self.alarms.push(Reverse((at, Arc::clone(topic))));
        }
    }
}

#[cfg(test)]
mod tests;
