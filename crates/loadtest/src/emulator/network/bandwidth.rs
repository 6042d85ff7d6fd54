//! The rate at which the network carries bytes.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// One direction of the network, which all connections share. Bytes leave in the order in which they are reserved.
#[derive(Debug)]
pub(super) struct Bandwidth {
    /// `None` if nothing limits the rate.
    bytes_per_second: Option<f64>,
    /// When all reserved bytes have left.
    free_at: Mutex<Instant>,
}

impl Bandwidth {
    pub(super) fn new(megabits: Option<u32>) -> Self {
        let bytes_per_second = megabits.map(|megabits| f64::from(megabits) * 1e6 / 8.0);
        Self { bytes_per_second, free_at: Mutex::new(Instant::now()) }
    }

    /// Returns when these bytes have left, if they are sent now.
    pub(super) fn reserve(&self, bytes: usize, now: Instant) -> Instant {
        let Some(rate) = self.bytes_per_second else { return now };
        let mut free_at = self.free_at.lock().unwrap_or_else(PoisonError::into_inner);
        *free_at = (*free_at).max(now) + Duration::from_secs_f64(bytes as f64 / rate);
        *free_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn all_connections_together_get_the_rate_and_unused_time_is_not_saved() {
        let bandwidth = Bandwidth::new(Some(8));
        let begin = Instant::now();
        let left = |bytes, after| (bandwidth.reserve(bytes, begin + after) - begin).as_millis();
        let millis = Duration::from_millis;
        assert_eq!([left(10_000, millis(0)), left(5_000, millis(0))], [10, 15], "1,000 bytes per millisecond");
        assert_eq!(left(1_000, millis(100)), 101);
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_limit_bytes_leave_at_once() {
        let bandwidth = Bandwidth::new(None);
        let now = Instant::now();
        assert_eq!([bandwidth.reserve(1 << 30, now), bandwidth.reserve(1, now)], [now, now]);
    }
}
