//! Events on their way to their topics: from the claims in the window of duplicates, by the publish, to an outcome each.

use std::sync::Arc;

use super::Carried;
use crate::dedupe::{Busy, Claim, MessageId, Pair, Seen, Taken, Window};
use crate::outcome::{Cause, Delivered, Everywhere, Outcome};
use crate::publish::{self, Entry, Publisher, Verdicts};

/// Attempts at events that are published together.
#[derive(Default)]
pub(super) struct Attempts {
    /// Each until it has ended.
    attempts: Vec<Option<Attempt>>,
    /// Before the publish, how each entry of each attempt stands; in order.
    claims: Vec<Result<Claim, Taken>>,
    /// During the publish, the claim of each entry and whose it is, by the entry's index.
    under_way: Vec<Option<(usize, Claim)>>,
    verdicts: Option<Verdicts>,
    /// Attempts that have ended and were not asked for yet.
    ended: Vec<(Carried, Outcome)>,
    left: usize,
}

/// One event.
struct Attempt {
    carried: Carried,
    /// Before the publish.
    entries: Vec<Entry>,
    /// During the publish, how many topics have not answered.
    unanswered: usize,
    delivered: Vec<Delivered>,
    worst: Option<publish::Error>,
}

impl Attempt {
    fn entries(&self) -> impl Iterator<Item = (&Carried, &Entry)> {
        self.entries.iter().map(|entry| (&self.carried, entry))
    }

    fn outcome(&mut self, is_duplicate: bool) -> Outcome {
        match (self.worst.take(), Everywhere::of(&self.delivered)) {
            // What still waited in its lane then was not sent.
            (Some(error), _) if self.carried.receipt.hold.is_stale() => Cause::StaleReceipt.because(error).into(),
            (Some(error), _) => error.into(),
            (None, Some(everywhere)) if is_duplicate => Outcome::Duplicate(everywhere),
            (None, Some(everywhere)) => Outcome::Published(everywhere),
            (None, None) => Cause::Defect.because("it was routed to no topic; this is a defect of protobridge").into(),
        }
    }
}

impl Attempts {
    /// Claims the entries of one event. Returns them if that would mean to wait.
    pub(super) fn begin(
        &mut self,
        window: &Arc<Window>,
        carried: Carried,
        entries: Vec<Entry>,
    ) -> Option<(Carried, Vec<Entry>)> {
        let id = MessageId::new(&carried.message.message_id);
        match window.try_claim(entries.iter().map(|entry| entry.pair), id, &mut self.claims) {
            Ok(()) => {
                self.add(carried, entries);
                None
            }
            Err(Busy) => Some((carried, entries)),
        }
    }

    /// Claims the entries of one event, and waits for whoever is publishing the same.
    pub(super) async fn begin_when_free(&mut self, window: &Arc<Window>, carried: Carried, entries: Vec<Entry>) {
        let pairs: Vec<Pair> = entries.iter().map(|entry| entry.pair).collect();
        self.claims.extend(window.claim(&pairs, MessageId::new(&carried.message.message_id)).await);
        self.add(carried, entries);
    }

    fn add(&mut self, carried: Carried, entries: Vec<Entry>) {
        let attempt = Attempt { carried, entries, unanswered: 0, delivered: Vec::new(), worst: None };
        self.attempts.push(Some(attempt));
        self.left += 1;
    }

    /// Claims in the shared store, if there is one, what is claimed in this process.
    pub(super) async fn ask_replicas(&mut self, window: &Window) {
        window.ask_replicas(&mut self.claims).await;
    }

    /// What was published before.
    pub(super) fn duplicates(&self) -> impl Iterator<Item = (&Carried, &Entry, &Seen)> {
        let entries = self.attempts.iter().flatten().flat_map(Attempt::entries);
        entries.zip(&self.claims).filter_map(|((carried, entry), found)| match found {
            Err(Taken::Published(seen)) => Some((carried, entry, seen)),
            _ => None,
        })
    }

    /// Publishes what is claimed. Of an event whose message is not ours any more, or that another replica is publishing,
    /// nothing is.
    pub(super) async fn publish(&mut self, window: &Window, publisher: &Publisher) {
        let mut found = std::mem::take(&mut self.claims).into_iter();
        let (mut entries, mut given_up) = (Vec::new(), Vec::new());
        for (index, slot) in self.attempts.iter_mut().enumerate() {
            let Some(attempt) = slot else { continue };
            let (mut is_elsewhere, first) = (false, entries.len());
            for (entry, found) in std::mem::take(&mut attempt.entries).into_iter().zip(&mut found) {
                match found {
                    Ok(claim) => {
                        self.under_way.push(Some((index, claim)));
                        entries.push((entry, attempt.carried.receipt.hold.ownership()));
                    }
                    Err(Taken::Published(seen)) => attempt.delivered.push(Delivered::from(seen)),
                    Err(Taken::Elsewhere) => is_elsewhere = true,
                }
            }
            let why_not = match (attempt.carried.receipt.hold.is_stale(), is_elsewhere) {
                (true, _) => Some(Cause::StaleReceipt.because("its receipt went stale before the publish")),
                (_, true) => Some(Cause::ClaimedElsewhere.because("another replica is publishing the same event")),
                _ => None,
            };
            attempt.unanswered = entries.len() - first;
            let outcome = match why_not {
                Some(why_not) => {
                    entries.truncate(first);
                    given_up.extend(self.under_way.drain(first..).flatten().map(|(_, claim)| claim));
                    why_not.into()
                }
                None if attempt.unanswered == 0 => attempt.outcome(true),
                None => continue,
            };
            self.ended.extend(slot.take().map(|attempt| (attempt.carried, outcome)));
        }
        if !entries.is_empty() {
            self.verdicts = Some(publisher.publish(entries).await);
        }
        window.release(given_up).await;
    }

    /// Waits for verdicts, and returns the events that have ended with them: none where one has other topics that have not
    /// answered.
    pub(super) async fn next(&mut self, window: &Window) -> Vec<(Carried, Outcome)> {
        if let Some(verdicts) = self.verdicts.as_mut().filter(|_| self.ended.is_empty()) {
            let (mut confirmed, mut failed) = (Vec::new(), Vec::new());
            let mut answered = Vec::new();
            let arrived = verdicts.next().await;
            if arrived.is_empty() {
                self.give_up();
            }
            for (index, verdict) in arrived {
                let Some((index, claim)) = self.under_way.get_mut(index).and_then(Option::take) else { continue };
                let Some(attempt) = &mut self.attempts[index] else { continue };
                match verdict {
                    Ok(proof) => {
                        confirmed.push(claim);
                        attempt.delivered.push(proof.into());
                    }
                    Err(error) => {
                        failed.push(claim);
                        attempt.worst = Some(match attempt.worst.take() {
                            None => error,
                            Some(known) => known.or_worse(error),
                        });
                    }
                }
                attempt.unanswered -= 1;
                if attempt.unanswered == 0 {
                    answered.push(index);
                }
            }
            tokio::join!(window.confirm(confirmed), window.release(failed));
            for mut attempt in answered.into_iter().filter_map(|index| self.attempts[index].take()) {
                let outcome = attempt.outcome(false);
                self.ended.push((attempt.carried, outcome));
            }
        }
        self.left -= self.ended.len();
        std::mem::take(&mut self.ended)
    }

    /// Ends what nobody answers for any more, which does not happen: every entry has a verdict.
    fn give_up(&mut self) {
        for attempt in self.attempts.iter_mut().filter_map(Option::take) {
            let why = Cause::Defect.because("its publish was never answered; this is a defect of protobridge");
            self.ended.push((attempt.carried, why.into()));
        }
    }

    /// Whether every event has ended, and was asked for.
    pub(super) fn is_empty(&self) -> bool {
        self.left == 0
    }
}
