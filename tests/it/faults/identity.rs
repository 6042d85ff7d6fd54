//! Different events with one id: of two types, and of two customers whose events go to the same topic.

use std::collections::BTreeSet;

use fastrand::Rng;

use super::checks::{CheckResult, violated};
use super::play::Played;
use super::scenario::{CUSTOMERS, Expect, FALLBACK, ORDER, Planned, Scenario, Setup, json_of, order};
use crate::model::log::What;
use crate::model::{SHARED_ID, name_of};

/// A type whose events look like those of [`ORDER`].
const SHIPPED: &str = "shop.v1.OrderShipped";
/// Customers that the customers file does not list.
const STRANGERS: [&str; 2] = ["stranger", "another-stranger"];

/// Whether the events of unknown customers go to a topic in the scenario of this seed. Draws from random numbers of its
/// own, so that the rest of a scenario does not depend on it.
pub(super) fn has_fallback(seed: u64) -> bool {
    Rng::with_seed(seed ^ 0xfa11_bac4).u8(..3) == 0
}

/// Adds events that share their ids with others to some scenarios. Draws from random numbers of its own.
pub(super) fn share_ids(scenario: &mut Scenario) {
    let random = &mut Rng::with_seed(scenario.seed ^ 0x05a4_e1d5);
    if random.u8(..3) > 0 {
        return;
    }
    for number in 0..random.usize(1..=6) {
        for (message_type, customer) in draw(random, scenario.setup) {
            let copies = 1 + usize::from(random.u8(..5) == 0);
            for copy in 0..copies {
                let mut planned = event(number, message_type, customer);
                let position = random.usize(..scenario.messages.len());
                planned.at = scenario.messages[position].at;
                if scenario.fifo {
                    let group = random.usize(..3);
                    planned.message.deduplication_id = Some(format!("{}-{copy}", planned.message.name));
                    // A repetition has its own group, so that it does not change the order of the first one's group.
                    let is_repeated = copies > 1;
                    let own = format!("{}-{copy}", planned.message.name);
                    planned.message.group = Some(if is_repeated { own } else { format!("shared-{group}") });
                }
                scenario.messages.insert(position, planned);
            }
        }
    }
}

/// Draws two or more events, given by type and customer, that share one id.
fn draw(random: &mut Rng, setup: Setup) -> Vec<(&'static str, &'static str)> {
    let of_types = |customer| vec![(ORDER, customer), (SHIPPED, customer)];
    match random.u8(..3) {
        0 if setup.has_fallback => STRANGERS.map(|customer| (ORDER, customer)).to_vec(),
        1 if setup.has_fallback => STRANGERS.into_iter().flat_map(of_types).collect(),
        _ => of_types(CUSTOMERS[random.usize(..setup.customers)]),
    }
}

fn event(number: usize, message_type: &'static str, customer: &str) -> Planned {
    let (id, order_id) = (format!("{SHARED_ID}{number}"), format!("order-{number}"));
    let customers = vec![CUSTOMERS.iter().position(|known| *known == customer).unwrap_or(FALLBACK)];
    let mut message = order(&id, message_type, customer, &order_id);
    message.name = name_of(&id, message_type, customer);
    let expect = Expect::Published { customers, body: json_of(&id, customer, &order_id) };
    Planned { at: Default::default(), message, expect, needs: Vec::new() }
}

/// Checks that SNS discards an event as a duplicate only if it has delivered this event before, and not another one.
pub(super) fn no_event_is_discarded_for_another(played: &Played) -> CheckResult {
    let mut delivered = BTreeSet::new();
    for entry in &played.log {
        let What::Published { event, topic, suppressed, .. } = &entry.what else { continue };
        if !suppressed {
            delivered.insert((event, topic));
        } else if !delivered.contains(&(event, topic)) {
            return violated(event, format!("{topic} discarded {event} as a duplicate of another event"));
        }
    }
    Ok(())
}
