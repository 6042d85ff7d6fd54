//! The content of a descriptor set's file or object, decompressed if it is gzip.

use std::fs;
use std::io::{self, Chain, Cursor, Read, Take};
use std::path::Path;

use flate2::read::MultiGzDecoder;

/// The first two bytes of gzip (RFC 1952, 2.3.1). A FileDescriptorSet that is not empty starts with the byte 0x0a.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Reads a file, and decompresses it if its first bytes are those of gzip, whatever the name of the file.
#[derive(Debug)]
pub(in crate::schema::registry) enum Content<R> {
    Plain(Raw<R>),
    Gzip(Box<MultiGzDecoder<Raw<R>>>),
    /// Bytes that were decompressed already.
    Decompressed(Take<R>),
}

/// The first bytes of a file, then the others.
type Raw<R> = Chain<Cursor<Vec<u8>>, Take<R>>;

/// The error of a file that starts like gzip and is not gzip.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Damaged(io::Error);

impl Content<fs::File> {
    /// Opens a file. Reads at most `most` of its bytes.
    pub(super) fn open(path: &Path, most: u64) -> io::Result<Self> {
        Self::of(fs::File::open(path)?, most)
    }
}

impl<R: Read> Content<R> {
    /// Reads at most `most` bytes of `file`.
    pub(in crate::schema::registry) fn of(file: R, most: u64) -> io::Result<Self> {
        let mut file = file.take(most);
        let mut start = Vec::with_capacity(GZIP.len());
        file.by_ref().take(GZIP.len() as u64).read_to_end(&mut start)?;
        let is_gzip = start == GZIP;
        let raw = Cursor::new(start).chain(file);
        Ok(if is_gzip { Self::Gzip(Box::new(MultiGzDecoder::new(raw))) } else { Self::Plain(raw) })
    }

    /// Reads at most `most` bytes that were decompressed already.
    pub(in crate::schema::registry) fn decompressed(bytes: R, most: u64) -> Self {
        Self::Decompressed(bytes.take(most))
    }

    pub(super) fn is_compressed(&self) -> bool {
        matches!(self, Self::Gzip(_) | Self::Decompressed(_))
    }

    /// Returns the bytes and their number, one byte more than `cap` at most. `size` is the size that the file had when it
    /// was found.
    pub(in crate::schema::registry) fn bytes(self, size: u64, cap: u64) -> io::Result<(u64, Vec<u8>)> {
        let mut bytes = Vec::with_capacity(usize::try_from(size.min(cap)).unwrap_or(0));
        self.take(cap.saturating_add(1)).read_to_end(&mut bytes)?;
        Ok((bytes.len() as u64, bytes))
    }
}

impl<R: Read> Read for Content<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(raw) => raw.read(buffer),
            Self::Decompressed(bytes) => bytes.read(buffer),
            // An error of the file system has a code, and one of the decoder has none.
            Self::Gzip(decoder) => decoder.read(buffer).map_err(|error| match error.raw_os_error() {
                None if error.kind() != io::ErrorKind::Interrupted => io::Error::other(Damaged(error)),
                _ => error,
            }),
        }
    }
}

/// Returns the error of the decoder, if a read of [`Content`] failed because of it.
pub(super) fn damage(error: &io::Error) -> Option<String> {
    Some(error.get_ref()?.downcast_ref::<Damaged>()?.to_string())
}
