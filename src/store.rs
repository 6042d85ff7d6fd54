//! The object store: everything that must last longer than a process, under one URL.
//!
//! A [`Store`] is a bucket of S3 with a prefix, or a folder. Objects are written once and never changed, and a write is
//! atomic: a reader sees the whole object or none. There is no database and no leader. The [`journal`], the
//! [`counters`], the [`archive`] and the cursors of [`replays`] are written here, each under a prefix of its own.
//!
//! The store decides nothing about failed calls: the caller repeats them, or gives up and says so.

pub mod archive;
pub mod counters;
mod http;
pub mod journal;
mod parquet;
mod process;
pub mod replays;
pub mod retention;
#[cfg(test)]
mod scripted;

use std::error::Error as _;
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_lean::credentials::CredentialsCache;
use aws_lean::{Bucket, NoEndpoint};
use bytes::Bytes;
use futures_util::TryStreamExt as _;
use object_store::aws::{AmazonS3Builder, AwsCredential};
use object_store::client::CredentialProvider;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _, PutMode, RetryConfig};

use crate::base::error::chain;
use crate::base::http::Network;
use crate::config;
use crate::telemetry::{StoreCall, StoreErrorCode, StoreErrorLabels};

/// The store of one installation. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    objects: Arc<dyn ObjectStore>,
    prefix: Path,
    url: Arc<str>,
    is_folder: bool,
}

/// An object of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// The key below the URL of the store.
    pub key: String,
    /// The size in bytes.
    pub size: u64,
    /// When the object was written.
    pub modified: SystemTime,
}

/// The result of [`Store::create`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    /// The object is new, and has these bytes.
    New,
    /// An object with this key exists already, and is unchanged. An earlier call whose answer was lost can have created it.
    Exists,
}

/// Why the store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder cannot be created or read.
    #[error("`store.url`: the folder {} cannot be used: {error}; create it, and let this user write to it", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// The reason.
        error: std::io::Error,
    },
    /// The bucket has no address.
    #[error("`store.url`: no address for the bucket {bucket}: {error}")]
    Bucket {
        /// The bucket.
        bucket: String,
        /// The reason.
        error: NoEndpoint,
    },
    /// The URL or the key is refused.
    #[error("`store.url`: {}", chain(.0))]
    Settings(object_store::Error),
}

impl OpenError {
    /// Whether the configuration is wrong, rather than the system that the service runs on.
    pub fn is_configuration(&self) -> bool {
        !matches!(self, Self::Folder { .. })
    }
}

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {} {url}/{key}: {}", .operation.code(), chain(.source))]
pub struct Error {
    operation: StoreCall,
    url: Arc<str>,
    key: String,
    source: Cause,
}

/// The cause of a failed call.
#[derive(Debug, thiserror::Error)]
enum Cause {
    #[error(transparent)]
    Store(#[from] object_store::Error),
    #[error("the object is damaged: {0}; delete it to read the others")]
    Damaged(String),
}

impl Error {
    /// Whether the object, or the bucket, does not exist.
    pub fn is_missing(&self) -> bool {
        matches!(self.source, Cause::Store(object_store::Error::NotFound { .. }))
    }

    /// Whether the store denies the call to these credentials or this user.
    pub fn is_denied(&self) -> bool {
        let is_answer = matches!(
            self.source,
            Cause::Store(object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. })
        );
        is_answer || self.is_denied_by_the_disk()
    }

    fn is_denied_by_the_disk(&self) -> bool {
        let causes = std::iter::successors(self.source.source(), |error| (*error).source());
        let kinds = causes.filter_map(|error| error.downcast_ref::<io::Error>()).map(io::Error::kind);
        kinds.into_iter().any(|kind| matches!(kind, ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem))
    }

    /// Returns the labels under which the failed call is counted.
    pub fn labels(&self) -> StoreErrorLabels {
        let code = if self.is_denied() {
            StoreErrorCode::Denied
        } else if self.is_missing() {
            StoreErrorCode::Missing
        } else {
            StoreErrorCode::Other
        };
        StoreErrorLabels { operation: self.operation, code }
    }
}

impl Store {
    /// Opens the configured store; `None` without one. Makes no call to S3; creates the folder of a store on disk.
    /// `shared` has the region, the credentials and the endpoints, `network` the proxies and the certificates.
    ///
    /// # Errors
    /// Returns an error if the folder cannot be used or the bucket has no address.
    pub fn open(settings: &config::Store, shared: &SdkConfig, network: &Network) -> Result<Option<Self>, OpenError> {
        if let Some(path) = settings.folder() {
            return Self::folder(path.into()).map(Some);
        }
        let (Some(url), Some((name, prefix))) = (&settings.url, settings.bucket()) else { return Ok(None) };
        let bucket = Bucket::new(shared, name).map_err(|error| OpenError::Bucket { bucket: name.to_owned(), error })?;
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(name)
            .with_region(bucket.region())
            // With the bucket in its URL, the endpoint is used as it is.
            .with_endpoint(bucket.url())
            .with_virtual_hosted_style_request(true)
            .with_allow_http(true)
            .with_credentials(Arc::new(Credentials(CredentialsCache::new(shared.credentials_provider()))))
            .with_retry(RetryConfig {
                max_retries: 2,
                retry_timeout: Duration::from_secs(60),
                ..RetryConfig::default()
            })
            .with_http_connector(http::Connector(network.client(http::CONNECT, http::ATTEMPT)));
        if let Some(key) = &settings.kms_key_id {
            builder = builder.with_sse_kms_encryption(key);
        }
        let objects = builder.build().map_err(OpenError::Settings)?;
        let prefix = Path::parse(prefix).map_err(|error| OpenError::Settings(error.into()))?;
        Ok(Some(Self { objects: Arc::new(objects), prefix, url: url.trim_end_matches('/').into(), is_folder: false }))
    }

    /// Opens a folder as a store, and creates it.
    ///
    /// # Errors
    /// Returns an error if the folder cannot be created or read.
    pub fn folder(path: PathBuf) -> Result<Self, OpenError> {
        let unusable = |error| OpenError::Folder { path: path.clone(), error };
        std::fs::create_dir_all(&path).map_err(unusable)?;
        let objects = LocalFileSystem::new_with_prefix(&path).map_err(OpenError::Settings)?;
        let url = format!("file://{}", path.display()).trim_end_matches('/').into();
        Ok(Self { objects: Arc::new(objects), prefix: Path::default(), url, is_folder: true })
    }

    /// Returns the URL, without a slash at its end.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Whether the store is a folder, whose old objects protobridge deletes itself.
    pub fn is_folder(&self) -> bool {
        self.is_folder
    }

    /// Writes an object.
    ///
    /// # Errors
    /// Returns an error if the store does not confirm the write. The object can exist nevertheless, as a whole.
    pub async fn put(&self, key: &str, bytes: Bytes) -> Result<(), Error> {
        let put = self.objects.put(&self.path(key), bytes.into()).await;
        put.map(drop).map_err(|source| self.error(StoreCall::Put, key, source))
    }

    /// Writes an object if none has this key. Of several calls with one key, from any process, one at most creates it.
    ///
    /// # Errors
    /// Returns an error if the store does not answer. The object can exist nevertheless, as a whole.
    pub async fn create(&self, key: &str, bytes: Bytes) -> Result<Created, Error> {
        match self.objects.put_opts(&self.path(key), bytes.into(), PutMode::Create.into()).await {
            Ok(_) => Ok(Created::New),
            Err(object_store::Error::AlreadyExists { .. }) => Ok(Created::Exists),
            Err(source) => Err(self.error(StoreCall::Put, key, source)),
        }
    }

    /// Returns the objects below a folder, sorted by key.
    ///
    /// # Errors
    /// Returns an error if the store does not list them all.
    pub async fn list(&self, folder: &str) -> Result<Vec<Object>, Error> {
        let found: Result<Vec<_>, _> = self.objects.list(Some(&self.path(folder))).try_collect().await;
        let found = found.map_err(|source| self.error(StoreCall::List, folder, source))?;
        let key = |path: &Path| path.prefix_match(&self.prefix).map_or_else(Path::default, Path::from_iter).into();
        let object = |meta: object_store::ObjectMeta| Object {
            key: key(&meta.location),
            size: meta.size,
            modified: meta.last_modified.into(),
        };
        let mut objects: Vec<Object> = found.into_iter().map(object).collect();
        objects.sort_unstable_by(|one, other| one.key.cmp(&other.key));
        Ok(objects)
    }

    /// Reads an object.
    ///
    /// # Errors
    /// Returns an error if the store does not return it.
    pub async fn get(&self, key: &str) -> Result<Bytes, Error> {
        let failed = |source| self.error(StoreCall::Get, key, source);
        self.objects.get(&self.path(key)).await.map_err(failed)?.bytes().await.map_err(failed)
    }

    /// Reads a part of an object.
    ///
    /// # Errors
    /// Returns an error if the store does not return it.
    pub async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes, Error> {
        let read = self.objects.get_range(&self.path(key), range).await;
        read.map_err(|source| self.error(StoreCall::Get, key, source))
    }

    /// Deletes an object.
    ///
    /// # Errors
    /// Returns an error if the store does not confirm the deletion.
    pub async fn delete(&self, key: &str) -> Result<(), Error> {
        let deleted = self.objects.delete(&self.path(key)).await;
        deleted.map_err(|source| self.error(StoreCall::Delete, key, source))
    }

    fn path(&self, key: &str) -> Path {
        self.prefix.parts().chain(Path::from(key).parts()).collect()
    }

    fn error(&self, operation: StoreCall, key: &str, source: object_store::Error) -> Error {
        Error { operation, url: Arc::clone(&self.url), key: key.to_owned(), source: source.into() }
    }

    /// Returns the error of an object that was read and does not have the expected content.
    fn damaged(&self, key: &str, error: impl std::fmt::Display) -> Error {
        let source = Cause::Damaged(error.to_string());
        Error { operation: StoreCall::Get, url: Arc::clone(&self.url), key: key.to_owned(), source }
    }
}

#[cfg(test)]
impl Store {
    /// Creates an empty store in memory.
    pub(crate) fn in_memory() -> Self {
        let objects = Arc::new(object_store::memory::InMemory::new());
        Self { objects, prefix: Path::default(), url: "memory:".into(), is_folder: false }
    }

    /// Creates an empty store in memory whose calls take this time each.
    pub(crate) fn slow(call: Duration) -> Self {
        let waits = object_store::throttle::ThrottleConfig {
            wait_delete_per_call: call,
            wait_get_per_call: call,
            wait_list_per_call: call,
            wait_put_per_call: call,
            ..Default::default()
        };
        let objects = object_store::throttle::ThrottledStore::new(object_store::memory::InMemory::new(), waits);
        Self { objects: Arc::new(objects), ..Self::in_memory() }
    }
}

/// Returns the name of this replica in the store: the variable `HOSTNAME`, which in a pod is its name, or else the name
/// of the host, or else `protobridge`.
pub fn replica_name() -> String {
    let files = ["/proc/sys/kernel/hostname", "/etc/hostname"];
    let mut names = std::env::var("HOSTNAME").into_iter().chain(files.iter().flat_map(std::fs::read_to_string));
    let name = names.find_map(|name| Some(name.trim().to_owned()).filter(|name| !name.is_empty()));
    name.unwrap_or_else(|| "protobridge".to_owned())
}

/// Returns the name of a replica with the characters that a key can have everywhere.
fn cleaned(replica: &str) -> String {
    let allowed = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_') { c } else { '_' };
    replica.chars().take(100).map(allowed).collect()
}

/// The credentials of the process's AWS clients, for S3.
#[derive(Debug)]
struct Credentials(CredentialsCache);

#[async_trait]
impl CredentialProvider for Credentials {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        let cached = self.0.get().await;
        let cached = cached.map_err(|error| object_store::Error::Generic { store: "S3", source: error.into() })?;
        let keys = &cached.keys;
        Ok(Arc::new(AwsCredential {
            key_id: keys.access_key_id().to_owned(),
            secret_key: keys.secret_access_key().to_owned(),
            token: keys.session_token().map(str::to_owned),
        }))
    }
}

#[cfg(test)]
mod tests;
