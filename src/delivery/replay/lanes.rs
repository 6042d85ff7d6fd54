//! Sending the messages of a step: those of one queue and group one after the other, all others at the same time.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::time::sleep;

use super::{Replay, Sender};
use crate::base::Backoff;
use crate::delivery::resend::{Destination, Fate, Resent, Selection, Undelivered};
use crate::message::Message;

/// The pauses before a message is tried again.
const BACKOFF: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(30));

/// A message that is sent.
#[derive(Debug)]
pub(super) struct Picked {
    /// Its place in the step.
    pub(super) index: usize,
    pub(super) message: Arc<Message>,
    /// The type that the archive knows.
    pub(super) event_type: Option<Arc<str>>,
    pub(super) selection: Selection,
    /// Whether the archive knows it as a message of another customer than the selected one.
    pub(super) is_of_another: bool,
}

/// What became of a message in the end.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) index: usize,
    pub(super) message: Arc<Message>,
    pub(super) event_type: Option<Arc<str>>,
    pub(super) is_of_another: bool,
    pub(super) destinations: Vec<Destination>,
    pub(super) without_deliveries: Option<Undelivered>,
}

impl<S: Sender> Replay<'_, S> {
    /// Sends messages, and waits for all results.
    pub(super) async fn send_lanes(&self, messages: Vec<Picked>) -> Vec<Done> {
        let mut done = Vec::with_capacity(messages.len());
        let mut lanes: FuturesUnordered<_> = lanes(messages).into_iter().map(|lane| self.send_lane(lane)).collect();
        while let Some(lane) = lanes.next().await {
            done.extend(lane);
        }
        done
    }

    async fn send_lane(&self, lane: Vec<Picked>) -> Vec<Done> {
        let mut done = Vec::with_capacity(lane.len());
        for picked in lane {
            done.push(self.send_one(picked).await);
            self.progress.row_is_done();
        }
        done
    }

    /// Sends a message until each destination has it or never can.
    async fn send_one(&self, picked: Picked) -> Done {
        let Picked { index, message, event_type, mut selection, is_of_another } = picked;
        let mut done =
            Done { index, message, event_type, is_of_another, destinations: Vec::new(), without_deliveries: None };
        let mut failures = 0;
        loop {
            if let Some(pace) = self.pace {
                pace.take().await;
            }
            let resent = self.sender.send(&done.message, &selection).await;
            let later = why_later(&resent);
            self.note(&resent);
            let Resent { event_type, destinations, without_deliveries, .. } = resent;
            done.event_type = event_type.map(|known| Arc::clone(&known.name)).or(done.event_type);
            let Some(problem) = later.filter(|_| self.pace.is_some()) else {
                done.destinations.extend(destinations);
                done.without_deliveries = without_deliveries;
                return done;
            };
            // What is decided stays, and the others are tried again.
            for destination in destinations.into_iter().filter(|destination| !destination.fate.can_pass_later()) {
                selection.reached.push(destination.recipient.clone());
                done.destinations.push(destination);
            }
            failures += 1;
            self.progress.waits(&done.message.message_id, problem);
            sleep(BACKOFF.delay(failures)).await;
        }
    }

    /// Counts what was sent, for the pace and for those who watch.
    fn note(&self, resent: &Resent) {
        let (mut sent, mut throttles, mut published) = (0, 0, 0);
        for destination in &resent.destinations {
            let trail = match &destination.fate {
                Fate::Published { confirmed, .. } => confirmed.trail(),
                Fate::Failed(error) => match error.trail() {
                    Some(trail) => trail,
                    None => continue,
                },
                Fate::WouldPublish { .. } => {
                    (sent, published) = (sent + 1, published + 1);
                    continue;
                }
                Fate::Had(_) | Fate::Refused(_) | Fate::Elsewhere => continue,
            };
            sent += u64::from(trail.attempts);
            throttles += trail.throttles;
            published += u64::from(destination.fate.has_event());
        }
        self.progress.published(published);
        if let Some(pace) = self.pace {
            pace.correct(sent);
            if throttles > 0 {
                pace.throttled();
            }
        }
    }
}

/// Returns why a message must be tried again; `None` if it is decided.
fn why_later(resent: &Resent) -> Option<String> {
    if let Some(Undelivered::Later(detail)) = &resent.without_deliveries {
        return Some(detail.clone());
    }
    let waiting = resent.destinations.iter().find(|destination| destination.fate.can_pass_later())?;
    Some(match &waiting.fate {
        Fate::Failed(error) => error.to_string(),
        _ => format!("another process is publishing it to {}", waiting.recipient.topic),
    })
}

/// Returns the messages in lanes: one for each queue and group, and one for each message without a group.
fn lanes(messages: Vec<Picked>) -> Vec<Vec<Picked>> {
    let mut lanes: Vec<Vec<Picked>> = Vec::new();
    let mut of_groups: HashMap<(String, String), usize> = HashMap::new();
    for picked in messages {
        let Some(group) = &picked.message.group else {
            lanes.push(vec![picked]);
            continue;
        };
        match of_groups.entry((picked.message.queue.label.clone(), group.clone())) {
            Entry::Occupied(lane) => lanes[*lane.get()].push(picked),
            Entry::Vacant(free) => {
                free.insert(lanes.len());
                lanes.push(vec![picked]);
            }
        }
    }
    lanes
}
