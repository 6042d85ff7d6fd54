//! The exchange of the heartbeats that each replica received, through the store of the duplicate window.
//!
//! Each replica sees a part of a source's heartbeats. Together they know which numbers are missing. Receiving a heartbeat
//! only notes its number in memory. A task adds the noted numbers to the list of their source and queue in Redis, and
//! reads the lists of all sources. If Redis does not answer, nothing waits for it, and the lists are unknown.
//!
//! Lists belong to a queue, because two installations with queues of their own can share a Redis and hear the same source.

mod store;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until};
use tracing::{info, warn};

use super::gaps::{GapList, Heard};
use super::heard::{HeardNumbers, ToShare};
use crate::base::redis::{REST, RequestError};
use crate::base::{RateLimitedLog, Redis};
use crate::config::Config;
use crate::message::QueueUrl;
use crate::telemetry::{Metrics, NoLabels, StoreLabels, StoreOperation};
use store::{Change, Gone, Page, Store, Value, Written};

/// How long the task waits for further numbers before it shares those that it has.
const LINGER: Duration = Duration::from_millis(500);
/// The time after which the lists of all sources are read again.
const REREAD: Duration = Duration::from_secs(10);
/// The time without a sign of a replica after which the lists are unknown, because they can lack its numbers.
const SILENT: u64 = 30_000;
/// The time without a sign of a replica after which the others forget it, because it has crashed.
const CRASHED: u64 = 300_000;
/// How often a list that another replica has just changed is changed again, before the numbers wait for the next time.
const TRIES: usize = 6;
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
    standing: Mutex<Standing>,
    log: RateLimitedLog,
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

/// Whether the last exchange succeeded.
#[derive(Debug, Default)]
struct Standing {
    failure: Option<(SystemTime, String)>,
}

/// The knowledge of all replicas about the missing heartbeats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedGaps {
    /// How far the knowledge reaches.
    pub reach: Reach,
    /// The lists, by source and queue. There are none if the reach is [`Reach::NotKnown`].
    pub lists: Vec<SourceGaps>,
    /// The count of this replica's sources without a list, because the store has lists of too many.
    pub left_out: usize,
}

/// How far the knowledge about missing heartbeats reaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// It covers this number of replicas, which are all.
    AllReplicas(usize),
    /// It is not known at the moment, for this reason.
    NotKnown(String),
}

/// The missing heartbeats of a source on one queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceGaps {
    /// The name of the source.
    pub source: String,
    /// The name of the queue.
    pub queue: String,
    /// When the first heartbeat of the list reached the queue.
    pub since: SystemTime,
    /// The number of the first heartbeat.
    pub first: u64,
    /// The number of the last heartbeat.
    pub last: u64,
    /// The count of missing heartbeats, those of `unlisted` included.
    pub missing: u64,
    /// The missing ranges, in ascending order.
    pub gaps: Vec<Gap>,
    /// The count of older missing ranges that are not in `gaps`.
    pub unlisted: u64,
    /// The count of heartbeats that can be missing without a notice.
    pub not_judged: u64,
}

/// A range of missing heartbeats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// The first missing number.
    pub first: u64,
    /// The last missing number.
    pub last: u64,
    /// When a replica noticed that they are missing.
    pub noticed: SystemTime,
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
        let standing = Standing { failure: Some((SystemTime::now(), "it was not read yet".to_owned())) };
        let log = RateLimitedLog::new(Duration::from_secs(60));
        Arc::new(Self { id, queues, noted: Notify::new(), standing: Mutex::new(standing), log, metrics })
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

    /// Shares the numbers that are not shared yet, and tells the other replicas that this one ends.
    pub async fn leave(&self) {
        if self.exchange(false).await.is_err() {
            return;
        }
        for queue in self.queues.values() {
            let left = queue.store.unregister(&self.id).await;
            if left.is_err() {
                return;
            }
        }
    }

    /// Shares the numbers of all queues. With `all`, reads all lists.
    async fn exchange(&self, all: bool) -> Result<(), RequestError> {
        for queue in self.queues.values() {
            if let Err(error) = self.exchange_one(queue, all).await {
                self.note_failure(&error);
                return Err(error);
            }
        }
        if all && self.standing.lock().failure.take().is_some() {
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
            self.note_invalid(&changes, page);
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

    /// Counts the values that no replica writes. The change replaces them.
    fn note_invalid(&self, changes: &[Change], page: &Page) {
        let is_invalid = |change: &&Change| {
            page.lists.get(&change.source).is_some_and(|value| !value.raw.is_empty() && value.list.is_none())
        };
        let invalid = changes.iter().filter(is_invalid).count();
        self.metrics.dedupe_store_invalid.with(&NoLabels).add(invalid as u64);
    }

    fn note_failure(&self, error: &RequestError) {
        self.metrics.dedupe_store_errors.with(&StoreLabels { operation: StoreOperation::Share }).add(1);
        let RequestError::Failed(failure) = error else { return };
        self.standing.lock().failure.get_or_insert_with(|| (SystemTime::now(), failure.clone()));
        if let Some(suppressed) = self.log.permit() {
            warn!(
                failure,
                suppressed,
                "the store of the duplicate window does not have the lists of missing heartbeats; they are unknown"
            );
        }
    }

    /// Returns what all replicas know.
    pub(super) fn report(&self, now: Instant) -> SharedGaps {
        let mut shared = SharedGaps { reach: self.reach(now), lists: Vec::new(), left_out: 0 };
        if matches!(shared.reach, Reach::NotKnown(_)) {
            return shared;
        }
        for queue in self.queues.values() {
            let view = queue.view.lock();
            shared.left_out += view.refused.len();
            let Some(time) = view.judged_until() else { continue };
            shared.lists.extend(view.lists.iter().map(|(source, list)| source_gaps(source, &queue.label, list, time)));
        }
        shared.lists.sort_by(|one, other| (&one.source, &one.queue).cmp(&(&other.source, &other.queue)));
        shared
    }

    fn reach(&self, now: Instant) -> Reach {
        if let Some((_, failure)) = &self.standing.lock().failure {
            return Reach::NotKnown(failure.clone());
        }
        let mut replicas = BTreeMap::<String, u64>::new();
        for queue in self.queues.values() {
            let view = queue.view.lock();
            let Some(time) = view.time(now) else { return Reach::NotKnown("it was not read yet".to_owned()) };
            if view.read.is_some_and(|(_, at)| now.saturating_duration_since(at) > 3 * REREAD) {
                return Reach::NotKnown("it was not read recently".to_owned());
            }
            for (replica, seen) in &view.replicas {
                let silent_for = if *replica == self.id { 0 } else { time.saturating_sub(*seen) };
                let longest = replicas.entry(replica.clone()).or_default();
                *longest = silent_for.max(*longest);
            }
        }
        let silent = replicas.values().filter(|silent_for| **silent_for > SILENT).count();
        match silent {
            0 => Reach::AllReplicas(replicas.len()),
            _ => Reach::NotKnown(format!("{silent} of {} replicas have not shared their heartbeats", replicas.len())),
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
        let is_crashed = |_: &String, seen: &mut u64| now.saturating_sub(*seen) > CRASHED;
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

fn source_gaps(source: &str, queue: &str, list: &GapList, time: u64) -> SourceGaps {
    let run = list.run();
    let at = |millis: u64| SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(millis));
    let at = |millis| at(millis).unwrap_or(SystemTime::UNIX_EPOCH);
    let gap =
        |missing: &super::gaps::Missing| Gap { first: missing.first, last: missing.last, noticed: at(missing.noticed) };
    let (unlisted, numbers) = run.unlisted(time);
    let listed = run.gaps(time).fold(0, |sum: u64, missing| sum.saturating_add(missing.count()));
    SourceGaps {
        source: source.to_owned(),
        queue: queue.to_owned(),
        since: at(run.begun()),
        first: run.lowest(),
        last: run.highest(),
        missing: listed.saturating_add(numbers),
        gaps: run.gaps(time).map(gap).collect(),
        unlisted,
        not_judged: run.not_judged(),
    }
}
