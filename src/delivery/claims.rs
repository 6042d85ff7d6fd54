//! Storing the JSON of claim checks: one breaker for their bucket, and the messages that wait for it.
//!
//! An entry is blamed for a failed call only if the bucket took another object meanwhile, and for a refusal only if the
//! bucket took another object between two refusals of this one. Otherwise its message waits, or is held while the bucket is
//! out. An entry whose receipt goes stale is not stored.

use std::sync::Arc;

use super::dependency::{Attempt, Dependency, Unanswered};
use super::undelivered::{EntryError, NotStored};
use crate::aws::Clients;
use crate::aws::outages::{Domain, Outages};
use crate::aws::s3::BucketsError;
use crate::aws::s3::claims::{ClaimBucket, StoreError, Stored};
use crate::aws::sns::publish::{Confirmed, OffloadedEntry, Publisher, ReadyEntry};
use crate::base::breaker::OPENS_AFTER;
use crate::config::Config;
use crate::message::{Ownership, TopicArn};
use crate::telemetry::Metrics;

/// The number of entries that wait in memory while the bucket is out: the one that makes the probes. Each holds a whole JSON.
const SEATS: usize = 1;

/// Stores the JSON of claim checks.
#[derive(Debug)]
pub struct Claims {
    /// `None` if no bucket is configured.
    bucket: Option<(ClaimBucket, Dependency)>,
    metrics: Arc<Metrics>,
}

/// What became of an entry whose JSON had to be stored.
#[derive(Debug)]
pub(super) struct Offloaded {
    /// The proof that the JSON is stored, and the name of its bucket.
    pub(super) stored: Option<(Stored, Arc<str>)>,
    /// The result of the entry; `None` if the publisher gave none, which is a defect.
    pub(super) result: Option<Result<Confirmed, EntryError>>,
}

impl Claims {
    /// Creates the claims in the configured bucket. `outages` learns whether it works. Makes no call.
    ///
    /// # Errors
    /// Returns an error if the bucket has no address.
    pub fn new(
        config: &Config,
        clients: &Clients,
        outages: &Arc<Outages>,
        metrics: &Arc<Metrics>,
    ) -> Result<Self, BucketsError> {
        let bucket = ClaimBucket::new(config, clients)?.map(|bucket| {
            metrics.claims.start_at_zero();
            let domain = Domain::ClaimBucket(Arc::clone(bucket.name()));
            (bucket, Dependency::new(domain, OPENS_AFTER, SEATS, Arc::clone(outages)))
        });
        Ok(Self { bucket, metrics: Arc::clone(metrics) })
    }

    /// Stores the JSON of an entry, then publishes the entry, and waits for its result. `in_memory` counts the JSON for the
    /// in-flight budget. It is dropped once the JSON is stored, or once the entry waits for a bucket that is out: such a
    /// wait can take hours, and no other event must wait for the room. One entry waits in this way, so its JSON is all that
    /// is not counted.
    pub(super) async fn store_and_publish<M>(
        &self,
        entry: Box<OffloadedEntry>,
        ownership: Ownership,
        in_memory: M,
        publisher: &Publisher,
    ) -> Offloaded {
        let mut entry = match self.store(entry, &ownership, in_memory).await {
            Ok(entry) => entry,
            Err(error) => return Offloaded { stored: None, result: Some(Err(error.into())) },
        };
        let name = self.bucket.as_ref().map(|(bucket, _)| Arc::clone(bucket.name()));
        let stored = entry.take_proof().zip(name);
        let mut results = publisher.enqueue(vec![(entry, ownership)]).await;
        let result = results.next().await.pop().map(|(_, result)| result.map_err(EntryError::from));
        Offloaded { stored, result }
    }

    /// Stores the JSON of an entry of the message with this ownership.
    ///
    /// # Errors
    /// Returns an error if the JSON cannot be stored, or if it must be stored later.
    async fn store<M>(
        &self,
        entry: Box<OffloadedEntry>,
        ownership: &Ownership,
        in_memory: M,
    ) -> Result<ReadyEntry, NotStored> {
        let topic = entry.topic().clone();
        let Some((bucket, dependency)) = &self.bucket else {
            return Err(NotStored::failed(topic, "`claim_check.bucket` is not set".to_owned()));
        };
        let mut visit = dependency.visit(ownership);
        let (mut waiting, mut was_refused, mut in_memory) = (entry, false, Some(in_memory));
        loop {
            let turn = match visit.turn_noting(|| in_memory = None).await {
                Ok(turn) => turn,
                Err(why) => return Err(not_stored(topic, dependency, why, false)),
            };
            let (entry, error) = match waiting.store(bucket, &self.metrics).await {
                Ok(ready) => {
                    turn.end(Attempt::Answered(()));
                    return Ok(ready);
                }
                Err(error) => error,
            };
            let is_refused = matches!(error, StoreError::Refused { .. });
            let attempt = match error {
                StoreError::Busy(_) => Attempt::NoRoom,
                error => Attempt::Failed(error.to_string()),
            };
            let ended = turn.end::<()>(attempt);
            if is_refused && !was_refused {
                // The bucket may have begun to refuse everything. It must take another object after this refusal.
                (was_refused, visit) = (true, dependency.visit(ownership));
            } else if let Some(Err(why)) = ended {
                return Err(not_stored(topic, dependency, why, is_refused));
            }
            waiting = entry;
            visit.again();
        }
    }
}

/// Returns the error of an entry that the bucket did not take. `is_refused` says whether S3 refused the object itself.
fn not_stored(topic: TopicArn, bucket: &Dependency, why: Unanswered, is_refused: bool) -> NotStored {
    match why {
        Unanswered::Failed(reason) if is_refused => NotStored::refused(topic, reason),
        Unanswered::Failed(reason) => NotStored::failed(topic, reason),
        Unanswered::Out => NotStored::out(topic, bucket.domain().clone()),
        Unanswered::Lost => NotStored::lost(topic),
    }
}

#[cfg(test)]
mod tests;
