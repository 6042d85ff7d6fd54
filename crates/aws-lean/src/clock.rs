//! The time at AWS, for a machine whose clock is wrong.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;

/// The difference in seconds from which on the clock is corrected, as in the SDK. AWS refuses signatures that are more
/// than five minutes old or ahead.
const TOLERANCE: i64 = 4 * 60;

/// The clock of this machine, corrected by the dates of answers that refused a call.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    /// The number of seconds by which AWS is ahead of this machine.
    ahead: AtomicI64,
}

impl Clock {
    pub(crate) fn now(&self) -> SystemTime {
        self.corrected(SystemTime::now())
    }

    fn corrected(&self, here: SystemTime) -> SystemTime {
        let ahead = self.ahead.load(Ordering::Relaxed);
        let by = Duration::from_secs(ahead.unsigned_abs());
        let there = if ahead < 0 { here.checked_sub(by) } else { here.checked_add(by) };
        there.unwrap_or(here)
    }

    /// Learns from an answer that refused a call: `date` is its `Date` header, `here` the local time at which it came.
    pub(crate) fn learn(&self, date: &str, here: SystemTime) {
        let Ok(there) = DateTime::from_str(date, Format::HttpDate) else { return };
        let ahead = there.secs() - DateTime::from(here).secs();
        self.ahead.store(if ahead.abs() < TOLERANCE { 0 } else { ahead }, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_minutes_off_is_corrected_until_it_is_right_again() {
        let clock = Clock::default();
        let here = SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600);
        for (date, ahead) in [
            ("Thu, 01 Jan 2026 00:10:00 GMT", 600),
            ("no date", 600),
            ("Wed, 31 Dec 2025 23:00:00 GMT", -3_600),
            ("Thu, 01 Jan 2026 00:00:07 GMT", 0),
        ] {
            clock.learn(date, here);
            let there = DateTime::from(clock.corrected(here)).secs();
            assert_eq!(there - 1_767_225_600, ahead, "{date}");
        }
    }
}
