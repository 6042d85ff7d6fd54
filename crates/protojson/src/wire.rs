//! The wire format, read forward: tags, varints, fixed-width values, lengths, and skipping what is not wanted.
//!
//! A [`Cursor`] reads a slice that ends where the message ends, so every bound is the slice's own. Positions count
//! from the start of the payload, which is what error messages show.

use crate::error::Failure;

/// Wire types (<https://protobuf.dev/programming-guides/encoding/#structure>).
pub(crate) const VARINT: u8 = 0;
pub(crate) const FIXED64: u8 = 1;
pub(crate) const LENGTH_DELIMITED: u8 = 2;
pub(crate) const START_GROUP: u8 = 3;
pub(crate) const END_GROUP: u8 = 4;
pub(crate) const FIXED32: u8 = 5;

/// Levels of nested messages and groups beyond which a payload is refused; what the other implementations use.
pub(crate) const MAX_DEPTH: usize = 100;

/// A place in a payload, and where the message around it ends.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cursor<'w> {
    pub(crate) bytes: &'w [u8],
    pub(crate) at: usize,
}

pub(crate) type Result<T> = std::result::Result<T, Box<Failure>>;

/// Field number and wire type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tag(u32);

impl Tag {
    #[inline(always)]
    pub(crate) fn number(self) -> u32 {
        self.0 >> 3
    }

    #[inline(always)]
    pub(crate) fn wire_type(self) -> u8 {
        (self.0 & 7) as u8
    }
}

impl<'w> Cursor<'w> {
    pub(crate) fn new(bytes: &'w [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    #[inline(always)]
    pub(crate) fn is_at_end(&self) -> bool {
        self.at == self.bytes.len()
    }

    #[inline(always)]
    pub(crate) fn tag(&mut self) -> Result<Tag> {
        let start = self.at;
        let value = self.varint()?;
        // Also refuses the wire types 6 and 7, which do not exist.
        if value < 8 || value > u64::from(u32::MAX) || value & 7 > 5 {
            return Err(bad_tag(start, value));
        }
        Ok(Tag(value as u32))
    }

    /// Steps over the next tag if it is this one.
    #[inline(always)]
    pub(crate) fn eat(&mut self, tag: Tag) -> bool {
        let mut ahead = *self;
        // Tags of one and two bytes cover the field numbers up to 2047.
        if tag.0 < 0x80 {
            if ahead.bytes.get(ahead.at).is_some_and(|byte| u32::from(*byte) == tag.0) {
                self.at += 1;
                return true;
            }
            return false;
        }
        if !ahead.is_at_end() && ahead.tag().is_ok_and(|next| next == tag) {
            *self = ahead;
            return true;
        }
        false
    }

    #[inline(always)]
    pub(crate) fn varint(&mut self) -> Result<u64> {
        match self.bytes.get(self.at) {
            Some(byte) if *byte < 0x80 => {
                self.at += 1;
                Ok(u64::from(*byte))
            }
            _ => self.long_varint(),
        }
    }

    #[inline]
    fn long_varint(&mut self) -> Result<u64> {
        const MAX_BYTES: usize = 10;
        let rest = &self.bytes[self.at..];
        let mut value = 0u64;
        for (index, byte) in rest.iter().take(MAX_BYTES).enumerate() {
            value |= u64::from(byte & 0x7f) << (7 * index);
            if *byte < 0x80 {
                if index == MAX_BYTES - 1 && *byte > 1 {
                    return Err(Failure::malformed(self.at, "varint is longer than 64 bits"));
                }
                self.at += index + 1;
                return Ok(value);
            }
        }
        let message =
            if rest.len() >= MAX_BYTES { "varint is longer than 64 bits" } else { "varint runs past the end" };
        Err(Failure::malformed(self.at, message))
    }

    #[inline(always)]
    pub(crate) fn fixed32(&mut self) -> Result<u32> {
        match self.bytes[self.at..].first_chunk::<4>() {
            Some(bytes) => {
                self.at += 4;
                Ok(u32::from_le_bytes(*bytes))
            }
            None => Err(Failure::malformed(self.at, "32-bit value runs past the end")),
        }
    }

    #[inline(always)]
    pub(crate) fn fixed64(&mut self) -> Result<u64> {
        match self.bytes[self.at..].first_chunk::<8>() {
            Some(bytes) => {
                self.at += 8;
                Ok(u64::from_le_bytes(*bytes))
            }
            None => Err(Failure::malformed(self.at, "64-bit value runs past the end")),
        }
    }

    /// The length-delimited value that starts here, as a cursor of its own; this one goes on behind it.
    #[inline(always)]
    pub(crate) fn delimited(&mut self) -> Result<Cursor<'w>> {
        let start = self.at;
        let length = self.varint()?;
        let left = self.bytes.len() - self.at;
        if length > left as u64 {
            return Err(past_the_end(start, length, left));
        }
        let inner = Cursor { bytes: &self.bytes[..self.at + length as usize], at: self.at };
        self.at += length as usize;
        Ok(inner)
    }

    /// What is left, as bytes.
    #[inline(always)]
    pub(crate) fn rest(&self) -> &'w [u8] {
        &self.bytes[self.at..]
    }

    /// Steps over a value that follows a tag.
    pub(crate) fn skip(&mut self, tag: Tag, depth: usize) -> Result<()> {
        match tag.wire_type() {
            VARINT => self.varint().map(drop),
            FIXED64 => self.fixed64().map(drop),
            FIXED32 => self.fixed32().map(drop),
            LENGTH_DELIMITED => self.delimited().map(drop),
            START_GROUP => self.group(tag.number(), depth).map(drop),
            _ => Err(Failure::malformed(self.at, "end-group without a group")),
        }
    }

    /// The group that starts here, its start tag read already, in a message at this depth; as a cursor of its own
    /// without the end tag. This one goes on behind it.
    pub(crate) fn group(&mut self, number: u32, depth: usize) -> Result<Cursor<'w>> {
        let start = self.at;
        if depth >= MAX_DEPTH {
            return Err(Failure::too_deep(start));
        }
        let mut open = [0u32; MAX_DEPTH];
        let mut levels = 1;
        open[0] = number;
        loop {
            if self.is_at_end() {
                return Err(Failure::malformed(start, "group has no end"));
            }
            let end = self.at;
            let tag = self.tag()?;
            match tag.wire_type() {
                START_GROUP => {
                    if depth + levels >= MAX_DEPTH {
                        return Err(Failure::too_deep(end));
                    }
                    open[levels] = tag.number();
                    levels += 1;
                }
                END_GROUP => {
                    levels -= 1;
                    if open[levels] != tag.number() {
                        return Err(Failure::malformed(end, "end-group of another group"));
                    }
                    if levels == 0 {
                        return Ok(Cursor { bytes: &self.bytes[..end], at: start });
                    }
                }
                _ => self.skip(tag, depth)?,
            }
        }
    }
}

#[cold]
fn bad_tag(at: usize, value: u64) -> Box<Failure> {
    Failure::malformed(
        at,
        if value >> 3 == 0 {
            "field number 0"
        } else if value > u64::from(u32::MAX) {
            "field number is too large"
        } else {
            "there is no such wire type"
        },
    )
}

#[cold]
fn past_the_end(at: usize, length: u64, left: usize) -> Box<Failure> {
    Failure::malformed(at, format!("length {length} runs past the end, {left} bytes are left"))
}
