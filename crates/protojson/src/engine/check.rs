//! Checks of records that a later record replaces. Such a record is not written, but it must still be well-formed:
//! whether a payload is refused must not depend on the order of its records.
//!
//! These checks cover only the wire format and UTF-8. Whether a value has a JSON form and whether required fields are
//! present is decided after merging, for the records that remain.

use super::{Engine, accept, end_of_group, value};
use crate::error::Failure;
use crate::program::{Field, Kind, Map, Message};
use crate::wire::{Cursor, END_GROUP, LENGTH_DELIMITED, MAX_DEPTH, Result, START_GROUP};

impl Engine<'_> {
    /// Checks one record of a field that a later record replaces, in a message at this depth. The tag was already read.
    #[cold]
    pub(super) fn check(&self, field: &Field, wire_type: u8, cursor: &mut Cursor<'_>, depth: usize) -> Result<()> {
        match field.kind {
            Kind::String { lossy: false } => {
                let value = cursor.delimited()?;
                std::str::from_utf8(value.rest())
                    .map_err(|error| Failure::not_utf8(value.at + error.valid_up_to()))
                    .map(drop)
            }
            Kind::String { .. } | Kind::Bytes => cursor.delimited().map(drop),
            Kind::Message(_) if depth >= MAX_DEPTH => Err(Failure::too_deep(cursor.at)),
            Kind::Message(index) => {
                let message = &self.program.messages[index as usize];
                if field.wire_type == START_GROUP {
                    return self.check_message(message, cursor, field.number, depth + 1);
                }
                self.check_message(message, &mut cursor.delimited()?, 0, depth + 1)
            }
            Kind::Map(index) => self.check_entry(&self.program.maps[index as usize], &mut cursor.delimited()?, depth),
            _ if wire_type == LENGTH_DELIMITED => {
                let mut packed = cursor.delimited()?;
                while !packed.is_at_end() {
                    value::read(field, &mut packed)?;
                }
                Ok(())
            }
            _ => value::read(field, cursor).map(drop),
        }
    }

    fn check_message(&self, message: &Message, cursor: &mut Cursor<'_>, group: u32, depth: usize) -> Result<()> {
        let start = cursor.at;
        while !cursor.is_at_end() {
            let at = cursor.at;
            let tag = cursor.tag()?;
            if let Some((_, field)) = accept(message, tag) {
                self.check(field, tag.wire_type(), cursor, depth).map_err(|failure| failure.within(&field.name))?;
            } else if tag.wire_type() == END_GROUP {
                return end_of_group(tag, group, at);
            } else {
                cursor.skip(tag, depth)?;
            }
        }
        if group == 0 { Ok(()) } else { Err(Failure::malformed(start, "group has no end")) }
    }

    /// Checks the known fields of a message up to the position `end`.
    #[cold]
    pub(super) fn check_known(&self, message: &Message, mut cursor: Cursor<'_>, end: usize) -> Result<()> {
        while cursor.at < end {
            let tag = cursor.tag()?;
            match accept(message, tag) {
                Some((_, field)) => self
                    .check(field, tag.wire_type(), &mut cursor, self.depth)
                    .map_err(|failure| failure.within(&field.name))?,
                None => cursor.skip(tag, self.depth)?,
            }
        }
        Ok(())
    }

    /// Checks one map entry.
    pub(super) fn check_entry(&self, map: &Map, entry: &mut Cursor<'_>, depth: usize) -> Result<()> {
        while !entry.is_at_end() {
            let tag = entry.tag()?;
            let part = [&map.key, &map.value]
                .into_iter()
                .find(|part| part.number == tag.number() && part.wire_type == tag.wire_type());
            match part {
                Some(part) => self.check(part, tag.wire_type(), entry, depth)?,
                None => entry.skip(tag, depth)?,
            }
        }
        Ok(())
    }
}
