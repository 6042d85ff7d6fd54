//! How long a run waits for a topic.
//!
//! The publisher keeps the entries of a topic that is out until it works again, which is right for the service. A run must
//! end. It waits for a while, gives the entries up, and leaves the topic out from then on.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, sleep};

use super::Redrive;
use crate::delivery::resend::{Destination, Fate, Resent, Selection};
use crate::message::{Message, Ownership, TopicArn};

/// The longest time that a run waits for the answers to one message.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often the ownership of the message is looked at.
const LOOK: Duration = Duration::from_millis(500);

/// The topics that did not take an event in time.
#[derive(Debug, Default)]
pub(super) struct Silent(Mutex<BTreeSet<TopicArn>>);

impl Silent {
    fn is_empty(&self) -> bool {
        self.0.lock().is_empty()
    }

    fn has(&self, destination: &Destination) -> bool {
        self.0.lock().contains(&destination.recipient.topic)
    }

    /// Adds the topics that failed without a throttle.
    fn add(&self, resent: &Resent) {
        for destination in &resent.destinations {
            if let Fate::Failed(error) = &destination.fate
                && error.trail().is_none_or(|trail| trail.throttles == 0)
            {
                self.0.lock().insert(destination.recipient.topic.clone());
            }
        }
    }
}

/// What became of a message whose event was sent to its destinations.
pub(super) struct Sending {
    pub(super) resent: Resent,
    /// Why destinations did not take the event, if the run waited for them in vain or left them out.
    pub(super) gave_up: Option<String>,
}

impl Redrive {
    /// Publishes the selected deliveries of a message, apart from those to topics that are known not to answer.
    pub(super) async fn publish(
        &self,
        original: &Arc<Message>,
        selection: &Selection,
        ownership: &Ownership,
    ) -> Sending {
        if self.sender.is_none() || self.silent.is_empty() {
            return self.publish_patiently(original, selection, ownership).await;
        }
        let forecast = self.preview.resend(original, selection, ownership).await;
        let Some(silent) = forecast.destinations.iter().find(|destination| self.is_silent(destination)) else {
            return self.publish_patiently(original, selection, ownership).await;
        };
        let gave_up = Some(text(&silent.recipient.topic));
        let is_open = |destination: &&Destination| {
            matches!(destination.fate, Fate::WouldPublish { .. }) && !self.is_silent(destination)
        };
        let open = forecast.destinations.iter().filter(is_open).filter_map(|destination| destination.customer.clone());
        let customers: BTreeSet<Arc<str>> = open.collect();
        let mut sending = Sending { resent: forecast, gave_up };
        // What is open is sent for each customer by itself. The others stay as the forecast has them, without a publish.
        sending.resent.destinations.retain(|destination| !matches!(destination.fate, Fate::WouldPublish { .. }));
        for customer in customers {
            let selection = Selection { customer: Some(customer), ..selection.clone() };
            let one = self.publish_patiently(original, &selection, ownership).await;
            let published = one.resent.destinations.into_iter();
            let is_new = |destination: &Destination| !matches!(destination.fate, Fate::Had(_) | Fate::Refused(_));
            sending.resent.destinations.extend(published.filter(is_new));
        }
        sending
    }

    fn is_silent(&self, destination: &Destination) -> bool {
        self.silent.has(destination)
    }

    async fn publish_patiently(
        &self,
        original: &Arc<Message>,
        selection: &Selection,
        ownership: &Ownership,
    ) -> Sending {
        let began = Instant::now();
        // The entries can be given up while the message stays ours.
        let of_entries = Ownership::new(began, ownership.lapses_at().saturating_duration_since(began));
        let resender = self.sender.as_ref().unwrap_or(&self.preview);
        let resending = resender.resend(original, selection, &of_entries);
        tokio::pin!(resending);
        let mut has_given_up = false;
        let resent = loop {
            tokio::select! {
                biased;
                resent = &mut resending => break resent,
                () = sleep(LOOK) => of_entries.extend_to(ownership.lapses_at()),
            }
            let is_over = began.elapsed() >= PATIENCE || self.stop.is_cancelled();
            if !has_given_up && (is_over || ownership.is_lost()) {
                // The publisher answers for them at their next turn, and makes no call for them any more.
                of_entries.give_up();
                has_given_up = true;
            }
        };
        let mut sending = Sending { resent, gave_up: None };
        let failed = sending.resent.destinations.iter().find(|destination| matches!(destination.fate, Fate::Failed(_)));
        if has_given_up && let Some(failed) = failed {
            sending.gave_up = Some(text(&failed.recipient.topic));
            if !self.stop.is_cancelled() && !ownership.is_lost() {
                self.silent.add(&sending.resent);
            }
        }
        sending
    }
}

fn text(topic: &TopicArn) -> String {
    format!("{topic} did not take its events within {} s; the log has the error of SNS", PATIENCE.as_secs())
}
