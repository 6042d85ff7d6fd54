//! The limits on the size of descriptor sets.

use std::io::{self, Read};

use super::content::{self, Content};
use crate::config;

/// Why a file has no content to link.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// The file is too large.
    #[error(transparent)]
    TooLarge(TooLarge),
    /// The file starts like gzip, and cannot be decompressed.
    #[error(
        "descriptor set {name}: it starts like gzip, and it cannot be decompressed ({error}); is it half written? Compress it again, or remove it"
    )]
    Damaged {
        /// The file's name.
        name: String,
        /// The size of the file in bytes.
        bytes: u64,
        /// The error of the decoder.
        error: String,
    },
}

/// A file that is larger than the configuration allows. It is not read into memory.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "descriptor set {name}: {} {}, and `{}` allows {cap}; remove what no event needs from the set, or raise the limit and the memory of the process with it",
    scope.description(), self.size(), scope.key()
)]
pub struct TooLarge {
    name: String,
    /// The size in bytes. A file that grows while it is read can be larger.
    bytes: u64,
    /// Whether the file is compressed. `bytes` is then the number of bytes after which decompression stopped.
    is_compressed: bool,
    /// The limit in bytes.
    cap: u64,
    scope: Scope,
}

/// The files that a limit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    File,
    /// The file and the smaller files of the folder.
    Folder,
}

impl Scope {
    fn key(self) -> &'static str {
        match self {
            Self::File => "descriptors.max_file_bytes",
            Self::Folder => "descriptors.max_total_bytes",
        }
    }

    fn description(self) -> &'static str {
        match self {
            Self::File => "it has",
            Self::Folder => "together with the smaller sets, it has",
        }
    }
}

impl Unusable {
    /// Returns a text that changes if the file changes its size or if a limit changes. It takes the place of the hash.
    pub(in crate::schema::registry) fn fingerprint(&self) -> String {
        match self {
            Self::TooLarge(TooLarge { bytes, cap, scope, .. }) => format!("{bytes} bytes, {} {cap}", scope.key()),
            Self::Damaged { bytes, error, .. } => format!("{bytes} bytes, {error}"),
        }
    }
}

impl TooLarge {
    fn size(&self) -> String {
        match self.is_compressed {
            true => format!("at least {} bytes after it is decompressed", self.bytes),
            false => format!("{} bytes", self.bytes),
        }
    }
}

/// The room that the limits leave for sets. Sets must be loaded in the order of their sizes, the smallest first, so that
/// neither a name nor one large set decides about the sets of others.
#[derive(Debug)]
pub(in crate::schema::registry) struct Room {
    file_cap: u64,
    total_cap: u64,
    /// The bytes of the sets that were loaded, after decompression.
    total: u64,
}

impl Room {
    pub(in crate::schema::registry) fn new(settings: &config::Descriptors) -> Self {
        Self { file_cap: settings.max_file_bytes, total_cap: settings.max_total_bytes, total: 0 }
    }

    /// Returns the largest size in bytes that the next set can have.
    pub(in crate::schema::registry) fn left(&self) -> u64 {
        self.file_cap.min(self.total_cap - self.total)
    }

    /// Loads a set, or refuses it if there is no room for it. `size` is its size before decompression. `open` is called with
    /// the largest number of bytes to read. `load` reads at most one byte more than the number that it is called with, and
    /// returns the number of bytes that it read.
    ///
    /// # Errors
    /// Returns an error if the bytes cannot be read.
    pub(in crate::schema::registry) fn load<R: Read, T>(
        &mut self,
        name: &str,
        size: u64,
        open: impl FnOnce(u64) -> io::Result<Content<R>>,
        load: impl FnOnce(Content<R>, u64) -> io::Result<(u64, T)>,
    ) -> io::Result<Result<T, Unusable>> {
        let left = self.left();
        if size > left {
            return Ok(Err(self.refuse(name, size, false)));
        }
        let content = open(left.saturating_add(1))?;
        let is_compressed = content.is_compressed();
        match load(content, left) {
            // The file can have grown since it was found.
            Ok((bytes, _)) if bytes > left => Ok(Err(self.refuse(name, bytes, is_compressed))),
            Ok((bytes, loaded)) => {
                self.total += bytes;
                Ok(Ok(loaded))
            }
            Err(error) => match content::damage(&error) {
                Some(error) => Ok(Err(Unusable::Damaged { name: name.to_owned(), bytes: size, error })),
                None => Err(error),
            },
        }
    }

    fn refuse(&self, name: &str, bytes: u64, is_compressed: bool) -> Unusable {
        let (bytes, cap, scope) = match bytes > self.file_cap {
            true => (bytes, self.file_cap, Scope::File),
            false => (bytes + self.total, self.total_cap, Scope::Folder),
        };
        Unusable::TooLarge(TooLarge { name: name.to_owned(), bytes, is_compressed, cap, scope })
    }
}
