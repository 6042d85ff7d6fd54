//! Reading one segment: the rows with an id in at most three ranges, or all rows.
//!
//! 1. The end of the segment has the metadata, the page index and no rows. It tells which pages of event ids can have an
//!    event, and where the Bloom filters of message ids are.
//! 2. Those pages, or the Bloom filters, tell which row group has the rows, if any has.
//! 3. That row group has the rows.

use std::ops::Range;

use bytes::Bytes;
use parquet::bloom_filter::Sbbf;
use parquet::column::reader::ColumnReader;
use parquet::data_type::ByteArray;
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::page_index::column_index::ColumnIndexMetaData;

use super::columns::{COLUMNS, EVENT_ID, Field, MESSAGE_ID, SNS_MESSAGE_ID};
use super::{Row, Wanted};
use crate::store::parquet::{Error, File, Parts, column_reader, count_of, range_of_group, values};
use crate::store::{Object, Store};

/// The bytes at the end of a segment that are read first. The metadata of a segment with the default limits fits.
const TAIL_BYTES: u64 = 64 * 1024;

/// Returns the rows with this id in a segment that is in memory.
///
/// # Errors
/// Returns an error if the segment is damaged.
pub(super) async fn find_in(segment: Bytes, wanted: &Wanted) -> Result<Vec<Row>, Error> {
    Segment { file: File::in_memory(segment) }.find(wanted).await
}

/// A segment of which parts were read.
#[derive(Debug)]
pub(super) struct Segment<'s> {
    pub(super) file: File<'s>,
}

impl<'s> Segment<'s> {
    pub(super) fn new(store: &'s Store, object: &'s Object) -> Self {
        Self { file: File::new(store, &object.key, object.size) }
    }

    /// Returns the rows with this id.
    ///
    /// # Errors
    /// Returns an error if the store does not return a part, or if the segment is damaged.
    pub(super) async fn find(&mut self, wanted: &Wanted) -> Result<Vec<Row>, Error> {
        let metadata = self.file.metadata(TAIL_BYTES).await?;
        let mut found = Vec::new();
        for group in 0..metadata.num_row_groups() {
            let rows = match wanted {
                Wanted::Event(id) => self.rows_of_event(&metadata, group, id).await?,
                Wanted::Message(id) => self.rows_by_filter(&metadata, group, MESSAGE_ID, id).await?,
                Wanted::SnsMessage(id) => self.rows_by_filter(&metadata, group, SNS_MESSAGE_ID, id).await?,
            };
            if rows.is_empty() {
                continue;
            }
            self.file.fetch(range_of_group(metadata.row_group(group))).await?;
            found.extend(self.file.decoded(|parts| rows_of_group(parts, &metadata, group, rows))?);
        }
        found.retain(|row| match wanted {
            Wanted::Event(id) => row.event_id.as_ref() == Some(id),
            Wanted::Message(id) => row.message_id == *id,
            Wanted::SnsMessage(id) => row.sns_message_id.as_ref() == Some(id),
        });
        Ok(found)
    }

    /// Calls `each` with all rows, in the order of their event ids.
    ///
    /// # Errors
    /// Returns an error if the store does not return the segment, or if it is damaged.
    pub(super) async fn scan(&mut self, mut each: impl FnMut(Row)) -> Result<(), Error> {
        self.file.fetch(0..self.file.size()).await?;
        let metadata = self.file.metadata(TAIL_BYTES).await?;
        for group in 0..metadata.num_row_groups() {
            let all = 0..count_of(metadata.row_group(group));
            self.file.decoded(|parts| rows_of_group(parts, &metadata, group, all))?.into_iter().for_each(&mut each);
        }
        Ok(())
    }

    /// Returns the rows of a group that have this event id.
    async fn rows_of_event(
        &mut self,
        metadata: &ParquetMetaData,
        group: usize,
        id: &str,
    ) -> Result<Range<usize>, Error> {
        let index = metadata.page_index_for_row_group(group);
        let (Some(pages), Some(locations)) = (index.column_index(EVENT_ID), index.page_locations(EVENT_ID)) else {
            return Err(self.file.damaged(ParquetError::General("it has no index of its event ids".into())));
        };
        let ColumnIndexMetaData::BYTE_ARRAY(pages) = pages else { return Ok(0..0) };
        let can_have = |page: &usize| {
            let (least, most) = (pages.min_value(*page), pages.max_value(*page));
            least.is_some_and(|least| least <= id.as_bytes()) && most.is_some_and(|most| most >= id.as_bytes())
        };
        let candidates: Vec<usize> = (0..locations.len()).filter(can_have).collect();
        let (Some(&first), Some(&last)) = (candidates.first(), candidates.last()) else { return Ok(0..0) };
        let begin = locations[first].offset as u64;
        let end = locations[last].offset as u64 + locations[last].compressed_page_size as u64;
        self.file.fetch(begin..end).await?;
        let rows = locations[first].first_row_index as usize
            ..locations.get(last + 1).map_or(count_of(metadata.row_group(group)), |next| next.first_row_index as usize);
        self.file.decoded(|parts| rows_with(parts, metadata, group, EVENT_ID, (rows, id)))
    }

    /// Returns the rows of a group that have this id in a column with Bloom filters.
    async fn rows_by_filter(
        &mut self,
        metadata: &ParquetMetaData,
        group: usize,
        column: usize,
        id: &str,
    ) -> Result<Range<usize>, Error> {
        // The filters of all groups are next to each other.
        self.file.fetch(range_of_filters(metadata, column)).await?;
        let chunk = metadata.row_group(group).column(column);
        let filter = self.file.decoded(|parts| Sbbf::read_from_column_chunk(chunk, parts))?;
        if filter.is_some_and(|filter| !filter.check(&ByteArray::from(id))) {
            return Ok(0..0);
        }
        let of_group = metadata.row_group(group);
        self.file.fetch(range_of_group(of_group)).await?;
        self.file.decoded(|parts| rows_with(parts, metadata, group, column, (0..count_of(of_group), id)))
    }
}

/// Returns the range of the Bloom filters of a column, those of all groups.
fn range_of_filters(metadata: &ParquetMetaData, column: usize) -> Range<u64> {
    let filters = metadata.row_groups().iter().filter_map(|group| {
        let column = group.column(column);
        let begin = u64::try_from(column.bloom_filter_offset()?).ok()?;
        Some((begin, begin + u64::try_from(column.bloom_filter_length()?).ok()?))
    });
    let begin = filters.clone().map(|(begin, _)| begin).min().unwrap_or(0);
    begin..filters.map(|(_, end)| end).max().unwrap_or(begin)
}

/// Returns the range of rows, among `rows`, that begins with the first and ends with the last row with this id.
fn rows_with(
    parts: &Parts,
    metadata: &ParquetMetaData,
    group: usize,
    column: usize,
    (rows, id): (Range<usize>, &str),
) -> Result<Range<usize>, ParquetError> {
    let begin = rows.start;
    let ColumnReader::ByteArrayColumnReader(reader) = column_reader(parts, metadata, group, column)? else {
        return Ok(0..0);
    };
    let values = values(reader, rows, COLUMNS[column].is_required)?;
    let is_wanted = |value: &Option<ByteArray>| value.as_ref().is_some_and(|value| value.data() == id.as_bytes());
    let first = values.iter().position(is_wanted);
    let last = values.iter().rposition(is_wanted);
    Ok(first.zip(last).map_or(0..0, |(first, last)| begin + first..begin + last + 1))
}

/// Returns rows of a group.
fn rows_of_group(
    parts: &Parts,
    metadata: &ParquetMetaData,
    group: usize,
    range: Range<usize>,
) -> Result<Vec<Row>, ParquetError> {
    let mut rows = vec![Row::default(); range.len()];
    for (index, column) in COLUMNS.iter().enumerate() {
        if index >= metadata.row_group(group).num_columns() {
            // The segment was written before the column existed.
            continue;
        }
        let (range, is_required) = (range.clone(), column.is_required);
        match (column_reader(parts, metadata, group, index)?, column.field) {
            (ColumnReader::ByteArrayColumnReader(reader), Field::Text(field)) => {
                for (row, value) in rows.iter_mut().zip(values(reader, range, is_required)?) {
                    if let Some(value) = value {
                        row.set_text(field, value.as_utf8()?.to_owned());
                    }
                }
            }
            (ColumnReader::Int64ColumnReader(reader), Field::Time(field)) => {
                for (row, value) in rows.iter_mut().zip(values(reader, range, is_required)?) {
                    value.into_iter().for_each(|time| row.set_time(field, time));
                }
            }
            (ColumnReader::Int32ColumnReader(reader), Field::Count(field)) => {
                for (row, value) in rows.iter_mut().zip(values(reader, range, is_required)?) {
                    value.into_iter().for_each(|count| row.set_count(field, count.try_into().unwrap_or(0)));
                }
            }
            (ColumnReader::BoolColumnReader(reader), Field::Redrive) => {
                for (row, value) in rows.iter_mut().zip(values(reader, range, is_required)?) {
                    row.redrive = value == Some(true);
                }
            }
            _ => return Err(ParquetError::General(format!("the column {} has another type", column.name))),
        }
    }
    Ok(rows)
}
