//! Comments of a schema's source, where its sets were compiled with `--include_source_info`.

use std::collections::HashMap;

use prost_reflect::FileDescriptor;
use prost_reflect::prost_types::source_code_info::Location;

/// Comments by the name of their file, each file read when it is first asked for. All files are those of one set.
#[derive(Default)]
pub(super) struct Comments {
    files: HashMap<String, HashMap<Vec<i32>, String>>,
}

impl Comments {
    /// The comment of what has this path in a file.
    pub(super) fn of(&mut self, file: &FileDescriptor, path: &[i32]) -> Option<String> {
        let known = self.files.entry(file.name().to_owned()).or_insert_with(|| {
            let info = file.file_descriptor_proto().source_code_info.as_ref();
            let locations = info.map_or(&[][..], |info| &info.location);
            locations.iter().filter_map(|location| Some((location.path.clone(), text(location)?))).collect()
        });
        known.get(path).cloned()
    }
}

/// What stands before, and then what stands behind.
fn text(location: &Location) -> Option<String> {
    let parts = [location.leading_comments(), location.trailing_comments()].map(clean);
    let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    (!parts.is_empty()).then(|| parts.join("\n\n"))
}

/// Lines without the space that follows `//`.
fn clean(comment: &str) -> String {
    let lines = comment.lines().map(|line| line.strip_prefix(' ').unwrap_or(line).trim_end());
    lines.collect::<Vec<_>>().join("\n").trim().to_owned()
}
