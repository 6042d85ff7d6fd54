//! A segment that is read in the order of its rows, a batch at a time.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};
use parquet::file::statistics::Statistics;

use super::columns::{BODY, SENT_AT, SETTLED_AT};
use super::decode::{Queues, rows_of_group};
use super::{Position, Row, Stored};
use crate::message::attributes::value_bytes;
use crate::store::Store;
use crate::store::parquet::{Error, File, count_of, range_of_group};

/// The bytes at the end of a segment that are read first: all of a small segment.
pub(super) const TAIL_BYTES: u64 = 256 * 1024;

/// The memory of a row besides its body and its attributes, about.
const ROW_BYTES: usize = 1_000;

/// The place of a row in a segment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Place {
    group: usize,
    row: usize,
}

/// The rows that are wanted.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    /// When they were finished.
    pub(super) window: Range<i64>,
    /// The position that they come after.
    pub(super) after: Option<Position>,
}

/// A segment of which rows are read.
#[derive(Debug)]
pub(super) struct Cursor {
    key: Arc<str>,
    size: u64,
    /// The place of the next row that is not in memory.
    next: Option<Place>,
    /// Rows in memory, each with its place.
    rows: VecDeque<(Place, Row)>,
    row_bytes: usize,
    /// The metadata, while the segment is read.
    metadata: Option<Arc<ParquetMetaData>>,
}

/// What was read of a segment.
#[derive(Debug)]
pub(super) struct Batch {
    metadata: Arc<ParquetMetaData>,
    rows: VecDeque<(Place, Row)>,
    next: Option<Place>,
}

impl Cursor {
    pub(super) fn new(stored: &Stored) -> Self {
        let (key, size) = (stored.object.key.as_str().into(), stored.object.size);
        Self { key, size, next: Some(Place::default()), rows: VecDeque::new(), row_bytes: 0, metadata: None }
    }

    /// Whether a batch must be read before the next row is known.
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Whether no row is left.
    pub(super) fn is_done(&self) -> bool {
        self.rows.is_empty() && self.next.is_none()
    }

    /// Returns the position of the next row, if it is in memory.
    pub(super) fn position(&self) -> Option<Position> {
        self.rows.front().map(|(_, row)| row.position())
    }

    /// Returns the memory that the cursor uses, about.
    pub(super) fn bytes(&self) -> usize {
        self.row_bytes + self.metadata.as_ref().map_or(0, |metadata| metadata.memory_size())
    }

    /// Takes the next row, if it is in memory.
    pub(super) fn take(&mut self) -> Option<Row> {
        let (_, row) = self.rows.pop_front()?;
        self.row_bytes -= bytes_of(&row);
        Some(row)
    }

    /// Frees the memory. The rows are read again when they are needed.
    pub(super) fn unload(&mut self) {
        self.next = self.rows.front().map(|(place, _)| *place).or(self.next);
        self.rows = VecDeque::new();
        (self.row_bytes, self.metadata) = (0, None);
    }

    /// Adds a batch that was read.
    pub(super) fn add(&mut self, batch: Batch) {
        self.row_bytes += batch.rows.iter().map(|(_, row)| bytes_of(row)).sum::<usize>();
        self.rows.extend(batch.rows);
        self.next = batch.next;
        self.metadata = batch.next.is_some().then_some(batch.metadata);
    }

    /// Reads the next rows that are wanted, at least one if there is one, of about this size. `least` is the position
    /// that no row is before.
    ///
    /// # Errors
    /// Returns an error if the store does not return the rows, or if the segment is damaged.
    pub(super) async fn read(
        &self,
        store: &Store,
        queues: &Queues,
        wanted: &Wanted,
        least: &Position,
        bytes: usize,
    ) -> Result<Batch, Error> {
        let mut file = File::new(store, &self.key, self.size);
        let metadata = match &self.metadata {
            Some(metadata) => Arc::clone(metadata),
            None => Arc::new(file.metadata(TAIL_BYTES).await?),
        };
        let (mut next, mut least) = (self.next, least.clone());
        while let Some(place) = next {
            let Some(group) = metadata.row_groups().get(place.group) else { break };
            if place.row >= count_of(group) || !can_have(group, wanted) {
                next = Some(Place { group: place.group + 1, row: 0 });
                continue;
            }
            let part = part(&metadata, place, bytes);
            file.fetch_all(&part.ranges).await?;
            let decode = |parts: &_| rows_of_group(parts, &metadata, place.group, part.rows.clone(), queues);
            let decoded = file.decoded(decode)?;
            next = Some(Place { group: place.group, row: part.rows.end });
            let mut rows = VecDeque::new();
            for (row, index) in decoded.into_iter().zip(part.rows) {
                let position = row.position();
                if position < least {
                    return Err(file.damaged(ParquetError::General("its rows are not in order".into())));
                }
                if wanted.window.contains(&row.settled_at)
                    && wanted.after.as_ref().is_none_or(|after| position > *after)
                {
                    rows.push_back((Place { group: place.group, row: index }, row));
                }
                least = position;
            }
            if !rows.is_empty() {
                let is_end = place.group + 1 == metadata.num_row_groups()
                    && next.is_some_and(|next| next.row >= count_of(group));
                return Ok(Batch { metadata, rows, next: next.filter(|_| !is_end) });
            }
            // Frees what was read.
            file = File::new(store, &self.key, self.size);
        }
        Ok(Batch { metadata, rows: VecDeque::new(), next: None })
    }
}

fn bytes_of(row: &Row) -> usize {
    let attributes = row.message.attributes.iter();
    let attributes = attributes.map(|(name, value)| name.len() + value_bytes(value) + ROW_BYTES / 4).sum::<usize>();
    ROW_BYTES + row.message.body.len() + attributes
}

/// Whether a group can have wanted rows.
fn can_have(group: &RowGroupMetaData, wanted: &Wanted) -> bool {
    let bounds = |column: usize| match group.columns().get(column)?.statistics()? {
        Statistics::Int64(bounds) => Some((*bounds.min_opt()?, *bounds.max_opt()?)),
        _ => None,
    };
    let Range { start, end } = wanted.window;
    let is_within = bounds(SETTLED_AT).is_none_or(|(first, last)| first < end && last >= start);
    let is_after = |after: &Position| bounds(SENT_AT).is_none_or(|(_, last)| last >= after.sent_at);
    is_within && wanted.after.as_ref().is_none_or(is_after)
}

/// Rows of a group, and where they are.
struct Part {
    rows: Range<usize>,
    ranges: Vec<Range<u64>>,
}

/// Returns the part of a group from this place on that has about this size: the bodies of some pages, and all of the
/// other columns, which are small beside them.
fn part(metadata: &ParquetMetaData, place: Place, bytes: usize) -> Part {
    let group = metadata.row_group(place.group);
    let (count, all) = (count_of(group), range_of_group(group));
    let whole = Part { rows: place.row..count, ranges: vec![all.clone()] };
    let index = metadata.page_index_for_row_group(place.group);
    let (Some(pages), Some(body)) = (index.page_locations(BODY), group.columns().get(BODY)) else { return whole };
    let first = pages.partition_point(|page| page.first_row_index as usize <= place.row).saturating_sub(1);
    // Pages are compressed; the limit is about memory.
    let ratio = body.uncompressed_size().max(1) as f64 / body.compressed_size().max(1) as f64;
    let (mut end, mut size) = (first, 0.0);
    while end < pages.len() && (size < bytes as f64 || end == first) {
        size += f64::from(pages[end].compressed_page_size) * ratio;
        end += 1;
    }
    if (first == 0 && end == pages.len()) || end == first || body.dictionary_page_offset().is_some() {
        return whole;
    }
    let last = &pages[end - 1];
    let (begin, length) = body.byte_range();
    let bodies = pages[first].offset as u64..last.offset as u64 + last.compressed_page_size as u64;
    let rows = place.row..pages.get(end).map_or(count, |page| page.first_row_index as usize);
    Part { rows, ranges: vec![all.start..begin, bodies, begin + length..all.end] }
}
