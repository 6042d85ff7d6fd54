//! The rows of one message in the journal: what became of each of its destinations.

use std::sync::Arc;
use std::time::SystemTime;

use crate::aws::sns::publish::{Confirmed, TopicEntry, Trail};
use crate::base::time::unix_micros;
use crate::delivery::decide::Refused;
use crate::delivery::dedupe::PublishedBefore;
use crate::delivery::undelivered::EntryError;
use crate::message::{EventId, Message, OutcomeLabel, QuarantineReason, Recipient, TopicArn, attributes};
use crate::schema::registry::EventType;
use crate::store::journal::{Journal, Row};

/// The most bytes of a row's `detail`.
const MAX_DETAIL_BYTES: usize = 200;

/// What is known about the destinations of a message until it is settled. If it is dropped before, the message was
/// abandoned, and its rows say so.
pub(super) struct Record {
    journal: Arc<Journal>,
    message: Arc<Message>,
    event_type: Option<Arc<EventType>>,
    event_id: Option<EventId>,
    trace_id: Option<String>,
    /// The name of the replay that the message is sent again by.
    replay: Option<Arc<str>>,
    destinations: Vec<Destination>,
    is_closed: bool,
}

/// A destination, and what became of it in this receive.
struct Destination {
    topic: TopicArn,
    customer: Option<Arc<str>>,
    fate: Fate,
}

enum Fate {
    Published {
        trail: Trail,
        message_id: String,
        sequence_number: Option<String>,
    },
    Duplicate(PublishedBefore),
    /// The entry did not reach its topic.
    Failed {
        /// The calls of SNS, if the entry was passed to SNS.
        trail: Option<Trail>,
        detail: String,
    },
    /// The destination cannot get the event.
    Refused(QuarantineReason),
    /// Nothing was sent to the destination.
    Waiting,
}

/// How a message was settled.
pub(super) struct Ending<'e> {
    pub(super) outcome: OutcomeLabel,
    /// The code of the quarantine reason or of the retry cause, or the rule that drops the event.
    pub(super) reason: Option<&'e str>,
    pub(super) detail: Option<&'e str>,
}

impl Record {
    /// Begins the record of a message that was just received.
    pub(super) fn new(journal: &Arc<Journal>, message: &Arc<Message>) -> Self {
        let (journal, message) = (Arc::clone(journal), Arc::clone(message));
        let (event_type, event_id, trace_id, replay) = (None, None, None, None);
        Self { journal, message, event_type, event_id, trace_id, replay, destinations: Vec::new(), is_closed: false }
    }

    /// Begins the record of an archived message that a replay sends again.
    pub(super) fn of_replay(journal: &Arc<Journal>, message: &Arc<Message>, name: &Arc<str>) -> Self {
        let mut record = Self::new(journal, message);
        record.replay = Some(Arc::clone(name));
        record
    }

    /// Notes what the decision found out about the event.
    pub(super) fn decided(
        &mut self,
        event_type: Option<&Arc<EventType>>,
        event_id: Option<&EventId>,
        trace_id: Option<String>,
        refused: Vec<Refused>,
    ) {
        (self.event_type, self.event_id, self.trace_id) = (event_type.cloned(), event_id.cloned(), trace_id);
        let of = |Refused { recipient: Recipient { topic, customer }, reason }| Destination {
            topic,
            customer,
            fate: Fate::Refused(reason),
        };
        // A message that needs a lookup is decided about again.
        self.destinations = refused.into_iter().map(of).collect();
    }

    /// Notes that SNS confirmed the event for a destination.
    pub(super) fn published(&mut self, confirmed: &Confirmed, customer: Option<Arc<str>>) {
        let fate = Fate::Published {
            trail: confirmed.trail().clone(),
            message_id: confirmed.message_id().to_owned(),
            sequence_number: confirmed.sequence_number().map(str::to_owned),
        };
        self.destinations.push(Destination { topic: confirmed.topic().clone(), customer, fate });
    }

    /// Notes that the event was not published to a destination.
    pub(super) fn failed(&mut self, error: &EntryError, customer: Option<Arc<str>>) {
        let fate = Fate::Failed { trail: error.trail().cloned(), detail: error.to_string() };
        self.destinations.push(Destination { topic: error.topic().clone(), customer, fate });
    }

    /// Notes that a destination had the event before.
    pub(super) fn duplicate(&mut self, topic: &TopicArn, customer: Option<Arc<str>>, before: PublishedBefore) {
        self.destinations.push(Destination { topic: topic.clone(), customer, fate: Fate::Duplicate(before) });
    }

    /// Notes a destination that nothing was sent to in this receive.
    pub(super) fn waiting(&mut self, topic: &TopicArn, customer: Option<Arc<str>>) {
        self.destinations.push(Destination { topic: topic.clone(), customer, fate: Fate::Waiting });
    }

    /// Whether the message has rows of destinations.
    pub(super) fn has_destinations(&self) -> bool {
        !self.destinations.is_empty()
    }

    /// Forgets the record, because the message has nothing that was selected.
    pub(super) fn discard(&mut self) {
        self.is_closed = true;
    }

    /// Records the rows, because the message is settled.
    pub(super) fn close(&mut self, ending: &Ending<'_>) {
        if std::mem::replace(&mut self.is_closed, true) {
            return;
        }
        let row = self.row(ending);
        if self.destinations.is_empty() {
            return self.journal.record(&row);
        }
        for destination in &self.destinations {
            destination.record(&self.journal, row.clone());
        }
    }

    /// Returns what the rows of the message have in common.
    fn row<'r>(&'r self, ending: &Ending<'r>) -> Row<&'r str> {
        let (message, now) = (&*self.message, SystemTime::now());
        let received = now.checked_sub(message.received.elapsed()).unwrap_or(now);
        Row {
            event_id: self.event_id.as_ref().map(EventId::as_str),
            event_type: self.event_type.as_ref().map(|event_type| &*event_type.name),
            queue: &message.queue.label,
            message_id: &message.message_id,
            receive_count: message.receive_count,
            sent_at: unix_micros(message.sent),
            received_at: unix_micros(received),
            settled_at: unix_micros(now),
            outcome: ending.outcome.code(),
            reason: ending.reason,
            detail: ending.detail.map(shortened),
            schema_hash: self.event_type.as_ref().map(|event_type| &*event_type.schema_hash),
            trace_id: self.trace_id.as_deref(),
            replay: self.replay.as_deref(),
            redrive: message.attributes.contains_key(attributes::QUARANTINE_NOTE),
            replica: self.journal.replica(),
            ..Row::default()
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        self.close(&Ending { outcome: OutcomeLabel::Abandoned, reason: None, detail: None });
    }
}

impl Destination {
    /// Records the row of this destination. `row` has what all rows of the message have in common.
    fn record<'r>(&'r self, journal: &Journal, mut row: Row<&'r str>) {
        row.topic = Some(self.topic.as_str());
        row.customer = self.customer.as_deref();
        let first = self.first();
        match &self.fate {
            Fate::Published { trail, message_id, sequence_number } => {
                add_trail(&mut row, trail);
                row.published_at = Some(unix_micros(trail.answered_at));
                row.sns_message_id = Some(message_id);
                row.sequence_number = sequence_number.as_deref();
                (row.outcome, row.reason, row.detail) = (OutcomeLabel::Published.code(), None, None);
            }
            Fate::Duplicate(before) => {
                (row.outcome, row.reason, row.detail) = (OutcomeLabel::Duplicate.code(), None, None);
                row.duplicate_cause = Some(before.cause.code());
            }
            Fate::Failed { trail, detail } => {
                if let Some(trail) = trail {
                    add_trail(&mut row, trail);
                }
                row.detail = Some(shortened(detail));
            }
            Fate::Refused(reason) => {
                row.detail = Some(shortened(&reason.detail));
                if row.outcome == OutcomeLabel::Quarantined.code() {
                    row.reason = Some(reason.kind.code());
                }
            }
            Fate::Waiting => {}
        }
        journal.record(&Row { first_message_id: first.as_deref(), ..row });
    }

    /// Returns the SQS message with which the destination got the event before.
    fn first(&self) -> Option<String> {
        if let Fate::Duplicate(before) = &self.fate { Some(before.first.to_string()) } else { None }
    }
}

fn add_trail<'r>(row: &mut Row<&'r str>, trail: &'r Trail) {
    row.attempts = Some(trail.attempts);
    row.throttles = Some(trail.throttles);
    row.request_id = trail.request_id.as_deref();
}

fn shortened(detail: &str) -> &str {
    &detail[..detail.floor_char_boundary(MAX_DETAIL_BYTES)]
}

/// Returns the customer of an entry: the one whom the topic belongs to, or the one that the event names.
pub(super) fn customer(entry: &TopicEntry) -> Option<Arc<str>> {
    let named = || entry.attributes.iter().find(|(name, _)| *name == attributes::CUSTOMER_ID).map(|(_, id)| id.into());
    entry.customer.clone().or_else(named)
}
