//! What happened in a played scenario, by the log of the model: the truth that the journal is compared with.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use protobridge::delivery::dedupe::MessageId;

use crate::faults::play::{Ended, Played};
use crate::faults::scenario::{CUSTOMERS, Expect, FALLBACK, ORDER, Planned, Scenario};
use crate::model::attempts::Attempt;
use crate::model::log::What;
use crate::model::{SHARED_ID, topic_arn};

/// A receive: the id of the message, and how often it was received.
pub(super) type Receive<'t> = (&'t str, u32);

/// A publish that SNS accepted.
#[derive(Debug)]
pub(super) struct Publish<'t> {
    pub(super) event: &'t str,
    pub(super) topic: &'t str,
    pub(super) clock: SystemTime,
}

/// A publish whose confirmation reached a run of the service.
#[derive(Debug)]
pub(super) struct Confirmation<'t> {
    pub(super) instance: u32,
    pub(super) event: &'t str,
    pub(super) number: u64,
    pub(super) topic: &'t str,
}

/// What happened, with indexes.
#[derive(Debug)]
pub(super) struct Facts<'t> {
    played: &'t Played,
    topics: BTreeMap<usize, String>,
    /// All runs of the service.
    pub(super) instances: BTreeSet<u32>,
    /// The messages by their ids.
    pub(super) messages: BTreeMap<&'t str, &'t Planned>,
    /// The ids of the messages by the text with which the service names them.
    pub(super) named: BTreeMap<String, &'t str>,
    /// The run that each receive reached.
    pub(super) handed: BTreeMap<Receive<'t>, u32>,
    /// When a message was deleted with the handle of this receive.
    pub(super) deleted: BTreeMap<Receive<'t>, SystemTime>,
    /// The messages in quarantine, each with its reason.
    pub(super) quarantined: BTreeSet<(&'t str, &'t str)>,
    /// The publishes by their numbers.
    pub(super) published: BTreeMap<u64, Publish<'t>>,
    pub(super) confirmed: Vec<Confirmation<'t>>,
    /// When each run crashed.
    pub(super) crashed: BTreeMap<u32, Duration>,
}

impl<'t> Facts<'t> {
    pub(super) fn of(scenario: &'t Scenario, played: &'t Played) -> Self {
        let messages: BTreeMap<&str, &Planned> = played.ids.iter().map(|id| &**id).zip(&scenario.messages).collect();
        let mut facts = Self {
            played,
            topics: scenario.setup.topics().map(|of| (of, topic_arn(&scenario.setup.topic(of)))).collect(),
            instances: BTreeSet::new(),
            named: messages.keys().map(|id| (MessageId::new(id).to_string(), *id)).collect(),
            messages,
            handed: BTreeMap::new(),
            deleted: BTreeMap::new(),
            quarantined: BTreeSet::new(),
            published: BTreeMap::new(),
            confirmed: Vec::new(),
            crashed: BTreeMap::new(),
        };
        for entry in &played.log {
            let instance = entry.instance.unwrap_or_default();
            match &entry.what {
                What::Started => {
                    facts.instances.insert(instance);
                }
                What::Handed { message, receives, .. } => {
                    facts.handed.insert((message, *receives), instance);
                }
                What::Deleted { message, receives, .. } => {
                    facts.deleted.insert((message, *receives), entry.clock);
                }
                What::Quarantined { message, reason, .. } => {
                    facts.quarantined.insert((message, reason));
                }
                What::Published { event, number, topic, .. } => {
                    facts.published.insert(*number, Publish { event, topic, clock: entry.clock });
                }
                What::Confirmed { event, number, topic } => {
                    facts.confirmed.push(Confirmation { instance, event, number: *number, topic });
                }
                What::Crashed => {
                    facts.crashed.insert(instance, entry.at);
                }
                _ => {}
            }
        }
        facts
    }

    /// Returns the counters of a run that stopped in order; `None` if the run crashed.
    pub(super) fn stopped(&self, instance: u32) -> Option<&'t Ended> {
        self.played.ended.iter().find(|ended| ended.instance == instance)
    }

    /// Returns the receives that reached a run.
    pub(super) fn received_by(&self, instance: u32) -> impl Iterator<Item = Receive<'t>> {
        self.handed.iter().filter(move |(_, by)| **by == instance).map(|(receive, _)| *receive)
    }

    /// Returns the attempts of a run at an event for a topic, in order.
    pub(super) fn attempts(&self, instance: u32) -> BTreeMap<(&'t str, &'t str), Vec<&'t Attempt>> {
        let mut attempts = BTreeMap::<_, Vec<_>>::new();
        for attempt in self.played.attempts.iter().filter(|attempt| attempt.instance == instance) {
            attempts.entry((&*attempt.event, &*attempt.topic)).or_default().push(attempt);
        }
        attempts
    }

    /// Returns the first time after a moment of the clock at which anything happened.
    pub(super) fn next_after(&self, clock: SystemTime) -> Option<Duration> {
        self.played.log.iter().find(|entry| entry.clock > clock).map(|entry| entry.at)
    }

    /// Returns the topics of a message's destinations, including those that cannot get it, each with its customer.
    pub(super) fn destinations(&self, planned: &'t Planned) -> BTreeMap<&str, &'t str> {
        let of = |number: usize| {
            let customer = CUSTOMERS.get(number).copied().unwrap_or_else(|| stranger(planned));
            (self.topics[&number].as_str(), customer)
        };
        match &planned.expect {
            Expect::Published { customers, .. } => customers.iter().map(|number| of(*number)).collect(),
            Expect::Broadcast { bodies, .. } => (0..bodies.len()).map(of).collect(),
            Expect::Filtered | Expect::Quarantined(_) => BTreeMap::new(),
        }
    }
}

/// Returns the customer of an event whose customer the service does not know.
fn stranger(planned: &Planned) -> &str {
    assert!(planned.expect != Expect::Filtered && FALLBACK == CUSTOMERS.len());
    match planned.message.name.rsplit_once('/') {
        Some((_, customer)) => customer,
        None => "stranger",
    }
}

/// Returns the event id of a message.
pub(super) fn event_id(planned: &Planned) -> &str {
    let name = &*planned.message.name;
    if name.starts_with(SHARED_ID) { name.split('/').next().unwrap_or(name) } else { name }
}

/// Returns the type of a message. A message that does not name its type names a schema of this type.
pub(super) fn event_type(planned: &Planned) -> &str {
    planned.message.attributes["message-type"]["StringValue"].as_str().unwrap_or(ORDER)
}

/// Returns the moment of a time in a row.
pub(super) fn moment(micros: i64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_micros(micros as u64)
}

/// Returns a moment of the log with the precision of a row.
pub(super) fn in_micros(clock: SystemTime) -> SystemTime {
    moment(protobridge::base::time::unix_micros(clock))
}

/// Returns the number of the publish that an SNS message id belongs to.
pub(super) fn publish_number(sns_message_id: &str) -> Option<u64> {
    sns_message_id.strip_prefix("sns-")?.parse().ok()
}
