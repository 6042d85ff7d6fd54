//! Lookups: the S3 object or the Confluent schema that a message refers to.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::decide::Lookup;
use super::dependency::{Attempt, Dependency, SEATS, Unanswered};
use super::outcome::Outcome;
use crate::aws::outages::{Domain, Outages};
use crate::aws::s3::{self, Object, Objects};
use crate::base::breaker::OPENS_AFTER;
use crate::message::envelope::Pointer;
use crate::message::{Ownership, QuarantineKind, RetryCause};
use crate::schema::confluent::{LearnError, Schemas};
use crate::telemetry::Metrics;

/// Where lookups are answered.
#[derive(Debug)]
pub struct Lookups {
    objects: Objects,
    /// The schemas that Confluent's wire format numbers.
    pub schemas: Schemas,
    buckets: BTreeMap<Arc<str>, Dependency>,
    registry: Dependency,
}

impl Lookups {
    /// Creates the lookups in these objects and schemas. `outages` learns which of them do not work.
    pub fn new(objects: Objects, schemas: Schemas, outages: &Arc<Outages>) -> Self {
        let bucket = |name: &str| {
            let name: Arc<str> = name.into();
            (Arc::clone(&name), Dependency::new(Domain::Bucket(name), OPENS_AFTER, SEATS, Arc::clone(outages)))
        };
        let buckets = objects.buckets().map(bucket).collect();
        // Messages of one schema share one call, so one failure concerns many messages.
        let registry = Dependency::new(Domain::SchemaRegistry, 1, SEATS, Arc::clone(outages));
        Self { objects, schemas, buckets, registry }
    }

    /// Answers one lookup of the message with this ownership. Returns the object, if the lookup was for one; it must be
    /// kept until the event is rendered, because it holds its share of the memory for objects.
    ///
    /// # Errors
    /// Returns the message's outcome if S3 or the schema registry does not answer, or if the object cannot be used.
    /// `missing_object` decides the outcome of a message whose object does not exist.
    pub async fn answer(
        &self,
        lookup: Lookup,
        ownership: &Ownership,
        metrics: &Metrics,
        missing_object: impl FnOnce(String) -> Outcome,
    ) -> Result<Option<Object<'_>>, Outcome> {
        match lookup {
            Lookup::Schema(id) => {
                self.learn(id, ownership).await.map_err(|why| unanswered(why, &self.registry))?;
                Ok(None)
            }
            Lookup::Object(pointer) => {
                let fetched = match self.buckets.get(&*pointer.bucket) {
                    None => Err(s3::Error::Forbidden(pointer)),
                    Some(bucket) => {
                        let fetched = self.fetch(&pointer, bucket, ownership, metrics).await;
                        fetched.map_err(|why| unanswered(why, bucket))?
                    }
                };
                let object = fetched.map_err(|error| match error {
                    s3::Error::Missing(_) => missing_object(error.to_string()),
                    _ => QuarantineKind::BadEnvelope.because(error).into(),
                })?;
                Ok(Some(object))
            }
        }
    }

    async fn learn(&self, id: u32, ownership: &Ownership) -> Result<(), Unanswered> {
        let mut visit = self.registry.visit(ownership);
        loop {
            let turn = visit.turn().await?;
            let attempt = match self.schemas.learn(id).await {
                Ok(()) => Attempt::Answered(()),
                Err(error @ LearnError { is_fresh: true, .. }) => Attempt::Failed(error.to_string()),
                Err(error) => Attempt::NotMade(error.to_string()),
            };
            if let Some(result) = turn.end(attempt) {
                return result;
            }
            visit.again();
        }
    }

    /// Fetches an object. An answer of S3 that rules the object out is an answer too.
    async fn fetch(
        &self,
        pointer: &Pointer,
        bucket: &Dependency,
        ownership: &Ownership,
        metrics: &Metrics,
    ) -> Result<Result<Object<'_>, s3::Error>, Unanswered> {
        let mut visit = bucket.visit(ownership);
        loop {
            let turn = visit.turn().await?;
            let attempt = match self.objects.fetch(pointer.clone(), metrics).await {
                Err(error @ s3::Error::Failed { .. }) => Attempt::Failed(error.to_string()),
                Err(s3::Error::Busy(_)) => Attempt::NoRoom,
                answer => Attempt::Answered(answer),
            };
            if let Some(result) = turn.end(attempt) {
                return result;
            }
            visit.again();
        }
    }
}

/// Returns the outcome of a message whose lookup was not answered.
fn unanswered(why: Unanswered, dependency: &Dependency) -> Outcome {
    match why {
        Unanswered::Failed(reason) => RetryCause::Lookup.because(reason).into(),
        Unanswered::Out => {
            let domain = dependency.domain().clone();
            Outcome::Held { detail: format!("{domain} does not answer"), domain }
        }
        Unanswered::Lost => RetryCause::StaleReceipt.because("its receipt went stale during a lookup").into(),
    }
}
