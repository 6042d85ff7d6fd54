//! The credentials that the SDK's provider returns, cached until shortly before they expire.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials as _, SharedCredentialsProvider};
use aws_smithy_runtime_api::client::identity::Identity;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};
use tracing::warn;

use crate::chain;

/// Credentials are replaced this long before they expire: AWS publishes new ones at least five minutes before
/// (<https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-metadata-security-credentials.html>). Credentials
/// without an expiry are loaded again after this time.
const MARGIN: Duration = Duration::from_secs(300);

/// The pause between two attempts to replace credentials that have not expired yet.
const PAUSE: Duration = Duration::from_secs(30);

/// A provider that has not answered after this time counts as failed. The SDK waits as long.
const LOAD_TIMEOUT: Duration = Duration::from_secs(5);

/// A cache of credentials for code that signs requests without the SDK's clients.
///
/// It loads from the provider at most once at a time. While credentials are replaced, other callers get the old ones
/// without waiting; callers wait only if there are no valid credentials.
#[derive(Debug)]
pub struct CredentialsCache {
    provider: Option<SharedCredentialsProvider>,
    entry: RwLock<Option<Entry>>,
    /// Locked during a load. Holds the time and the error of the last load, if it failed.
    loading: Mutex<Option<(Instant, NoCredentials)>>,
}

/// The reason why there are no credentials.
#[derive(Debug, Clone, thiserror::Error)]
pub enum NoCredentials {
    /// The configuration has no credentials provider.
    #[error("no credentials found")]
    NoProvider,
    /// The provider failed. The text includes all causes, so there is no source.
    #[error("{}", chain(&**.0))]
    Provider(Arc<CredentialsError>),
    /// The provider did not answer within this time.
    #[error("no AWS credentials within {0:?}")]
    Timeout(Duration),
}

/// Credentials as the cache returns them.
#[derive(Debug)]
pub struct CachedCredentials {
    /// Key id, secret key and session token.
    pub keys: Credentials,
    /// The same credentials in the type that the signer takes.
    pub identity: Identity,
}

impl From<Credentials> for CachedCredentials {
    fn from(keys: Credentials) -> Self {
        Self { identity: keys.clone().into(), keys }
    }
}

#[derive(Debug, Clone)]
struct Entry {
    credentials: Arc<CachedCredentials>,
    /// The time from which on the credentials are replaced.
    refresh: SystemTime,
}

impl Entry {
    fn new(keys: Credentials, now: SystemTime) -> Self {
        let refresh = match keys.expiry() {
            // Some credentials last for less than the margin.
            Some(expiry) => expiry.checked_sub(MARGIN).map_or(now, |early| early.max(now + PAUSE)),
            None => now + MARGIN,
        };
        Self { credentials: Arc::new(keys.into()), refresh }
    }

    fn is_valid(&self, now: SystemTime) -> bool {
        self.credentials.keys.expiry().is_none_or(|expiry| now < expiry)
    }

    fn is_fresh(&self, now: SystemTime) -> bool {
        now < self.refresh && self.is_valid(now)
    }
}

impl CredentialsCache {
    /// Creates an empty cache. The provider is first asked by [`CredentialsCache::get`]; without a provider there are
    /// never any credentials.
    pub fn new(provider: Option<SharedCredentialsProvider>) -> Self {
        Self { provider, entry: RwLock::default(), loading: Mutex::default() }
    }

    /// Returns valid credentials, from the cache or from the provider.
    ///
    /// # Errors
    /// Returns an error if the cache holds no valid credentials and the provider returns none.
    pub async fn get(&self) -> Result<Arc<CachedCredentials>, NoCredentials> {
        let entry = self.entry();
        if let Some(entry) = &entry
            && entry.is_fresh(SystemTime::now())
        {
            return Ok(Arc::clone(&entry.credentials));
        }
        let valid = entry.filter(|entry| entry.is_valid(SystemTime::now()));
        let asked = Instant::now();
        let mut failed = match &valid {
            Some(valid) => match self.loading.try_lock() {
                Ok(failed) => failed,
                Err(_) => return Ok(Arc::clone(&valid.credentials)),
            },
            None => self.loading.lock().await,
        };
        // Another caller can have loaded while this one waited for the lock.
        let now = SystemTime::now();
        if let Some(entry) = self.entry().filter(|entry| entry.is_fresh(now)) {
            return Ok(entry.credentials);
        }
        if let Some((at, error)) = &*failed
            && valid.is_none()
            && *at > asked
        {
            return Err(error.clone());
        }
        match (self.load().await, valid) {
            (Ok(keys), _) => {
                let entry = Entry::new(keys, SystemTime::now());
                let credentials = Arc::clone(&entry.credentials);
                self.store(entry);
                *failed = None;
                Ok(credentials)
            }
            (Err(error), Some(valid)) => {
                // At most one line per `PAUSE`: the next attempt to replace the credentials comes no sooner.
                warn!(%error, "cannot replace the AWS credentials, using the old ones until they expire");
                let credentials = Arc::clone(&valid.credentials);
                self.store(Entry { refresh: now + PAUSE, ..valid });
                Ok(credentials)
            }
            (Err(error), None) => {
                *failed = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }

    async fn load(&self) -> Result<Credentials, NoCredentials> {
        let Some(provider) = &self.provider else { return Err(NoCredentials::NoProvider) };
        match timeout(LOAD_TIMEOUT, provider.provide_credentials()).await {
            Ok(Ok(keys)) => Ok(keys),
            Ok(Err(error)) => Err(NoCredentials::Provider(Arc::new(error))),
            Err(_) => Err(NoCredentials::Timeout(LOAD_TIMEOUT)),
        }
    }

    fn entry(&self) -> Option<Entry> {
        self.entry.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn store(&self, entry: Entry) {
        *self.entry.write().unwrap_or_else(PoisonError::into_inner) = Some(entry);
    }
}

#[cfg(test)]
mod tests;
