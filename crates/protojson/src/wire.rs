//! The forward reader of the wire format: tags, varints, fixed-width values, lengths, and skipping of unused values.
//!
//! A [`Cursor`] ends at the end of its message, which bounds every read. Positions count from the start of the payload,
//! as error messages show them.

use crate::error::Failure;

/// The wire types (<https://protobuf.dev/programming-guides/encoding/#structure>).
pub(crate) const VARINT: u8 = 0;
pub(crate) const FIXED64: u8 = 1;
pub(crate) const LENGTH_DELIMITED: u8 = 2;
pub(crate) const START_GROUP: u8 = 3;
pub(crate) const END_GROUP: u8 = 4;
pub(crate) const FIXED32: u8 = 5;

/// The maximum depth of nested messages and groups; deeper payloads are refused. Other implementations use the same
/// limit.
pub(crate) const MAX_DEPTH: usize = 100;

/// A position in a payload, and the end of the message around it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cursor<'w> {
    /// The whole payload, so that a copy of a fixed-size chunk can read past the end of the message.
    pub(crate) bytes: &'w [u8],
    pub(crate) at: usize,
    /// The end of the message.
    pub(crate) end: usize,
}

pub(crate) type Result<T> = std::result::Result<T, Box<Failure>>;

/// A field number with a wire type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tag(pub(crate) u32);

impl Tag {
    #[inline(always)]
    pub(crate) fn new(number: u32, wire_type: u8) -> Self {
        Self(number << 3 | u32::from(wire_type))
    }

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
        Self { bytes, at: 0, end: bytes.len() }
    }

    /// Starts at a position in a payload.
    pub(crate) fn from(bytes: &'w [u8], at: usize) -> Self {
        Self { bytes, at, end: bytes.len() }
    }

    #[inline(always)]
    pub(crate) fn is_at_end(&self) -> bool {
        self.at == self.end
    }

    #[inline(always)]
    pub(crate) fn tag(&mut self) -> Result<Tag> {
        let start = self.at;
        let value = self.varint()?;
        // The check also refuses the wire types 6 and 7, which do not exist.
        if value < 8 || value > u64::from(u32::MAX) || value & 7 > 5 {
            return Err(bad_tag(start, value));
        }
        Ok(Tag(value as u32))
    }

    /// Returns the next tag and the position behind it, if the tag has one or two bytes. The caller must check the tag
    /// and move the cursor.
    #[inline(always)]
    pub(crate) fn short_tag(&self) -> Option<(u32, usize)> {
        match self.bytes.get(self.at..)? {
            [first, ..] if *first < 0x80 => Some((u32::from(*first), self.at + 1)),
            [first, second, ..] if *second < 0x80 && self.at + 1 < self.end => {
                Some((u32::from(first & 0x7f) | u32::from(*second) << 7, self.at + 2))
            }
            _ => None,
        }
    }

    /// Returns the position of the value, if this is the next tag.
    #[inline(always)]
    pub(crate) fn behind(mut self, tag: Tag) -> Option<Self> {
        self.eat(tag).then_some(self)
    }

    /// Returns the position behind a value of this wire type. Returns `None` for a group or a malformed value.
    #[inline(always)]
    pub(crate) fn behind_value(mut self, wire_type: u8) -> Option<Self> {
        match wire_type {
            VARINT => self.varint().ok().map(drop),
            LENGTH_DELIMITED => self.delimited().ok().map(drop),
            FIXED32 => self.fixed32().ok().map(drop),
            FIXED64 => self.fixed64().ok().map(drop),
            _ => None,
        }?;
        Some(self)
    }

    /// Moves behind the next tag, if it is this one.
    #[inline(always)]
    pub(crate) fn eat(&mut self, tag: Tag) -> bool {
        let mut ahead = *self;
        // Tags of at most two bytes cover the field numbers up to 2047.
        if tag.0 < 0x80 {
            if ahead.at < ahead.end && ahead.bytes.get(ahead.at).is_some_and(|byte| u32::from(*byte) == tag.0) {
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

    #[cfg_attr(not(debug_assertions), inline(always))]
    pub(crate) fn varint(&mut self) -> Result<u64> {
        match self.bytes.get(self.at) {
            Some(byte) if *byte < 0x80 && self.at < self.end => {
                self.at += 1;
                Ok(u64::from(*byte))
            }
            _ => self.long_varint(),
        }
    }

    /// Reads a varint like [`Cursor::varint`], but is faster if most varints are longer than one byte.
    #[cfg_attr(not(debug_assertions), inline(always))]
    pub(crate) fn long_varint(&mut self) -> Result<u64> {
        if let Some(bytes) = self.bytes.get(self.at..).and_then(|rest| rest.first_chunk::<8>()) {
            let bytes = u64::from_le_bytes(*bytes);
            // The highest bit of the first byte that ends a varint.
            let stop = !bytes & 0x8080_8080_8080_8080;
            let length = stop.trailing_zeros() as usize / 8 + 1;
            if stop != 0 && length <= self.end - self.at {
                self.at += length;
                return Ok(join(bytes & (stop ^ stop.wrapping_sub(1))));
            }
        }
        let (value, at) = slow_varint(self.rest(), self.at)?;
        self.at = at;
        Ok(value)
    }

    #[inline(always)]
    pub(crate) fn fixed32(&mut self) -> Result<u32> {
        match self.rest().first_chunk::<4>() {
            Some(bytes) => {
                self.at += 4;
                Ok(u32::from_le_bytes(*bytes))
            }
            None => Err(Failure::malformed(self.at, "32-bit value runs past the end")),
        }
    }

    #[inline(always)]
    pub(crate) fn fixed64(&mut self) -> Result<u64> {
        match self.rest().first_chunk::<8>() {
            Some(bytes) => {
                self.at += 8;
                Ok(u64::from_le_bytes(*bytes))
            }
            None => Err(Failure::malformed(self.at, "64-bit value runs past the end")),
        }
    }

    /// Returns a cursor over the length-delimited value that starts here, and moves this cursor behind the value.
    #[inline(always)]
    pub(crate) fn delimited(&mut self) -> Result<Cursor<'w>> {
        let start = self.at;
        let length = self.varint()?;
        let left = self.end - self.at;
        if length > left as u64 {
            return Err(past_the_end(start, length, left));
        }
        let inner = Cursor { end: self.at + length as usize, ..*self };
        self.at += length as usize;
        Ok(inner)
    }

    /// Returns the remaining bytes.
    #[inline(always)]
    pub(crate) fn rest(&self) -> &'w [u8] {
        &self.bytes[self.at..self.end]
    }

    /// Moves behind a value whose tag was already read.
    #[inline(always)]
    pub(crate) fn skip(&mut self, tag: Tag, depth: usize) -> Result<()> {
        match tag.wire_type() {
            VARINT => self.varint().map(drop),
            FIXED64 => self.fixed64().map(drop),
            FIXED32 => self.fixed32().map(drop),
            LENGTH_DELIMITED => self.delimited().map(drop),
            START_GROUP => {
                let mut moved = *self;
                moved.group(tag.number(), depth)?;
                self.at = moved.at;
                Ok(())
            }
            _ => Err(Failure::malformed(self.at, "end-group without a group")),
        }
    }

    /// Returns a cursor over the group that starts here, without its end tag, and moves this cursor behind the end tag.
    /// The start tag was already read; `depth` is the depth of the message around the group.
    #[inline(never)]
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
                        return Ok(Cursor { at: start, end, ..*self });
                    }
                }
                _ => {
                    let mut moved = *self;
                    moved.skip(tag, depth)?;
                    self.at = moved.at;
                }
            }
        }
    }
}

/// Reads a varint that is near the end of a payload, long or malformed. Returns its value and the position behind it.
#[cold]
#[inline(never)]
fn slow_varint(rest: &[u8], at: usize) -> Result<(u64, usize)> {
    const MAX_BYTES: usize = 10;
    let mut value = 0u64;
    for (index, byte) in rest.iter().take(MAX_BYTES).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if *byte < 0x80 {
            if index == MAX_BYTES - 1 && *byte > 1 {
                return Err(Failure::malformed(at, "varint is longer than 64 bits"));
            }
            return Ok((value, at + index + 1));
        }
    }
    let message = if rest.len() >= MAX_BYTES { "varint is longer than 64 bits" } else { "varint runs past the end" };
    Err(Failure::malformed(at, message))
}

/// Joins the lower seven bits of each of the eight bytes.
#[inline(always)]
fn join(bytes: u64) -> u64 {
    let pairs = (bytes & 0x007f_007f_007f_007f) | ((bytes & 0x7f00_7f00_7f00_7f00) >> 1);
    let fours = (pairs & 0x0000_3fff_0000_3fff) | ((pairs & 0x3fff_0000_3fff_0000) >> 2);
    (fours & 0x0fff_ffff) | ((fours & 0x0fff_ffff_0000_0000) >> 4)
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
            "unknown wire type"
        },
    )
}

#[cold]
fn past_the_end(at: usize, length: u64, left: usize) -> Box<Failure> {
    Failure::malformed(at, format!("length {length} runs past the end; the rest has {left} bytes"))
}
