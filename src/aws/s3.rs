//! Objects in the S3 buckets that the configuration allows: those that message bodies point to, and in [`claims`] those
//! that published events point to.

pub mod claims;

#[cfg(test)]
pub(crate) mod double;
pub mod place;

use std::collections::BTreeMap;
use std::time::Duration;

use aws_lean::{Bucket, BucketKeyError, NoEndpoint};
use bytes::Bytes;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

use crate::aws::attempts::attempts;
use crate::aws::{Clients, Failure, FailureKind, LeanClient, call_end};
use crate::base::Backoff;
use crate::config;
use crate::message::envelope::Pointer;
use crate::telemetry::{Call, CallEnd, Carried, Metrics, Operation};

/// The largest number of objects that are being fetched, or are fetched and not yet rendered. Times the largest allowed
/// object, this bounds their memory.
const MAX_OBJECTS: usize = 16;
/// Delays between the attempts at one object.
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
/// The key that a probe asks for. It need not exist.
const PROBED_KEY: &str = "protobridge-check";

/// The buckets that protobridge reads from.
#[derive(Debug)]
pub struct Objects {
    lean: LeanClient,
    /// The buckets, each with its part of the room, so that a bucket that does not answer leaves some to the others.
    buckets: BTreeMap<String, (Bucket, Semaphore)>,
    room: Semaphore,
    max_bytes: usize,
    max_attempts: u32,
    deadline: Duration,
}

/// An object's bytes, and its share of the room for objects.
#[derive(Debug)]
pub struct Object<'o> {
    /// The bytes.
    pub bytes: Bytes,
    _permits: [SemaphorePermit<'o>; 2],
}

/// Why the buckets cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{key}: bucket {bucket}: {error}")]
pub struct BucketsError {
    key: &'static str,
    bucket: String,
    error: NoEndpoint,
}

/// Why an object was not fetched.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration does not allow the bucket.
    #[error("the body points to {0}, and `envelope.s3_buckets` does not allow that bucket; add it to allow it")]
    Forbidden(Pointer),
    /// S3 cannot have such an object, or the endpoint cannot be trusted to keep its key.
    #[error("the body points to {pointer}, which cannot be the key of an object: {error}")]
    Impossible {
        /// The object that the body points to.
        pointer: Pointer,
        /// Why the key is invalid.
        error: BucketKeyError,
    },
    /// S3 refuses the request for this object, and will refuse it again.
    #[error("S3 refuses to return {pointer}: {failure}")]
    Refused {
        /// The object.
        pointer: Pointer,
        /// The answer of S3.
        failure: Failure,
    },
    /// The object is larger than allowed.
    #[error("{pointer} has {}, more than {most}; to allow this size, raise `envelope.max_payload_bytes`", bytes(*size))]
    TooLarge {
        /// The object.
        pointer: Pointer,
        /// The object's size in bytes, if S3 says it.
        size: Option<u64>,
        /// The largest allowed size in bytes.
        most: usize,
    },
    /// The object does not exist.
    #[error("{0} does not exist: it was deleted before the message was read, or is not there yet")]
    Missing(Pointer),
    /// Too many objects are being fetched or rendered. No call was made.
    #[error("there was no room to fetch {0}: other objects are still being fetched or rendered")]
    Busy(Pointer),
    /// S3 did not return the object, for a reason that can pass.
    #[error("cannot fetch {pointer}: {error}")]
    Failed {
        /// The object.
        pointer: Pointer,
        /// The reason.
        error: String,
    },
}

fn bytes(size: Option<u64>) -> String {
    size.map_or_else(|| "an unknown number of bytes".to_owned(), |size| format!("{size} bytes"))
}

impl Objects {
    /// Creates the addresses of the configured buckets, in the region of SQS and SNS. Makes no call.
    ///
    /// # Errors
    /// Returns an error if there is no region, or no endpoint of S3 in it.
    pub fn new(config: &config::Config, clients: &Clients) -> Result<Self, BucketsError> {
        let (aws, envelope) = (&config.aws, &config.envelope);
        let mut buckets = BTreeMap::new();
        for name in &envelope.s3_buckets {
            let bucket = Bucket::new(&clients.shared, name);
            let bucket =
                bucket.map_err(|error| BucketsError { key: "envelope.s3_buckets", bucket: name.clone(), error })?;
            let room = if envelope.s3_buckets.len() > 1 { MAX_OBJECTS / 2 } else { MAX_OBJECTS };
            buckets.insert(name.clone(), (bucket, Semaphore::new(room)));
        }
        Ok(Self {
            lean: clients.lean.clone(),
            buckets,
            room: Semaphore::new(MAX_OBJECTS),
            max_bytes: envelope.max_payload_bytes,
            max_attempts: aws.max_attempts,
            deadline: Duration::from_millis(aws.attempt_timeout_ms) * aws.max_attempts,
        })
    }

    /// Returns the names of the allowed buckets.
    pub fn buckets(&self) -> impl Iterator<Item = &str> {
        self.buckets.keys().map(String::as_str)
    }

    /// Fetches an object, once there is room for it, and counts each call in `metrics`. Waits for the room and for the object at most one deadline each: the
    /// time that all attempts at a call can take.
    ///
    /// # Errors
    /// Returns an error if the object is not allowed, does not exist, is too large, there is no room for it, or S3 does not
    /// return it.
    pub async fn fetch(&self, pointer: Pointer, metrics: &Metrics) -> Result<Object<'_>, Error> {
        let Some((bucket, own_room)) = self.buckets.get(&pointer.bucket) else { return Err(Error::Forbidden(pointer)) };
        if let Err(error) = bucket.check(&pointer.key) {
            return Err(Error::Impossible { pointer, error });
        }
        let room = async { tokio::try_join!(own_room.acquire(), self.room.acquire()) };
        // The semaphores are never closed.
        let Ok(Ok((own, common))) = timeout(self.deadline, room).await else { return Err(Error::Busy(pointer)) };
        let get = self.get(bucket, &pointer.key, |answer| count(metrics, answer));
        match timeout(self.deadline, get).await {
            Ok(Ok(aws_lean::Object::Bytes(bytes))) => Ok(Object { bytes, _permits: [own, common] }),
            Ok(Ok(aws_lean::Object::TooLarge { size })) => Err(Error::TooLarge { pointer, size, most: self.max_bytes }),
            Ok(Err(failure)) if failure.is_about_entry() => Err(Error::Refused { pointer, failure }),
            Ok(Err(failure)) if failure.kind == FailureKind::NotFound && !is_of_bucket(&failure) => {
                Err(Error::Missing(pointer))
            }
            Ok(Err(failure)) => Err(Error::Failed { pointer, error: explain(&failure) }),
            Err(_) => {
                // The call that the deadline cut off.
                metrics.transfer(&Call::new(Operation::GetObject, false), CallEnd::Failed);
                Err(Error::Failed { pointer, error: format!("no answer within {:?}", self.deadline) })
            }
        }
    }

    /// Requests an object from each bucket. Returns each bucket's name, and whether objects can be read from it. S3 denies
    /// an object that does not exist unless both `s3:GetObject` and `s3:ListBucket` are granted
    /// (<https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html>).
    pub async fn probe(&self) -> Vec<(&str, Result<Readable, ProbeError>)> {
        let mut results = Vec::new();
        for (name, (bucket, _)) in &self.buckets {
            let result = match timeout(self.deadline, self.get(bucket, PROBED_KEY, |_| {})).await {
                Ok(Ok(_)) => Ok(Readable::Object),
                Ok(Err(failure)) if is_of_bucket(&failure) => Err(ProbeError::NoSuchBucket),
                Ok(Err(failure)) if failure.kind == FailureKind::NotFound => Ok(Readable::NoObject),
                Ok(Err(failure)) if failure.kind == FailureKind::Denied => Err(ProbeError::Denied(failure)),
                Ok(Err(failure)) => Err(ProbeError::Failed(failure)),
                Err(_) => Err(ProbeError::TimedOut(self.deadline)),
            };
            results.push((name.as_str(), result));
        }
        results
    }

    /// Gets an object, with further attempts if a failure can pass. Passes the answer of each attempt to `count`.
    async fn get(&self, bucket: &Bucket, key: &str, count: impl Fn(&GetAnswer)) -> GetAnswer {
        let get = || async {
            let answer = self.lean.get_object(bucket, key, self.max_bytes).await;
            count(&answer);
            answer
        };
        attempts(self.max_attempts, BACKOFF, get).await
    }
}

/// The object that a call to S3 returned, or the call's failure.
type GetAnswer = Result<aws_lean::Object, Failure>;

fn count(metrics: &Metrics, answer: &GetAnswer) {
    let carried = |object: &aws_lean::Object| match object {
        aws_lean::Object::Bytes(bytes) => Carried::object(bytes.len()),
        aws_lean::Object::TooLarge { .. } => Carried::NOTHING,
    };
    metrics.transfer(&Call::new(Operation::GetObject, false), call_end(answer, carried));
}

/// The result of a probe of a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readable {
    /// The object that the probe asks for.
    Object,
    /// No such object. S3 says that only to a caller that can read the bucket's objects and list them.
    NoObject,
}

/// Why a bucket cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The bucket does not exist.
    #[error("there is no such bucket; create it, or remove it from `envelope.s3_buckets`")]
    NoSuchBucket,
    /// S3 denies the object: `s3:GetObject` or `s3:ListBucket` is not granted.
    #[error("{0}")]
    Denied(Failure),
    /// S3 did not answer in time.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    /// S3 answered with an error.
    #[error("{0}")]
    Failed(Failure),
}

/// Whether S3 answered that the bucket, and not only the object, does not exist.
fn is_of_bucket(failure: &Failure) -> bool {
    failure.code.as_deref() == Some("NoSuchBucket")
}

fn explain(failure: &Failure) -> String {
    match failure.kind {
        FailureKind::Denied => {
            // https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
            format!(
                "{failure}; grant `s3:GetObject` and, on the bucket, `s3:ListBucket`: without it, S3 also denies \
                 access to missing objects"
            )
        }
        FailureKind::NotFound => format!("{failure}; create the bucket, or correct the producer"),
        _ => failure.to_string(),
    }
}

#[cfg(test)]
mod tests;
