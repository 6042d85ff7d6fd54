//! The pace of messages that are sent again: a token bucket of its own, in messages to topics per second. Live traffic
//! goes first.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

/// The time for which nothing is sent after a throttle.
const PAUSE: Duration = Duration::from_secs(3);
/// The time in which throttles count once: those of messages that were sent before the rate was lowered arrive late.
const ONCE: Duration = Duration::from_secs(5);
/// The time in which the rate would rise from zero to the wanted one.
const RISE: Duration = Duration::from_secs(120);
/// The lowest rate, as a share of the wanted one.
const LOWEST: f64 = 1.0 / 64.0;
/// The tokens that can wait, as a time at the present rate: timers are late by about a millisecond.
const BURST: Duration = Duration::from_millis(100);

/// Limits how many messages are sent to topics per second. A throttle halves the rate and pauses for some seconds; then the
/// rate rises slowly up to the wanted one.
#[derive(Debug)]
pub struct Pace {
    bucket: Mutex<Bucket>,
    /// The messages take their tokens in the order in which they ask.
    turn: tokio::sync::Mutex<()>,
    changed: Notify,
}

#[derive(Debug)]
struct Bucket {
    wanted: f64,
    rate: f64,
    /// Below zero after a message with many destinations.
    tokens: f64,
    /// When the tokens were counted. In a pause, its end.
    at: Instant,
    lowered_at: Option<Instant>,
}

impl Pace {
    /// Creates a pace of so many messages to topics per second, more than 0.
    pub fn new(rate: f64) -> Self {
        let bucket = Bucket { wanted: rate, rate, tokens: 0.0, at: Instant::now(), lowered_at: None };
        Self { bucket: Mutex::new(bucket), turn: tokio::sync::Mutex::default(), changed: Notify::new() }
    }

    /// Waits until one message can be sent to one topic.
    pub async fn take(&self) {
        let _turn = self.turn.lock().await;
        loop {
            let changed = self.changed.notified();
            let Some(wait) = self.bucket.lock().take(Instant::now()) else { return };
            // A change of the bucket ends the wait early.
            let _either = timeout(wait, changed).await;
        }
    }

    /// Corrects [`Pace::take`] once it is known to how many topics the message was sent.
    pub fn correct(&self, sent: u64) {
        let mut bucket = self.bucket.lock();
        bucket.fill(Instant::now());
        bucket.tokens += 1.0 - sent as f64;
        drop(bucket);
        self.changed.notify_one();
    }

    /// Lowers the rate, because SNS throttled.
    pub fn throttled(&self) {
        self.bucket.lock().lower(Instant::now());
        self.changed.notify_one();
    }

    /// Returns the rate at this moment, in messages to topics per second.
    pub fn rate(&self) -> f64 {
        let mut bucket = self.bucket.lock();
        bucket.fill(Instant::now());
        bucket.rate
    }
}

impl Bucket {
    /// Takes a token, or returns how long to wait for it.
    fn take(&mut self, now: Instant) -> Option<Duration> {
        self.fill(now);
        if now < self.at {
            return Some(self.at - now);
        }
        if self.tokens >= 1.0 {
            self.tokens -= 1.0;
            return None;
        }
        // A timer that is early by rounding would not find the token.
        Some(Duration::from_secs_f64((1.0 - self.tokens) / self.rate) + Duration::from_micros(1))
    }

    fn fill(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.at);
        if elapsed.is_zero() {
            return;
        }
        self.at = now;
        let most = (self.rate * BURST.as_secs_f64()).max(1.0);
        self.tokens = (self.tokens + self.rate * elapsed.as_secs_f64()).min(most);
        let risen = self.rate + self.wanted * elapsed.as_secs_f64() / RISE.as_secs_f64();
        self.rate = risen.min(self.wanted);
    }

    fn lower(&mut self, now: Instant) {
        if self.lowered_at.is_some_and(|at| now < at + ONCE) {
            return;
        }
        self.fill(now);
        self.rate = (self.rate / 2.0).max(self.wanted * LOWEST);
        self.tokens = self.tokens.min(0.0);
        self.lowered_at = Some(now);
        self.at = now + PAUSE;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the number of tokens that are taken in this time.
    async fn taken(pace: &Pace, time: Duration) -> u32 {
        let end = Instant::now() + time;
        let mut count = 0;
        while timeout(end - Instant::now(), pace.take()).await.is_ok() {
            count += 1;
        }
        count
    }

    #[tokio::test(start_paused = true)]
    async fn a_pace_is_kept_and_is_even() {
        for rate in [0.5, 3.0, 100.0, 900.0] {
            let pace = Pace::new(rate);
            let length = Duration::from_secs_f64((100.0 / rate).clamp(1.0, 60.0));
            for _ in 0..3 {
                let expected = rate * length.as_secs_f64();
                let taken = f64::from(taken(&pace, length).await);
                assert!((expected * 0.97 - 1.0..=expected * 1.03 + 1.0).contains(&taken), "{taken} at {rate}");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_time_without_messages_is_not_made_up_for() {
        let pace = Pace::new(100.0);
        tokio::time::advance(Duration::from_secs(3_600)).await;
        let taken = taken(&pace, Duration::from_secs(1)).await;
        assert!((100..=112).contains(&taken), "{taken}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_counts_once_for_each_topic() {
        for (topics, expected) in [(5, 20.0), (1, 100.0), (0, 10_000.0)] {
            let pace = Pace::new(100.0);
            let (mut messages, end) = (0.0, Instant::now() + Duration::from_secs(10));
            while Instant::now() < end && messages < expected * 10.0 {
                pace.take().await;
                pace.correct(topics);
                messages += 1.0;
            }
            let rate = messages / 10.0;
            assert!((expected * 0.98..=expected * 1.02).contains(&rate), "{rate} messages/s with {topics} topics");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_throttle_pauses_and_halves_the_rate_which_rises_slowly() {
        let pace = Pace::new(100.0);
        taken(&pace, Duration::from_secs(1)).await;
        // Several messages of one step were throttled.
        for _ in 0..10 {
            pace.throttled();
        }
        assert_eq!(taken(&pace, PAUSE).await, 0);
        assert!((49.0..52.0).contains(&pace.rate()), "{}", pace.rate());
        let first = taken(&pace, Duration::from_secs(10)).await;
        assert!((500..=600).contains(&first), "{first} in ten seconds");
        tokio::time::sleep(RISE / 2).await;
        assert!((pace.rate() - 100.0).abs() < 0.1, "{}", pace.rate());
        // A rate that is throttled again and again falls, but not to nothing.
        for _ in 0..20 {
            pace.throttled();
            tokio::time::sleep(ONCE).await;
        }
        assert!((1.0..8.0).contains(&pace.rate()), "{}", pace.rate());
        assert!(taken(&pace, Duration::from_secs(10)).await > 10);
    }
}
