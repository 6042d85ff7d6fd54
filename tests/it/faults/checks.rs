//! What has to hold in every life.

use std::collections::{BTreeMap, BTreeSet};

use super::play::{LONGEST_DELAY, Played, SMALL_BUDGET};
use super::scenario::{Expect, Scenario};
use crate::model::log::{Entry, REFUSED, What};

/// What does not hold, and for which event.
#[derive(Debug)]
pub(super) struct Violation {
    pub(super) event: Option<String>,
    pub(super) what: String,
}

type Verdict = Result<(), Violation>;

fn violated<T>(event: &str, what: impl Into<String>) -> Result<T, Violation> {
    Err(Violation { event: Some(event.to_owned()), what: what.into() })
}

/// Everything. `window` says whether the service remembers what it has published.
pub(super) fn all(scenario: &Scenario, played: &Played, window: bool) -> Verdict {
    let log = Told::of(scenario, played);
    log.nothing_else_is_published()?;
    log.nothing_is_deleted_before_its_outcome()?;
    log.every_event_arrives()?;
    log.groups_keep_their_order()?;
    log.what_is_repeated_has_a_cause()?;
    log.nothing_lapses_in_good_hands()?;
    log.nothing_is_given_back_at_once()?;
    log.published_is_what_was_confirmed()?;
    if window {
        log.nobody_repeats_what_was_confirmed()?;
    }
    budgets_hold(scenario, played)?;
    accounts_balance(played)
}

/// A log, read with the scenario in hand.
#[derive(Debug)]
struct Told<'t> {
    scenario: &'t Scenario,
    played: &'t Played,
    /// What has to become of each event, by name.
    expect: BTreeMap<&'t str, &'t Expect>,
    /// How many messages carry each event.
    sent: BTreeMap<&'t str, usize>,
    /// Events that something happened to after which they may come twice.
    faulty: BTreeSet<&'t str>,
    /// Events that SNS refused.
    refused: BTreeSet<&'t str>,
}

impl<'t> Told<'t> {
    fn of(scenario: &'t Scenario, played: &'t Played) -> Self {
        let mut told = Self {
            scenario,
            played,
            expect: BTreeMap::new(),
            sent: BTreeMap::new(),
            faulty: BTreeSet::new(),
            refused: BTreeSet::new(),
        };
        for planned in &scenario.messages {
            told.expect.insert(&planned.message.name, &planned.expect);
            *told.sent.entry(&planned.message.name).or_default() += 1;
        }
        for entry in &played.log {
            if let What::Fault { event, cause, .. } = &entry.what {
                told.faulty.insert(event);
                if *cause == REFUSED {
                    told.refused.insert(event);
                }
            }
        }
        told
    }

    /// The ARNs that an event has to be published to, and the body.
    fn destinations(&self, event: &str) -> Option<(BTreeSet<String>, &'t str)> {
        let Some(Expect::Published { customers, body }) = self.expect.get(event) else { return None };
        let arn =
            |customer: &usize| format!("arn:aws:sns:eu-west-1:000000000000:{}", self.scenario.setup.topic(*customer));
        Some((customers.iter().map(arn).collect(), body))
    }

    /// Every publish is that of an event, to a topic of its customer, as it was sent.
    fn nothing_else_is_published(&self) -> Verdict {
        for entry in &self.played.log {
            let What::Published { event, topic, body, .. } = &entry.what else { continue };
            let Some((topics, expected)) = self.destinations(event) else {
                return violated(event, format!("{event} was published, and should not be"));
            };
            if !topics.contains(topic) {
                return violated(event, format!("{event} was published to {topic}, which is none of its topics"));
            }
            if body != expected {
                return violated(event, format!("{event} was published as {body}, not as {expected}"));
            }
        }
        Ok(())
    }

    /// At the moment of a delete, the outcome has been reached: published everywhere, in quarantine, or filtered.
    fn nothing_is_deleted_before_its_outcome(&self) -> Verdict {
        let mut published: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
        let mut quarantined: BTreeSet<&str> = BTreeSet::new();
        for entry in &self.played.log {
            match &entry.what {
                What::Published { event, topic, .. } => {
                    published.entry(event).or_default().insert(topic.clone());
                }
                What::Quarantined { message, .. } => {
                    quarantined.insert(message);
                }
                What::Deleted { event, message } => {
                    let everywhere =
                        || self.destinations(event).map(|(topics, _)| topics) == published.get(&**event).cloned();
                    let reached = match self.expect.get(&**event) {
                        Some(Expect::Filtered) => true,
                        Some(Expect::Published { .. }) => everywhere() || quarantined.contains(&**message),
                        Some(Expect::Quarantined(_)) => quarantined.contains(&**message),
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

    /// In the end, everything is where it belongs and nothing is left.
    fn every_event_arrives(&self) -> Verdict {
        let (mut published, mut quarantined) = (BTreeMap::<&str, BTreeSet<String>>::new(), BTreeMap::new());
        for entry in &self.played.log {
            match &entry.what {
                What::Published { event, topic, .. } => {
                    published.entry(event).or_default().insert(topic.clone());
                }
                What::Quarantined { message, reason, .. } => {
                    quarantined.insert(message.as_str(), reason.as_str());
                }
                _ => {}
            }
        }
        for (id, planned) in self.played.ids.iter().zip(&self.scenario.messages) {
            let event = planned.message.name.as_str();
            let (is_left, reason) = (self.played.left.contains(id), quarantined.get(id.as_str()).copied());
            match (&planned.expect, reason) {
                (Expect::Quarantined(_), None) if !self.scenario.quarantine && is_left => {}
                (Expect::Quarantined(_), None) if !self.scenario.quarantine => {
                    return violated(event, format!("{event} is gone from its queue, and there is no quarantine"));
                }
                (_, _) if is_left => return violated(event, format!("{event} is still on its queue ({id})")),
                (Expect::Quarantined(expected), Some(reason)) if *expected == reason => {}
                (Expect::Quarantined(expected), reason) => {
                    return violated(event, format!("{event} should be in quarantine as {expected}: {reason:?}"));
                }
                (Expect::Published { .. }, Some("publish_refused")) if self.refused.contains(event) => {}
                (_, Some(reason)) => {
                    return violated(event, format!("{event} is in quarantine as {reason}, and should not be"));
                }
                (Expect::Filtered, None) => {}
                (Expect::Published { .. }, None) => {
                    let topics = self.destinations(event).map(|(topics, _)| topics);
                    if topics.as_ref() != published.get(event) {
                        return violated(event, format!("{event} was published to {:?}", published.get(event)));
                    }
                }
            }
        }
        Ok(())
    }

    /// On FIFO topics, the events of a group arrive for the first time in the order in which they were sent.
    fn groups_keep_their_order(&self) -> Verdict {
        if !self.scenario.fifo {
            return Ok(());
        }
        let order: BTreeMap<&str, usize> = self
            .scenario
            .messages
            .iter()
            .enumerate()
            .rev()
            .map(|(at, planned)| (planned.message.name.as_str(), at))
            .collect();
        let (mut known, mut last) = (BTreeSet::new(), BTreeMap::<(&str, &str), &str>::new());
        for entry in &self.played.log {
            let What::Published { event, topic, group: Some(group), .. } = &entry.what else { continue };
            // What was sent twice has a second group, and may come by either. What SNS refused does not hold up those
            // behind it, and if it comes again, SNS may take it.
            let once = self.sent.get(&**event) == Some(&1) && !self.refused.contains(&**event);
            if !once || !known.insert((topic, event)) {
                continue;
            }
            if let Some(before) = last.insert((topic, group), event)
                && order[before] > order[&**event]
            {
                return violated(event, format!("{event} came after {before} to {topic} in {group}"));
            }
        }
        Ok(())
    }

    /// What is published or quarantined more often than it was sent has suffered from something.
    fn what_is_repeated_has_a_cause(&self) -> Verdict {
        let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
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
            if *count > most && !self.faulty.contains(&**event) {
                return violated(event, format!("{event} came {count} times to {to}, without a cause"));
            }
        }
        Ok(())
    }

    /// A message does not come again while the service has it, unless SQS went wrong or the service ended, however long
    /// its way to a topic takes and however often its delete fails.
    fn nothing_lapses_in_good_hands(&self) -> Verdict {
        // Whoever has the message with this id, and may not have let go of it.
        let mut holders: BTreeMap<&str, (&str, u32)> = BTreeMap::new();
        let mut ailing: BTreeSet<&str> = BTreeSet::new();
        for Entry { instance, what, .. } in &self.played.log {
            match what {
                What::Fault { event, onward: false, .. } => {
                    ailing.insert(event);
                }
                What::Stopping | What::Crashed => holders.retain(|_, (_, holder)| Some(*holder) != *instance),
                // A delay that may be that of a retry.
                What::Hidden { event, seconds } if *seconds <= LONGEST_DELAY => {
                    holders.retain(|_, (held, _)| held != event);
                }
                What::Handed { event, message, .. } => {
                    let holder = instance.expect("messages are handed to somebody");
                    let before = holders.insert(message, (event, holder));
                    if let (Some((_, before)), false) = (before, ailing.contains(&**event)) {
                        return violated(event, format!("{event} came again while #{before} had it ({message})"));
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// A message is given back with a delay, unless the service stops.
    fn nothing_is_given_back_at_once(&self) -> Verdict {
        let mut stopping = BTreeSet::new();
        for Entry { instance, what, .. } in &self.played.log {
            match what {
                What::Stopping => {
                    stopping.insert(instance);
                }
                What::Hidden { event, seconds: 0 } if !stopping.contains(instance) => {
                    return violated(event, format!("{event} was given back without a delay"));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Who stopped in peace counts as published what was confirmed to it, by all topics, and no more.
    fn published_is_what_was_confirmed(&self) -> Verdict {
        for ended in &self.played.ended {
            let mut confirmed: BTreeMap<(&str, &str), u64> = BTreeMap::new();
            for entry in self.played.log.iter().filter(|entry| entry.instance == Some(ended.instance)) {
                if let What::Confirmed { event, topic, .. } = &entry.what {
                    *confirmed.entry((event, topic)).or_default() += 1;
                }
            }
            let everywhere = |event: &str| {
                let (topics, _) = self.destinations(event)?;
                topics.iter().map(|topic| confirmed.get(&(event, topic)).copied().unwrap_or_default()).min()
            };
            let most: u64 = self.expect.keys().filter_map(|event| everywhere(event)).sum();
            if ended.published > most {
                let what = format!("{ended:?}, but {most} events were confirmed to it everywhere");
                return Err(Violation { event: None, what });
            }
        }
        Ok(())
    }

    /// No run of the service publishes again what was confirmed to it. What was on its way then may arrive later.
    fn nobody_repeats_what_was_confirmed(&self) -> Verdict {
        let mut confirmed: BTreeMap<(u32, &str, &str), usize> = BTreeMap::new();
        for (at, Entry { instance, what, .. }) in self.played.log.iter().enumerate() {
            let Some(instance) = instance else { continue };
            match what {
                What::Confirmed { event, topic, .. } => {
                    confirmed.entry((*instance, event, topic)).or_insert(at);
                }
                What::Published { event, topic, asked, .. }
                    if confirmed.get(&(*instance, event, topic)).is_some_and(|confirmed| confirmed < asked) =>
                {
                    return violated(event, format!("#{instance} published {event} to {topic} again"));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// No more messages are in flight than the configuration allows.
fn budgets_hold(scenario: &Scenario, played: &Played) -> Verdict {
    if scenario.small_budget && played.most_in_flight > SMALL_BUDGET {
        let what = format!("{} messages were in flight, and the budget is {SMALL_BUDGET}", played.most_in_flight);
        return Err(Violation { event: None, what });
    }
    Ok(())
}

/// Whoever stopped in peace has received what it settled, and counted all that reached it.
fn accounts_balance(played: &Played) -> Verdict {
    for ended in &played.ended {
        let handed =
            |entry: &&Entry| entry.instance == Some(ended.instance) && matches!(entry.what, What::Handed { .. });
        let handed = played.log.iter().filter(handed).count() as u64;
        if ended.received != handed {
            let what = format!("{ended:?}, but {handed} messages had reached it");
            return Err(Violation { event: None, what });
        }
        if ended.received != ended.settled || ended.open != 0 {
            return Err(Violation { event: None, what: format!("received = settled: {ended:?}") });
        }
    }
    Ok(())
}
