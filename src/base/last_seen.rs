//! When something was seen last, cheap enough to note for every event.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// The time at which something was seen last, in whole milliseconds. A note costs a load, and a store if the time differs.
#[derive(Debug)]
pub struct LastSeen {
    epoch: Instant,
    /// The milliseconds since the epoch plus one; 0 if nothing was seen.
    millis: AtomicU64,
}

impl Default for LastSeen {
    fn default() -> Self {
        Self { epoch: Instant::now(), millis: AtomicU64::new(0) }
    }
}

impl LastSeen {
    /// Notes that something was seen at this time. An older time than the noted one changes nothing.
    pub fn note(&self, at: Instant) {
        let millis = at.saturating_duration_since(self.epoch).as_millis() as u64 + 1;
        // Two threads can store in the wrong order. They differ by the time between two instructions.
        if millis > self.millis.load(Ordering::Relaxed) {
            self.millis.store(millis, Ordering::Relaxed);
        }
    }

    /// Returns the latest time that was noted, if there is any.
    pub fn get(&self) -> Option<Instant> {
        let millis = self.millis.load(Ordering::Relaxed).checked_sub(1)?;
        Some(self.epoch + Duration::from_millis(millis))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_time_is_kept() {
        let seen = LastSeen::default();
        assert_eq!(seen.get(), None);
        let second = |n| seen.epoch + Duration::from_secs(n);
        seen.note(second(2));
        seen.note(second(1));
        assert_eq!(seen.get(), Some(second(2)));
        let before = seen.epoch.checked_sub(Duration::from_secs(1));
        let other = LastSeen { epoch: seen.epoch, millis: AtomicU64::new(0) };
        before.into_iter().for_each(|before| other.note(before));
        assert_eq!(other.get(), before.map(|_| seen.epoch));
    }
}
