//! The verdict on an event.
//!
//! Each sentence is either proved by the rows alone, or it is written only if the rows are complete.

mod causes;

use super::super::{Row, Wanted, stamp};
use super::{Evidence, is_about};
use super::doubts::Doubts;
use super::fate::{Destination, destinations, is_published, time, without_destination};
use super::words::{count, list, short, times, topic_name};

/// What is known about the rows of an event.
pub(super) struct Known<'e> {
    pub(super) doubts: &'e Doubts<'e>,
    /// Whether the event has rows if it was published.
    pub(super) is_sampled: bool,
    pub(super) customer: Option<&'e str>,
    /// The type of the event, if other events have the same id.
    pub(super) event_type: Option<&'e str>,
    /// Whether a replica dropped a message of the event without a decision, so that its last attempts are unknown.
    pub(super) is_abandoned: bool,
}

/// The verdict on one event.
pub(super) struct Judged {
    pub(super) sentences: Vec<String>,
    /// Whether rows that are missing could change it.
    pub(super) is_certain: bool,
}

impl Known<'_> {
    fn is_complete(&self) -> bool {
        self.doubts.is_none() && self.is_sampled && !self.is_abandoned
    }
}

/// Returns the verdict on one event. `rows` are all rows of the event, and at least one.
pub(super) fn judge(rows: &[&Row], known: &Known<'_>) -> Judged {
    let all = destinations(rows);
    let wanted: Vec<&Destination<'_>> =
        all.iter().filter(|place| known.customer.is_none() || place.customer == known.customer).collect();
    let is_certain = known.is_complete() && wanted.iter().all(|place| place.unsure_attempts == 0);
    let mut sentences = Vec::new();
    if wanted.is_empty() {
        sentences.extend(nowhere(rows, &all, known));
    }
    for place in &wanted {
        sentences.extend(of_destination(place, &name(place, &wanted), known));
    }
    sentences.extend(abandoned(rows, known));
    sentences.extend(sends(rows, known));
    sentences.extend(compare(&wanted, is_certain));
    if let (Some(event_type), Some(first)) = (known.event_type, sentences.first_mut()) {
        *first = format!("As {event_type}: {first}");
    }
    Judged { sentences, is_certain }
}

/// Returns the verdict if there is no row at all.
pub(super) fn nothing_found(evidence: &Evidence<'_>, is_known: bool) -> String {
    let subject = match evidence.wanted {
        Wanted::Event(id) => format!("event {id}"),
        Wanted::Message(id) => format!("SQS message {id}"),
        Wanted::SnsMessage(id) => format!("SNS message {id}"),
    };
    let window = format!("{} and {}", stamp::seconds(evidence.window.start), stamp::seconds(evidence.window.end));
    if is_known {
        let segments = count(evidence.looked.segments, "segment");
        return format!(
            "No record of {subject} between {window}: every segment of every replica in this window was read ({segments}), \
             and none has it."
        );
    }
    format!("Not known: no row about {subject} was found, but rows between {window} can be missing.")
}

/// Returns how sentences name a destination. The id of a customer is written as it is, also where a sentence begins.
fn name(place: &Destination<'_>, all: &[&Destination<'_>]) -> String {
    let topic = place.topic.map(topic_name).unwrap_or_default();
    let is_only = all.iter().filter(|other| other.customer == place.customer).count() == 1;
    match place.customer {
        Some(customer) if is_only => format!("{customer}'s topic"),
        Some(customer) => format!("{customer}'s topic {topic}"),
        None => format!("topic {topic}"),
    }
}

/// Returns the verdict on an event without a destination, or without one of the wanted customer.
fn nowhere(rows: &[&Row], all: &[Destination<'_>], known: &Known<'_>) -> Vec<String> {
    let open = without_destination(rows);
    let others = list(&all.iter().filter_map(|place| place.customer.or(place.topic)).map(str::to_owned).collect::<Vec<_>>());
    let mut sentences = match known.customer {
        Some(customer) if !all.is_empty() && known.is_complete() => {
            vec![format!("It was not routed to {customer}: its destinations were {others}.")]
        }
        Some(customer) if !all.is_empty() => {
            vec![format!("Whether it was routed to {customer} is not known: the rows that were found have {others}.")]
        }
        Some(customer) if known.is_complete() => vec![format!("{customer}'s topic did not get it in this window.")],
        Some(customer) => vec![format!("Whether {customer}'s topic got it is not known.")],
        None if known.is_complete() => vec!["No topic got it in this window.".to_owned()],
        None => vec!["Whether a topic got it is not known.".to_owned()],
    };
    sentences.extend(ends(&open));
    sentences
}

/// About a publication that a duplicate tells of.
const ELSEWHERE: &str =
    "The row of that publication is not among these: to find it, widen the window with --from and --to.";

fn of_destination(place: &Destination<'_>, name: &str, known: &Known<'_>) -> Vec<String> {
    let mut sentences = Vec::new();
    if place.published.is_empty() {
        sentences.extend(unpublished(place, name, known));
    } else {
        sentences.push(published(place, name, known));
        sentences.extend(causes::of_repeats(&place.published));
        for first in &place.published_elsewhere {
            sentences.push(format!("It also got it with message {}. {ELSEWHERE}", short(first)));
        }
    }
    if place.unsure_attempts > 0 {
        sentences.push(format!(
            "{} for {name} failed without a throttle. SNS can have accepted such an attempt, if its answer was lost.",
            count(place.unsure_attempts, "attempt")
        ));
    }
    sentences.extend(ends(&place.open));
    sentences
}

/// Returns the sentence about a destination that got the event.
fn published(place: &Destination<'_>, name: &str, known: &Known<'_>) -> String {
    let confirmed = place.published.len();
    let ids = list(&place.published.iter().map(|row| sns_id(row)).collect::<Vec<_>>());
    let apart = match (place.published.first(), place.published.last()) {
        (Some(first), Some(last)) if confirmed > 1 => stamp::length(time(last) - time(first)),
        _ => String::new(),
    };
    let is_closed = known.is_complete() && place.published_elsewhere.is_empty();
    let at_least = if is_closed && place.unsure_attempts == 0 { "" } else { "at least " };
    let messages = match confirmed {
        1 => format!("{at_least}once"),
        2 => format!("{at_least}twice: SNS messages {ids}, {apart} apart"),
        _ => format!("{at_least}{confirmed} times: SNS messages {ids}, within {apart}"),
    };
    let passed_on = place.passed_on();
    let mut text = if passed_on < confirmed {
        format!(
            "{name} accepted it {messages}. As a FIFO topic it drops what repeats a deduplication id within 5 minutes, \
             so its subscribers got it {at_least}{}",
            times(passed_on)
        )
    } else {
        format!("{name} got it {messages}")
    };
    if !known.is_complete() {
        match known.doubts.stored_until() {
            Some(until) if known.is_sampled && !known.is_abandoned => {
                text.push_str(&format!("; rows after {} are not all stored yet", stamp::seconds(until)));
            }
            _ => text.push_str("; whether it got it again is not known"),
        }
    }
    text.push('.');
    text
}

/// Returns the sentence about a destination for which no row has a confirmation of SNS.
fn unpublished(place: &Destination<'_>, name: &str, known: &Known<'_>) -> Vec<String> {
    if let [first, ..] = place.published_elsewhere.as_slice() {
        let first = short(first);
        let had = if known.is_complete() {
            format!("{name} did not get it in this window: it had it already, with message {first}.")
        } else {
            format!("{name} had it already, with message {first}; whether it got it again is not known.")
        };
        return vec![had, ELSEWHERE.to_owned()];
    }
    vec![match (known.is_complete(), place.unsure_attempts) {
        (true, 0) => format!("{name} did not get it in this window."),
        (true, _) => format!("SNS did not confirm it for {name}."),
        (false, _) => format!("Whether {name} got it is not known: no row that was found has a confirmation of SNS."),
    }]
}

/// Returns a sentence for each message that did not end as published or as a duplicate; at most three.
fn ends(open: &[&Row]) -> Vec<String> {
    const SHOWN: usize = 3;
    let mut sentences: Vec<String> = open.iter().rev().take(SHOWN).rev().map(|row| end(row)).collect();
    if open.len() > SHOWN {
        let left_out = (open.len() - SHOWN) as u64;
        sentences.insert(0, format!("{} before these did not end in a publication.", count(left_out, "message")));
    }
    sentences
}

fn end(row: &Row) -> String {
    let message = short(&row.message_id);
    let reason = row.reason.as_deref().unwrap_or("unknown");
    let detail = row.detail.as_deref().map(|detail| format!(": {detail}")).unwrap_or_default();
    let at = stamp::seconds(row.settled_at);
    match row.outcome.as_str() {
        "filtered" => format!("Message {message} was filtered by {reason}."),
        "quarantined" => format!("Message {message} is in quarantine as {reason}{detail}."),
        "retried" if reason == "held" => {
            format!("Message {message} waits until its destination works: its last row, of {at}, says held{detail}.")
        }
        "retried" => {
            format!("Message {message} is retried: its last row, of {at}, returned it to queue {}, cause: {reason}{detail}.", row.queue)
        }
        "abandoned" => format!("Message {message} is retried: its last row is of {at}."),
        outcome => format!("The last row of message {message}, of {at}, says {outcome}{detail}."),
    }
}

/// Returns a sentence for each message that was dropped while SNS could have accepted it.
fn abandoned(rows: &[&Row], known: &Known<'_>) -> Vec<String> {
    let mut messages: Vec<&str> = Vec::new();
    for row in rows.iter().filter(|row| row.outcome == "abandoned" && is_about(row, known.customer)) {
        if !messages.contains(&row.message_id.as_str()) {
            messages.push(&row.message_id);
        }
    }
    let sentence = |message: &&str| {
        let message = short(message);
        format!("A replica dropped message {message} without a decision: SNS can have accepted an attempt before that.")
    };
    messages.iter().map(sentence).collect()
}

/// Returns the sentence about a producer that sent the event more than once.
fn sends(rows: &[&Row], known: &Known<'_>) -> Option<String> {
    let mut sent: Vec<(&str, i64)> = Vec::new();
    // A replayed message is not sent by a producer.
    for row in rows.iter().filter(|row| row.replay.is_none()) {
        if !sent.iter().any(|(message, _)| *message == row.message_id) {
            sent.push((&row.message_id, row.sent_at));
        }
    }
    let (first, last) = (sent.iter().map(|(_, at)| at).min()?, sent.iter().map(|(_, at)| at).max()?);
    let apart = stamp::length(last - first);
    let at_least = if known.is_complete() { "" } else { "at least " };
    match sent.len() {
        0 | 1 => None,
        2 => Some(format!("A producer sent it {at_least}twice, {apart} apart.")),
        n => Some(format!("A producer sent it {at_least}{n} times within {apart}.")),
    }
}

/// Returns the advice to compare the SNS message ids, if something was published.
fn compare(places: &[&Destination<'_>], is_certain: bool) -> Option<String> {
    let published: Vec<&&Destination<'_>> = places.iter().filter(|place| !place.published.is_empty()).collect();
    let is_closed = is_certain && places.iter().all(|place| place.published_elsewhere.is_empty());
    let only = if is_closed { "only " } else { "" };
    match published.as_slice() {
        [] => None,
        [place] => {
            let who = place.customer.unwrap_or("a subscriber");
            let again = if place.published.len() == 1 { "twice" } else { "more often" };
            let ids = list(&place.published.iter().map(|row| sns_id(row)).collect::<Vec<_>>());
            Some(format!("If {who} saw it {again}, compare the SNS message ids: {only}{ids} came through here."))
        }
        _ if is_closed => Some(
            "If a customer saw it more often, compare the SNS message ids: only those above came through here.".to_owned(),
        ),
        _ => None,
    }
}

fn sns_id(row: &Row) -> String {
    debug_assert!(is_published(row), "only published rows have an SNS message id");
    row.sns_message_id.as_deref().map_or_else(|| "without an id".to_owned(), short)
}
