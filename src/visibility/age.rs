//! How old the oldest message of each queue is: of those in flight, and of those that were received lately.
//!
//! SQS keeps the age of the oldest message on the queue for CloudWatch only. What is received comes from near the front of
//! a queue, so its age says about the same. What was received lately counts, too, because most messages are in flight for
//! some milliseconds, between two scrapes.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How long a received message counts, at least; at most twice as long.
const LATELY: Duration = Duration::from_secs(60);

/// The ages of messages when they were received, by queue.
#[derive(Debug, Default)]
pub(super) struct Ages(Mutex<BTreeMap<String, Recent>>);

/// The oldest in the span that runs, and in the one before.
#[derive(Debug)]
struct Recent {
    begun: Instant,
    oldest: Duration,
    before: Duration,
}

impl Ages {
    fn queues(&self) -> MutexGuard<'_, BTreeMap<String, Recent>> {
        // Nothing in here panics while it holds the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes how old a message was when it was received.
    pub(super) fn note(&self, queue: &str, age: Duration, now: Instant) {
        let mut queues = self.queues();
        match queues.get_mut(queue) {
            Some(recent) => {
                recent.turn(now);
                recent.oldest = recent.oldest.max(age);
            }
            None => {
                queues.insert(queue.to_owned(), Recent { begun: now, oldest: age, before: Duration::ZERO });
            }
        }
    }

    /// The age of the oldest message that was received lately, by queue; zero where there was none.
    pub(super) fn oldest(&self, now: Instant) -> BTreeMap<String, Duration> {
        let mut queues = self.queues();
        let oldest = queues.iter_mut().map(|(queue, recent)| {
            recent.turn(now);
            (queue.clone(), recent.oldest.max(recent.before))
        });
        oldest.collect()
    }
}

impl Recent {
    /// Begins another span where this one is over.
    fn turn(&mut self, now: Instant) {
        let over = now.saturating_duration_since(self.begun);
        if over >= LATELY {
            self.before = if over < LATELY * 2 { self.oldest } else { Duration::ZERO };
            self.oldest = Duration::ZERO;
            self.begun = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_counts_for_a_minute_or_two_and_then_no_more() {
        let (ages, start) = (Ages::default(), Instant::now());
        let after = |seconds| start + Duration::from_secs(seconds);
        let oldest = |seconds| ages.oldest(after(seconds))["orders"].as_secs();
        ages.note("orders", Duration::from_secs(700), start);
        ages.note("orders", Duration::from_secs(3), after(1));
        assert_eq!(oldest(2), 700);
        ages.note("orders", Duration::from_secs(4), after(61));
        assert_eq!(oldest(100), 700, "the span before counts");
        assert_eq!(oldest(122), 4);
        assert_eq!(oldest(400), 0, "nothing was received for long");
    }
}
