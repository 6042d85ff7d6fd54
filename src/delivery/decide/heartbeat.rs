//! Recognizes heartbeats, by the taps of their types.

use std::time::Duration;

use crate::base::time::parse_rfc3339;
use crate::config::MAX_SOURCE_NAME;
use crate::message::steps::{About, Step, Witness};
use crate::monitor::sources::Heartbeat;
use crate::schema::registry::{EventType, HeartbeatTaps, IntervalTap};
use crate::schema::transcode::Transcoder;

/// The interval of a heartbeat that does not name its own.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(10);
/// The bounds of the interval that a heartbeat names.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(86_400);

/// Returns the heartbeat that an event is, if it is one. Types without a rule pay one comparison.
pub(super) fn read(
    event_type: &EventType,
    transcoder: &Transcoder<'_>,
    witness: &mut impl Witness,
) -> Option<Heartbeat> {
    let heartbeat = event_type.taps.heartbeats.iter().find_map(|taps| read_by(taps, transcoder))?;
    witness.note(|| {
        let because = match heartbeat.sequence {
            Some(number) => format!("the event is heartbeat {number} of this source"),
            None => "the event is a heartbeat of this source".to_owned(),
        };
        Step::new(About::Source, &heartbeat.source, because)
    });
    Some(heartbeat)
}

fn read_by(taps: &HeartbeatTaps, transcoder: &Transcoder<'_>) -> Option<Heartbeat> {
    let value = |tap: usize| transcoder.tap(&[tap]);
    if let Some((tap, expected)) = &taps.condition
        && value(*tap) != Some(expected)
    {
        return None;
    }
    Some(Heartbeat {
        source: label(value(taps.source).filter(|name| !name.is_empty())?),
        sequence: taps.sequence.and_then(value).and_then(|number| number.parse().ok()),
        sent_at: taps.sent_at.and_then(value).and_then(parse_rfc3339),
        interval: match taps.interval {
            IntervalTap::Configured(interval) => interval,
            IntervalTap::Field(tap) => value(tap).and_then(parse_duration).unwrap_or(DEFAULT_INTERVAL),
        },
    })
}

/// Returns the name of a source as a label can have it.
fn label(name: &str) -> String {
    name.chars().take(MAX_SOURCE_NAME).map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// Returns the duration that ProtoJSON writes like `10s` or `1.5s`, within the bounds of an interval. Returns `None` if
/// it is not positive.
fn parse_duration(text: &str) -> Option<Duration> {
    let seconds: f64 = text.strip_suffix('s')?.parse().ok()?;
    (seconds > 0.0).then(|| Duration::from_secs_f64(seconds.min(LONGEST.as_secs_f64())).max(SHORTEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_is_bounded_and_positive() {
        for (text, expected) in [
            ("10s", Some(10.0)),
            ("1.500s", Some(1.5)),
            ("0.001s", Some(1.0)),
            ("315576000000s", Some(86_400.0)),
            ("0s", None),
            ("-3s", None),
            ("x", None),
        ] {
            assert_eq!(parse_duration(text).map(|it| it.as_secs_f64()), expected, "{text}");
        }
    }

    #[test]
    fn the_name_of_a_source_is_cut_and_has_no_control_characters() {
        assert_eq!(label("orders-eu-1"), "orders-eu-1");
        assert_eq!(label("a\u{1f}b\n"), "a?b?");
        assert_eq!(label(&"é".repeat(500)).chars().count(), MAX_SOURCE_NAME);
    }
}
