//! A message whose deliveries are claimed in the window of duplicates.

use std::sync::Arc;

use crate::aws::sns::publish::TopicEntry;
use crate::delivery::decide::Delivery;
use crate::delivery::dedupe::{Attempt, Busy, Claim, DeliveryKey, MessageId, PublishedBefore, Taken, Window};
use crate::delivery::outcome::Outcome;
use crate::delivery::pipeline::in_flight::InFlightMessage;
use crate::message::{RetryCause, TopicArn};

/// A message whose deliveries are claimed, or were found to be published or claimed before.
pub(in crate::delivery::pipeline) struct Claimed {
    pub(super) message: InFlightMessage,
    pub(super) deliveries: Vec<ClaimedDelivery>,
}

pub(super) struct ClaimedDelivery {
    pub(super) key: DeliveryKey,
    pub(super) entry: TopicEntry,
    pub(super) claim: Result<Claim, Taken>,
}

impl Claimed {
    /// Claims the deliveries of a message.
    ///
    /// # Errors
    /// Returns the message and its deliveries if this process is publishing one of them at the moment.
    pub(in crate::delivery::pipeline) fn try_new(
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
    pub(in crate::delivery::pipeline) async fn new(
        window: &Arc<Window>,
        message: InFlightMessage,
        deliveries: Vec<Delivery>,
    ) -> Self {
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
    pub(in crate::delivery::pipeline) fn attempts(&mut self) -> impl Iterator<Item = Attempt<'_>> {
        let message = MessageId::new(&self.message.message.message_id);
        self.deliveries.iter_mut().map(move |ClaimedDelivery { key, claim, .. }| Attempt { key: *key, message, claim })
    }

    /// Returns the topics that have the event already, each with the message that was published.
    pub(in crate::delivery::pipeline) fn duplicates(
        &self,
    ) -> impl Iterator<Item = (&InFlightMessage, &TopicArn, &PublishedBefore)> {
        let published = self.deliveries.iter().filter_map(|delivery| match &delivery.claim {
            Err(Taken::Published(before)) => Some((&delivery.entry.topic, before)),
            _ => None,
        });
        let noted = self.message.progress.iter().flat_map(|progress| &progress.noted);
        let noted = noted.map(|delivery| (&delivery.recipient.topic, &delivery.before));
        published.chain(noted).map(|(topic, before)| (&self.message, topic, before))
    }

    /// Why the message must not be published, if it must not.
    pub(super) fn obstacle(&self) -> Option<Outcome> {
        let is_elsewhere = |delivery: &ClaimedDelivery| matches!(delivery.claim, Err(Taken::Elsewhere));
        if self.message.receipt.hold.is_stale() {
            return Some(RetryCause::StaleReceipt.because("its receipt went stale before the publish").into());
        }
        let is_elsewhere = self.deliveries.iter().any(is_elsewhere);
        is_elsewhere
            .then(|| RetryCause::ClaimedElsewhere.because("another replica is publishing the same event").into())
    }
}
