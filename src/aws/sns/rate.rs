//! The publish rates that SNS accepts, discovered by probing.
//!
//! The quota counts messages per second over all topics of an account and region, and throttling can begin below the
//! advertised number. So all topics draw on one token bucket. SNS also throttles single topics: FIFO topics have a quota of
//! their own, and the key of an encrypted topic has a quota of KMS. Such a topic gets a bucket of its own, so that it does
//! not slow down the others. [`limits`] decides which bucket a throttle lowers. There is no limit until the first throttle.
//! The module keeps the last throttles and the highest accepted rate as evidence for a support case.

mod accepted;
mod bucket;
mod evidence;
mod limits;
mod report;

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::time::Instant;

pub use limits::Shortage;
pub use report::{RateReport, Throttle, TopicLimit};

use crate::aws::{Failure, FailureKind};
use crate::message::TopicArn;
use limits::{Limits, Throttled};
use report::ThrottleLog;

/// The rates of all topics; one per process.
#[derive(Debug, Default)]
pub struct Rate {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    limits: Limits,
    highest: f64,
    throttles: ThrottleLog,
}

impl Rate {
    /// Takes the tokens for a call of this topic with this number of messages.
    ///
    /// # Errors
    /// Returns when there will be enough tokens, and for whom, if there are too few.
    pub fn take(&self, topic: &TopicArn, messages: usize, now: Instant) -> Result<(), Shortage> {
        self.state.lock().limits.take(topic, messages, now)
    }

    /// Records that SNS accepted this number of messages of a call that was made at `called`.
    pub fn accepted(&self, topic: &TopicArn, messages: usize, called: Instant, now: Instant) {
        let State { limits, highest, .. } = &mut *self.state.lock();
        limits.accepted(topic, messages, called, now);
        *highest = highest.max(limits.accepted.rate(now));
    }

    /// Records that SNS throttled a call that was made at `called`. `customer` is the customer whom the topic belongs to.
    /// Returns the number of messages that SNS accepted in the second before, over all topics.
    pub fn throttled(
        &self,
        failure: &Failure,
        topic: &TopicArn,
        customer: Option<&Arc<str>>,
        called: Instant,
        now: Instant,
    ) -> f64 {
        let State { limits, throttles, .. } = &mut *self.state.lock();
        let (rate, limit) = (limits.accepted.rate(now), limits.account_limit(now));
        throttles.add(failure, topic, rate, limit);
        limits.throttled(
            &Throttled { topic, customer, is_of_key: failure.kind == FailureKind::KeyThrottled, called },
            now,
        );
        rate
    }

    /// Returns the account's limit in force, in messages per second; `None` before its first throttle.
    pub fn limit(&self) -> Option<f64> {
        self.state.lock().limits.account_limit(Instant::now())
    }

    /// Returns the topics that have a limit of their own, sorted by ARN.
    pub fn topic_limits(&self) -> Vec<TopicLimit> {
        self.state.lock().limits.topic_limits(Instant::now())
    }

    /// Returns the state of the rates at this moment.
    pub fn report(&self) -> RateReport {
        let now = Instant::now();
        let State { limits, highest, throttles } = &mut *self.state.lock();
        RateReport {
            limit: limits.account_limit(now),
            topics: limits.topic_limits(now),
            rate: limits.accepted.rate(now),
            highest: *highest,
            throttled: throttles.count(),
            throttles: throttles.kept(),
        }
    }
}

#[cfg(test)]
mod tests;
