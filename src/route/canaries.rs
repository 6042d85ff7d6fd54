//! The destinations of canaries: their own topic, and the topics of the customers that opted in.

use std::sync::Arc;

use super::{ClaimCheckMode, Customer, Destination, Routing, filtered};
use crate::message::TopicArn;
use crate::schema::registry::ProfileId;

/// The destinations of canaries. Without a topic there are none, and canaries are dropped.
#[derive(Debug, Default)]
pub(super) struct Canaries {
    pub(super) topic: Option<TopicArn>,
    destinations: Vec<Destination>,
}

impl Canaries {
    pub(super) fn new<'c>(topic: Option<&TopicArn>, customers: impl IntoIterator<Item = &'c Arc<Customer>>) -> Self {
        let Some(topic) = topic else { return Self::default() };
        let mut receivers: Vec<_> = customers.into_iter().filter(|own| own.enabled && own.canary).collect();
        receivers.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        let of_customer = |own: &Arc<Customer>| Destination { is_canary: true, ..Destination::of(own) };
        let own = Destination {
            topic: topic.clone(),
            customer: None,
            stranger: None,
            profile: ProfileId::default(),
            claim_check: ClaimCheckMode::Off,
            is_canary: true,
        };
        let destinations = [own].into_iter().chain(receivers.into_iter().map(of_customer)).collect();
        Self { topic: Some(topic.clone()), destinations }
    }

    pub(super) fn route(&self) -> Routing {
        match self.destinations.as_slice() {
            [] => filtered("the configuration has no canary"),
            destinations => Routing::To(destinations.to_vec()),
        }
    }
}
