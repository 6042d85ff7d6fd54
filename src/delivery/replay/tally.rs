//! What became of the messages of a run, by customer, event type and outcome.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use super::lanes::Done;
use crate::delivery::resend::{Fate, Undelivered};
use crate::message::{OutcomeLabel, QuarantineKind, RetryCause};
use crate::store::replays::Counts;
use crate::telemetry::UNIT_BYTES;

/// The outcome of a delivery that its destination had before.
const HAD: &str = "had";

/// What became of the messages of a run. A preview counts as published what it would publish.
#[derive(Debug, Default)]
pub struct Tally {
    /// The sums.
    pub counts: Counts,
    /// The deliveries, and the messages without any, by customer, event type and outcome.
    pub cells: Cells,
    /// The published deliveries of standard topics.
    pub standard: Volume,
    /// The published deliveries of FIFO topics.
    pub fifo: Volume,
    /// The first delivery of a preview.
    pub example: Option<Example>,
}

/// The cells of a tally by customer, event type and outcome. A customer or a type that is not known is `None`. The outcome
/// is `published`, `had`, `filtered`, `retried`, or the reason for quarantine.
pub type Cells = BTreeMap<(Option<Arc<str>>, Option<Arc<str>>, &'static str), Cell>;

/// The deliveries, or messages without any, with one outcome.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Cell {
    /// Their number.
    pub count: u64,
    /// Their bytes, as SNS counts them; 0 if nothing is published.
    pub bytes: u64,
    /// The SQS message id of the first one.
    pub first_message_id: String,
    /// What is wrong with the first one.
    pub detail: Option<String>,
}

/// How much is published, as SNS bills it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Volume {
    /// The deliveries.
    pub entries: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The billed requests, if each entry is rounded up to 64 KiB.
    pub units: u64,
}

/// A delivery as it would be published.
#[derive(Debug, Clone)]
pub struct Example {
    /// The full name of the event's type.
    pub event_type: Option<Arc<str>>,
    /// The customer.
    pub customer: Option<Arc<str>>,
    /// The ARN of the topic.
    pub topic: String,
    /// The SQS message id.
    pub message_id: String,
    /// The JSON.
    pub body: Arc<String>,
}

impl Volume {
    fn add(&mut self, bytes: u64) {
        self.entries += 1;
        self.bytes += bytes;
        self.units += bytes.div_ceil(UNIT_BYTES).max(1);
    }

    /// Returns the fewest billed requests: full batches of ten that are rounded up in total.
    pub fn least_units(&self) -> u64 {
        self.entries.div_ceil(10).max(self.bytes.div_ceil(UNIT_BYTES))
    }
}

impl Tally {
    /// Adds a message, also to the counts of its step.
    pub(super) fn add(&mut self, done: &Done, counts: &mut Counts) {
        let Done { message, event_type, is_of_another, destinations, without_deliveries, .. } = done;
        let id = &*message.message_id;
        if let Some(why) = without_deliveries {
            // Without deliveries it is not known whom the message concerns, apart from what the archive says.
            if *is_of_another {
                return;
            }
            let (outcome, detail) = match why {
                Undelivered::Filtered(rule) => (OutcomeLabel::Filtered.code(), *rule),
                Undelivered::Quarantine(reason) => (reason.kind.code(), &*reason.detail),
                Undelivered::Defect(detail) => (RetryCause::Defect.code(), &**detail),
                Undelivered::Later(detail) => (OutcomeLabel::Retried.code(), &**detail),
            };
            match why {
                Undelivered::Filtered(_) => counts.filtered += 1,
                _ => counts.refuse(outcome, id, detail),
            }
            self.cell(None, event_type, outcome, 0, (id, Some(detail)));
        }
        counts.messages += u64::from(without_deliveries.is_some() || !destinations.is_empty());
        for destination in destinations {
            let customer = destination.customer.as_ref();
            let topic = &destination.recipient.topic;
            let (bytes, body) = match &destination.fate {
                Fate::Published { bytes, .. } => (*bytes as u64, None),
                Fate::WouldPublish { bytes, body, .. } => (*bytes as u64, Some(body)),
                Fate::Had(_) => {
                    counts.had += 1;
                    self.cell(customer, event_type, HAD, 0, (id, None));
                    continue;
                }
                Fate::Refused(reason) => {
                    counts.refuse(reason.kind.code(), id, &reason.detail);
                    self.cell(customer, event_type, reason.kind.code(), 0, (id, Some(&reason.detail)));
                    continue;
                }
                Fate::Failed(error) => {
                    let (code, detail) = (QuarantineKind::PublishRefused.code(), error.to_string());
                    counts.refuse(code, id, &detail);
                    self.cell(customer, event_type, code, 0, (id, Some(&detail)));
                    continue;
                }
                // The run tries these again until they have another fate.
                Fate::Elsewhere => {
                    let (code, detail) = (OutcomeLabel::Retried.code(), "another process is publishing it");
                    counts.refuse(code, id, detail);
                    self.cell(customer, event_type, code, 0, (id, Some(detail)));
                    continue;
                }
            };
            counts.published += 1;
            counts.bytes += bytes;
            if topic.is_fifo() { &mut self.fifo } else { &mut self.standard }.add(bytes);
            self.cell(customer, event_type, OutcomeLabel::Published.code(), bytes, (id, None));
            if let (Some(body), None) = (body, &self.example) {
                self.example = Some(Example {
                    event_type: event_type.clone(),
                    customer: customer.cloned(),
                    topic: topic.to_string(),
                    message_id: id.to_owned(),
                    body: Arc::clone(body),
                });
            }
        }
    }

    fn cell(
        &mut self,
        customer: Option<&Arc<str>>,
        event_type: &Option<Arc<str>>,
        outcome: &'static str,
        bytes: u64,
        (message_id, detail): (&str, Option<&str>),
    ) {
        let first =
            || Cell { first_message_id: message_id.to_owned(), detail: detail.map(str::to_owned), ..Cell::default() };
        let cell = self.cells.entry((customer.cloned(), event_type.clone(), outcome)).or_insert_with(first);
        cell.count += 1;
        cell.bytes += bytes;
    }
}
