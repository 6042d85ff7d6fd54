//! Tells which side is at fault for a failed publish: the entry, its topic, or SNS as a whole.
//!
//! An entry is blamed only if its topic accepted another entry since the entry failed first, or if it is the only one that
//! SNS refuses. In all other cases the entry waits. A topic whose calls fail [`OPENS_AFTER`](crate::base::breaker::OPENS_AFTER)
//! times in a row is out, whatever the codes: a disabled key, a lost permission, a proxy in between. SNS as a whole is out
//! if the calls of several topics fail and none succeeds, or if there is only one topic.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tokio::time::Instant;

use super::Verdict;
use super::lanes::LaneEntry;
use crate::aws::outages::{Domain, Outages};
use crate::aws::{Failure, FailureKind};
use crate::base::Breaker;
use crate::base::breaker::{Change, Permission};
use crate::message::TopicArn;

/// The number of entries that SNS must refuse in a row, with one code and no other entry accepted, until the topic is
/// blamed rather than the entries.
const REFUSED_TOGETHER: u32 = 3;

/// The health of all topics.
#[derive(Debug)]
pub(super) struct Health {
    topics: HashMap<TopicArn, TopicHealth>,
    account: Breaker,
    /// The topics whose calls failed since any call succeeded, for a cause that other topics can share.
    failing: HashSet<TopicArn>,
    outages: Arc<Outages>,
}

#[derive(Debug, Default)]
struct TopicHealth {
    breaker: Breaker,
    /// When the topic last accepted an entry.
    accepted: Option<Instant>,
    refusals: Refusals,
}

/// Entries that were refused in a row, with one code.
#[derive(Debug, Default)]
struct Refusals {
    code: Option<String>,
    entries: u32,
}

/// The domains whose outage ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Recovery {
    /// One topic works again.
    Topic,
    /// SNS as a whole works again.
    Account,
}

impl Health {
    /// Creates the health of topics that all work.
    pub(super) fn new(outages: Arc<Outages>) -> Self {
        Self { topics: HashMap::new(), account: Breaker::default(), failing: HashSet::new(), outages }
    }

    /// Whether the topic is out.
    pub(super) fn is_out(&self, topic: &TopicArn) -> bool {
        self.topics.get(topic).is_some_and(|health| health.breaker.is_open())
    }

    /// Whether SNS as a whole is out.
    pub(super) fn is_account_out(&self) -> bool {
        self.account.is_open()
    }

    /// Requests permission for one call. A call that is then not made must be [cancelled](Health::cancel).
    pub(super) fn permission(&mut self, topic: &TopicArn, now: Instant) -> Permission {
        let Some(health) = self.topics.get_mut(topic) else { return self.account.permission(now) };
        let of_topic = health.breaker.permission(now);
        if let Permission::Denied(_) = of_topic {
            return of_topic;
        }
        let of_account = self.account.permission(now);
        if let Permission::Denied(_) = of_account {
            health.breaker.cancel_probe();
            return of_account;
        }
        if of_account == Permission::Probe { of_account } else { of_topic }
    }

    /// Records that a permitted call was not made.
    pub(super) fn cancel(&mut self, topic: &TopicArn) {
        if let Some(health) = self.topics.get_mut(topic) {
            health.breaker.cancel_probe();
        }
        self.account.cancel_probe();
    }

    /// Records that the topic accepted an entry. Returns what recovered by that.
    pub(super) fn accepted(&mut self, topic: &TopicArn, now: Instant) -> Option<Recovery> {
        let health = self.topics.entry(topic.clone()).or_default();
        health.accepted = Some(now);
        health.refusals = Refusals::default();
        self.answered(topic)
    }

    /// Records an answer that shows that the topic works, although it may have accepted nothing: for example a throttle.
    pub(super) fn answered(&mut self, topic: &TopicArn) -> Option<Recovery> {
        let health = self.topics.entry(topic.clone()).or_default();
        let mut recovery = None;
        if health.breaker.succeeded() == Some(Change::Closed) {
            self.outages.end(&Domain::Topic(topic.clone()));
            recovery = Some(Recovery::Topic);
        }
        self.failing.clear();
        if self.account.succeeded() == Some(Change::Closed) {
            self.outages.end(&Domain::Account);
            recovery = Some(Recovery::Account);
        }
        recovery
    }

    /// Records a call of which the topic accepted nothing.
    pub(super) fn failed(&mut self, topic: &TopicArn, failure: &Failure, now: Instant) {
        let health = self.topics.entry(topic.clone()).or_default();
        let was_out = health.breaker.is_open();
        let opened = health.breaker.failed(now);
        // A probe of a topic that was out before says nothing new about SNS, unless SNS is out too.
        let is_news = !was_out || self.account.is_open();
        let can_be_shared = is_news && matches!(failure.kind, FailureKind::Transient | FailureKind::Denied);
        if can_be_shared {
            self.failing.insert(topic.clone());
        }
        let are_several = self.failing.len() > 1 || self.topics.len() == 1;
        if can_be_shared && (are_several || self.account.is_open()) {
            if self.account.failed(now) == Some(Change::Opened) {
                self.outages.begin(&Domain::Account, failure);
            }
        } else {
            self.account.cancel_probe();
        }
        if opened == Some(Change::Opened) {
            self.outages.begin(&Domain::Topic(topic.clone()), failure);
        }
    }

    /// Ends the outage of a topic that no entry needs.
    pub(super) fn forget(&mut self, topic: &TopicArn) {
        self.topics.remove(topic);
        self.failing.remove(topic);
        self.outages.forget(&Domain::Topic(topic.clone()));
    }

    /// Decides about an entry that was not accepted. Returns `None` if it waits for its next attempt.
    pub(super) fn verdict(
        &mut self,
        topic: &TopicArn,
        entry: &mut LaneEntry,
        failure: &Failure,
        max_attempts: u32,
        now: Instant,
    ) -> Option<Verdict> {
        if failure.is_throttle() {
            return None;
        }
        let health = self.topics.entry(topic.clone()).or_default();
        entry.failures = entry.failures.saturating_add(1);
        let since = entry.failed_at.replace(now).unwrap_or(now);
        let has_accepted_others = health.accepted.is_some_and(|at| at >= since);
        if has_accepted_others {
            entry.blamed = entry.blamed.saturating_add(1);
        }
        if !failure.is_about_entry() {
            return (entry.blamed >= max_attempts).then_some(Verdict::Failed);
        }
        if has_accepted_others {
            return Some(Verdict::Refused);
        }
        entry.refusals = entry.refusals.saturating_add(1);
        if entry.refusals == 1 {
            health.refusals.add(failure);
        }
        let is_alone = health.refusals.entries < REFUSED_TOGETHER;
        (is_alone && entry.refusals >= max_attempts).then_some(Verdict::Refused)
    }
}

impl Refusals {
    fn add(&mut self, failure: &Failure) {
        if self.code != failure.code {
            *self = Self { code: failure.code.clone(), entries: 0 };
        }
        self.entries = self.entries.saturating_add(1);
    }
}

#[cfg(test)]
mod tests;
