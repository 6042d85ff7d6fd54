//! The records of a message of descriptor.proto, read one after the other without an object for the whole message.

use crate::wire::{self, Cursor, Tag};

/// The bytes are not a message of descriptor.proto.
#[derive(Debug)]
pub(in crate::schema) struct Malformed(pub(super) String);

/// The value of a record.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Value<'b> {
    Number(u64),
    Bytes(&'b [u8]),
    /// A fixed-width number or a group. No field of descriptor.proto that linking reads has these forms.
    Other,
}

/// Returns the field number and the value of each record, with the position of the value's first byte.
pub(super) fn records(bytes: &[u8]) -> impl Iterator<Item = Result<(u32, Value<'_>, usize), Malformed>> {
    let mut cursor = Cursor::new(bytes);
    std::iter::from_fn(move || {
        if cursor.is_at_end() {
            return None;
        }
        let record = record(&mut cursor).map_err(|failure| {
            cursor.at = cursor.end;
            Malformed(failure.into_error("FileDescriptorSet", usize::MAX).to_string())
        });
        Some(record)
    })
}

fn record<'b>(cursor: &mut Cursor<'b>) -> wire::Result<(u32, Value<'b>, usize)> {
    let tag: Tag = cursor.tag()?;
    let start = cursor.at;
    Ok(match tag.wire_type() {
        wire::VARINT => (tag.number(), Value::Number(cursor.varint()?), start),
        wire::LENGTH_DELIMITED => {
            let value = cursor.delimited()?;
            (tag.number(), Value::Bytes(value.rest()), value.at)
        }
        _ => {
            cursor.skip(tag, 0)?;
            (tag.number(), Value::Other, start)
        }
    })
}

/// Returns the values of the length-delimited records with this field number, with the position of each.
pub(super) fn of(bytes: &[u8], number: u32) -> impl Iterator<Item = Result<(&[u8], usize), Malformed>> {
    records(bytes).filter_map(move |record| match record {
        Ok((found, Value::Bytes(value), at)) if found == number => Some(Ok((value, at))),
        Ok(_) => None,
        Err(malformed) => Some(Err(malformed)),
    })
}

/// Reads a value as text.
pub(super) fn text(bytes: &[u8]) -> Result<&str, Malformed> {
    std::str::from_utf8(bytes).map_err(|_| Malformed("a name is not valid UTF-8".to_owned()))
}

/// Returns the text of the last record with this field number, or an empty text.
pub(super) fn last_text(bytes: &[u8], number: u32) -> Result<&str, Malformed> {
    of(bytes, number).try_fold("", |_, record| text(record?.0))
}

/// Decodes a message.
pub(super) fn decode<M: prost::Message + Default>(bytes: &[u8]) -> Result<M, Malformed> {
    M::decode(bytes).map_err(|error| Malformed(error.to_string()))
}

/// Decodes the field with this number as one message. Its records are merged, as the wire format requires.
pub(super) fn decode_field<M: prost::Message + Default>(bytes: &[u8], number: u32) -> Result<Option<M>, Malformed> {
    let mut merged = None::<M>;
    for record in of(bytes, number) {
        let result = merged.get_or_insert_default().merge(record?.0);
        result.map_err(|error| Malformed(error.to_string()))?;
    }
    Ok(merged)
}

/// The field numbers of descriptor.proto
/// (<https://github.com/protocolbuffers/protobuf/blob/main/src/google/protobuf/descriptor.proto>).
pub(super) mod tag {
    pub(in super::super) const SET_FILE: u32 = 1;

    pub(in super::super) const FILE_NAME: u32 = 1;
    pub(in super::super) const FILE_PACKAGE: u32 = 2;
    pub(in super::super) const FILE_DEPENDENCY: u32 = 3;
    pub(in super::super) const FILE_MESSAGE: u32 = 4;
    pub(in super::super) const FILE_ENUM: u32 = 5;
    pub(in super::super) const FILE_SERVICE: u32 = 6;
    pub(in super::super) const FILE_EXTENSION: u32 = 7;
    pub(in super::super) const FILE_OPTIONS: u32 = 8;
    pub(in super::super) const FILE_SOURCE_INFO: u32 = 9;
    pub(in super::super) const FILE_PUBLIC_DEPENDENCY: u32 = 10;
    pub(in super::super) const FILE_SYNTAX: u32 = 12;
    pub(in super::super) const FILE_EDITION: u32 = 14;

    pub(in super::super) const MESSAGE_NAME: u32 = 1;
    pub(in super::super) const MESSAGE_FIELD: u32 = 2;
    pub(in super::super) const MESSAGE_NESTED: u32 = 3;
    pub(in super::super) const MESSAGE_ENUM: u32 = 4;
    pub(in super::super) const MESSAGE_EXTENSION_RANGE: u32 = 5;
    pub(in super::super) const MESSAGE_EXTENSION: u32 = 6;
    pub(in super::super) const MESSAGE_OPTIONS: u32 = 7;
    pub(in super::super) const MESSAGE_ONEOF: u32 = 8;
    pub(in super::super) const MESSAGE_RESERVED_RANGE: u32 = 9;

    pub(in super::super) const ENUM_NAME: u32 = 1;
    pub(in super::super) const ENUM_VALUE: u32 = 2;
    pub(in super::super) const ENUM_OPTIONS: u32 = 3;
    pub(in super::super) const ENUM_RESERVED_RANGE: u32 = 4;

    pub(in super::super) const SERVICE_NAME: u32 = 1;

    pub(in super::super) const FIELD_NAME: u32 = 1;
    pub(in super::super) const FIELD_NUMBER: u32 = 3;
    pub(in super::super) const FIELD_JSON_NAME: u32 = 10;
    pub(in super::super) const SOURCE_LOCATION: u32 = 1;
}
