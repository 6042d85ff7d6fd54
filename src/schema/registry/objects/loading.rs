//! From the bytes of objects to sets, within the limits.

use bytes::{Buf as _, Bytes};

use super::Known;
use crate::aws::s3::place::Revision;
use crate::schema::registry::files::{self, Content, File, Room};
use crate::schema::registry::{Compiled, Set};

/// An object of a list that has the name of a set.
#[derive(Debug)]
pub(super) struct Found {
    /// The key without the prefix.
    pub(super) name: String,
    pub(super) key: String,
    /// The size in bytes.
    pub(super) size: u64,
    pub(super) etag: String,
}

/// The origin of a set's bytes.
#[derive(Debug)]
pub(super) enum Source {
    /// The object, as it was fetched.
    Fetched(Revision),
    /// The set in force, which has the bytes of the object or is used in its place.
    InForce { compiled: Compiled, bytes: u64, known: Known },
    /// The object is larger than the limits allow.
    TooLarge,
    /// The object cannot be read, and no set of its name is in force.
    Nothing,
}

impl Source {
    /// Uses the set in force, which has the bytes of this version of the object.
    pub(super) fn in_force(set: &Set, known: Known) -> Self {
        Self::InForce { compiled: set.compiled().clone(), bytes: set.bytes as u64, known }
    }

    /// Uses the set in force in place of an object that cannot be read.
    pub(super) fn substitute(set: &Set) -> Self {
        let known = Known { etag: None, version: None, hash: Some(set.hash.to_string()), size: set.bytes as u64 };
        Self::in_force(set, known)
    }
}

/// Loads the sets in this order, which must be that of their sizes.
pub(super) fn load(sources: Vec<(Found, Source)>, room: &mut Room) -> Vec<(File, Known)> {
    let loaded = sources.into_iter().filter_map(|(found, source)| load_one(found, source, room));
    loaded.collect()
}

fn load_one(found: Found, source: Source, room: &mut Room) -> Option<(File, Known)> {
    let Found { name, size, etag, .. } = found;
    let known = |version| Known { etag: Some(etag), version, hash: None, size };
    let (content, known) = match source {
        Source::Nothing => return None,
        Source::TooLarge => {
            let read = room.load(
                &name,
                size,
                |most| Content::of(Bytes::new().reader(), most),
                |content, left| content.bytes(0, left),
            );
            (read, known(None))
        }
        Source::Fetched(Revision { bytes, version, .. }) => {
            let open = |most| Content::of(bytes.reader(), most);
            (room.load(&name, size, open, |content, left| content.bytes(size, left)), known(version))
        }
        Source::InForce { compiled, bytes, known } => {
            let open = |most| Ok(Content::decompressed(compiled.reader(), most));
            (room.load(&name, known.size, open, |content, left| content.bytes(bytes, left)), known)
        }
    };
    // Bytes in memory are read without an error.
    let content = content.ok()?;
    let hash = content.as_ref().ok().map(|bytes| files::hash(bytes));
    Some((File { name, content }, Known { hash, ..known }))
}
