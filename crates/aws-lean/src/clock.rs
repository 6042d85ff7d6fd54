//! The time at the services, for a machine whose clock is wrong.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;

/// Services refuse what was signed more than five minutes ago or ahead; the SDK corrects a clock from four on.
const WRONG: i64 = 4 * 60;

/// This machine's clock, corrected by what refused calls have shown.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    /// Seconds that the services are ahead.
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

    /// A call was refused at this time, by the answer's `Date`.
    pub(crate) fn learn(&self, date: &str, here: SystemTime) {
        let Ok(there) = DateTime::from_str(date, Format::HttpDate) else { return };
        let ahead = there.secs() - DateTime::from(here).secs();
        self.ahead.store(if ahead.abs() < WRONG { 0 } else { ahead }, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_minutes_off_is_corrected_and_one_that_is_right_again_is_not() {
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
