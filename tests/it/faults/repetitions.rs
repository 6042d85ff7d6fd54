//! The invariants about events that reach a destination more than once, and about the record of what each destination has.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::checks::{CheckResult, Evidence, violated};
use super::scenario::Expect;
use crate::model::log::{Entry, What};

/// The topics that confirmed an event, each with the number of the log entry and the time.
type Confirmations<'t> = BTreeMap<&'t str, (usize, Duration)>;

impl Evidence<'_> {
    /// Checks that a fault explains every event that is published or quarantined more often than it was sent.
    pub(super) fn every_repetition_has_a_cause(&self) -> CheckResult {
        let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        let broadcasts = self.scenario.broadcasts_of_several_processes();
        for entry in &self.played.log {
            let (event, to, most) = match &entry.what {
                What::Published { event, topic, .. } => {
                    (event, topic, self.sent.get(&**event).copied().unwrap_or_default())
                }
                What::Quarantined { event, message, .. } => (event, message, 1),
                _ => continue,
            };
            let count = counts.entry((event, to)).or_default();
            *count += 1;
            if *count > most && !self.faulty.contains(&**event) && !broadcasts.contains(&**event) {
                return violated(event, format!("{event} reached {to} {count} times, and no fault explains it"));
            }
        }
        Ok(())
    }

    /// Checks that the note of each quarantined message lists exactly those of its destinations that have the event.
    pub(super) fn every_note_lists_the_destinations_that_have_the_event(&self) -> CheckResult {
        let mut published: BTreeSet<(&str, &str)> = BTreeSet::new();
        for entry in &self.played.log {
            match &entry.what {
                What::Published { event, topic, .. } => {
                    published.insert((event, topic));
                }
                What::Quarantined { event, delivered, .. } => {
                    if let Some(topic) = delivered.iter().find(|topic| !published.contains(&(event, topic))) {
                        return violated(event, format!("the note of {event} lists {topic}, which does not have it"));
                    }
                    let topics = self.destinations(event);
                    let missing = topics.keys().find(|topic| !delivered.iter().any(|listed| listed == *topic));
                    if let (Some(topic), false) = (missing, self.refused.contains(&**event)) {
                        return violated(event, format!("the note of {event} does not list {topic}"));
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Checks that no run of the service publishes an event again within the window after its confirmation, nor, if the event
    /// has several destinations, for as long as one of them lacks it. A call that the run had made before the confirmation
    /// can still take effect later.
    pub(super) fn no_confirmed_event_is_published_again(&self) -> CheckResult {
        let mut confirmed: BTreeMap<(u32, &str), Confirmations<'_>> = BTreeMap::new();
        let mut finished: BTreeSet<&str> = BTreeSet::new();
        for (number, Entry { instance, what, at, .. }) in self.played.log.iter().enumerate() {
            if let What::Deleted { event, .. } | What::Quarantined { event, .. } = what {
                finished.insert(event);
            }
            let Some(instance) = *instance else { continue };
            match what {
                What::Confirmed { event, topic, .. } => {
                    confirmed.entry((instance, event)).or_default().entry(topic).or_insert((number, *at));
                }
                What::Published { event, topic, log_length, .. } => {
                    let Some(topics) = confirmed.get(&(instance, event)) else { continue };
                    let Some((number, since)) = topics.get(&**topic) else { continue };
                    let is_unfinished = topics.len() < self.destination_count(event) && !finished.contains(&**event);
                    let is_remembered = is_unfinished || *at < *since + self.scenario.window;
                    if number < log_length && is_remembered {
                        return violated(event, format!("#{instance} published {event} to {topic} again"));
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Returns the number of an event's destinations, with those that cannot get it.
    fn destination_count(&self, event: &str) -> usize {
        match self.expect.get(event) {
            Some(Expect::Broadcast { bodies, .. }) => bodies.len(),
            _ => self.destinations(event).len(),
        }
    }
}
