//! The rows of many segments in one order.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;
use std::sync::Arc;

use futures_util::{StreamExt as _, TryStreamExt as _};

use super::cursor::{Batch, Cursor, Wanted};
use super::decode::Queues;
use super::{Declaration, Listing, Position, Row};
use crate::store::Store;
use crate::store::parquet::Error;

/// The memory of the rows that wait for their turn, about.
const MEMORY: usize = 128 * 1024 * 1024;

/// The largest and the smallest size of rows that are read of one segment at a time: a row group, and a page.
const MOST_BYTES: usize = 4 * 1024 * 1024;
const LEAST_BYTES: usize = 64 * 1024;

/// The number of segments that are read at a time.
const PARALLEL: usize = 16;

/// The largest difference between the clocks of SQS and of a replica, in microseconds. AWS refuses the calls of a
/// replica whose clock differs by more than 15 minutes.
const SKEW: i64 = 3_600_000_000;

/// Where the next row of a segment is, or the earliest position that it can have, with the number of the segment.
type Turn = (Position, usize);

/// The rows of a window in the order of their [positions](Position), each message once.
///
/// A segment is opened when its oldest message can be the next one. If many segments overlap, fewer rows of each are in
/// memory, and those whose turn is last are read again later, so the memory does not grow with the number of segments.
#[derive(Debug)]
pub struct Rows {
    store: Store,
    queues: Arc<Queues>,
    /// The rows that are not returned yet.
    wanted: Wanted,
    /// The latest copy of the message whose turn it is, among those that were read.
    latest: Option<Row>,
    /// The segments that can have more rows, in the order of their turns.
    cursors: BTreeMap<Turn, Cursor>,
    /// The turns of the segments with rows in memory.
    loaded: BTreeSet<Turn>,
    /// The number of segments that were opened and have more rows.
    open: BTreeSet<usize>,
    /// The memory of all cursors.
    bytes: usize,
    memory: usize,
}

impl Rows {
    pub(super) fn new(
        store: Store,
        queues: Arc<Queues>,
        listing: &Listing,
        window: Range<i64>,
        after: Option<Position>,
    ) -> Self {
        let is_before = |after: &Position, to: i64| to.saturating_add(SKEW) < after.sent_at;
        let can_have = |declaration: &Declaration| {
            let is_done = after.as_ref().is_some_and(|after| is_before(after, declaration.to));
            declaration.rows > 0 && declaration.overlaps(&window) && !is_done
        };
        let turn = |oldest| Position { sent_at: oldest, ..Position::default() };
        let segments = listing.segments.iter().enumerate().filter(|(_, stored)| can_have(&stored.declaration));
        let cursors = segments.map(|(number, stored)| ((turn(stored.declaration.oldest), number), Cursor::new(stored)));
        Self {
            store,
            queues,
            cursors: cursors.collect(),
            wanted: Wanted { window, after },
            latest: None,
            loaded: BTreeSet::new(),
            open: BTreeSet::new(),
            bytes: 0,
            memory: MEMORY,
        }
    }

    /// Returns the next row; `None` at the end. A message that was finished twice, because SQS delivered it again, has the
    /// outcome of the last time.
    ///
    /// # Errors
    /// Returns an error if the store does not return a part of a segment, or if a segment is damaged. The next call
    /// tries again.
    pub async fn next(&mut self) -> Result<Option<Row>, Error> {
        loop {
            let latest = self.latest.as_ref().map(Row::position);
            let Some(mut first) = self.cursors.first_entry() else { return Ok(self.returned(latest)) };
            if latest.as_ref().is_some_and(|latest| first.key().0 > *latest) {
                return Ok(self.returned(latest));
            }
            if first.get().is_empty() {
                self.load().await?;
                continue;
            }
            let before = first.get().bytes();
            let row = first.get_mut().take();
            self.bytes -= before - first.get().bytes();
            let ((position, number), cursor) = first.remove_entry();
            self.loaded.remove(&(position.clone(), number));
            self.put(cursor, position.clone(), number);
            let is_new = self.wanted.after.as_ref().is_none_or(|after| position > *after);
            // The copies of a message have one position.
            let is_later = |row: &Row| self.latest.as_ref().is_none_or(|latest| row.settled_at > latest.settled_at);
            if let Some(row) = row.filter(|row| is_new && is_later(row)) {
                self.latest = Some(row);
            }
        }
    }

    /// Takes the row whose copies were all read.
    fn returned(&mut self, position: Option<Position>) -> Option<Row> {
        let row = self.latest.take()?;
        self.wanted.after = position;
        Some(row)
    }

    /// Puts a cursor in its turn. Its next row is not before `least`.
    fn put(&mut self, cursor: Cursor, least: Position, number: usize) {
        if cursor.is_done() {
            self.open.remove(&number);
            self.bytes -= cursor.bytes();
            return;
        }
        let turn = (cursor.position().unwrap_or(least), number);
        if !cursor.is_empty() {
            self.loaded.insert(turn.clone());
        }
        self.cursors.insert(turn, cursor);
    }

    /// Reads rows of the first segment without rows in memory, and of those that follow it, at the same time.
    async fn load(&mut self) -> Result<(), Error> {
        let share = (self.memory / 2 / (self.open.len() + PARALLEL)).clamp(LEAST_BYTES, MOST_BYTES);
        // What is read early must not push out what is needed now.
        let free = (self.memory / 2).saturating_sub(self.bytes) / share;
        let next = self.cursors.iter().filter(|(_, cursor)| cursor.is_empty()).take(free.clamp(1, PARALLEL));
        let (store, queues, wanted) = (&self.store, &self.queues, &self.wanted);
        let mut reads = Vec::new();
        for (turn, cursor) in next {
            reads.push(async move {
                let batch = cursor.read(store, queues, wanted, &turn.0, share).await?;
                Ok::<_, Error>((turn.clone(), batch))
            });
        }
        let read: HashMap<Turn, Batch> =
            futures_util::stream::iter(reads).buffer_unordered(PARALLEL).try_collect().await?;
        for (turn, batch) in read {
            let Some(mut cursor) = self.cursors.remove(&turn) else { continue };
            let before = cursor.bytes();
            cursor.add(batch);
            self.bytes = self.bytes + cursor.bytes() - before;
            self.open.insert(turn.1);
            self.put(cursor, turn.0, turn.1);
        }
        self.unload();
        Ok(())
    }

    /// Frees memory beyond the limit, first of the segments whose turn is last.
    fn unload(&mut self) {
        while self.bytes > self.memory && self.loaded.len() > 1 {
            let Some(cursor) = self.loaded.pop_last().and_then(|turn| self.cursors.get_mut(&turn)) else { return };
            self.bytes -= cursor.bytes();
            cursor.unload();
        }
    }
}

#[cfg(test)]
mod tests;
