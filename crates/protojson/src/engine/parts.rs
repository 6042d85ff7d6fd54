//! Well-known types whose message comes in several parts.
//!
//! A message that holds other messages is read from its parts directly. A copy would be copied again at each level that
//! is split, and a hundred copies of a large payload could exist at a time. The other types hold a few scalars or
//! strings, so their parts are joined in a copy.

use std::ops::Range;

use super::map::Writing;
use super::wkt::AnyContent;
use super::{Engine, Frame};
use crate::error::Failure;
use crate::program::{Field, Kind, Message, Shape};
use crate::wire::{Cursor, MAX_DEPTH, Result};

impl<'p> Engine<'p> {
    /// Writes a message of a well-known type that is split over several records of a field. `run` is the range of these
    /// records in the list.
    pub(super) fn merged_well_known(
        &mut self,
        field: &'p Field,
        message: &'p Message,
        run: Range<usize>,
        payload: &[u8],
        frame: Frame<'p>,
    ) -> Result<()> {
        let start = self.scratch.records[run.start].at();
        if self.depth >= MAX_DEPTH {
            return Err(Failure::too_deep(start));
        }
        match message.shape {
            Shape::Struct => {
                self.out.push(b'{');
                let mut writing = Writing::new(&self.scratch.entries);
                self.parts(field, run, payload, |engine, part| engine.struct_entries(message, part, &mut writing))?;
                self.inside(|engine| engine.close_struct(message, payload, &mut writing))
            }
            Shape::ListValue => {
                self.out.push(b'[');
                let mut is_first = true;
                self.parts(field, run, payload, |engine, part| engine.list_elements(message, part, &mut is_first))?;
                self.out.push(b']');
                Ok(())
            }
            Shape::Value => {
                let base = self.scratch.records.len();
                self.parts(field, run, payload, |engine, part| engine.list(message, part, 0).map(drop))?;
                self.inside(|engine| engine.last_kind(message, base, payload))
            }
            Shape::Any => {
                let mut content = AnyContent::default();
                self.parts(field, run, payload, |engine, part| engine.any_content(part, &mut content))?;
                self.inside(|engine| engine.any_of(start, content))
            }
            Shape::Plain | Shape::Timestamp | Shape::Duration | Shape::FieldMask | Shape::Wrapper => {
                self.joined(field, run, payload, frame)
            }
        }
    }

    /// Runs `write` for the contents of a message, one level deeper.
    fn inside(&mut self, write: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        self.depth += 1;
        write(self)?;
        self.depth -= 1;
        Ok(())
    }

    /// Writes a message from a copy of its joined parts.
    fn joined(&mut self, field: &'p Field, run: Range<usize>, payload: &[u8], frame: Frame<'p>) -> Result<()> {
        let mut whole = Vec::new();
        self.parts(field, run, payload, |engine, part| {
            whole.extend_from_slice(part.rest());
            // Each part must be complete. Otherwise the next part could supply the rest of a truncated record.
            while !part.is_at_end() {
                let tag = part.tag()?;
                part.skip(tag, engine.depth)?;
            }
            Ok(())
        })?;
        self.whole_child(field, &whole, frame)
    }

    /// Writes the last kind of a Value that is set, or null if no kind is set. The records of the Value are the listed
    /// records from `base` on.
    pub(super) fn last_kind(&mut self, message: &'p Message, base: usize, payload: &[u8]) -> Result<()> {
        let records = &self.scratch.records[base..];
        let Some(last) = records.last().copied() else {
            self.out.extend(b"null");
            return Ok(());
        };
        let index = last.field();
        let field = &message.fields[index as usize];
        let count = match field.kind {
            // The records of the last uninterrupted run are merged.
            Kind::Message(_) => records.iter().rev().take_while(|record| record.field() == index).count(),
            _ => 1,
        };
        let (kept, end) = (self.scratch.records.len() - count, self.scratch.records.len());
        for at in base..kept {
            let replaced = self.scratch.records[at];
            let field = &message.fields[replaced.field() as usize];
            self.check(field, replaced.wire_type(), &mut Cursor::from(payload, replaced.at()), self.depth)
                .map_err(|failure| failure.within(&field.name))?;
        }
        let mut value = Cursor::from(payload, last.at());
        let written = match field.kind {
            Kind::Message(_) if count > 1 => self.merged(field, kept..end, payload, Frame::PLAIN),
            Kind::Double if !f64::from_bits(value.clone().fixed64()?).is_finite() => Err(Failure::unrenderable(
                value.at,
                "number_value of Value is NaN or infinite, which a JSON number cannot express",
            )),
            _ => self.element(index, field, &mut value),
        };
        self.scratch.records.truncate(base);
        written.map_err(|failure| failure.within(&field.name))
    }
}
