//! The window that replicas share: one key in Redis per delivery, which expires with the window.
//!
//! Before a publish the replica claims the key for a limited time, so that two replicas with two messages of one event
//! do not both publish it. It renews the claims of events that wait for long. After the publish the value names the
//! message that was published. A value that no replica writes counts as no value.
//!
//! Redis must never delay an event: each request has a short timeout, and after a failure the replica does not ask
//! Redis for a moment.

use std::sync::Arc;
use std::time::Duration;

use redis::{Pipeline, RedisError, Value};
use tracing::{info, warn};

use super::marker::{self, Standing};
use super::unfinished::MAX_RETENTION;
use super::{DeliveryKey, MessageId};
use crate::base::redis::{Answer, PingError, RequestError};
use crate::base::{RateLimitedLog, Redis};
use crate::config;
use crate::telemetry::{Metrics, NoLabels, StoreLabels, StoreOperation};

/// The number of keys per request, within one timeout. The events of one receive can have thousands for many customers.
const AT_ONCE: usize = 256;

/// Why the store cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("dedupe.redis_url: {0}; it looks like `redis://host:6379` or, with TLS, `rediss://host:6379`")]
pub struct StoreError(RedisError);

/// A delivery that was published, for the other replicas.
#[derive(Debug, Clone, Copy)]
pub(super) struct Published {
    pub(super) key: DeliveryKey,
    pub(super) message: MessageId,
    /// Whether the message has other destinations that do not have the event yet.
    pub(super) is_unfinished: bool,
}

/// A Redis server, or another that speaks its protocol.
#[derive(Debug)]
pub struct Store {
    redis: Redis,
    prefix: String,
    /// The value of the keys that this replica has claimed.
    claimed: String,
    claim_span: Duration,
    span: Duration,
    log: RateLimitedLog,
    log_of_invalid: RateLimitedLog,
    metrics: Arc<Metrics>,
}

impl Store {
    /// Creates the store of a URL. Connects on the first use. A claim that its replica does not finish ends after
    /// `claim_span`.
    ///
    /// # Errors
    /// Returns an error if the URL cannot be used.
    pub fn new(
        url: &str,
        settings: &config::Dedupe,
        claim_span: Duration,
        metrics: Arc<Metrics>,
    ) -> Result<Self, StoreError> {
        let redis = Redis::new(url, Duration::from_millis(settings.redis_timeout_ms)).map_err(StoreError)?;
        metrics.dedupe_store_up.with(&NoLabels).set(1);
        for operation in StoreOperation::ALL.iter().copied() {
            metrics.dedupe_store_errors.with(&StoreLabels { operation });
        }
        metrics.dedupe_store_invalid.with(&NoLabels);
        Ok(Self {
            redis,
            prefix: settings.redis_prefix.clone(),
            claimed: marker::claimed(),
            claim_span,
            span: Duration::from_secs(settings.window_seconds),
            log: RateLimitedLog::new(Duration::from_secs(10)),
            log_of_invalid: RateLimitedLog::new(Duration::from_secs(10)),
            metrics,
        })
    }

    /// Claims the keys that are free. Returns what the other replicas know of each, or `None` for the keys for which the
    /// store did not answer.
    pub(super) async fn claim(&self, keys: &[DeliveryKey]) -> Vec<Option<Standing>> {
        let mut standings = Vec::with_capacity(keys.len());
        for keys in keys.chunks(AT_ONCE) {
            let mut pipeline = redis::pipe();
            for key in keys {
                let redis_key = self.key(key);
                let claim = pipeline.cmd("SET").arg(&redis_key).arg(&self.claimed).arg("NX");
                claim.arg("PX").arg(self.claim_span.as_millis() as u64);
                pipeline.cmd("GET").arg(&redis_key);
            }
            let found = self.request(StoreOperation::Claim, self.values(&mut pipeline)).await;
            // Every second value is the answer to GET.
            let mut found = found.unwrap_or_default().into_iter().skip(1).step_by(2);
            standings.extend(keys.iter().map(|key| Some(self.standing(key, found.next()?))));
        }
        standings
    }

    /// Renews claims of this replica, and makes them again if they have expired. Returns what the other replicas know of
    /// each key, or `None` for the keys for which the store did not answer.
    pub(super) async fn renew(&self, keys: &[DeliveryKey]) -> Vec<Option<Standing>> {
        const UNLESS_TAKEN: &str = "local found = redis.call('GET', KEYS[1]) \
            if found and found ~= ARGV[1] then return found end \
            redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) return ARGV[1]";
        let mut standings = Vec::with_capacity(keys.len());
        for keys in keys.chunks(AT_ONCE) {
            let mut pipeline = redis::pipe();
            for key in keys {
                let renew = pipeline.cmd("EVAL").arg(UNLESS_TAKEN).arg(1).arg(self.key(key));
                renew.arg(&self.claimed).arg(self.claim_span.as_millis() as u64);
            }
            let found = self.request(StoreOperation::Renew, self.values(&mut pipeline)).await;
            let mut found = found.into_iter().flatten();
            standings.extend(keys.iter().map(|key| Some(self.standing(key, found.next()?))));
        }
        standings
    }

    /// Makes the requests of a pipeline. Returns the value that each answers with.
    async fn values(&self, pipeline: &mut Pipeline) -> Result<Vec<Option<Vec<u8>>>, RedisError> {
        let mut connection = self.redis.connection();
        // The answers keep their errors, so that a key that holds no string spoils no other answer.
        let answers: Vec<Result<Value, RedisError>> = pipeline.ignore_errors().query_async(&mut connection).await?;
        answers.into_iter().map(marker::value).collect()
    }

    fn standing(&self, key: &DeliveryKey, value: Option<Vec<u8>>) -> Standing {
        match value {
            None => Standing::Free,
            Some(value) if value == self.claimed.as_bytes() => Standing::Free,
            Some(value) => marker::standing(&value).unwrap_or_else(|| {
                self.note_invalid(key);
                Standing::Free
            }),
        }
    }

    /// Counts and logs a value that no replica writes. The next publish of the delivery replaces it.
    fn note_invalid(&self, key: &DeliveryKey) {
        self.metrics.dedupe_store_invalid.with(&NoLabels).add(1);
        if let Some(suppressed) = self.log_of_invalid.permit() {
            let key = self.key(key);
            warn!(
                key,
                suppressed,
                "a value in the store of the duplicate window is not from protobridge and is ignored; the event is \
                 published"
            );
        }
    }

    /// Records the message with which each delivery was published. The store remembers a delivery of an unfinished message
    /// for as long as the message can come again, and any other for the time of the window.
    pub(super) async fn note(&self, published: &[Published]) {
        for published in published.chunks(AT_ONCE) {
            let mut pipeline = redis::pipe();
            for Published { key, message, is_unfinished } in published {
                let value = marker::published(*message);
                let span = if *is_unfinished { MAX_RETENTION.max(self.span) } else { self.span };
                let millis = span.as_millis() as u64;
                pipeline.cmd("SET").arg(self.key(key)).arg(value).arg("PX").arg(millis).ignore();
            }
            self.note_all(&pipeline).await;
        }
    }

    /// Records that the message of these deliveries is finished: the store remembers them for the time of the window. A
    /// delivery that names another message by now stays as it is, because that message may be unfinished.
    pub(super) async fn finish(&self, finished: &[(DeliveryKey, MessageId)]) {
        const UNLESS_OF_OTHER: &str = "local found = redis.pcall('GET', KEYS[1]) \
            if not found or found == ARGV[1] then redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) end";
        for finished in finished.chunks(AT_ONCE) {
            let mut pipeline = redis::pipe();
            for (key, message) in finished {
                let finish = pipeline.cmd("EVAL").arg(UNLESS_OF_OTHER).arg(1).arg(self.key(key));
                finish.arg(marker::published(*message)).arg(self.span.as_millis() as u64).ignore();
            }
            self.note_all(&pipeline).await;
        }
    }

    async fn note_all(&self, pipeline: &Pipeline) {
        let mut connection = self.redis.connection();
        self.request(StoreOperation::Note, pipeline.query_async::<()>(&mut connection)).await;
    }

    /// Gives up claims, except those that have expired and belong to another replica by now.
    pub(super) async fn release(&self, keys: &[DeliveryKey]) {
        const IF_OURS: &str = "if redis.pcall('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end";
        for keys in keys.chunks(AT_ONCE) {
            let mut pipeline = redis::pipe();
            for key in keys {
                pipeline.cmd("EVAL").arg(IF_OURS).arg(1).arg(self.key(key)).arg(&self.claimed).ignore();
            }
            let mut connection = self.redis.connection();
            self.request(StoreOperation::Release, pipeline.query_async::<()>(&mut connection)).await;
        }
    }

    /// Checks that the store answers.
    ///
    /// # Errors
    /// Returns an error if it does not answer in time, or answers with an error.
    pub async fn ping(&self) -> Result<(), PingError> {
        self.redis.ping().await
    }

    /// Returns another user of the connection to the store.
    pub(super) fn redis(&self) -> Redis {
        self.redis.for_another_use()
    }

    fn key(&self, key: &DeliveryKey) -> String {
        format!("{}:delivery:{}", self.prefix, key.to_hex())
    }

    /// Makes a request, unless the store failed a moment ago.
    async fn request<T>(
        &self,
        operation: StoreOperation,
        answer: impl Future<Output = Result<T, RedisError>>,
    ) -> Option<T> {
        let failure = match self.redis.request(answer).await {
            Ok(Answer { value, is_first_after_failure }) => {
                if is_first_after_failure {
                    self.metrics.dedupe_store_up.with(&NoLabels).set(1);
                    info!("the store of the duplicate window answers again");
                }
                return Some(value);
            }
            Err(failure) => failure,
        };
        self.metrics.dedupe_store_errors.with(&StoreLabels { operation }).add(1);
        let RequestError::Failed(failure) = failure else { return None };
        self.metrics.dedupe_store_up.with(&NoLabels).set(0);
        if let Some(suppressed) = self.log.permit() {
            warn!(
                failure,
                suppressed,
                "the store of the duplicate window fails; this process delivers events with what it knows itself"
            );
        }
        None
    }
}
