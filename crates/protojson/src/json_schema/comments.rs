//! Comments in the source of a schema. They exist only in sets that were compiled with `--include_source_info`.

use std::collections::HashMap;

use prost_reflect::FileDescriptor;
use prost_reflect::prost_types::source_code_info::Location;

/// The comments by file name. Each file is read at its first use. All files belong to one set.
#[derive(Default)]
pub(super) struct Comments {
    files: HashMap<String, HashMap<Vec<i32>, String>>,
}

impl Comments {
    /// Returns the comment of the element with this path in a file.
    pub(super) fn of(&mut self, file: &FileDescriptor, path: &[i32]) -> Option<String> {
        let known = self.files.entry(file.name().to_owned()).or_insert_with(|| {
            let info = file.file_descriptor_proto().source_code_info.as_ref();
            let locations = info.map_or(&[][..], |info| &info.location);
            locations.iter().filter_map(|location| Some((location.path.clone(), text(location)?))).collect()
        });
        known.get(path).cloned()
    }
}

/// Joins the comment before an element and the comment after it.
fn text(location: &Location) -> Option<String> {
    let parts = [location.leading_comments(), location.trailing_comments()].map(clean);
    let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    (!parts.is_empty()).then(|| parts.join("\n\n"))
}

/// Removes the space that follows `//` in each line.
fn clean(comment: &str) -> String {
    let lines = comment.lines().map(|line| line.strip_prefix(' ').unwrap_or(line).trim_end());
    lines.collect::<Vec<_>>().join("\n").trim().to_owned()
}
