//! Descriptor sets on disk.

mod content;
mod limits;

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::{fs, io};

use sha2::{Digest as _, Sha256};

use crate::aws::s3::place::{self, NoAddress};
use crate::config::{self, Location};
pub(super) use content::Content;
pub(super) use limits::Room;
pub use limits::{TooLarge, Unusable};

/// The endings of descriptor sets' names. Each can be followed by `.gz`.
const ENDINGS: [&str; 6] = ["desc", "binpb", "pb", "protoset", "fds", "bin"];
/// The ending of the names of sources.
const SOURCE: &str = "proto";
/// The largest number of sources that a message names.
const NAMED: usize = 5;

/// A descriptor set's file.
#[derive(Debug)]
pub struct File {
    /// The path relative to the folder, with `/` between its parts.
    pub name: String,
    /// The bytes, decompressed if the file is gzip, or the reason why there are none.
    pub content: Result<Vec<u8>, Unusable>,
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
    /// The sets are objects of a bucket, and only files are read here.
    #[error("the sets at {place} are in a bucket, and only files can be read here")]
    InBucket {
        /// The place.
        place: Location,
    },
    /// A bucket has no address.
    #[error(transparent)]
    NoAddress(#[from] NoAddress),
    /// The bucket does not answer, or denies the sets.
    #[error(transparent)]
    Bucket(#[from] place::Error),
    /// Objects were replaced while they were read.
    #[error(
        "objects under {place} changed again and again while they were read; start again when the upload is complete. If nothing uploads, the list and the objects of this endpoint have different ETags, which S3 does not do"
    )]
    Unsettled {
        /// The place.
        place: Location,
    },
    /// Reading the sets panicked.
    #[error("reading the descriptor sets panicked; this is a defect of protobridge")]
    Panicked,
    /// The folder or the prefix has no descriptor set.
    #[error(
        "no descriptor set in {}: it has no file that ends in .desc, .binpb, .pb, .protoset, .fds or .bin, or in one of these and .gz; {}compile one with `protoc --include_imports --descriptor_set_out=FILE` or `buf build -o FILE`",
        place, if sources.is_empty() { String::new() } else { format!("{}; ", are_sources(sources)) }
    )]
    Empty {
        /// The folder, or the prefix of a bucket.
        place: Location,
        /// The names of the `.proto` files in it.
        sources: Vec<String>,
    },
    /// A set is too large or damaged.
    #[error(transparent)]
    Unusable(#[from] Unusable),
    /// No set is left, because sets were refused that would show a hidden field. The text is the first refusal.
    #[error("{0}")]
    ShowsHiddenField(String),
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

impl Error {
    /// Whether a bucket does not have the sets, or does not return them.
    pub fn is_of_bucket(&self) -> bool {
        match self {
            Self::Bucket(_) | Self::Unsettled { .. } => true,
            Self::Empty { place, .. } => place.in_bucket().is_some(),
            _ => false,
        }
    }
}

/// Returns the path of the sets, if they are files.
fn local(settings: &config::Descriptors) -> Result<&Path, Error> {
    settings.path.path().ok_or_else(|| Error::InBucket { place: settings.path.clone() })
}

/// Reads the configured sets in the order of their names. A file beyond the limits is not read.
///
/// # Errors
/// Returns an error if the folder or a file cannot be read, or if the folder has no set.
pub fn read(settings: &config::Descriptors) -> Result<Vec<File>, Error> {
    let files = each(settings, |found, content, cap| content.bytes(found.size, cap))?;
    Ok(files.into_iter().map(|(name, content)| File { name, content }).collect())
}

/// Returns the name and the hash of each configured set in the order of their names, without holding a set in memory.
///
/// # Errors
/// Returns an error in the same cases as [`read`].
pub(super) fn hashes(settings: &config::Descriptors) -> Result<Vec<(String, String)>, Error> {
    let hash = |_: &Found, content: Content<fs::File>, cap: u64| {
        let (mut hasher, mut bytes, mut buffer) = (Sha256::new(), 0, vec![0; 64 * 1024]);
        let mut file = content.take(cap.saturating_add(1));
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
    Ok(files.into_iter().map(|(name, hash)| (name, hash.unwrap_or_else(|unusable| unusable.fingerprint()))).collect())
}

/// Returns the first 16 hexadecimal digits of the SHA-256 of these bytes.
pub fn hash(bytes: &[u8]) -> String {
    digits(&sha256(bytes))
}

/// Returns the SHA-256 of these bytes.
pub(super) fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// Returns the first 16 hexadecimal digits of a digest.
pub(super) fn digits(digest: &[u8]) -> String {
    digest[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns a warning about the `.proto` files at the configured path, if there are any: protobridge does not read sources.
pub(super) fn source_warning(settings: &config::Descriptors) -> Option<String> {
    // An unreadable folder is an error of every other reader.
    let path = settings.path.path()?;
    about_sources(&sources(path).ok()?, &settings.path)
}

/// Returns a warning about these `.proto` files, if there are any.
pub(super) fn about_sources(sources: &[String], place: &Location) -> Option<String> {
    (!sources.is_empty()).then(|| {
        format!(
            "{}; compile a set with `protoc --include_imports --descriptor_set_out=FILE.binpb` or `buf build -o \
             FILE.binpb`, and keep the sources out of {place}",
            are_sources(sources)
        )
    })
}

/// Returns a sentence that names the first of these sources.
fn are_sources(names: &[String]) -> String {
    let (named, more) = names.split_at(names.len().min(NAMED));
    let more = if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
    let verb = if names.len() == 1 { "is a source" } else { "are sources" };
    format!("{}{more} {verb}, which protobridge does not read", named.join(", "))
}

/// A file of the folder.
#[derive(Debug)]
struct Found {
    name: String,
    path: PathBuf,
    /// The size in bytes at the time of the listing.
    size: u64,
}

/// The name of a file, and what was loaded from it.
type Named<T> = (String, Result<T, Unusable>);

/// Calls `load` for each set within the limits, the smallest files first, and returns the results in the order of the
/// names. `load` reads at most one byte more than the number that it is called with, and returns the number of bytes that
/// it read. The limits count the bytes of a compressed set after decompression.
fn each<T>(
    settings: &config::Descriptors,
    load: impl Fn(&Found, Content<fs::File>, u64) -> io::Result<(u64, T)>,
) -> Result<Vec<Named<T>>, Error> {
    let mut room = Room::new(settings);
    let mut files = Vec::new();
    let mut all = find(local(settings)?)?;
    // The smallest first, so that neither a name nor one large set decides about the sets of others.
    all.sort_by(|one, other| (one.size, &one.name).cmp(&(other.size, &other.name)));
    for found in all {
        let open = |most| Content::open(&found.path, most);
        let content = room.load(&found.name, found.size, open, |content, left| load(&found, content, left));
        let content = content.map_err(|error| unreadable(&found.path, error))?;
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
    let files = walk(path, is_set)?;
    if files.is_empty() {
        return Err(Error::Empty { place: path.into(), sources: sources(path)? });
    }
    Ok(files)
}

/// Returns the names of the `.proto` files in a folder and its sub-folders, sorted.
fn sources(path: &Path) -> Result<Vec<String>, Error> {
    let is_folder = fs::metadata(path).map_err(|error| unreadable(path, error))?.is_dir();
    let files = if is_folder { walk(path, is_source)? } else { Vec::new() };
    Ok(files.into_iter().map(|found| found.name).collect())
}

/// Finds these files in a folder and its sub-folders, in the order of their names.
fn walk(path: &Path, is_wanted: impl Fn(&Path) -> bool) -> Result<Vec<Found>, Error> {
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
            } else if is_wanted(&entry.path()) {
                if !metadata.is_file() {
                    // Opening a pipe waits for a writer, and a device can have no end.
                    return Err(unreadable(&entry.path(), io::Error::other("it is not a regular file")));
                }
                files.push(Found { name: relative(path, &entry.path()), path: entry.path(), size: metadata.len() });
            }
        }
    }
    files.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(files)
}

/// Whether the name of a file is that of a source.
pub(super) fn is_source(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == SOURCE)
}

/// Whether the name of a file is that of a descriptor set.
pub(super) fn is_set(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let ending = name.strip_suffix(".gz").unwrap_or(&name).rsplit_once('.').map(|(_, ending)| ending);
    ending.is_some_and(|ending| ENDINGS.contains(&ending))
}

fn relative(folder: &Path, file: &Path) -> String {
    let parts = file.strip_prefix(folder).unwrap_or(file).components();
    parts.map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests;
