//! How many entries wait in memory for a topic that is in trouble, and which entries are turned away.
//!
//! A topic is in trouble while it is out, slow, or held back by its own rate. Its entries must not use up the in-flight
//! budget: together, the topics in trouble keep at most a quarter of it. Entries beyond that are turned away. Their messages
//! are hidden, out of memory, until the topic takes them. While SNS as a whole is out, nothing is turned away: there is no
//! other topic to protect, and receives stop.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::health::Health;
use super::lanes::Lanes;
use crate::aws::MAX_BATCH_ENTRIES;
use crate::aws::outages::{Domain, Outages};
use crate::message::TopicArn;

/// The most entries that wait for a topic that is out: enough for an hour of probes that try others each time.
const MOST_FOR_PROBES: usize = 100;

/// How often the room of topics in trouble is determined.
const PERIOD: Duration = Duration::from_secs(1);

/// The time between two requests for messages to probe a topic with. Each request costs these messages a receive.
const PROBE_REQUESTS: Duration = Duration::from_secs(60);

/// The time after which the outage of a topic ends that no entry needs. No probe can find out how the topic is, and a topic
/// that was removed from the configuration must not be reported for ever.
const UNNEEDED: Duration = Duration::from_secs(10 * 60);

/// The topics in trouble, and the limit on their entries.
#[derive(Debug)]
pub(super) struct Crowding {
    /// The most entries, and the most bytes of entries, over all topics in trouble.
    limit: (usize, usize),
    topics: BTreeMap<TopicArn, Trouble>,
    outages: Arc<Outages>,
    next_look: Option<Instant>,
    /// Whether SNS as a whole is out, and no entry is left to probe it with.
    is_unattended: bool,
}

/// A topic in trouble.
#[derive(Debug, Default)]
struct Trouble {
    /// When messages were last requested to probe the topic with.
    requested: Option<Instant>,
    /// Since when the topic has no entry, if it has none.
    idle_since: Option<Instant>,
    /// The mean size of the entries that waited last, in bytes.
    entry_bytes: usize,
}

impl Crowding {
    /// Creates a crowding without topics. `budget` is the in-flight budget in messages and in bytes.
    pub(super) fn new(budget: (usize, usize), outages: Arc<Outages>) -> Self {
        Self {
            limit: (budget.0 / 4, budget.1 / 4),
            topics: BTreeMap::new(),
            outages,
            next_look: None,
            is_unattended: false,
        }
    }

    /// Whether another entry of the topic must be turned away.
    pub(super) fn turns_away(&mut self, topic: &TopicArn, health: &Health, lanes: &Lanes, now: Instant) -> bool {
        if lanes.is_uncrowded(topic) || health.is_account_out() {
            return false;
        }
        let is_out = health.is_out(topic);
        if !is_out && !lanes.is_in_trouble(topic, now) {
            return false;
        }
        self.note(topic, now);
        let (len, bytes) = lanes.waiting(topic);
        let (most, most_bytes) = self.share(is_out);
        len >= most || bytes >= most_bytes
    }

    /// Records that the topic is in trouble.
    pub(super) fn note(&mut self, topic: &TopicArn, now: Instant) {
        if !self.topics.contains_key(topic) {
            self.topics.insert(topic.clone(), Trouble::default());
            self.next_look.get_or_insert(now);
        }
    }

    /// Requests parked messages, whatever they wait for, while SNS as a whole is out and no entry is left. Receives have
    /// stopped then, so without an entry no probe would ever find out that SNS works again.
    pub(super) fn attend(&mut self, health: &Health, lanes: &Lanes) {
        let is_unattended = health.is_account_out() && lanes.is_empty();
        if is_unattended != self.is_unattended {
            self.is_unattended = is_unattended;
            self.outages.set_room(Domain::Account, is_unattended.then_some(MAX_BATCH_ENTRIES));
        }
    }

    /// Returns the most entries, and their most bytes, of one topic.
    fn share(&self, is_out: bool) -> (usize, usize) {
        let topics = self.topics.len().max(1);
        let (most, most_bytes) = (self.limit.0 / topics, self.limit.1 / topics);
        (if is_out { most.min(MOST_FOR_PROBES) } else { most }.max(1), most_bytes)
    }

    /// Determines the room of the topics in trouble, if it is time. Returns when to call this again.
    pub(super) fn look(&mut self, health: &mut Health, lanes: &Lanes, now: Instant) -> Option<Instant> {
        if let Some(at) = self.next_look.filter(|at| *at > now) {
            return Some(at);
        }
        self.next_look?;
        let (share, share_bytes) = self.share(false);
        let Self { topics, outages, .. } = self;
        topics.retain(|topic, trouble| {
            let (len, bytes) = lanes.waiting(topic);
            trouble.entry_bytes = bytes.checked_div(len).unwrap_or(trouble.entry_bytes);
            trouble.idle_since = lanes.is_idle(topic).then(|| trouble.idle_since.unwrap_or(now));
            if trouble.idle_since.is_some_and(|since| now >= since + UNNEEDED) {
                health.forget(topic);
            }
            let room = if health.is_out(topic) {
                // Without an entry, no probe would ever find out that the topic works again.
                let needs_probe = lanes.is_idle(topic) && trouble.requested.is_none_or(|at| now >= at + PROBE_REQUESTS);
                if needs_probe {
                    trouble.requested = Some(now);
                }
                Some(if needs_probe { MAX_BATCH_ENTRIES } else { 0 })
            } else if lanes.is_in_trouble(topic, now) {
                let free_bytes = (share_bytes / 2).saturating_sub(bytes);
                Some((share / 2).saturating_sub(len).min(free_bytes / trouble.entry_bytes.max(1)))
            } else {
                None
            };
            outages.set_room(Domain::Topic(topic.clone()), room);
            room.is_some()
        });
        self.next_look = (!self.topics.is_empty()).then(|| now + PERIOD);
        self.next_look
    }
}
