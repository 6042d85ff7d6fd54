//! Descriptor sets on disk.

use std::path::{Path, PathBuf};
use std::{fs, io};

/// A descriptor set's file.
#[derive(Debug)]
pub struct File {
    /// The path relative to the folder, with `/` between its parts.
    pub name: String,
    /// The content.
    pub bytes: Vec<u8>,
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
    /// A set does not load, or contradicts another set.
    #[error(transparent)]
    Schema(#[from] protojson::SchemaError),
}

/// Reads the sets at `path`, which is a folder with its sub-folders or one file, in the order of their names. Leaves out
/// hidden files and folders, where editors, `rsync` and ConfigMap volumes keep unfinished files.
pub(super) fn read(path: &Path) -> Result<Vec<File>, Error> {
    let unreadable = |path: &Path, error| Error::Unreadable { path: path.to_owned(), error };
    if fs::metadata(path).map_err(|error| unreadable(path, error))?.is_file() {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let bytes = fs::read(path).map_err(|error| unreadable(path, error))?;
        return Ok(vec![File { name, bytes }]);
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
            let kind = fs::metadata(entry.path()).map_err(|error| unreadable(&entry.path(), error))?;
            if kind.is_dir() {
                folders.push(entry.path());
            } else if is_set(&entry.path()) {
                let bytes = fs::read(entry.path()).map_err(|error| unreadable(&entry.path(), error))?;
                files.push(File { name: relative(path, &entry.path()), bytes });
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
