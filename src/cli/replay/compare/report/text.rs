//! The result of a comparison as text.

use std::io::{self, Write};
use std::sync::Arc;

use super::{Report, Source};
use crate::cli::columns::span;
use crate::cli::replay::compare::engine::Read;
use crate::delivery::compare::{Change, Example, Group, Kind, Tally};

/// The most characters of a value in a line.
const MAX_VALUE: usize = 160;

impl Report<'_> {
    /// Writes the result as text.
    pub(in crate::cli::replay::compare) fn write_text(&self, out: &mut impl Write) -> io::Result<()> {
        for known in &self.recognized {
            writeln!(out, "{}: {}", known.name, known.meaning)?;
        }
        for reason in &self.refused {
            writeln!(out, "The candidate is refused in part: {reason}")?;
        }
        self.write_source(out)?;
        let (equal, different): (Vec<_>, Vec<_>) =
            self.comparison.groups().iter().partition(|(_, tally)| tally.events == tally.equal);
        for (group, tally) in different {
            self.write_group(group, tally, out)?;
        }
        if !equal.is_empty() {
            writeln!(out, "\nAll events are equal:")?;
        }
        for (group, tally) in equal {
            writeln!(out, "  {}: {} event(s)", name(group), tally.events)?;
        }
        writeln!(out)?;
        let totals = self.comparison.totals();
        let others = self.read.taken - totals.compared - totals.not_compared.values().sum::<u64>();
        if others > 0 {
            writeln!(out, "{others} message(s) not compared: the filters leave them out")?;
        }
        for (reason, messages) in &totals.not_compared {
            writeln!(out, "{messages} message(s) not compared: {reason}")?;
        }
        writeln!(
            out,
            "{} message(s) compared: {} equal, {} differ, {} break consumers",
            totals.compared,
            totals.compared - totals.different,
            totals.different,
            totals.breaking
        )
    }

    fn write_source(&self, out: &mut impl Write) -> io::Result<()> {
        let Read { messages, taken, is_limited } = self.read;
        let place = match &self.source {
            Source::Samples(folder) => format!("of {folder}"),
            Source::Archive { window, .. } => {
                format!("that were finished from {} UTC", span(window.start, "to", window.end))
            }
        };
        write!(out, "Read {messages} message(s) {place}")?;
        if self.share < 1.0 {
            write!(out, ", and took {taken} of them (--sample {})", self.share)?;
        }
        if is_limited {
            write!(out, ", and stopped at --limit")?;
            if let Source::Archive { listing, .. } = &self.source {
                write!(out, " (the segments of this time have {} rows)", listing.rows())?;
            }
        }
        writeln!(out, ".")?;
        if let Source::Archive { listing, .. } = &self.source {
            for gap in &listing.gaps {
                writeln!(out, "Gap in the archive: {gap}")?;
            }
        }
        Ok(())
    }

    fn write_group(&self, group: &Group, tally: &Tally, out: &mut impl Write) -> io::Result<()> {
        let Tally { events, equal, breaking, .. } = tally;
        let is_breaking = if *breaking > 0 { format!(", {breaking} BREAKING") } else { String::new() };
        writeln!(out, "\n{}: {events} event(s), {equal} equal, {} differ{is_breaking}", name(group), events - equal)?;
        let widest = tally.places.keys().map(|(_, place)| place.chars().count()).max().unwrap_or_default().min(60);
        for ((kind, place), counted) in &tally.places {
            let mark = if counted.is_breaking { "  breaking" } else { "" };
            writeln!(out, "  {:<19}  {:<widest$}  {:>6} event(s){mark}", words(*kind), clean(place), counted.events)?;
        }
        if tally.at_other_places > 0 {
            writeln!(out, "  {} difference(s) at further places, which are not listed", tally.at_other_places)?;
        }
        let mut shown: Vec<&Arc<Example>> = Vec::new();
        for example in tally.examples.values() {
            if !shown.iter().any(|known| known.message == example.message) {
                self.write_example(example, out)?;
                shown.push(example);
            }
        }
        Ok(())
    }

    fn write_example(&self, example: &Example, out: &mut impl Write) -> io::Result<()> {
        let Example { bytes, message, queue, event_id, more, .. } = example;
        let event = match event_id {
            Some(id) if !self.is_paths_only => format!("event {}, ", clean(id)),
            _ => String::new(),
        };
        let noun = match self.source {
            Source::Samples(_) => "sample",
            Source::Archive { .. } => "message",
        };
        writeln!(out, "  example: {event}{noun} {}, queue {queue}, {bytes} bytes", clean(message))?;
        for change in self.changes(example) {
            self.write_change(change, out)?;
        }
        if *more > 0 {
            writeln!(out, "      and {more} more difference(s)")?;
        }
        Ok(())
    }

    fn write_change(&self, change: &Change, out: &mut impl Write) -> io::Result<()> {
        if self.is_paths_only {
            let mark = match change.kind {
                Kind::PathGone => '-',
                Kind::PathAdded => '+',
                _ => '~',
            };
            return writeln!(out, "    {mark} {}", clean(&change.place));
        }
        let place = clean(&change.exact);
        if change.old.is_none() && change.new.is_none() {
            return writeln!(out, "    ~ {place}");
        }
        for (mark, value) in [('-', &change.old), ('+', &change.new)] {
            if let Some(value) = value {
                writeln!(out, "    {mark} {place}: {}", short(&value.to_string()))?;
            }
        }
        Ok(())
    }
}

/// Returns the name of a group.
fn name(Group { destination, event_type }: &Group) -> String {
    format!("{} of {}", clean(event_type), clean(destination.as_deref().unwrap_or("no customer")))
}

/// Returns the name of a kind for people.
fn words(kind: Kind) -> &'static str {
    match kind {
        Kind::NoLongerDelivered => "no longer delivered",
        Kind::OutcomeChanged => "outcome changed",
        Kind::TopicChanged => "topic changed",
        Kind::ClaimCheckChanged => "claim check",
        Kind::AttributeChanged => "attribute changed",
        Kind::PathGone => "path gone",
        Kind::PathRetyped => "type changed",
        Kind::ValueDiffers => "value differs",
        Kind::PathAdded => "path added",
        Kind::NewlyDelivered => "newly delivered",
    }
}

/// Returns a text that cannot control a terminal.
fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

fn short(text: &str) -> String {
    match text.char_indices().nth(MAX_VALUE) {
        Some((end, _)) => format!("{}…", clean(&text[..end])),
        None => clean(text),
    }
}
