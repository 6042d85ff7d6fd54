//! The exchange of the heartbeats that each replica received, through the store of the duplicate window.
//!
//! Each replica sees a part of a source's heartbeats. Together they know which numbers are missing. Receiving a heartbeat
//! only notes its number in memory. A task adds the noted numbers to the list of their source and queue in Redis, and
//! reads the lists of all sources. If Redis does not answer, nothing waits for it, and the lists are unknown.
//!
//! Lists belong to a queue, because two installations with queues of their own can share a Redis and hear the same source.

mod knowledge;
mod store;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracing::{info, warn};

use super::gaps::{GapList, Heard};
use super::heard::{HeardNumbers, ToShare};
use crate::base::redis::{REST, RequestError};
use crate::base::{RateLimitedLog, Redis};
use crate::config::Config;
use crate::message::QueueUrl;
use crate::telemetry::{Metrics, NoLabels, StoreLabels, StoreOperation};
pub use knowledge::{Gap, Reach, SharedGaps, SourceGaps};
use store::{Change, Gone, Page, Store, Value, Written};

/// How long the task waits for further numbers before it shares those that it has.
const LINGER: Duration = Duration::from_millis(500);
/// The time after which the lists of all sources are read again.
const REREAD: Duration = Duration::from_secs(3);
/// The time without a sign of a replica after which the lists are unknown, because they can lack its numbers.
const SILENT: Duration = Duration::from_secs(30);
/// The time without a sign of a replica after which the others forget it, because it has crashed.
const CRASHED: Duration = Duration::from_secs(300);
/// The longest time for the last numbers of a replica that ends.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(1);
/// How often a list that another replica has just changed is changed again, before the numbers wait for the next time.
const TRIES: usize = 6;
/// Why nothing is known before the first exchange.
const UNREAD: &str = "the lists were not read yet";
/// The number of replicas that have fields beside those of the sources.
const REPLICAS: usize = 256;

/// The numbers that this replica shares, and the lists of all replicas.
#[derive(Debug)]
pub struct Exchange {
    /// The name of this replica in the store.
    id: String,
    queues: BTreeMap<QueueUrl, SharedQueue>,
    /// Wakes the task if there are numbers to share.
    noted: Notify,
    /// Why the last exchange failed.
    failure: Mutex<Option<String>>,
    log: RateLimitedLog,
    log_of_invalid: RateLimitedLog,
    metrics: Arc<Metrics>,
}

#[derive(Debug)]
struct SharedQueue {
    label: String,
    store: Store,
    heard: Mutex<HeardNumbers>,
    view: Mutex<View>,
}

/// The lists of a queue, as they were read last.
#[derive(Debug, Default)]
struct View {
    lists: BTreeMap<String, GapList>,
    replicas: BTreeMap<String, u64>,
    /// The sources without a list, because the store has lists of too many.
    refused: BTreeSet<Arc<str>>,
    /// The time of Redis, and our clock at that time.
    read: Option<(u64, Instant)>,
}

impl Exchange {
    /// Creates the exchange of a replica. [`Exchange::run`] must be polled.
    pub fn new(config: &Config, redis: &Redis, metrics: Arc<Metrics>) -> Arc<Self> {
        let id = format!("{:016x}", fastrand::u64(..));
        let sources = config.heartbeats.max_sources as usize + config.heartbeats.expect.len();
        let queue = |queue: &crate::config::Queue| {
            let hash = hex::encode(&Sha256::digest(&queue.url)[..16]);
            let key = format!("{}:heartbeats:{hash}", config.dedupe.redis_prefix);
            let store = Store { redis: redis.for_another_use(), key, max_fields: sources + REPLICAS };
            let (heard, view) = (Mutex::default(), Mutex::default());
            (queue.url.as_str().into(), SharedQueue { label: queue.label().to_owned(), store, heard, view })
        };
        let queues = config.queues.iter().map(queue).collect();
        let failure = Mutex::new(Some(UNREAD.to_owned()));
        let [log, log_of_invalid] = [(); 2].map(|()| RateLimitedLog::new(Duration::from_secs(60)));
        Arc::new(Self { id, queues, noted: Notify::new(), failure, log, log_of_invalid, metrics })
    }

    /// Notes a heartbeat that was received from this queue at `at`.
    pub(super) fn note(&self, queue: &QueueUrl, source: &str, heard: Heard, at: Instant) {
        let Some(queue) = self.queues.get(queue) else { return };
        if queue.heard.lock().note(&store::name(source), heard, at) {
            self.noted.notify_one();
        }
    }

    /// Shares the numbers of this replica, and reads those of the others, for as long as the future is polled.
    pub async fn run(self: Arc<Self>) {
        let mut reread = Instant::now();
        loop {
            let now = Instant::now();
            let all = now >= reread;
            if self.exchange(all).await.is_err() {
                sleep(REST).await;
                reread = Instant::now();
                continue;
            }
            if all {
                reread = now + REREAD;
            }
            tokio::select! {
                () = self.noted.notified() => sleep(LINGER).await,
                () = sleep_until(reread) => {}
            }
        }
    }

    /// Shares the numbers that are not shared yet, and tells the other replicas that this one ends. Otherwise they would
    /// miss the last numbers and wait for this replica. Takes one second at most.
    pub async fn leave(&self) {
        let leave = async {
            self.exchange(false).await?;
            for queue in self.queues.values() {
                queue.store.unregister(&self.id).await?;
            }
            Ok::<(), RequestError>(())
        };
        let _late_or_failed = timeout(LEAVE_TIMEOUT, leave).await;
    }

    /// Shares the numbers of all queues. With `all`, reads all lists.
    async fn exchange(&self, all: bool) -> Result<(), RequestError> {
        for queue in self.queues.values() {
            if let Err(error) = self.exchange_one(queue, all).await {
                self.note_failure(&error);
                return Err(error);
            }
        }
        if all && self.failure.lock().take().is_some() {
            info!("the lists of missing heartbeats are known");
        }
        Ok(())
    }

    async fn exchange_one(&self, queue: &SharedQueue, all: bool) -> Result<(), RequestError> {
        let to_share = || queue.heard.lock().to_share(all, Instant::now());
        if !all {
            let shares = to_share();
            if !shares.is_empty() {
                let mut page = queue.store.read_some(shares.iter().map(|share| share.source.to_string())).await?;
                let refused = self.add(queue, &mut page, shares).await?;
                queue.view.lock().update(page, refused);
            }
            return Ok(());
        }
        let mut page = queue.store.read().await?;
        // All numbers that were received before the time of the page.
        let shares = to_share();
        let refused = self.add(queue, &mut page, shares).await?;
        page.replicas.insert(self.id.clone(), page.now);
        queue.store.register(&self.id, page.now, &page.take_gone()).await?;
        *queue.view.lock() = View::new(page, refused);
        Ok(())
    }

    /// Adds numbers to the lists of a page and of the store. Returns the sources whose list the store refuses.
    async fn add(
        &self,
        queue: &SharedQueue,
        page: &mut Page,
        mut shares: Vec<ToShare>,
    ) -> Result<BTreeSet<Arc<str>>, RequestError> {
        let mut refused = BTreeSet::new();
        for _ in 0..TRIES {
            let (changed, changes) = queue.changes(page, shares);
            if changes.is_empty() {
                return Ok(refused);
            }
            self.note_invalid(&queue.store.key, &changes, page);
            shares = Vec::new();
            for (share, written) in changed.into_iter().zip(queue.store.write(&changes).await?) {
                match written {
                    Written::New(value) => {
                        page.lists.insert(share.source.to_string(), value);
                        queue.heard.lock().shared(&share, Instant::now());
                    }
                    Written::Other(value) => {
                        page.lists.insert(share.source.to_string(), value);
                        shares.push(share);
                    }
                    Written::Full => {
                        refused.insert(Arc::clone(&share.source));
                        queue.heard.lock().shared(&share, Instant::now());
                    }
                }
            }
        }
        // Other replicas were faster each time.
        self.noted.notify_one();
        Ok(refused)
    }

    /// Counts and logs the values that no replica writes. The change replaces them.
    fn note_invalid(&self, key: &str, changes: &[Change], page: &Page) {
        let is_invalid = |change: &&Change| {
            page.lists.get(&change.source).is_some_and(|value| !value.raw.is_empty() && value.list.is_none())
        };
        for Change { source, .. } in changes.iter().filter(is_invalid) {
            self.metrics.dedupe_store_invalid.with(&NoLabels).add(1);
            if let Some(suppressed) = self.log_of_invalid.permit() {
                warn!(
                    key,
                    source,
                    suppressed,
                    "a list of missing heartbeats in the store of the duplicate window is not from protobridge; the list \
                     begins anew"
                );
            }
        }
    }

    fn note_failure(&self, error: &RequestError) {
        self.metrics.dedupe_store_errors.with(&StoreLabels { operation: StoreOperation::Share }).add(1);
        let RequestError::Failed(failure) = error else { return };
        *self.failure.lock() = Some(failure.clone());
        if let Some(suppressed) = self.log.permit() {
            warn!(
                failure,
                suppressed,
                "the store of the duplicate window does not have the lists of missing heartbeats; they are unknown"
            );
        }
    }
}

impl SharedQueue {
    /// Returns the numbers that the lists of a page lack, and the changes that add them. The others are shared.
    fn changes(&self, page: &Page, shares: Vec<ToShare>) -> (Vec<ToShare>, Vec<Change>) {
        let (mut changed, mut changes) = (Vec::new(), Vec::new());
        for share in shares {
            if let Some(change) = page.change(&share) {
                changes.push(change);
                changed.push(share);
            } else {
                self.heard.lock().shared(&share, Instant::now());
            }
        }
        (changed, changes)
    }
}

impl Page {
    /// Returns the change that a contribution makes; `None` if the list has it already.
    fn change(&self, share: &ToShare) -> Option<Change> {
        let source = share.source.to_string();
        let found = self.lists.get(&source).cloned().unwrap_or_default();
        let new = GapList::after(found.list.as_ref(), &share.contribution, self.now)?;
        (found.list.as_ref() != Some(&new)).then_some(Change { source, old: found.raw, new })
    }

    /// Removes the replicas that have crashed and the lists of sources that were not heard for long.
    fn take_gone(&mut self) -> Gone {
        let now = self.now;
        let is_crashed = |_: &String, seen: &mut u64| now.saturating_sub(*seen) > CRASHED.as_millis() as u64;
        let replicas = self.replicas.extract_if(.., is_crashed).map(|(replica, _)| replica).collect();
        let is_old = |_: &String, value: &mut Value| {
            value.list.as_ref().is_some_and(|list| now.saturating_sub(list.written()) > store::KEPT)
        };
        let lists = self.lists.extract_if(.., is_old).map(|(source, value)| (source, value.raw)).collect();
        Gone { replicas, lists }
    }
}

impl View {
    fn new(page: Page, refused: BTreeSet<Arc<str>>) -> Self {
        let (read, replicas) = (Some((page.now, Instant::now())), page.replicas);
        Self { lists: lists(page.lists).collect(), replicas, refused, read }
    }

    /// Replaces the lists of some sources.
    fn update(&mut self, page: Page, refused: BTreeSet<Arc<str>>) {
        self.lists.extend(lists(page.lists));
        self.refused.extend(refused);
    }

    /// Returns the time of Redis in milliseconds.
    fn time(&self, now: Instant) -> Option<u64> {
        self.read.map(|(time, at)| time + now.saturating_duration_since(at).as_millis() as u64)
    }

    /// Returns the time up to which every replica has shared what it received. A number that was due later is no gap
    /// yet, because a replica can have it.
    fn judged_until(&self) -> Option<u64> {
        self.replicas.values().min().copied()
    }
}

fn lists(values: BTreeMap<String, Value>) -> impl Iterator<Item = (String, GapList)> {
    values.into_iter().filter_map(|(source, value)| Some((source, value.list?)))
}

#[cfg(test)]
mod tests;
