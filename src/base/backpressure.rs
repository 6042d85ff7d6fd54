//! Holding receives back while the publisher has more work than it can do.
//!
//! While more full batches wait than calls are under way, another receive makes no batch fuller and nothing faster. It
//! only holds more messages in memory, hidden from other replicas. Batches that still wait for more entries are different:
//! for them, more receives mean fewer calls.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// The number of full batches that can wait regardless of the calls under way: what the pollers receive while the
/// first calls are made.
const MIN_WAITING: usize = 8;

/// The side of the pollers: tells whether to hold receives back. Clones follow the same [`Valve`].
#[derive(Debug, Clone)]
pub struct Backpressure(Arc<Pressure>);

/// The side of the publisher: sets the pressure. Dropping it releases the pressure for good, because without a publisher
/// there is nothing to wait for.
#[derive(Debug)]
pub struct Valve(Arc<Pressure>);

#[derive(Debug, Default)]
struct Pressure {
    is_high: AtomicBool,
    fell: Notify,
}

/// Creates a valve without pressure, and the backpressure that follows it.
pub fn pair() -> (Valve, Backpressure) {
    let pressure = Arc::<Pressure>::default();
    (Valve(Arc::clone(&pressure)), Backpressure(pressure))
}

impl Valve {
    /// Sets the pressure from the number of full batches that wait and the number of calls under way. Returns whether the
    /// pressure is high.
    pub fn set(&self, full_batches: usize, calls: usize) -> bool {
        let is_high = full_batches > calls.max(MIN_WAITING);
        self.store(is_high);
        is_high
    }

    /// Sets the pressure, or ends it.
    pub fn store(&self, is_high: bool) {
        let was_high = self.0.is_high.swap(is_high, Ordering::AcqRel);
        if was_high && !is_high {
            self.0.fell.notify_waiters();
        }
    }
}

impl Drop for Valve {
    fn drop(&mut self) {
        self.store(false);
    }
}

impl Backpressure {
    /// Waits until the pressure is not high; usually returns at once.
    pub async fn released(&self) {
        loop {
            // Created before the check, so that no fall in between is missed.
            let fell = self.0.fell.notified();
            if !self.is_high() {
                return;
            }
            fell.await;
        }
    }

    /// Whether receives must be held back.
    pub fn is_high(&self) -> bool {
        self.0.is_high.load(Ordering::Acquire)
    }
}

#[cfg(test)]
impl Backpressure {
    /// Creates a backpressure without a publisher; it is never high.
    pub(crate) fn for_tests() -> Self {
        pair().1
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn receives_wait_while_more_full_batches_wait_than_calls_are_under_way() {
        let (valve, pressure) = pair();
        for (waiting, calls, is_high) in
            [(MIN_WAITING, 0, false), (MIN_WAITING + 1, 1, true), (20, 20, false), (21, 20, true)]
        {
            assert_eq!(valve.set(waiting, calls), is_high, "{waiting} waiting, {calls} calls");
            assert_eq!(pressure.is_high(), is_high, "{waiting} waiting, {calls} calls");
            let released = timeout(Duration::from_secs(1), pressure.released()).await;
            assert_eq!(released.is_err(), is_high, "{waiting} waiting, {calls} calls");
        }
        assert!(pressure.is_high());
        drop(valve);
        assert!(
            timeout(Duration::from_secs(1), pressure.released()).await.is_ok(),
            "the dropped valve keeps no one waiting"
        );
    }
}
