//! Objects in the S3 buckets that the configuration allows.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_config::SdkConfig;
use bytes::Bytes;
use object_store::aws::{AmazonS3, AmazonS3Builder, AwsCredential};
use object_store::path::Path;
use object_store::{BackoffConfig, CredentialProvider, ObjectStoreExt as _, RetryConfig};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

use crate::base::http::Http;
use crate::config;
use crate::message::envelope::Pointer;
use aws_lean::credentials::CredentialsCache;

/// The largest number of objects that are being fetched, or are fetched and not yet rendered. Times the largest allowed
/// object, this bounds their memory.
const MAX_OBJECTS: usize = 16;

/// The buckets that protobridge reads from.
#[derive(Debug)]
pub struct Objects {
    buckets: BTreeMap<String, Bucket>,
    room: Semaphore,
    max_bytes: usize,
    deadline: Duration,
}

#[derive(Debug)]
struct Bucket {
    store: AmazonS3,
    /// The bucket's part of the room, so that a bucket that does not answer leaves some to the others.
    room: Semaphore,
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
pub enum BucketsError {
    /// The HTTP client cannot be created.
    #[error("cannot read this system's certificates: {0}; S3 requires TLS")]
    Certificates(#[from] std::io::Error),
    /// The settings are not valid for S3.
    #[error("envelope.s3_buckets: {0}")]
    Settings(#[from] object_store::Error),
}

/// Why an object was not fetched.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration does not allow the bucket.
    #[error("the body points to {0}, and `envelope.s3_buckets` does not allow that bucket; add it to allow it")]
    Forbidden(Pointer),
    /// S3 cannot have such an object.
    #[error("the body points to {pointer}, which cannot be the key of an object: {error}")]
    Impossible {
        /// The object that the body points to.
        pointer: Pointer,
        /// Why the key is invalid.
        error: object_store::path::Error,
    },
    /// The object is larger than allowed.
    #[error("{pointer} has {size} bytes, more than {most}; to allow this size, raise `envelope.max_payload_bytes`")]
    TooLarge {
        /// The object.
        pointer: Pointer,
        /// The object's size in bytes.
        size: u64,
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

impl Objects {
    /// Creates clients of the configured buckets with the region, endpoint and credentials of SQS and SNS. Makes no call.
    ///
    /// # Errors
    /// Returns an error if the settings are not valid for S3.
    pub fn new(config: &config::Config, shared: &SdkConfig) -> Result<Self, BucketsError> {
        let (aws, envelope) = (&config.aws, &config.envelope);
        let attempt = Duration::from_millis(aws.attempt_timeout_ms);
        let deadline = attempt * aws.max_attempts;
        let mut buckets = BTreeMap::new();
        if !envelope.s3_buckets.is_empty() {
            let http = Http::new(Duration::from_millis(aws.connect_timeout_ms), attempt)?;
            let credentials = shared.credentials_provider();
            let credentials = credentials.map(|provider| Arc::new(Signer(CredentialsCache::new(Some(provider)))));
            for name in &envelope.s3_buckets {
                let retry = RetryConfig {
                    backoff: BackoffConfig::default(),
                    max_retries: aws.max_attempts.saturating_sub(1) as usize,
                    retry_timeout: deadline,
                };
                let mut bucket = AmazonS3Builder::new()
                    .with_bucket_name(name)
                    .with_retry(retry)
                    .with_http_connector(http.clone())
                    .with_virtual_hosted_style_request(aws.endpoint_url.is_none());
                if let Some(region) = shared.region() {
                    bucket = bucket.with_region(region.as_ref());
                }
                if let Some(endpoint) = &aws.endpoint_url {
                    bucket = bucket.with_endpoint(endpoint).with_allow_http(true);
                }
                if let Some(credentials) = &credentials {
                    bucket = bucket.with_credentials(Arc::clone(credentials) as _);
                }
                let room = Semaphore::new(if envelope.s3_buckets.len() > 1 { MAX_OBJECTS / 2 } else { MAX_OBJECTS });
                buckets.insert(name.clone(), Bucket { store: bucket.build()?, room });
            }
        }
        Ok(Self { buckets, room: Semaphore::new(MAX_OBJECTS), max_bytes: envelope.max_payload_bytes, deadline })
    }

    /// Returns the names of the allowed buckets.
    pub fn buckets(&self) -> impl Iterator<Item = &str> {
        self.buckets.keys().map(String::as_str)
    }

    /// Fetches an object, once there is room for it. Waits for the room and for the object at most one deadline each: the
    /// time that all attempts at a call can take.
    ///
    /// # Errors
    /// Returns an error if the object is not allowed, does not exist, is too large, there is no room for it, or S3 does not
    /// return it.
    pub async fn fetch(&self, pointer: Pointer) -> Result<Object<'_>, Error> {
        let Some(bucket) = self.buckets.get(&pointer.bucket) else { return Err(Error::Forbidden(pointer)) };
        let path = match Path::parse(&pointer.key) {
            Ok(path) => path,
            Err(error) => return Err(Error::Impossible { pointer, error }),
        };
        let room = async { tokio::try_join!(bucket.room.acquire(), self.room.acquire()) };
        // The semaphores are never closed.
        let Ok(Ok((own, common))) = timeout(self.deadline, room).await else { return Err(Error::Busy(pointer)) };
        let bytes = match timeout(self.deadline, self.get(&bucket.store, &path)).await {
            Ok(Ok(bytes)) => bytes,
            Ok(Err(GetError::TooLarge(size))) => return Err(Error::TooLarge { pointer, size, most: self.max_bytes }),
            Ok(Err(GetError::Store(object_store::Error::NotFound { .. }))) => return Err(Error::Missing(pointer)),
            Ok(Err(GetError::Store(error))) => return Err(Error::Failed { pointer, error: explain(&error) }),
            Err(_) => {
                let error = format!("no answer within {:?}", self.deadline);
                return Err(Error::Failed { pointer, error });
            }
        };
        Ok(Object { bytes, _permits: [own, common] })
    }

    /// Requests an object from each bucket. Returns each bucket's name, and whether it exists. A bucket that denies access
    /// exists: without `s3:ListBucket`, S3 denies access to every object that does not exist.
    pub async fn probe(&self) -> Vec<(&str, Result<(), ProbeError>)> {
        let mut results = Vec::new();
        for (name, bucket) in &self.buckets {
            let result = match timeout(self.deadline, self.get(&bucket.store, &Path::from("protobridge-check"))).await {
                Ok(Err(GetError::Store(error))) if names_no_such_bucket(&error) => Err(ProbeError::NoSuchBucket),
                Ok(Ok(_) | Err(GetError::TooLarge(_))) => Ok(()),
                Ok(Err(GetError::Store(error))) => match error {
                    object_store::Error::NotFound { .. } | object_store::Error::PermissionDenied { .. } => Ok(()),
                    error => Err(ProbeError::Failed(explain(&error))),
                },
                Err(_) => Err(ProbeError::TimedOut(self.deadline)),
            };
            results.push((name.as_str(), result));
        }
        results
    }

    async fn get(&self, bucket: &AmazonS3, path: &Path) -> Result<Bytes, GetError> {
        let found = bucket.get(path).await?;
        // The body that follows has exactly this length, or reading it fails.
        if found.meta.size > self.max_bytes as u64 {
            return Err(GetError::TooLarge(found.meta.size));
        }
        Ok(found.bytes().await?)
    }
}

/// Why a bucket cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The bucket does not exist.
    #[error("there is no such bucket; create it, or remove it from `envelope.s3_buckets`")]
    NoSuchBucket,
    /// S3 did not answer in time.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    /// S3 answered with an error.
    #[error("{0}")]
    Failed(String),
}

/// Whether S3 answered that the bucket does not exist. `object_store` has no kind for this error; only the text of the
/// answer has the code.
fn names_no_such_bucket(error: &object_store::Error) -> bool {
    error.to_string().contains("NoSuchBucket")
}

enum GetError {
    TooLarge(u64),
    Store(object_store::Error),
}

impl From<object_store::Error> for GetError {
    fn from(error: object_store::Error) -> Self {
        Self::Store(error)
    }
}

fn explain(error: &object_store::Error) -> String {
    match error {
        object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => {
            // https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
            "access denied; grant `s3:GetObject` (without `s3:ListBucket`, S3 also denies access to missing objects)"
                .to_owned()
        }
        _ => error.to_string(),
    }
}

/// The SDK's credentials in the type that `object_store` requires.
#[derive(Debug)]
struct Signer(CredentialsCache);

#[async_trait]
impl CredentialProvider for Signer {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        let found = self.0.get().await;
        let found = found.map_err(|source| object_store::Error::Generic { store: "S3", source: source.into() })?;
        Ok(Arc::new(AwsCredential {
            key_id: found.keys.access_key_id().to_owned(),
            secret_key: found.keys.secret_access_key().to_owned(),
            token: found.keys.session_token().map(str::to_owned),
        }))
    }
}

#[cfg(test)]
mod tests;
