//! What became of an event for one destination, by its rows.

use super::super::Row;
use super::has_destination;

/// The time for which a FIFO topic drops a message that repeats a deduplication id, in microseconds
/// (<https://docs.aws.amazon.com/sns/latest/dg/fifo-message-dedup.html>). All publications of an event for one
/// destination have the same one.
pub(super) const FIFO_DEDUPLICATION: i64 = 300_000_000;

/// Whether SNS confirmed the event for the destination of a row.
pub(super) fn is_published(row: &Row) -> bool {
    match row.outcome.as_str() {
        "published" => true,
        "duplicate" | "filtered" => false,
        _ => row.published_at.is_some() || row.sns_message_id.is_some(),
    }
}

/// The time of what a row says last.
pub(super) fn time(row: &Row) -> i64 {
    if is_published(row) { row.published_at.unwrap_or(row.settled_at) } else { row.settled_at }
}

/// A destination of an event, and the rows that tell what became of it.
#[derive(Debug)]
pub(super) struct Destination<'r> {
    pub(super) customer: Option<&'r str>,
    pub(super) topic: Option<&'r str>,
    /// The rows with which SNS confirmed the event, in this order.
    pub(super) published: Vec<&'r Row>,
    /// The messages with which the destination had the event before, and whose publication is not among the rows.
    pub(super) published_elsewhere: Vec<&'r str>,
    /// The last row of each message that did not end as published or as a duplicate, in the order of these rows.
    pub(super) open: Vec<&'r Row>,
    /// The number of attempts that failed without a throttle. SNS can have accepted one whose answer was lost.
    pub(super) unsure_attempts: u64,
}

/// Returns the destinations of an event in the order of their first rows. `rows` are all rows of the event.
pub(super) fn destinations<'r>(rows: &[&'r Row]) -> Vec<Destination<'r>> {
    let mut keys: Vec<(Option<&str>, Option<&str>)> = Vec::new();
    for row in rows.iter().filter(|row| has_destination(row)) {
        let key = (row.customer.as_deref(), row.topic.as_deref());
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    keys.into_iter().map(|(customer, topic)| destination(rows, customer, topic)).collect()
}

/// Returns the messages that have no destination: filtered, quarantined or retried before they were routed. The last row
/// of each.
pub(super) fn without_destination<'r>(rows: &[&'r Row]) -> Vec<&'r Row> {
    let rows: Vec<&Row> = rows.iter().copied().filter(|row| !has_destination(row)).collect();
    last_of_each_message(&rows)
}

fn destination<'r>(rows: &[&'r Row], customer: Option<&'r str>, topic: Option<&'r str>) -> Destination<'r> {
    let is_own = |row: &Row| row.customer.as_deref() == customer && row.topic.as_deref() == topic;
    let own: Vec<&Row> = rows.iter().copied().filter(|row| is_own(row)).collect();
    let mut published: Vec<&Row> = own.iter().copied().filter(|row| is_published(row)).collect();
    published.sort_by_key(|row| time(row));
    let mut published_elsewhere: Vec<&str> = Vec::new();
    for row in own.iter().filter(|row| row.outcome == "duplicate") {
        let first = row.first_message_id.as_deref().unwrap_or("unknown");
        let is_here = published.iter().any(|row| row.message_id.eq_ignore_ascii_case(first));
        if !is_here && !published_elsewhere.contains(&first) {
            published_elsewhere.push(first);
        }
    }
    let about: Vec<&Row> = rows.iter().copied().filter(|row| is_own(row) || !has_destination(row)).collect();
    let is_open = |row: &&Row| !is_published(row) && row.outcome != "duplicate";
    let is_fifo = topic.is_some_and(|topic| topic.ends_with(".fifo"));
    let unsure = |row: &&Row| {
        let confirmed = u32::from(is_published(row));
        let failed = row.attempts.unwrap_or(0).saturating_sub(row.throttles.unwrap_or(0)).saturating_sub(confirmed);
        u64::from(failed)
    };
    Destination {
        customer,
        topic,
        published,
        published_elsewhere,
        open: last_of_each_message(&about).into_iter().filter(is_open).collect(),
        // A FIFO topic drops the repetition of an attempt that it accepted.
        unsure_attempts: if is_fifo { 0 } else { own.iter().map(unsure).sum() },
    }
}

/// Returns the row of each message that was settled last, in the order of these rows.
fn last_of_each_message<'r>(rows: &[&'r Row]) -> Vec<&'r Row> {
    let mut last: Vec<&Row> = Vec::new();
    let mut rows = rows.to_vec();
    rows.sort_by_key(|row| (row.settled_at, row.receive_count));
    for row in rows.into_iter().rev() {
        if !last.iter().any(|later| later.message_id == row.message_id) {
            last.push(row);
        }
    }
    last.reverse();
    last
}

impl Destination<'_> {
    pub(super) fn is_fifo(&self) -> bool {
        self.topic.is_some_and(|topic| topic.ends_with(".fifo"))
    }

    /// Returns the number of publications that the topic passed on to its subscribers. A FIFO topic drops those that
    /// repeat one within five minutes.
    pub(super) fn passed_on(&self) -> usize {
        let mut last = None;
        let mut count = 0;
        for row in &self.published {
            let at = time(row);
            let is_dropped = self.is_fifo() && last.is_some_and(|last| at - last < FIFO_DEDUPLICATION);
            if !is_dropped {
                last = Some(at);
                count += 1;
            }
        }
        count
    }
}
