//! From the outcome of a message to its delete: the archive has the message in between.

use std::sync::Arc;
use std::time::SystemTime;

use super::decide::Delivery;
use super::outcome::{Deletable, Reached};
use super::record::customer;
use crate::aws::sqs::SettledReceipt;
use crate::aws::sqs::delete::Deleter;
use crate::base::time::unix_micros;
use crate::config;
use crate::message::{EventId, Message, OutcomeLabel};
use crate::route::Glob;
use crate::schema::registry::EventType;
use crate::store::archive::{Keeper, Kept, Row, Waiting};

/// The right to delete a message, with the proof of its outcome, while the message waits for the archive.
#[derive(Debug)]
pub struct Settled {
    receipt: SettledReceipt,
    reached: Reached,
}

impl Settled {
    /// Deletes the message.
    pub fn delete(self, deleter: &Deleter<Deletable>, kept: Kept) {
        deleter.delete(self.receipt, Deletable::new(self.reached, kept));
    }
}

impl Waiting for Settled {
    fn begin_to_wait(&mut self) {
        self.receipt.return_permit();
    }
}

/// Archives messages that are finished, and deletes them.
#[derive(Debug)]
pub struct Archiving {
    keeper: Keeper<Settled>,
    /// The event types that are left out.
    exclude: Vec<Glob>,
    deleter: Deleter<Deletable>,
}

/// What was found out about the event of a finished message.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'f> {
    /// Its type, if it is known.
    pub event_type: Option<&'f Arc<EventType>>,
    /// Its id, if it is known.
    pub event_id: Option<&'f EventId>,
    /// Its customer, if it has one only.
    pub customer: Option<&'f Arc<str>>,
    /// How the message was finished.
    pub outcome: OutcomeLabel,
}

impl Archiving {
    /// Creates the step between the outcome and the delete.
    pub fn new(keeper: Keeper<Settled>, settings: &config::Archive, deleter: Deleter<Deletable>) -> Self {
        let exclude = settings.exclude.iter().map(|glob| Glob::new(glob)).collect();
        Self { keeper, exclude, deleter }
    }

    /// Whether messages are archived.
    pub fn is_on(&self) -> bool {
        self.keeper.is_on()
    }

    /// Archives a finished message, and deletes it once the archive has it.
    pub fn finish(&self, message: &Arc<Message>, receipt: SettledReceipt, reached: Reached, facts: Facts<'_>) {
        let row = (self.keeper.is_on() && !self.excludes(facts)).then(|| row(message, facts));
        if let Some((settled, kept)) = self.keeper.keep(row, Settled { receipt, reached }) {
            settled.delete(&self.deleter, kept);
        }
    }

    fn excludes(&self, facts: Facts<'_>) -> bool {
        facts.event_type.is_some_and(|event_type| self.exclude.iter().any(|glob| glob.matches(&event_type.name)))
    }
}

fn row(message: &Arc<Message>, Facts { event_type, event_id, customer, outcome }: Facts<'_>) -> Row {
    let now = SystemTime::now();
    let received = now.checked_sub(message.received.elapsed()).unwrap_or(now);
    Row {
        message: Arc::clone(message),
        received_at: unix_micros(received),
        settled_at: unix_micros(now),
        outcome,
        event_id: event_id.cloned(),
        event_type: event_type.map(|event_type| Arc::clone(&event_type.name)),
        customer: customer.map(Arc::clone),
        schema_hash: event_type.map(|event_type| Arc::clone(&event_type.schema_hash)),
    }
}

/// Returns the customer of deliveries, if all of them have the same.
pub(super) fn only_customer<'d>(deliveries: impl IntoIterator<Item = &'d Delivery>) -> Option<Arc<str>> {
    let mut customers = deliveries.into_iter().map(|delivery| customer(&delivery.entry));
    let first = customers.next()??;
    customers.all(|other| other.as_ref() == Some(&first)).then_some(first)
}
