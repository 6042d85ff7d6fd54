//! The window that replicas share: a key in Redis for each pair, which expires with the window.
//!
//! Before a publish the key is claimed, for a time, so that two replicas with two messages of one event do not publish
//! it both; after it the key says by which message it was published. The store must never be in the way of an event:
//! every question has a short timeout, and after a failure the store is left alone for a moment.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, RedisError};
use tokio::time::{Instant, timeout};
use tracing::{info, warn};

use super::{MessageId, Pair};
use crate::config;
use crate::telemetry::{Metrics, Seldom};

/// How long the store is left alone after a failure.
const REST: Duration = Duration::from_secs(1);

/// How many pairs are asked about at once, within one timeout: events of one receive for many customers have thousands.
const AT_ONCE: usize = 256;

/// Why the store cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("dedupe.redis_url: {0}; it looks like `redis://host:6379` or, with TLS, `rediss://host:6379`")]
pub struct StoreError(RedisError);

const CLAIMED: &str = "claimed by ";
const PUBLISHED: &str = "published by ";

/// How a pair stands with the other replicas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is ours to publish; or the store could not say.
    Free,
    /// Another replica is publishing it.
    Claimed,
    /// It was published, by this message.
    Published(MessageId),
}

/// A Redis, or what speaks its protocol.
#[derive(Debug)]
pub struct Store {
    connection: Connection,
    prefix: String,
    /// What stands in a key that this replica has claimed.
    claimed: String,
    claim_span: Duration,
    span: Duration,
    timeout: Duration,
    /// Until when it is left alone.
    resting: Mutex<Option<Instant>>,
    log: Seldom,
    metrics: Arc<Metrics>,
}

/// The connection connects by itself, again and again.
#[derive(Clone)]
struct Connection(ConnectionManager);

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Connection")
    }
}

impl Store {
    /// The store behind a URL. Connects on the first use. A claim that its replica does not come back to ends after
    /// `claim_span`.
    ///
    /// # Errors
    /// When the URL cannot be used.
    pub fn new(
        url: &str,
        settings: &config::Dedupe,
        claim_span: Duration,
        metrics: Arc<Metrics>,
    ) -> Result<Self, StoreError> {
        let timeout = Duration::from_millis(settings.redis_timeout_ms);
        let options = ConnectionManagerConfig::new()
            .set_number_of_retries(1)
            .set_connection_timeout(Some(timeout))
            .set_response_timeout(Some(timeout));
        let client = Client::open(url).map_err(StoreError)?;
        let manager = ConnectionManager::new_lazy_with_config(client, options).map_err(StoreError)?;
        metrics.dedupe_store_up.with(&[]).set(1);
        for what in ["claim", "note", "release"] {
            metrics.dedupe_store_errors.with(&[what]);
        }
        Ok(Self {
            connection: Connection(manager),
            prefix: settings.redis_prefix.clone(),
            claimed: format!("{CLAIMED}{:016x}", fastrand::u64(..)),
            claim_span,
            span: Duration::from_secs(settings.window_seconds),
            timeout,
            resting: Mutex::new(None),
            log: Seldom::new(Duration::from_secs(10)),
            metrics,
        })
    }

    /// Claims these pairs, as far as they are free, and says how they stand.
    pub(super) async fn claim(&self, pairs: &[Pair]) -> Vec<Standing> {
        let mut standings = Vec::with_capacity(pairs.len());
        for pairs in pairs.chunks(AT_ONCE) {
            let mut pipeline = redis::pipe();
            for pair in pairs {
                let key = self.key(pair);
                let claim = pipeline.cmd("SET").arg(&key).arg(&self.claimed).arg("NX");
                claim.arg("PX").arg(self.claim_span.as_millis() as u64).ignore();
                pipeline.cmd("GET").arg(&key);
            }
            let mut connection = self.connection.0.clone();
            let found = self.ask("claim", pipeline.query_async::<Vec<Option<String>>>(&mut connection)).await;
            let mut found = found.unwrap_or_default().into_iter();
            standings.extend(pairs.iter().map(|_| self.standing(found.next().flatten().as_deref())));
        }
        standings
    }

    fn standing(&self, value: Option<&str>) -> Standing {
        match value {
            Some(value) if value.starts_with(CLAIMED) && value != self.claimed => Standing::Claimed,
            Some(value) => {
                value.strip_prefix(PUBLISHED).map_or(Standing::Free, |id| Standing::Published(MessageId::new(id)))
            }
            None => Standing::Free,
        }
    }

    /// Notes by which message each of these pairs was published.
    pub(super) async fn note(&self, published: &[(Pair, MessageId)]) {
        let millis = self.span.as_millis() as u64;
        for published in published.chunks(AT_ONCE) {
            let mut pipeline = redis::pipe();
            for (pair, message) in published {
                let value = format!("{PUBLISHED}{message}");
                pipeline.cmd("SET").arg(self.key(pair)).arg(value).arg("PX").arg(millis).ignore();
            }
            let mut connection = self.connection.0.clone();
            self.ask("note", pipeline.query_async::<()>(&mut connection)).await;
        }
    }

    /// Gives up claims, unless they have ended and are another's by now.
    pub(super) async fn release(&self, pairs: &[Pair]) {
        const IF_OURS: &str = "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end";
        for pairs in pairs.chunks(AT_ONCE) {
            let mut pipeline = redis::pipe();
            for pair in pairs {
                pipeline.cmd("EVAL").arg(IF_OURS).arg(1).arg(self.key(pair)).arg(&self.claimed).ignore();
            }
            let mut connection = self.connection.0.clone();
            self.ask("release", pipeline.query_async::<()>(&mut connection)).await;
        }
    }

    /// Whether the store answers.
    ///
    /// # Errors
    /// What it, or the way to it, says otherwise.
    pub async fn ping(&self) -> Result<(), String> {
        let mut connection = self.connection.0.clone();
        let ping = redis::cmd("PING");
        match timeout(self.timeout * 4, ping.query_async::<String>(&mut connection)).await {
            Ok(answer) => answer.map(drop).map_err(|error| error.to_string()),
            Err(_) => Err(format!("no answer within {:?}", self.timeout * 4)),
        }
    }

    fn key(&self, pair: &Pair) -> String {
        let mut key = format!("{}:event:", self.prefix);
        for byte in pair.0 {
            key.push_str(&format!("{byte:02x}"));
        }
        key
    }

    /// Asks, unless the store is left alone.
    async fn ask<T>(&self, what: &str, answer: impl Future<Output = Result<T, RedisError>>) -> Option<T> {
        if self.is_resting() {
            self.metrics.dedupe_store_errors.with(&[what]).add(1);
            return None;
        }
        let failure = match timeout(self.timeout, answer).await {
            Ok(Ok(answer)) => {
                self.is_up();
                return Some(answer);
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {:?}", self.timeout),
        };
        self.metrics.dedupe_store_errors.with(&[what]).add(1);
        self.metrics.dedupe_store_up.with(&[]).set(0);
        *self.resting.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + REST);
        if let Some(kept_back) = self.log.turn() {
            warn!(
                failure,
                kept_back, "the store of the duplicate window fails; events are delivered on what this process knows"
            );
        }
        None
    }

    fn is_resting(&self) -> bool {
        self.resting.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|until| Instant::now() < until)
    }

    fn is_up(&self) {
        if self.resting.lock().unwrap_or_else(PoisonError::into_inner).take().is_some() {
            self.metrics.dedupe_store_up.with(&[]).set(1);
            info!("the store of the duplicate window answers again");
        }
    }
}
