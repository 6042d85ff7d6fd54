//! Receiving follows publishing.
//!
//! While more full batches wait than there are calls under way, another receive makes no batch fuller and nothing
//! faster: it only holds more in memory, hidden from other replicas. Entries that linger for company are another
//! matter; for them more receives mean fewer calls.

use tokio::sync::watch;

/// How many full batches may wait whatever the calls: what the pollers bring in while the first calls are made.
const FEWEST: usize = 8;

/// Holds receives back. Clones follow the same publisher.
#[derive(Debug, Clone)]
pub struct Backpressure(watch::Receiver<bool>);

/// Sets the pressure.
#[derive(Debug)]
pub(super) struct Valve(watch::Sender<bool>);

/// A valve, open, and what follows it.
pub(super) fn pair() -> (Valve, Backpressure) {
    let (valve, pressure) = watch::channel(false);
    (Valve(valve), Backpressure(pressure))
}

impl Valve {
    /// So many full batches wait, and so many calls are under way.
    pub(super) fn set(&self, waiting: usize, calls: usize) {
        let is_high = waiting > calls.max(FEWEST);
        self.0.send_if_modified(|held| std::mem::replace(held, is_high) != is_high);
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
    pub async fn released(&mut self) {
        // Without a publisher there is nothing to wait for.
        let _gone = self.0.wait_for(|held| !held).await;
    }

    /// Whether receives are held back now.
    pub fn is_high(&self) -> bool {
        *self.0.borrow()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn receives_wait_while_more_full_batches_do_than_calls_are_under_way() {
        let (valve, mut pressure) = pair();
        for (waiting, calls, is_high) in [(FEWEST, 0, false), (FEWEST + 1, 1, true), (20, 20, false), (21, 20, true)] {
            valve.set(waiting, calls);
            assert_eq!(pressure.is_high(), is_high, "{waiting} wait, {calls} calls");
            let released = timeout(Duration::from_secs(1), pressure.released()).await;
            assert_eq!(released.is_err(), is_high, "{waiting} wait, {calls} calls");
        }
        drop(valve);
        assert!(timeout(Duration::from_secs(1), pressure.released()).await.is_ok(), "nobody is left to open it");
    }
}
