//! How an entry came to its result: in how many calls, and what SNS answered to them.

use std::time::SystemTime;

use crate::aws::Failure;

/// The calls that an entry was part of until it had its result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trail {
    /// The number of calls that the entry was part of, those included in which SNS throttled it.
    pub attempts: u32,
    /// The number of calls in which SNS throttled the entry.
    pub throttles: u32,
    /// The request id of the last failed attempt, which AWS Support asks for. `None` if no attempt failed, or if the
    /// last failed one has no request id because SNS did not answer it.
    pub request_id: Option<String>,
    /// When SNS last answered a call that the entry was part of. When the entry was enqueued, if SNS answered none.
    pub answered_at: SystemTime,
}

impl Trail {
    /// Creates the trail of an entry that is enqueued now and was not sent yet.
    pub(super) fn new(now: SystemTime) -> Self {
        Self { attempts: 0, throttles: 0, request_id: None, answered_at: now }
    }

    /// Records that the entry is part of a call.
    pub(super) fn sent(&mut self) {
        self.attempts = self.attempts.saturating_add(1);
    }

    /// Records when SNS answered the call; `None` if it did not.
    pub(super) fn answered(&mut self, at: Option<SystemTime>) {
        self.answered_at = at.unwrap_or(self.answered_at);
    }

    /// Records that the attempt failed.
    pub(super) fn failed(&mut self, failure: &Failure) {
        self.throttles = self.throttles.saturating_add(failure.is_throttle().into());
        self.request_id.clone_from(&failure.request_id);
    }
}
