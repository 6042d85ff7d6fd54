//! What the archive has in memory: the messages of the segment that is filled, and the segments that are not stored yet.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::{Lost, Row};

/// The messages that are not stored yet, and what waits for them.
#[derive(Debug)]
pub(super) struct Buffer<H> {
    /// The messages of the segment that is filled.
    pub(super) rows: Vec<Row>,
    /// The bytes of these messages.
    pub(super) bytes: usize,
    /// The begin of the segment that is filled, in microseconds since the Unix epoch.
    pub(super) from: i64,
    /// When its first message came.
    pub(super) began: Option<Instant>,
    /// The number of messages that ever came.
    came: u64,
    /// What waits for messages of the segment that is filled, each with the number of its message.
    held: VecDeque<(u64, H)>,
    /// The messages that were lost since the last segment, by queue.
    lost: BTreeMap<Arc<str>, Lost>,
    /// The segments that are closed and not stored.
    unstored: VecDeque<Unstored<H>>,
    /// Whether the store does not answer, so that nothing waits for it any more.
    pub(super) is_given_up: bool,
    /// Whether the store has a segment of this process. Without one, readers do not know that the process exists.
    pub(super) is_known: bool,
}

/// A segment that is closed and not stored.
#[derive(Debug)]
struct Unstored<H> {
    number: u64,
    bytes: usize,
    began: Instant,
    held: Vec<H>,
}

/// The content of a segment.
#[derive(Debug)]
pub(super) struct Closed {
    pub(super) rows: Vec<Row>,
    pub(super) lost: Vec<Lost>,
    pub(super) from: i64,
    pub(super) to: i64,
}

impl<H> Buffer<H> {
    pub(super) fn new(now: i64) -> Self {
        Self {
            rows: Vec::new(),
            bytes: 0,
            from: now,
            began: None,
            came: 0,
            held: VecDeque::new(),
            lost: BTreeMap::new(),
            unstored: VecDeque::new(),
            is_given_up: false,
            is_known: false,
        }
    }

    /// Returns the bytes of all messages in memory.
    pub(super) fn all_bytes(&self) -> usize {
        self.bytes + self.unstored.iter().map(|segment| segment.bytes).sum::<usize>()
    }

    /// Returns the number of what waits.
    pub(super) fn held(&self) -> usize {
        self.held.len() + self.unstored.iter().map(|segment| segment.held.len()).sum::<usize>()
    }

    /// Returns the time since the oldest message came that is not stored.
    pub(super) fn age(&self, now: Instant) -> Duration {
        let oldest = self.unstored.iter().map(|segment| segment.began).chain(self.began).min();
        oldest.map_or(Duration::ZERO, |oldest| now.saturating_duration_since(oldest))
    }

    /// Returns a time that is not before that of the last message. The clock can be set back, and segments must not overlap.
    pub(super) fn not_before(&self, now: i64) -> i64 {
        now.max(self.rows.last().map_or(self.from, |row| row.settled_at))
    }

    /// Adds a message. It is finished now, so its time becomes at least that of the message before it.
    pub(super) fn push(&mut self, mut row: Row, bytes: usize, held: Option<H>, now: Instant) {
        row.settled_at = self.not_before(row.settled_at);
        self.rows.push(row);
        self.bytes += bytes;
        self.held.extend(held.map(|held| (self.came, held)));
        self.came += 1;
        self.began.get_or_insert(now);
    }

    /// Notes a message that is not kept.
    pub(super) fn lose(&mut self, row: &Row) {
        let at = self.not_before(row.settled_at);
        let queue: Arc<str> = row.message.queue.label.as_str().into();
        let lost = self.lost.entry(queue).or_insert_with_key(|queue| Lost {
            queue: queue.to_string(),
            from: at,
            to: at,
            count: 0,
        });
        lost.to = lost.to.max(at);
        lost.count += 1;
    }

    /// Whether the segment that is filled has something to say.
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.lost.is_empty()
    }

    /// Closes a segment with the first messages, as many as have `limit` bytes together, and with what was lost if these
    /// are all. The next segment begins where this one ends.
    pub(super) fn close(&mut self, number: u64, limit: usize, size: impl Fn(&Row) -> usize, now: i64) -> Closed {
        let (mut bytes, mut count) = (0, 0);
        for row in &self.rows {
            if count > 0 && bytes + size(row) > limit {
                break;
            }
            bytes += size(row);
            count += 1;
        }
        // Messages of one moment stay together: a window of time finds all of them in segments that it touches.
        while count < self.rows.len() && self.rows[count].settled_at == self.rows[count - 1].settled_at {
            bytes += size(&self.rows[count]);
            count += 1;
        }
        let is_all = count == self.rows.len();
        let to = if is_all { self.not_before(now) + 1 } else { self.rows[count].settled_at };
        let rest = self.rows.split_off(count);
        let rows = std::mem::replace(&mut self.rows, rest);
        let first_left = self.came - self.rows.len() as u64;
        let waiting = self.held.partition_point(|(number, _)| *number < first_left);
        let held = self.held.drain(..waiting).map(|(_, held)| held).collect();
        let lost = if is_all { std::mem::take(&mut self.lost).into_values().collect() } else { Vec::new() };
        let began = self.began.unwrap_or_else(Instant::now);
        let from = std::mem::replace(&mut self.from, to);
        self.bytes = if is_all { 0 } else { self.bytes.saturating_sub(bytes) };
        if is_all {
            self.began = None;
        }
        self.unstored.push_back(Unstored { number, bytes, began, held });
        Closed { rows, lost, from, to }
    }

    /// Notes the size of a segment after it was written.
    pub(super) fn written(&mut self, number: u64, bytes: usize) {
        if let Some(segment) = self.unstored.iter_mut().find(|segment| segment.number == number) {
            segment.bytes = bytes;
        }
    }

    /// Removes a segment, because the store has it. Returns what waited for messages that are stored now.
    pub(super) fn stored(&mut self, number: u64) -> Vec<H> {
        let Some(index) = self.unstored.iter().position(|segment| segment.number == number) else { return Vec::new() };
        self.unstored.remove(index).map(|segment| segment.held).unwrap_or_default()
    }

    /// Loses the messages of the segment that is filled, because the store has not taken the ones before it for so long that
    /// readers would not look for it. The time until now becomes a hole. Returns the messages.
    pub(super) fn discard(&mut self, now: i64) -> Vec<Row> {
        let rows = std::mem::take(&mut self.rows);
        rows.iter().for_each(|row| self.lose(row));
        self.from = self.from.max(now);
        (self.bytes, self.began) = (0, None);
        rows
    }

    /// Returns everything that waits.
    pub(super) fn let_go(&mut self) -> Vec<H> {
        let mut all: Vec<H> = std::mem::take(&mut self.held).into_iter().map(|(_, held)| held).collect();
        for segment in &mut self.unstored {
            all.append(&mut segment.held);
        }
        all
    }
}
