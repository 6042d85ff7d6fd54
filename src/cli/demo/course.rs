//! The two sources of the demo by name, their configuration, and the course of the one that falls quiet and then stale.

use std::time::Duration;

use crate::cli::embedded::samples::{CHANGE, DATABASE};
use crate::config::STALE_AFTER_INTERVALS;

/// The name of the backend in its heartbeats.
pub(super) const BACKEND: &str = "shop-backend";
/// The time between two heartbeats of the backend.
pub(super) const BACKEND_INTERVAL: Duration = Duration::from_secs(2);
/// The time between two heartbeats of the database: the shortest that a configuration can have.
pub(super) const DATABASE_INTERVAL: Duration = Duration::from_secs(1);

/// The course of the database. It depends only on the arguments of the demo, so that the same seed gives the same
/// events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Course {
    /// The number of events of the demo after which the database sends no more events.
    pub(super) events_of_database: u64,
    /// The most events between two changes, so that the database is not quiet before that.
    pub(super) most_between_changes: u64,
    /// The time for which a quiet database sends heartbeats, after the service has noticed that it is quiet.
    pub(super) quiet_for: Duration,
    /// The number of intervals without a heartbeat after which the database is stale.
    stale_after_intervals: u32,
}

impl Course {
    /// Returns the course of a demo with this number of events, and with this number of events per second. The database
    /// is stale after about seven of the ten seconds that 2000 events take by default.
    pub(super) fn new(events: Option<u64>, rate: u32) -> Self {
        /// The number of events per second that the course assumes if the demo is as fast as possible.
        const FAST: u32 = 5_000;
        /// The length that leaves time to look at each state, in seconds. A demo without an end has the same course.
        const LONG: f64 = 60.0;
        /// The shortest length in which a source can become quiet and stale with the default number of intervals, in
        /// seconds.
        const SHORT: f64 = 8.0;
        let rate = f64::from(if rate == 0 { FAST } else { rate });
        let length = events.map_or(LONG, |events| (events as f64 / rate).min(LONG));
        Self {
            events_of_database: ((length * rate / 6.0) as u64).max(2),
            most_between_changes: ((rate / 2.0) as u64).max(1),
            quiet_for: Duration::from_secs_f64(length / 40.0),
            // The smallest number that a configuration can have is 2.
            stale_after_intervals: if length < SHORT { 2 } else { STALE_AFTER_INTERVALS },
        }
    }
}

/// Returns the part of the configuration that makes both sources known to the service.
pub(super) fn config_section(course: &Course) -> String {
    format!(
        "\
heartbeats:
  types:
    # The database has a table with one row, which is updated at each interval. Its heartbeats travel like its events.
    - type: {CHANGE}
      where: {{path: source.table, equals: heartbeat}}
      source: source.cluster
      sent_at: commit_time
      interval_seconds: {interval}
  expect:
    - source: {BACKEND}
      events: [shop.v1.Order*, shop.v1.Payment*, shop.v1.Customer*]
    - source: {DATABASE}
      events: [{CHANGE}]
      stale_after_intervals: {limit}
",
        interval = DATABASE_INTERVAL.as_secs(),
        limit = course.stale_after_intervals,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the seconds of events and of quiet, and the number of intervals.
    fn course(events: Option<u64>, rate: u32) -> (f64, f64, u32) {
        let Course { events_of_database, quiet_for, stale_after_intervals, .. } = Course::new(events, rate);
        let seconds = events_of_database as f64 / f64::from(if rate == 0 { 5_000 } else { rate });
        let rounded = |seconds: f64| (seconds * 10.0).round() / 10.0;
        (rounded(seconds), rounded(quiet_for.as_secs_f64()), stale_after_intervals)
    }

    #[test]
    fn the_course_of_the_database_fits_into_the_length_of_the_demo() {
        assert_eq!(course(Some(2_000), 200), (1.7, 0.3, 3));
        assert_eq!(course(Some(500), 100), (0.8, 0.1, 2));
        assert_eq!(course(Some(50), 5), (1.6, 0.3, 3));
        assert_eq!(course(Some(20_000), 0), (0.7, 0.1, 2));
        // A long demo, and one without an end, leave time to look at each state.
        for rate in [1, 200, 0] {
            assert_eq!(course(None, rate), (10.0, 1.5, 3), "rate {rate}");
        }
        assert_eq!(course(Some(1_000_000), 200), (10.0, 1.5, 3));
    }

    #[test]
    fn even_a_short_or_slow_demo_has_a_change_and_other_events() {
        let numbers = |events, rate| {
            let course = Course::new(events, rate);
            (course.events_of_database, course.most_between_changes)
        };
        assert_eq!(numbers(Some(1), 200), (2, 100));
        assert_eq!(numbers(None, 1), (10, 1));
        assert_eq!(numbers(None, 5), (50, 2));
    }
}
