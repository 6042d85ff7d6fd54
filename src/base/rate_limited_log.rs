//! A limit on how often one line of the log is written.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Permits one line per period, and counts the lines that it suppressed in between.
#[derive(Debug)]
pub struct RateLimitedLog {
    period: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    last_permit: Option<Instant>,
    suppressed: u64,
}

impl RateLimitedLog {
    /// Creates a limit of one line per `period`. The first line is permitted at once.
    pub fn new(period: Duration) -> Self {
        Self { period, state: Mutex::default() }
    }

    /// Returns the number of lines that were suppressed since the last permitted one, if this line can be written;
    /// otherwise counts this line as suppressed and returns `None`.
    pub fn permit(&self) -> Option<u64> {
        let now = Instant::now();
        let mut state = self.state.lock();
        if state.last_permit.is_some_and(|last| now.duration_since(last) < self.period) {
            state.suppressed += 1;
            return None;
        }
        state.last_permit = Some(now);
        Some(std::mem::take(&mut state.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_line_per_period_is_permitted_and_tells_how_many_were_suppressed() {
        let log = RateLimitedLog::new(Duration::from_secs(1));
        assert_eq!([log.permit(), log.permit(), log.permit()], [Some(0), None, None]);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!([log.permit(), log.permit()], [Some(2), None]);
    }
}
