//! Receiving follows publishing.
//!
//! While more full batches wait than there are calls under way, another receive makes no batch fuller and nothing
//! faster: it only holds more in memory, hidden from other replicas. Entries that linger for company are another
//! matter; for them more receives mean fewer calls.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// How many full batches may wait whatever the calls: what the pollers bring in while the first calls are made.
const FEWEST: usize = 8;

/// Holds receives back. Clones follow the same publisher.
#[derive(Debug, Clone)]
pub struct Backpressure(Arc<Pressure>);

/// Sets the pressure.
#[derive(Debug)]
pub(super) struct Valve(Arc<Pressure>);

#[derive(Debug, Default)]
struct Pressure {
    is_high: AtomicBool,
    fell: Notify,
}

/// A valve, open, and what follows it.
pub(super) fn pair() -> (Valve, Backpressure) {
    let pressure = Arc::<Pressure>::default();
    (Valve(Arc::clone(&pressure)), Backpressure(pressure))
}

impl Valve {
    /// So many full batches wait, and so many calls are under way. Says whether that holds receives back.
    pub(super) fn set(&self, waiting: usize, calls: usize) -> bool {
        let is_high = waiting > calls.max(FEWEST);
        self.turn(is_high);
        is_high
    }

    fn turn(&self, is_high: bool) {
        let was_high = self.0.is_high.swap(is_high, Ordering::AcqRel);
        if was_high && !is_high {
            self.0.fell.notify_waiters();
        }
    }
}

/// Without a publisher there is nothing to wait for.
impl Drop for Valve {
    fn drop(&mut self) {
        self.turn(false);
    }
}

#[cfg(test)]
impl Backpressure {
    /// That of nobody, which never is high.
    pub(crate) fn for_tests() -> Self {
        pair().1
    }
}

impl Backpressure {
    /// Returns when receiving more helps; at once, most of the time.
    pub async fn released(&self) {
        loop {
            // Before the look, so that no fall goes unnoticed.
            let fell = self.0.fell.notified();
            if !self.is_high() {
                return;
            }
            fell.await;
        }
    }

    /// Whether receives are held back now.
    pub fn is_high(&self) -> bool {
        self.0.is_high.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn receives_wait_while_more_full_batches_do_than_calls_are_under_way() {
        let (valve, pressure) = pair();
        for (waiting, calls, is_high) in [(FEWEST, 0, false), (FEWEST + 1, 1, true), (20, 20, false), (21, 20, true)] {
            assert_eq!(valve.set(waiting, calls), is_high, "{waiting} wait, {calls} calls");
            assert_eq!(pressure.is_high(), is_high, "{waiting} wait, {calls} calls");
            let released = timeout(Duration::from_secs(1), pressure.released()).await;
            assert_eq!(released.is_err(), is_high, "{waiting} wait, {calls} calls");
        }
        assert!(pressure.is_high());
        drop(valve);
        assert!(timeout(Duration::from_secs(1), pressure.released()).await.is_ok(), "nobody is left to open it");
    }
}
