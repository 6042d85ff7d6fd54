//! Comments in the source of a schema. They exist only in sets that were compiled with `--include_source_info`.

use std::collections::HashMap;
use std::ops::Range;

use prost::Message as _;
use prost_types::SourceCodeInfo;
use prost_types::source_code_info::Location;

use super::records::{Malformed, decode, of, tag};
use super::{MessageDescriptor, Pool};

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

/// The comments by file. Each file is read at its first use. All files belong to one set.
#[derive(Debug, Default)]
pub(crate) struct Comments {
    files: HashMap<u32, HashMap<Vec<i32>, String>>,
}

/// An element of a schema that can have a comment.
#[derive(Debug, Clone)]
pub(crate) struct Element {
    pub(super) file: u32,
    /// The path as in SourceCodeInfo.
    pub(super) path: Vec<i32>,
}

impl Comments {
    /// Returns the comment of an element.
    pub(crate) fn of(&mut self, pool: &Pool, element: &Element) -> Option<String> {
        let known = self.files.entry(element.file).or_insert_with(|| {
            let info = &pool.comments[Range::from(pool.files[element.file as usize].comments)];
            let info = SourceCodeInfo::decode(info).expect("this module encoded the comments");
            info.location.iter().filter_map(|location| Some((location.path.clone(), text(location)?))).collect()
        });
        known.get(&element.path).cloned()
    }
}

impl Element {
    /// Returns the element inside this one with a field number of descriptor.proto and a position.
    pub(crate) fn inside(&self, number: u32, position: usize) -> Self {
        let (number, position) = (number as i32, position as i32);
        Self { file: self.file, path: self.path.iter().copied().chain([number, position]).collect() }
    }
}

impl Pool {
    /// Returns the element of a definition. `at_top` is its field number in a file, `nested` in a message.
    pub(super) fn element(&self, origin: &super::Origin, at_top: u32, nested: u32) -> Element {
        match origin.parent {
            None => Element { file: origin.file, path: vec![at_top as i32, origin.position as i32] },
            Some(parent) => {
                let around = &self.messages[parent as usize].origin;
                self.element(around, tag::FILE_MESSAGE, tag::MESSAGE_NESTED).inside(nested, origin.position as usize)
            }
        }
    }
}

impl MessageDescriptor {
    /// Returns the comment of an element of the message's set.
    pub(crate) fn comment(&self, comments: &mut Comments, element: &Element) -> Option<String> {
        comments.of(&self.pool, element)
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
