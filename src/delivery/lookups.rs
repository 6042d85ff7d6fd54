//! Lookups: the S3 object or the Confluent schema that a message refers to.

use super::decide::Lookup;
use super::outcome::Outcome;
use crate::aws::s3::{self, Object, Objects};
use crate::message::RetryCause;
use crate::schema::confluent::Schemas;
use crate::telemetry::{Metrics, Operation};

/// Where lookups are answered.
#[derive(Debug)]
pub struct Lookups {
    /// The S3 objects that message bodies point to.
    pub objects: Objects,
    /// The schemas that Confluent's wire format numbers.
    pub schemas: Schemas,
}

impl Lookups {
    /// Answers one lookup. Returns the object, if the lookup was for one; it must be kept until the event is rendered,
    /// because it holds its share of the memory for objects.
    ///
    /// # Errors
    /// Returns the message's outcome if S3 or the schema registry does not answer, or if the object cannot be used.
    /// `missing_object` decides the outcome of a message whose object does not exist.
    pub async fn answer(
        &self,
        lookup: Lookup,
        metrics: &Metrics,
        missing_object: impl FnOnce(String) -> Outcome,
    ) -> Result<Option<Object<'_>>, Outcome> {
        match lookup {
            Lookup::Schema(id) => {
                self.schemas.learn(id).await.map_err(|error| RetryCause::Lookup.because(error))?;
                Ok(None)
            }
            Lookup::Object(pointer) => {
                let fetched = self.objects.fetch(pointer).await;
                if !matches!(fetched, Err(s3::Error::Forbidden(_) | s3::Error::Impossible { .. })) {
                    metrics.call(Operation::GetObject, fetched.is_ok());
                }
                let object = fetched.map_err(|error| match error {
                    s3::Error::Failed { .. } => RetryCause::Lookup.because(error).into(),
                    s3::Error::Missing(_) => missing_object(error.to_string()),
                    _ => crate::message::QuarantineKind::BadEnvelope.because(error).into(),
                })?;
                Ok(Some(object))
            }
        }
    }
}
