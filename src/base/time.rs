//! Points in time as text.

use std::time::SystemTime;

use aws_sdk_sqs::primitives::{DateTime, DateTimeFormat};

/// Returns a time in the format of RFC 3339, in UTC, such as `2026-01-01T00:00:00Z`.
///
/// Returns an empty text for a time outside the years 0000 to 9999, which RFC 3339 cannot write.
pub fn rfc3339(time: SystemTime) -> String {
    DateTime::from(time).fmt(DateTimeFormat::DateTime).unwrap_or_default()
}

/// Returns a time in microseconds since the Unix epoch; 0 for a time before it.
pub fn unix_micros(time: SystemTime) -> i64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_micros() as i64)
}

/// Returns a time since the Unix epoch in the format of RFC 3339, in UTC. Returns `None` if RFC 3339 cannot write it.
pub fn rfc3339_of_unix(seconds: i64, nanos: u32) -> Option<String> {
    DateTime::from_secs_and_nanos(seconds, nanos).fmt(DateTimeFormat::DateTime).ok()
}

/// Returns the time that a text in the format of RFC 3339 names, with any offset from UTC.
pub fn parse_rfc3339(text: &str) -> Option<SystemTime> {
    DateTime::from_str(text, DateTimeFormat::DateTimeWithOffset).ok()?.try_into().ok()
}

/// Whether a text is a time in the format of RFC 3339, with any offset from UTC.
pub fn is_rfc3339(text: &str) -> bool {
    DateTime::from_str(text, DateTimeFormat::DateTimeWithOffset).is_ok()
}
