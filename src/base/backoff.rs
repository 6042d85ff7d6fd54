//! How long to wait before the next try.

use std::time::Duration;

/// Doubling delays with jitter, from a base up to a cap.
///
/// The jitter is drawn from `fastrand`'s generator of the current thread, so that a run whose generator is seeded waits
/// the same times again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    base: Duration,
    cap: Duration,
}

impl Backoff {
    /// Creates delays that start at `base` and never exceed `cap`.
    pub const fn new(base: Duration, cap: Duration) -> Self {
        Self { base, cap }
    }

    /// Returns the delay after `failures` failures in a row: a random time between a half and the whole of
    /// `base` × 2^(`failures` − 1), and at most the cap. Resolution: one millisecond.
    pub fn delay(self, failures: u32) -> Duration {
        let full = self.full(failures);
        let millis = u64::try_from(full.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(fastrand::u64(millis / 2..=millis))
    }

    /// Like [`Backoff::delay`], in whole seconds, and never zero: SQS counts visibility timeouts in seconds, and a
    /// message that is visible at once would be received again at once.
    pub fn delay_in_seconds(self, failures: u32) -> Duration {
        let seconds = self.full(failures).as_secs().max(1);
        Duration::from_secs(fastrand::u64(seconds.div_ceil(2)..=seconds))
    }

    /// Returns the shortest delay that [`Backoff::delay_in_seconds`] can return.
    pub fn shortest_in_seconds(self, failures: u32) -> Duration {
        Duration::from_secs(self.full(failures).as_secs().max(1).div_ceil(2))
    }

    fn full(self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(31);
        self.base.saturating_mul(1 << doublings).min(self.cap)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_cap_and_are_at_least_half_of_it() {
        let backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
        for (failures, full) in [(0, 100), (1, 100), (2, 200), (6, 3_200), (7, 5_000), (u32::MAX, 5_000)] {
            let full = Duration::from_millis(full);
            let delays: Vec<_> = (0..200).map(|_| backoff.delay(failures)).collect();
            assert!(delays.iter().all(|delay| (full / 2..=full).contains(delay)), "{failures} failures: {delays:?}");
            assert!(delays.iter().any(|delay| *delay != delays[0]), "{failures} failures: there is no jitter");
        }
    }

    #[test]
    fn delays_in_seconds_are_whole_and_never_zero() {
        let backoff = Backoff::new(Duration::ZERO, Duration::from_secs(900));
        assert_eq!(backoff.delay_in_seconds(1), Duration::from_secs(1));
        let backoff = Backoff::new(Duration::from_secs(2), Duration::from_secs(900));
        for (failures, full) in [(1, 2), (2, 4), (3, 8), (10, 900), (u32::MAX, 900)] {
            for _ in 0..100 {
                let delay = backoff.delay_in_seconds(failures);
                assert_eq!(delay.subsec_nanos(), 0);
                let (least, most) = (u64::div_ceil(full, 2), full);
                assert_eq!(backoff.shortest_in_seconds(failures).as_secs(), least);
                assert!((least..=most).contains(&delay.as_secs()), "{failures} failures: {delay:?}");
            }
        }
    }
}
