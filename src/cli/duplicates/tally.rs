//! Which events came as more than one message.
//!
//! Memory is bounded: of an event that came once only its hash and its message are kept. If an event does not fit any
//! more, its rows are counted as not compared.

use std::collections::HashMap;
use std::hash::BuildHasher as _;

use foldhash::fast::FixedState;
use serde::Serialize;
use uuid::Uuid;

use crate::store::journal::Row;

/// The most events that are compared. They fill a hash table of 4,194,304 places, about 170 MB, to its limit of 7/8.
const MAX_EVENTS: usize = 3_600_000;
/// The most events with more than one message that are remembered.
const MAX_REPEATED: usize = 250_000;
/// The most messages of one event that are remembered.
const MAX_MESSAGES: usize = 1_000;
/// The most message ids that a line has as examples.
const MAX_EXAMPLES: usize = 5;

/// Compares the rows of a window.
#[derive(Debug)]
pub(super) struct Tally {
    /// The first message of each event, by the hash of type and id.
    first: HashMap<u64, Seen, FixedState>,
    /// The events with more than one message.
    repeated: HashMap<u64, Repeated, FixedState>,
    replicas: Vec<String>,
    redeliveries: u64,
    not_compared: u64,
    max_events: usize,
}

/// A message of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    message: Uuid,
    /// `i64::MIN` if only a duplicate tells of the message.
    sent_at: i64,
    /// The replica that published it, by its index.
    published_by: Option<u16>,
}

#[derive(Debug)]
struct Repeated {
    event_type: String,
    queue: String,
    messages: Vec<Seen>,
}

/// The events of one type and queue that came as more than one message.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Line {
    pub(super) event_type: String,
    /// The queue of the repetitions.
    pub(super) queue: String,
    pub(super) events: u64,
    pub(super) messages: u64,
    /// The time between two messages of an event, in seconds; `None` if it is known of no event.
    pub(super) between_seconds: Option<Between>,
    /// The events of which more than one message was published.
    pub(super) published_again: u64,
    /// Of these, the events whose messages were published by different replicas.
    pub(super) by_several_replicas: u64,
    /// Message ids of some of the events.
    pub(super) examples: Vec<String>,
}

/// The time between two messages of an event.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Between {
    pub(super) min: f64,
    pub(super) median: f64,
    pub(super) max: f64,
}

/// What the rows of a window show.
#[derive(Debug, PartialEq)]
pub(super) struct Tallied {
    /// Sorted by the number of events, the largest first.
    pub(super) lines: Vec<Line>,
    /// The rows of messages that SQS delivered again and that were not published again for that reason.
    pub(super) redeliveries: u64,
    /// The rows that were not compared, because too many events were.
    pub(super) not_compared: u64,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            first: HashMap::default(),
            repeated: HashMap::default(),
            replicas: Vec::new(),
            redeliveries: 0,
            not_compared: 0,
            max_events: MAX_EVENTS,
        }
    }
}

impl Tally {
    /// Adds a row. Rows can come in any order.
    pub(super) fn add(&mut self, row: &Row) {
        let (Some(event_type), Some(event_id)) = (&row.event_type, &row.event_id) else { return };
        let is_duplicate_by = |cause: &str| row.duplicate_cause.as_deref() == Some(cause);
        self.redeliveries += u64::from(is_duplicate_by("redelivery"));
        // A replayed message is not sent by a producer.
        if row.replay.is_some() {
            return;
        }
        let key = FixedState::default().hash_one((event_type, event_id));
        let published_by = (row.outcome == "published").then(|| self.replica(&row.replica));
        self.see(key, row, Seen { message: as_uuid(&row.message_id), sent_at: row.sent_at, published_by });
        if let Some(first) = row.first_message_id.as_deref().filter(|_| is_duplicate_by("producer")) {
            self.see(key, row, Seen { message: as_uuid(first), sent_at: i64::MIN, published_by: None });
        }
    }

    fn see(&mut self, key: u64, row: &Row, seen: Seen) {
        if let Some(event) = self.repeated.get_mut(&key) {
            self.not_compared += u64::from(!event.see(seen));
            return;
        }
        let is_full = self.first.len() >= self.max_events;
        let Some(first) = self.first.get_mut(&key) else {
            if is_full {
                self.not_compared += 1;
            } else {
                self.first.insert(key, seen);
            }
            return;
        };
        if first.message == seen.message {
            first.merge(seen);
        } else if self.repeated.len() < MAX_REPEATED {
            let event_type = row.event_type.clone().unwrap_or_default();
            let messages = vec![*first, seen];
            self.repeated.insert(key, Repeated { event_type, queue: row.queue.clone(), messages });
        } else {
            self.not_compared += 1;
        }
    }

    fn replica(&mut self, name: &str) -> u16 {
        let index = self.replicas.iter().position(|known| known == name).unwrap_or_else(|| {
            self.replicas.push(name.to_owned());
            self.replicas.len() - 1
        });
        u16::try_from(index).unwrap_or(u16::MAX)
    }

    /// Returns what the rows show.
    pub(super) fn finish(self) -> Tallied {
        let mut groups: HashMap<(String, String), Vec<Vec<Seen>>> = HashMap::new();
        for event in self.repeated.into_values() {
            groups.entry((event.event_type, event.queue)).or_default().push(event.messages);
        }
        let mut lines: Vec<Line> =
            groups.into_iter().map(|((event_type, queue), events)| line(event_type, queue, events)).collect();
        lines.sort_by(|one, other| {
            other.events.cmp(&one.events).then_with(|| (&one.event_type, &one.queue).cmp(&(&other.event_type, &other.queue)))
        });
        Tallied { lines, redeliveries: self.redeliveries, not_compared: self.not_compared }
    }
}

impl Seen {
    /// Adds what another row says of the same message.
    fn merge(&mut self, other: Self) {
        self.sent_at = self.sent_at.max(other.sent_at);
        self.published_by = self.published_by.or(other.published_by);
    }
}

impl Repeated {
    /// Adds a message. Returns whether there is room for it.
    fn see(&mut self, seen: Seen) -> bool {
        if let Some(known) = self.messages.iter_mut().find(|known| known.message == seen.message) {
            known.merge(seen);
            return true;
        }
        let has_room = self.messages.len() < MAX_MESSAGES;
        if has_room {
            self.messages.push(seen);
        }
        has_room
    }
}

fn line(event_type: String, queue: String, mut events: Vec<Vec<Seen>>) -> Line {
    for messages in &mut events {
        messages.sort_by_key(|seen| (seen.sent_at, seen.message));
    }
    // The order of a hash table is no order.
    events.sort_by_key(|messages| messages.iter().map(|seen| (seen.sent_at, seen.message)).max());
    let (mut published_again, mut by_several_replicas) = (0, 0);
    for messages in &events {
        let by: Vec<u16> = messages.iter().filter_map(|seen| seen.published_by).collect();
        published_again += u64::from(by.len() > 1);
        by_several_replicas += u64::from(by.iter().any(|replica| *replica != by[0]));
    }
    let examples = events.iter().flatten().map(|seen| seen.message.to_string()).take(MAX_EXAMPLES).collect();
    Line {
        event_type,
        queue,
        events: events.len() as u64,
        messages: events.iter().map(|messages| messages.len() as u64).sum(),
        between_seconds: between(&events),
        published_again,
        by_several_replicas,
        examples,
    }
}

fn between(events: &[Vec<Seen>]) -> Option<Between> {
    let pairs = events.iter().flat_map(|messages| messages.windows(2));
    let known = pairs.filter(|pair| pair[0].sent_at != i64::MIN);
    let mut times: Vec<i64> = known.map(|pair| pair[1].sent_at - pair[0].sent_at).collect();
    times.sort_unstable();
    let seconds = |micros: &i64| *micros as f64 / 1e6;
    Some(Between {
        min: times.first().map(seconds)?,
        median: times.get(times.len() / 2).map(seconds)?,
        max: times.last().map(seconds)?,
    })
}

/// Returns an SQS message id, which is a UUID. Any other text is represented by its hash.
fn as_uuid(id: &str) -> Uuid {
    let half = |seed: u64| u128::from(FixedState::with_seed(seed).hash_one(id));
    Uuid::try_parse(id).unwrap_or_else(|_| Uuid::from_u128(half(1) << 64 | half(2)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(number: u32) -> String {
        Uuid::from_u128(u128::from(number)).to_string()
    }

    /// A row of an event, by its number, in a message of its own, sent at this second.
    fn row(event: u32, number: u32, sent: i64) -> Row {
        Row {
            event_id: Some(format!("event-{event}")),
            event_type: Some("shop.v1.OrderPlaced".into()),
            queue: "events".into(),
            message_id: message(number),
            receive_count: 1,
            sent_at: sent * 1_000_000,
            outcome: "published".into(),
            replica: "pod-a".into(),
            ..Row::default()
        }
    }

    fn duplicate(first: u32, cause: &str, row: Row) -> Row {
        let (outcome, duplicate_cause) = ("duplicate".into(), Some(cause.into()));
        Row { outcome, duplicate_cause, first_message_id: Some(message(first)), ..row }
    }

    fn tally(rows: &[Row]) -> Tallied {
        let mut tally = Tally::default();
        rows.iter().for_each(|row| tally.add(row));
        let mut backwards = Tally::default();
        rows.iter().rev().for_each(|row| backwards.add(row));
        let tallied = tally.finish();
        assert_eq!(backwards.finish(), tallied, "the order of the rows does not matter");
        tallied
    }

    #[test]
    fn events_with_several_messages_are_counted_by_type_and_queue() {
        let shipped = |row: Row| Row { event_type: Some("shop.v1.OrderShipped".into()), ..row };
        let mut rows = vec![
            row(1, 11, 100),
            duplicate(11, "producer", row(1, 12, 102)),
            row(2, 21, 100),
            duplicate(21, "producer", row(2, 22, 101)),
            duplicate(21, "producer", row(2, 23, 106)),
            // Another type with the same id, and an event that came once, to two customers and again from SQS.
            shipped(row(1, 31, 100)),
            row(4, 41, 100),
            Row { customer: Some("acme".into()), ..row(4, 41, 100) },
            Row { receive_count: 2, ..duplicate(41, "redelivery", row(4, 41, 100)) },
            // Neither a replay nor a message without an id is the producer's.
            Row { replay: Some("july".into()), ..row(4, 42, 100) },
            Row { event_id: None, ..row(4, 43, 100) },
        ];
        let line = |events, messages, min, median, max, examples: &[u32]| Line {
            event_type: "shop.v1.OrderPlaced".into(),
            queue: "events".into(),
            events,
            messages,
            between_seconds: Some(Between { min, median, max }),
            published_again: 0,
            by_several_replicas: 0,
            examples: examples.iter().map(|number| message(*number)).collect(),
        };
        let expected = line(2, 5, 1.0, 2.0, 5.0, &[11, 12, 21, 22, 23]);
        assert_eq!(tally(&rows), Tallied { lines: vec![expected.clone()], redeliveries: 1, not_compared: 0 });
        rows.push(shipped(row(1, 32, 160)));
        let lines = tally(&rows).lines;
        assert_eq!(lines[0], expected);
        let again = Line { event_type: "shop.v1.OrderShipped".into(), published_again: 1, ..line(1, 2, 60.0, 60.0, 60.0, &[31, 32]) };
        assert_eq!(lines[1..], [again]);
    }

    #[test]
    fn events_that_were_published_again_are_counted_and_so_are_those_of_several_replicas() {
        let other = |row: Row| Row { replica: "pod-b".into(), ..row };
        let lines = tally(&[row(1, 11, 1), row(1, 12, 2), row(2, 21, 1), other(row(2, 22, 2))]).lines;
        assert_eq!((lines[0].published_again, lines[0].by_several_replicas), (2, 1));
    }

    #[test]
    fn a_duplicate_tells_of_a_first_message_that_has_no_row() {
        let lines = tally(&[duplicate(11, "producer", row(1, 12, 102))]).lines;
        assert_eq!((lines[0].events, lines[0].messages, lines[0].between_seconds), (1, 2, None));
        assert_eq!(lines[0].examples, [message(11), message(12)]);
    }

    #[test]
    fn rows_of_events_that_do_not_fit_are_counted() {
        let mut tally = Tally { max_events: 2, ..Tally::default() };
        for row in [row(1, 11, 1), row(2, 21, 1), row(3, 31, 1), row(1, 12, 2), row(3, 32, 2)] {
            tally.add(&row);
        }
        let tallied = tally.finish();
        assert_eq!((tallied.not_compared, tallied.lines[0].events), (2, 1));
    }

    #[test]
    fn a_message_id_that_is_no_uuid_is_compared_by_its_hash() {
        let named = |id: &str, sent| Row { message_id: id.into(), ..row(1, 0, sent) };
        assert_eq!(tally(&[named("a", 1), named("a", 1)]).lines, []);
        assert_eq!(tally(&[named("a", 1), named("b", 2)]).lines[0].messages, 2);
    }
}
