//! The account's limit, and the limits of single topics. A throttle lowers one of them:
//!
//! - A throttle of the topic's encryption key lowers the topic's limit.
//! - A throttle of a topic that is at its own limit lowers the topic's limit.
//! - If no other topic was active in the last seconds, the account's limit falls. The two quotas cannot be told apart, and
//!   no other topic is held back. As soon as another topic has a call to make, the limit becomes the topic's.
//! - Otherwise the [evidence](super::evidence) decides. When it changes its mind, what the throttles of the last seconds
//!   lowered by mistake is as it was before them.
//!
//! This module does no I/O and does not read the clock.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::accepted::{Accepted, WINDOW};
use super::bucket::Bucket;
use super::evidence::{Cause, Evidence, LONG_SPAN, SPAN};
use super::report::TopicLimit;
use crate::message::TopicArn;

/// The time after which a topic's limit is forgotten, if it caused no throttle and held back no call.
const FORGET: Duration = Duration::from_secs(60);

/// Why a call must wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shortage {
    /// The account's limit holds back all topics until this time.
    Account(Instant),
    /// The topic's limit holds back this topic until this time.
    Topic(Instant),
}

/// All limits. A topic has one only while SNS throttles it by itself, so an unthrottled topic costs nothing.
#[derive(Debug, Default)]
pub(super) struct Limits {
    pub(super) accepted: Accepted,
    account: Option<Bucket>,
    /// When the account's limit last held back a call.
    account_held_back: Option<Instant>,
    /// Set while the account's limit was lowered for a topic that was active alone.
    sole: Option<Sole>,
    topics: HashMap<TopicArn, OwnLimit>,
    recent: Recent,
    window: Option<Window>,
    /// The throttles of a minute.
    of_minute: Option<Evidence>,
}

/// The limit of one topic.
#[derive(Debug, Clone)]
struct OwnLimit {
    bucket: Bucket,
    customer: Option<Arc<str>>,
    /// The topic's accepted messages since the limit was found.
    accepted: Accepted,
    found: Instant,
    throttled: Instant,
    /// When the limit last held back a call.
    held_back: Option<Instant>,
}

/// The topic that was active alone, and the account's limit before.
#[derive(Debug)]
struct Sole {
    topic: TopicArn,
    customer: Option<Arc<str>>,
    before: Option<Bucket>,
}

/// The throttles of a few seconds, and the limits as they would be if these throttles had the other cause.
#[derive(Debug)]
struct Window {
    evidence: Evidence,
    blamed: Cause,
    /// `None` until the cause changes for the first time.
    other_account: Option<Option<Bucket>>,
    other_topics: HashMap<TopicArn, Option<OwnLimit>>,
}

impl Limits {
    /// Takes the tokens for a call of this topic with this number of messages.
    ///
    /// # Errors
    /// Returns the limit that has too few tokens, and takes none.
    pub(super) fn take(&mut self, topic: &TopicArn, messages: usize, now: Instant) -> Result<(), Shortage> {
        self.recent.see(topic, now);
        if self.sole.as_ref().is_some_and(|sole| sole.topic != *topic) {
            self.hand_over(now);
        }
        self.account_limit(now);
        if let Some(missing) = self.account.as_ref().and_then(|account| account.missing(messages)) {
            self.account_held_back = Some(now);
            return Err(Shortage::Account(now + missing));
        }
        if !self.topics.is_empty() {
            self.take_of_topic(topic, messages, now)?;
        }
        if let Some(account) = &mut self.account {
            account.spend(messages);
        }
        Ok(())
    }

    fn take_of_topic(&mut self, topic: &TopicArn, messages: usize, now: Instant) -> Result<(), Shortage> {
        let Some(own) = self.topics.get_mut(topic) else { return Ok(()) };
        if own.is_over(now) {
            self.topics.remove(topic);
            return Ok(());
        }
        own.refill(now);
        if let Some(missing) = own.bucket.missing(messages) {
            own.held_back = Some(now);
            return Err(Shortage::Topic(now + missing));
        }
        own.bucket.spend(messages);
        Ok(())
    }

    /// Records that SNS accepted this number of messages of a call that was made at `called`.
    pub(super) fn accepted(&mut self, topic: &TopicArn, messages: usize, called: Instant, now: Instant) {
        self.accepted.add(messages, now);
        if let Some(own) = self.topics.get_mut(topic) {
            own.accepted.add(messages, now);
        }
        self.window.take_if(|window| window.evidence.is_over(SPAN, now));
        self.of_minute.take_if(|evidence| evidence.is_over(LONG_SPAN, now));
        let of_window = self.window.as_mut().map(|window| &mut window.evidence);
        for evidence in of_window.into_iter().chain(&mut self.of_minute) {
            evidence.accepted(topic, called);
        }
    }

    /// Lowers the limit that a throttled call shows to be too high.
    pub(super) fn throttled(&mut self, throttled: &Throttled<'_>, now: Instant) {
        let topic = throttled.topic;
        self.recent.see(topic, now);
        if throttled.is_of_key || self.is_at_own_limit(topic, now) {
            return self.lower_topic(throttled, now);
        }
        let is_sole = !self.recent.has_other(topic, now);
        let cause = self.cause(topic, now);
        if is_sole {
            if self.sole.as_ref().is_none_or(|sole| sole.topic != *topic) {
                let customer = throttled.customer.cloned();
                self.sole = Some(Sole { topic: topic.clone(), customer, before: self.account });
            }
            return self.lower_account(throttled.called, now);
        }
        self.blame(cause);
        match cause {
            Cause::Account => {
                self.sole = None;
                self.lower_account(throttled.called, now);
            }
            Cause::Topic => {
                self.remember(topic);
                self.lower_topic(throttled, now);
            }
        }
    }

    /// Records a throttle as evidence. Returns its cause by all that is known now.
    fn cause(&mut self, topic: &TopicArn, now: Instant) -> Cause {
        self.window.take_if(|window| window.evidence.is_over(SPAN, now));
        self.of_minute.take_if(|evidence| evidence.is_over(LONG_SPAN, now));
        if self.window.is_none() {
            self.forget(now);
        }
        let is_at_limit = self.is_account_at_limit(now);
        let evidence = &mut self.window.get_or_insert_with(|| Window::new(now)).evidence;
        evidence.throttled(topic);
        let of_minute = self.of_minute.get_or_insert_with(|| Evidence::new(now));
        of_minute.throttled(topic);
        let is_of_topic = match evidence.is_of_one_topic() {
            true if is_at_limit => of_minute.clears_account(),
            true => true,
            false => evidence.clears_account(),
        };
        if is_of_topic { Cause::Topic } else { Cause::Account }
    }

    /// Whether the account's limit held calls back until now.
    fn is_account_at_limit(&self, now: Instant) -> bool {
        let held_back = self.account_held_back.filter(|_| self.account.is_some());
        held_back.is_some_and(|held_back| now.duration_since(held_back) < WINDOW)
    }

    /// Whether the topic runs at a limit of its own that is older than the evidence, so that the throttle shows nothing
    /// about the account.
    fn is_at_own_limit(&self, topic: &TopicArn, now: Instant) -> bool {
        let since = self.window.as_ref().map(|window| window.evidence.since());
        let since = since.filter(|since| now.duration_since(*since) < SPAN).unwrap_or(now);
        self.topics.get(topic).is_some_and(|own| {
            own.found < since && own.held_back.is_some_and(|held_back| now.duration_since(held_back) < SPAN)
        })
    }

    /// Restores what the throttles of the window lowered by mistake, if the cause is not the one that was blamed before.
    fn blame(&mut self, cause: Cause) {
        let Some(window) = self.window.as_mut().filter(|window| window.blamed != cause) else { return };
        window.blamed = cause;
        for (topic, other) in &mut window.other_topics {
            let current = self.topics.remove(topic);
            if let Some(own) = std::mem::replace(other, current) {
                self.topics.insert(topic.clone(), own);
            }
        }
        let other = window.other_account.replace(self.account);
        self.account = other.unwrap_or(self.account);
    }

    /// Remembers a topic's limit as it is before the throttles of the window.
    fn remember(&mut self, topic: &TopicArn) {
        if let Some(window) = &mut self.window {
            window.other_topics.entry(topic.clone()).or_insert_with(|| self.topics.get(topic).cloned());
        }
    }

    fn lower_topic(&mut self, throttled: &Throttled<'_>, now: Instant) {
        let Throttled { topic, customer, called, .. } = *throttled;
        if let Some(own) = self.topics.get_mut(topic) {
            let pace = own.pace(now);
            own.bucket.decrease(pace, called, now);
            own.throttled = now;
            return;
        }
        // The topic's rate was not measured before its first throttle. The rate over all topics is an upper bound.
        let bucket = Bucket::found(self.pace(now), now);
        self.topics.insert(topic.clone(), OwnLimit::new(bucket, customer.cloned(), now));
    }

    fn lower_account(&mut self, called: Instant, now: Instant) {
        let pace = self.pace(now);
        match &mut self.account {
            Some(account) => account.decrease(pace, called, now),
            None => self.account = Some(Bucket::found(pace, now)),
        }
    }

    /// Makes the limit of a topic that was active alone a limit of its own.
    fn hand_over(&mut self, now: Instant) {
        let Some(Sole { topic, customer, before }) = self.sole.take() else { return };
        let Some(bucket) = std::mem::replace(&mut self.account, before) else { return };
        self.remember(&topic);
        self.topics.insert(topic, OwnLimit::new(bucket, customer, now));
    }

    /// Removes the limits of topics that no longer need one.
    fn forget(&mut self, now: Instant) {
        self.topics.retain(|_, own| !own.is_over(now));
    }

    /// Returns the account's limit in force, in messages per second; `None` before its first throttle.
    pub(super) fn account_limit(&mut self, now: Instant) -> Option<f64> {
        let pace = self.account.is_some().then(|| self.pace(now))?;
        Some(self.account.as_mut()?.refill(pace, now))
    }

    /// Returns the accepted rate over all topics.
    fn pace(&mut self, now: Instant) -> f64 {
        self.accepted.pace(WINDOW / 4, now)
    }

    /// Returns the topics that have a limit of their own, sorted by ARN.
    pub(super) fn topic_limits(&mut self, now: Instant) -> Vec<TopicLimit> {
        self.forget(now);
        let limit = |(topic, own): (&TopicArn, &mut OwnLimit)| TopicLimit {
            topic: topic.clone(),
            customer: own.customer.clone(),
            limit: own.refill(now),
            rate: own.accepted.rate(now),
        };
        let mut limits: Vec<TopicLimit> = self.topics.iter_mut().map(limit).collect();
        limits.sort_by(|one, other| one.topic.as_str().cmp(other.topic.as_str()));
        limits
    }
}

/// A throttled call.
#[derive(Debug, Clone, Copy)]
pub(super) struct Throttled<'t> {
    pub(super) topic: &'t TopicArn,
    /// The customer whom the topic belongs to.
    pub(super) customer: Option<&'t Arc<str>>,
    /// Whether KMS throttled the topic's encryption key.
    pub(super) is_of_key: bool,
    /// When the call was made.
    pub(super) called: Instant,
}

impl OwnLimit {
    fn new(bucket: Bucket, customer: Option<Arc<str>>, now: Instant) -> Self {
        Self { bucket, customer, accepted: Accepted::default(), found: now, throttled: now, held_back: None }
    }

    /// Returns the topic's accepted rate. It is not measured before the limit is found.
    fn pace(&mut self, now: Instant) -> f64 {
        self.accepted.pace(WINDOW, now)
    }

    fn refill(&mut self, now: Instant) -> f64 {
        let pace = self.pace(now);
        self.bucket.refill(pace, now)
    }

    /// Whether the topic can do without its limit.
    fn is_over(&self, now: Instant) -> bool {
        let needed = self.held_back.map_or(self.throttled, |held_back| held_back.max(self.throttled));
        now.duration_since(needed) >= FORGET
    }
}

impl Window {
    fn new(now: Instant) -> Self {
        let (evidence, other_topics) = (Evidence::new(now), HashMap::new());
        Self { evidence, blamed: Cause::Topic, other_account: None, other_topics }
    }
}

/// The topic that was active last, and the last one that is not the same.
#[derive(Debug, Default)]
struct Recent {
    last: Option<(TopicArn, Instant)>,
    other: Option<(TopicArn, Instant)>,
}

impl Recent {
    fn see(&mut self, topic: &TopicArn, now: Instant) {
        match &mut self.last {
            Some((last, at)) if last == topic => *at = now,
            last => self.other = last.replace((topic.clone(), now)),
        }
    }

    /// Whether another topic was active in the last seconds.
    fn has_other(&self, topic: &TopicArn, now: Instant) -> bool {
        let mut both = self.last.iter().chain(&self.other);
        both.any(|(other, at)| other != topic && now.duration_since(*at) < SPAN)
    }
}

#[cfg(test)]
mod tests;
