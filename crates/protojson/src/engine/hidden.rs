//! Fields that the options drop or redact. Their records are skipped, but their taps are still recorded: a field that
//! routes an event need not be visible in the JSON.

use super::{Effort, Engine, Frame, value};
use crate::program::{Field, Kind, Role};
use crate::wire::{Cursor, LENGTH_DELIMITED, Result, Tag};

impl<'p> Engine<'p> {
    /// Skips consecutive records of a field that the options drop or redact. The tag of the first record was already
    /// read.
    #[cold]
    pub(super) fn hidden(
        &mut self,
        index: u32,
        field: &'p Field,
        tag: Tag,
        cursor: &mut Cursor<'_>,
        frame: Frame<'p>,
    ) -> Result<()> {
        let mut is_set = false;
        loop {
            is_set = self.inspect_hidden(index, field, tag.wire_type(), *cursor, frame)? || (is_set && field.is_list);
            cursor.skip(tag, self.depth)?;
            if !cursor.eat(tag) {
                break;
            }
        }
        if is_set {
            self.redacted(field);
        }
        Ok(())
    }

    /// Records the taps of a hidden value, and returns whether the value would be written if it were not hidden.
    pub(super) fn inspect_hidden(
        &mut self,
        index: u32,
        field: &'p Field,
        wire_type: u8,
        mut cursor: Cursor<'_>,
        frame: Frame<'p>,
    ) -> Result<bool> {
        if field.is_packable && wire_type == LENGTH_DELIMITED {
            return Ok(!cursor.delimited()?.is_at_end());
        }
        let is_tapped = frame.node.is_some_and(|node| node.touches(index));
        match field.kind {
            _ if is_tapped => self.inspect_tapped(index, field, &mut cursor, frame),
            _ if !field.omits_zero => Ok(true),
            Kind::String { .. } | Kind::Bytes => {
                self.check(field, wire_type, &mut { cursor }, self.depth)?;
                Ok(!cursor.delimited()?.is_at_end())
            }
            _ => Ok(value::read(field, &mut cursor)? != 0),
        }
    }

    /// Records the taps of a hidden value like [`Engine::inspect_hidden`]. The value is written and removed again. Only
    /// the values of taps are written, so the memory is bounded by the payload and the limit need not apply.
    fn inspect_tapped(
        &mut self,
        index: u32,
        field: &'p Field,
        cursor: &mut Cursor<'_>,
        frame: Frame<'p>,
    ) -> Result<bool> {
        let effort = std::mem::replace(&mut self.effort, Effort::taps_only());
        let limit = self.out.replace_limit(usize::MAX);
        let written = self.out.len();
        self.singular(index, field, cursor, frame)?;
        let is_set = self.out.len() > written;
        self.out.truncate(written);
        self.out.replace_limit(limit);
        self.effort = effort;
        Ok(is_set)
    }

    /// Writes the replacement for the value of a redacted field. Writes nothing for a dropped field.
    pub(super) fn redacted(&mut self, field: &Field) {
        if field.role == Role::Redacted {
            self.key(field);
            let is_text = matches!(field.kind, Kind::String { .. }) && !field.is_list;
            if is_text {
                self.out.extend(b"\"[REDACTED]\"");
            } else {
                self.out.extend(b"null");
            }
        }
    }
}
