//! Events on their way to their topics: first claimed in the window of duplicates, then being published, then ended with an
//! outcome.

mod claimed;

use std::sync::Arc;

use super::in_flight::InFlightMessage;
use crate::aws::sns::publish::{Publisher, TopicEntry};
use crate::aws::sqs::budget::Rendered;
use crate::delivery::claims::Claims;
use crate::delivery::decide::NotedDelivery;
use crate::delivery::dedupe::{Claim, Finished, MessageId, Taken, Window};
use crate::delivery::outcome::{Delivered, Everywhere, Outcome};
use crate::delivery::publication::{Entry, EntryEnd, Publication};
use crate::delivery::record::customer;
use crate::delivery::undelivered::EntryError;
use crate::message::{QuarantineKind, QuarantineReason, Recipient, RetryCause, TakenOver};
use claimed::ClaimedDelivery;

pub(super) use claimed::Claimed;

/// Events that are being published together.
pub(super) struct Publishing {
    /// Each message until it has ended.
    messages: Vec<Option<PublishingMessage>>,
    /// The claim of each entry until its result arrives, by the index that the publisher returns.
    entries: Vec<Option<PublishingEntry>>,
    publication: Publication,
    /// Messages that ended without a publish.
    ended: Vec<(InFlightMessage, Outcome)>,
}

struct PublishingMessage {
    message: InFlightMessage,
    /// The number of topics that have not answered.
    unanswered: usize,
    delivered: Vec<Delivered>,
    /// The error that decides, if any topic failed.
    error: Option<EntryError>,
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
    fn new(message: InFlightMessage, deliveries: usize) -> Self {
        let delivered = Vec::with_capacity(deliveries);
        Self { message, unanswered: 0, delivered, error: None, is_elsewhere: false }
    }

    /// Takes the JSON of the claim checks that will be stored out of the count of the message; `None` if there are none.
    fn split_offloaded(&mut self, deliveries: &[ClaimedDelivery]) -> Option<Arc<Rendered>> {
        let is_claimed = |delivery: &&ClaimedDelivery| delivery.claim.is_ok();
        let offloads = deliveries.iter().filter(is_claimed).filter_map(|delivery| delivery.entry.offload.as_ref());
        let mut offloads = offloads.peekable();
        offloads.peek()?;
        // JSON that is also the body of another entry stays in memory until that is published.
        let is_body = |json: &Arc<String>| deliveries.iter().any(|delivery| Arc::ptr_eq(&delivery.entry.body, json));
        let jsons = offloads.map(|offload| &offload.json).filter(|json| !is_body(json));
        Some(self.message.split_offloaded(jsons))
    }

    /// Notes a delivery that is not published, because its topic has the event.
    fn note_taken(&mut self, entry: &TopicEntry, taken: Taken) {
        // A delivery that is being published elsewhere is an obstacle for the whole message.
        let Taken::Published(before) = taken else { return };
        if let Some(record) = &mut self.message.record {
            record.duplicate(&entry.topic, customer(entry), before);
        }
        self.delivered.push(Delivered::from(before));
    }

    /// Returns an entry of this message, which has this index, on its way to its topic.
    fn entering(&self, message: usize, entry: &TopicEntry, claim: Claim) -> PublishingEntry {
        let recipient = self.message.progress.is_some().then(|| Box::new(recipient(entry)));
        let customer = self.message.record.as_ref().and_then(|_| customer(entry));
        PublishingEntry { message, claim, recipient, customer }
    }

    /// Returns the outcome of a message whose topics have all answered.
    fn end(self) -> (InFlightMessage, Outcome) {
        let Self { mut message, delivered, error, is_elsewhere, .. } = self;
        let refused = message.progress.as_mut().and_then(|progress| progress.refused.take());
        let outcome = match (error, Everywhere::of(&delivered)) {
            // Entries that were still in their lane when the receipt went stale were not sent.
            (Some(error), _) if message.receipt.hold.is_stale() => RetryCause::StaleReceipt.because(error).into(),
            (Some(error), _) if is_elsewhere => RetryCause::ClaimedElsewhere.because(error).into(),
            (Some(error), _) => match error.turned_away_by() {
                Some(domain) => Outcome::Held { domain, detail: error.to_string() },
                None if error.is_retryable() => error.cause().because(error).into(),
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
    /// Starts to publish what is claimed. Skips events whose receipt is stale or that another replica is publishing. An entry
    /// whose JSON must be stored first keeps no other entry waiting.
    pub(super) async fn start(
        claimed: Vec<Claimed>,
        window: &Window,
        publisher: &Publisher,
        claims: &Arc<Claims>,
    ) -> Self {
        let (messages, entries, ended) = (Vec::new(), Vec::new(), Vec::new());
        let mut this = Self { messages, entries, publication: Publication::default(), ended };
        let (mut to_publish, mut unused_claims, mut finished) = (Vec::new(), Vec::new(), Vec::new());
        for one in claimed {
            let obstacle = one.obstacle();
            let Claimed { mut message, deliveries } = one;
            if let Some(outcome) = obstacle {
                note_unsent(&mut message, &deliveries);
                unused_claims.extend(deliveries.into_iter().filter_map(|delivery| delivery.claim.ok()));
                this.ended.push((message, outcome));
                continue;
            }
            let index = this.messages.len();
            let mut one = PublishingMessage::new(message, deliveries.len());
            begin(&mut one.message, &deliveries, &mut one.delivered, window).await;
            let in_memory = one.split_offloaded(&deliveries);
            for ClaimedDelivery { entry, claim, .. } in deliveries {
                let claim = match claim {
                    Ok(claim) => claim,
                    Err(taken) => {
                        one.note_taken(&entry, taken);
                        continue;
                    }
                };
                one.unanswered += 1;
                let ownership = one.message.receipt.hold.ownership().of_entry(claim.taken_over().cloned());
                this.entries.push(Some(one.entering(index, &entry, claim)));
                to_publish.push(Entry { entry, ownership, in_memory: in_memory.clone() });
            }
            if one.unanswered > 0 {
                this.messages.push(Some(one));
            } else {
                finished.extend(one.finished());
                this.ended.push(one.end_as_before());
            }
        }
        if !to_publish.is_empty() {
            this.publication = Publication::start(to_publish, publisher, claims).await;
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
        let results = self.publication.next().await;
        if results.is_empty() {
            return Some(self.end_unanswered());
        }
        Some(self.record(results, window).await)
    }

    /// Records results in their messages and in the window. Returns the messages that ended.
    async fn record(&mut self, results: Vec<EntryEnd>, window: &Window) -> Vec<(InFlightMessage, Outcome)> {
        let (mut confirmed, mut failed, mut answered) = (Vec::new(), Vec::new(), Vec::new());
        let mut reached = Vec::new();
        for EntryEnd { index, stored, result } in results {
            let Some(PublishingEntry { message: index, claim, recipient, customer }) =
                self.entries.get_mut(index).and_then(Option::take)
            else {
                continue;
            };
            let Some(message) = &mut self.messages[index] else { continue };
            if let Some((stored, bucket)) = stored {
                message.message.note_stored(&stored, &bucket);
            }
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
