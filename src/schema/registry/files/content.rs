//! The content of a descriptor set's file, decompressed if it is gzip.

use std::fs;
use std::io::{self, Chain, Cursor, Read, Take};
use std::path::Path;

use flate2::read::MultiGzDecoder;

/// The first two bytes of gzip (RFC 1952, 2.3.1). A FileDescriptorSet that is not empty starts with the byte 0x0a.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Reads a file, and decompresses it if its first bytes are those of gzip, whatever the name of the file.
#[derive(Debug)]
pub(super) enum Content {
    Plain(Raw),
    Gzip(Box<MultiGzDecoder<Raw>>),
}

/// The first bytes of a file, then the others.
type Raw = Chain<Cursor<Vec<u8>>, Take<fs::File>>;

/// The error of a file that starts like gzip and is not gzip.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Damaged(io::Error);

impl Content {
    /// Opens a file. Reads at most `most` of its bytes.
    pub(super) fn open(path: &Path, most: u64) -> io::Result<Self> {
        let mut file = fs::File::open(path)?.take(most);
        let mut start = Vec::with_capacity(GZIP.len());
        file.by_ref().take(GZIP.len() as u64).read_to_end(&mut start)?;
        let is_gzip = start == GZIP;
        let raw = Cursor::new(start).chain(file);
        Ok(if is_gzip { Self::Gzip(Box::new(MultiGzDecoder::new(raw))) } else { Self::Plain(raw) })
    }

    pub(super) fn is_compressed(&self) -> bool {
        matches!(self, Self::Gzip(_))
    }
}

impl Read for Content {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(raw) => raw.read(buffer),
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
