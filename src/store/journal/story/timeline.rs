//! What happened to an event, in order.

use super::super::Row;
use super::fate::is_published;
use super::words::{count, ordinal, short, topic_name};
use super::{Entry, is_about};

/// Returns what happened to an event, in order. `rows` are all rows of the event, `customer` the one whose part is wanted.
///
/// Entries are in the order of their times. A message is sent before it is received, and received before it is settled,
/// even if the clocks of SQS and of the replica differ.
pub(super) fn entries(rows: &[&Row], customer: Option<&str>) -> Vec<Entry> {
    let mut timeline = Timeline::default();
    let rows: Vec<&Row> = rows.iter().copied().filter(|row| is_about(row, customer)).collect();
    for (at, row) in rows.iter().enumerate() {
        let is_first = |same: &dyn Fn(&Row) -> bool| !rows[..at].iter().any(|row| same(row));
        if is_first(&|other| other.message_id == row.message_id) {
            timeline.add(row.sent_at, row.sent_at, SENT, sent(row));
        }
        let is_alone = rows.iter().filter(|other| is_same_receive(other, row)).count() == 1;
        let received_at = row.received_at.max(row.sent_at);
        if row.outcome == "duplicate" && is_alone {
            timeline.add(row.received_at, received_at, RECEIVED, format!("{}, {}", received(row, false), settled(row)));
            continue;
        }
        if is_first(&|other| is_same_receive(other, row)) {
            timeline.add(row.received_at, received_at, RECEIVED, received(row, true));
        }
        let time = super::fate::time(row);
        timeline.add(time, time.max(received_at), SETTLED, settled(row));
    }
    timeline.finish()
}

/// The steps of a message, for entries of one time.
const SENT: u8 = 0;
const RECEIVED: u8 = 1;
const SETTLED: u8 = 2;

#[derive(Default)]
struct Timeline {
    /// Each with the time and the step by which it is sorted.
    entries: Vec<(i64, u8, Entry)>,
}

impl Timeline {
    fn add(&mut self, at: i64, not_before: i64, step: u8, text: String) {
        self.entries.push((not_before, step, Entry { at, text, note: None }));
    }

    fn finish(mut self) -> Vec<Entry> {
        self.entries.sort_by_key(|(not_before, step, _)| (*not_before, *step));
        for (_, _, again) in self.entries.iter_mut().filter(|(_, step, _)| *step == SENT).skip(1) {
            again.note = Some("another message with the same event id");
        }
        self.entries.into_iter().map(|(_, _, entry)| entry).collect()
    }
}

fn is_same_receive(one: &Row, other: &Row) -> bool {
    let receive = |row: &Row| (row.received_at, row.receive_count);
    receive(one) == receive(other) && one.message_id == other.message_id && one.replica == other.replica
}

fn sent(row: &Row) -> String {
    format!("sent to queue {} as {}", row.queue, row.message_id)
}

fn received(row: &Row, with_count: bool) -> String {
    let mut text = format!("received by {}", row.replica);
    if row.redrive {
        text.push_str(" from the quarantine queue");
    }
    if let Some(replay) = &row.replay {
        text.push_str(&format!(" in the replay {replay}"));
    }
    if with_count || row.receive_count > 1 {
        text.push_str(&format!(" ({} time)", ordinal(row.receive_count)));
    }
    text
}

fn settled(row: &Row) -> String {
    let place = place(row);
    let reason = row.reason.as_deref().unwrap_or("unknown");
    let detail = row.detail.as_deref().map(|detail| format!(": {detail}")).unwrap_or_default();
    let not_published = if place.is_empty() { String::new() } else { format!("not published{place}: ") };
    if is_published(row) {
        let id = row.sns_message_id.as_deref().unwrap_or("without an id");
        return format!("published{place}: SNS message {id}{}", attempts(row));
    }
    match row.outcome.as_str() {
        "duplicate" => {
            let first = row.first_message_id.as_deref().map_or_else(|| "an unknown message".to_owned(), short);
            let cause = row.duplicate_cause.as_deref().unwrap_or("unknown");
            format!("not published{place}: duplicate of {first}, cause: {cause}")
        }
        "filtered" => format!("{not_published}filtered by {reason}{detail}"),
        "quarantined" => format!("{not_published}quarantined as {reason}{detail}{}", attempts(row)),
        "retried" if reason == "held" => {
            format!("{not_published}hidden until its destination works, cause: held{detail}{}", attempts(row))
        }
        "retried" => {
            format!("{not_published}returned to queue {}, cause: {reason}{detail}{}", row.queue, attempts(row))
        }
        "abandoned" => format!(
            "{not_published}dropped without a decision; SQS delivers it again when its visibility timeout lapses{detail}"
        ),
        outcome => format!("{not_published}{outcome}{detail}{}", attempts(row)),
    }
}

/// Returns ` to TOPIC`, with the customer if the name of the topic does not contain it. Empty without a destination.
fn place(row: &Row) -> String {
    let topic = row.topic.as_deref().map(topic_name);
    match (topic, row.customer.as_deref()) {
        (Some(topic), Some(customer)) if !topic.contains(customer) => format!(" to {topic} for {customer}"),
        (Some(topic), _) => format!(" to {topic}"),
        (None, Some(customer)) => format!(" for {customer}"),
        (None, None) => String::new(),
    }
}

/// Returns the attempts, throttles, sequence number and request id of a row, each after a comma.
fn attempts(row: &Row) -> String {
    let mut text = String::new();
    if let Some(attempts) = row.attempts.filter(|attempts| *attempts > 0 || is_published(row)) {
        text.push_str(&format!(", {}", count(attempts, "attempt")));
    }
    if let Some(throttles) = row.throttles.filter(|throttles| *throttles > 0) {
        text.push_str(&format!(", {throttles} throttled"));
    }
    if let Some(number) = &row.sequence_number {
        text.push_str(&format!(", sequence number {number}"));
    }
    if let Some(request) = &row.request_id {
        text.push_str(&format!(", last failed request {request}"));
    }
    text
}
