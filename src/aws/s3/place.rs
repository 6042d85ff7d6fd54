//! A place in a bucket that others write to while the service runs: the objects under a prefix, or one object.
//!
//! A [`Place`] lists the objects and gets those that have changed. It holds no state: the caller knows which ETags it has
//! seen.

use std::fmt;
use std::time::Duration;

pub use aws_lean::{Condition, Fetched, Listed, Revision};

use aws_lean::{Bucket, NoEndpoint};

use crate::aws::attempts::attempts;
use crate::aws::{Clients, Failure, FailureKind, LeanClient, Permission};
use crate::base::Backoff;
use crate::config::InBucket;
use crate::config::region::partition;
use crate::telemetry::StoreErrorCode;

/// The largest number of pages that a listing can have, of 1,000 objects each. A prefix with more is not a place of
/// descriptor sets.
const MAX_PAGES: usize = 100;
/// Delays between the attempts at one call.
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));
/// The slowest transfer that a call waits for, in bytes per second. It adds to the time limit of a small call.
const SLOWEST: u64 = 1024 * 1024;

/// A prefix of a bucket, or one object.
#[derive(Debug, Clone)]
pub struct Place {
    lean: LeanClient,
    bucket: Bucket,
    at: InBucket,
    /// The key of the configuration that names the place.
    key: &'static str,
    max_attempts: u32,
    attempt: Duration,
}

/// Why a place cannot be read at all.
#[derive(Debug, thiserror::Error)]
#[error("{key}: no address for the bucket {bucket}: {error}")]
pub struct NoAddress {
    key: &'static str,
    bucket: String,
    error: NoEndpoint,
}

/// Why a call failed.
#[derive(Debug, Clone, thiserror::Error)]
pub struct Error(Box<Failed>);

/// A failed call.
#[derive(Debug, Clone)]
struct Failed {
    failure: Failure,
    /// The place or the object.
    place: InBucket,
    region: String,
    permission: Permission,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Failed { failure, place, region, .. } = &*self.0;
        let what = if self.is_listing() { "list" } else { "read" };
        write!(f, "cannot {what} {place} in the region {region}: {failure}; {}", self.way_out())
    }
}

impl Error {
    /// Returns the failure that S3 answered with, or the reason why it did not answer.
    pub fn failure(&self) -> &Failure {
        &self.0.failure
    }

    /// Returns the change by an operator that lets the call succeed.
    pub fn way_out(&self) -> String {
        let Failed { failure, permission, .. } = &*self.0;
        match failure.kind {
            // S3 answers so for a key of KMS, too, and says so in its message only.
            FailureKind::Denied if failure.code.as_deref() == Some("AccessDenied") && !self.is_listing() => format!(
                "allow {permission} and, if a KMS key encrypts the objects, kms:Decrypt on that key; \
                 `protobridge iam-policy` prints the policy. If the object does not exist, upload it: S3 denies it, too, to \
                 a role that cannot list the bucket"
            ),
            FailureKind::NotFound if self.is_missing_bucket() => {
                format!("create the bucket, or correct `{}`", permission.key)
            }
            FailureKind::NotFound => format!("upload the object, or correct `{}`", permission.key),
            FailureKind::Broken => format!("check `{}`, `aws.region` and the object's KMS key", permission.key),
            _ => permission.way_out(failure),
        }
    }

    /// Whether the object does not exist. Its bucket exists.
    pub fn is_missing_object(&self) -> bool {
        self.0.failure.kind == FailureKind::NotFound && !self.is_missing_bucket()
    }

    fn is_missing_bucket(&self) -> bool {
        self.0.failure.code.as_deref() == Some("NoSuchBucket")
    }

    fn is_listing(&self) -> bool {
        self.0.permission.action == LIST
    }

    /// Returns the code under which the failed call is counted.
    pub fn code(&self) -> StoreErrorCode {
        match self.0.failure.kind {
            FailureKind::Denied => StoreErrorCode::Denied,
            FailureKind::NotFound => StoreErrorCode::Missing,
            _ => StoreErrorCode::Other,
        }
    }
}

const LIST: &str = "s3:ListBucket";
const GET: &str = "s3:GetObject";

impl Place {
    /// Creates the address of a place that the configuration names under `key`. Makes no call.
    ///
    /// # Errors
    /// Returns an error if there is no region, or no endpoint of S3 in it.
    pub fn new(at: &InBucket, key: &'static str, settings: Attempts, clients: &Clients) -> Result<Self, NoAddress> {
        let bucket = Bucket::new(&clients.shared, &at.bucket);
        let bucket = bucket.map_err(|error| NoAddress { key, bucket: at.bucket.clone(), error })?;
        let Attempts { max_attempts, attempt } = settings;
        Ok(Self { lean: clients.lean.clone(), bucket, at: at.clone(), key, max_attempts, attempt })
    }

    /// Returns the place.
    pub fn at(&self) -> &InBucket {
        &self.at
    }

    /// Lists all objects under the prefix.
    ///
    /// # Errors
    /// Returns an error if S3 does not return the whole list, or if it has more than 100 pages, which is 100,000 objects.
    pub async fn list(&self) -> Result<Vec<Listed>, Error> {
        let prefix = self.prefix();
        let (mut objects, mut token) = (Vec::new(), None::<String>);
        for _ in 0..MAX_PAGES {
            let page = attempts(self.max_attempts, BACKOFF, || {
                self.lean.list_objects(&self.bucket, &prefix, token.as_deref())
            })
            .await;
            let mut page = page.map_err(|failure| self.error(failure, None))?;
            objects.append(&mut page.objects);
            token = page.next;
            if token.is_none() {
                return Ok(objects);
            }
        }
        let message = format!("its list has more than {MAX_PAGES} pages; name a prefix that has only sets");
        Err(self.error(Failure::of_entry("TooManyObjects", Some(&message), true), None))
    }

    /// Returns the start of the keys of all objects of the place: it is empty, or ends with a slash.
    pub fn prefix(&self) -> String {
        if self.at.key.is_empty() { String::new() } else { format!("{}/", self.at.key) }
    }

    /// Gets an object of at most `max_bytes` bytes, if it fulfills the condition.
    ///
    /// # Errors
    /// Returns an error if S3 does not return the object.
    pub async fn get(&self, key: &str, condition: Condition<'_>, max_bytes: u64) -> Result<Fetched, Error> {
        let longest = self.attempt + Duration::from_secs(max_bytes / SLOWEST);
        let max_bytes = usize::try_from(max_bytes).unwrap_or(usize::MAX);
        let get = || self.lean.get_object_if(&self.bucket, key, condition, max_bytes, longest);
        attempts(self.max_attempts, BACKOFF, get).await.map_err(|failure| self.error(failure, Some(key)))
    }

    fn error(&self, failure: Failure, key: Option<&str>) -> Error {
        let (bucket, region) = (&self.at.bucket, self.bucket.region().to_owned());
        let partition = partition(&region);
        let bucket_arn = format!("arn:{partition}:s3:::{bucket}");
        let (action, resource) = match (key, self.prefix().as_str()) {
            (Some(key), _) => (GET, format!("{bucket_arn}/{key}")),
            (None, "") => (LIST, bucket_arn),
            (None, prefix) => (LIST, format!("{bucket_arn} with the prefix {prefix}")),
        };
        let place = match key {
            Some(key) => InBucket { bucket: bucket.clone(), key: key.to_owned() },
            None => self.at.clone(),
        };
        let permission = Permission { action, resource, key: self.key.to_owned() };
        Error(Box::new(Failed { failure, place, region, permission }))
    }
}

/// How often a call is attempted, and how long one attempt can take.
#[derive(Debug, Clone, Copy)]
pub struct Attempts {
    max_attempts: u32,
    attempt: Duration,
}

impl From<&crate::config::Aws> for Attempts {
    fn from(settings: &crate::config::Aws) -> Self {
        Self { max_attempts: settings.max_attempts, attempt: Duration::from_millis(settings.attempt_timeout_ms) }
    }
}
