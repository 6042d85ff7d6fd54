//! Which quota the throttles of a few seconds show: the account's, or that of single topics.
//!
//! The account's quota throttles all topics in proportion to their calls, and accepts some calls of each. A topic's own
//! quota throttles this topic only. So one throttled topic is blamed itself. From two throttled topics on, the account is
//! blamed, unless the other topics prove the opposite: their calls were accepted, although the account's quota would have
//! throttled some of them.
//!
//! If the account's limit holds calls back, it is the first suspect, so that the evidence of a minute is needed against
//! it. Several replicas share the account's quota, and each of them is throttled only now and then. So a replica rarely
//! sees two throttled topics within a few seconds, and would give one topic after the other a limit that it does not
//! need.
//!
//! This proof leaves out the first throttle of each topic. That throttle is the reason why the topic is among the
//! throttled ones, so it does not show how often such a topic is throttled. Without this rule, the first throttles of two
//! among thousands of small topics would look as if SNS throttled only these two.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::message::TopicArn;

/// How long throttles are evidence together. At the account's quota, throttles come every few seconds.
pub(super) const SPAN: Duration = Duration::from_secs(5);

/// How long throttles are evidence together while the account's limit holds calls back.
pub(super) const LONG_SPAN: Duration = Duration::from_secs(60);

/// The number of throttles that the account's quota would have caused among the topics without a throttle. As long as
/// fewer are expected, their absence can be chance.
const PROOF: f64 = 3.0;

/// The quota that caused a throttle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// The quota of the throttled topic.
    Topic,
    /// The quota over all topics of the account and region.
    Account,
}

/// The calls since the first throttle, by topic and result.
#[derive(Debug)]
pub(super) struct Evidence {
    since: Instant,
    topics: HashMap<TopicArn, Calls>,
    /// The number of topics with a throttle.
    throttled_topics: u64,
    /// The throttles of these topics, without the first of each.
    repeated: u64,
    /// All calls of these topics.
    of_throttled_topics: u64,
    /// The calls of the other topics.
    of_others: u64,
}

#[derive(Debug, Default)]
struct Calls {
    all: u64,
    throttled: u64,
}

impl Evidence {
    /// Starts with the first throttle.
    pub(super) fn new(now: Instant) -> Self {
        let topics = HashMap::new();
        Self { since: now, topics, throttled_topics: 0, repeated: 0, of_throttled_topics: 0, of_others: 0 }
    }

    /// Returns when the evidence begins.
    pub(super) fn since(&self) -> Instant {
        self.since
    }

    /// Whether the evidence is older than this time, so that it does not explain a throttle of this moment.
    pub(super) fn is_over(&self, span: Duration, now: Instant) -> bool {
        now.duration_since(self.since) >= span
    }

    /// Records an accepted call. Calls that were under way at the first throttle can have been accepted before SNS began
    /// to throttle, so they prove nothing.
    pub(super) fn accepted(&mut self, topic: &TopicArn, called: Instant) {
        if called < self.since {
            return;
        }
        let calls = self.topics.entry(topic.clone()).or_default();
        calls.all += 1;
        if calls.throttled > 0 {
            self.of_throttled_topics += 1;
        } else {
            self.of_others += 1;
        }
    }

    /// Records a throttled call.
    pub(super) fn throttled(&mut self, topic: &TopicArn) {
        let calls = self.topics.entry(topic.clone()).or_default();
        if calls.throttled == 0 {
            self.throttled_topics += 1;
            self.of_others -= calls.all;
            self.of_throttled_topics += calls.all;
        } else {
            self.repeated += 1;
        }
        calls.all += 1;
        calls.throttled += 1;
        self.of_throttled_topics += 1;
    }

    /// Whether only one topic was throttled.
    pub(super) fn is_of_one_topic(&self) -> bool {
        self.throttled_topics < 2
    }

    /// Whether the other topics prove that the account's quota did not cause the throttles.
    pub(super) fn clears_account(&self) -> bool {
        let ratio = self.repeated as f64 / self.of_throttled_topics.max(1) as f64;
        self.of_others as f64 * ratio >= PROOF
    }
}
