//! Sending messages again, outside of the pipeline that receives them: for a replay of archived messages, and for a redrive
//! of quarantined ones.
//!
//! [`Resender::resend`] decides about a message with [`Rules`], as the pipeline does, and publishes what the caller
//! [selects](Selection). A preview is the same call with a [`Resender`] that publishes nothing, so it predicts what a run
//! does. The caller owns the message: it says when to stop, and what becomes of the message afterwards.

mod pace;
mod resent;
mod selection;
mod sender;

use std::sync::Arc;

use super::SetupError;
use super::decide::{Context, Decided, Delivery, IsLarge, Lookup, Opened, Refused, Rules, Turn};
use super::dedupe::{MessageId, PublishedBefore};
use super::defect;
use super::lookups::Lookups;
use super::outcome::Outcome;
use super::record::{Ending, Record, customer};
use crate::aws::Clients;
use crate::aws::outages::Outages;
use crate::aws::s3::Objects;
use crate::config::Config;
use crate::message::envelope::Envelope;
use crate::message::{Message, OutcomeLabel, Ownership, QuarantineKind, Recipient, Retry, RetryCause, attributes};
use crate::route::{Definitions, Routes};
use crate::schema::SchemaFiles;
use crate::schema::confluent::Schemas;
use crate::store::journal::Journal;
use crate::telemetry::{Metrics, TraceHeaders, Traces};
use sender::{Sender, recipient};

pub use pace::Pace;
pub use resent::{Destination, Fate, Resent, Undelivered};
pub use selection::{Selection, is_own_type};

/// Sends messages again. One per process.
#[derive(Debug)]
pub struct Resender {
    rules: Rules,
    lookups: Lookups,
    routes: Arc<Routes>,
    metrics: Arc<Metrics>,
    /// Records the rows of what was sent.
    journal: Option<Arc<Journal>>,
    /// Publishes; `None` in a preview.
    sender: Option<Sender>,
}

/// The next step of a message.
enum Next {
    /// The message is decided.
    Decided(Box<Decided>),
    /// The message has this outcome.
    Settled(Outcome),
    /// Answer this lookup, then decide again.
    Lookup(Lookup),
}

/// Whether the message ends otherwise once something outside answers.
fn can_be_answered_later(outcome: &Outcome) -> bool {
    use RetryCause::{Defect, MissingObject, UnknownType};
    match outcome {
        Outcome::Held { .. } => true,
        Outcome::Retry(retry) => !matches!(retry.cause, UnknownType | MissingObject | Defect),
        _ => false,
    }
}

/// Returns why a message has no deliveries. Nobody waits for a type or an object that is still missing: a message that is sent
/// again had its grace period.
fn undelivered(outcome: Outcome) -> Undelivered {
    match outcome {
        Outcome::Filtered(filtered) => Undelivered::Filtered(filtered.rule()),
        Outcome::Quarantine(reason) => Undelivered::Quarantine(reason),
        Outcome::Retry(Retry { cause, detail }) => match cause {
            RetryCause::UnknownType => Undelivered::Quarantine(QuarantineKind::UnknownType.because(detail)),
            RetryCause::MissingObject => Undelivered::Quarantine(QuarantineKind::BadEnvelope.because(detail)),
            RetryCause::Defect => Undelivered::Defect(detail),
            _ => Undelivered::Later(detail),
        },
        Outcome::Held { detail, .. } => Undelivered::Later(detail),
        // A decision returns these two only with deliveries.
        Outcome::Published(_) | Outcome::Duplicate(_) => {
            Undelivered::Defect("it was decided without a destination".into())
        }
    }
}

impl Resender {
    /// Creates a resender with the files of a configuration. A preview publishes nothing. Must be called in a runtime of
    /// tokio; makes no call.
    ///
    /// # Errors
    /// Returns an error if a part cannot be set up with this configuration.
    pub fn new(
        config: &Config,
        clients: &Clients,
        (routes, schemas): (Arc<Routes>, SchemaFiles),
        journal: Option<Arc<Journal>>,
        is_preview: bool,
        metrics: &Arc<Metrics>,
    ) -> Result<Self, SetupError> {
        let outages = Arc::new(Outages::new(Arc::clone(metrics)));
        let objects = Objects::new(config, clients)?;
        let schema_ids = Schemas::new(&config.confluent, schemas.confluent, &clients.network)?;
        let lookups = Lookups::new(objects, schema_ids, &outages);
        let sender = if is_preview { None } else { Some(Sender::new(config, clients, &outages, metrics)?) };
        Ok(Self {
            rules: Rules::new(config, config.publish.max_batch_bytes).with_glue(schemas.glue),
            lookups,
            routes,
            metrics: Arc::clone(metrics),
            journal,
            sender,
        })
    }

    /// Decides about a message, and publishes the selected deliveries that their destinations do not have, unless this is a
    /// preview. Waits until SNS has answered for each of them. Nothing is published after `ownership` is lost. A message
    /// with nothing that is selected has neither destinations nor another outcome.
    pub async fn resend(&self, message: &Arc<Message>, selection: &Selection, ownership: &Ownership) -> Resent {
        let mut record = self.record(message, selection);
        // The turn of an event with the JSON of a claim check ends once that is published: there is no other limit on what a
        // replay has in memory.
        let (mut decided, _turn) = match self.decide(message, ownership).await {
            Ok((decided, turn)) => {
                let turn = turn.filter(|_| has_offloaded(&decided));
                (decided, turn)
            }
            Err(outcome) => (Decided { decision: Err(outcome), ..Decided::default() }, None),
        };
        let (event_type, event_id) = (decided.event_type.take(), decided.event.take().map(|(id, _)| id));
        let mut resent = Resent { event_type, event_id, destinations: Vec::new(), without_deliveries: None };
        let is_later = decided.decision.as_ref().err().is_some_and(can_be_answered_later);
        if selection.has_type(resent.event_type.as_ref(), is_later) {
            self.settle(message, selection, ownership, decided, &mut resent, record.as_mut()).await;
        }
        if let Some(record) = &mut record {
            if record.has_destinations() || resent.without_deliveries.is_some() {
                record.close(&ending(&resent));
            } else {
                record.discard();
            }
        }
        resent
    }

    /// Publishes the selected deliveries of a decision, and adds what became of each destination.
    async fn settle(
        &self,
        message: &Arc<Message>,
        selection: &Selection,
        ownership: &Ownership,
        mut decided: Decided,
        resent: &mut Resent,
        mut record: Option<&mut Record>,
    ) {
        let had = |recipient: Recipient, customer: Option<Arc<str>>| {
            let before = PublishedBefore::noted(MessageId::new(&message.message_id));
            Destination { recipient, customer, fate: Fate::Had(before) }
        };
        let has_refused = !decided.refused.is_empty();
        decided.refused.retain(|refused| selection.has_recipient(&refused.recipient));
        let (event_type, event_id) = (resent.event_type.as_ref(), resent.event_id.as_ref());
        let confirmed = decided.refused.extract_if(.., |refused| selection.had(refused, event_type, event_id));
        for Refused { recipient, .. } in confirmed {
            let customer = recipient.customer.clone();
            resent.destinations.push(had(recipient, customer));
        }
        // The only reason against the message is about destinations that are not selected.
        let is_of_others = has_refused && decided.refused.is_empty();
        for Refused { recipient, reason } in &decided.refused {
            let (customer, fate) = (recipient.customer.clone(), Fate::Refused(reason.clone()));
            resent.destinations.push(Destination { recipient: recipient.clone(), customer, fate });
        }
        if let Some(record) = &mut record {
            record.decided(event_type, event_id, None, decided.refused);
        }
        let deliveries = match decided.decision {
            Ok(deliveries) => deliveries,
            Err(Outcome::Quarantine(_)) if is_of_others || !resent.destinations.is_empty() => return,
            Err(outcome) => {
                resent.without_deliveries = Some(undelivered(outcome));
                return;
            }
        };
        for noted in deliveries.noted.into_iter().filter(|noted| selection.has_recipient(&noted.recipient)) {
            if let Some(record) = &mut record {
                record.duplicate(&noted.recipient.topic, noted.recipient.customer.clone(), noted.before);
            }
            let (customer, fate) = (noted.recipient.customer.clone(), Fate::Had(noted.before));
            resent.destinations.push(Destination { recipient: noted.recipient, customer, fate });
        }
        let mut prepared = Vec::new();
        for delivery in deliveries.to_publish {
            let (recipient, customer) = (recipient(&delivery.entry), customer(&delivery.entry));
            if !selection.has_customer(customer.as_ref()) || selection.reached.contains(&recipient) {
                continue;
            }
            if selection.is_confirmed(&delivery.key) {
                resent.destinations.push(had(recipient, customer));
            } else {
                prepared.push(self.prepared(delivery, selection));
            }
        }
        resent.destinations.extend(self.publish(message, prepared, ownership, record).await);
    }

    /// Returns the name that a message states as its type, for an event whose type is not known.
    pub fn stated_type(&self, message: &Message) -> Option<String> {
        self.rules.stated_type(message, &self.lookups.schemas)
    }

    /// Waits until the publisher's tasks have ended.
    pub async fn finish(self) {
        if let Some(sender) = self.sender {
            sender.finish().await;
        }
    }

    fn record(&self, message: &Arc<Message>, selection: &Selection) -> Option<Record> {
        let journal = self.journal.as_ref().filter(|_| self.sender.is_some())?;
        Some(match &selection.replay {
            Some(name) => Record::of_replay(journal, message, name),
            None => Record::new(journal, message),
        })
    }

    /// Decides about a message, with all lookups that this requires. Returns the turn in which a large event was decided.
    async fn decide(
        &self,
        message: &Arc<Message>,
        ownership: &Ownership,
    ) -> Result<(Decided, Option<Turn<'_>>), Outcome> {
        // A message needs at most one object and one schema, and its object a second time after the wait for the schema.
        const MAX_LOOKUPS: usize = 3;
        let mut object = None;
        for _ in 0..=MAX_LOOKUPS {
            let bytes = object.as_ref().map(|object: &crate::aws::s3::Object<'_>| &*object.bytes);
            let schemas = &self.lookups.schemas;
            let small = || {
                let opened = self.rules.open_small(message, bytes, schemas)?;
                self.decide_opened(message, opened, Rules::decide_small)
            };
            let (next, turn) = match defect::catch(small)? {
                Ok(next) => (next, None),
                Err(IsLarge) => {
                    let turn = self.rules.turn().await;
                    let large =
                        || self.decide_opened(message, self.rules.open(message, bytes, schemas), Rules::decide_large);
                    let Ok(next) = defect::catch(|| turn.run(large))?;
                    (next, Some(turn))
                }
            };
            let lookup = match next {
                Next::Decided(decided) => return Ok((*decided, turn)),
                Next::Settled(outcome) => return Err(outcome),
                Next::Lookup(lookup) => lookup,
            };
            let missing = |detail| self.rules.missing_object(message, detail);
            drop((object, turn));
            object = self.lookups.answer(lookup, ownership, &self.metrics, missing).await?;
        }
        Err(RetryCause::Lookup.because("the answer of the schema registry expired before it was used").into())
    }

    /// Decides about a message with `decide` if its envelope is open.
    fn decide_opened<E>(
        &self,
        message: &Message,
        opened: Opened<'_>,
        decide: impl FnOnce(&Rules, Context<'_>, &Message, &Envelope<'_>, &TraceHeaders) -> Result<Decided, E>,
    ) -> Result<Next, E> {
        let envelope = match opened {
            Opened::Ready(envelope) => envelope,
            Opened::Needs(lookup) => return Ok(Next::Lookup(lookup)),
            Opened::Refused(reason) => return Ok(Next::Settled(reason.into())),
        };
        let Definitions { snapshot, router } = &*self.routes.definitions();
        let context = Context { snapshot, router, schemas: &self.lookups.schemas };
        let mut trace = Traces::default().begin(message);
        trace.follow(|name| envelope.attribute(name));
        let decided = decide(&self.rules, context, message, &envelope, &trace.headers())?;
        Ok(Next::Decided(Box::new(decided)))
    }

    /// Returns a delivery with the marks of the replay.
    fn prepared(&self, mut delivery: Delivery, selection: &Selection) -> Delivery {
        if let Some(name) = &selection.replay {
            delivery.key = delivery.key.in_replay(name);
            if delivery.entry.deduplication_id.is_some() {
                delivery.entry.deduplication_id = Some(delivery.key.to_hex());
            }
            delivery.entry.attributes.add_required(attributes::REPLAY, name);
            if delivery.entry.size() > self.rules.max_entry_bytes() {
                delivery.entry.attributes.remove_trace();
            }
        }
        delivery
    }

    async fn publish(
        &self,
        message: &Message,
        deliveries: Vec<Delivery>,
        ownership: &Ownership,
        record: Option<&mut Record>,
    ) -> Vec<Destination> {
        match &self.sender {
            Some(sender) => sender.publish(message, deliveries, ownership, record).await,
            None => deliveries.into_iter().map(would_publish).collect(),
        }
    }
}

/// Whether the JSON of an event is in memory for a claim check.
fn has_offloaded(decided: &Decided) -> bool {
    let deliveries = decided.decision.iter().flat_map(|deliveries| &deliveries.to_publish);
    deliveries.into_iter().any(|delivery| delivery.entry.offload.is_some())
}

fn would_publish(Delivery { entry, .. }: Delivery) -> Destination {
    let (recipient, customer, bytes) = (recipient(&entry), customer(&entry), entry.size());
    let (body, is_offloaded) = (Arc::clone(entry.json()), entry.offload.is_some());
    Destination { recipient, customer, fate: Fate::WouldPublish { body, bytes, is_offloaded } }
}

/// Returns how the rows of a message end.
fn ending(resent: &Resent) -> Ending<'_> {
    let of = |outcome, reason, detail| Ending { outcome, reason, detail };
    match &resent.without_deliveries {
        Some(Undelivered::Filtered(rule)) => of(OutcomeLabel::Filtered, Some(*rule), None),
        Some(Undelivered::Quarantine(reason)) => {
            of(OutcomeLabel::Quarantined, Some(reason.kind.code()), Some(&reason.detail))
        }
        Some(Undelivered::Defect(detail)) => of(OutcomeLabel::Retried, Some(RetryCause::Defect.code()), Some(detail)),
        Some(Undelivered::Later(detail)) => of(OutcomeLabel::Retried, Some(RetryCause::Lookup.code()), Some(detail)),
        None if resent.is_done() => of(OutcomeLabel::Published, None, None),
        None => {
            let refused = resent.destinations.iter().find_map(|destination| match &destination.fate {
                Fate::Refused(reason) => Some(reason),
                _ => None,
            });
            match refused {
                Some(reason) => of(OutcomeLabel::Quarantined, Some(reason.kind.code()), Some(&reason.detail)),
                None => of(OutcomeLabel::Retried, Some(RetryCause::Publish.code()), None),
            }
        }
    }
}

#[cfg(test)]
mod tests;
