//! Duplicates: a window of the deliveries that SNS has confirmed.
//!
//! SQS delivers at least once, and producers repeat messages that they are not sure of. A delivery enters the window only
//! after SNS confirmed it, so a failed publish is never taken for a duplicate. While a delivery is being published it is
//! [claimed](Window::claim), and another message with the same delivery waits for the result. Suppressed duplicates have a
//! cause: the same SQS message again, or another message with the same event. The second cause reveals a producer that
//! is only half rolled back.
//!
//! The window of one process is bounded by count and by time. Several replicas share a window through [Redis](store). While
//! Redis does not answer, events are delivered anyway, with what this process knows. The claims of entries that wait for
//! long are [renewed](renewal).
//!
//! A message with several destinations can wait for one of them for longer than the window lasts. So its deliveries stay
//! confirmed until it is [finished](unfinished).

mod marker;
mod memory;
mod renewal;
mod shared;
mod store;
mod unfinished;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use sha2::{Digest as _, Sha256};
use tokio::task::JoinSet;
use tokio::time::Instant;
use uuid::Uuid;

pub use shared::Attempt;
pub use store::{Store, StoreError};

use crate::base::Redis;
use crate::config;
use crate::message::{DuplicateCause, TakenOver, TopicArn};
use crate::telemetry::Metrics;
use memory::{Found, Memory};
use renewal::Renewals;
use shared::Shared;
use store::Published;

/// Identifies one delivery: an event type, an event id, a customer and a topic. Holds 128 bits of their SHA-256.
///
/// The window, the keys in Redis and the deduplication ids of FIFO topics all have this identity. On one topic, two
/// deliveries are the same if their attributes `event-type`, `event-id` and `customer-id` are equal, so consumers can
/// apply the same rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeliveryKey([u8; 16]);

impl DeliveryKey {
    /// Creates the key of an event for a topic. `customer` is the value of the entry's attribute `customer-id`, if it
    /// has one.
    ///
    /// The event type is part of the key because some producers number each type by itself. The customer is, because
    /// producers can number the events of each customer by themselves and one topic can receive events of several. The
    /// topic is, because it names the account, so that installations that share a Redis do not take each other's
    /// deliveries for their own.
    pub fn new(event_type: &str, event_id: &str, customer: Option<&Arc<str>>, topic: &TopicArn) -> Self {
        let mut hash = Sha256::new();
        for part in [event_type, event_id, customer.map_or("", |customer| customer), topic.as_str()] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        let mut half = [0; 16];
        half.copy_from_slice(&hash.finalize()[..16]);
        Self(half)
    }

    /// Returns the key of the delivery in a replay. The window does not take it for a duplicate of the delivery itself, and
    /// a FIFO topic does not drop it.
    #[must_use]
    pub fn in_replay(self, name: &str) -> Self {
        let mut half = [0; 16];
        half.copy_from_slice(&Sha256::new().chain_update(self.0).chain_update(name).finalize()[..16]);
        Self(half)
    }

    /// Returns the key as 32 hexadecimal digits.
    pub fn to_hex(self) -> String {
        hex::encode(self.0)
    }
}

/// An SQS message id, which is a UUID. Any other text is represented by its hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MessageId(Uuid);

impl MessageId {
    /// Creates the id from its text.
    pub fn new(text: &str) -> Self {
        Self(Uuid::try_parse(text).unwrap_or_else(|_| {
            let mut half = [0; 16];
            half.copy_from_slice(&Sha256::digest(text)[..16]);
            Uuid::from_bytes(half)
        }))
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Proof that SNS confirmed a delivery before: within the window, for a message that is not finished, or before the message
/// was quarantined.
#[derive(Debug, Clone, Copy)]
pub struct PublishedBefore {
    /// The message whose delivery was published.
    pub first: MessageId,
    /// Why the delivery came again.
    pub cause: DuplicateCause,
}

impl PublishedBefore {
    fn new(first: MessageId, now: MessageId) -> Self {
        Self { first, cause: if first == now { DuplicateCause::Redelivery } else { DuplicateCause::Producer } }
    }

    /// Creates the proof for a delivery that the quarantine note of its message lists. `first` is the message id that the
    /// message had before it was quarantined.
    pub fn noted(first: MessageId) -> Self {
        Self { first, cause: DuplicateCause::Redelivery }
    }
}

/// Why a delivery must not be published.
#[derive(Debug)]
pub enum Taken {
    /// It was published before.
    Published(PublishedBefore),
    /// Another replica, or another message of this process, is publishing it at the moment.
    Elsewhere,
}

/// This process is publishing one of the deliveries at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Busy;

/// A message with several destinations that is finished.
#[derive(Debug)]
pub struct Finished {
    /// The message.
    pub message: MessageId,
    /// Its deliveries that were confirmed while it was unfinished.
    pub deliveries: Vec<DeliveryKey>,
}

/// The window: the deliveries that this process, or all replicas, have published recently.
#[derive(Debug)]
pub struct Window {
    memory: Option<Mutex<Memory>>,
    store: Option<Shared>,
    metrics: Arc<Metrics>,
}

/// The right to publish a delivery and to [confirm](Window::confirm) it. Dropping an unconfirmed claim frees the delivery for
/// this process; [`Window::release`] frees it for other replicas too.
#[derive(Debug)]
pub struct Claim {
    key: DeliveryKey,
    message: MessageId,
    window: Arc<Window>,
    is_confirmed: bool,
    /// The mark that another replica has taken over the delivery; `None` without a shared store.
    taken_over: Option<TakenOver>,
}

impl Claim {
    /// Returns the key of the delivery.
    pub fn key(&self) -> DeliveryKey {
        self.key
    }

    /// Returns the mark that another replica has taken over the delivery; `None` if there are no other replicas.
    pub fn taken_over(&self) -> Option<&TakenOver> {
        self.taken_over.as_ref()
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // Afterwards, this process can claim the delivery again.
        if self.taken_over.is_some() {
            self.window.end_renewals([self.key].into_iter());
        }
        if !self.is_confirmed
            && let Some(mut memory) = self.window.memory()
        {
            memory.release(self.key);
        }
    }
}

impl Window {
    /// Creates a window. A claim in the shared store whose replica crashed ends after `claim_span`.
    ///
    /// # Errors
    /// Returns an error if the store's URL cannot be used. A store that does not answer is not an error.
    pub fn new(
        settings: &config::Dedupe,
        claim_span: Duration,
        metrics: Arc<Metrics>,
    ) -> Result<Arc<Self>, StoreError> {
        let span = Duration::from_secs(settings.window_seconds);
        let memory = settings.enabled.then(|| Mutex::new(Memory::new(span, settings.max_entries)));
        let store = match &settings.redis_url {
            Some(url) if settings.enabled => Some(Store::new(url, settings, claim_span, Arc::clone(&metrics))?),
            _ => None,
        };
        Ok(Arc::new_cyclic(|window| {
            let shared = |store| {
                let mut task = JoinSet::new();
                task.spawn(renewal::run(window.clone(), claim_span));
                Shared { store, renewals: Renewals::new(claim_span), _task: task }
            };
            Self { memory, store: store.map(shared), metrics }
        }))
    }

    /// Returns another user of the connection to the shared store; `None` if the replicas share none.
    pub fn redis(&self) -> Option<Redis> {
        self.store.as_ref().map(|shared| shared.store.redis())
    }

    fn end_renewals(&self, keys: impl Iterator<Item = DeliveryKey>) {
        if let Some(shared) = &self.store {
            shared.renewals.remove(keys);
        }
    }

    fn memory(&self) -> Option<MutexGuard<'_, Memory>> {
        Some(self.memory.as_ref()?.lock())
    }

    /// Claims the deliveries of one event, which arrived in this message. Returns a claim for each key, or why the delivery
    /// is taken, in the order of the keys. Does not ask other replicas; [`Window::claim_in_store`] does.
    ///
    /// # Errors
    /// Returns an error and claims nothing if this process is publishing one of the deliveries at the moment.
    pub fn try_claim(
        self: &Arc<Self>,
        keys: impl ExactSizeIterator<Item = DeliveryKey>,
        message: MessageId,
    ) -> Result<Vec<Result<Claim, Taken>>, Busy> {
        let mut claims = Vec::with_capacity(keys.len());
        let now = Instant::now();
        let mut memory = self.memory();
        for key in keys {
            let found = memory.as_mut().map_or(Found::Free, |memory| memory.claim(key, message, now));
            claims.push(match found {
                Found::Free => Ok(self.claimed(key, message)),
                Found::Published(first) => Err(Taken::Published(PublishedBefore::new(first, message))),
                Found::Busy(_) => {
                    // Dropping the claims locks the memory again.
                    drop(memory);
                    return Err(Busy);
                }
            });
        }
        Ok(claims)
    }

    /// Claims the deliveries of one event like [`Window::try_claim`], but waits for those that this process is publishing at
    /// the moment.
    pub async fn claim(self: &Arc<Self>, keys: &[DeliveryKey], message: MessageId) -> Vec<Result<Claim, Taken>> {
        let mut claims: Vec<Option<Result<Claim, Taken>>> = keys.iter().map(|_| None).collect();
        // All events claim in the same order, so that two events with several keys in common do not wait for each other.
        let mut order: Vec<usize> = (0..keys.len()).collect();
        order.sort_by_key(|index| keys[*index]);
        for index in order {
            claims[index] = Some(self.claim_one(keys[index], message).await.map_err(Taken::Published));
        }
        claims.into_iter().flatten().collect()
    }

    async fn claim_one(self: &Arc<Self>, key: DeliveryKey, message: MessageId) -> Result<Claim, PublishedBefore> {
        loop {
            let found = match self.memory() {
                Some(mut memory) => memory.claim(key, message, Instant::now()),
                None => Found::Free,
            };
            match found {
                Found::Free => return Ok(self.claimed(key, message)),
                Found::Published(first) => return Err(PublishedBefore::new(first, message)),
                // The channel closes when the claim ends.
                Found::Busy(released) => drop(released.await),
            }
        }
    }

    fn claimed(self: &Arc<Self>, key: DeliveryKey, message: MessageId) -> Claim {
        Claim { key, message, window: Arc::clone(self), is_confirmed: false, taken_over: None }
    }

    /// Gives up claims that were not published. Returns when every replica can see it.
    pub async fn release(&self, claims: Vec<Claim>) {
        if let Some(Shared { store, renewals, .. }) = &self.store {
            let keys: Vec<DeliveryKey> = claims.iter().map(|claim| claim.key).collect();
            renewals.remove(keys.iter().copied());
            store.release(&keys).await;
        }
    }

    /// Notes that a message with several destinations is being published. Its deliveries stay confirmed until it is
    /// [finished](Window::finish), with those of its deliveries that were published before with another message.
    pub async fn begin(&self, message: MessageId, published: &[(DeliveryKey, PublishedBefore)]) {
        let published = published.iter().map(|(key, before)| (*key, before.first));
        let adopted = match self.memory() {
            Some(mut memory) => memory.begin(message, published, Instant::now()),
            None => return,
        };
        let adopted = adopted.into_iter().map(|key| Published { key, message, is_unfinished: true });
        self.share(adopted.collect()).await;
    }

    /// Records that SNS confirmed the claimed deliveries. Returns when every replica can see it.
    pub async fn confirm(&self, mut claims: Vec<Claim>) {
        self.note(claims.iter().map(|claim| (claim.key, claim.message)));
        self.end_renewals(claims.iter().map(|claim| claim.key));
        let mut published = Vec::new();
        if let Some(mut memory) = self.memory() {
            for claim in &mut claims {
                memory.release(claim.key);
                claim.is_confirmed = true;
                claim.taken_over = None;
            }
            if self.store.is_some() {
                published.extend(claims.iter().map(|Claim { key, message, .. }| Published {
                    key: *key,
                    message: *message,
                    is_unfinished: memory.is_unfinished(*message),
                }));
            }
        }
        self.share(published).await;
    }

    /// Records at once that messages are finished. From now on, their deliveries are remembered for the time of the window.
    /// The future returns when every replica can see it.
    pub fn finish(&self, finished: Vec<Finished>) -> impl Future<Output = ()> + '_ {
        if !finished.is_empty()
            && let Some(mut memory) = self.memory()
        {
            for Finished { message, deliveries } in &finished {
                memory.finish(*message, deliveries, Instant::now());
            }
        }
        let deliveries = finished
            .into_iter()
            .flat_map(|Finished { message, deliveries }| deliveries.into_iter().map(move |key| (key, message)));
        let deliveries: Vec<(DeliveryKey, MessageId)> = deliveries.collect();
        async move {
            if let Some(Shared { store, .. }) = &self.store {
                store.finish(&deliveries).await;
            }
        }
    }

    fn note(&self, published: impl Iterator<Item = (DeliveryKey, MessageId)>) {
        if let Some(mut memory) = self.memory() {
            let now = Instant::now();
            for (key, message) in published {
                memory.note(key, message, now);
            }
            self.metrics.dedupe_entries.set(memory.len() as f64);
        }
    }
}

#[cfg(test)]
mod tests;
