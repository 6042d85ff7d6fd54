//! Fields that the options leave out or hide. Their records are stepped over, but their taps are noted all the same: what
//! an event is routed by need not be shown to anyone.

use super::{Engine, Frame};
use crate::program::{Field, Kind, Role};
use crate::wire::{Cursor, LENGTH_DELIMITED, Result, Tag};

impl<'p> Engine<'p> {
    /// Steps over a run of records of a field that the options leave out or hide, the tag of the first read already.
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
            is_set = self.peep(index, field, tag.wire_type(), *cursor, frame)? || (is_set && field.is_list);
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

    /// Notes the taps of a value that is not shown, and says whether it would be shown otherwise.
    pub(super) fn peep(
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
        if !is_tapped && !field.omits_zero {
            return Ok(true);
        }
        let written = self.out.len();
        self.singular(index, field, &mut cursor, frame)?;
        let is_set = self.out.len() > written;
        self.out.truncate(written);
        Ok(is_set)
    }

    /// Writes what stands for the value of a redacted field; nothing for one that is left out.
    pub(super) fn redacted(&mut self, field: &Field) {
        if field.role == Role::Redacted {
            self.key(field);
            let is_text = field.kind == Kind::String && !field.is_list;
            if is_text {
                self.out.extend(b"\"[REDACTED]\"");
            } else {
                self.out.extend(b"null");
            }
        }
    }
}
