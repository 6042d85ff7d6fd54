//! The age of each queue's oldest message, among those in flight and those received recently.
//!
//! SQS reports the age of the oldest message on a queue to CloudWatch only. A receive takes messages from near the front of
//! a queue, so the age of received messages is close to it. Messages that were received recently count too, because most
//! messages are in flight for a few milliseconds, between two scrapes.

use std::collections::BTreeMap;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// The shortest time for which a received message counts. The longest is twice as long.
const PERIOD: Duration = Duration::from_secs(60);

/// The ages of messages at their receive, by queue.
#[derive(Debug, Default)]
pub(super) struct Ages(Mutex<BTreeMap<String, Recent>>);

/// The highest ages of the current period and of the period before it.
#[derive(Debug)]
struct Recent {
    period_start: Instant,
    current: Duration,
    previous: Duration,
}

impl Ages {
    /// Records the age of a message that was just received.
    pub(super) fn note(&self, queue: &str, age: Duration, now: Instant) {
        let mut queues = self.0.lock();
        match queues.get_mut(queue) {
            Some(recent) => {
                recent.advance(now);
                recent.current = recent.current.max(age);
            }
            None => {
                let recent = Recent { period_start: now, current: age, previous: Duration::ZERO };
                queues.insert(queue.to_owned(), recent);
            }
        }
    }

    /// Returns the age of the oldest recently received message, by queue; zero for a queue without one.
    pub(super) fn oldest(&self, now: Instant) -> BTreeMap<String, Duration> {
        let mut queues = self.0.lock();
        let oldest = queues.iter_mut().map(|(queue, recent)| {
            recent.advance(now);
            (queue.clone(), recent.current.max(recent.previous))
        });
        oldest.collect()
    }
}

impl Recent {
    /// Begins another period if the current one is over.
    fn advance(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.period_start);
        if elapsed >= PERIOD {
            self.previous = if elapsed < PERIOD * 2 { self.current } else { Duration::ZERO };
            self.current = Duration::ZERO;
            self.period_start = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_age_counts_for_one_to_two_periods() {
        let (ages, start) = (Ages::default(), Instant::now());
        let after = |seconds| start + Duration::from_secs(seconds);
        let oldest = |seconds| ages.oldest(after(seconds))["orders"].as_secs();
        ages.note("orders", Duration::from_secs(700), start);
        ages.note("orders", Duration::from_secs(3), after(1));
        assert_eq!(oldest(2), 700);
        ages.note("orders", Duration::from_secs(4), after(61));
        assert_eq!(oldest(100), 700, "the previous period counts");
        assert_eq!(oldest(122), 4);
        assert_eq!(oldest(400), 0, "no message was received for more than two periods");
    }
}
