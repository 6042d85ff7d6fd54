//! Hazards: trouble that lasts for seconds or minutes, while events keep coming.

use std::time::Duration;

use fastrand::Rng;

use super::claims;
use super::references;
use super::scenario::{Expect, Planned, Scenario};
use crate::model::{Faults, Target, Trouble, topic_arn};

/// A kind of trouble that lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hazard {
    /// One topic has a small quota, or the quota of its key is exhausted.
    ThrottledTopic,
    /// One topic refuses all calls: its key is disabled, or its endpoint does not know it.
    RefusingTopic,
    /// A proxy answers for SNS, for SQS or for both.
    Proxy,
    /// SNS is down for minutes, and the source queue has a redrive policy.
    Outage,
    /// One S3 bucket is down, or a proxy answers for it.
    Bucket,
    /// The schema registry is down, or a proxy answers for it.
    SchemaRegistry,
    /// The bucket of claim checks is down, denies all calls, or a proxy answers for it.
    ClaimBucket,
}

/// All hazards, apart from that of the bucket of claim checks. One seed in six draws one of them, and one in three of the others
/// with claim checks draws that of their bucket; `PROTOBRIDGE_FAULT_HAZARD=NAME` gives every seed the hazard with this name.
const ALL: [Hazard; 6] = [
    Hazard::ThrottledTopic,
    Hazard::RefusingTopic,
    Hazard::Proxy,
    Hazard::Outage,
    Hazard::Bucket,
    Hazard::SchemaRegistry,
];

/// The codes with which a topic refuses every call, although no message is at fault.
pub(crate) const REFUSING_CODES: [&str; 5] =
    ["KMSDisabled", "KMSInvalidState", "KMSNotFound", "EndpointDisabled", "InvalidAction"];
/// The statuses with which a proxy answers in HTML.
pub(crate) const PROXY_STATUSES: [u16; 4] = [400, 403, 413, 502];

/// A hazard of a scenario.
#[derive(Debug)]
pub(super) struct Planted {
    pub(super) targets: Vec<Target>,
    pub(super) trouble: Trouble,
    /// The times from the start between which the targets are in trouble.
    pub(super) from: Duration,
    pub(super) until: Duration,
    /// Whether nothing else fails. Then the events that do not depend on the targets must arrive in time.
    pub(super) is_calm: bool,
    /// The limit of receives in the redrive policy of the source queue, if it has one.
    pub(super) max_receives: Option<u32>,
}

impl Planted {
    /// Whether the hazard concerns a part of the events: those of one topic, of one bucket or of the registry.
    pub(super) fn is_partial(&self) -> bool {
        self.targets.iter().all(|target| !matches!(target, Target::Sns | Target::Sqs))
    }

    /// Whether the topic with this ARN is in trouble by itself.
    pub(super) fn is_about_topic(&self, arn: &str) -> bool {
        self.targets.contains(&Target::Topic(arn.to_owned()))
    }

    /// Whether a message depends on a bucket or on the registry that is in trouble.
    pub(super) fn concerns(&self, message: &Planned) -> bool {
        message.needs.iter().any(|target| self.targets.contains(target))
    }
}

/// Gives some scenarios references, and some a hazard. Draws from random numbers of its own, so that the rest of a scenario
/// does not depend on it.
pub(super) fn plant(scenario: &mut Scenario) {
    let random = &mut Rng::with_seed(scenario.seed ^ 0x0bad_da7a);
    let drawn = random.usize(..6 * ALL.len());
    let hazard = match std::env::var("PROTOBRIDGE_FAULT_HAZARD") {
        Ok(name) => {
            let mut all = ALL.iter().chain(&[Hazard::ClaimBucket]);
            Some(*all.find(|hazard| format!("{hazard:?}") == name).expect("the hazard has such a name"))
        }
        Err(_) => ALL.get(drawn).copied().or_else(|| claim_bucket(scenario)),
    };
    references::refer(scenario, hazard);
    let Some(hazard) = hazard else { return };
    let planted = draw(random, hazard, scenario);
    if planted.max_receives.is_some() {
        // Three receives do not outlast the grace period of an unknown type or of a missing object, nor do ten. The
        // service warns of such a policy.
        scenario.messages.retain(|planned| match planned.expect {
            Expect::Quarantined("unknown_type") => false,
            Expect::Quarantined("bad_envelope") => planned.needs.is_empty(),
            _ => true,
        });
    }
    if planted.is_calm {
        scenario.faults = Faults::none();
        scenario.competitors.clear();
        scenario.replicas.iter_mut().for_each(Vec::clear);
        scenario.small_budget = false;
    }
    let mut times: Vec<u64> =
        scenario.messages.iter().map(|_| random.u64(..planted.until.as_millis() as u64 + 20_000)).collect();
    times.sort_unstable();
    for (number, (planned, at)) in scenario.messages.iter_mut().zip(times).enumerate() {
        planned.at = Duration::from_millis(at);
        if planted.is_partial() && scenario.fifo {
            planned.message.group = Some(group(&planted, planned, number));
        }
    }
    scenario.troubled = scenario.troubled.max(planted.until);
    scenario.hazard = Some(planted);
}

/// Draws the hazard of the bucket of claim checks.
fn claim_bucket(scenario: &Scenario) -> Option<Hazard> {
    let is_drawn = Rng::with_seed(scenario.seed ^ 0xc1a1_ba2d).u8(..3) == 0;
    (is_drawn && scenario.setup.claims != claims::NONE).then_some(Hazard::ClaimBucket)
}

fn draw(random: &mut Rng, hazard: Hazard, scenario: &Scenario) -> Planted {
    let topic_of = |customer: usize| vec![Target::Topic(topic_arn(&scenario.setup.topic(customer)))];
    let customer = random.usize(..scenario.setup.customers);
    let (most_seconds, targets, trouble) = match hazard {
        Hazard::ThrottledTopic => {
            let trouble = [Trouble::Quota(0.2), Trouble::Quota(1.0), Trouble::Throttled("KMSThrottling")];
            (300, topic_of(customer), choose(random, &trouble))
        }
        Hazard::RefusingTopic => (300, topic_of(customer), Trouble::Refused(choose(random, &REFUSING_CODES))),
        Hazard::Proxy => {
            let targets = [vec![Target::Sns], vec![Target::Sqs], vec![Target::Sns, Target::Sqs]];
            let targets = targets[random.usize(..targets.len())].clone();
            (120, targets, Trouble::Html(choose(random, &PROXY_STATUSES)))
        }
        Hazard::Outage => {
            let trouble = [Trouble::Disconnected, Trouble::Unavailable, Trouble::Hangs];
            (30 * 60, vec![Target::Sns], choose(random, &trouble))
        }
        Hazard::Bucket => {
            (300, vec![Target::Bucket(references::bucket(random).to_owned())], trouble_of_lookups(random))
        }
        Hazard::SchemaRegistry => (300, vec![Target::SchemaRegistry], trouble_of_lookups(random)),
        Hazard::ClaimBucket => {
            let refused = Trouble::Refused(choose(random, &["KMS.DisabledException", "PermanentRedirect"]));
            let unanswered = trouble_of_lookups(random);
            (300, vec![claims::target()], choose(random, &[refused, unanswered]))
        }
    };
    let from = random.u64(..20);
    let until = from + random.u64(30..=most_seconds);
    Planted {
        targets,
        trouble,
        from: Duration::from_secs(from),
        until: Duration::from_secs(until),
        is_calm: random.bool(),
        max_receives: match hazard {
            Hazard::Outage => Some(choose(random, &[3, 10])),
            Hazard::Bucket | Hazard::SchemaRegistry | Hazard::ClaimBucket => choose(random, &[None, Some(3), Some(10)]),
            Hazard::ThrottledTopic | Hazard::RefusingTopic | Hazard::Proxy => None,
        },
    }
}

fn trouble_of_lookups(random: &mut Rng) -> Trouble {
    let proxy = Trouble::Html(choose(random, &PROXY_STATUSES));
    choose(random, &[Trouble::Hangs, Trouble::Unavailable, Trouble::Disconnected, proxy])
}

fn choose<T: Copy>(random: &mut Rng, list: &[T]) -> T {
    list[random.usize(..list.len())]
}

/// Returns a message group that the events of one customer share if all of them or none depend on the hazard's targets, so
/// that the hazard explains no delay of the others.
fn group(planted: &Planted, planned: &Planned, number: usize) -> String {
    let waits = if planted.concerns(planned) { "waiting-" } else { "" };
    match &planned.expect {
        Expect::Published { customers, .. } if customers.len() == 1 => format!("{waits}customer-{}", customers[0]),
        _ => format!("own-{number}"),
    }
}
