//! The parts of a segment that were read, as a file for the Parquet library.

use std::io::Cursor;
use std::ops::Range;

use bytes::Bytes;
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};

/// Parts of a file. Reading from any other place is an error.
#[derive(Debug, Clone)]
pub(in crate::store) struct Parts {
    size: u64,
    parts: Vec<(u64, Bytes)>,
}

impl Parts {
    /// Creates a file of this size without a part.
    pub(in crate::store) fn new(size: u64) -> Self {
        Self { size, parts: Vec::new() }
    }

    /// Adds a part that begins at this offset.
    pub(in crate::store) fn add(&mut self, offset: u64, bytes: Bytes) {
        self.parts.push((offset, bytes));
    }

    /// Whether one part has all bytes of the range.
    pub(in crate::store) fn has(&self, range: &Range<u64>) -> bool {
        self.slice(range.start).is_some_and(|bytes| bytes.len() as u64 >= range.end - range.start)
    }

    /// Returns the bytes from an offset to the end of the longest part that has it.
    pub(in crate::store) fn slice(&self, offset: u64) -> Option<Bytes> {
        let from = |(begin, bytes): &(u64, Bytes)| {
            let skip = usize::try_from(offset.checked_sub(*begin)?).ok()?;
            (skip < bytes.len()).then(|| bytes.slice(skip..))
        };
        self.parts.iter().filter_map(from).max_by_key(Bytes::len)
    }
}

impl Length for Parts {
    fn len(&self) -> u64 {
        self.size
    }
}

impl ChunkReader for Parts {
    type T = Cursor<Bytes>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        self.slice(start).map(Cursor::new).ok_or_else(|| unread(start))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        if length == 0 {
            return Ok(Bytes::new());
        }
        let bytes = self.slice(start).filter(|bytes| bytes.len() >= length);
        bytes.map(|bytes| bytes.slice(..length)).ok_or_else(|| unread(start))
    }
}

fn unread(offset: u64) -> ParquetError {
    ParquetError::EOF(format!("the bytes at {offset} were not read"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_part_answers() {
        let mut parts = Parts::new(100);
        assert!(!parts.has(&(0..1)) && parts.get_bytes(0, 1).is_err());
        parts.add(10, Bytes::from_static(b"ab"));
        parts.add(10, Bytes::from_static(b"abcd"));
        parts.add(12, Bytes::from_static(b"c"));
        assert_eq!(parts.get_bytes(11, 3).unwrap(), "bcd");
        assert!(parts.has(&(10..14)) && !parts.has(&(10..15)) && parts.get_bytes(12, 3).is_err());
    }
}
