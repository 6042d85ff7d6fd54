//! A message between its receive and its settlement.

use std::sync::Arc;

use super::about::log_about;
use crate::aws::s3::claims::Stored;
use crate::aws::sns::publish::Confirmed;
use crate::aws::sqs::budget::Rendered;
use crate::aws::sqs::{Receipt, Received};
use crate::delivery::account::Account;
use crate::delivery::decide::{Deliveries, Delivery, NotedDelivery};
use crate::delivery::dedupe::{DeliveryKey, Finished, MessageId};
use crate::delivery::record::{Ending, Record};
use crate::delivery::undelivered::EntryError;
use crate::message::{EventId, Message, PartlyDelivered, QuarantineReason, Recipient};
use crate::schema::registry::EventType;
use crate::store::journal::Journal;
use crate::telemetry::{Metrics, Trace};

/// A message in flight, with what was found out about it.
pub(super) struct InFlightMessage {
    pub(super) message: Arc<Message>,
    pub(super) receipt: Receipt,
    pub(super) account: Account,
    /// The event's type, once it was looked up and if it is known.
    pub(super) event_type: Option<Arc<EventType>>,
    /// The event's id, once the event was decoded, or if an attribute names it.
    pub(super) event_id: Option<EventId>,
    /// The event's customer, if it has one only. Known only if messages are archived.
    pub(super) customer: Option<Arc<str>>,
    /// The trace, once processing began.
    pub(super) trace: Option<Trace>,
    /// The progress of an event with several destinations.
    pub(super) progress: Option<Box<Progress>>,
    /// The rows of the journal, if there is one.
    pub(super) record: Option<Record>,
}

/// The progress of an event with several destinations.
pub(super) struct Progress {
    /// The destinations that have the event according to the message's quarantine note.
    pub(super) noted: Vec<NotedDelivery>,
    /// The destinations that are known to have the event.
    pub(super) delivered: Vec<(DeliveryKey, Recipient)>,
    /// Why the event cannot be published to other destinations, if there are any.
    pub(super) refused: Option<QuarantineReason>,
}

impl Progress {
    /// Creates the progress of an event whose deliveries were decided; `None` if it has one destination only.
    pub(super) fn of(deliveries: &mut Deliveries) -> Option<Box<Self>> {
        let Deliveries { to_publish, noted, refused } = deliveries;
        if noted.is_empty() && refused.is_none() && to_publish.len() < 2 {
            return None;
        }
        let (noted, refused) = (std::mem::take(noted), refused.take());
        Some(Box::new(Self { noted, delivered: Vec::new(), refused }))
    }
}

impl InFlightMessage {
    /// Creates a message that was just received.
    pub(super) fn new(received: Received, metrics: &Arc<Metrics>, journal: Option<&Arc<Journal>>) -> Self {
        let Received { message, receipt } = received;
        let (account, message) = (Account::new(&message.queue, metrics), Arc::new(message));
        let record = journal.map(|journal| Record::new(journal, &message));
        Self {
            message,
            receipt,
            account,
            event_type: None,
            event_id: None,
            customer: None,
            trace: None,
            progress: None,
            record,
        }
    }

    /// Records the rows of the journal, because the message is settled.
    pub(super) fn close_record(&mut self, ending: &Ending<'_>) {
        if let Some(record) = &mut self.record {
            record.close(ending);
        }
    }

    /// Counts the JSON of the deliveries in the in-flight budget. Deliveries of one profile share it.
    pub(super) fn count_rendered(&mut self, deliveries: &[Delivery]) {
        let jsons = deliveries.iter().map(|delivery| delivery.entry.json());
        self.receipt.permit.count_rendered(in_memory(jsons));
    }

    /// Takes the JSON of these claim checks out of the count of the message, because it is in memory only until it is
    /// stored.
    pub(super) fn split_offloaded<'j>(&mut self, jsons: impl Iterator<Item = &'j Arc<String>>) -> Arc<Rendered> {
        Arc::new(self.receipt.permit.split_rendered(in_memory(jsons)))
    }

    /// Notes that S3 has the JSON of a claim check, in a line of the log and in the trace.
    pub(super) fn note_stored(&mut self, stored: &Stored, bucket: &str) {
        let (key, bytes) = (stored.key(), stored.bytes());
        log_about!(debug, self, bucket, key, bytes, "JSON stored for a claim check");
        if let Some(trace) = &mut self.trace {
            trace.stored(bucket, key, bytes, stored.span());
        }
    }

    /// Notes that SNS confirmed the event for one topic, in a line of the log and in the span. Both have the SNS
    /// message id, the only id that a customer and SNS know as well. `customer` is for the journal.
    pub(super) fn note_published(&mut self, confirmed: &Confirmed, customer: Option<Arc<str>>) {
        let (topic, sns_message_id) = (confirmed.topic(), confirmed.message_id());
        log_about!(debug, self, %topic, sns_message_id, "published");
        if let Some(trace) = &mut self.trace {
            trace.published(topic.as_str(), sns_message_id);
        }
        if let Some(record) = &mut self.record {
            record.published(confirmed, customer);
        }
    }

    /// Notes in the journal that the event was not published to one topic.
    pub(super) fn note_failed(&mut self, error: &EntryError, customer: Option<Arc<str>>) {
        if let Some(record) = &mut self.record {
            record.failed(error, customer);
        }
    }

    /// Returns the message as finished, with the deliveries that are known to have its event, if it has several
    /// destinations.
    pub(super) fn finished(&self) -> Option<Finished> {
        let deliveries = self.progress.as_ref()?.delivered.iter().map(|(key, _)| *key).collect();
        Some(Finished { message: MessageId::new(&self.message.message_id), deliveries })
    }

    /// Returns the destinations that have the event, if it has several destinations.
    pub(super) fn partly_delivered(&self) -> Option<PartlyDelivered> {
        let (event_type, event_id) = (self.event_type.as_ref()?, self.event_id.as_ref()?);
        let progress = self.progress.as_ref()?;
        let recipients = progress.delivered.iter().map(|(_, recipient)| recipient.clone()).collect();
        let (event_type, event_id) = (Arc::clone(&event_type.name), event_id.as_str().to_owned());
        Some(PartlyDelivered { event_type, event_id, recipients })
    }

    /// Opens the account, once the event type was looked up.
    pub(super) fn open_account(&mut self) {
        self.account.open(self.event_type.as_ref().map(|event_type| &event_type.name));
    }
}

/// Returns the bytes of memory that these texts take. Some of them are the same one.
fn in_memory<'t>(texts: impl Iterator<Item = &'t Arc<String>>) -> usize {
    let mut texts: Vec<&Arc<String>> = texts.collect();
    texts.sort_unstable_by_key(|text| Arc::as_ptr(text));
    texts.dedup_by_key(|text| Arc::as_ptr(text));
    texts.iter().map(|text| text.capacity()).sum()
}
