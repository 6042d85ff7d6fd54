//! Microseconds since the Unix epoch as text, in UTC.

use jiff::Timestamp;
use serde::Serializer;

const SECOND: i64 = 1_000_000;

/// Returns a time in the format of RFC 3339 with microseconds, such as `2026-11-28T12:03:07.114000Z`.
pub fn rfc3339(micros: i64) -> String {
    format(micros, "%Y-%m-%dT%H:%M:%S%.6fZ")
}

/// Returns the day, such as `2026-11-28`.
pub fn day(micros: i64) -> String {
    format(micros, "%Y-%m-%d")
}

/// Returns the time of day in milliseconds, cut, such as `12:03:07.114`.
pub fn time_of_day(micros: i64) -> String {
    format(micros, "%H:%M:%S%.3f")
}

/// Returns day and time in seconds, cut, such as `2026-11-28 12:03:07`.
pub fn seconds(micros: i64) -> String {
    format(micros, "%Y-%m-%d %H:%M:%S")
}

/// Returns a length of time in the unit that suits it, such as `2.4 s`.
pub fn length(micros: i64) -> String {
    let micros = micros.unsigned_abs();
    let (seconds, tenths) = (micros / 1_000_000, micros.saturating_add(50_000) / 100_000);
    match seconds {
        0 if micros < 1_000 => "less than 1 ms".to_owned(),
        0 => format!("{} ms", micros / 1_000),
        _ if tenths < 600 => format!("{}.{} s", tenths / 10, tenths % 10),
        1..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

/// Serializes a time in the format of [`rfc3339`].
pub(in crate::store) fn serialize<S: Serializer>(micros: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&rfc3339(*micros))
}

/// Serializes a time, if there is one, in the format of [`rfc3339`].
pub(in crate::store) fn serialize_option<S: Serializer>(
    micros: &Option<i64>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match micros {
        Some(micros) => serialize(micros, serializer),
        None => serializer.serialize_none(),
    }
}

/// A time that jiff cannot represent, which only a damaged segment has, is given as the nearest one that it can.
fn format(micros: i64, format: &str) -> String {
    let (min, max) = (Timestamp::MIN.as_second() + 1, Timestamp::MAX.as_second() - 1);
    let micros = micros.clamp(min * SECOND, max * SECOND);
    Timestamp::from_microsecond(micros).unwrap_or(Timestamp::UNIX_EPOCH).strftime(format).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_given_in_utc_and_cut() {
        let time = 1_795_867_387_114_999;
        assert_eq!(rfc3339(time), "2026-11-28T12:03:07.114999Z");
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000000Z");
        assert_eq!(day(time), "2026-11-28");
        assert_eq!(time_of_day(time), "12:03:07.114");
        assert_eq!(seconds(time), "2026-11-28 12:03:07");
        for extreme in [i64::MIN, i64::MAX] {
            assert!(rfc3339(extreme).ends_with('Z'), "{}", rfc3339(extreme));
        }
    }

    #[test]
    fn a_length_has_the_unit_that_suits_it() {
        let cases = [
            (999, "less than 1 ms"),
            (149_999, "149 ms"),
            (2_366_000, "2.4 s"),
            (-2_400_000, "2.4 s"),
            (59_949_999, "59.9 s"),
            (59_950_000, "0 min 59 s"),
            (725 * SECOND, "12 min 5 s"),
            (11_045 * SECOND, "3 h 4 min"),
            (183_600 * SECOND, "2 d 3 h"),
        ];
        for (micros, text) in cases {
            assert_eq!(length(micros), text);
        }
    }
}
