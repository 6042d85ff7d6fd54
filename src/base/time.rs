//! Points in time as text.

use std::time::SystemTime;

use aws_sdk_sqs::primitives::{DateTime, DateTimeFormat};

/// Returns a time in the format of RFC 3339, in UTC, such as `2026-01-01T00:00:00Z`.
///
/// Returns an empty text for a time outside the years 0000 to 9999, which RFC 3339 cannot write.
pub fn rfc3339(time: SystemTime) -> String {
    DateTime::from(time).fmt(DateTimeFormat::DateTime).unwrap_or_default()
}
