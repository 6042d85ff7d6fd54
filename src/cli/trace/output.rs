//! The answer of `trace`, as text and as JSON.

use std::io::{self, Write};

use serde_json::{Value, json};

use super::Chosen;
use crate::cli::journal::{looked_text, window_text};
use crate::store::journal::{Found, Row, Story, Wanted, is_about, stamp};

/// What was found, and what it means.
pub(super) struct Answer<'f> {
    pub(super) wanted: &'f Wanted,
    pub(super) customer: Option<&'f str>,
    pub(super) chosen: Chosen,
    pub(super) found: &'f Found,
    pub(super) story: Story,
}

impl Answer<'_> {
    /// Writes the story, and what was looked at if that is wanted or nothing was found.
    pub(super) fn write(&self, out: &mut impl Write, explain: bool) -> io::Result<()> {
        let Story { not_known, is_found, is_known, .. } = &self.story;
        writeln!(out, "Window: {} ({})", window_text(&self.chosen.window), self.chosen.why)?;
        if explain || !is_found {
            let reasons = Story { not_known: Vec::new(), ..self.story.clone() };
            write!(out, "{reasons}{}\n", looked_text(&self.found.looked))?;
            if !not_known.is_empty() {
                writeln!(out, "Rows can be missing:")?;
            }
            for reason in not_known {
                writeln!(out, "  {reason}")?;
            }
        } else {
            write!(out, "{}", self.story)?;
        }
        if !is_found && self.found.rows.is_empty() {
            writeln!(out, "{}", self.hint(*is_known))?;
        }
        Ok(())
    }

    /// Returns what an answer without rows can mean.
    fn hint(&self, is_known: bool) -> &'static str {
        match (self.wanted, is_known) {
            (Wanted::Event(_), true) => {
                "So no message with this event id was settled in this time. It can be in its queue still; or it was \
                 quarantined before its id was read, and then --message-id finds it; or the event has another id or \
                 another time."
            }
            (Wanted::Message(_), true) => {
                "So this message was not settled in this time. It can be in its queue still, or another consumer has it."
            }
            (Wanted::SnsMessage(_), true) => {
                "So protobridge did not publish this message in this time. It can be of another time, or another \
                 publisher sent it to the topic."
            }
            (_, false) => "To be sure, name a time with --from and --to for which the journal is complete.",
        }
    }

    /// Returns the answer as JSON.
    pub(super) fn json(&self) -> Value {
        let Found { rows, looked } = self.found;
        let mut rows: Vec<&Row> = rows.iter().filter(|row| is_about(row, self.customer)).collect();
        rows.sort_by_key(|row| (row.received_at, &row.message_id, &row.customer, &row.topic, row.settled_at));
        rows.dedup();
        let (kind, id) = match self.wanted {
            Wanted::Event(id) => ("event_id", id),
            Wanted::Message(id) => ("message_id", id),
            Wanted::SnsMessage(id) => ("sns_message_id", id),
        };
        let of_rows = || rows.iter().find_map(|row| row.event_id.as_ref());
        let event = if kind == "event_id" { Some(id) } else { of_rows() };
        json!({
            "event": event,
            "wanted": {kind: id},
            "window": {
                "from": stamp::rfc3339(self.chosen.window.start),
                "to": stamp::rfc3339(self.chosen.window.end),
                "why": self.chosen.why,
            },
            "rows": rows,
            "looked": {
                "segments": looked.segments,
                "replicas": looked.replicas,
                "ranges": looked.ranges,
                "bytes": looked.bytes,
                "dropped": looked.dropped,
            },
            "holes": looked.holes,
            "not_known": self.story.not_known,
            "verdict": self.story.verdict.join(" "),
            "found": self.story.is_found,
            "known": self.story.is_known,
        })
    }
}
