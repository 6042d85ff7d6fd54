//! The handle by which rows are recorded, and the rows that are not stored yet.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::chunk::{CHUNK_ROWS, Chunk, Sealed};
use super::columns::Text;
use super::lookup::find_in;
use super::{Declaration, Row, Wanted};
use crate::base::time::unix_micros;
use crate::config;
use crate::message::OutcomeLabel;
use crate::store::process;
use crate::telemetry::{DropReason, DroppedRowsLabels, Metrics, NoLabels};

/// The time that the writer needs at most to store a segment after it was closed, if the store works.
const MARGIN: Duration = Duration::from_secs(60);

/// The part of a segment, one in so many, by which it grows beyond its size until the writer closes it: at 20,000 events
/// per second, the rows of a second.
const ROOM: usize = 4;

/// Records what becomes of messages. One per process; it never delays its user.
#[derive(Debug)]
pub struct Journal {
    pub(super) replica: String,
    pub(super) incarnation: String,
    settings: config::Journal,
    filling: Mutex<Filling>,
    unstored: Mutex<VecDeque<Unstored>>,
    /// Tells the writer that the segment that is filled has its size.
    pub(super) full: Notify,
    /// Tells the writer to store what there is, and to end.
    pub(super) stop: CancellationToken,
    pub(super) metrics: Arc<Metrics>,
}

/// The rows of the segment that is filled.
#[derive(Debug, Default)]
struct Filling {
    sealed: Vec<Arc<Sealed>>,
    sealed_bytes: usize,
    open: Chunk,
    from: i64,
    dropped: u64,
}

impl Filling {
    fn bytes(&self) -> usize {
        self.sealed_bytes + self.open.bytes()
    }

    fn rows(&self) -> usize {
        self.sealed.iter().map(|chunk| chunk.len()).sum::<usize>() + self.open.len()
    }

    fn seal(&mut self) {
        if self.open.len() > 0 {
            self.sealed_bytes += self.open.bytes();
            self.sealed.push(Arc::new(std::mem::take(&mut self.open).seal()));
        }
    }
}

/// A closed segment that is not stored yet.
#[derive(Debug)]
struct Unstored {
    number: u64,
    from: i64,
    rows: usize,
    content: Content,
}

#[derive(Debug)]
enum Content {
    /// Its rows, until the segment is written.
    Rows(Vec<Arc<Sealed>>),
    /// The segment.
    Written(Bytes),
}

/// The rows of a segment, and what it says about itself.
#[derive(Debug)]
pub(super) struct Closed {
    pub(super) chunks: Vec<Arc<Sealed>>,
    pub(super) declaration: Declaration,
}

impl Journal {
    /// Creates a journal that has no row. Its life begins now. `replica` is the name of this host or pod.
    pub(super) fn new(replica: String, settings: config::Journal, metrics: Arc<Metrics>) -> Self {
        let incarnation = process::incarnation(unix_micros(SystemTime::now()));
        let filling = Filling { from: unix_micros(SystemTime::now()), ..Filling::default() };
        Self {
            replica,
            incarnation,
            settings,
            filling: Mutex::new(filling),
            unstored: Mutex::default(),
            full: Notify::new(),
            stop: CancellationToken::new(),
            metrics,
        }
    }

    /// Returns the name of this replica, as its rows have it.
    pub fn replica(&self) -> &str {
        &self.replica
    }

    /// Records a row. Never waits: a row that there is no room for is dropped and counted.
    pub fn record(&self, row: &Row<&str>) {
        if !self.is_kept(row) {
            return;
        }
        let mut filling = self.filling.lock();
        let (size, before) = (self.settings.segment_bytes, filling.bytes());
        if before >= size + size / ROOM {
            filling.dropped += 1;
            drop(filling);
            self.drop_rows(1, DropReason::Full);
            return;
        }
        filling.open.push(row);
        if filling.open.len() >= CHUNK_ROWS {
            filling.seal();
        }
        // Once per segment: another notice would close the next one at once.
        if before < size && filling.bytes() >= size {
            drop(filling);
            self.full.notify_one();
        }
    }

    /// Whether the sample has the row.
    fn is_kept(&self, row: &Row<&str>) -> bool {
        let share = self.settings.sample_published;
        let (Some(id), true) = (row.event_id, share < 1.0) else { return true };
        if row.outcome != OutcomeLabel::Published.code() {
            return true;
        }
        ((stable_hash(id) >> 11) as f64) < share * (1_u64 << 53) as f64
    }

    /// Returns the rows with this id that are not in the store yet.
    pub async fn unstored(&self, wanted: &Wanted) -> Vec<Row> {
        let (fields, id): (&[Text], &str) = match wanted {
            Wanted::Event(id) => (&[Text::EventId], id),
            Wanted::Message(id) => (&[Text::MessageId], id),
            Wanted::SnsMessage(id) => (&[Text::SnsMessageId], id),
        };
        let (mut chunks, mut found, mut written) = (Vec::new(), Vec::new(), Vec::new());
        {
            // Both locks at once, so that a segment that is closed meanwhile is found once.
            let filling = self.filling.lock();
            for unstored in &*self.unstored.lock() {
                match &unstored.content {
                    Content::Rows(rows) => chunks.extend(rows.iter().cloned()),
                    Content::Written(bytes) => written.push(bytes.clone()),
                }
            }
            chunks.extend(filling.sealed.iter().cloned());
            found.extend(filling.open.find(fields, id));
        }
        found.extend(chunks.iter().flat_map(|chunk| chunk.find(fields, id)));
        for bytes in written {
            // What was just written can be read.
            found.extend(find_in(bytes, wanted).await.unwrap_or_default());
        }
        found
    }

    /// Stops the journal: [`Writer::run`](super::Writer::run) ends when all rows are stored.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Closes the segment that is filled, and begins the next one.
    pub(super) fn close(&self, number: u64, is_last: bool) -> Closed {
        let mut filling = self.filling.lock();
        filling.seal();
        let to = unix_micros(SystemTime::now()).max(filling.from);
        let Filling { sealed: chunks, from, dropped, .. } =
            std::mem::replace(&mut *filling, Filling { from: to, ..Filling::default() });
        let rows: usize = chunks.iter().map(|chunk| chunk.len()).sum();
        let unstored = Unstored { number, from, rows, content: Content::Rows(chunks.clone()) };
        self.unstored.lock().push_back(unstored);
        drop(filling);
        self.metrics.journal_rows.with(&NoLabels).add(rows as u64);
        let next_by = to + (Duration::from_secs(self.settings.segment_seconds) + MARGIN).as_micros() as i64;
        let (replica, incarnation) = (self.replica.clone(), self.incarnation.clone());
        let rows = rows as u64;
        let declaration = Declaration { replica, incarnation, number, from, to, next_by, rows, dropped, is_last };
        Closed { chunks, declaration }
    }

    /// Drops the rows of the segment that is filled, because the store has not taken the ones before it for too long.
    /// The time of the segment becomes a hole.
    pub(super) fn discard(&self) {
        let from = unix_micros(SystemTime::now());
        let dropped = std::mem::replace(&mut *self.filling.lock(), Filling { from, ..Filling::default() });
        self.drop_rows(dropped.rows() as u64, DropReason::Store);
    }

    /// Notes that a segment is written. Its rows are found in the written form from now on.
    pub(super) fn written(&self, number: u64, bytes: Bytes) {
        if let Some(unstored) = self.unstored.lock().iter_mut().find(|unstored| unstored.number == number) {
            unstored.content = Content::Written(bytes);
        }
    }

    /// Notes that a segment is stored, or lost.
    pub(super) fn forget(&self, number: u64) {
        self.unstored.lock().retain(|unstored| unstored.number != number);
    }

    /// Counts rows that were dropped.
    pub(super) fn drop_rows(&self, rows: u64, reason: DropReason) {
        self.metrics.journal_dropped.with(&DroppedRowsLabels { reason }).add(rows);
    }

    /// Returns the number of rows that are not stored, and since when the oldest of their segments was filled.
    pub(super) fn backlog(&self) -> (usize, i64) {
        let filling = self.filling.lock();
        let unstored = self.unstored.lock();
        let rows = filling.rows() + unstored.iter().map(|unstored| unstored.rows).sum::<usize>();
        (rows, unstored.front().map_or(filling.from, |oldest| oldest.from))
    }
}

/// Returns a hash of an event id: every replica and every version must sample the same events. FNV-1a, with the last
/// step of MurmurHash3, which spreads the last characters over all bits.
fn stable_hash(id: &str) -> u64 {
    let add = |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let hash = id.bytes().fold(0xcbf2_9ce4_8422_2325, add);
    let hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}
