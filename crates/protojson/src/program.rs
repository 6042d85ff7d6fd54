//! The compiled form of a message type: dense tables that drive the transcoder.
//!
//! A program holds every message type that is reachable from its root. Compilation is slow and runs once; a program
//! never changes afterwards.

mod compile;
mod rules;

pub(crate) use compile::{compile, shape};
pub(crate) use rules::hides;

use crate::Bytes;
use crate::output::Label;
use crate::wire::Tag;

/// The index of a message in [`Program::messages`].
pub(crate) type MessageIndex = u32;

/// A root message type with every type that it can hold, compiled for one set of options.
#[derive(Debug)]
pub(crate) struct Program {
    /// The message types; the root comes first.
    pub(crate) messages: Vec<Message>,
    pub(crate) enums: Vec<Enum>,
    /// The key and value fields of map fields.
    pub(crate) maps: Vec<Map>,
    /// The spelling of bytes.
    pub(crate) bytes: Bytes,
    pub(crate) unknown_any: AnyFallback,
}

/// The form of an Any whose type is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AnyFallback {
    /// None; the payload is refused.
    Refused,
    /// The bytes of the message inside.
    Bytes,
    /// Null, because the bytes can contain a field that must be hidden.
    Hidden,
}

/// A message type.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) shape: Shape,
    /// The fields by ascending number, which is the order of the output.
    pub(crate) fields: Box<[Field]>,
    /// The index of a field plus one, by field number; 0 if no field has the number.
    dense: Box<[u32]>,
    /// The index of a field plus one, by tag. Covers the field numbers in `dense`, with the wire types that a record
    /// can have.
    by_tag: Box<[u16]>,
    /// The field numbers beyond `dense` with the index of the field, sorted by number.
    sparse: Box<[(u32, u32)]>,
    /// The number of required fields.
    pub(crate) required: u32,
    /// Whether the message has fields that are written even if they are absent.
    pub(crate) has_defaults: bool,
    /// Whether the fast path cannot write the message, because it is a MessageSet or its oneofs do not fit in 64 bits.
    pub(crate) always_ordered: bool,
    pub(crate) is_message_set: bool,
    /// Whether the options treat the message differently in this place than elsewhere.
    pub(crate) has_rules: bool,
}

/// The JSON form of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// An object with the message's fields.
    Plain,
    Timestamp,
    Duration,
    FieldMask,
    Struct,
    Value,
    ListValue,
    /// The value of the only field.
    Wrapper,
    Any,
}

/// A field.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) number: u32,
    /// The wire type of one value.
    pub(crate) wire_type: u8,
    /// Whether the field is repeated and its values can be packed.
    pub(crate) is_packable: bool,
    /// Whether the field is repeated or a map.
    pub(crate) is_list: bool,
    pub(crate) role: Role,
    pub(crate) kind: Kind,
    /// Whether the field has no presence: a zero or empty value means the same as an absent field.
    pub(crate) is_implicit: bool,
    /// Whether a zero or empty value is left out.
    pub(crate) omits_zero: bool,
    pub(crate) is_required: bool,
    /// Whether the field is written with its default if it is absent.
    pub(crate) emits_default: bool,
    /// The bit of the field's oneof; 0 if it is in none.
    pub(crate) oneof: u64,
    /// The number of the field's oneof, counted from 1; 0 if it is in none.
    pub(crate) oneof_number: u32,
    /// The bytes `,"jsonName":`, escaped.
    pub(crate) key: Label,
    /// The name as declared, or the full name of an extension in brackets; for error messages.
    pub(crate) name: Box<str>,
}

/// The treatment of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Singular,
    Repeated,
    Map,
    /// The options drop the field.
    Dropped,
    /// The options redact the value.
    Redacted,
}

/// The kind of a value.
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
    String {
        /// Whether invalid UTF-8 is replaced by U+FFFD.
        lossy: bool,
    },
    Bytes,
    /// An enum written by name; the index in [`Program::enums`].
    Enum(u32),
    EnumNumber,
    /// The enum `google.protobuf.NullValue`.
    Null,
    Message(MessageIndex),
    /// A map entry; the index in [`Program::maps`].
    Map(u32),
}

impl Field {
    /// Returns the tag of one value.
    #[inline(always)]
    pub(crate) fn tag(&self) -> Tag {
        Tag::new(self.number, self.wire_type)
    }
}

impl Kind {
    /// Whether values of this kind can be packed.
    pub(crate) fn is_packable(self) -> bool {
        !matches!(self, Self::String { .. } | Self::Bytes | Self::Message(_) | Self::Map(_))
    }
}

/// The key and value of a map field.
#[derive(Debug)]
pub(crate) struct Map {
    pub(crate) key: Field,
    pub(crate) value: Field,
    /// The default of a missing value, if the values are numbers, bools or enums.
    pub(crate) default: u64,
}

/// An enum: number → quoted name.
#[derive(Debug)]
pub(crate) struct Enum {
    /// The names of the numbers from 0 on; `None` if a number has no name.
    dense: Box<[Option<Label>]>,
    /// The names of all other numbers, sorted by number.
    sparse: Box<[(i32, Label)]>,
}

impl Message {
    /// Returns the index of the field with this number.
    #[inline(always)]
    pub(crate) fn find(&self, number: u32) -> Option<u32> {
        match self.dense.get(number as usize) {
            Some(0) => None,
            Some(index) => Some(index - 1),
            None => self.find_sparse(number),
        }
    }

    /// Returns the index of the field that a record with this tag belongs to. Returns `None` if the tag is not in the
    /// table; the caller must then call [`Message::find`].
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
    /// Returns the numbers that have a name. Those in the dense table come first.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = i32> {
        let dense = self.dense.iter().zip(0..).filter_map(|(name, number)| name.as_ref().map(|_| number));
        dense.chain(self.sparse.iter().map(|(number, _)| *number))
    }

    /// Returns the quoted name of a number.
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
