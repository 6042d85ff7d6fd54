//! The report of `duplicates`, as text and as JSON.

use std::io::{self, Write};
use std::ops::Range;

use serde_json::{Value, json};

use super::tally::{Between, Line, Tallied};
use crate::cli::journal::{looked_text, window_text};
use crate::store::journal::{Looked, not_known, stamp};

/// The most reasons for missing rows that are listed.
const MAX_REASONS: usize = 8;

/// What was found, and what was looked at.
pub(super) struct Report {
    pub(super) window: Range<i64>,
    pub(super) tally: Tallied,
    pub(super) looked: Looked,
    pub(super) sample_published: f64,
}

impl Report {
    /// Writes the report as text.
    pub(super) fn write(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "Window: {}", window_text(&self.window))?;
        let lines = &self.tally.lines;
        if !lines.is_empty() {
            write_table(out, lines)?;
            for line in lines {
                writeln!(out, "{} in {}: messages {}", line.event_type, line.queue, line.examples.join(", "))?;
            }
            writeln!(out, "`protobridge trace --message-id ID` tells the story of a message.")?;
        }
        for sentence in self.sentences() {
            writeln!(out, "{sentence}")?;
        }
        writeln!(out, "{}", looked_text(&self.looked))?;
        let missing = self.missing();
        if !missing.is_empty() {
            writeln!(out, "Rows can be missing, so there can be more duplicates:")?;
        }
        for reason in missing.iter().take(MAX_REASONS) {
            writeln!(out, "  {reason}")?;
        }
        match missing.len().saturating_sub(MAX_REASONS) {
            0 => Ok(()),
            more => writeln!(out, "  There are {more} more reasons; --json lists all of them."),
        }
    }

    /// Returns the report as JSON.
    pub(super) fn json(&self) -> Value {
        json!({
            "window": {"from": stamp::rfc3339(self.window.start), "to": stamp::rfc3339(self.window.end)},
            "duplicates": self.tally.lines,
            "redeliveries": self.tally.redeliveries,
            "rows_not_compared": self.tally.not_compared,
            "looked": {
                "segments": self.looked.segments,
                "replicas": self.looked.replicas,
                "ranges": self.looked.ranges,
                "bytes": self.looked.bytes,
                "dropped": self.looked.dropped,
            },
            "holes": self.looked.holes,
            "not_known": self.missing(),
            "known": self.is_known(),
        })
    }

    fn is_known(&self) -> bool {
        self.missing().is_empty() && self.tally.not_compared == 0
    }

    /// Returns the reasons why rows can be missing. A duplicate that was suppressed has a row also if the event is not
    /// in the sample.
    fn missing(&self) -> Vec<String> {
        let mut reasons = not_known(&self.looked, None);
        if self.sample_published < 1.0 {
            reasons.push(format!(
                "A share of {} of the published events has rows (journal.sample_published): an event that was published \
                 again without rows is not counted.",
                self.sample_published
            ));
        }
        reasons
    }

    fn sentences(&self) -> Vec<String> {
        let Tallied { lines, redeliveries, not_compared } = &self.tally;
        let mut sentences = Vec::new();
        match (lines.as_slice(), self.is_known()) {
            ([], true) => sentences.push("No event came as more than one message.".to_owned()),
            ([], false) => {
                sentences.push("No row that was compared shows an event that came as more than one message.".to_owned());
            }
            _ => {}
        }
        let again: u64 = lines.iter().map(|line| line.published_again).sum();
        let by_several: u64 = lines.iter().map(|line| line.by_several_replicas).sum();
        if again > 0 {
            sentences.push(format!(
                "Events that were published again: {by_several} by different replicas, which share a window of duplicates \
                 only with dedupe.redis_url; {} by one replica, after dedupe.window_seconds, after a restart, or when the \
                 window was full.",
                again - by_several
            ));
        }
        if *redeliveries > 0 {
            sentences.push(format!(
                "SQS delivered messages again, which suppressed {redeliveries} publications. These are no duplicates of a \
                 producer and are not in the table."
            ));
        }
        if *not_compared > 0 {
            sentences.push(format!(
                "{not_compared} rows were not compared, because the window has too many events: choose a shorter one, or \
                 use --type."
            ));
        }
        sentences
    }
}

fn write_table(out: &mut impl Write, lines: &[Line]) -> io::Result<()> {
    let header = ["TYPE", "QUEUE", "EVENTS", "MESSAGES", "MEDIAN BETWEEN", "MIN", "MAX", "PUBLISHED AGAIN"];
    let mut rows = vec![header.map(str::to_owned)];
    rows.extend(lines.iter().map(|line| {
        let time = |of: fn(&Between) -> f64| {
            line.between_seconds.as_ref().map_or_else(|| "-".to_owned(), |it| stamp::length((of(it) * 1e6) as i64))
        };
        [
            line.event_type.clone(),
            line.queue.clone(),
            line.events.to_string(),
            line.messages.to_string(),
            time(|it| it.median),
            time(|it| it.min),
            time(|it| it.max),
            line.published_again.to_string(),
        ]
    }));
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    for row in &rows {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        writeln!(out, "{}", cells.join("  ").trim_end())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::journal::{Hole, HoleKind};

    /// 2026-11-28T12:00:00Z.
    const NOON: i64 = 1_795_867_200_000_000;
    const MINUTE: i64 = 60_000_000;

    fn report(lines: Vec<Line>) -> Report {
        let replicas = ["pod-a".to_owned(), "pod-b".to_owned()].into();
        Report {
            window: NOON - 60 * MINUTE..NOON,
            tally: Tallied { lines, redeliveries: 0, not_compared: 0 },
            looked: Looked { segments: 120, replicas, ranges: 240, bytes: 9_000_000, ..Looked::default() },
            sample_published: 1.0,
        }
    }

    fn line(event_type: &str, published_again: u64) -> Line {
        Line {
            event_type: event_type.into(),
            queue: "events".into(),
            events: 12,
            messages: 25,
            between_seconds: Some(Between { min: 0.08, median: 2.4, max: 725.0 }),
            published_again,
            by_several_replicas: published_again / 2,
            examples: vec!["5f0c0001-aaaa-4bbb-8ccc-000000000001".into(), "77ab0002-aaaa-4bbb-8ccc-000000000002".into()],
        }
    }

    fn text(report: &Report) -> String {
        let mut text = Vec::new();
        report.write(&mut text).unwrap();
        String::from_utf8(text).unwrap()
    }

    fn died() -> Hole {
        let (from, to) = (NOON - 30 * MINUTE, Some(NOON - 29 * MINUTE));
        Hole { replica: "pod-b".into(), incarnation: "cafe".into(), from, to, kind: HoleKind::Died }
    }

    #[test]
    fn the_text_has_the_table_the_causes_and_what_is_not_known() {
        let mut report = report(vec![line("shop.v1.OrderPlaced", 3), Line { between_seconds: None, ..line("shop.v1.X", 0) }]);
        report.tally.redeliveries = 7;
        report.tally.not_compared = 9;
        report.sample_published = 0.5;
        report.looked.holes.push(died());
        insta::assert_snapshot!(text(&report), @r#"
    Window: 2026-11-28 11:00:00 to 2026-11-28 12:00:00 UTC
    TYPE                 QUEUE   EVENTS  MESSAGES  MEDIAN BETWEEN  MIN    MAX         PUBLISHED AGAIN
    shop.v1.OrderPlaced  events  12      25        2.4 s           80 ms  12 min 5 s  3
    shop.v1.X            events  12      25        -               -      -           0
    shop.v1.OrderPlaced in events: messages 5f0c0001-aaaa-4bbb-8ccc-000000000001, 77ab0002-aaaa-4bbb-8ccc-000000000002
    shop.v1.X in events: messages 5f0c0001-aaaa-4bbb-8ccc-000000000001, 77ab0002-aaaa-4bbb-8ccc-000000000002
    `protobridge trace --message-id ID` tells the story of a message.
    Events that were published again: 1 by different replicas, which share a window of duplicates only with dedupe.redis_url; 2 by one replica, after dedupe.window_seconds, after a restart, or when the window was full.
    SQS delivered messages again, which suppressed 7 publications. These are no duplicates of a producer and are not in the table.
    9 rows were not compared, because the window has too many events: choose a shorter one, or use --type.
    Looked at 120 segments of pod-a, pod-b: 240 ranges read, 9000000 bytes.
    Rows can be missing, so there can be more duplicates:
      No record of pod-b between 2026-11-28 11:30:00 and 11:31:00: it died; what it did then is unknown.
      A share of 0.5 of the published events has rows (journal.sample_published): an event that was published again without rows is not counted.
    "#);
    }

    #[test]
    fn no_duplicates_is_said_only_of_complete_rows() {
        let certain = "No event came as more than one message.";
        let whole = report(Vec::new());
        assert!(text(&whole).contains(certain) && whole.json()["known"] == true, "{}", text(&whole));
        let with = |change: fn(&mut Report)| {
            let mut report = report(Vec::new());
            change(&mut report);
            report
        };
        let gaps = [
            with(|report| report.looked.holes.push(died())),
            with(|report| report.looked.segments = 0),
            with(|report| report.sample_published = 0.5),
            with(|report| report.tally.not_compared = 1),
        ];
        for gap in gaps {
            assert!(!text(&gap).contains(certain) && gap.json()["known"] == false, "{}", text(&gap));
        }
    }
}
