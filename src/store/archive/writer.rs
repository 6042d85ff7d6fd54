//! Storing the archive: the task that closes segments, writes them and puts them into the store.
//!
//! Several segments are put at a time, so that a slow store keeps up. If the store does not answer, no further segment is
//! closed, and the one that is filled grows until the memory of the archive is full.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until, timeout};
use tracing::{error, info, warn};

use super::keeper::IDLE;
use super::{Archive, Declaration, Kept, Waiting, write};
use crate::base::{Backoff, RateLimitedLog};
use crate::config;
use crate::store::Store;
use crate::telemetry::{Metrics, NoLabels, QueueLabels};

/// The number of segments that are put at a time.
const PARALLEL: usize = 4;

/// The number of written segments that can wait for that.
const WAITING: usize = 1;

/// The pauses between attempts to put a segment.
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));

/// The time between two looks at what is not stored.
const LOOK: Duration = Duration::from_millis(250);

/// Stores the messages of an [`Archive`].
#[derive(Debug)]
pub struct Writer<H> {
    parts: Parts<H>,
}

/// A writer that runs.
struct Running<H, R> {
    parts: Parts<H>,
    /// Takes what waited for a message that is stored or given up.
    release: R,
}

#[derive(Debug)]
struct Parts<H> {
    archive: Arc<Archive<H>>,
    store: Store,
    metrics: Arc<Metrics>,
    log: RateLimitedLog,
}

/// A segment on its way to the store.
#[derive(Debug)]
struct Written {
    declaration: Declaration,
    bytes: Bytes,
    /// The number of its messages, by queue.
    queues: Vec<(String, u64)>,
}

impl<H: Waiting> Writer<H> {
    /// Creates the archive of this process, and its writer. `replica` is the name of this host or pod.
    pub fn new(
        store: Store,
        settings: &config::Archive,
        replica: String,
        metrics: &Arc<Metrics>,
    ) -> (Arc<Archive<H>>, Self) {
        let archive = Arc::new(Archive::new(replica, settings.clone(), Arc::clone(metrics)));
        let log = RateLimitedLog::new(Duration::from_secs(10));
        let parts = Parts { archive: Arc::clone(&archive), store, metrics: Arc::clone(metrics), log };
        (archive, Self { parts })
    }

    /// Stores segments until [`Archive::stop`], and then what is left. Passes to `release` what waited for a message that
    /// is stored or given up.
    pub async fn run(self, release: impl Fn(H, Kept)) {
        info!(store = self.parts.store.url(), "archiving messages");
        Running { parts: self.parts, release }.run().await;
    }
}

impl<H: Waiting, R: Fn(H, Kept)> Running<H, R> {
    async fn run(&self) {
        let (segments, written) = mpsc::channel(WAITING);
        let work = async {
            tokio::join!(self.close_segments(segments), self.put_segments(written));
        };
        tokio::select! {
            () = work => {}
            () = self.watch() => {}
        }
    }

    fn release(&self, held: Vec<H>) {
        held.into_iter().for_each(|held| (self.release)(held, Kept(())));
    }

    /// Closes segments by age, by size and at the end. The first one, without messages, says that this process exists.
    async fn close_segments(&self, segments: mpsc::Sender<Written>) {
        let (mut number, mut is_last) = (0, false);
        while !is_last {
            if number > 0 {
                self.until_due().await;
            }
            // Fails only if the other task has ended.
            let Ok(slot) = segments.reserve().await else { return };
            let (rows, lost, declaration) = self.parts.archive.close(number, self.parts.archive.stop.is_cancelled());
            (is_last, number) = (declaration.is_last, number + 1);
            let encoded = spawn_blocking(move || {
                let queues = count_by_queue(rows.iter().map(|row| &*row.message.queue.label));
                let bytes = write(&rows, &declaration, &lost);
                bytes.map(|bytes| Written { declaration, bytes, queues })
            });
            let problem = match encoded.await {
                Ok(Ok(written)) => {
                    self.parts.archive.buffer().written(written.declaration.number, written.bytes.len());
                    slot.send(written);
                    continue;
                }
                Ok(Err(error)) => error.to_string(),
                Err(panic) => panic.to_string(),
            };
            // Its number is missing in the store, which readers report as a gap.
            error!(error = problem, "cannot write a segment of the archive; this is a defect of protobridge");
            self.release(self.parts.archive.stored(number - 1));
        }
    }

    /// Waits until a segment must be closed.
    async fn until_due(&self) {
        let idle = Instant::now() + IDLE;
        loop {
            let at = self.parts.archive.closes_at().unwrap_or(idle).min(idle);
            tokio::select! {
                biased;
                () = self.parts.archive.stop.cancelled() => return,
                () = sleep_until(at) => return,
                () = self.parts.archive.due.notified() => {}
            }
        }
    }

    /// Puts segments as they come.
    async fn put_segments(&self, mut segments: mpsc::Receiver<Written>) {
        let mut puts = FuturesUnordered::new();
        loop {
            tokio::select! {
                Some(written) = segments.recv(), if puts.len() < PARALLEL => puts.push(self.put(written)),
                Some(()) = puts.next() => {}
                else => return,
            }
        }
    }

    /// Puts a segment until the store has it.
    async fn put(&self, written: Written) {
        let Written { declaration, bytes, queues } = written;
        let (key, mut attempt) = (declaration.key(), 1);
        while let Err(error) = self.parts.store.put(&key, bytes.clone()).await {
            self.parts.metrics.store_errors.with(&error.labels()).add(1);
            if let Some(suppressed) = self.parts.log.permit() {
                let messages = declaration.rows;
                warn!(%error, messages, attempt, suppressed, "cannot store a segment of the archive, trying again");
            }
            sleep(BACKOFF.delay(attempt)).await;
            attempt += 1;
        }
        self.parts.archive.buffer().is_known = true;
        for (queue, count) in &queues {
            self.parts.metrics.archive_messages.with(&QueueLabels { queue }).add(*count);
        }
        self.parts.metrics.archive_segments.with(&NoLabels).add(1);
        self.parts.metrics.archive_bytes.with(&NoLabels).add(bytes.len() as u64);
        self.release(self.parts.archive.stored(declaration.number));
    }

    /// Gives up what has waited for too long, and shows what is not stored. Never ends.
    async fn watch(&self) {
        let mut tick = interval(LOOK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            let (held, is_new) = self.parts.archive.look();
            if is_new {
                let seconds = self.parts.archive.settings.give_up_hold_after_seconds;
                warn!(
                    messages = held.len(),
                    seconds,
                    "the store does not answer; messages are deleted without the archive, which declares what it loses"
                );
            }
            self.release(held);
        }
    }
}

fn count_by_queue<'q>(queues: impl Iterator<Item = &'q str>) -> Vec<(String, u64)> {
    let mut counts = std::collections::BTreeMap::<&str, u64>::new();
    for queue in queues {
        *counts.entry(queue).or_default() += 1;
    }
    counts.into_iter().map(|(queue, count)| (queue.to_owned(), count)).collect()
}

/// Stops the archive, and waits until its writer has stored all messages, at most for `limit`. Returns what still waits
/// then, with the proof that lets the messages be deleted: the missing last segment declares their loss. With
/// `archive.on_failure: stop`, returns nothing: these messages come again.
pub async fn finish<H: Waiting>(
    archive: &Archive<H>,
    running: impl Future<Output = ()>,
    limit: Duration,
) -> Vec<(H, Kept)> {
    archive.stop();
    let begun = Instant::now();
    if timeout(limit, running).await.is_ok() {
        return Vec::new();
    }
    let held = archive.buffer().let_go();
    warn!(messages = held.len(), waited = ?begun.elapsed(), "the store did not take the last segments of the archive");
    match archive.settings.on_failure {
        config::OnArchiveFailure::Deliver => held.into_iter().map(|held| (held, Kept(()))).collect(),
        config::OnArchiveFailure::Stop => Vec::new(),
    }
}

#[cfg(test)]
mod tests;
