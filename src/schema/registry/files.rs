//! Descriptor sets on disk.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::{fs, io};

use sha2::{Digest as _, Sha256};

use crate::config;

/// A descriptor set's file.
#[derive(Debug)]
pub struct File {
    /// The path relative to the folder, with `/` between its parts.
    pub name: String,
    /// The bytes, or the reason why the file was not read.
    pub content: Result<Vec<u8>, TooLarge>,
}

/// A file that is larger than the configuration allows. It is not read into memory.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "descriptor set {name}: {} {bytes} bytes, and `{}` allows {cap}; remove what no event needs from the set, or raise the limit and the memory of the process with it",
    scope.description(), scope.key()
)]
pub struct TooLarge {
    name: String,
    /// The size in bytes. A file that grows while it is read can be larger.
    bytes: u64,
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

/// Why the descriptor sets could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The path cannot be read.
    #[error("cannot read descriptors at {}: {error}; it must be a folder of compiled sets, or one compiled set", path.display())]
    Unreadable {
        /// The path.
        path: PathBuf,
        /// The error of the file system.
        error: io::Error,
    },
    /// The folder has no descriptor set.
    #[error(
        "no descriptor set in {}: it has no file that ends in .desc, .binpb or .pb; compile one with `protoc --include_imports --descriptor_set_out=FILE` or `buf build -o FILE`", path.display()
    )]
    Empty {
        /// The folder.
        path: PathBuf,
    },
    /// A set is too large.
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
    /// A set does not load.
    #[error(transparent)]
    Schema(#[from] protojson::SchemaError),
    /// The released sets cannot be used.
    #[error("descriptors.baseline: {reason}")]
    Baseline {
        /// The reason.
        reason: String,
    },
}

/// Reads the configured sets in the order of their names. A file beyond the limits is not read.
///
/// # Errors
/// Returns an error if the folder or a file cannot be read, or if the folder has no set.
pub(super) fn read(settings: &config::Descriptors) -> Result<Vec<File>, Error> {
    let read = |found: &Found, cap| {
        let mut bytes = Vec::with_capacity(usize::try_from(found.size.min(cap)).unwrap_or(0));
        found.open()?.take(cap.saturating_add(1)).read_to_end(&mut bytes)?;
        Ok((bytes.len() as u64, bytes))
    };
    let files = each(settings, read)?;
    Ok(files.into_iter().map(|(name, content)| File { name, content }).collect())
}

/// Returns the name and the hash of each configured set in the order of their names, without holding a set in memory.
///
/// # Errors
/// Returns an error in the same cases as [`read`].
pub(super) fn hashes(settings: &config::Descriptors) -> Result<Vec<(String, String)>, Error> {
    let hash = |found: &Found, cap: u64| {
        let (mut hasher, mut bytes, mut buffer) = (Sha256::new(), 0, vec![0; 64 * 1024]);
        let mut file = found.open()?.take(cap.saturating_add(1));
        loop {
            match file.read(&mut buffer)? {
                0 => return Ok((bytes, digits(&hasher.finalize()))),
                count => {
                    hasher.update(&buffer[..count]);
                    bytes += count as u64;
                }
            }
        }
    };
    let files = each(settings, hash)?;
    Ok(files.into_iter().map(|(name, hash)| (name, hash.unwrap_or_else(|too_large| too_large.fingerprint()))).collect())
}

/// Returns the first 16 hexadecimal digits of the SHA-256 of these bytes.
pub(super) fn hash(bytes: &[u8]) -> String {
    digits(&Sha256::digest(bytes))
}

fn digits(digest: &[u8]) -> String {
    digest[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

impl TooLarge {
    /// Returns a text that changes if the file changes its size or if a limit changes. It takes the place of the hash.
    pub(super) fn fingerprint(&self) -> String {
        format!("{} bytes, {} {}", self.bytes, self.scope.key(), self.cap)
    }
}

/// A file of the folder.
#[derive(Debug)]
struct Found {
    name: String,
    path: PathBuf,
    /// The size in bytes at the time of the listing.
    size: u64,
}

impl Found {
    fn open(&self) -> io::Result<fs::File> {
        fs::File::open(&self.path)
    }
}

/// The name of a file, and what was loaded from it.
type Named<T> = (String, Result<T, TooLarge>);

/// Calls `load` for each set within the limits, and returns the results in the order of the names. `load` reads at most one byte more than the
/// number that it is called with, and returns the number of bytes that it read.
fn each<T>(
    settings: &config::Descriptors,
    load: impl Fn(&Found, u64) -> io::Result<(u64, T)>,
) -> Result<Vec<Named<T>>, Error> {
    let (file_cap, total_cap) = (settings.max_file_bytes, settings.max_total_bytes);
    let mut total = 0;
    let mut files = Vec::new();
    let mut all = find(&settings.path)?;
    // The smallest first, so that neither a name nor one large set decides about the sets of others.
    all.sort_by(|one, other| (one.size, &one.name).cmp(&(other.size, &other.name)));
    for found in all {
        let refuse = |bytes: u64| {
            let (bytes, cap, scope) = match bytes > file_cap {
                true => (bytes, file_cap, Scope::File),
                false => (bytes + total, total_cap, Scope::Folder),
            };
            Err(TooLarge { name: found.name.clone(), bytes, cap, scope })
        };
        let left = file_cap.min(total_cap - total);
        let content = if found.size > left {
            refuse(found.size)
        } else {
            // The file can have grown since the listing.
            match load(&found, left).map_err(|error| unreadable(&found.path, error))? {
                (bytes, _) if bytes > left => refuse(bytes),
                (bytes, content) => {
                    total += bytes;
                    Ok(content)
                }
            }
        };
        files.push((found.name, content));
    }
    files.sort_by(|(one, _), (other, _)| one.cmp(other));
    Ok(files)
}

fn unreadable(path: &Path, error: io::Error) -> Error {
    Error::Unreadable { path: path.to_owned(), error }
}

/// Finds the sets at `path`, which is a folder with its sub-folders or one file, in the order of their names. Leaves out
/// hidden files and folders, where editors, `rsync` and ConfigMap volumes keep unfinished files.
fn find(path: &Path) -> Result<Vec<Found>, Error> {
    let metadata = fs::metadata(path).map_err(|error| unreadable(path, error))?;
    if metadata.is_file() {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        return Ok(vec![Found { name, path: path.to_owned(), size: metadata.len() }]);
    }
    let mut files = Vec::new();
    let mut folders = vec![path.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(|error| unreadable(&folder, error))? {
            let entry = entry.map_err(|error| unreadable(&folder, error))?;
            if entry.file_name().to_string_lossy().starts_with('.') {
                continue;
            }
            // This follows symbolic links: Kubernetes mounts the files of a ConfigMap as links.
            let metadata = fs::metadata(entry.path()).map_err(|error| unreadable(&entry.path(), error))?;
            if metadata.is_dir() {
                folders.push(entry.path());
            } else if is_set(&entry.path()) {
                if !metadata.is_file() {
                    // Opening a pipe waits for a writer, and a device can have no end.
                    return Err(unreadable(&entry.path(), io::Error::other("it is not a regular file")));
                }
                files.push(Found { name: relative(path, &entry.path()), path: entry.path(), size: metadata.len() });
            }
        }
    }
    if files.is_empty() {
        return Err(Error::Empty { path: path.to_owned() });
    }
    files.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(files)
}

fn is_set(path: &Path) -> bool {
    path.extension().is_some_and(|extension| ["desc", "binpb", "pb"].iter().any(|ending| extension == *ending))
}

fn relative(folder: &Path, file: &Path) -> String {
    let parts = file.strip_prefix(folder).unwrap_or(file).components();
    parts.map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_grows_while_it_is_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("x.pb"), b"12").unwrap();
        let settings =
            config::Descriptors { path: folder.path().into(), max_file_bytes: 10, ..config::Descriptors::default() };
        let loaded = each(&settings, |found, cap| {
            assert_eq!((found.size, cap), (2, 10));
            Ok((11, ()))
        });
        let (_, refused) = loaded.unwrap().remove(0);
        assert!(refused.unwrap_err().to_string().starts_with("descriptor set x.pb: it has 11 bytes"));
    }
}
