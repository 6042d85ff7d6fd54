//! What a message type is compiled into: dense tables that the transcoder runs over.
//!
//! A program holds every message type that is reachable from its root. Compiling is slow and happens once; nothing in
//! here changes afterwards.

mod compile;
mod rules;

pub(crate) use compile::compile;

use crate::output::Label;
use crate::wire::Tag;

/// Index of a message in [`Program::messages`].
pub(crate) type MessageIndex = u32;

/// A root message type and all that it can hold, compiled for one set of options.
#[derive(Debug)]
pub(crate) struct Program {
    /// The message types; the root is the first.
    pub(crate) messages: Vec<Message>,
    pub(crate) enums: Vec<Enum>,
    /// Key and value of map fields.
    pub(crate) maps: Vec<Map>,
    pub(crate) base64_url: bool,
    /// Paths of the options that no field fits.
    pub(crate) unmatched: Vec<String>,
}

/// A message type.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) shape: Shape,
    /// By ascending number, which is the order of the output.
    pub(crate) fields: Box<[Field]>,
    /// From a field number to one more than its index; 0 is no field.
    dense: Box<[u32]>,
    /// From a tag to the same, for those of the dense numbers' tags that a record may have.
    by_tag: Box<[u16]>,
    /// The same for the numbers beyond, sorted.
    sparse: Box<[(u32, u32)]>,
    /// How many required fields there are.
    pub(crate) required: u32,
    /// Whether there are fields that are written though they are absent.
    pub(crate) has_defaults: bool,
    /// Whether the fast path cannot do it: a MessageSet, or more oneofs than fit in a word.
    pub(crate) always_ordered: bool,
    pub(crate) is_message_set: bool,
    /// Whether the options treat it in its place unlike the same type elsewhere.
    pub(crate) has_rules: bool,
}

/// How a message is rendered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// As an object of its fields.
    Plain,
    Timestamp,
    Duration,
    FieldMask,
    Struct,
    Value,
    ListValue,
    /// As the value of its only field.
    Wrapper,
    Any,
}

/// A field.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) number: u32,
    /// Wire type of one value.
    pub(crate) wire_type: u8,
    /// Whether it is repeated, and its values may come packed.
    pub(crate) is_packable: bool,
    /// Whether it is repeated or a map.
    pub(crate) is_list: bool,
    pub(crate) role: Role,
    pub(crate) kind: Kind,
    /// Whether it has no presence: a value that is zero or empty is the same as none.
    pub(crate) is_implicit: bool,
    /// Whether a value that is zero or empty is left out.
    pub(crate) omits_zero: bool,
    pub(crate) is_required: bool,
    /// Whether the field is written with its default if it is absent.
    pub(crate) emits_default: bool,
    /// The bit of its oneof; 0 if it is in none.
    pub(crate) oneof: u64,
    /// Number of its oneof, counted from 1; 0 if it is in none.
    pub(crate) oneof_number: u32,
    /// `,"jsonName":`, escaped.
    pub(crate) key: Label,
    /// Name as declared, for errors.
    pub(crate) name: Box<str>,
}

/// How a field is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Singular,
    Repeated,
    Map,
    /// The options leave it out.
    Dropped,
    /// The options hide its value.
    Redacted,
}

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Bool,
    Int32,
    Sint32,
    Uint32,
    Sfixed32,
    Int64 {
        quoted: bool,
    },
    Sint64 {
        quoted: bool,
    },
    Uint64 {
        quoted: bool,
    },
    Float,
    Double,
    String,
    Bytes,
    /// By name, from [`Program::enums`].
    Enum(u32),
    EnumNumber,
    /// `google.protobuf.NullValue`.
    Null,
    Message(MessageIndex),
    /// Index in [`Program::maps`].
    Map(u32),
}

impl Field {
    /// The tag of one value.
    #[inline(always)]
    pub(crate) fn tag(&self) -> Tag {
        Tag::new(self.number, self.wire_type)
    }
}

impl Kind {
    /// Whether values of this kind may come packed.
    pub(crate) fn is_packable(self) -> bool {
        !matches!(self, Self::String | Self::Bytes | Self::Message(_) | Self::Map(_))
    }
}

/// Key and value of a map field.
#[derive(Debug)]
pub(crate) struct Map {
    pub(crate) key: Field,
    pub(crate) value: Field,
    /// A value that is missing, if values are numbers, bools or enums.
    pub(crate) default: u64,
}

/// An enum: number → name between quotes.
#[derive(Debug)]
pub(crate) struct Enum {
    /// For the numbers from 0 on; empty where there is no name.
    dense: Box<[Option<Label>]>,
    /// For all others, sorted by number.
    sparse: Box<[(i32, Label)]>,
}

impl Message {
    /// The index of the field with this number.
    #[inline(always)]
    pub(crate) fn find(&self, number: u32) -> Option<u32> {
        match self.dense.get(number as usize) {
            Some(0) => None,
            Some(index) => Some(index - 1),
            None => self.find_sparse(number),
        }
    }

    /// The index of the field that a record with this tag belongs to, if that is to be seen at once.
    #[inline(always)]
    pub(crate) fn find_tag(&self, tag: u32) -> Option<u32> {
        match self.by_tag.get(tag as usize) {
            None | Some(0) => None,
            Some(index) => Some(u32::from(*index) - 1),
        }
    }

    fn find_sparse(&self, number: u32) -> Option<u32> {
        let at = self.sparse.binary_search_by_key(&number, |(number, _)| *number).ok()?;
        Some(self.sparse[at].1)
    }
}

impl Enum {
    /// The numbers that have a name, those from 0 on first.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = i32> {
        let dense = self.dense.iter().zip(0..).filter_map(|(name, number)| name.as_ref().map(|_| number));
        dense.chain(self.sparse.iter().map(|(number, _)| *number))
    }

    /// The name of a number, between quotes.
    #[inline(always)]
    pub(crate) fn name(&self, number: i32) -> Option<&Label> {
        match usize::try_from(number).ok().and_then(|number| self.dense.get(number)) {
            Some(Some(name)) => Some(name),
            _ => {
                let at = self.sparse.binary_search_by_key(&number, |(number, _)| *number).ok()?;
                Some(&self.sparse[at].1)
            }
        }
    }
}
