//! Claim checks: customers whose events leave as objects of S3, with a pointer in their topic.

use fastrand::Rng;
use protobridge::config::Config;

use super::checks::{CheckResult, Evidence, violated};
use super::scenario::{CUSTOMERS, Expect, MAX_ENTRY_BYTES, Scenario, Setup};
use crate::model::log::What;
use crate::model::{Target, topic_arn};

/// The bucket of claim checks.
const BUCKET: &str = "claims";

/// The claim check of a customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Claim {
    Off,
    /// For events that the topic does not take.
    On,
    Always,
}

/// No customer has claim checks.
pub(crate) const NONE: [Claim; 3] = [Claim::Off; 3];

impl Claim {
    /// Returns the value in the customers file.
    pub(super) fn mode(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::On => "on",
            Self::Always => "always",
        }
    }
}

/// Draws the customers with claim checks, for one scenario in three. Draws from random numbers of its own, so that the rest
/// of a scenario does not depend on it.
pub(super) fn draw(seed: u64) -> [Claim; 3] {
    let mut random = Rng::with_seed(seed ^ 0xc1a1_3c4e);
    if random.u8(..3) > 0 {
        return NONE;
    }
    CUSTOMERS.map(|_| *random.choice(&[Claim::Off, Claim::On, Claim::Always]).expect("the list is not empty"))
}

/// Returns the bucket as a part of the outside that can be in trouble.
pub(super) fn target() -> Target {
    Target::Bucket(BUCKET.to_owned())
}

/// Whether this JSON leaves as a claim check of a customer.
pub(super) fn is_claimed(setup: Setup, customer: usize, json: &str) -> bool {
    match setup.claims.get(customer) {
        // The attributes are small, and no event is nearly as large as the limit.
        Some(Claim::On) => json.len() > MAX_ENTRY_BYTES / 2,
        Some(Claim::Always) => true,
        Some(Claim::Off) | None => false,
    }
}

/// Notes the messages that need the bucket.
pub(super) fn refer(scenario: &mut Scenario) {
    let setup = scenario.setup;
    for planned in &mut scenario.messages {
        let is_needed = match &planned.expect {
            Expect::Published { customers, body } => customers.iter().any(|one| is_claimed(setup, *one, body)),
            Expect::Broadcast { bodies, .. } => {
                let claimed = |(one, body): (usize, &Option<String>)| {
                    body.as_ref().is_some_and(|body| is_claimed(setup, one, body))
                };
                bodies.iter().enumerate().any(claimed)
            }
            Expect::Filtered | Expect::Quarantined(_) => false,
        };
        if is_needed {
            planned.needs.push(target());
        }
    }
}

/// Configures the service for the claim checks.
pub(super) fn configure(config: &mut Config) {
    config.claim_check.bucket = Some(BUCKET.to_owned());
}

impl Evidence<'_> {
    /// Checks that exactly the events of customers with claim checks are published as pointers, that no object changes, and
    /// that an object without a pointer belongs to an event that its topic never took. Whether a pointer leads to the JSON
    /// of its event is checked with all other bodies.
    pub(super) fn every_pointer_has_its_object(&self) -> CheckResult {
        let setup = self.scenario.setup;
        for entry in &self.played.log {
            let What::Published { event, topic, body, claim, .. } = &entry.what else { continue };
            let customer = setup.topics().find(|one| topic_arn(&setup.topic(*one)) == **topic);
            let is_claimed = customer.is_some_and(|one| is_claimed(setup, one, body));
            if claim.is_some() != is_claimed {
                return violated(event, format!("{event} was published to {topic} with the claim check {claim:?}"));
            }
        }
        if let Some(key) = self.played.claims.changed.first() {
            return violated("", format!("the object {key} was replaced by another JSON"));
        }
        for orphan in self.played.claims.orphans() {
            let mut events =
                self.expect.keys().filter(|event| self.destinations(event).values().any(|json| *json == orphan));
            if !events.any(|event| self.can_lack_a_destination(event)) {
                return violated("", format!("no pointer was published to the object with {orphan}"));
            }
        }
        Ok(())
    }

    /// Whether a fault or the limit of its receives can have kept an event from one of its topics for good.
    fn can_lack_a_destination(&self, event: &str) -> bool {
        let of_event =
            self.scenario.messages.iter().zip(&self.played.ids).filter(|(one, _)| &*one.message.name == event);
        let mut ids = of_event.map(|(_, id)| id);
        self.refused.contains(event) || ids.any(|id| self.played.dead.contains(id) || self.played.left.contains(id))
    }
}
