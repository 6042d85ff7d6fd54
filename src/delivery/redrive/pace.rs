//! The pace of a redrive: a number of messages per second, which falls by half when SNS throttles.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until};

/// The time after which a throttle halves the pace again, and after which a quiet time raises it.
const STEP: Duration = Duration::from_secs(1);
/// The factor by which the pace rises per step without a throttle.
const RISE: f64 = 1.1;
/// The lowest pace, in messages per second.
const LOWEST: f64 = 1.0;

/// Lets messages pass at a limited rate.
#[derive(Debug)]
pub(super) struct Pace(Mutex<State>);

#[derive(Debug)]
struct State {
    highest: f64,
    rate: f64,
    /// When the next message can pass.
    next: Instant,
    /// When the rate last changed.
    changed: Instant,
}

impl Pace {
    /// Creates a pace of `rate` messages per second.
    pub(super) fn new(rate: u32) -> Self {
        let (rate, now) = (f64::from(rate.max(1)), Instant::now());
        Self(Mutex::new(State { highest: rate, rate, next: now, changed: now }))
    }

    /// Waits for the turn of one message.
    pub(super) async fn turn(&self) {
        let at = self.0.lock().take(Instant::now());
        sleep_until(at).await;
    }

    /// Records that SNS throttled a message.
    pub(super) fn throttled(&self) {
        let (mut state, now) = (self.0.lock(), Instant::now());
        if now.duration_since(state.changed) >= STEP || state.rate >= state.highest {
            state.rate = (state.rate / 2.0).max(LOWEST);
            state.changed = now;
        }
    }
}

impl State {
    /// Returns when the message that asks now can pass.
    fn take(&mut self, now: Instant) -> Instant {
        if self.rate < self.highest && now.duration_since(self.changed) >= STEP {
            self.rate = (self.rate * RISE).min(self.highest);
            self.changed = now;
        }
        let at = self.next.max(now);
        self.next = at + Duration::from_secs_f64(1.0 / self.rate);
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the number of messages that pass within ten seconds.
    async fn passed(pace: &Pace) -> u32 {
        let end = Instant::now() + Duration::from_secs(10);
        let mut passed = 0;
        while Instant::now() < end {
            pace.turn().await;
            passed += 1;
        }
        passed
    }

    #[tokio::test(start_paused = true)]
    async fn messages_pass_at_the_rate_and_a_throttle_halves_it_for_a_while() {
        let pace = Pace::new(50);
        assert!((495..=502).contains(&passed(&pace).await));
        // Throttles of the same moment count once.
        (0..10).for_each(|_| pace.throttled());
        let slowed = passed(&pace).await;
        assert!((300..=460).contains(&slowed), "{slowed} after a throttle");
        assert!((495..=502).contains(&passed(&pace).await), "the rate recovers and does not exceed its limit");
    }

    #[tokio::test(start_paused = true)]
    async fn throttles_never_stop_the_messages() {
        let pace = Pace::new(1);
        pace.throttled();
        assert!((10..=12).contains(&passed(&pace).await));
    }
}
