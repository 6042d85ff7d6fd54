//! Repeats in the log, rate-limited.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Lets one line through each period, with the number of lines kept back since.
#[derive(Debug)]
pub struct Seldom {
    period: Duration,
    state: Mutex<(Option<Instant>, u64)>,
}

impl Seldom {
    /// One line each `period`.
    pub fn new(period: Duration) -> Self {
        Self { period, state: Mutex::new((None, 0)) }
    }

    /// Whether this line may be written; with the number of lines before it that were not.
    pub fn turn(&self) -> Option<u64> {
        let now = Instant::now();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (last, kept_back) = &mut *state;
        if last.is_some_and(|last| now < last + self.period) {
            *kept_back += 1;
            return None;
        }
        *last = Some(now);
        Some(std::mem::take(kept_back))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_line_a_period_with_the_count_of_those_kept_back() {
        let seldom = Seldom::new(Duration::from_secs(1));
        assert_eq!([seldom.turn(), seldom.turn(), seldom.turn()], [Some(0), None, None]);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!([seldom.turn(), seldom.turn()], [Some(2), None]);
    }
}
