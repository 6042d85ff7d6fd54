//! The descriptors of one set in a compact form.
//!
//! A pool keeps the messages, enums and extensions of a set as the bytes that the compiler wrote, together with the
//! place of each one. A definition is decoded when a caller asks for its contents: to compile a plan, to describe the
//! JSON or to compare two versions. Linking decodes every definition once and drops it again, so later decoding cannot
//! fail. At rest, a pool therefore takes about as much memory as its set takes on disk, and a name per definition.
//!
//! A pool keeps no services and no positions in source files. It keeps comments apart from the definitions.

mod comments;
mod definitions;
mod features;
mod field;
mod link;
mod links;
mod names;
mod records;

use std::ops::Range;
use std::sync::{Arc, LazyLock};

pub(crate) use comments::{Comments, Element};
pub(crate) use definitions::{EnumDescriptor, MessageDescriptor};
pub(crate) use field::{FieldDescriptor, Kind};
pub(super) use link::{Linked, Refusal};
pub(super) use links::{Held, Link, Names};
use names::Symbol;

/// The linked definitions of one set.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    /// The definitions of all files, as compiled.
    bytes: Box<[u8]>,
    /// The comments of all files, in the form of [`comments::keep`].
    comments: Box<[u8]>,
    files: Box<[File]>,
    messages: Box<[Message]>,
    enums: Box<[Enum]>,
    /// The extensions, sorted by the message that they extend.
    extensions: Box<[Extension]>,
    /// The messages and enums, sorted by full name.
    symbols: Box<[Symbol]>,
    /// The packages and the packages around them, sorted.
    packages: Box<[Box<str>]>,
}

/// A place in [`Pool::bytes`] or [`Pool::comments`].
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    start: u32,
    end: u32,
}

/// A `.proto` file.
#[derive(Debug)]
struct File {
    name: Box<str>,
    syntax: Syntax,
    /// The features of an editions file.
    features: features::Resolved,
    comments: Place,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Syntax {
    Proto2,
    Proto3,
    Editions,
}

/// A definition and its position among the definitions around it.
#[derive(Debug)]
struct Origin {
    file: u32,
    /// The message around the definition; `None` if the definition is at the top of its file.
    parent: Option<u32>,
    /// The position among the definitions of the same kind in the same scope, counted from 0.
    position: u32,
    place: Place,
}

#[derive(Debug)]
struct Message {
    name: Arc<str>,
    origin: Origin,
    is_map_entry: bool,
    /// The features of an editions file in force inside the message.
    features: features::Resolved,
}

#[derive(Debug)]
struct Enum {
    name: Arc<str>,
    origin: Origin,
}

#[derive(Debug)]
struct Extension {
    extendee: u32,
    origin: Origin,
    /// The package of the file.
    package: Arc<str>,
}

/// The well-known types, which are built in.
static BUILT_IN: LazyLock<Arc<Pool>> =
    LazyLock::new(|| link::link(link::WELL_KNOWN).expect("the built-in set links").pool);

impl Pool {
    /// Links a FileDescriptorSet. Files that the set imports but does not contain are added if they are built in.
    ///
    /// # Errors
    /// Returns an error if the bytes are not a FileDescriptorSet, or if the set does not link by itself.
    pub(super) fn link(bytes: &[u8]) -> Result<Linked, Refusal> {
        link::link(bytes)
    }

    /// Returns the pool of the well-known types.
    pub(super) fn built_in() -> &'static Arc<Self> {
        &BUILT_IN
    }

    /// Returns the content in a form that puts sets in an order: the comments, longest first, then the definitions.
    pub(super) fn content(&self) -> impl Ord + '_ {
        (std::cmp::Reverse(self.comments.len()), &self.bytes, &self.comments)
    }

    /// Returns the number of files, imports included.
    pub(super) fn files(&self) -> usize {
        self.files.len()
    }

    /// Returns all messages, map entries included.
    pub(super) fn messages(self: &Arc<Self>) -> impl Iterator<Item = MessageDescriptor> + '_ {
        (0..self.messages.len() as u32).map(|index| MessageDescriptor::new(self, index))
    }

    /// Returns the full names of all messages of the file that has this message, map entries included.
    pub(super) fn messages_beside(&self, index: u32) -> Vec<Arc<str>> {
        let file = self.messages[index as usize].origin.file;
        let beside = self.messages.iter().filter(|message| message.origin.file == file);
        beside.map(|message| Arc::clone(&message.name)).collect()
    }

    /// Returns all enums.
    pub(super) fn enums(self: &Arc<Self>) -> impl Iterator<Item = EnumDescriptor> + '_ {
        (0..self.enums.len() as u32).map(|index| EnumDescriptor::new(self, index))
    }

    fn at(&self, place: Place) -> &[u8] {
        &self.bytes[Range::from(place)]
    }

    /// Returns the full name of the scope of a definition: a message, or the package `package`.
    fn scope<'p>(&'p self, origin: &Origin, package: &'p str) -> &'p str {
        origin.parent.map_or(package, |parent| &self.messages[parent as usize].name)
    }
}

impl From<Place> for Range<usize> {
    fn from(place: Place) -> Self {
        place.start as usize..place.end as usize
    }
}

/// Joins the name of a scope and a simple name.
fn join(scope: &str, name: &str) -> String {
    if scope.is_empty() { name.to_owned() } else { format!("{scope}.{name}") }
}
