//! The window that replicas share, seen from one of them: its claims in the store, and the deliveries that it records there.

use std::sync::Arc;

use parking_lot::MutexGuard;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::marker::Standing;
use super::memory::{Found, Memory};
use super::renewal::Renewals;
use super::store::{Published, Store};
use super::{Claim, DeliveryKey, MessageId, PublishedBefore, Taken, Window};

/// The store that the replicas share, and this replica's claims in it.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) store: Store,
    pub(super) renewals: Renewals,
    /// The task that renews the claims. It ends with the window.
    pub(super) _task: JoinSet<()>,
}

/// An attempt to claim a delivery, and its result so far.
#[derive(Debug)]
pub struct Attempt<'c> {
    /// The delivery.
    pub key: DeliveryKey,
    /// The message for which it is claimed.
    pub message: MessageId,
    /// The claim, or why there is none.
    pub claim: &'c mut Result<Claim, Taken>,
}

impl Window {
    /// Claims in the shared store, if there is one, what is claimed in this process. Replaces the claims that are taken
    /// there.
    ///
    /// Another replica can have finished a message that is unfinished here. So a delivery that only such a message
    /// suppresses here is claimed for another message if the store does not know it either.
    pub async fn claim_in_store<'c>(self: &Arc<Self>, attempts: impl Iterator<Item = Attempt<'c>>) {
        let Some(Shared { store, renewals, .. }) = &self.store else { return };
        let now = Instant::now();
        let attempts: Vec<Attempt<'_>> = attempts.filter(|attempt| self.depends_on_store(attempt)).collect();
        let keys: Vec<DeliveryKey> = attempts.iter().map(|attempt| attempt.key).collect();
        let standings = store.claim(&keys).await;
        for (Attempt { key, message, claim }, standing) in attempts.into_iter().zip(standings) {
            match (&mut *claim, standing) {
                (Ok(claim), None | Some(Standing::Free)) => claim.taken_over = Some(renewals.add(key, now)),
                (Err(_), None) => {}
                (Err(Taken::Published(before)), Some(Standing::Free)) => {
                    *claim = self.claim_kept(key, before.first, message);
                    if let Ok(claim) = claim {
                        claim.taken_over = Some(renewals.add(key, now));
                    }
                }
                (Err(Taken::Published(before)), Some(Standing::Published(first))) if before.first == first => {}
                (_, Some(Standing::Published(first))) => {
                    self.note([(key, first)].into_iter());
                    *claim = Err(Taken::Published(PublishedBefore::new(first, message)));
                }
                (_, Some(Standing::Claimed)) => *claim = Err(Taken::Elsewhere),
                (Err(Taken::Elsewhere), Some(Standing::Free)) => {}
            }
        }
    }

    /// Whether the shared store can change the result of an attempt.
    fn depends_on_store(&self, Attempt { key, message, claim }: &Attempt<'_>) -> bool {
        match claim {
            Ok(_) => true,
            Err(Taken::Published(before)) => {
                let is_kept = |memory: MutexGuard<'_, Memory>| memory.kept_for(*key) == Some(before.first);
                before.first != *message && self.memory().is_some_and(is_kept)
            }
            Err(Taken::Elsewhere) => false,
        }
    }

    /// Claims for `message` a delivery that was kept for another message, which another replica has finished.
    fn claim_kept(self: &Arc<Self>, key: DeliveryKey, kept_for: MessageId, message: MessageId) -> Result<Claim, Taken> {
        let found = self.memory().map_or(Found::Free, |mut memory| {
            memory.forget_kept(key, kept_for);
            memory.claim(key, message, Instant::now())
        });
        match found {
            Found::Free => Ok(self.claimed(key, message)),
            Found::Published(first) => Err(Taken::Published(PublishedBefore::new(first, message))),
            // Another message of this process was faster.
            Found::Busy(_) => Err(Taken::Elsewhere),
        }
    }

    /// Records deliveries in the shared store, if there is one.
    pub(super) async fn share(&self, published: Vec<Published>) {
        if let Some(Shared { store, .. }) = &self.store
            && !published.is_empty()
        {
            store.note(&published).await;
        }
    }
}
