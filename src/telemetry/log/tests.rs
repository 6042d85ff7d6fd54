use std::io;
use std::sync::{Arc, Mutex};

use tracing::{subscriber, warn};

use super::*;
use crate::base::MAX_SHOWN_BYTES;

/// The bytes that a log wrote.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Written {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

/// Returns the text that a log in one of the formats writes while `events` runs.
fn written(is_human: bool, events: impl Fn()) -> String {
    let (written, filter) = (Written::default(), EnvFilter::new("info"));
    let writer = written.clone();
    let writer = move || writer.clone();
    if is_human {
        subscriber::with_default(human(filter, writer, false).0, events);
    } else {
        subscriber::with_default(json(filter, writer).0, events);
    }
    written.text()
}

#[test]
fn every_value_of_a_line_is_cut_in_both_formats() {
    let long = "c".repeat(300_000);
    let error: &(dyn std::error::Error + 'static) = &io::Error::other(long.clone());
    for is_human in [true, false] {
        let text = written(is_human, || {
            warn!(customer = long, shown = %long, debug = ?long, error, count = 3, "cannot route {long}");
        });
        assert_eq!(text.lines().count(), 1);
        assert!(text.len() < 5 * MAX_SHOWN_BYTES + 600, "{} bytes", text.len());
        assert_eq!(text.matches("bytes left out)").count(), 5, "{text}");
        assert!(text.contains(&"c".repeat(MAX_SHOWN_BYTES - 20)));
    }
}

#[test]
fn a_json_line_has_the_fields_beside_time_level_and_target() {
    let text = written(false, || {
        warn!(queue = "orders", failed = true, share = 0.5, count = 3, below = -1, kind = ?Some(1), "polls failed");
        tracing::info!("a\nb");
        tracing::debug!("not written");
    });
    let lines: Vec<&str> = text.lines().collect();
    let (timestamp, rest) = lines[0].split_once("\",").unwrap();
    assert!(timestamp.starts_with("{\"timestamp\":\"2") && timestamp.ends_with('Z'), "{timestamp}");
    assert_eq!(
        rest,
        "\"level\":\"WARN\",\"message\":\"polls failed\",\"queue\":\"orders\",\"failed\":true,\"share\":0.5,\"count\":3,\
         \"below\":-1,\"kind\":\"Some(1)\",\"target\":\"protobridge::telemetry::log::tests\"}"
    );
    assert!(lines[1].contains("\"message\":\"a\\nb\"") && lines.len() == 2);
}

#[test]
fn a_readable_line_has_the_fields_after_the_message() {
    let text = written(true, || warn!(queue = "orders", count = 3, shown = %"plain", "polls failed"));
    assert!(text.ends_with(" WARN polls failed queue=\"orders\" count=3 shown=plain\n"), "{text}");
}

#[test]
fn a_lone_level_is_about_the_lines_of_protobridge() {
    let lines = |level: &str| {
        let written = Written::default();
        let writer = written.clone();
        subscriber::with_default(json(filter(level).unwrap(), move || writer.clone()).0, || {
            tracing::trace!(target: "protobridge::delivery", "ours, trace");
            tracing::debug!(target: "protobridge::delivery", "ours, debug");
            tracing::debug!(target: "aws_lean", "signed");
            tracing::debug!(target: "hyper_util::client", "a connection");
            tracing::info!(target: "hyper_util::client", "a notice");
        });
        let text = written.text();
        ["ours, trace", "ours, debug", "signed", "a connection", "a notice"].map(|line| text.contains(line))
    };
    assert_eq!(lines("info"), [false, false, false, false, true]);
    assert_eq!(lines("debug"), [false, true, true, false, true]);
    assert_eq!(lines(" TRACE"), [true, true, true, false, true]);
    assert_eq!(lines("error"), [false; 5]);
    // Directives are taken as they are.
    assert_eq!(lines("debug,hyper_util=debug"), [false, true, true, true, true]);
    assert_eq!(lines("info,protobridge::delivery=trace"), [true, true, false, false, true]);
}

#[test]
fn the_level_changes_while_the_log_runs() {
    for is_human in [true, false] {
        let written = Written::default();
        let writer = written.clone();
        let writer = move || writer.clone();
        let events = |level: LogLevel| {
            tracing::debug!("before");
            level.set("info,protobridge=debug").unwrap();
            tracing::debug!("between");
            assert!(level.set("info,protobridge=loud").is_err());
            tracing::debug!("still");
            level.set("error").unwrap();
            warn!("after");
        };
        let filter = EnvFilter::new("info");
        if is_human {
            let (log, level) = human(filter, writer, false);
            subscriber::with_default(log, || events(level));
        } else {
            let (log, level) = json(filter, writer);
            subscriber::with_default(log, || events(level));
        }
        let text = written.text();
        assert!(text.contains("between") && text.contains("still") && text.lines().count() == 2, "{text}");
    }
}
