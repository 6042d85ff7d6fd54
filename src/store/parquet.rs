//! Parquet files of the store: what the segments of the journal and of the archive have in common.

mod parts;

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::try_join_all;
use parquet::DecodeResult;
use parquet::column::reader::{ColumnReader, ColumnReaderImpl, get_column_reader};
use parquet::data_type::DataType;
use parquet::errors::ParquetError;
use parquet::file::metadata::{
    ColumnChunkMetaData, PageIndexPolicy, ParquetMetaData, ParquetMetaDataPushDecoder, RowGroupMetaData,
};
use parquet::file::serialized_reader::SerializedPageReader;

use super::Store;
pub(super) use parts::Parts;

/// Why a segment cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store did not return a part of it, or no listing.
    #[error(transparent)]
    Store(#[from] super::Error),
    /// It is damaged, or not a segment.
    #[error("{place} cannot be read as a segment: {error}; if it is damaged, move it away")]
    Damaged {
        /// The URL of the segment.
        place: String,
        /// The problem.
        error: ParquetError,
    },
}

/// A file of which parts were read.
#[derive(Debug)]
pub(super) struct File<'s> {
    /// Where the other parts are; nowhere if all are in memory.
    source: Option<(&'s Store, &'s str)>,
    size: u64,
    parts: Parts,
    /// The number of ranges that were read.
    pub(super) ranges: u64,
    /// Their bytes.
    pub(super) bytes: u64,
}

impl<'s> File<'s> {
    /// Creates a file of which nothing was read. `size` is that of the object with this key.
    pub(super) fn new(store: &'s Store, key: &'s str, size: u64) -> Self {
        Self { source: Some((store, key)), size, parts: Parts::new(size), ranges: 0, bytes: 0 }
    }

    /// Creates a file that is in memory.
    pub(super) fn in_memory(file: Bytes) -> Self {
        let size = file.len() as u64;
        let mut parts = Parts::new(size);
        parts.add(0, file);
        Self { source: None, size, parts, ranges: 0, bytes: 0 }
    }

    /// Returns the size of the file in bytes.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Reads the metadata with the page index. `tail` is the number of bytes at the end of the file that are read
    /// first.
    ///
    /// # Errors
    /// Returns an error if the store does not return it, or if it is damaged.
    pub(super) async fn metadata(&mut self, tail: u64) -> Result<ParquetMetaData, Error> {
        let size = self.size;
        let failed = |error| self.damaged(error);
        let decoder = ParquetMetaDataPushDecoder::try_new(size).map_err(failed)?;
        let mut decoder = decoder.with_page_index_policy(PageIndexPolicy::Optional);
        let mut next = size.saturating_sub(tail)..size;
        loop {
            self.fetch(next.clone()).await?;
            let read = self.decoded(|parts| {
                let bytes = parts.slice(next.start).unwrap_or_default();
                decoder.push_range(next.start..next.start + bytes.len() as u64, bytes)?;
                decoder.try_decode()
            })?;
            match read {
                DecodeResult::Data(metadata) => return Ok(metadata),
                DecodeResult::NeedsData(ranges) => {
                    let begin = ranges.iter().map(|range| range.start).min().unwrap_or(0);
                    let end = ranges.iter().map(|range| range.end).max().unwrap_or(size);
                    if begin >= next.start && end <= next.end {
                        return Err(self.damaged(ParquetError::General("its metadata does not end".into())));
                    }
                    next = begin..end;
                }
                DecodeResult::Finished => {
                    return Err(self.damaged(ParquetError::General("it has no metadata".into())));
                }
            }
        }
    }

    /// Reads a range, unless it was read before.
    ///
    /// # Errors
    /// Returns an error if the store does not return it.
    pub(super) async fn fetch(&mut self, range: Range<u64>) -> Result<(), Error> {
        self.fetch_all(&[range]).await
    }

    /// Reads ranges at the same time, except those that were read before.
    ///
    /// # Errors
    /// Returns an error if the store does not return one of them.
    pub(super) async fn fetch_all(&mut self, ranges: &[Range<u64>]) -> Result<(), Error> {
        let Some((store, key)) = self.source else { return Ok(()) };
        let missing = ranges.iter().filter(|range| !range.is_empty() && !self.parts.has(range));
        let reads = missing.map(|range| async move {
            let bytes = store.get_range(key, range.clone()).await?;
            Ok::<_, Error>((range.start, bytes))
        });
        for (start, bytes) in try_join_all(reads).await? {
            self.ranges += 1;
            self.bytes += bytes.len() as u64;
            self.parts.add(start, bytes);
        }
        Ok(())
    }

    /// Decodes parts that were read.
    ///
    /// # Errors
    /// Returns an error if the file is damaged.
    pub(super) fn decoded<T>(&self, decode: impl FnOnce(&Parts) -> Result<T, ParquetError>) -> Result<T, Error> {
        decode(&self.parts).map_err(|error| self.damaged(error))
    }

    /// Returns the error of this file if it is not as it must be.
    pub(super) fn damaged(&self, error: ParquetError) -> Error {
        let place = match self.source {
            Some((store, key)) => format!("{}/{key}", store.url()),
            None => "a segment in memory".to_owned(),
        };
        Error::Damaged { place, error }
    }
}

/// Returns the number of rows of a group.
pub(super) fn count_of(group: &RowGroupMetaData) -> usize {
    group.num_rows().try_into().unwrap_or(0)
}

/// Returns the range of all columns of a group.
pub(super) fn range_of_group(group: &RowGroupMetaData) -> Range<u64> {
    let ranges = group.columns().iter().map(ColumnChunkMetaData::byte_range);
    let begin = ranges.clone().map(|(begin, _)| begin).min().unwrap_or(0);
    begin..ranges.map(|(begin, length)| begin + length).max().unwrap_or(begin)
}

/// Returns a reader of a column of a group.
///
/// # Errors
/// Returns an error if the column is damaged.
pub(super) fn column_reader(
    parts: &Parts,
    metadata: &ParquetMetaData,
    group: usize,
    column: usize,
) -> Result<ColumnReader, ParquetError> {
    let of_group = metadata.row_group(group);
    let locations = metadata.page_index_for_row_group(group).page_locations(column).cloned();
    let chunk = of_group.column(column);
    let pages = SerializedPageReader::new(Arc::new(parts.clone()), chunk, count_of(of_group), locations)?;
    Ok(get_column_reader(chunk.column_descr_ptr(), Box::new(pages)))
}

/// Reads values of a column, one per row.
///
/// # Errors
/// Returns an error if the column is damaged.
pub(super) fn values<D: DataType>(
    mut reader: ColumnReaderImpl<D>,
    range: Range<usize>,
    is_required: bool,
) -> Result<Vec<Option<D::T>>, ParquetError> {
    let (mut present, mut levels) = (Vec::new(), Vec::new());
    reader.skip_records(range.start)?;
    let mut left = range.len();
    while left > 0 {
        let (records, _, _) =
            reader.read_records(left, Some(&mut levels).filter(|_| !is_required), None, &mut present)?;
        if records == 0 {
            return Err(ParquetError::EOF(format!("{left} rows are missing")));
        }
        left -= records;
    }
    if is_required {
        return Ok(present.into_iter().map(Some).collect());
    }
    let mut present = present.into_iter();
    Ok(levels.into_iter().map(|level| if level > 0 { present.next() } else { None }).collect())
}

/// Separates the values of an optional column from the levels that tell which rows have one. A required column has no
/// levels.
pub(super) fn leveled<T>(values: impl Iterator<Item = Option<T>>, is_required: bool) -> (Vec<T>, Option<Vec<i16>>) {
    if is_required {
        return (values.flatten().collect(), None);
    }
    let mut present = Vec::with_capacity(values.size_hint().0);
    let mut levels = Vec::with_capacity(values.size_hint().0);
    for value in values {
        levels.push(i16::from(value.is_some()));
        present.extend(value);
    }
    (present, Some(levels))
}
