//! Injects the faults of the spec.

use super::clock::Micros;
use crate::spec;

/// The customer whose topic has a quota of its own, if the spec has one.
const CUSTOMER_WITH_QUOTA: u32 = 0;

/// Decides which calls fail. Equal sequences of calls have equal faults.
#[derive(Debug)]
pub(super) struct FaultInjector {
    spec: spec::Faults,
    calls: u64,
    account: Option<TokenBucket>,
    topic: Option<TokenBucket>,
    throttled: u64,
}

/// The messages that a quota still allows, up to one second's worth.
#[derive(Debug)]
struct TokenBucket {
    per_second: f64,
    tokens: f64,
    filled: Micros,
}

impl TokenBucket {
    fn new(per_second: u32) -> Self {
        Self { per_second: per_second.into(), tokens: per_second.into(), filled: 0 }
    }

    /// Whether this many messages exceed the quota now.
    fn is_exceeded(&mut self, messages: usize, now: Micros) -> bool {
        let filled = now.saturating_sub(self.filled) as f64 / 1e6 * self.per_second;
        self.tokens = (self.tokens + filled).min(self.per_second.max(10.0));
        self.filled = now;
        messages as f64 > self.tokens
    }
}

impl FaultInjector {
    pub(super) fn new(spec: spec::Faults) -> Self {
        let (account, topic) = (spec.quota.map(TokenBucket::new), spec.topic_quota.map(TokenBucket::new));
        Self { spec, calls: 0, account, topic, throttled: 0 }
    }

    /// Whether the next call fails.
    pub(super) fn call_fails(&mut self) -> bool {
        self.calls += 1;
        let mixed = self.calls.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed >> 32) % 100 < u64::from(self.spec.failing_percent)
    }

    /// Whether this many messages for the customer's topic exceed a quota now. If they do, SNS accepts none of them.
    pub(super) fn is_over_quota(&mut self, customer: u32, messages: usize, now: Micros) -> bool {
        let topic = self.topic.as_mut().filter(|_| customer == CUSTOMER_WITH_QUOTA);
        let mut quotas: Vec<&mut TokenBucket> = self.account.iter_mut().chain(topic).collect();
        let is_over = quotas.iter_mut().any(|quota| quota.is_exceeded(messages, now));
        if is_over {
            self.throttled += 1;
        } else {
            quotas.iter_mut().for_each(|quota| quota.tokens -= messages as f64);
        }
        is_over
    }

    pub(super) fn throttled_calls(&self) -> u64 {
        self.throttled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_messages_pass_than_the_quota_plus_one_second_of_it() {
        let mut faults = FaultInjector::new(spec::Faults { quota: Some(300), ..spec::Faults::default() });
        // One call with ten messages per millisecond, for ten seconds.
        let passed = (0..10_000).filter(|millis| !faults.is_over_quota(7, 10, millis * 1_000)).count() * 10;
        assert!((3_280..=3_300).contains(&passed), "{passed}");
        assert_eq!(faults.throttled_calls() as usize, 10_000 - passed / 10);
    }

    #[test]
    fn a_topics_quota_holds_for_this_topic_only() {
        let mut faults = FaultInjector::new(spec::Faults { topic_quota: Some(100), ..spec::Faults::default() });
        let mut passed = [0, 0];
        for millis in 0..10_000 {
            for customer in [0, 1] {
                passed[customer as usize] += if faults.is_over_quota(customer, 10, millis * 1_000) { 0 } else { 10 };
            }
        }
        assert!((1_080..=1_100).contains(&passed[0]) && passed[1] == 100_000, "{passed:?}");
    }

    #[test]
    fn the_given_percentage_of_calls_fails() {
        let mut faults = FaultInjector::new(spec::Faults { failing_percent: 5, ..spec::Faults::default() });
        let failed = (0..10_000).filter(|_| faults.call_fails()).count();
        assert!((400..600).contains(&failed), "{failed}");
        assert!(!FaultInjector::new(spec::Faults::default()).call_fails());
    }
}
