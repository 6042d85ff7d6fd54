//! Variables that name a file with the value of a key, as containers get their secrets.

use std::fs;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;

use super::Variables;
use crate::shape::Shape;

/// The end of the name of a variable that names a file.
pub(super) const FILE: &str = "_FILE";

impl Variables {
    /// Returns the files that the `…_FILE` variables of the keys of `T` name.
    pub fn files<T: JsonSchema>(&self) -> Vec<PathBuf> {
        let Some(folder) = &self.folder else { return Vec::new() };
        let shape = Shape::of::<T>();
        let names_file = |name: &str| {
            let path = name.strip_prefix(&self.prefix)?;
            Some(self.target(&shape, path, None)?.1)
        };
        let named = self.values.iter().filter(|(name, path)| names_file(name) == Some(true) && !path.is_empty());
        named.map(|(_, path)| folder.join(path)).collect()
    }

    /// Returns the value of the variable with this name, prefix included, or the content of the file that the variable
    /// with `_FILE` appended names.
    ///
    /// # Errors
    ///
    /// Returns the message about a file that is empty or cannot be read.
    pub fn get(&self, name: &str) -> Option<Result<String, String>> {
        let text = |name: &str| self.values.iter().find(|(known, _)| known == name).map(|(_, text)| text);
        if let Some(text) = text(name) {
            return Some(Ok(text.clone()));
        }
        Some(content(self.folder.as_deref()?, text(&format!("{name}{FILE}"))?))
    }
}

/// Returns the content of a file without its trailing line breaks. A relative path starts at `folder`.
///
/// # Errors
///
/// Returns the message of a problem if the file is empty or cannot be read.
pub(super) fn content(folder: &Path, path: &str) -> Result<String, String> {
    if path.is_empty() {
        return Err("names no file".to_owned());
    }
    let path = folder.join(path);
    let text = fs::read_to_string(&path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let value = text.trim_end_matches(['\n', '\r']);
    if value.is_empty() {
        return Err(format!("the file {} is empty", path.display()));
    }
    Ok(value.to_owned())
}
