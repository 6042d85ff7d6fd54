//! Single values: from wire to text.

use super::Engine;
use crate::error::Failure;
use crate::program::{Field, Kind};
use crate::text;
use crate::wire::{Cursor, FIXED32, FIXED64, Result};

/// Reads one number, bool or enum value, in its own width: 32-bit kinds are cut to 32 bits before anything else looks at
/// them, so that what is zero is decided on the value that counts.
#[inline(always)]
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
    /// Writes a number, bool or enum value as [`read`] returns it.
    #[inline(always)]
    pub(super) fn number(&mut self, kind: Kind, bits: u64) {
        match kind {
            Kind::Int64 { quoted: true } | Kind::Sint64 { quoted: true } => {
                text::quoted_integer(self.out, bits.cast_signed());
            }
            Kind::Int64 { quoted: false } | Kind::Sint64 { quoted: false } => {
                text::integer(self.out, bits.cast_signed());
            }
            Kind::Uint64 { quoted: true } => text::quoted_integer(self.out, bits),
            Kind::Uint64 { quoted: false } => text::integer(self.out, bits),
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 | Kind::EnumNumber => {
                text::integer(self.out, (bits as u32).cast_signed());
            }
            Kind::Uint32 => text::integer(self.out, bits as u32),
            Kind::Bool => self.out.extend_from_slice(if bits == 0 { b"false" } else { b"true" }),
            Kind::Double => text::double(self.out, f64::from_bits(bits)),
            Kind::Float => text::single(self.out, f32::from_bits(bits as u32)),
            Kind::Null => self.out.extend_from_slice(b"null"),
            Kind::Enum(index) => {
                let number = (bits as u32).cast_signed();
                match self.program.enums[index as usize].name(number) {
                    Some(name) => self.out.extend_from_slice(name),
                    None => text::integer(self.out, number),
                }
            }
            // Not numbers; whoever matches on the kind before does not come here with them.
            Kind::String | Kind::Bytes | Kind::Message(_) | Kind::Map(_) => {}
        }
    }

    /// Writes a string or bytes.
    #[inline(always)]
    pub(super) fn text(&mut self, kind: Kind, value: Cursor<'_>) -> Result<()> {
        if kind == Kind::Bytes {
            text::base64(self.out, value.rest(), self.program.base64_url);
            return Ok(());
        }
        text::string(self.out, value.rest()).map_err(|offset| Failure::not_utf8(value.at + offset))
    }

    /// Writes packed values, at least one.
    pub(super) fn packed(&mut self, field: &Field, packed: &mut Cursor<'_>) -> Result<()> {
        loop {
            let bits = read(field, packed)?;
            self.number(field.kind, bits);
            if packed.is_at_end() {
                return Ok(());
            }
            self.out.push(b',');
        }
    }
}
