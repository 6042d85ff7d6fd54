//! Stores the counters of this process, minute by minute.
//!
//! A minute ends at the full minute of UTC, and the last one at the stop. While the store does not answer, minutes wait
//! in memory, and beyond the limits the oldest one is dropped and counted. Nothing waits for the writer.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};
use tracing::warn;

use super::{MINUTE, Minute, SECOND, hour_folder, timestamp};
use crate::base::time::unix_micros;
use crate::base::{Backoff, RateLimitedLog};
use crate::store::{Store, cleaned};
use crate::telemetry::{Counts, Metrics, NoLabels};

/// The most minutes that wait for the store.
const MAX_WAITING: usize = 60;
/// The most cells of all minutes that wait for the store: about 16 MiB. Ten thousand customers fill it in ten minutes.
const MAX_WAITING_CELLS: usize = 100_000;
/// The longest time to the end of a minute. It is longer only if the clock was put back.
const LONGEST_WAIT: Duration = Duration::from_secs(61);
/// Delays between the attempts at one minute.
const BACKOFF: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(30));
/// The number of minutes that are stored at the same time at the stop.
const CONCURRENT_PUTS: usize = 8;
/// A failing store is logged at most once per period.
const LOG_PERIOD: Duration = Duration::from_secs(60);

/// Stores the counters of one process. [`run`](Self::run) must be polled, and [`finish`](Self::finish) stores the rest.
#[derive(Debug)]
pub struct Writer {
    store: Store,
    replica: String,
    incarnation: String,
    region: Option<String>,
    metrics: Arc<Metrics>,
    state: Mutex<State>,
    /// Notified when a minute is closed.
    closed: Notify,
    log: RateLimitedLog,
}

#[derive(Debug)]
struct State {
    /// The begin of the present minute.
    from: i64,
    /// The number of the present minute.
    number: u64,
    /// The minutes that are not stored yet, oldest first.
    waiting: VecDeque<Arc<Closed>>,
}

/// A minute that is over.
#[derive(Debug)]
struct Closed {
    number: u64,
    from: i64,
    to: i64,
    is_last: bool,
    counts: Counts,
}

impl Closed {
    /// Returns the number of cells, which the memory of a minute depends on.
    fn cells(&self) -> usize {
        let Counts { calls, published, settled, throttles, .. } = &self.counts;
        calls.len() + published.len() + settled.len() + throttles.len()
    }
}

impl Writer {
    /// Begins to count for this process. `replica` is the name of this host or pod, `region` is where the process calls
    /// AWS.
    pub fn new(store: Store, replica: String, region: Option<String>, metrics: &Arc<Metrics>) -> Arc<Self> {
        let from = unix_micros(SystemTime::now());
        metrics.begin_usage();
        metrics.counters_dropped.with(&NoLabels);
        Arc::new(Self {
            store,
            replica,
            incarnation: format!("{:012x}{:04x}", from / 1_000, fastrand::u16(..)),
            region,
            metrics: Arc::clone(metrics),
            state: Mutex::new(State { from, number: 0, waiting: VecDeque::new() }),
            closed: Notify::new(),
            log: RateLimitedLog::new(LOG_PERIOD),
        })
    }

    /// Closes each minute and stores it. Never ends. Dropping the future loses no counts that [`finish`](Self::finish)
    /// can still store.
    pub async fn run(self: Arc<Self>) {
        tokio::join!(self.close_minutes(), self.store_minutes());
    }

    /// Closes the last minute, and stores what is left for at most `limit`.
    pub async fn finish(self: &Arc<Self>, limit: Duration) {
        self.close(None);
        let waiting = self.state.lock().waiting.clone();
        let stored = stream::iter(waiting).for_each_concurrent(CONCURRENT_PUTS, async |closed| {
            let _is_logged = self.put(closed).await;
        });
        let _timed_out = timeout(limit, stored).await;
        let left = self.state.lock().waiting.len();
        if left > 0 {
            self.metrics.counters_dropped.with(&NoLabels).add(left as u64);
            warn!(minutes = left, "the store did not take the last counters; the reports miss them");
        }
    }

    async fn close_minutes(&self) {
        let mut end = 0;
        loop {
            let now = unix_micros(SystemTime::now());
            end = next_end(now.max(end));
            let left = Duration::from_micros((end - now).unsigned_abs());
            sleep(left.min(LONGEST_WAIT)).await;
            self.close(Some(end));
            self.closed.notify_one();
        }
    }

    /// Closes the present minute: at `end` if that is now, to the second. Without an end, it is the last one.
    fn close(&self, end: Option<i64>) {
        let now = unix_micros(SystemTime::now());
        let end_or_now = end.filter(|end| (0..SECOND).contains(&(now - end))).unwrap_or(now);
        let counts = self.metrics.take_usage();
        let state = &mut *self.state.lock();
        let (from, to) = (state.from, end_or_now.max(state.from));
        state.waiting.push_back(Arc::new(Closed { number: state.number, from, to, is_last: end.is_none(), counts }));
        state.from = to;
        state.number += 1;
        let dropped = drop_oldest(&mut state.waiting);
        self.metrics.counters_dropped.with(&NoLabels).add(dropped);
    }

    async fn store_minutes(self: &Arc<Self>) {
        let mut failures = 0;
        loop {
            let oldest = self.state.lock().waiting.front().cloned();
            let Some(closed) = oldest else {
                self.closed.notified().await;
                continue;
            };
            match self.put(closed).await {
                Ok(()) => failures = 0,
                Err(NotStored) => {
                    failures += 1;
                    sleep(BACKOFF.delay(failures)).await;
                }
            }
        }
    }

    /// Stores one minute, and forgets it once it is stored. Repeating it replaces the object with the same one.
    async fn put(self: &Arc<Self>, closed: Arc<Closed>) -> Result<(), NotStored> {
        let (this, number, key) = (Arc::clone(self), closed.number, self.key(&closed));
        // Ten thousand customers take milliseconds.
        let json = spawn_blocking(move || serde_json::to_vec(&this.minute(&closed))).await;
        let Ok(Ok(json)) = json else { return Err(NotStored) };
        if let Err(error) = self.store.put(&key, Bytes::from(json)).await {
            self.metrics.store_errors.with(&error.labels()).add(1);
            if let Some(suppressed) = self.log.permit() {
                let waiting = self.state.lock().waiting.len();
                warn!(%error, waiting, suppressed, "failed to store a minute of counters, trying again");
            }
            return Err(NotStored);
        }
        self.state.lock().waiting.retain(|waiting| waiting.number != number);
        Ok(())
    }

    /// Returns the key of a minute, such as `counters/v1/date=2026-11-28/hour=12/0300-pod-b-19a8c0ffee0badcafe-7.json`.
    fn key(&self, closed: &Closed) -> String {
        let (folder, begin) = (hour_folder(closed.from), timestamp(closed.from).strftime("%M%S"));
        let (replica, incarnation, number) = (cleaned(&self.replica), &self.incarnation, closed.number);
        format!("{folder}/{begin}-{replica}-{incarnation}-{number}.json")
    }

    fn minute(&self, closed: &Closed) -> Minute {
        let Closed { number, from, to, is_last, counts } = closed;
        Minute {
            replica: self.replica.clone(),
            incarnation: self.incarnation.clone(),
            number: *number,
            is_last: *is_last,
            from: *from,
            to: *to,
            region: self.region.clone(),
            ..Minute::from(counts)
        }
    }
}

/// The store did not take a minute. It is logged.
struct NotStored;

/// Drops the oldest minutes beyond the limits, and returns their number. The last minute stays.
fn drop_oldest(waiting: &mut VecDeque<Arc<Closed>>) -> u64 {
    let mut cells: usize = waiting.iter().map(|closed| closed.cells()).sum();
    let mut dropped = 0;
    while waiting.len() > MAX_WAITING || cells > MAX_WAITING_CELLS && waiting.len() > 1 {
        let Some(oldest) = waiting.pop_front() else { break };
        cells -= oldest.cells();
        dropped += 1;
    }
    dropped
}

/// Returns the next full minute. Skips one that begins within a second, so that no minute is much too short.
fn next_end(now: i64) -> i64 {
    let next = (now.div_euclid(MINUTE) + 1) * MINUTE;
    if next - now < SECOND { next + MINUTE } else { next }
}
