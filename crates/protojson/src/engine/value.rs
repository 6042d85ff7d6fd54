//! Single values, from wire bytes to JSON text.

use super::{Engine, Frame};
use crate::error::Failure;
use crate::output::Pen;
use crate::program::{Field, Kind};
use crate::text::{self, Unwritten};
use crate::wire::{Cursor, FIXED32, FIXED64, Result};

/// Reads one number, bool or enum value. The value of a 32-bit kind is truncated to 32 bits first, so that the test for
/// zero sees the truncated value.
#[cfg_attr(not(debug_assertions), inline(always))]
pub(super) fn read(field: &Field, cursor: &mut Cursor<'_>) -> Result<u64> {
    Ok(match field.wire_type {
        FIXED64 => cursor.fixed64()?,
        FIXED32 => u64::from(cursor.fixed32()?),
        _ => from_varint(field.kind, cursor.varint()?),
    })
}

#[inline(always)]
fn from_varint(kind: Kind, value: u64) -> u64 {
    match kind {
        Kind::Int64 { .. } | Kind::Uint64 { .. } => value,
        Kind::Sint64 { .. } => (value >> 1) ^ (value & 1).wrapping_neg(),
        Kind::Bool => u64::from(value != 0),
        Kind::Sint32 => {
            let value = value as u32;
            u64::from((value >> 1) ^ (value & 1).wrapping_neg())
        }
        _ => u64::from(value as u32),
    }
}

impl Engine<'_> {
    /// Writes a number, bool or enum value in the form that [`read`] returns.
    #[cfg_attr(not(debug_assertions), inline(always))]
    pub(super) fn number(&mut self, kind: Kind, bits: u64) {
        let Kind::Enum(index) = kind else {
            let mut pen = self.out.pen();
            number(&mut pen, kind, bits);
            let len = pen.len();
            return self.out.advance(len);
        };
        let number = (bits as u32).cast_signed();
        match self.program.enums[index as usize].name(number) {
            Some(label) => self.out.label(label),
            None => self.out.write(|pen| text::integer(pen, i64::from(number))),
        }
    }

    /// Writes a string or bytes. `index` is the index of the field in the message that has this frame.
    #[cfg_attr(not(debug_assertions), inline(always))]
    pub(super) fn text(&mut self, field: &Field, value: Cursor<'_>, index: u32, frame: Frame<'_>) -> Result<()> {
        let written = if field.kind == Kind::Bytes {
            text::bytes(&mut self.out, value.rest(), self.program.bytes)
        } else {
            text::string(&mut self.out, value.bytes, value.at, value.end)
        };
        written.or_else(|error| self.unwritten_text(field, value, error, (index, frame)))
    }

    /// Writes a string that is not UTF-8 with replacements, if its kind allows that and the field has no tap. With a
    /// tap, the ids of two events could become equal.
    ///
    /// # Errors
    /// Returns the error of the text otherwise.
    #[cold]
    #[inline(never)]
    fn unwritten_text(
        &mut self,
        field: &Field,
        value: Cursor<'_>,
        error: Unwritten,
        (index, frame): (u32, Frame<'_>),
    ) -> Result<()> {
        match (field.kind, error) {
            (Kind::String { lossy: true }, Unwritten::NotUtf8(_)) if frame.leaf(index).is_none() => {
                text::lossy_string(&mut self.out, value.rest()).map_err(|error| unwritten(error, value.at))
            }
            _ => Err(unwritten(error, value.at)),
        }
    }

    /// Writes at least one packed value.
    pub(super) fn packed(&mut self, field: &Field, packed: &mut Cursor<'_>) -> Result<()> {
        let is_varint = !matches!(field.wire_type, FIXED32 | FIXED64);
        // The kinds that often come in large numbers have a loop of their own.
        match field.kind {
            Kind::Double => self.each(packed, Cursor::fixed64, |pen, bits| text::double(pen, f64::from_bits(bits))),
            Kind::Float => self.each(packed, Cursor::fixed32, |pen, bits| text::single(pen, f32::from_bits(bits))),
            Kind::Int32 if is_varint => self.each_varint(packed, |pen, value| {
                text::integer(pen, i64::from(value as i32));
            }),
            Kind::Sint32 => self.each_varint(packed, |pen, value| {
                text::integer(pen, i64::from((from_varint(Kind::Sint32, value) as u32).cast_signed()));
            }),
            Kind::Int64 { quoted: true } if is_varint => self.each_varint(packed, |pen, value| {
                text::quoted_integer(pen, value.cast_signed());
            }),
            Kind::Uint64 { quoted: true } if is_varint => self.each_varint(packed, text::quoted_unsigned),
            kind => {
                let mut rest = *packed;
                loop {
                    let bits = read(field, &mut rest)?;
                    self.number(kind, bits);
                    self.within_limit(rest.at)?;
                    if rest.is_at_end() {
                        return Ok(());
                    }
                    self.out.push(b',');
                }
            }
        }
    }

    #[inline(always)]
    fn each_varint(&mut self, packed: &Cursor<'_>, write: impl Fn(&mut Pen<'_>, u64)) -> Result<()> {
        self.each(packed, Cursor::long_varint, write)
    }

    #[inline(always)]
    fn each<'w, T>(
        &mut self,
        packed: &Cursor<'w>,
        read: impl Fn(&mut Cursor<'w>) -> Result<T>,
        write: impl Fn(&mut Pen<'_>, T),
    ) -> Result<()> {
        let mut rest = *packed;
        let is_complete = self.out.write_all(|pen| -> Result<bool> {
            write(pen, read(&mut rest)?);
            pen.put(b",");
            Ok(!rest.is_at_end())
        })?;
        if !is_complete {
            return Err(Failure::over_limit(rest.at));
        }
        self.out.truncate(self.out.len() - 1);
        Ok(())
    }
}

/// Returns the error for a text that starts at this position.
#[cold]
pub(super) fn unwritten(error: Unwritten, at: usize) -> Box<Failure> {
    match error {
        Unwritten::NotUtf8(valid) => Failure::not_utf8(at + valid),
        Unwritten::OverLimit => Failure::over_limit(at),
    }
}

/// Writes a number, bool or enum value in the form that [`read`] returns.
#[inline(always)]
fn number(pen: &mut Pen<'_>, kind: Kind, bits: u64) {
    match kind {
        Kind::Int64 { quoted } | Kind::Sint64 { quoted } => {
            pen.chunk(b"\"", usize::from(quoted));
            text::integer(pen, bits.cast_signed());
            pen.chunk(b"\"", usize::from(quoted));
        }
        Kind::Uint64 { quoted } => {
            pen.chunk(b"\"", usize::from(quoted));
            text::unsigned(pen, bits);
            pen.chunk(b"\"", usize::from(quoted));
        }
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 | Kind::EnumNumber => {
            text::integer(pen, i64::from((bits as u32).cast_signed()));
        }
        Kind::Uint32 => text::unsigned(pen, bits),
        Kind::Bool => {
            if bits == 0 {
                pen.put(b"false");
            } else {
                pen.put(b"true");
            }
        }
        Kind::Double => text::double(pen, f64::from_bits(bits)),
        Kind::Float => text::single(pen, f32::from_bits(bits as u32)),
        Kind::Null => pen.put(b"null"),
        // These are not numbers. All callers handle them before they call this function.
        Kind::Enum(_) | Kind::String { .. } | Kind::Bytes | Kind::Message(_) | Kind::Map(_) => {}
    }
}
