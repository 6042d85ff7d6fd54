//! The story of an event: what happened to it, in order, and a verdict.
//!
//! A story is told from rows and from what is known to be missing among them. It reads nothing and knows no clock.
//!
//! **"No record" and "not known" are never the same answer.** A story says that something did not happen only if the
//! rows are complete: every process has segments for the whole window, none dropped a row, none was deleted, and the
//! event is in the sample of published events. Otherwise it says what the rows prove, and why the rest is not known.

mod doubts;
mod fate;
mod text;
mod timeline;
mod verdict;
mod words;

use std::collections::HashMap;
use std::ops::Range;

use super::{Looked, Row, Wanted};
use doubts::Doubts;

pub use doubts::not_known;

/// What a story is told from.
#[derive(Debug, Clone)]
pub struct Evidence<'e> {
    /// The id that was looked up.
    pub wanted: &'e Wanted,
    /// The customer whose part of the story is wanted. Default: all of it.
    pub customer: Option<&'e str>,
    /// The rows that were found, in any order. A row that is there twice counts once.
    pub rows: &'e [Row],
    /// What was looked at.
    pub looked: &'e Looked,
    /// The window that was looked at, in microseconds since the Unix epoch.
    pub window: Range<i64>,
    /// The share, from 0 to 1, of published events that have rows.
    pub sample_published: f64,
    /// Segments from before this time can be deleted, in microseconds since the Unix epoch.
    pub kept_since: i64,
}

/// What became of an event, as far as the journal knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Story {
    /// One chapter per event: producers can give one id to events of several types.
    pub chapters: Vec<Chapter>,
    /// The verdict, sentence by sentence.
    pub verdict: Vec<String>,
    /// The reasons why rows can be missing, sentence by sentence. Empty if the rows are complete.
    pub not_known: Vec<String>,
    /// Whether the verdict is certain. A verdict that is not certain says so itself.
    pub is_known: bool,
    /// Whether there is a row about the id and, if one is wanted, about the customer.
    pub is_found: bool,
}

/// What happened to one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chapter {
    /// The full name of the event's type, if it is known.
    pub event_type: Option<String>,
    /// The id of the event, if it is known.
    pub event_id: Option<String>,
    /// What happened, in order.
    pub entries: Vec<Entry>,
}

/// One thing that happened to an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// When it happened, in microseconds since the Unix epoch.
    pub at: i64,
    /// What happened.
    pub text: String,
    /// What is worth noting about it.
    pub note: Option<&'static str>,
}

impl Story {
    /// Tells the story.
    pub fn tell(evidence: &Evidence<'_>) -> Self {
        let doubts = Doubts::of(evidence);
        let rows = distinct(evidence.rows);
        let mut story = Self {
            chapters: Vec::new(),
            verdict: Vec::new(),
            not_known: Vec::new(),
            is_known: true,
            is_found: rows.iter().any(|row| is_about(row, evidence.customer)),
        };
        let is_sampled = evidence.sample_published >= 1.0 || rows.iter().any(|row| fate::is_published(row));
        let events = events(&rows);
        for event in &events {
            let is_abandoned = |row: &&Row| row.outcome == "abandoned" && is_about(row, evidence.customer);
            let known = verdict::Known {
                doubts: &doubts,
                is_sampled,
                customer: evidence.customer,
                event_type: (events.len() > 1).then(|| event.type_name()),
                is_abandoned: event.rows.iter().any(is_abandoned),
            };
            let judged = verdict::judge(&event.rows, &known);
            story.verdict.extend(judged.sentences);
            story.is_known &= judged.is_certain;
            let entries = timeline::entries(&event.rows, evidence.customer);
            if !entries.is_empty() {
                let [event_type, event_id] = [event.event_type, event.event_id].map(|text| text.map(str::to_owned));
                story.chapters.push(Chapter { event_type, event_id, entries });
            }
        }
        if rows.is_empty() {
            story.is_known = doubts.is_none() && is_sampled;
            story.verdict.push(verdict::nothing_found(evidence, story.is_known));
        }
        story.not_known = doubts.sentences(evidence, is_sampled);
        story
    }
}

/// Whether a row is about the customer: one of its destinations, or a message that has none. Without a customer, every
/// row is.
pub fn is_about(row: &Row, customer: Option<&str>) -> bool {
    customer.is_none() || !has_destination(row) || row.customer.as_deref() == customer
}

fn has_destination(row: &Row) -> bool {
    row.customer.is_some() || row.topic.is_some()
}

/// Returns the rows in the order of their receives, each once.
fn distinct(rows: &[Row]) -> Vec<&Row> {
    let mut rows: Vec<&Row> = rows.iter().collect();
    rows.sort_by_key(|row| (row.received_at, &row.message_id, row.receive_count, &row.customer, &row.topic, row.settled_at));
    rows.dedup();
    rows
}

/// The rows of one event.
struct Event<'r> {
    event_type: Option<&'r str>,
    event_id: Option<&'r str>,
    rows: Vec<&'r Row>,
}

impl Event<'_> {
    fn type_name(&self) -> &str {
        self.event_type.unwrap_or("an unknown type")
    }
}

/// Returns the events in the order of their first receive.
///
/// A message that was not decoded has rows without a type or an id. They belong to the event of which another row of the
/// same message tells, because a message has one event.
fn events<'r>(rows: &[&'r Row]) -> Vec<Event<'r>> {
    let name = |row: &'r Row| Some((row.event_type.as_deref()?, row.event_id.as_deref()?));
    let of_message: HashMap<&str, (&str, &str)> =
        rows.iter().filter_map(|row| Some((row.message_id.as_str(), name(row)?))).collect();
    let mut events: Vec<Event<'r>> = Vec::new();
    for row in rows {
        let (event_type, event_id) = match name(row).or_else(|| of_message.get(row.message_id.as_str()).copied()) {
            Some((event_type, event_id)) => (Some(event_type), Some(event_id)),
            None => (row.event_type.as_deref(), row.event_id.as_deref()),
        };
        match events.iter_mut().find(|event| event.event_type == event_type && event.event_id == event_id) {
            Some(event) => event.rows.push(row),
            None => events.push(Event { event_type, event_id, rows: vec![row] }),
        }
    }
    events
}

#[cfg(test)]
mod tests;
