//! Duplicates: a window of (event id, customer) pairs that SNS has confirmed.
//!
//! SQS delivers at least once, and producers send again what they are not sure of. A pair enters the window only after
//! SNS confirmed it, so a publish that failed is never taken for a duplicate. While a pair is being published it is
//! [claimed](Window::claim); whoever comes with the same pair meanwhile waits for what becomes of it. What is suppressed
//! is told apart by its cause: the same SQS message again, or another message with the same event id, which is what
//! finds a half-rolled-back producer.
//!
//! The window of one process is bounded by count and by time. Several replicas share one through [Redis](store). While
//! that cannot be reached, events are delivered all the same, on what this process knows.

mod memory;
mod store;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

pub use store::{Store, StoreError};

use crate::config;
use crate::telemetry::Metrics;
use memory::{Found, Memory};
use store::Standing;

/// An event and one of its customers. A hash: 128 bits of SHA-256.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pair([u8; 16]);

impl Pair {
    /// The pair of an event and a customer; of an event that has none, the topic stands for it. The event's type is part
    /// of the event: some producers number each type by itself.
    pub fn new(event_type: &str, event_id: &str, customer: &str) -> Self {
        let mut hash = Sha256::new();
        for part in [event_type, event_id, customer] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        let mut half = [0; 16];
        half.copy_from_slice(&hash.finalize()[..16]);
        Self(half)
    }
}

/// An SQS message id, which is a UUID; of any other text a hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageId(u128);

impl MessageId {
    /// The id in compact form.
    pub fn new(text: &str) -> Self {
        let mut digits = text.chars().filter(|c| *c != '-').map(|c| c.to_digit(16));
        let id = digits.try_fold((0, 0), |(id, count), digit| Some((id << 4 | u128::from(digit?), count + 1)));
        if let Some((id, 32)) = id {
            return Self(id);
        }
        let hash = Sha256::digest(text);
        Self(hash.iter().take(16).fold(0, |id, byte| id << 8 | u128::from(*byte)))
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{:032x}", self.0);
        write!(f, "{}-{}-{}-{}-{}", &text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..])
    }
}

/// Why a pair was published before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// By the same SQS message: it was delivered again.
    Redelivery,
    /// By another SQS message: the event was sent again.
    Producer,
}

impl Cause {
    /// The cause as a metric label.
    pub fn code(self) -> &'static str {
        match self {
            Self::Redelivery => "redelivery",
            Self::Producer => "producer",
        }
    }
}

/// Proof that a pair was confirmed by SNS before, within the window.
#[derive(Debug)]
pub struct Seen {
    /// The message that was published.
    pub first: MessageId,
    /// Why it came again.
    pub cause: Cause,
}

impl Seen {
    fn new(first: MessageId, now: MessageId) -> Self {
        Self { first, cause: if first == now { Cause::Redelivery } else { Cause::Producer } }
    }
}

/// Why a pair is not to be published.
#[derive(Debug)]
pub enum Taken {
    /// It was, before.
    Published(Seen),
    /// Another replica is publishing it at the moment.
    Elsewhere,
}

/// This process is publishing a pair at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Busy;

/// What the process, or all replicas, have published lately.
#[derive(Debug)]
pub struct Window {
    memory: Option<Mutex<Memory>>,
    store: Option<Store>,
    metrics: Arc<Metrics>,
}

/// The right to publish a pair, and to say that it was published. Dropped without that, the pair is free again for this
/// process; other replicas want it [released](Window::release).
#[derive(Debug)]
pub struct Claim {
    pair: Pair,
    message: MessageId,
    window: Arc<Window>,
    is_over: bool,
}

impl Drop for Claim {
    fn drop(&mut self) {
        if !self.is_over
            && let Some(mut memory) = self.window.memory()
        {
            memory.release(self.pair);
        }
    }
}

impl Window {
    /// A window as configured. A claim in the shared store, of a replica that crashed, ends after `claim_span`.
    ///
    /// # Errors
    /// When the store's URL cannot be used. Whether the store can be reached is another matter, and no error.
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
        Ok(Arc::new(Self { memory, store, metrics }))
    }

    fn memory(&self) -> Option<MutexGuard<'_, Memory>> {
        // Nothing in there panics while it holds the lock.
        Some(self.memory.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Claims the pairs of one event, which came in this message, and adds which of them are taken to `claims`, in the order
    /// of the pairs. Claims nothing and says so if this process is publishing one of them at the moment. What other
    /// replicas know is for [`Window::ask_replicas`].
    pub fn try_claim(
        self: &Arc<Self>,
        pairs: impl Iterator<Item = Pair>,
        message: MessageId,
        claims: &mut Vec<Result<Claim, Taken>>,
    ) -> Result<(), Busy> {
        let (before, now) = (claims.len(), Instant::now());
        let mut memory = self.memory();
        for pair in pairs {
            let found = memory.as_mut().map_or(Found::Free, |memory| memory.claim(pair, now));
            claims.push(match found {
                Found::Free => Ok(self.claimed(pair, message)),
                Found::Published(first) => Err(Taken::Published(Seen::new(first, message))),
                Found::Busy(_) => {
                    // The claims release themselves, for which they want the memory.
                    drop(memory);
                    claims.truncate(before);
                    return Err(Busy);
                }
            });
        }
        Ok(())
    }

    /// Claims the pairs of one event, which came in this message, and says which of them are taken; in the order of the
    /// pairs. Waits for those that this process is publishing at the moment; other replicas are not asked, as in
    /// [`Window::try_claim`].
    pub async fn claim(self: &Arc<Self>, pairs: &[Pair], message: MessageId) -> Vec<Result<Claim, Taken>> {
        let mut claims: Vec<Option<Result<Claim, Taken>>> = pairs.iter().map(|_| None).collect();
        // In one order for everybody, so that two events with several pairs in common do not wait for each other.
        let mut order: Vec<usize> = (0..pairs.len()).collect();
        order.sort_by_key(|index| pairs[*index]);
        for index in order {
            claims[index] = Some(self.claim_one(pairs[index], message).await.map_err(Taken::Published));
        }
        claims.into_iter().flatten().collect()
    }

    /// Claims in the shared store, if there is one, what is claimed in this process, and gives up what is taken there.
    pub async fn ask_replicas(&self, claims: &mut [Result<Claim, Taken>]) {
        let Some(store) = &self.store else { return };
        let wanted: Vec<Pair> = claims.iter().flatten().map(|claim| claim.pair).collect();
        let standings = store.claim(&wanted).await;
        for (claim, standing) in claims.iter_mut().filter(|claim| claim.is_ok()).zip(standings) {
            let Ok(Claim { pair, message, .. }) = claim else { continue };
            let taken = match standing {
                Standing::Free => continue,
                Standing::Claimed => Taken::Elsewhere,
                Standing::Published(first) => {
                    self.note([(*pair, first)].into_iter());
                    Taken::Published(Seen::new(first, *message))
                }
            };
            *claim = Err(taken);
        }
    }

    async fn claim_one(self: &Arc<Self>, pair: Pair, message: MessageId) -> Result<Claim, Seen> {
        loop {
            let found = match self.memory() {
                Some(mut memory) => memory.claim(pair, Instant::now()),
                None => Found::Free,
            };
            match found {
                Found::Free => return Ok(self.claimed(pair, message)),
                Found::Published(first) => return Err(Seen::new(first, message)),
                // It ends without a word when the claim does.
                Found::Busy(released) => drop(released.await),
            }
        }
    }

    fn claimed(self: &Arc<Self>, pair: Pair, message: MessageId) -> Claim {
        Claim { pair, message, window: Arc::clone(self), is_over: false }
    }

    /// Gives up what was claimed and not published. Returns when every replica can know.
    pub async fn release(&self, claims: Vec<Claim>) {
        if let Some(store) = &self.store {
            let pairs: Vec<Pair> = claims.iter().map(|claim| claim.pair).collect();
            store.release(&pairs).await;
        }
    }

    /// Notes that SNS has confirmed what was claimed. Returns when every replica can know.
    pub async fn confirm(&self, mut claims: Vec<Claim>) {
        self.note(claims.iter().map(|claim| (claim.pair, claim.message)));
        if let Some(mut memory) = self.memory() {
            for claim in &mut claims {
                memory.release(claim.pair);
                claim.is_over = true;
            }
        }
        if let Some(store) = &self.store {
            let published: Vec<(Pair, MessageId)> = claims.iter().map(|claim| (claim.pair, claim.message)).collect();
            store.note(&published).await;
        }
    }

    fn note(&self, published: impl Iterator<Item = (Pair, MessageId)>) {
        if let Some(mut memory) = self.memory() {
            let now = Instant::now();
            for (pair, message) in published {
                memory.note(pair, message, now);
            }
            self.metrics.dedupe_entries.set(memory.len() as f64);
        }
    }
}

#[cfg(test)]
mod tests;
