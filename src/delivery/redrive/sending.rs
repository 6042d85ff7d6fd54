//! One message of a quarantine queue: whether it matches, and what happens to it.

use std::sync::Arc;

use super::examined::{Examined, Verdict, refusal};
use super::filter::is_from;
use super::patience::Sending;
use super::sweep::{Looked, not_stored, park};
use super::{Action, Redrive, Settled};
use crate::aws::sqs::quarantine::{Quarantined, StoredCopy};
use crate::aws::sqs::{Receipt, Received};
use crate::delivery::resend::{Destination, Fate, Resent, Selection};
use crate::message::{Message, Ownership, PartlyDelivered};

/// What a message needs after its verdict.
enum Next {
    /// It stays on the quarantine queue.
    Stay,
    /// It is deleted.
    Delete(Settled),
    /// It is deleted, because this copy takes its place.
    Replace(StoredCopy),
}

/// A quarantined message that matches.
struct Matching {
    quarantined: Quarantined,
    original: Arc<Message>,
    /// What a decision without a selection said, if one was made.
    forecast: Option<Resent>,
}

impl Redrive {
    /// Looks at a message, and does with it what the options say.
    pub(super) async fn examine(&self, Received { message, receipt }: Received) -> Looked {
        let ownership = receipt.hold.ownership();
        let Ok(quarantined) = Quarantined::read(message) else { return Looked::WithoutNote(park(receipt)) };
        let Some(matching) = self.matching(quarantined, &ownership).await else {
            return Looked::Untouched(park(receipt));
        };
        let (verdict, next, resent) = self.act(&matching, &ownership).await;
        let Matching { quarantined, original, forecast } = matching;
        let known = resent.as_ref().or(forecast.as_ref());
        let event_type = self.event_type(&quarantined, &original, known);
        let event_id = known.and_then(|resent| resent.event_id.as_ref()).map(|id| id.as_str().to_owned());
        let event_id = event_id.or_else(|| quarantined.event_id().map(str::to_owned));
        let examined = Box::new(Examined { quarantined, original, event_type, event_id, verdict });
        let (held, copy) = self.settle(receipt, next);
        Looked::Examined { examined, held, copy }
    }

    fn settle(&self, receipt: Receipt, next: Next) -> (Option<crate::aws::sqs::ParkedReceipt>, Option<String>) {
        match next {
            Next::Stay => (Some(park(receipt)), None),
            Next::Delete(settled) => {
                self.delete(receipt, settled);
                (None, None)
            }
            Next::Replace(StoredCopy { proof, text }) => {
                self.delete(receipt, Settled::Replaced { _copy: proof });
                (None, Some(text))
            }
        }
    }

    /// Returns the message with its original, if it matches.
    async fn matching(&self, quarantined: Quarantined, ownership: &Ownership) -> Option<Matching> {
        let filter = &self.options.filter;
        if !is_from(&quarantined, &self.source) || !filter.matches_note(&quarantined) {
            return None;
        }
        let original = Arc::new(quarantined.original(Arc::clone(&self.source)));
        if !filter.needs_decision() && self.options.action != Action::Look {
            return Some(Matching { quarantined, original, forecast: None });
        }
        let forecast = self.preview.resend(&original, &Selection::default(), ownership).await;
        let event_type = self.event_type(&quarantined, &original, Some(&forecast));
        let of_customer = |destination: &Destination| destination.customer == filter.customer;
        let is_for = filter.customer.is_none() || forecast.destinations.iter().any(of_customer);
        let matches = is_for && filter.matches_type(event_type.as_deref());
        matches.then_some(Matching { quarantined, original, forecast: Some(forecast) })
    }

    /// Returns the name of the event's type: as decoded, as the note has it, or as the message states it.
    fn event_type(&self, quarantined: &Quarantined, original: &Message, known: Option<&Resent>) -> Option<String> {
        let decoded = known.and_then(|resent| resent.event_type.as_ref()).map(|event_type| event_type.name.to_string());
        let noted = || quarantined.event_type().map(str::to_owned);
        decoded.or_else(noted).or_else(|| self.preview.stated_type(original))
    }

    async fn act(&self, matching: &Matching, ownership: &Ownership) -> (Verdict, Next, Option<Resent>) {
        let action = self.options.action;
        let sends = matches!(action, Action::Send | Action::SendBack);
        let omitted = matching.quarantined.omitted();
        if sends && omitted > 0 && !self.options.allow_repeats {
            let why = format!(
                "{omitted} destinations have the event, and its note had no room to list them; --allow-repeats publishes to \
                 them again"
            );
            return (Verdict::stays(why), Next::Stay, None);
        }
        if sends && !self.options.is_preview {
            self.pace.take().await;
        }
        match action {
            Action::Look => (Verdict::of(action), Next::Stay, None),
            Action::Discard if self.options.is_preview => (Verdict::of(action), Next::Stay, None),
            Action::Discard => (Verdict::of(action), Next::Delete(Settled::Discarded), None),
            Action::SendBack => {
                let (verdict, next) = self.send_back(&matching.quarantined).await;
                (verdict, next, None)
            }
            Action::Send => {
                let (verdict, next, resent) = self.send(matching, ownership).await;
                (verdict, next, Some(resent))
            }
        }
    }

    async fn send_back(&self, quarantined: &Quarantined) -> (Verdict, Next) {
        let kept = match quarantined.kept() {
            Ok(kept) => kept,
            Err(no_room) => return (Verdict::stays(no_room), Next::Stay),
        };
        if self.options.is_preview {
            return (Verdict::of(Action::SendBack), Next::Stay);
        }
        match self.store.send_back(quarantined, &self.source, kept).await {
            Ok(sent) => (Verdict::of(Action::SendBack), Next::Delete(Settled::SentBack { _sent: sent })),
            Err(failure) => (Verdict::stays(format!("{} did not take it: {failure}", self.source.url)), Next::Stay),
        }
    }

    async fn send(&self, matching: &Matching, ownership: &Ownership) -> (Verdict, Next, Resent) {
        let selection = Selection { customer: self.options.filter.customer.clone(), ..Selection::default() };
        let Sending { resent, gave_up } = self.publish(&matching.original, &selection, ownership).await;
        let others_lack = matching.forecast.as_ref().map_or(0, |forecast| others_lack(forecast, &selection));
        let mut verdict = Verdict::of_resent(&resent, others_lack);
        if let Some(why) = gave_up {
            (verdict.fails, verdict.leaves) = (Some(why), false);
        }
        if self.options.is_preview {
            return (verdict, Next::Stay, resent);
        }
        self.slow_down(&resent);
        if verdict.leaves {
            return (verdict, Next::Delete(Settled::Done), resent);
        }
        let Some((delivered, new)) = newly_delivered(&resent, &matching.quarantined) else {
            return (verdict, Next::Stay, resent);
        };
        let quarantined = (&matching.quarantined, &self.source);
        match self.store.store_copy(&self.quarantine.url, quarantined, refusal(&resent), &delivered).await {
            Ok(copy) => (verdict, Next::Replace(copy), resent),
            Err(failure) => {
                verdict.fails = Some(not_stored(&failure, new));
                (verdict, Next::Stay, resent)
            }
        }
    }

    /// Lowers the pace if SNS throttled.
    fn slow_down(&self, resent: &Resent) {
        let throttles = resent.destinations.iter().map(|destination| match &destination.fate {
            Fate::Published { confirmed, .. } => confirmed.trail().throttles,
            Fate::Failed(error) => error.trail().map_or(0, |trail| trail.throttles),
            _ => 0,
        });
        if throttles.sum::<u32>() > 0 {
            self.pace.throttled();
        }
    }
}

/// Returns the number of destinations that are not selected and lack the event.
fn others_lack(forecast: &Resent, selection: &Selection) -> usize {
    if selection.customer.is_none() {
        return 0;
    }
    let is_other = |destination: &&Destination| destination.customer != selection.customer;
    forecast.destinations.iter().filter(is_other).filter(|destination| !destination.fate.has_event()).count()
}

/// Returns the destinations that have the event, and how many of them the note does not list; `None` if it lists all.
fn newly_delivered(resent: &Resent, quarantined: &Quarantined) -> Option<(PartlyDelivered, usize)> {
    let (delivered, noted) = (resent.delivered()?, quarantined.delivered());
    let new = delivered.recipients.iter().filter(|recipient| !noted.contains(recipient)).count();
    (new > 0).then_some((delivered, new))
}
