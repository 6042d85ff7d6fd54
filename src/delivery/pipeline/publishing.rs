//! Events on their way to their topics: first claimed in the window of duplicates, then being published, then ended with an
//! outcome.

use std::sync::Arc;

use super::in_flight::InFlightMessage;
use crate::aws::outages::Domain;
use crate::aws::sns::publish::{self, EntryResult, EntryResults, Publisher, TopicEntry};
use crate::delivery::decide::{Delivery, NotedDelivery};
use crate::delivery::dedupe::{Attempt, Busy, Claim, DeliveryKey, Finished, MessageId, PublishedBefore, Taken, Window};
use crate::delivery::outcome::{Delivered, Everywhere, Outcome};
use crate::delivery::record::customer;
use crate::message::{QuarantineKind, QuarantineReason, Recipient, RetryCause, TakenOver, TopicArn};

/// A message whose deliveries are claimed, or were found to be published or claimed before.
pub(super) struct Claimed {
    message: InFlightMessage,
    deliveries: Vec<ClaimedDelivery>,
}

struct ClaimedDelivery {
    key: DeliveryKey,
    entry: TopicEntry,
    claim: Result<Claim, Taken>,
}

impl Claimed {
    /// Claims the deliveries of a message.
    ///
    /// # Errors
    /// Returns the message and its deliveries if this process is publishing one of them at the moment.
    pub(super) fn try_new(
        window: &Arc<Window>,
        message: InFlightMessage,
        deliveries: Vec<Delivery>,
    ) -> Result<Self, Box<(InFlightMessage, Vec<Delivery>)>> {
        let id = MessageId::new(&message.message.message_id);
        match window.try_claim(deliveries.iter().map(|delivery| delivery.key), id) {
            Ok(claims) => Ok(Self::of(message, deliveries, claims)),
            Err(Busy) => Err(Box::new((message, deliveries))),
        }
    }

    /// Claims the deliveries of a message. Waits for those that this process is publishing at the moment.
    pub(super) async fn new(window: &Arc<Window>, message: InFlightMessage, deliveries: Vec<Delivery>) -> Self {
        let keys: Vec<DeliveryKey> = deliveries.iter().map(|delivery| delivery.key).collect();
        let claims = window.claim(&keys, MessageId::new(&message.message.message_id)).await;
        Self::of(message, deliveries, claims)
    }

    fn of(message: InFlightMessage, deliveries: Vec<Delivery>, claims: Vec<Result<Claim, Taken>>) -> Self {
        let deliveries = deliveries.into_iter().zip(claims);
        let deliveries =
            deliveries.map(|(delivery, claim)| ClaimedDelivery { key: delivery.key, entry: delivery.entry, claim });
        Self { message, deliveries: deliveries.collect() }
    }

    /// Returns the attempts to claim the deliveries, for the store that replicas share.
    pub(super) fn attempts(&mut self) -> impl Iterator<Item = Attempt<'_>> {
        let message = MessageId::new(&self.message.message.message_id);
        self.deliveries.iter_mut().map(move |ClaimedDelivery { key, claim, .. }| Attempt { key: *key, message, claim })
    }

    /// Returns the topics that have the event already, each with the message that was published.
    pub(super) fn duplicates(&self) -> impl Iterator<Item = (&InFlightMessage, &TopicArn, &PublishedBefore)> {
        let published = self.deliveries.iter().filter_map(|delivery| match &delivery.claim {
            Err(Taken::Published(before)) => Some((&delivery.entry.topic, before)),
            _ => None,
        });
        let noted = self.message.progress.iter().flat_map(|progress| &progress.noted);
        let noted = noted.map(|delivery| (&delivery.recipient.topic, &delivery.before));
        published.chain(noted).map(|(topic, before)| (&self.message, topic, before))
    }

    /// Why the message must not be published, if it must not.
    fn obstacle(&self) -> Option<Outcome> {
        let is_elsewhere = |delivery: &ClaimedDelivery| matches!(delivery.claim, Err(Taken::Elsewhere));
        if self.message.receipt.hold.is_stale() {
            return Some(RetryCause::StaleReceipt.because("its receipt went stale before the publish").into());
        }
        let is_elsewhere = self.deliveries.iter().any(is_elsewhere);
        is_elsewhere
            .then(|| RetryCause::ClaimedElsewhere.because("another replica is publishing the same event").into())
    }
}

/// Events that are being published together.
pub(super) struct Publishing {
    /// Each message until it has ended.
    messages: Vec<Option<PublishingMessage>>,
    /// The claim of each entry until its result arrives, by the index that the publisher returns.
    entries: Vec<Option<PublishingEntry>>,
    /// The results; `None` if there was nothing to publish.
    results: Option<EntryResults>,
    /// Messages that ended without a publish.
    ended: Vec<(InFlightMessage, Outcome)>,
}

struct PublishingMessage {
    message: InFlightMessage,
    /// The number of topics that have not answered.
    unanswered: usize,
    delivered: Vec<Delivered>,
    /// The error that decides, if any topic failed.
    error: Option<publish::Error>,
    /// Whether another replica took over an entry that failed here.
    is_elsewhere: bool,
}

struct PublishingEntry {
    /// The index of the message that the entry belongs to.
    message: usize,
    claim: Claim,
    /// The destination, if the event has several.
    recipient: Option<Box<Recipient>>,
    /// The customer, for the journal.
    customer: Option<Arc<str>>,
}

impl PublishingMessage {
    /// Returns the outcome of a message whose topics have all answered.
    fn end(self) -> (InFlightMessage, Outcome) {
        let Self { mut message, delivered, error, is_elsewhere, .. } = self;
        let refused = message.progress.as_mut().and_then(|progress| progress.refused.take());
        let outcome = match (error, Everywhere::of(&delivered)) {
            // Entries that were still in their lane when the receipt went stale were not sent.
            (Some(error), _) if message.receipt.hold.is_stale() => RetryCause::StaleReceipt.because(error).into(),
            (Some(error), _) if is_elsewhere => RetryCause::ClaimedElsewhere.because(error).into(),
            (Some(error), _) => match error.turned_away_by() {
                Some(topic) => Outcome::Held { domain: Domain::Topic(topic.clone()), detail: error.to_string() },
                None if error.is_retryable() => RetryCause::Publish.because(error).into(),
                None => QuarantineKind::PublishRefused.because(error).into(),
            },
            (None, proof) => reached(proof, refused, Outcome::Published),
        };
        (message, outcome)
    }

    /// Returns the outcome of a message for which there was nothing to publish.
    fn end_as_before(mut self) -> (InFlightMessage, Outcome) {
        let refused = self.message.progress.as_mut().and_then(|progress| progress.refused.take());
        (self.message, reached(Everywhere::of(&self.delivered), refused, Outcome::Duplicate))
    }

    /// Returns the message as finished, if its event has several destinations and all of them have it.
    fn finished(&self) -> Option<Finished> {
        let progress = self.message.progress.as_ref()?;
        (self.error.is_none() && progress.refused.is_none()).then(|| self.message.finished()).flatten()
    }
}

/// Returns the outcome of an event whose destinations have it, apart from those that cannot get it for the reason `refused`.
/// `delivered` is the outcome if there are no such destinations.
fn reached(
    proof: Option<Everywhere>,
    refused: Option<QuarantineReason>,
    delivered: impl FnOnce(Everywhere) -> Outcome,
) -> Outcome {
    match (refused, proof) {
        (Some(reason), _) => Outcome::Quarantine(reason),
        (None, Some(everywhere)) => delivered(everywhere),
        (None, None) => without_topics(),
    }
}

/// Begins the progress of an event with several destinations: notes the destinations that have it already, and adds the
/// proofs of the quarantine note to `delivered`.
async fn begin(
    message: &mut InFlightMessage,
    deliveries: &[ClaimedDelivery],
    delivered: &mut Vec<Delivered>,
    window: &Window,
) {
    let id = MessageId::new(&message.message.message_id);
    let Some(progress) = &mut message.progress else { return };
    for NotedDelivery { key, recipient, before } in progress.noted.drain(..) {
        if let Some(record) = &mut message.record {
            record.duplicate(&recipient.topic, recipient.customer.clone(), before);
        }
        delivered.push(before.into());
        progress.delivered.push((key, recipient));
    }
    let mut published = Vec::new();
    for ClaimedDelivery { key, entry, claim } in deliveries {
        if let Err(Taken::Published(before)) = claim {
            progress.delivered.push((*key, recipient(entry)));
            published.push((*key, *before));
        }
    }
    window.begin(id, &published).await;
}

/// Notes in the journal what becomes of the destinations of a message that is not published now.
fn note_unsent(message: &mut InFlightMessage, deliveries: &[ClaimedDelivery]) {
    let Some(record) = &mut message.record else { return };
    for NotedDelivery { recipient, before, .. } in message.progress.iter().flat_map(|progress| &progress.noted) {
        record.duplicate(&recipient.topic, recipient.customer.clone(), *before);
    }
    for ClaimedDelivery { entry, claim, .. } in deliveries {
        match claim {
            Err(Taken::Published(before)) => record.duplicate(&entry.topic, customer(entry), *before),
            Ok(_) | Err(Taken::Elsewhere) => record.waiting(&entry.topic, customer(entry)),
        }
    }
}

fn recipient(entry: &TopicEntry) -> Recipient {
    Recipient { topic: entry.topic.clone(), customer: entry.customer.clone() }
}

fn without_topics() -> Outcome {
    RetryCause::Defect.because("it was routed to no topic; this is a defect of protobridge").into()
}

impl Publishing {
    /// Starts to publish what is claimed. Skips events whose receipt is stale or that another replica is publishing.
    pub(super) async fn start(claimed: Vec<Claimed>, window: &Window, publisher: &Publisher) -> Self {
        let mut this = Self { messages: Vec::new(), entries: Vec::new(), results: None, ended: Vec::new() };
        let (mut to_enqueue, mut unused_claims, mut finished) = (Vec::new(), Vec::new(), Vec::new());
        for one in claimed {
            let obstacle = one.obstacle();
            let Claimed { mut message, deliveries } = one;
            if let Some(outcome) = obstacle {
                note_unsent(&mut message, &deliveries);
                unused_claims.extend(deliveries.into_iter().filter_map(|delivery| delivery.claim.ok()));
                this.ended.push((message, outcome));
                continue;
            }
            let (index, first) = (this.messages.len(), to_enqueue.len());
            let mut delivered = Vec::with_capacity(deliveries.len());
            begin(&mut message, &deliveries, &mut delivered, window).await;
            for ClaimedDelivery { entry, claim, .. } in deliveries {
                match claim {
                    Ok(claim) => {
                        let ownership = message.receipt.hold.ownership().of_entry(claim.taken_over().cloned());
                        let recipient = message.progress.is_some().then(|| Box::new(recipient(&entry)));
                        let customer = message.record.as_ref().and_then(|_| customer(&entry));
                        this.entries.push(Some(PublishingEntry { message: index, claim, recipient, customer }));
                        to_enqueue.push((entry, ownership));
                    }
                    Err(Taken::Published(before)) => {
                        if let Some(record) = &mut message.record {
                            record.duplicate(&entry.topic, customer(&entry), before);
                        }
                        delivered.push(Delivered::from(before));
                    }
                    // An obstacle, see above.
                    Err(Taken::Elsewhere) => {}
                }
            }
            let unanswered = to_enqueue.len() - first;
            let one = PublishingMessage { message, unanswered, delivered, error: None, is_elsewhere: false };
            if unanswered > 0 {
                this.messages.push(Some(one));
            } else {
                finished.extend(one.finished());
                this.ended.push(one.end_as_before());
            }
        }
        if !to_enqueue.is_empty() {
            this.results = Some(publisher.enqueue(to_enqueue).await);
        }
        tokio::join!(window.finish(finished), window.release(unused_claims));
        this
    }

    /// Waits for results, and returns the messages that ended with them; possibly none, if the topics of a message have
    /// not all answered. Returns `None` when every message has ended.
    pub(super) async fn next(&mut self, window: &Window) -> Option<Vec<(InFlightMessage, Outcome)>> {
        if !self.ended.is_empty() {
            return Some(std::mem::take(&mut self.ended));
        }
        if self.messages.iter().all(Option::is_none) {
            return None;
        }
        let results = match &mut self.results {
            Some(results) => results.next().await,
            None => Vec::new(),
        };
        if results.is_empty() {
            return Some(self.end_unanswered());
        }
        Some(self.record(results, window).await)
    }

    /// Records results in their messages and in the window. Returns the messages that ended.
    async fn record(&mut self, results: Vec<EntryResult>, window: &Window) -> Vec<(InFlightMessage, Outcome)> {
        let (mut confirmed, mut failed, mut answered) = (Vec::new(), Vec::new(), Vec::new());
        let mut reached = Vec::new();
        for (index, result) in results {
            let Some(PublishingEntry { message: index, claim, recipient, customer }) =
                self.entries.get_mut(index).and_then(Option::take)
            else {
                continue;
            };
            let Some(message) = &mut self.messages[index] else { continue };
            match result {
                Ok(proof) => {
                    reached.extend(recipient.map(|recipient| (index, claim.key(), recipient)));
                    confirmed.push(claim);
                    message.message.note_published(&proof, customer);
                    message.delivered.push(proof.into());
                }
                Err(error) => {
                    message.message.note_failed(&error, customer);
                    message.is_elsewhere |= claim.taken_over().is_some_and(TakenOver::is_set);
                    failed.push(claim);
                    message.error = Some(match message.error.take() {
                        None => error,
                        Some(known) => known.or_later(error),
                    });
                }
            }
            message.unanswered -= 1;
            if message.unanswered == 0 {
                answered.push(index);
            }
        }
        // These list the deliveries that were confirmed before; `confirm` records those that were confirmed now.
        let finished = answered.iter().filter_map(|index| self.messages[*index].as_ref()?.finished());
        let finished = window.finish(finished.collect());
        tokio::join!(finished, window.confirm(confirmed), window.release(failed));
        for (index, key, recipient) in reached {
            let message = self.messages[index].as_mut();
            if let Some(progress) = message.and_then(|message| message.message.progress.as_mut()) {
                progress.delivered.push((key, *recipient));
            }
        }
        let answered = answered.into_iter().filter_map(|index| self.messages[index].take());
        answered.map(PublishingMessage::end).collect()
    }

    /// Ends the messages that have no answer although no more results will arrive. The publisher prevents this: it sends a
    /// result for every entry.
    fn end_unanswered(&mut self) -> Vec<(InFlightMessage, Outcome)> {
        let unanswered = self.messages.iter_mut().filter_map(Option::take);
        let outcome = || RetryCause::Defect.because("its publish was never answered; this is a defect of protobridge");
        unanswered.map(|message| (message.message, outcome().into())).collect()
    }
}
