//! The options `--from` and `--to`: the time that a report is about.

use std::ops::Range;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::Usage;
use crate::base::time::parse_rfc3339;

/// The options `--from` and `--to` of a command.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct Window {
    /// Begin: a time such as 2026-11-28T12:00:00Z, a day such as 2026-11-28 (of UTC), or a time before now such as 30m,
    /// 2h or 7d
    #[arg(long, value_name = "TIME", value_parser = Point::parse)]
    from: Option<Point>,
    /// End, excluded, in the same format [default: now]
    #[arg(long, value_name = "TIME", value_parser = Point::parse)]
    to: Option<Point>,
}

/// A point in time as the command line names it, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Point {
    /// Since the Unix epoch.
    At(i64),
    /// Before now.
    Before(i64),
}

impl Window {
    /// Returns the times that `--from` and `--to` name, in microseconds since the Unix epoch.
    pub(super) fn named(&self, now: SystemTime) -> (Option<i64>, Option<i64>) {
        let time = |point: Option<Point>| Some(point?.time(micros(now)));
        (time(self.from), time(self.to))
    }

    /// Returns the window, in microseconds since the Unix epoch. Without `--to` it ends now; without `--from` it is
    /// `length` long.
    ///
    /// # Errors
    /// Returns an error if the window does not begin before it ends.
    pub(super) fn range(&self, now: SystemTime, length: Duration) -> Result<Range<i64>, Usage> {
        let (from, to) = self.named(now);
        let to = to.unwrap_or_else(|| micros(now));
        let length = i64::try_from(length.as_micros()).unwrap_or(i64::MAX);
        let from = from.unwrap_or_else(|| to.saturating_sub(length));
        if from < to { Ok(from..to) } else { Err(Usage("--from must be before --to, and --to is now without a value")) }
    }
}

impl Point {
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        const FORMATS: &str = "it is neither a time such as 2026-11-28T12:00:00Z, nor a day such as 2026-11-28, nor a \
                               time before now such as 30m, 2h or 7d";
        let time = parse_rfc3339(text).or_else(|| parse_rfc3339(&format!("{text}T00:00:00Z")));
        time.map(|time| Self::At(micros(time))).or_else(|| before(text).map(Self::Before)).ok_or(FORMATS)
    }

    /// Returns the time in microseconds since the Unix epoch. `now` is the time now, in the same unit.
    pub(super) fn time(self, now: i64) -> i64 {
        match self {
            Self::At(time) => time,
            Self::Before(length) => now.saturating_sub(length),
        }
    }
}

/// Returns a length of time such as `2h`, in microseconds.
fn before(text: &str) -> Option<i64> {
    let unit = text.chars().next_back()?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        'w' => 7 * 86_400,
        _ => return None,
    };
    let count: u32 = text[..text.len() - unit.len_utf8()].parse().ok()?;
    Some(i64::from(count) * seconds * 1_000_000)
}

fn micros(time: SystemTime) -> i64 {
    let signed = |length: Duration| i64::try_from(length.as_micros()).unwrap_or(i64::MAX);
    time.duration_since(UNIX_EPOCH).map_or_else(|error| -signed(error.duration()), signed)
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    const NOON: i64 = 1_795_867_200_000_000;
    const HOUR: i64 = 3_600_000_000;

    #[derive(Debug, clap::Parser)]
    struct Command {
        #[command(flatten)]
        window: Window,
    }

    fn window(args: &str) -> Window {
        Command::try_parse_from(["x"].into_iter().chain(args.split_whitespace())).unwrap().window
    }

    fn range(args: &str) -> Result<Range<i64>, String> {
        let now = UNIX_EPOCH + Duration::from_micros(NOON.unsigned_abs());
        window(args).range(now, Duration::from_secs(3_600)).map_err(|error| error.to_string())
    }

    #[test]
    fn a_window_is_named_by_times_by_days_and_by_times_before_now() {
        assert_eq!(range(""), Ok(NOON - HOUR..NOON));
        assert_eq!(range("--from 2h"), Ok(NOON - 2 * HOUR..NOON));
        assert_eq!(range("--from 2d --to 90m"), Ok(NOON - 48 * HOUR..NOON - 3 * HOUR / 2));
        assert_eq!(range("--from 30s"), Ok(NOON - 30_000_000..NOON));
        assert_eq!(range("--from 1w"), Ok(NOON - 7 * 24 * HOUR..NOON));
        assert_eq!(range("--to 2h"), Ok(NOON - 3 * HOUR..NOON - 2 * HOUR));
        assert_eq!(range("--from 2026-11-28T11:59:59.5Z"), Ok(NOON - 500_000..NOON));
        assert_eq!(range("--from 2026-11-28T13:00:00+02:00"), Ok(NOON - HOUR..NOON));
        assert_eq!(range("--from 2026-11-27 --to 2026-11-28"), Ok(NOON - 36 * HOUR..NOON - 12 * HOUR));
    }

    #[test]
    fn a_window_that_does_not_begin_before_it_ends_is_refused() {
        for args in ["--from 1h --to 2h", "--from 1h --to 1h", "--from 2026-11-29"] {
            let refused = "--from must be before --to, and --to is now without a value; see --help";
            assert_eq!(range(args), Err(refused.to_owned()), "{args}");
        }
    }

    #[test]
    fn a_text_that_is_no_time_is_refused_with_the_formats() {
        for text in ["", "h", "2", "2y", "-2h", "2.5h", "h2", "2 h", "5000000000h", "yesterday", "2026-13-01", "2ö"] {
            let error = Command::try_parse_from(["x", &format!("--from={text}")]).unwrap_err().to_string();
            assert!(error.contains("nor a day such as 2026-11-28"), "{text}: {error}");
        }
    }

    #[test]
    fn a_command_can_ask_which_times_were_named() {
        assert_eq!(window("").named(UNIX_EPOCH), (None, None));
        assert_eq!(window("--from 1970-01-02 --to 1s").named(UNIX_EPOCH), (Some(86_400_000_000), Some(-1_000_000)));
    }
}
