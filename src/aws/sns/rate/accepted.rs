//! The rate of the messages that SNS accepts.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// The time over which the accepted rate is measured.
pub(super) const WINDOW: Duration = Duration::from_secs(1);

/// The messages accepted within the window, in slots of a twentieth of it.
#[derive(Debug, Clone, Default)]
pub(super) struct Accepted {
    slots: VecDeque<(Instant, usize)>,
    /// When messages were accepted after a window without any.
    busy_since: Option<Instant>,
}

impl Accepted {
    /// Adds accepted messages.
    pub(super) fn add(&mut self, messages: usize, now: Instant) {
        self.forget(now);
        if self.slots.is_empty() {
            self.busy_since = Some(now);
        }
        match self.slots.back_mut() {
            Some((begun, count)) if now.duration_since(*begun) < WINDOW / 20 => *count += messages,
            _ => self.slots.push_back((now, messages)),
        }
    }

    fn forget(&mut self, now: Instant) {
        while self.slots.pop_front_if(|(begun, _)| now.duration_since(*begun) >= WINDOW).is_some() {}
    }

    /// Returns the rate in messages per second. It is extrapolated to the window until this time after the first message
    /// that follows a quiet window.
    pub(super) fn pace(&mut self, until: Duration, now: Instant) -> f64 {
        let busy = self.busy_since.map_or(WINDOW, |since| now.duration_since(since)).max(WINDOW / 20);
        let rate = self.rate(now);
        if busy < until { rate * WINDOW.as_secs_f64() / busy.as_secs_f64() } else { rate }
    }

    /// Returns the number of messages within the window.
    pub(super) fn rate(&mut self, now: Instant) -> f64 {
        self.forget(now);
        // The sum of no floating-point numbers is -0.0, so the integers are summed.
        let count: usize = self.slots.iter().map(|(_, count)| count).sum();
        count as f64 / WINDOW.as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_of_no_messages_is_shown_without_a_sign() {
        let rate = Accepted::default().rate(Instant::now());
        assert_eq!(format!("{rate:?}"), "0.0");
    }
}
