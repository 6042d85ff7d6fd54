//! Evidence for a support case: the last throttles, the highest accepted rate, and the limits in force.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::SystemTime;

use crate::aws::Failure;
use crate::message::TopicArn;

/// The number of throttles that are kept.
const KEPT: usize = 50;

/// One throttle, as SNS answered it.
#[derive(Debug, Clone)]
pub struct Throttle {
    /// When SNS answered.
    pub at: SystemTime,
    /// The number of messages that SNS had accepted in the second before, over all topics.
    pub rate: f64,
    /// The account's limit that was in force, in messages per second.
    pub limit: Option<f64>,
    /// The topic.
    pub topic: TopicArn,
    /// The error code.
    pub code: String,
    /// The request's id.
    pub request_id: Option<String>,
}

/// The limit of one topic.
#[derive(Debug, Clone)]
pub struct TopicLimit {
    /// The topic.
    pub topic: TopicArn,
    /// The customer whom the topic belongs to.
    pub customer: Option<Arc<str>>,
    /// The limit in force, in messages per second.
    pub limit: f64,
    /// The number of the topic's messages that SNS accepted in the last second.
    pub rate: f64,
}

/// The state of the rates at one moment.
#[derive(Debug, Clone)]
pub struct RateReport {
    /// The account's limit in force, in messages per second; `None` before its first throttle.
    pub limit: Option<f64>,
    /// The topics that have a limit of their own, sorted by ARN.
    pub topics: Vec<TopicLimit>,
    /// The number of messages that SNS accepted in the last second.
    pub rate: f64,
    /// The highest number of messages that SNS accepted in any second.
    pub highest: f64,
    /// The number of throttles since the start.
    pub throttled: u64,
    /// The last throttles, oldest first.
    pub throttles: Vec<Throttle>,
}

/// The last throttles, and the number of all throttles.
#[derive(Debug, Default)]
pub(super) struct ThrottleLog {
    kept: VecDeque<Throttle>,
    count: u64,
}

impl ThrottleLog {
    pub(super) fn add(&mut self, failure: &Failure, topic: &TopicArn, rate: f64, limit: Option<f64>) {
        self.count += 1;
        if self.kept.len() == KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back(Throttle {
            at: SystemTime::now(),
            rate,
            limit,
            topic: topic.clone(),
            code: failure.label().to_owned(),
            request_id: failure.request_id.clone(),
        });
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }

    pub(super) fn kept(&self) -> Vec<Throttle> {
        self.kept.iter().cloned().collect()
    }
}
