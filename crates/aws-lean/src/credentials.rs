//! The credentials that the SDK finds, kept until shortly before they expire.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials as Keys;
use aws_credential_types::provider::{ProvideCredentials as _, SharedCredentialsProvider};
use aws_smithy_runtime_api::client::identity::Identity;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};
use tracing::warn;

use crate::chain;

/// Those that expire are replaced so long before they do: AWS hands out new ones at least five minutes before
/// (<https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-metadata-security-credentials.html>). Those that do
/// not are asked for anew after this time.
const MARGIN: Duration = Duration::from_secs(300);

/// Between two attempts to replace credentials that are still good.
const PAUSE: Duration = Duration::from_secs(30);

/// A provider that has not answered by then has failed; the SDK waits as long.
const LOAD_TIMEOUT: Duration = Duration::from_secs(5);

/// Credentials for whoever signs without the SDK's clients. One load at a time, for which nobody waits but the one
/// that loads, unless there are no good ones.
#[derive(Debug)]
pub struct Credentials {
    provider: Option<SharedCredentialsProvider>,
    known: RwLock<Option<Known>>,
    /// Held while credentials are loaded. When that failed last, and why.
    loading: Mutex<Option<(Instant, NotFound)>>,
}

/// Why there are no credentials.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct NotFound(Arc<str>);

/// Credentials that were found.
#[derive(Debug)]
pub struct Found {
    /// Key, secret and token.
    pub keys: Keys,
    /// The same, as those want them who sign.
    pub identity: Identity,
}

impl From<Keys> for Found {
    fn from(keys: Keys) -> Self {
        Self { identity: keys.clone().into(), keys }
    }
}

#[derive(Debug, Clone)]
struct Known {
    found: Arc<Found>,
    refresh: SystemTime,
}

impl Known {
    fn of(keys: Keys, now: SystemTime) -> Self {
        let refresh = match keys.expiry() {
            // Some last less than the margin.
            Some(expiry) => expiry.checked_sub(MARGIN).map_or(now, |early| early.max(now + PAUSE)),
            None => now + MARGIN,
        };
        Self { found: Arc::new(keys.into()), refresh }
    }

    fn is_good(&self, now: SystemTime) -> bool {
        self.found.keys.expiry().is_none_or(|expiry| now < expiry)
    }

    fn is_fresh(&self, now: SystemTime) -> bool {
        now < self.refresh && self.is_good(now)
    }
}

impl Credentials {
    /// What this provider finds; nothing without one. It is not asked yet.
    pub fn new(provider: Option<SharedCredentialsProvider>) -> Self {
        Self { provider, known: RwLock::default(), loading: Mutex::default() }
    }

    /// The credentials of now.
    ///
    /// # Errors
    /// When there are none, or the ones that there were have expired and no others are found.
    pub async fn get(&self) -> Result<Arc<Found>, NotFound> {
        let known = self.known();
        if let Some(known) = &known
            && known.is_fresh(SystemTime::now())
        {
            return Ok(Arc::clone(&known.found));
        }
        let good = known.filter(|known| known.is_good(SystemTime::now()));
        let asked = Instant::now();
        let mut failed = match &good {
            Some(good) => match self.loading.try_lock() {
                Ok(failed) => failed,
                Err(_) => return Ok(Arc::clone(&good.found)),
            },
            None => self.loading.lock().await,
        };
        // What others loaded while this one waited.
        let now = SystemTime::now();
        if let Some(known) = self.known().filter(|known| known.is_fresh(now)) {
            return Ok(known.found);
        }
        if let Some((at, error)) = &*failed
            && good.is_none()
            && *at > asked
        {
            return Err(error.clone());
        }
        match (self.load().await, good) {
            (Ok(keys), _) => {
                let known = Known::of(keys, SystemTime::now());
                let found = Arc::clone(&known.found);
                self.keep(known);
                *failed = None;
                Ok(found)
            }
            (Err(error), Some(good)) => {
                // At most one line per `PAUSE`: until then, these credentials count as fresh and nothing is loaded.
                warn!(%error, "cannot replace the AWS credentials, using the old ones until they expire");
                let found = Arc::clone(&good.found);
                self.keep(Known { refresh: now + PAUSE, ..good });
                Ok(found)
            }
            (Err(error), None) => {
                *failed = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }

    async fn load(&self) -> Result<Keys, NotFound> {
        let Some(provider) = &self.provider else { return Err(NotFound("no credentials found".into())) };
        match timeout(LOAD_TIMEOUT, provider.provide_credentials()).await {
            Ok(Ok(keys)) => Ok(keys),
            Ok(Err(error)) => Err(NotFound(chain(&error).into())),
            Err(_) => Err(NotFound(format!("no AWS credentials within {LOAD_TIMEOUT:?}").into())),
        }
    }

    fn known(&self) -> Option<Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn keep(&self, known: Known) {
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = Some(known);
    }
}

#[cfg(test)]
mod tests;
