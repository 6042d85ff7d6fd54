//! Claims in the shared store are renewed while their entries wait.
//!
//! A claim in the store expires, so that the claim of a crashed replica ends by itself. An entry can wait for longer than
//! that: SNS throttles its topic, or does not answer. One task renews the claims of such entries, in batches. Most claims
//! are released long before their first renewal and cost one entry in a map.
//!
//! If another replica has the delivery by then, because the store lost the claim or did not answer for too long, the entry
//! is marked as taken over. The publisher skips it, unless its call is under way already. The message returns to its queue,
//! and the result of the other replica decides when it is received again.

use std::collections::HashMap;
use std::sync::Weak;
use std::time::Duration;

use foldhash::fast::RandomState;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};

use super::marker::Standing;
use super::store::Store;
use super::{DeliveryKey, Window};
use crate::message::TakenOver;

/// A claim is renewed when this part of its time has passed, and the task runs as often. If a renewal fails, two more
/// follow before the claim expires.
const PARTS: u32 = 4;

/// The claims of this replica in the store.
#[derive(Debug)]
pub(super) struct Renewals {
    /// The time after which a claim is renewed.
    due: Duration,
    held: Mutex<HashMap<DeliveryKey, HeldClaim, RandomState>>,
}

#[derive(Debug)]
struct HeldClaim {
    /// When the claim was made or renewed.
    since: Instant,
    taken_over: TakenOver,
}

impl Renewals {
    /// Creates the list of claims. A claim that is not renewed ends after `claim_span`.
    pub(super) fn new(claim_span: Duration) -> Self {
        Self { due: claim_span / PARTS, held: Mutex::default() }
    }

    /// Adds a claim that was made in the store at `since`. Returns the mark that tells when another replica has it.
    pub(super) fn add(&self, key: DeliveryKey, since: Instant) -> TakenOver {
        let taken_over = TakenOver::default();
        self.held.lock().insert(key, HeldClaim { since, taken_over: taken_over.clone() });
        taken_over
    }

    /// Removes claims that end.
    pub(super) fn remove(&self, keys: impl Iterator<Item = DeliveryKey>) {
        let mut held = self.held.lock();
        for key in keys {
            held.remove(&key);
        }
    }

    fn due(&self, now: Instant) -> Vec<DeliveryKey> {
        let held = self.held.lock();
        let is_due = |claim: &HeldClaim| now.duration_since(claim.since) >= self.due;
        held.iter().filter(|(_, claim)| is_due(claim)).map(|(key, _)| *key).collect()
    }

    /// Renews the claims that are due.
    pub(super) async fn renew(&self, store: &Store) {
        let now = Instant::now();
        let keys = self.due(now);
        let standings = store.renew(&keys).await;
        let ended = self.record(keys.into_iter().zip(standings), now);
        // A renewal that overtakes the end of its claim must not leave a claim behind.
        store.release(&ended).await;
    }

    /// Records the standings of renewed claims; `None` if the store did not answer. Returns the keys whose claim ended in
    /// the meantime.
    fn record(
        &self,
        standings: impl Iterator<Item = (DeliveryKey, Option<Standing>)>,
        now: Instant,
    ) -> Vec<DeliveryKey> {
        let mut held = self.held.lock();
        let mut ended = Vec::new();
        for (key, standing) in standings {
            match (held.get_mut(&key), standing) {
                (_, None) => {}
                (None, Some(_)) => ended.push(key),
                (Some(claim), Some(Standing::Free)) => claim.since = now,
                (Some(_), Some(Standing::Claimed | Standing::Published(_))) => {
                    if let Some(claim) = held.remove(&key) {
                        claim.taken_over.set();
                    }
                }
            }
        }
        ended
    }
}

/// Renews the claims of a window until the window is dropped.
pub(super) async fn run(window: Weak<Window>, claim_span: Duration) {
    loop {
        sleep(claim_span / PARTS).await;
        let Some(window) = window.upgrade() else { return };
        if let Some(shared) = &window.store {
            shared.renewals.renew(&shared.store).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::super::MessageId;
    use super::*;

    fn key(event: &str) -> DeliveryKey {
        DeliveryKey::new("a.B", event, None, &"arn:aws:sns:eu-west-1:123456789012:acme".into())
    }

    fn record(renewals: &Renewals, key: DeliveryKey, standing: Option<Standing>) -> Vec<DeliveryKey> {
        renewals.record(std::iter::once((key, standing)), Instant::now())
    }

    #[tokio::test(start_paused = true)]
    async fn a_claim_is_due_for_renewal_when_a_quarter_of_its_time_has_passed() {
        let renewals = Renewals::new(Duration::from_secs(60));
        renewals.add(key("1"), Instant::now());
        renewals.add(key("released"), Instant::now());
        renewals.remove([key("released")].into_iter());
        advance(Duration::from_millis(14_999)).await;
        assert_eq!(renewals.due(Instant::now()), []);
        advance(Duration::from_millis(1)).await;
        assert_eq!(renewals.due(Instant::now()), [key("1")]);
        record(&renewals, key("1"), None);
        assert_eq!(renewals.due(Instant::now()), [key("1")], "the store did not answer");
        record(&renewals, key("1"), Some(Standing::Free));
        assert_eq!(renewals.due(Instant::now()), [], "the claim was renewed");
    }

    #[tokio::test(start_paused = true)]
    async fn an_entry_is_marked_if_another_replica_has_its_delivery() {
        let others = [Standing::Claimed, Standing::Published(MessageId::new("m-1"))];
        for (standing, is_set) in [(Standing::Free, false), (others[0], true), (others[1], true)] {
            let renewals = Renewals::new(Duration::from_secs(60));
            let taken_over = renewals.add(key("1"), Instant::now());
            assert_eq!(record(&renewals, key("1"), Some(standing)), []);
            assert_eq!(taken_over.is_set(), is_set, "{standing:?}");
            assert_eq!(renewals.held.lock().is_empty(), is_set, "{standing:?}: nothing is left to renew");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_claim_that_ends_during_its_renewal_is_released_again() {
        let renewals = Renewals::new(Duration::from_secs(60));
        renewals.add(key("1"), Instant::now());
        renewals.remove([key("1")].into_iter());
        assert_eq!(record(&renewals, key("1"), Some(Standing::Free)), [key("1")]);
    }
}
