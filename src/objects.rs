//! Objects in S3, of the buckets that were allowed.

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

use crate::aws::credentials::Credentials;
use crate::config;
use crate::envelope::Pointer;
use crate::http::Http;

/// Most objects that are fetched, or fetched and not yet rendered, at a time: with the largest that is allowed, this is
/// the memory that they take.
const MOST_AT_A_TIME: usize = 16;

/// The buckets that may be read from.
#[derive(Debug)]
pub struct Objects {
    buckets: BTreeMap<String, AmazonS3>,
    room: Semaphore,
    most: usize,
    deadline: Duration,
}

/// An object's bytes, and its share of what may be fetched at a time.
#[derive(Debug)]
pub struct Object<'o> {
    /// The bytes.
    pub bytes: Bytes,
    _permit: Option<SemaphorePermit<'o>>,
}

/// Why there is no access to the buckets.
#[derive(Debug, thiserror::Error)]
pub enum SetUpError {
    /// The client cannot be made.
    #[error("cannot read the certificates of this system: {0}; S3 is reached over TLS")]
    Certificates(#[from] std::io::Error),
    /// S3 cannot be reached with these settings.
    #[error("envelope.s3_buckets: {0}")]
    Settings(#[from] object_store::Error),
}

/// Why an object was not fetched.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Its bucket was not allowed.
    #[error(
        "the body points to {0}, and `envelope.s3_buckets` does not allow that bucket; add it if it may be read from"
    )]
    Forbidden(Pointer),
    /// There cannot be such an object.
    #[error("the body points to {pointer}, which cannot be the key of an object: {error}")]
    Impossible {
        /// Where the body points to.
        pointer: Pointer,
        /// What is wrong with it.
        error: object_store::path::Error,
    },
    /// It is larger than allowed.
    #[error("{pointer} has {size} bytes, more than {most}; if it is meant to have, raise `envelope.max_payload_bytes`")]
    TooLarge {
        /// The object.
        pointer: Pointer,
        /// How large it is.
        size: u64,
        /// The most that it may have.
        most: usize,
    },
    /// It is not there.
    #[error("{0} is not there: it was deleted before the message was read, or is not there yet")]
    Missing(Pointer),
    /// S3 did not give it, for a reason that may pass.
    #[error("cannot fetch {pointer}: {error}")]
    Failed {
        /// The object.
        pointer: Pointer,
        /// What went wrong.
        error: String,
    },
}

impl Objects {
    /// The buckets of the configuration, reached with the region, endpoint and credentials of SQS and SNS. No call is
    /// made yet.
    ///
    /// # Errors
    /// When the settings cannot be those of S3.
    pub fn new(config: &config::Config, shared: &SdkConfig) -> Result<Self, SetUpError> {
        let (aws, envelope) = (&config.aws, &config.envelope);
        let attempt = Duration::from_millis(aws.attempt_timeout_ms);
        let deadline = attempt * aws.max_attempts;
        let mut buckets = BTreeMap::new();
        if !envelope.s3_buckets.is_empty() {
            let http = Http::new(Duration::from_millis(aws.connect_timeout_ms), attempt)?;
            let credentials = shared.credentials_provider();
            let credentials = credentials.map(|provider| Arc::new(Signer(Credentials::new(Some(provider)))));
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
                buckets.insert(name.clone(), bucket.build()?);
            }
        }
        Ok(Self { buckets, room: Semaphore::new(MOST_AT_A_TIME), most: envelope.max_payload_bytes, deadline })
    }

    /// Fetches an object, when there is room for it.
    ///
    /// # Errors
    /// When it may not be fetched, is not there or too large, or S3 does not give it.
    pub async fn fetch(&self, pointer: Pointer) -> Result<Object<'_>, Error> {
        let Some(bucket) = self.buckets.get(&pointer.bucket) else { return Err(Error::Forbidden(pointer)) };
        let path = match Path::parse(&pointer.key) {
            Ok(path) => path,
            Err(error) => return Err(Error::Impossible { pointer, error }),
        };
        // Nobody closes it.
        let permit = self.room.acquire().await.ok();
        let bytes = match timeout(self.deadline, self.get(bucket, &path)).await {
            Ok(Ok(bytes)) => bytes,
            Ok(Err(GetError::TooLarge(size))) => return Err(Error::TooLarge { pointer, size, most: self.most }),
            Ok(Err(GetError::Store(object_store::Error::NotFound { .. }))) => return Err(Error::Missing(pointer)),
            Ok(Err(GetError::Store(error))) => return Err(Error::Failed { pointer, error: explain(&error) }),
            Err(_) => {
                let error = format!("no answer within {:?}", self.deadline);
                return Err(Error::Failed { pointer, error });
            }
        };
        Ok(Object { bytes, _permit: permit })
    }

    /// Asks each bucket for something: its name, and whether it is there. One that says that we may not have it is: without
    /// `s3:ListBucket`, S3 says so of every object that is not there.
    pub async fn probe(&self) -> Vec<(&str, Result<(), String>)> {
        let mut results = Vec::new();
        for (name, bucket) in &self.buckets {
            let result = match timeout(self.deadline, self.get(bucket, &Path::from("protobridge-check"))).await {
                Ok(Err(GetError::Store(error))) if error.to_string().contains("NoSuchBucket") => {
                    Err("there is no such bucket; create it, or take it out of `envelope.s3_buckets`".to_owned())
                }
                Ok(Ok(_) | Err(GetError::TooLarge(_))) => Ok(()),
                Ok(Err(GetError::Store(error))) => match error {
                    object_store::Error::NotFound { .. } | object_store::Error::PermissionDenied { .. } => Ok(()),
                    error => Err(explain(&error)),
                },
                Err(_) => Err(format!("no answer within {:?}", self.deadline)),
            };
            results.push((name.as_str(), result));
        }
        results
    }

    async fn get(&self, bucket: &AmazonS3, path: &Path) -> Result<Bytes, GetError> {
        let found = bucket.get(path).await?;
        // What follows has exactly this length, or is an error.
        if found.meta.size > self.most as u64 {
            return Err(GetError::TooLarge(found.meta.size));
        }
        Ok(found.bytes().await?)
    }
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
            "access denied; it needs `s3:GetObject`, and without `s3:ListBucket` this is said of missing objects, too"
                .to_owned()
        }
        _ => error.to_string(),
    }
}

/// The credentials of the SDK, as the buckets want them.
#[derive(Debug)]
struct Signer(Credentials);

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
