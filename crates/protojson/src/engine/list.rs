//! Repeated fields, whose elements come one per record, packed, or mixed.

use super::{Engine, Frame, value};
use crate::program::{Field, Kind};
use crate::wire::{Cursor, LENGTH_DELIMITED, Result, Tag};

/// The state of a list while it is written.
pub(super) struct List {
    pub(super) is_open: bool,
}

impl<'p> Engine<'p> {
    /// Writes consecutive records of a repeated field. The tag of the first record was already read.
    pub(super) fn repeated(&mut self, index: u32, field: &'p Field, tag: Tag, cursor: &mut Cursor<'_>) -> Result<()> {
        let mut list = List { is_open: false };
        loop {
            self.elements(index, field, tag.wire_type(), cursor, &mut list)?;
            self.within_limit(cursor.at)?;
            if !cursor.eat(tag) {
                break;
            }
        }
        self.close(field, &list);
        Ok(())
    }

    /// Writes the contents of one record of a repeated field: one value or many packed values.
    #[cfg_attr(not(debug_assertions), inline(always))]
    pub(super) fn elements(
        &mut self,
        index: u32,
        field: &'p Field,
        wire_type: u8,
        cursor: &mut Cursor<'_>,
        list: &mut List,
    ) -> Result<()> {
        if wire_type == LENGTH_DELIMITED && field.is_packable {
            let mut packed = cursor.delimited()?;
            if packed.is_at_end() {
                return Ok(());
            }
            self.open(field, list);
            return self.packed(field, &mut packed);
        }
        self.open(field, list);
        self.element(index, field, cursor)
    }

    /// Writes one value of a repeated field or a map.
    #[cfg_attr(not(debug_assertions), inline(always))]
    pub(super) fn element(&mut self, index: u32, field: &'p Field, cursor: &mut Cursor<'_>) -> Result<()> {
        match field.kind {
            Kind::Message(_) => self.child(field, cursor, Frame::PLAIN.inside(index, field)),
            Kind::String { .. } | Kind::Bytes => {
                let value = cursor.delimited()?;
                self.text(field, value, index, Frame::PLAIN)
            }
            _ => {
                let bits = value::read(field, cursor)?;
                self.number(field.kind, bits);
                Ok(())
            }
        }
    }

    #[inline(always)]
    pub(super) fn open(&mut self, field: &Field, list: &mut List) {
        if list.is_open {
            self.out.push(b',');
        } else {
            self.key(field);
            self.out.push(b'[');
            list.is_open = true;
        }
    }

    #[inline(always)]
    pub(super) fn close(&mut self, field: &Field, list: &List) {
        if list.is_open {
            self.out.push(b']');
        } else if field.emits_default {
            self.key(field);
            self.out.extend(b"[]");
        }
    }
}
