//! The invariants that every scenario must satisfy.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::claims::{self, Claim};
use super::counters;
use super::identity;
use super::play::{LONGEST_DELAY, Played};
use super::scenario::{Expect, Planned, Scenario};
use crate::model::log::{Entry, LOOKUP_FAILED, REFUSED, What};
use crate::model::{Trouble, topic_arn};

/// The longest time from the send of an event to its publish while nothing is in trouble that it depends on.
const IN_TIME: Duration = Duration::from_secs(20);

/// A violated invariant, and the event that it concerns, if it concerns one.
#[derive(Debug)]
pub(super) struct Violation {
    pub(super) event: Option<String>,
    pub(super) what: String,
}

pub(super) type CheckResult = Result<(), Violation>;

pub(super) fn violated<T>(event: &str, what: impl Into<String>) -> Result<T, Violation> {
    Err(Violation { event: Some(event.to_owned()), what: what.into() })
}

/// Checks all invariants.
pub(super) fn all(scenario: &Scenario, played: &Played) -> CheckResult {
    let log = Evidence::of(scenario, played);
    log.only_expected_events_are_published()?;
    log.every_pointer_has_its_object()?;
    log.no_message_is_deleted_before_its_outcome()?;
    log.every_event_arrives()?;
    log.every_note_lists_the_destinations_that_have_the_event()?;
    log.groups_keep_their_order()?;
    log.every_repetition_has_a_cause()?;
    log.held_messages_stay_hidden()?;
    log.every_retry_has_a_delay()?;
    log.exactly_the_confirmed_events_count_as_published()?;
    log.no_confirmed_event_is_published_again()?;
    log.events_without_trouble_arrive_in_time()?;
    identity::no_event_is_discarded_for_another(played)?;
    counters::budgets_hold(scenario, played)?;
    counters::accounts_balance(played)
}

/// The log of a scenario, with indexes by event.
#[derive(Debug)]
pub(super) struct Evidence<'t> {
    pub(super) scenario: &'t Scenario,
    pub(super) played: &'t Played,
    /// The expected outcome of each event, by name.
    pub(super) expect: BTreeMap<&'t str, &'t Expect>,
    /// The ARNs of the topics by their numbers.
    pub(super) topics: BTreeMap<usize, String>,
    /// The number of messages that carry each event.
    pub(super) sent: BTreeMap<&'t str, usize>,
    /// The events that a fault affected. They can arrive twice.
    pub(super) faulty: BTreeSet<&'t str>,
    /// The events that a fault of a single call or the end of a run affected. It can have spent their receives.
    pub(super) unlucky: BTreeSet<&'t str>,
    /// The events that SNS refused.
    pub(super) refused: BTreeSet<&'t str>,
}

impl<'t> Evidence<'t> {
    fn of(scenario: &'t Scenario, played: &'t Played) -> Self {
        let mut evidence = Self {
            scenario,
            played,
            expect: BTreeMap::new(),
            topics: scenario.setup.topics().map(|of| (of, topic_arn(&scenario.setup.topic(of)))).collect(),
            sent: BTreeMap::new(),
            faulty: BTreeSet::new(),
            unlucky: BTreeSet::new(),
            refused: BTreeSet::new(),
        };
        for planned in &scenario.messages {
            evidence.expect.insert(&planned.message.name, &planned.expect);
            *evidence.sent.entry(&planned.message.name).or_default() += 1;
        }
        for entry in &played.log {
            if let What::Fault { event, cause, .. } = &entry.what {
                // A lookup that is made again explains no second publish.
                if *cause != LOOKUP_FAILED {
                    evidence.faulty.insert(event);
                }
                if !Trouble::is_cause(cause) {
                    evidence.unlucky.insert(event);
                }
                if *cause == REFUSED {
                    evidence.refused.insert(event);
                }
            }
        }
        evidence
    }

    /// Returns the ARNs that an event must be published to, each with its body.
    pub(super) fn destinations(&self, event: &str) -> BTreeMap<&str, &'t str> {
        let topic = |customer: usize| self.topics[&customer].as_str();
        match self.expect.get(event) {
            Some(Expect::Published { customers, body }) => {
                customers.iter().map(|customer| (topic(*customer), body.as_str())).collect()
            }
            Some(Expect::Broadcast { bodies, .. }) => {
                let bodies = bodies.iter().enumerate();
                bodies.filter_map(|(customer, body)| Some((topic(customer), body.as_deref()?))).collect()
            }
            Some(Expect::Filtered | Expect::Quarantined(_)) | None => BTreeMap::new(),
        }
    }

    /// Whether all topics that an event must be published to are among these.
    fn is_everywhere(&self, event: &str, published: Option<&BTreeSet<&str>>) -> bool {
        self.destinations(event).keys().all(|topic| published.is_some_and(|published| published.contains(topic)))
    }

    /// Checks that every publish carries an expected event with its expected body to a topic of its customer.
    fn only_expected_events_are_published(&self) -> CheckResult {
        for entry in &self.played.log {
            let What::Published { event, topic, body, .. } = &entry.what else { continue };
            let Some(expected) = self.destinations(event).get(&**topic).copied() else {
                return violated(event, format!("{event} was published to {topic}, which is none of its topics"));
            };
            if body != expected {
                return violated(event, format!("{event} was published as {body}, not as {expected}"));
            }
        }
        Ok(())
    }

    /// Whether a fault other than trouble that lasts cost a message a receive: a fault of the message, or of another one of
    /// its group, because a message that is retried takes those behind it along.
    fn is_unlucky(&self, planned: &Planned) -> bool {
        let is_of_group =
            |other: &&Planned| planned.message.group.is_some() && other.message.group == planned.message.group;
        let mut others = self.scenario.messages.iter().filter(is_of_group);
        self.unlucky.contains(&*planned.message.name) || others.any(|other| self.unlucky.contains(&*other.message.name))
    }

    /// Checks that every message had reached its outcome when it was deleted: published to all its topics, quarantined,
    /// or filtered.
    fn no_message_is_deleted_before_its_outcome(&self) -> CheckResult {
        let mut published: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        let mut quarantined: BTreeSet<&str> = BTreeSet::new();
        for entry in &self.played.log {
            match &entry.what {
                What::Published { event, topic, .. } => {
                    published.entry(event).or_default().insert(topic);
                }
                What::Quarantined { message, .. } => {
                    quarantined.insert(message);
                }
                What::Deleted { event, message, .. } => {
                    let everywhere = || self.is_everywhere(event, published.get(&**event));
                    let reached = match self.expect.get(&**event) {
                        Some(Expect::Filtered) => true,
                        Some(expect) if expect.quarantined().is_some() => quarantined.contains(&**message),
                        Some(_) => everywhere() || quarantined.contains(&**message),
                        None => continue,
                    };
                    if !reached {
                        return violated(
                            event,
                            format!("{event} was deleted ({message}) before its outcome was reached"),
                        );
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Checks that, at the end, every event is where it belongs and no other message is left on the source queue.
    fn every_event_arrives(&self) -> CheckResult {
        let (mut published, mut quarantined) = (BTreeMap::<&str, BTreeSet<&str>>::new(), BTreeMap::new());
        for entry in &self.played.log {
            match &entry.what {
                What::Published { event, topic, .. } => {
                    published.entry(event).or_default().insert(topic);
                }
                What::Quarantined { message, reason, .. } => {
                    quarantined.insert(&**message, reason.as_str());
                }
                _ => {}
            }
        }
        for (id, planned) in self.played.ids.iter().zip(&self.scenario.messages) {
            let event = &*planned.message.name;
            let (is_left, reason) = (self.played.left.contains(id), quarantined.get(&**id).copied());
            let is_dead = self.played.dead.contains(id);
            let is_refused = reason == Some("publish_refused") && self.refused.contains(event);
            match (planned.expect.quarantined(), reason) {
                // The scenario does not wait for the destinations of a message that cannot leave its queue.
                (Some(_), None) if is_dead && !self.scenario.quarantine => continue,
                (_, _) if is_dead && self.is_unlucky(planned) => continue,
                (_, _) if is_dead => return violated(event, format!("{event} is in the dead-letter queue ({id})")),
                (Some(_), None) if !self.scenario.quarantine && is_left => continue,
                (Some(_), None) if !self.scenario.quarantine => {
                    return violated(
                        event,
                        format!("{event} was deleted from its queue, but there is no quarantine queue"),
                    );
                }
                (_, _) if is_left => return violated(event, format!("{event} is still on its queue ({id})")),
                (Some(expected), Some(reason)) if expected == reason => {}
                (_, Some(_)) if is_refused && !self.destinations(event).is_empty() => {}
                (Some(expected), reason) => {
                    return violated(event, format!("{event} must be in quarantine as {expected}, but is: {reason:?}"));
                }
                (None, Some(reason)) => {
                    return violated(event, format!("{event} is in quarantine as {reason} but must not be"));
                }
                (None, None) => {}
            }
            // The destinations that can get the event have it, also if the message is quarantined because of another one.
            if !self.is_everywhere(event, published.get(event)) && !self.refused.contains(event) {
                return violated(
                    event,
                    format!("{event} was published to these topics only: {:?}", published.get(event)),
                );
            }
        }
        Ok(())
    }

    /// Checks that events arrive in time while only one topic, one bucket or the registry is in trouble and they do not
    /// depend on it.
    fn events_without_trouble_arrive_in_time(&self) -> CheckResult {
        let hazard = self.scenario.hazard.as_ref().filter(|hazard| hazard.is_calm && hazard.is_partial());
        let Some(hazard) = hazard else { return Ok(()) };
        let waiting = self.scenario.messages.iter().filter(|planned| hazard.concerns(planned));
        let waiting: BTreeSet<&str> = waiting.map(|planned| &*planned.message.name).collect();
        // Of a broadcast that waits for the bucket of claim checks, only the customers wait that have them.
        let setup = self.scenario.setup;
        let has_claims = |topic: &str| {
            let mut having =
                setup.topics().filter(|one| setup.claims.get(*one).is_some_and(|claim| *claim != Claim::Off));
            having.any(|one| self.topics[&one] == topic)
        };
        let can_wait = |topic: &str| hazard.targets != [claims::target()] || has_claims(topic);
        let is_spared =
            |event: &str, topic: &str| !(hazard.is_about_topic(topic) || waiting.contains(event) && can_wait(topic));
        let (mut sent, mut published) = (BTreeMap::<&str, Duration>::new(), BTreeSet::new());
        for entry in &self.played.log {
            match &entry.what {
                What::Sent { event, .. } => {
                    sent.entry(event).or_insert(entry.at);
                }
                What::Published { event, topic, .. } if is_spared(event, topic) && published.insert((event, topic)) => {
                    let took = entry.at - sent[&**event];
                    if took > IN_TIME {
                        return violated(event, format!("{event} reached {topic} after {took:?}"));
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Checks that the events of a group first arrive at a FIFO topic in the order in which they were sent.
    fn groups_keep_their_order(&self) -> CheckResult {
        if !self.scenario.fifo {
            return Ok(());
        }
        let order: BTreeMap<&str, usize> =
            self.scenario.messages.iter().enumerate().rev().map(|(at, planned)| (&*planned.message.name, at)).collect();
        let dead = self.played.log.iter().filter_map(|entry| match &entry.what {
            What::DeadLettered { event, .. } => Some(&**event),
            _ => None,
        });
        let dead: BTreeSet<&str> = dead.collect();
        let (mut known, mut last) = (BTreeSet::new(), BTreeMap::<(&str, &str), &str>::new());
        for entry in &self.played.log {
            let What::Published { event, topic, group: Some(group), .. } = &entry.what else { continue };
            // Skip events that were sent twice: the second message has another group, and either can be first. Skip
            // events that SNS refused and those that SQS moved to the dead-letter queue: they do not block later events,
            // and SNS can accept them later, even by a call that was already on its way when SQS moved the message.
            let can_be_late = self.refused.contains(&**event) || dead.contains(&**event);
            let is_ordered = self.sent.get(&**event) == Some(&1) && !can_be_late;
            if !is_ordered || !known.insert((topic, event)) {
                continue;
            }
            if let Some(before) = last.insert((topic, group), event)
                && order[before] > order[&**event]
            {
                return violated(event, format!("{event} came after {before} in group {group} at {topic}"));
            }
        }
        Ok(())
    }

    /// Checks that SQS does not hand out a message again while the service holds it, even if the publish is slow or the
    /// delete fails. The exceptions are faults of receiving or hiding the message, and the end of the service.
    fn held_messages_stay_hidden(&self) -> CheckResult {
        // The event and the holder of each message that the service may still hold, by message id.
        let mut holders: BTreeMap<&str, (&str, u32)> = BTreeMap::new();
        let mut affected: BTreeSet<&str> = BTreeSet::new();
        for Entry { instance, what, .. } in &self.played.log {
            match what {
                What::Fault { event, onward: false, .. } => {
                    affected.insert(event);
                }
                What::Stopping | What::Crashed => holders.retain(|_, (_, holder)| Some(*holder) != *instance),
                // The delay can be that of a retry, after which the service no longer holds the message.
                What::Hidden { event, seconds } if *seconds <= LONGEST_DELAY => {
                    holders.retain(|_, (held, _)| *held != &**event);
                }
                What::Handed { event, message, .. } => {
                    let holder = instance.expect("each received message names the run that received it");
                    let before = holders.insert(message, (event, holder));
                    if let (Some((_, before)), false) = (before, affected.contains(&**event)) {
                        return violated(
                            event,
                            format!("{event} was received again while #{before} held it ({message})"),
                        );
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Checks that the service returns messages to the queue with a delay, except while it stops.
    fn every_retry_has_a_delay(&self) -> CheckResult {
        let mut stopping = BTreeSet::new();
        for Entry { instance, what, .. } in &self.played.log {
            match what {
                What::Stopping => {
                    stopping.insert(instance);
                }
                What::Hidden { event, seconds: 0 } if !stopping.contains(instance) => {
                    return violated(event, format!("{event} was returned to the queue without a delay"));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Checks that a run that stopped by itself counts exactly those events as published that all their topics confirmed
    /// to it.
    fn exactly_the_confirmed_events_count_as_published(&self) -> CheckResult {
        for ended in &self.played.ended {
            let mut confirmed: BTreeMap<(&str, &str), u64> = BTreeMap::new();
            for entry in self.played.log.iter().filter(|entry| entry.instance == Some(ended.instance)) {
                if let What::Confirmed { event, topic, .. } = &entry.what {
                    *confirmed.entry((event, topic)).or_default() += 1;
                }
            }
            let (mut fewest, mut most) = (0, 0);
            for (event, _) in self.expect.iter().filter(|(_, expect)| expect.quarantined().is_none()) {
                let topics = self.destinations(event);
                let counts =
                    || topics.keys().map(|topic| confirmed.get(&(*event, *topic)).copied().unwrap_or_default());
                let everywhere = counts().min().unwrap_or_default();
                fewest += everywhere;
                // The window can still have one topic's delivery when the event comes in another message, and no longer
                // that of another topic. This message counts as published, too.
                let can_be_partly_known = self.sent.get(*event) > Some(&1);
                most += if can_be_partly_known { counts().max().unwrap_or_default() } else { everywhere };
            }
            // A message that the drain abandoned is not settled, even if all its topics have confirmed it.
            if ended.published > most || ended.published + ended.abandoned < fewest {
                let what = format!("{ended:?}, but {fewest} to {most} events were confirmed by all their topics");
                return Err(Violation { event: None, what });
            }
        }
        Ok(())
    }
}
