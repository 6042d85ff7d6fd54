//! The result of a comparison as JSON.

use std::io::Write;

use serde_json::{Map, Value, json};

use super::{Report, Source};
use crate::delivery::compare::{Change, Example, Group, Tally};
use crate::store::journal::stamp;

impl Report<'_> {
    /// Writes the result as one JSON document.
    pub(in crate::cli::replay::compare) fn write_json(&self, out: &mut impl Write) -> std::io::Result<()> {
        serde_json::to_writer_pretty(&mut *out, &self.json())?;
        writeln!(out)
    }

    /// Returns the result as JSON.
    pub(super) fn json(&self) -> Value {
        let totals = self.comparison.totals();
        let candidates = self.recognized.iter();
        let candidates = candidates.map(|known| json!({"candidate": known.name, "recognized": known.meaning}));
        let not_compared = totals.not_compared.iter();
        let not_compared = not_compared.map(|(reason, messages)| json!({"reason": reason, "messages": messages}));
        json!({
            "candidates": candidates.collect::<Vec<_>>(),
            "refused": self.refused,
            "source": self.source_json(),
            "messages": {
                "read": self.read.messages,
                "taken": self.read.taken,
                "sample": self.share,
                "stopped_at_limit": self.read.is_limited,
                "compared": totals.compared,
                "equal": totals.compared - totals.different,
                "different": totals.different,
                "breaking": totals.breaking,
            },
            "not_compared": not_compared.collect::<Vec<_>>(),
            "groups": self.comparison.groups().iter().map(|(group, tally)| self.group(group, tally)).collect::<Vec<_>>(),
        })
    }

    fn source_json(&self) -> Value {
        match &self.source {
            Source::Samples(folder) => json!({"samples": folder}),
            Source::Archive { window, listing } => json!({
                "from": stamp::rfc3339(window.start),
                "to": stamp::rfc3339(window.end),
                "segments": listing.segments.len(),
                "rows": listing.rows(),
                "gaps": listing.gaps,
            }),
        }
    }

    fn group(&self, Group { destination, event_type }: &Group, tally: &Tally) -> Value {
        let places = tally.places.iter().map(|((kind, place), counted)| {
            json!({"kind": kind.code(), "place": place, "events": counted.events, "breaking": counted.is_breaking})
        });
        let kinds: Map<String, Value> =
            tally.kinds.iter().map(|(kind, events)| (kind.code().to_owned(), json!(events))).collect();
        let examples: Map<String, Value> =
            tally.examples.iter().map(|(kind, example)| (kind.code().to_owned(), self.example(example))).collect();
        json!({
            "destination": destination.as_deref(),
            "event_type": **event_type,
            "events": tally.events,
            "equal": tally.equal,
            "json_changed": tally.json_changed,
            "breaking": tally.breaking,
            "kinds": kinds,
            "places": places.collect::<Vec<_>>(),
            "at_other_places": tally.at_other_places,
            "examples": examples,
        })
    }

    fn example(&self, example: &Example) -> Value {
        let changes: Vec<Value> = self.changes(example).map(|change| self.change(change)).collect();
        let mut shown = json!({
            "message": example.message,
            "queue": example.queue,
            "bytes": example.bytes,
            "changes": changes,
            "more_changes": example.more,
        });
        if !self.is_paths_only {
            shown["event_id"] = json!(example.event_id);
        }
        shown
    }

    fn change(&self, change: &Change) -> Value {
        let place = if self.is_paths_only { &change.place } else { &change.exact };
        let mut shown = json!({"kind": change.kind.code(), "place": place, "breaking": change.is_breaking});
        if !self.is_paths_only {
            for (name, value) in [("old", &change.old), ("new", &change.new)] {
                if let Some(value) = value {
                    shown[name] = value.clone();
                }
            }
        }
        shown
    }
}
