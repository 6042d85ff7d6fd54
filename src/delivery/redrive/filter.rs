//! Which messages of a quarantine queue a command is about.

use std::sync::Arc;
use std::time::SystemTime;

use crate::aws::sqs::quarantine::Quarantined;
use crate::message::{QuarantineKind, Queue};
use crate::route::Glob;

/// The messages that a command is about. Every condition that is set must hold.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// The reason for the quarantine.
    pub reason: Option<QuarantineKind>,
    /// The full names of types, one of which is that of the event. No name means every type, known or not.
    pub event_types: Vec<Glob>,
    /// A customer that is a destination of the event. Only this customer's deliveries are sent.
    pub customer: Option<Arc<str>>,
    /// The time before which the message went into quarantine.
    pub quarantined_before: Option<SystemTime>,
    /// The id of the message, before its quarantine or on the quarantine queue.
    pub message_id: Option<String>,
}

impl Filter {
    /// Whether the note of a message satisfies the conditions that are about the note.
    pub(super) fn matches_note(&self, quarantined: &Quarantined) -> bool {
        let is_id = |id: &String| *id == quarantined.first_message_id() || *id == quarantined.message_id();
        self.reason.is_none_or(|reason| reason.code() == quarantined.reason())
            && self.quarantined_before.is_none_or(|before| quarantined.quarantined() < before)
            && self.message_id.as_ref().is_none_or(is_id)
    }

    /// Whether a decision about the message is needed to know whether it matches.
    pub(super) fn needs_decision(&self) -> bool {
        !self.event_types.is_empty() || self.customer.is_some()
    }

    pub(super) fn matches_type(&self, event_type: Option<&str>) -> bool {
        let is_one = |name| self.event_types.iter().any(|glob| glob.matches(name));
        self.event_types.is_empty() || event_type.is_some_and(is_one)
    }
}

/// Whether a message came from this queue. Several queues can share a quarantine queue. The host of a queue's URL depends on
/// the endpoint, so only the account and the name count.
pub(super) fn is_from(quarantined: &Quarantined, queue: &Queue) -> bool {
    account_and_name(quarantined.queue()) == account_and_name(queue.url.as_str())
}

fn account_and_name(url: &str) -> (Option<&str>, Option<&str>) {
    let mut parts = url.trim_end_matches('/').rsplit('/');
    let name = parts.next();
    (parts.next(), name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_is_the_same_behind_another_endpoint() {
        let url = "https://sqs.eu-west-1.amazonaws.com/123456789012/orders";
        let same = ["https://vpce-1.sqs.eu-west-1.vpce.amazonaws.com/123456789012/orders", url];
        let others =
            ["https://sqs.eu-west-1.amazonaws.com/123456789012/orders.fifo", "https://h/2/orders", "", "orders"];
        assert!(same.iter().all(|other| account_and_name(other) == account_and_name(url)));
        assert!(others.iter().all(|other| account_and_name(other) != account_and_name(url)));
    }

    #[test]
    fn an_event_without_a_known_type_matches_only_if_no_type_is_wanted() {
        let of = |globs: &[&str]| Filter {
            event_types: globs.iter().map(|glob| Glob::new(glob)).collect(),
            ..Filter::default()
        };
        for (globs, name, expected) in [
            (&[][..], None, true),
            (&[], Some("a.B"), true),
            (&["*"], None, false),
            (&["a.*"], Some("a.B"), true),
            (&["b.*", "*.B"], Some("a.B"), true),
            (&["b.*"], Some("a.B"), false),
        ] {
            assert_eq!(of(globs).matches_type(name), expected, "{globs:?} {name:?}");
        }
    }
}
