//! Circuit breakers: noticing that something outside does not work, and finding out when it works again.
//!
//! A breaker is closed while its domain works. It opens after a number of failures in a row, usually [`OPENS_AFTER`]. While it is open, it
//! permits one attempt at a time, a probe, after a delay that grows with each failed probe. One success closes it. The
//! caller decides which failures count: those that the message itself can have caused must not.
//!
//! This module does no I/O and does not read the clock.

use std::time::Duration;

use tokio::time::Instant;

use super::Backoff;

/// The usual number of failures in a row after which a breaker opens.
pub const OPENS_AFTER: u32 = 5;

/// Delays between probes. A short outage ends within a second, and a long one costs two calls per minute.
const PROBES: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(30));

/// The breaker of one domain.
#[derive(Debug)]
pub struct Breaker {
    opens_after: u32,
    /// The number of failures since the last success.
    failures: u32,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    failed_probes: u32,
    probe_at: Instant,
    is_probing: bool,
}

/// Whether an attempt can be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    /// The breaker is closed.
    Granted,
    /// The breaker is open, and this attempt is its probe. Its result must be recorded.
    Probe,
    /// The breaker is open. It permits a probe at this time, or never while a probe is under way.
    Denied(Option<Instant>),
}

/// A change of the breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// The breaker opened.
    Opened,
    /// The breaker closed.
    Closed,
}

impl Default for Breaker {
    fn default() -> Self {
        Self::new(OPENS_AFTER)
    }
}

impl Breaker {
    /// Creates a closed breaker that opens after this number of failures in a row.
    pub fn new(opens_after: u32) -> Self {
        Self { opens_after, failures: 0, open: None }
    }

    /// Whether the breaker is open.
    pub fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Returns the number of failures since the last success.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// Requests permission for one attempt.
    pub fn permission(&mut self, now: Instant) -> Permission {
        match &mut self.open {
            None => Permission::Granted,
            Some(open) if open.is_probing => Permission::Denied(None),
            Some(open) if open.probe_at > now => Permission::Denied(Some(open.probe_at)),
            Some(open) => {
                open.is_probing = true;
                Permission::Probe
            }
        }
    }

    /// Records that the probe was not made after all. The next attempt can be the probe.
    pub fn cancel_probe(&mut self) {
        if let Some(open) = &mut self.open {
            open.is_probing = false;
        }
    }

    /// Records an attempt that succeeded. It closes the breaker, even if it is not the probe: the domain works.
    pub fn succeeded(&mut self) -> Option<Change> {
        self.failures = 0;
        self.open.take().map(|_| Change::Closed)
    }

    /// Records an attempt that failed.
    pub fn failed(&mut self, now: Instant) -> Option<Change> {
        self.failures = self.failures.saturating_add(1);
        match &mut self.open {
            // Attempts that were under way when the breaker opened say nothing about the time since.
            Some(open) if !open.is_probing => None,
            Some(open) => {
                open.is_probing = false;
                open.failed_probes = open.failed_probes.saturating_add(1);
                open.probe_at = now + PROBES.delay(open.failed_probes.saturating_add(1));
                None
            }
            None if self.failures < self.opens_after => None,
            None => {
                self.open = Some(Open { failed_probes: 0, probe_at: now + PROBES.delay(1), is_probing: false });
                Some(Change::Opened)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(now: Instant) -> Breaker {
        let mut breaker = Breaker::default();
        for _ in 1..OPENS_AFTER {
            assert_eq!(breaker.failed(now), None);
            assert_eq!(breaker.permission(now), Permission::Granted);
        }
        assert_eq!(breaker.failed(now), Some(Change::Opened));
        breaker
    }

    #[test]
    fn a_success_in_between_keeps_the_breaker_closed() {
        let (mut breaker, now) = (Breaker::default(), Instant::now());
        for _ in 0..10 {
            for _ in 1..OPENS_AFTER {
                assert_eq!(breaker.failed(now), None);
            }
            assert_eq!(breaker.succeeded(), None);
        }
        assert!(!breaker.is_open());
    }

    #[test]
    fn an_open_breaker_permits_one_probe_at_a_time_with_growing_delays() {
        let mut now = Instant::now();
        let mut breaker = opened(now);
        let mut delays = Vec::new();
        for _ in 0..8 {
            let Permission::Denied(Some(at)) = breaker.permission(now) else { panic!("{breaker:?}") };
            delays.push((at - now).as_millis());
            now = at;
            assert_eq!(breaker.permission(now), Permission::Probe);
            assert_eq!(breaker.permission(now + Duration::from_secs(90)), Permission::Denied(None));
            assert_eq!(breaker.failed(now), None);
        }
        assert!((500..=1_000).contains(&delays[0]), "{delays:?}");
        assert!(delays[6..].iter().all(|delay| (15_000..=30_000).contains(delay)), "{delays:?}");
    }

    #[test]
    fn one_success_closes_the_breaker() {
        let now = Instant::now();
        let mut breaker = opened(now);
        assert_eq!(breaker.succeeded(), Some(Change::Closed));
        assert_eq!((breaker.permission(now), breaker.failures()), (Permission::Granted, 0));
    }

    #[test]
    fn late_failures_do_not_delay_the_probe() {
        let now = Instant::now();
        let mut breaker = opened(now);
        let Permission::Denied(Some(at)) = breaker.permission(now) else { panic!("{breaker:?}") };
        assert_eq!(breaker.failed(at), None);
        assert_eq!(breaker.permission(at), Permission::Probe);
        breaker.cancel_probe();
        assert_eq!(breaker.permission(at), Permission::Probe, "a cancelled probe can be made again");
    }
}
