//! Which entries are sent next: one lane per topic, served in turn.
//!
//! A lane is ready when it can fill a batch, or when its first entry has waited for the linger. Ready lanes take turns, one
//! batch each, so the backlog of one customer does not starve the others. No lane has more than its share of the calls, so
//! a topic that answers slowly does not starve them either. While a lane waits for its turn, its batch continues to fill.
//! A lane that its topic's own rate holds back leaves the turn to the others until its alarm.
//!
//! This module does no I/O and does not read the clock.

mod lane;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use lane::Lane;

use super::{QueuedEntry, Trail};
use crate::aws::MAX_BATCH_ENTRIES;
use crate::message::TopicArn;

/// When a batch is full, and the largest number of calls under way.
#[derive(Debug, Clone, Copy)]
pub(super) struct LaneLimits {
    /// The largest size of a batch in bytes, bodies and attributes together.
    pub(super) bytes: usize,
    /// How long a batch that is not full waits for more entries.
    pub(super) linger: Duration,
    /// The largest number of calls under way, over all topics.
    pub(super) calls: usize,
    /// The largest number of calls under way per topic.
    pub(super) calls_per_topic: usize,
}

/// An entry in its lane.
#[derive(Debug)]
pub(super) struct LaneEntry {
    pub(super) queued: QueuedEntry,
    /// The size as SNS counts it.
    pub(super) bytes: usize,
    /// When the entry arrived.
    pub(super) since: Instant,
    /// The number of failed attempts, throttles excepted, which say nothing about the entry.
    pub(super) failures: u32,
    /// When the entry failed last, throttles excepted.
    pub(super) failed_at: Option<Instant>,
    /// The number of failed attempts before which its topic accepted other entries.
    pub(super) blamed: u32,
    /// The number of times that SNS refused the entry itself.
    pub(super) refusals: u32,
    /// The largest batch that the entry can be part of. It shrinks when SNS refuses a whole batch.
    pub(super) max_entries: usize,
}

impl LaneEntry {
    pub(super) fn new(queued: QueuedEntry, now: Instant) -> Self {
        let bytes = queued.entry.size();
        Self {
            queued,
            bytes,
            since: now,
            failures: 0,
            failed_at: None,
            blamed: 0,
            refusals: 0,
            max_entries: MAX_BATCH_ENTRIES,
        }
    }

    /// The calls that the entry was part of so far.
    pub(super) fn trail(&mut self) -> &mut Trail {
        &mut self.queued.reply.trail
    }

    /// The message group in which the entry must keep its place.
    fn group(&self) -> Option<&str> {
        self.queued.entry.group.as_deref()
    }
}

/// The lanes of all topics.
#[derive(Debug)]
pub(super) struct Lanes {
    limits: LaneLimits,
    lanes: HashMap<TopicArn, Lane>,
    /// The topics whose lane is ready, in the order of their turns.
    ready: VecDeque<TopicArn>,
    /// When to update a lane again. The alarm of a lane that has changed since can be too early, which costs little.
    alarms: BinaryHeap<Reverse<(Instant, TopicArn)>>,
    /// The number of calls under way.
    calls: usize,
    /// The number of full batches that wait, in all lanes.
    full_batches: usize,
}

impl Lanes {
    pub(super) fn new(limits: LaneLimits) -> Self {
        let (lanes, ready, alarms) = (HashMap::new(), VecDeque::new(), BinaryHeap::new());
        Self { limits, lanes, ready, alarms, calls: 0, full_batches: 0 }
    }

    /// Adds an entry to the lane of its topic.
    pub(super) fn push(&mut self, queued: QueuedEntry, now: Instant) {
        let topic = queued.entry.topic.clone();
        let waiting = LaneEntry::new(queued, now);
        let lane = self.lanes.entry(topic.clone()).or_default();
        lane.count(&waiting);
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
        self.update(&topic, now);
    }

    /// Returns the topic and the number of entries of the next batch, or `None` while no lane is ready or all calls are
    /// under way.
    pub(super) fn next_turn(&mut self, now: Instant) -> Option<(&TopicArn, usize)> {
        while self.alarms.peek().is_some_and(|Reverse((at, _))| *at <= now) {
            let Some(Reverse((at, topic))) = self.alarms.pop() else { break };
            // An alarm that is not the lane's current one was replaced by an earlier alarm, which has gone off.
            if let Some(lane) = self.lanes.get_mut(&topic).filter(|lane| lane.alarm == Some(at)) {
                lane.alarm = None;
                self.update(&topic, now);
            }
        }
        if self.calls >= self.limits.calls {
            return None;
        }
        let topic = self.ready.front()?;
        let lane = self.lanes.get(topic)?;
        Some((topic, lane.batch_len(&self.limits)))
    }

    /// Holds back the next batch, as announced by [`Lanes::next_turn`], because of its topic's own rate or outage. The lane's
    /// next turn is not before `until`. The other lanes go on.
    pub(super) fn hold(&mut self, until: Instant, now: Instant) {
        let Some(topic) = self.ready.pop_front() else { return };
        if let Some(lane) = self.lanes.get_mut(&topic) {
            lane.is_ready = false;
            lane.held_until = Some(until);
        }
        self.update(&topic, now);
    }

    /// Returns the topic and the entries of the next batch, as announced by [`Lanes::next_turn`]. The batch counts as a
    /// call until [`Lanes::end_call`].
    pub(super) fn next_batch(&mut self, now: Instant) -> Option<(TopicArn, Vec<LaneEntry>)> {
        let topic = self.ready.pop_front()?;
        let lane = self.lanes.get_mut(&topic)?;
        lane.is_ready = false;
        let batch = lane.take_batch(&self.limits);
        if lane.calls == 0 && !lane.is_silent {
            lane.last_answer = Some(now);
        }
        lane.calls += 1;
        self.calls += 1;
        self.update(&topic, now);
        Some((topic, batch))
    }

    /// Returns when a lane will be ready, or `None` while all calls are under way or nothing waits.
    pub(super) fn next_due(&self) -> Option<Instant> {
        if self.calls >= self.limits.calls { None } else { self.alarms.peek().map(|Reverse((at, _))| *at) }
    }

    /// Records that a call ended, with an answer or without one.
    pub(super) fn end_call(&mut self, topic: &TopicArn, has_answer: bool, now: Instant) {
        self.calls -= 1;
        if let Some(lane) = self.lanes.get_mut(topic) {
            lane.calls -= 1;
            lane.is_silent = !has_answer;
            if has_answer {
                lane.last_answer = Some(now);
            }
        }
        self.update(topic, now);
    }

    /// Records that the call of the last batch was not made after all.
    pub(super) fn cancel_call(&mut self, topic: &TopicArn, now: Instant) {
        self.calls -= 1;
        if let Some(lane) = self.lanes.get_mut(topic) {
            lane.calls -= 1;
        }
        self.update(topic, now);
    }

    /// Returns the number of calls under way.
    pub(super) fn calls(&self) -> usize {
        self.calls
    }

    /// Returns the number of full batches that only the number of calls or the account's rate holds back.
    pub(super) fn full_batches(&self) -> usize {
        self.full_batches
    }

    /// Records that an entry has its result, whatever it is, so that the next entry of its group can go.
    pub(super) fn entry_done(&mut self, topic: &TopicArn, group: Option<&str>, now: Instant) {
        let (Some(group), Some(lane)) = (group, self.lanes.get_mut(topic)) else { return };
        let Some(behind) = lane.groups.get_mut(group) else { return };
        match behind.pop_front() {
            Some(next) => lane.insert_by_age(next),
            None => {
                lane.groups.remove(group);
            }
        }
        self.update(topic, now);
    }

    /// Sends an entry again, not before `due`. Its group waits for it.
    pub(super) fn requeue(&mut self, topic: &TopicArn, waiting: LaneEntry, due: Instant, now: Instant) {
        let lane = self.lanes.entry(topic.clone()).or_default();
        lane.count(&waiting);
        lane.later.push((due, waiting));
        self.update(topic, now);
    }

    /// Returns the number of entries that wait for the topic, and their bytes.
    pub(super) fn waiting(&self, topic: &TopicArn) -> (usize, usize) {
        self.lanes.get(topic).map_or((0, 0), |lane| lane.waiting)
    }

    /// Whether the topic has neither waiting entries nor calls.
    pub(super) fn is_idle(&self, topic: &TopicArn) -> bool {
        !self.lanes.contains_key(topic)
    }

    /// Whether hardly any entry waits for the topic.
    pub(super) fn is_uncrowded(&self, topic: &TopicArn) -> bool {
        self.lanes.get(topic).is_none_or(|lane| lane.waiting.0 == 0)
    }

    /// Whether the topic is slow, or was held back within the last second.
    pub(super) fn is_in_trouble(&self, topic: &TopicArn, now: Instant) -> bool {
        self.lanes.get(topic).is_some_and(|lane| lane.is_in_trouble(now))
    }

    /// Ends what holds a topic back, or all topics.
    pub(super) fn resume(&mut self, topic: Option<&TopicArn>, now: Instant) {
        let topics = match topic {
            Some(topic) => vec![topic.clone()],
            None => {
                let mut topics: Vec<TopicArn> = self.lanes.keys().cloned().collect();
                topics.sort_unstable();
                topics
            }
        };
        for topic in topics {
            if let Some(lane) = self.lanes.get_mut(&topic) {
                lane.held_until = None;
            }
            self.update(&topic, now);
        }
    }

    /// Whether nothing waits and nothing is under way.
    pub(super) fn is_empty(&self) -> bool {
        self.lanes.is_empty()
    }

    /// Marks a lane as ready, sets its alarm, or removes it if it is empty.
    fn update(&mut self, topic: &TopicArn, now: Instant) {
        let Some(lane) = self.lanes.get_mut(topic) else { return };
        lane.take_due(now);
        let full_batches = lane.count_full_batches(&self.limits, now);
        self.full_batches = self.full_batches - lane.full_batches + full_batches;
        lane.full_batches = full_batches;
        if lane.is_empty() {
            self.lanes.remove(topic);
            return;
        }
        let mut alarm = lane.slow_at().filter(|_| full_batches > 0);
        if !lane.is_ready && lane.calls < self.limits.calls_per_topic {
            match lane.due(&self.limits).map(|due| lane.held_until.map_or(due, |until| due.max(until))) {
                Some(due) if due <= now => {
                    lane.is_ready = true;
                    self.ready.push_back(topic.clone());
                }
                due => alarm = alarm.into_iter().chain(due).min(),
            }
        }
        if let Some(at) = alarm.filter(|at| lane.alarm.is_none_or(|alarm| *at < alarm)) {
            lane.alarm = Some(at);
            self.alarms.push(Reverse((at, topic.clone())));
        }
    }
}

#[cfg(test)]
mod tests;
