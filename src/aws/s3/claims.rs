//! The bucket of claim checks: the JSON of a large event is stored here before the pointer to it is published.
//!
//! A [`Stored`] is the proof that S3 has confirmed an object. The publisher takes an entry with a pointer only together with
//! it. An object is replaced by the same bytes if it is stored again, so an attempt whose answer was lost leaves nothing
//! behind.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_lean::{Bucket, NewObject};
use bytes::Bytes;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tracing::warn;

use super::{BACKOFF, BucketsError, is_of_bucket};
use crate::aws::attempts::attempts;
use crate::aws::{Clients, Failure, FailureKind, LeanClient, call_end};
use crate::base::RateLimitedLog;
use crate::config;
use crate::message::Offload;
use crate::telemetry::{Call, Carried, FailureLabels, Metrics, Operation};

/// The largest number of objects that are being stored at the same time.
const MAX_PUTS: usize = 16;
/// The media type of the objects.
const CONTENT_TYPE: &str = "application/json";
/// The last part of the key of the object that the check of the configuration writes.
const CHECKED_KEY: &str = "protobridge-check";

/// The bucket of claim checks.
#[derive(Debug)]
pub struct ClaimBucket {
    lean: LeanClient,
    bucket: Bucket,
    name: Arc<str>,
    key_prefix: String,
    kms_key_id: Option<String>,
    room: Semaphore,
    max_attempts: u32,
    log: RateLimitedLog,
}

/// Proof that the bucket has the object of an [`Offload`], whole.
#[derive(Debug)]
pub struct Stored {
    key: String,
    bytes: usize,
    began: SystemTime,
    ended: SystemTime,
}

impl Stored {
    /// Returns the key of the object.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Returns the size of the object in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns when the first attempt began, and when S3 confirmed the object.
    pub fn span(&self) -> (SystemTime, SystemTime) {
        (self.began, self.ended)
    }
}

/// Why an object was not stored.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// S3 refuses the request for this object, and will refuse it again unless the bucket is at fault.
    #[error("S3 refuses s3://{bucket}/{key}: {failure}")]
    Refused {
        /// The bucket.
        bucket: Arc<str>,
        /// The key of the object.
        key: String,
        /// The answer of S3.
        failure: Failure,
    },
    /// Too many objects are being stored. No call was made.
    #[error("there was no room to store an object in the bucket {0}: other objects are still being stored")]
    Busy(Arc<str>),
    /// S3 did not store the object, for a reason that can pass.
    #[error("cannot store s3://{bucket}/{key}: {error}")]
    Failed {
        /// The bucket.
        bucket: Arc<str>,
        /// The key of the object.
        key: String,
        /// The reason, and the way out if there is one.
        error: String,
    },
}

/// A JSON as the body of a request. Shared, not copied.
struct SharedJson(Arc<String>);

impl AsRef<[u8]> for SharedJson {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl ClaimBucket {
    /// Creates the address of the configured bucket, in the region of SQS and SNS; `None` if none is configured. Makes no
    /// call.
    ///
    /// # Errors
    /// Returns an error if there is no region, or no endpoint of S3 in it.
    pub fn new(config: &config::Config, clients: &Clients) -> Result<Option<Self>, BucketsError> {
        let config::ClaimCheck { bucket: Some(name), key_prefix, kms_key_id, .. } = &config.claim_check else {
            return Ok(None);
        };
        let of_error = |error| BucketsError { key: "claim_check.bucket", bucket: name.clone(), error };
        Ok(Some(Self {
            lean: clients.lean.clone(),
            bucket: Bucket::new(&clients.shared, name).map_err(of_error)?,
            name: name.as_str().into(),
            key_prefix: key_prefix.clone(),
            kms_key_id: kms_key_id.clone(),
            room: Semaphore::new(MAX_PUTS),
            max_attempts: config.aws.max_attempts,
            log: RateLimitedLog::new(Duration::from_secs(1)),
        }))
    }

    /// Returns the name of the bucket.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Stores the JSON of an event for this customer, once there is room for the call, and counts each call in `metrics`.
    /// Waits for the room and for S3 at most one deadline each: the time that all attempts at a call can take.
    ///
    /// # Errors
    /// Returns an error if there is no room, or if S3 does not confirm the object. It can be stored nevertheless.
    pub async fn store(
        &self,
        offload: &Offload,
        customer: Option<&Arc<str>>,
        metrics: &Metrics,
    ) -> Result<Stored, StoreError> {
        let bytes = offload.json.len();
        let deadline = self.lean.put_limit(bytes) * self.max_attempts;
        // The semaphore is never closed.
        let Ok(Ok(_room)) = timeout(deadline, self.room.acquire()).await else {
            return Err(StoreError::Busy(Arc::clone(&self.name)));
        };
        let began = SystemTime::now();
        let call = Call { customer, ..Call::new(Operation::PutObject, false) };
        let put =
            self.put(&offload.key, || json(offload), offload.sha256, |answer| count(metrics, &call, bytes, answer));
        match timeout(deadline, put).await {
            Ok(Ok(())) => {
                metrics.claims.stored(metrics.customer(customer.map(|id| &**id)), bytes);
                Ok(Stored { key: offload.key.clone(), bytes, began, ended: SystemTime::now() })
            }
            Ok(Err(failure)) => Err(self.failed(offload, failure)),
            Err(_) => {
                // The call that the deadline cut off.
                let failure = no_answer_within(deadline);
                count(metrics, &call, bytes, &Err(failure.clone()));
                Err(self.failed(offload, failure))
            }
        }
    }

    /// Stores a small object, so that the permissions are proven.
    ///
    /// # Errors
    /// Returns an error if S3 does not confirm it.
    pub async fn probe(&self) -> Result<(), Failure> {
        /// The SHA-256 of `{}`.
        const SHA256: [u8; 32] = [
            0x44, 0x13, 0x6f, 0xa3, 0x55, 0xb3, 0x67, 0x8a, 0x11, 0x46, 0xad, 0x16, 0xf7, 0xe8, 0x64, 0x9e, 0x94, 0xfb,
            0x4f, 0xc2, 0x1f, 0xe7, 0x7e, 0x83, 0x10, 0xc0, 0x60, 0xf6, 0x1c, 0xaa, 0xff, 0x8a,
        ];
        let key = self.checked_key();
        let deadline = self.lean.put_limit(0) * self.max_attempts;
        let put = self.put(&key, || Bytes::from_static(b"{}"), SHA256, |_| {});
        timeout(deadline, put).await.unwrap_or_else(|_| Err(no_answer_within(deadline)))
    }

    /// Returns the key of the object that [`ClaimBucket::probe`] stores.
    pub fn checked_key(&self) -> String {
        [self.key_prefix.as_str(), CHECKED_KEY]
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join("/")
    }

    /// Stores an object, with further attempts if a failure can pass. Passes the answer of each attempt to `count`.
    async fn put(
        &self,
        key: &str,
        content: impl Fn() -> Bytes,
        sha256: [u8; 32],
        count: impl Fn(&Result<(), Failure>),
    ) -> Result<(), Failure> {
        let put = || async {
            let kms_key_id = self.kms_key_id.as_deref();
            let object = NewObject { key, bytes: content(), sha256, content_type: CONTENT_TYPE, kms_key_id };
            let answer = self.lean.put_object(&self.bucket, object).await;
            count(&answer);
            answer
        };
        attempts(self.max_attempts, BACKOFF, put).await
    }

    fn failed(&self, offload: &Offload, failure: Failure) -> StoreError {
        let (bucket, key) = (Arc::clone(&self.name), offload.key.clone());
        if let Some(suppressed) = self.log.permit() {
            let (code, error) = (failure.label(), self.explain(&failure));
            warn!(%bucket, key, code, error, suppressed, "failed to store the JSON of a claim check");
        }
        match failure.is_about_entry() {
            true => StoreError::Refused { bucket, key, failure },
            false => StoreError::Failed { bucket, key, error: self.explain(&failure) },
        }
    }

    /// Returns the text of a failure, with the way out.
    fn explain(&self, failure: &Failure) -> String {
        match failure.kind {
            FailureKind::Denied if self.kms_key_id.is_some() => format!(
                "{failure}; grant `s3:PutObject` on the bucket, and `kms:GenerateDataKey` on `claim_check.kms_key_id`"
            ),
            FailureKind::Denied => format!("{failure}; grant `s3:PutObject` on the bucket"),
            FailureKind::NotFound if is_of_bucket(failure) => {
                format!("{failure}; create the bucket, or correct `claim_check.bucket`")
            }
            FailureKind::Broken => {
                format!("{failure}; check `claim_check.bucket`, `claim_check.kms_key_id` and `aws.region`")
            }
            _ => failure.to_string(),
        }
    }
}

fn json(offload: &Offload) -> Bytes {
    Bytes::from_owner(SharedJson(Arc::clone(&offload.json)))
}

fn count(metrics: &Metrics, call: &Call<'_>, bytes: usize, answer: &Result<(), Failure>) {
    metrics.transfer(call, call_end(answer, |()| Carried::object(bytes)));
    if let Err(failure) = answer {
        metrics.claims.store_errors.with(&FailureLabels { code: failure.label() }).add(1);
    }
}

fn no_answer_within(deadline: Duration) -> Failure {
    let message = format!("no answer within {deadline:?}");
    Failure { kind: FailureKind::Transient, code: None, message, request_id: None }
}

#[cfg(test)]
mod tests;
