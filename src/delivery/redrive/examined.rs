//! What became of one quarantined message, or would become of it.

use std::sync::Arc;

use super::Action;
use crate::aws::sqs::quarantine::Quarantined;
use crate::delivery::resend::{Destination, Fate, Resent, Undelivered};
use crate::message::{Message, QuarantineReason};

/// A quarantined message that matches the filter, with what became of it.
#[derive(Debug)]
pub struct Examined {
    /// The message on the quarantine queue, with its note.
    pub quarantined: Quarantined,
    /// The message that was quarantined.
    pub original: Arc<Message>,
    /// The full name of the event's type: as decoded, or else as the message or its note states it.
    pub event_type: Option<String>,
    /// The event's id, if it is known.
    pub event_id: Option<String>,
    /// What became of the message.
    pub verdict: Verdict,
}

/// What became of a message, or would become of it in a preview.
#[derive(Debug, Default)]
pub struct Verdict {
    /// The number of destinations that the event was published to, or would be.
    pub publish: usize,
    /// The number of destinations that had the event before.
    pub had: usize,
    /// The rule that drops the event, if one does.
    pub filtered: Option<&'static str>,
    /// Why the event did not get to all selected destinations.
    pub fails: Option<String>,
    /// The number of destinations of other customers that lack the event.
    pub others_lack: usize,
    /// Whether the message leaves the quarantine queue.
    pub leaves: bool,
    /// The entries that would be published. Only a preview has them.
    pub examples: Vec<Example>,
}

/// An entry that would be published.
#[derive(Debug)]
pub struct Example {
    /// The ARN of the topic.
    pub topic: String,
    /// The customer.
    pub customer: Option<Arc<str>>,
    /// The JSON.
    pub body: Arc<String>,
}

impl Verdict {
    /// Returns the verdict about a message that was only looked at, or that leaves the queue by `action`.
    pub(super) fn of(action: Action) -> Self {
        Self { leaves: action != Action::Look, ..Self::default() }
    }

    /// Returns the verdict about a message that stays for this reason.
    pub(super) fn stays(why: impl ToString) -> Self {
        Self { fails: Some(why.to_string()), ..Self::default() }
    }

    /// Returns the verdict about a message whose event was sent to its destinations. `others_lack` is the number of
    /// destinations that were not selected and lack the event.
    pub(super) fn of_resent(resent: &Resent, others_lack: usize) -> Self {
        let mut verdict = Self { others_lack, ..Self::default() };
        match &resent.without_deliveries {
            Some(Undelivered::Filtered(rule)) => verdict.filtered = Some(rule),
            Some(Undelivered::Quarantine(reason)) => verdict.fails = Some(text(reason)),
            Some(Undelivered::Defect(detail) | Undelivered::Later(detail)) => verdict.fails = Some(detail.clone()),
            None => {}
        }
        for destination in &resent.destinations {
            verdict.add(destination);
        }
        // Only a rule or a destination that has the event is a reason to delete the message.
        if verdict.filtered.is_none() && verdict.publish + verdict.had == 0 {
            verdict.fail("it has no destination".to_owned());
        }
        verdict.leaves = verdict.fails.is_none() && others_lack == 0;
        verdict
    }

    fn add(&mut self, destination: &Destination) {
        match &destination.fate {
            Fate::WouldPublish { body, .. } => {
                self.publish += 1;
                self.examples.push(Example {
                    topic: destination.recipient.topic.to_string(),
                    customer: destination.customer.clone(),
                    body: Arc::clone(body),
                });
            }
            Fate::Published { .. } => self.publish += 1,
            Fate::Had(_) => self.had += 1,
            Fate::Refused(reason) => self.fail(text(reason)),
            Fate::Failed(error) => self.fail(error.to_string()),
            Fate::Elsewhere => self.fail("another process publishes the event at the moment".to_owned()),
        }
    }

    fn fail(&mut self, why: String) {
        self.fails.get_or_insert(why);
    }
}

/// Returns the reason for which a destination refuses an event, or the message is quarantined.
pub(super) fn refusal(resent: &Resent) -> Option<&QuarantineReason> {
    let of_destination = |destination: &'_ Destination| matches!(destination.fate, Fate::Refused(_));
    match &resent.without_deliveries {
        Some(Undelivered::Quarantine(reason)) => Some(reason),
        Some(_) => None,
        None => match &resent.destinations.iter().find(|destination| of_destination(destination))?.fate {
            Fate::Refused(reason) => Some(reason),
            _ => None,
        },
    }
}

fn text(reason: &QuarantineReason) -> String {
    format!("{}: {}", reason.kind, reason.detail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Recipient;

    #[test]
    fn a_message_leaves_only_if_a_rule_drops_its_event_or_a_destination_has_it() {
        let resent = |destinations, without_deliveries| Resent {
            event_type: None,
            event_id: None,
            destinations,
            without_deliveries,
        };
        let would = || Destination {
            recipient: Recipient { topic: "t".into(), customer: None },
            customer: None,
            fate: Fate::WouldPublish { body: Arc::default(), bytes: 2, is_offloaded: false },
        };
        for (what, resent, others_lack, leaves) in [
            ("nothing is known of it", resent(vec![], None), 0, false),
            ("a rule drops it", resent(vec![], Some(Undelivered::Filtered("disabled"))), 0, true),
            ("a defect", resent(vec![], Some(Undelivered::Defect("a panic".into()))), 0, false),
            ("published", resent(vec![would()], None), 0, true),
            ("published, and others lack it", resent(vec![would()], None), 1, false),
        ] {
            let verdict = Verdict::of_resent(&resent, others_lack);
            assert_eq!(verdict.leaves, leaves, "{what}");
            assert_eq!(verdict.fails.is_some(), !leaves && others_lack == 0, "{what}");
        }
    }
}
