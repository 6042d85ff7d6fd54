//! The handle by which messages are archived.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::buffer::{Buffer, Closed};
use super::{Declaration, Kept, Lost, MAX_SPAN, Row};
use crate::base::backpressure::{self, Backpressure, Valve};
use crate::base::time::unix_micros;
use crate::config::{self, OnArchiveFailure};
use crate::store::process;
use crate::telemetry::{Metrics, NoLabels, QueueLabels};

/// The most messages that wait for the archive before their delete. They are in flight, and SQS allows 120,000 for each
/// queue. One takes about half a kilobyte.
const MAX_HELD: usize = 50_000;

/// The memory of a message besides its body and its attributes, in bytes.
const OVERHEAD: usize = 512;

/// The time that the writer needs at most to store a segment after it was closed, if the store works.
const MARGIN: Duration = Duration::from_secs(60);

/// The longest time without a segment. Even a process without messages stores one, so that readers know that it works.
pub(super) const IDLE: Duration = Duration::from_secs(60);

/// What waits until its message is archived: the right to delete the message.
pub trait Waiting: Send + 'static {
    /// Frees what must not be occupied while it waits. Called once, when the wait begins.
    fn begin_to_wait(&mut self);
}

/// Keeps messages in the archive, or does nothing without one.
#[derive(Debug)]
pub enum Keeper<H> {
    /// There is no archive.
    Off,
    /// The archive.
    On(Arc<Archive<H>>),
}

impl<H> Clone for Keeper<H> {
    fn clone(&self) -> Self {
        match self {
            Self::Off => Self::Off,
            Self::On(archive) => Self::On(Arc::clone(archive)),
        }
    }
}

impl<H: Waiting> Keeper<H> {
    /// Archives a message that is finished. `None` as the message leaves it out. Returns the right to delete it with the
    /// proof, unless it waits: then [`Writer::run`](super::Writer::run) returns them.
    pub fn keep(&self, row: Option<Row>, held: H) -> Option<(H, Kept)> {
        match (self, row) {
            (Self::On(archive), Some(row)) => archive.keep(row, held),
            _ => Some((held, Kept(()))),
        }
    }

    /// Whether there is an archive.
    pub fn is_on(&self) -> bool {
        matches!(self, Self::On(_))
    }
}

/// The archive of one process. `H` is what waits until its message is stored.
#[derive(Debug)]
pub struct Archive<H> {
    replica: String,
    incarnation: String,
    pub(super) settings: config::Archive,
    buffer: Mutex<Buffer<H>>,
    /// Tells the writer that a segment has its first message, or its size.
    pub(super) due: Notify,
    /// Tells the writer to store what there is, and to end.
    pub(super) stop: CancellationToken,
    valve: Valve,
    backpressure: Backpressure,
    pub(super) metrics: Arc<Metrics>,
}

impl<H: Waiting> Archive<H> {
    /// Creates an archive without messages. Its life begins now. `replica` is the name of this host or pod.
    pub(super) fn new(replica: String, settings: config::Archive, metrics: Arc<Metrics>) -> Self {
        let now = unix_micros(SystemTime::now());
        let (valve, backpressure) = backpressure::pair();
        Self {
            replica,
            incarnation: process::incarnation(now),
            settings,
            buffer: Mutex::new(Buffer::new(now)),
            due: Notify::new(),
            stop: CancellationToken::new(),
            valve,
            backpressure,
            metrics,
        }
    }

    /// Returns the pressure under which no message must be received, with `archive.on_failure: stop`.
    pub fn backpressure(&self) -> Backpressure {
        self.backpressure.clone()
    }

    /// Archives a message, see [`Keeper::keep`].
    fn keep(&self, row: Row, mut held: H) -> Option<(H, Kept)> {
        let bytes = size(&row);
        let mut buffer = self.buffer.lock();
        // What is lost with a process that left no segment would not show as a hole.
        let is_held = self.settings.holds(row.message.queue.url.is_fifo()) || !buffer.is_known;
        let is_full = buffer.all_bytes() + bytes > self.settings.max_buffered_bytes || buffer.held() >= MAX_HELD;
        if is_full {
            match self.settings.on_failure {
                OnArchiveFailure::Stop => self.valve.store(true),
                OnArchiveFailure::Deliver => {
                    buffer.lose(&row);
                    let queue = &row.message.queue.label;
                    self.metrics.archive_gaps.with(&QueueLabels { queue }).add(1);
                    return Some((held, Kept(())));
                }
            }
        }
        let (was_empty, before) = (buffer.rows.is_empty(), buffer.bytes);
        let deletable = if is_held && !buffer.is_given_up {
            held.begin_to_wait();
            buffer.push(row, bytes, Some(held), Instant::now());
            None
        } else {
            buffer.push(row, bytes, None, Instant::now());
            Some((held, Kept(())))
        };
        let is_due = was_empty || (before < self.settings.segment_bytes && buffer.bytes >= self.settings.segment_bytes);
        drop(buffer);
        if is_due {
            self.due.notify_one();
        }
        deletable
    }

    /// Stops the archive: [`Writer::run`](super::Writer::run) ends when all messages are stored.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    pub(super) fn buffer(&self) -> MutexGuard<'_, Buffer<H>> {
        self.buffer.lock()
    }

    /// Returns when the segment that is filled must be closed; `None` if it has nothing to say.
    pub(super) fn closes_at(&self) -> Option<Instant> {
        let buffer = self.buffer.lock();
        if buffer.is_empty() {
            return None;
        }
        let began = buffer.began.unwrap_or_else(Instant::now);
        let is_full = buffer.bytes >= self.settings.segment_bytes;
        Some(if is_full { began } else { began + Duration::from_millis(self.settings.flush_ms) })
    }

    /// Closes a segment, and begins the next one. It is the last one only if all messages are in it.
    pub(super) fn close(&self, number: u64, may_be_last: bool) -> (Vec<Row>, Vec<Lost>, Declaration) {
        let mut buffer = self.buffer.lock();
        let Closed { rows, lost, from, to } =
            buffer.close(number, self.settings.segment_bytes, size, unix_micros(SystemTime::now()));
        let is_last = may_be_last && buffer.is_empty();
        drop(buffer);
        let declaration = Declaration {
            replica: self.replica.clone(),
            incarnation: self.incarnation.clone(),
            number,
            from,
            to,
            next_by: to + micros(IDLE + MARGIN),
            oldest: rows.iter().map(|row| unix_micros(row.message.sent)).min().unwrap_or(from),
            rows: rows.len() as u64,
            lost: lost.iter().map(|lost| lost.count).sum(),
            is_last,
        };
        (rows, lost, declaration)
    }

    /// Notes that the store has a segment. Returns what waited for its messages.
    pub(super) fn stored(&self, number: u64) -> Vec<H> {
        let mut buffer = self.buffer.lock();
        buffer.is_given_up = false;
        let held = buffer.stored(number);
        let is_full = buffer.all_bytes() > self.settings.max_buffered_bytes;
        drop(buffer);
        if !is_full {
            self.valve.store(false);
        }
        held
    }

    /// Looks at the age of what is not stored. Returns what need not wait any longer, and whether that is new.
    pub(super) fn look(&self) -> (Vec<H>, bool) {
        let mut buffer = self.buffer.lock();
        let age = buffer.age(Instant::now());
        self.metrics.archive_held.with(&NoLabels).set(buffer.held() as u64);
        self.metrics.archive_oldest_unstored.with(&NoLabels).set(age.as_secs());
        if age < Duration::from_secs(self.settings.give_up_hold_after_seconds) {
            return (Vec::new(), false);
        }
        match self.settings.on_failure {
            OnArchiveFailure::Stop => {
                self.valve.store(true);
                (Vec::new(), false)
            }
            OnArchiveFailure::Deliver => {
                let is_new = !std::mem::replace(&mut buffer.is_given_up, true);
                let (held, now) = (buffer.let_go(), unix_micros(SystemTime::now()));
                if now - buffer.from > micros(MAX_SPAN / 2) {
                    for row in buffer.discard(now) {
                        let queue = &row.message.queue.label;
                        self.metrics.archive_gaps.with(&QueueLabels { queue }).add(1);
                    }
                }
                (held, is_new)
            }
        }
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

fn size(row: &Row) -> usize {
    row.message.size() + OVERHEAD
}
