//! The destinations of one event, each decided by itself: a destination whose JSON is too large, or cannot be rendered in its
//! profile, keeps the event from no other destination.

use super::event::Event;
use super::{Delivery, Rules, key};
use crate::aws::sqs::quarantine::NotedRecipients;
use crate::delivery::dedupe::{DeliveryKey, MessageId, PublishedBefore};
use crate::message::steps::{About, Step, Witness};
use crate::message::{QuarantineKind, QuarantineReason, Recipient, TopicArn};
use crate::route::Destination;
use crate::schema::registry::EventType;
use crate::schema::transcode::Transcoder;

/// The deliveries of an event. Each destination is decided by itself.
#[derive(Debug, Default)]
pub struct Deliveries {
    /// The deliveries to publish, unless the window of duplicates has them.
    pub to_publish: Vec<Delivery>,
    /// The destinations that have the event according to the message's quarantine note.
    pub noted: Vec<NotedDelivery>,
    /// Why the event cannot be published to its other destinations, if there are any.
    pub refused: Option<QuarantineReason>,
}

/// A destination that has an event according to the quarantine note of the message.
#[derive(Debug)]
pub struct NotedDelivery {
    /// Identifies the delivery in the window of duplicates.
    pub key: DeliveryKey,
    /// The destination.
    pub recipient: Recipient,
    /// The proof that the note is.
    pub before: PublishedBefore,
}

/// A destination that cannot get an event.
#[derive(Debug)]
pub struct Refused {
    /// The destination.
    pub recipient: Recipient,
    /// The reason.
    pub reason: QuarantineReason,
}

impl Rules {
    /// Decides about each destination by itself. Adds those that cannot get the event to `refused`.
    ///
    /// # Errors
    /// Returns the reason for quarantine if the event can be published to none of its destinations.
    pub(super) fn deliveries_to(
        &self,
        destinations: Vec<Destination>,
        noted: Option<&NotedRecipients>,
        event: &Event<'_>,
        (transcoder, refused): (&mut Transcoder<'_>, &mut Vec<Refused>),
        witness: &mut impl Witness,
    ) -> Result<Deliveries, QuarantineReason> {
        let count = destinations.len();
        let (to_publish, mut refusals) = (Vec::with_capacity(count), Refusals::default());
        let mut deliveries = Deliveries { to_publish, ..Deliveries::default() };
        for destination in destinations {
            if let Some(delivery) = noted.and_then(|noted| noted_delivery(noted, event, &destination)) {
                let because = "it has the event already, according to the quarantine note of the message";
                witness.note(|| Step::new(About::Destination, &destination.topic, because));
                deliveries.noted.push(delivery);
                continue;
            }
            witness.note(|| step(&destination, event.event_type));
            let recipient = Recipient { topic: destination.topic.clone(), customer: destination.customer.clone() };
            let mode = destination.claim_check;
            match self.delivery(event, destination, transcoder) {
                Ok(delivery) => {
                    if let Some(offload) = &delivery.entry.offload {
                        witness.note(|| self.offloaded(offload, mode));
                    }
                    deliveries.to_publish.push(delivery);
                }
                Err(reason) => {
                    witness.note(|| Step::new(About::Destination, "it cannot get the event", &reason.detail));
                    refusals.add((count > 1).then(|| recipient.topic.clone()), reason.clone());
                    refused.push(Refused { recipient, reason });
                }
            }
        }
        deliveries.refused = refusals.reason(count);
        match deliveries.refused.take_if(|_| deliveries.to_publish.is_empty() && deliveries.noted.is_empty()) {
            Some(reason) => Err(reason),
            None => Ok(deliveries),
        }
    }
}

/// Returns the delivery to a destination that has the event according to the message's quarantine note.
fn noted_delivery(noted: &NotedRecipients, event: &Event<'_>, destination: &Destination) -> Option<NotedDelivery> {
    let recipient = Recipient { topic: destination.topic.clone(), customer: destination.account().cloned() };
    let before = PublishedBefore::noted(MessageId::new(&noted.first_message_id));
    noted.contains(&recipient).then(|| NotedDelivery { key: key(event, destination), recipient, before })
}

fn step(destination: &Destination, event_type: &EventType) -> Step {
    let profile = event_type.profile_name(destination.profile);
    match &destination.customer {
        Some(id) if destination.is_canary => {
            let because = format_args!("customer {id} has `canary: true` and the profile `{profile}`");
            Step::new(About::Destination, &destination.topic, because)
        }
        Some(id) => {
            let because =
                format_args!("the customers file has customer {id} with this topic and the profile `{profile}`");
            Step::new(About::Destination, &destination.topic, because)
        }
        None => {
            let because = format_args!("the topic belongs to no customer, so it has the profile `{profile}`");
            Step::new(About::Destination, &destination.topic, because)
        }
    }
}

/// The destinations that an event cannot be published to. The first reason decides, unless another one can pass: a type that
/// is unknown can still arrive.
#[derive(Default)]
struct Refusals {
    first: Option<(Option<TopicArn>, QuarantineReason)>,
    others: usize,
}

impl Refusals {
    fn add(&mut self, topic: Option<TopicArn>, reason: QuarantineReason) {
        match &self.first {
            None => self.first = Some((topic, reason)),
            Some((_, first)) => {
                self.others += 1;
                if reason.kind == QuarantineKind::UnknownType && first.kind != QuarantineKind::UnknownType {
                    self.first = Some((topic, reason));
                }
            }
        }
    }

    /// Returns the reason why an event with `count` destinations goes into quarantine. If it has several, the reason names
    /// the topic of the first one that refused it.
    fn reason(self, count: usize) -> Option<QuarantineReason> {
        let (topic, reason) = self.first?;
        let Some(topic) = topic else { return Some(reason) };
        let others = match self.others {
            0 => String::new(),
            others => format!(" and {others} more of its {count} destinations"),
        };
        Some(reason.kind.because(format_args!("cannot be published to {topic}{others}: {}", reason.detail)))
    }
}
