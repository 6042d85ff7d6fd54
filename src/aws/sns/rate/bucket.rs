//! A token bucket whose limit follows the throttles.
//!
//! Each throttle lowers the limit by a factor. The limit rises in between: fast while it is well below the rate that was
//! throttled last, slowly from there on, and faster again the longer there is no throttle, as TCP's CUBIC does (RFC 9438).
//!
//! Replicas share the account's quota without knowing of each other. Each throttle hits one of them and costs it a part
//! of its limit, but the slow rise grows only with the square root of the limit, so their shares approach each other.

use std::time::Duration;

use tokio::time::Instant;

/// The factor by which a throttle lowers the limit.
pub(super) const DECREASE: f64 = 0.95;
/// The limit is in use if SNS accepts this part of it. A throttle lowers a limit that is not in use to this part first.
const IN_USE: f64 = 0.7;
/// The limit rises fast up to this part of the limit that was throttled last.
const FAMILIAR: f64 = 0.95;
/// The fast rise per second, as a part of the limit that was throttled last.
const FAST_INCREASE: f64 = 0.05;
/// The slow rise per second beyond that, as a part of the limit's square root. At a constant quota of 300 messages per
/// second, it leads to a throttle about every ten seconds.
const INCREASE: f64 = 0.1;
/// The fastest slow rise per second, as a part of the limit. Replicas with few messages per second each would otherwise
/// be throttled too often.
const SMALL_INCREASE: f64 = 0.0125;
/// The time without a throttle after which the slow rise has doubled. It grows with the square of the time.
const DOUBLED: Duration = Duration::from_secs(10);
/// The fastest rise per second after a long time without a throttle, as a part of the limit.
const MOST_INCREASE: f64 = 0.1;
/// The rise per second, as a part of the limit, while the quota is unknown: the last throttle came when SNS accepted
/// nothing.
const UNKNOWN_INCREASE: f64 = 0.5;
/// The lowest limit in messages per second: one batch.
pub(super) const LOWEST: f64 = 10.0;
/// The time over which tokens are saved up.
const BURST: Duration = Duration::from_millis(100);

/// A limit in messages per second, and the tokens for the next messages.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bucket {
    limit: f64,
    tokens: f64,
    refilled: Instant,
    decreased: Instant,
    /// The limit that the last throttle showed to be too high.
    throttled_at: f64,
}

impl Bucket {
    /// Creates the bucket after its first throttle, which came at this accepted rate.
    pub(super) fn found(rate: f64, now: Instant) -> Self {
        let limit = (rate * DECREASE).max(LOWEST);
        Self { limit, tokens: 0.0, refilled: now, decreased: now, throttled_at: rate }
    }

    /// Lowers the limit after the throttle of a call that was made at `called`. Calls that were under way when the limit
    /// last fell say nothing about the new limit. `rate` is the rate that SNS accepts.
    pub(super) fn decrease(&mut self, rate: f64, called: Instant, now: Instant) {
        self.refill(rate, now);
        if called <= self.decreased {
            return;
        }
        // The measured rate can be one batch too low, unless SNS accepts nothing at all.
        let accepted = if rate > 0.0 { rate + LOWEST } else { 0.0 };
        let known = self.limit.min(accepted.max(self.limit * IN_USE));
        self.limit = (known * DECREASE).max(LOWEST);
        self.throttled_at = known;
        self.tokens = self.tokens.min(0.0);
        self.decreased = now;
    }

    /// Raises the limit and adds the tokens for the time since the last refill. Returns the limit.
    pub(super) fn refill(&mut self, rate: f64, now: Instant) -> f64 {
        let seconds = now.saturating_duration_since(self.refilled).as_secs_f64();
        self.refilled = now;
        // An idle hour proves nothing.
        if rate > 0.0 && rate + LOWEST >= self.limit * IN_USE {
            let familiar = self.throttled_at * FAMILIAR;
            if self.throttled_at < LOWEST {
                self.limit += self.limit * UNKNOWN_INCREASE * seconds;
            } else if self.limit < familiar {
                self.limit = (self.limit + self.throttled_at * FAST_INCREASE * seconds).min(familiar);
            } else {
                let quiet = now.duration_since(self.decreased).as_secs_f64() / DOUBLED.as_secs_f64();
                let slow = (INCREASE * self.limit.sqrt()).min(SMALL_INCREASE * self.limit);
                self.limit += (slow * (1.0 + quiet * quiet)).min(MOST_INCREASE * self.limit) * seconds;
            }
        }
        self.tokens = (self.tokens + self.limit * seconds).min(burst(self.limit));
        self.limit
    }

    /// Returns how long it takes until there are enough tokens for a call with this number of messages, or `None` if
    /// there are enough.
    pub(super) fn missing(&self, messages: usize) -> Option<Duration> {
        // A call can need more tokens than are ever saved up.
        let enough = (messages as f64).min(burst(self.limit));
        let missing = enough - self.tokens;
        let is_short = missing > f64::EPSILON;
        is_short.then(|| Duration::from_secs_f64(missing / self.limit).max(Duration::from_millis(1)))
    }

    /// Takes the tokens for a call. The caller checked with [`missing`](Self::missing) that there are enough.
    pub(super) fn spend(&mut self, messages: usize) {
        self.tokens -= messages as f64;
    }
}

/// Returns the largest number of saved tokens: at least enough for one batch.
fn burst(limit: f64) -> f64 {
    (limit * BURST.as_secs_f64()).max(LOWEST)
}
