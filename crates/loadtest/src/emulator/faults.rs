//! Injects the faults of the spec.

use super::clock::Micros;
use crate::spec;

/// Decides which calls fail. Equal sequences of calls have equal faults.
#[derive(Debug)]
pub(super) struct FaultInjector {
    spec: spec::Faults,
    calls: u64,
    bucket: TokenBucket,
    throttled: u64,
}

/// The messages that the SNS quota still allows, up to one second's worth.
#[derive(Debug)]
struct TokenBucket {
    tokens: f64,
    filled: Micros,
}

impl FaultInjector {
    pub(super) fn new(spec: spec::Faults) -> Self {
        let tokens = spec.quota.map_or(0.0, f64::from);
        Self { spec, calls: 0, bucket: TokenBucket { tokens, filled: 0 }, throttled: 0 }
    }

    /// Whether the next call fails.
    pub(super) fn call_fails(&mut self) -> bool {
        self.calls += 1;
        let mixed = self.calls.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed >> 32) % 100 < u64::from(self.spec.failing_percent)
    }

    /// Whether this many messages exceed the quota now. If they do, SNS accepts none of them.
    pub(super) fn is_over_quota(&mut self, messages: usize, now: Micros) -> bool {
        let Some(quota) = self.spec.quota.map(f64::from) else { return false };
        let filled = now.saturating_sub(self.bucket.filled) as f64 / 1e6 * quota;
        self.bucket = TokenBucket { tokens: (self.bucket.tokens + filled).min(quota.max(10.0)), filled: now };
        let is_over = messages as f64 > self.bucket.tokens;
        if is_over {
            self.throttled += 1;
        } else {
            self.bucket.tokens -= messages as f64;
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
        let passed = (0..10_000).filter(|millis| !faults.is_over_quota(10, millis * 1_000)).count() * 10;
        assert!((3_280..=3_300).contains(&passed), "{passed}");
        assert_eq!(faults.throttled_calls() as usize, 10_000 - passed / 10);
    }

    #[test]
    fn the_given_percentage_of_calls_fails() {
        let mut faults = FaultInjector::new(spec::Faults { failing_percent: 5, ..spec::Faults::default() });
        let failed = (0..10_000).filter(|_| faults.call_fails()).count();
        assert!((400..600).contains(&failed), "{failed}");
        assert!(!FaultInjector::new(spec::Faults::default()).call_fails());
    }
}
