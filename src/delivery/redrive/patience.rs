//! How long a run waits for a topic, or for the bucket of claim checks.
//!
//! The publisher keeps the entries of a topic that is out until it works again, which is right for the service. A run must
//! end. It waits for a while, gives the entries up, and leaves the topic out from then on, or everything that the bucket
//! must store.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, sleep};

use super::Redrive;
use crate::config;
use crate::delivery::resend::{Destination, Fate, Resent, Selection};
use crate::message::{Message, Ownership, TopicArn};

/// The longest time that a run waits for the answers to one message. The upload of its claim checks comes on top.
const PATIENCE: Duration = Duration::from_secs(20);
/// The slowest upload of a claim check that a run waits for, in bytes per second.
const SLOWEST_UPLOAD: usize = 1024 * 1024;
/// How often the ownership of the message is looked at.
const LOOK: Duration = Duration::from_millis(500);

/// What did not take an event in time.
#[derive(Debug, Default)]
pub(super) struct Silent(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    topics: BTreeSet<TopicArn>,
    /// Whether the bucket of claim checks did not take an object.
    claim_bucket: bool,
}

impl Silent {
    fn is_empty(&self) -> bool {
        let State { topics, claim_bucket } = &*self.0.lock();
        topics.is_empty() && !claim_bucket
    }

    /// Returns why a destination is left out, if it is.
    fn why(&self, destination: &Destination) -> Option<String> {
        let State { topics, claim_bucket } = &*self.0.lock();
        let topic = &destination.recipient.topic;
        if topics.contains(topic) {
            return Some(silent_topic(topic));
        }
        let is_offloaded = matches!(destination.fate, Fate::WouldPublish { is_offloaded: true, .. });
        (*claim_bucket && is_offloaded).then(|| SILENT_BUCKET.to_owned())
    }

    /// Adds the topics that failed without a throttle, and the bucket if it failed.
    fn add(&self, resent: &Resent) {
        for destination in &resent.destinations {
            let Fate::Failed(error) = &destination.fate else { continue };
            match error.trail() {
                None => self.0.lock().claim_bucket = true,
                Some(trail) if trail.throttles == 0 => {
                    self.0.lock().topics.insert(destination.recipient.topic.clone());
                }
                Some(_) => {}
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
        let Some(gave_up) = forecast.destinations.iter().find_map(|destination| self.silent.why(destination)) else {
            return self.publish_patiently(original, selection, ownership).await;
        };
        let gave_up = Some(gave_up);
        let is_open = |destination: &&Destination| {
            matches!(destination.fate, Fate::WouldPublish { .. }) && self.silent.why(destination).is_none()
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
            let is_over = began.elapsed() >= self.patience || self.stop.is_cancelled();
            if !has_given_up && (is_over || ownership.is_lost()) {
                // The publisher answers for them at their next turn, and makes no call for them any more.
                of_entries.give_up();
                has_given_up = true;
            }
        };
        let mut sending = Sending { resent, gave_up: None };
        let failed = sending.resent.destinations.iter().find(|destination| matches!(destination.fate, Fate::Failed(_)));
        if has_given_up && let Some(failed) = failed {
            sending.gave_up = Some(match &failed.fate {
                Fate::Failed(error) if error.trail().is_none() => SILENT_BUCKET.to_owned(),
                _ => silent_topic(&failed.recipient.topic),
            });
            if !self.stop.is_cancelled() && !ownership.is_lost() {
                self.silent.add(&sending.resent);
            }
        }
        sending
    }
}

/// Returns how long a run with these settings waits for the answers to one message.
pub(super) fn patience(claim_check: &config::ClaimCheck) -> Duration {
    let upload = claim_check.bucket.as_ref().map_or(0, |_| claim_check.max_json_bytes / SLOWEST_UPLOAD);
    PATIENCE + Duration::from_secs(upload as u64)
}

const SILENT_BUCKET: &str = "the bucket of claim checks did not take its JSON in time; the log has the error of S3";

fn silent_topic(topic: &TopicArn) -> String {
    format!("{topic} did not take its events within {} s; the log has the error of SNS", PATIENCE.as_secs())
}
