//! Storing the journal: the task that closes segments, writes them and puts them into the store.
//!
//! Segments are put one after the other, so that a process's segments in the store have no gaps. If the store does not
//! take them, [`WAITING`] written segments wait, one more is written, and the next one is filled until it has its size.
//! Rows beyond that are dropped, and the segment says how many.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tracing::{error, info, warn};

use super::recorder::{Closed, Journal};
use super::{Declaration, MAX_SPAN, segment};
use crate::base::time::unix_micros;
use crate::base::{Backoff, RateLimitedLog};
use crate::config;
use crate::store::Store;
use crate::telemetry::{DropReason, Metrics, NoLabels};

/// The number of written segments that can wait for the store, besides the one that is being put.
const WAITING: usize = 1;

/// The pauses between attempts to put a segment.
const BACKOFF: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(30));

/// The time between two looks at the rows that are not stored, for their metrics.
const LOOK: Duration = Duration::from_secs(5);

/// Stores the rows of a [`Journal`].
#[derive(Debug)]
pub struct Writer {
    journal: Arc<Journal>,
    store: Store,
    settings: config::Journal,
    metrics: Arc<Metrics>,
    log: RateLimitedLog,
}

/// A segment on its way to the store.
#[derive(Debug)]
struct Written {
    declaration: Declaration,
    bytes: Bytes,
}

impl Writer {
    /// Creates the journal of this process, and its writer. `replica` is the name of this host or pod.
    pub fn new(
        store: Store,
        settings: &config::Journal,
        replica: String,
        metrics: &Arc<Metrics>,
    ) -> (Arc<Journal>, Self) {
        metrics.start_journal_at_zero();
        let journal = Arc::new(Journal::new(replica, settings.clone(), Arc::clone(metrics)));
        let writer = Self {
            journal: Arc::clone(&journal),
            store,
            settings: settings.clone(),
            metrics: Arc::clone(metrics),
            log: RateLimitedLog::new(Duration::from_secs(10)),
        };
        (journal, writer)
    }

    /// Stores segments until [`Journal::stop`], and then what is left.
    pub async fn run(self) {
        info!(store = self.store.url(), replica = self.journal.replica, "keeping a journal");
        let (segments, written) = mpsc::channel(WAITING);
        let until_stopped = self.journal.stop.clone();
        let watch = until_stopped.run_until_cancelled_owned(self.watch());
        tokio::join!(self.close_segments(segments), self.put_segments(written), watch);
    }

    /// Closes segments by age, by size and at the end. The first one, without rows, says that this process exists.
    async fn close_segments(&self, segments: mpsc::Sender<Written>) {
        let longest = Duration::from_secs(self.settings.segment_seconds);
        let (mut number, mut is_last) = (0, false);
        while !is_last {
            if number > 0 {
                tokio::select! {
                    biased;
                    () = self.journal.stop.cancelled() => {}
                    () = self.journal.full.notified() => {}
                    () = sleep(longest) => {}
                }
            }
            let slot = match timeout(MAX_SPAN / 2, segments.reserve()).await {
                Ok(Ok(slot)) => slot,
                // The other task has ended.
                Ok(Err(_)) => return,
                Err(_) => {
                    self.journal.discard();
                    continue;
                }
            };
            is_last = self.journal.stop.is_cancelled();
            let Closed { chunks, declaration } = self.journal.close(number, is_last);
            number += 1;
            let encoded = spawn_blocking(move || (segment::write(&chunks, &declaration), declaration)).await;
            let (number, rows, problem) = match encoded {
                Ok((Ok(bytes), declaration)) => {
                    self.journal.written(declaration.number, bytes.clone());
                    slot.send(Written { declaration, bytes });
                    continue;
                }
                Ok((Err(error), declaration)) => (declaration.number, declaration.rows, error.to_string()),
                Err(panic) => (number - 1, 0, panic.to_string()),
            };
            error!(error = problem, rows, "cannot write a segment of the journal; this is a defect of protobridge");
            self.journal.forget(number);
            self.journal.drop_rows(rows, DropReason::Store);
        }
    }

    /// Puts segments in their order, each until the store has it.
    async fn put_segments(&self, mut segments: mpsc::Receiver<Written>) {
        while let Some(Written { declaration, bytes }) = segments.recv().await {
            let (key, mut attempt) = (declaration.key(), 1);
            while let Err(error) = self.store.put(&key, bytes.clone()).await {
                self.metrics.store_errors.with(&error.labels()).add(1);
                if let Some(suppressed) = self.log.permit() {
                    let rows = declaration.rows;
                    warn!(%error, rows, attempt, suppressed, "cannot store a segment of the journal, trying again");
                }
                sleep(BACKOFF.delay(attempt)).await;
                attempt += 1;
            }
            self.metrics.journal_segments.with(&NoLabels).add(1);
            self.journal.forget(declaration.number);
        }
    }

    /// Shows what is not stored.
    async fn watch(&self) {
        let mut tick = interval(LOOK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            let (rows, since) = self.journal.backlog();
            let age =
                if rows > 0 { unix_micros(SystemTime::now()).saturating_sub(since).max(0) / 1_000_000 } else { 0 };
            self.metrics.journal_unstored.with(&NoLabels).set(rows as u64);
            self.metrics.journal_oldest_unstored.with(&NoLabels).set(age as u64);
        }
    }
}

/// Stops the journal, and waits until its writer has stored all rows, at most for `limit`. Rows that are not stored then
/// are lost, and counted as dropped.
pub async fn finish(journal: &Journal, running: impl Future<Output = ()>, limit: Duration) {
    journal.stop();
    let begun = Instant::now();
    if timeout(limit, running).await.is_err() {
        let (rows, _) = journal.backlog();
        journal.drop_rows(rows as u64, DropReason::Store);
        warn!(rows, waited = ?begun.elapsed(), "the store did not take the last rows of the journal");
    }
}

#[cfg(test)]
mod tests;
