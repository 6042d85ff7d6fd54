//! Comments in the source of a schema. They exist only in sets that were compiled with `--include_source_info`.

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use prost::Message as _;
use prost_types::SourceCodeInfo;
use prost_types::source_code_info::Location;

use super::Pool;
use super::records::{Malformed, decode, of, tag};

/// Appends the locations of a SourceCodeInfo that have a comment, without their positions. Leaves out the comments of
/// services, which a pool does not keep.
pub(super) fn keep(source_info: &[u8], kept: &mut Vec<u8>) -> Result<(), Malformed> {
    for location in of(source_info, tag::SOURCE_LOCATION) {
        let location: Location = decode(location?.0)?;
        let is_service = location.path.first() == Some(&(tag::FILE_SERVICE as i32));
        if is_service || text(&location).is_none() {
            continue;
        }
        let Location { path, leading_comments, trailing_comments, .. } = location;
        let location = Location { path, leading_comments, trailing_comments, ..Location::default() };
        let mut info = SourceCodeInfo { location: vec![location] };
        info.encode(kept).expect("a vector grows");
        info.location.clear();
    }
    Ok(())
}

/// The comments by the address of the pool and by file. Each file is read at its first use.
#[derive(Debug, Default)]
pub(crate) struct Comments {
    files: HashMap<(*const Pool, u32), HashMap<Vec<i32>, String>>,
}

/// An element of a schema that can have a comment.
#[derive(Clone)]
pub(crate) struct Element {
    pool: Arc<Pool>,
    file: u32,
    /// The path as in SourceCodeInfo.
    path: Vec<i32>,
}

// The debug output is short because a pool prints every definition.
impl fmt::Debug for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Element").field("file", &self.file).field("path", &self.path).finish_non_exhaustive()
    }
}

impl Comments {
    /// Returns the comment of an element. The element's schema must outlive the comments.
    pub(crate) fn of(&mut self, element: &Element) -> Option<String> {
        let pool = &element.pool;
        let known = self.files.entry((Arc::as_ptr(pool), element.file)).or_insert_with(|| {
            let info = &pool.comments[Range::from(pool.files[element.file as usize].comments)];
            let info = SourceCodeInfo::decode(info).expect("this module encoded the comments");
            info.location.iter().filter_map(|location| Some((location.path.clone(), text(location)?))).collect()
        });
        known.get(&element.path).cloned()
    }
}

impl Element {
    pub(super) fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }

    /// Returns the element inside this one with a field number of descriptor.proto and a position.
    pub(crate) fn inside(&self, number: u32, position: usize) -> Self {
        let (number, position) = (number as i32, position as i32);
        Self {
            pool: Arc::clone(&self.pool),
            file: self.file,
            path: self.path.iter().copied().chain([number, position]).collect(),
        }
    }
}

impl Pool {
    /// Returns the element of a definition. `at_top` is its field number in a file, `nested` in a message.
    pub(super) fn element(self: &Arc<Self>, origin: &super::Origin, at_top: u32, nested: u32) -> Element {
        match origin.parent {
            None => {
                let path = vec![at_top as i32, origin.position as i32];
                Element { pool: Arc::clone(self), file: origin.file, path }
            }
            Some(parent) => {
                let around = &self.messages[parent as usize].origin;
                self.element(around, tag::FILE_MESSAGE, tag::MESSAGE_NESTED).inside(nested, origin.position as usize)
            }
        }
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
