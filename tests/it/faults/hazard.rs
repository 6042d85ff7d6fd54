//! Hazards: trouble that lasts for seconds or minutes, while events keep coming.

use std::time::Duration;

use fastrand::Rng;

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
}

/// All hazards. One seed in six draws one of them; `PROTOBRIDGE_FAULT_HAZARD=NAME` gives every seed the hazard with this
/// name.
const ALL: [Hazard; 4] = [Hazard::ThrottledTopic, Hazard::RefusingTopic, Hazard::Proxy, Hazard::Outage];

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
    /// The customer whose topic is in trouble, if only one is.
    pub(super) customer: Option<usize>,
    /// Whether nothing else fails. Then the events of other customers must arrive in time.
    pub(super) is_calm: bool,
    /// The limit of receives in the redrive policy of the source queue, if it has one.
    pub(super) max_receives: Option<u32>,
}

/// Gives some scenarios a hazard. Draws from random numbers of its own, so that the other scenarios do not depend on it.
pub(super) fn plant(scenario: &mut Scenario) {
    let random = &mut Rng::with_seed(scenario.seed ^ 0x0bad_da7a);
    let drawn = random.usize(..6 * ALL.len());
    let hazard = match std::env::var("PROTOBRIDGE_FAULT_HAZARD") {
        Ok(name) => *ALL.iter().find(|hazard| format!("{hazard:?}") == name).expect("the hazard has such a name"),
        Err(_) => match ALL.get(drawn) {
            Some(hazard) => *hazard,
            None => return,
        },
    };
    let planted = draw(random, hazard, scenario);
    if planted.max_receives.is_some() {
        // Three receives do not outlast the grace period of an unknown type, nor do ten. The service warns of such a policy.
        scenario.messages.retain(|planned| planned.expect != Expect::Quarantined("unknown_type"));
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
        if planted.customer.is_some() && scenario.fifo {
            planned.message.group = Some(group(planned, number));
        }
    }
    scenario.troubled = scenario.troubled.max(planted.until);
    scenario.hazard = Some(planted);
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
    };
    let from = random.u64(..20);
    let until = from + random.u64(30..=most_seconds);
    let one_topic = matches!(hazard, Hazard::ThrottledTopic | Hazard::RefusingTopic);
    Planted {
        targets,
        trouble,
        from: Duration::from_secs(from),
        until: Duration::from_secs(until),
        customer: one_topic.then_some(customer),
        is_calm: random.bool(),
        max_receives: (hazard == Hazard::Outage).then(|| choose(random, &[3, 10])),
    }
}

fn choose<T: Copy>(random: &mut Rng, list: &[T]) -> T {
    list[random.usize(..list.len())]
}

/// Returns a message group that the events of one customer share, so that trouble of one customer's topic explains no
/// delay of another customer's event.
fn group(planned: &Planned, number: usize) -> String {
    match &planned.expect {
        Expect::Published { customers, .. } if customers.len() == 1 => format!("customer-{}", customers[0]),
        _ => format!("own-{number}"),
    }
}
