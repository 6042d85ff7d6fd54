//! The well-known types that have their own JSON form
//! (<https://protobuf.dev/programming-guides/json/#field-representation>).

use super::map::Writing;
use super::value::unwritten;
use super::{Engine, Frame};
use crate::error::Failure;
use crate::program::{AnyFallback, Kind, Message, Shape};
use crate::text;
use crate::wire::{Cursor, LENGTH_DELIMITED, MAX_DEPTH, Result, Tag, VARINT};

/// 0001-01-01T00:00:00Z to 9999-12-31T23:59:59Z, the range that timestamp.proto defines.
const TIMESTAMP_SECONDS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;
/// About ±10,000 years, the range that duration.proto defines.
const DURATION_SECONDS: std::ops::RangeInclusive<i64> = -315_576_000_000..=315_576_000_000;
const MAX_NANOS: i32 = 999_999_999;

/// The fields of an Any.
#[derive(Debug)]
pub(super) struct AnyContent<'w> {
    url: &'w str,
    value: Cursor<'w>,
}

impl Default for AnyContent<'_> {
    fn default() -> Self {
        Self { url: "", value: Cursor::new(&[]) }
    }
}

impl<'p> Engine<'p> {
    /// Writes a message of a well-known type. The message ends at the end of the cursor.
    pub(super) fn well_known(&mut self, message: &'p Message, cursor: &mut Cursor<'_>, frame: Frame<'p>) -> Result<()> {
        match message.shape {
            // These hold no tap.
            Shape::FieldMask | Shape::Struct | Shape::Value | Shape::ListValue | Shape::Any
                if self.effort.taps_only =>
            {
                Ok(())
            }
            Shape::Plain => {
                let open = self.out.len();
                cursor.at = self.body(message, cursor.bytes, cursor.at, cursor.end, Frame { group: 0, ..frame })?;
                self.out.close(open, *b"{}");
                Ok(())
            }
            Shape::Timestamp | Shape::Duration if self.effort.taps_only => self.time_or_nothing(message, cursor),
            Shape::Timestamp => self.timestamp(cursor),
            Shape::Duration => self.duration(cursor),
            Shape::FieldMask => self.field_mask(cursor),
            Shape::Struct => self.structure(message, cursor),
            Shape::Value => self.value(message, cursor),
            Shape::ListValue => self.list_value(message, cursor),
            Shape::Wrapper => self.wrapper(message, cursor),
            Shape::Any => self.any(cursor),
        }
    }

    /// Writes a Timestamp or Duration of which only the taps are read. Writes nothing if it has no JSON: the JSON of the
    /// payload does not have the value, so the value refuses no payload.
    fn time_or_nothing(&mut self, message: &'p Message, cursor: &mut Cursor<'_>) -> Result<()> {
        let start = self.out.len();
        let written = if message.shape == Shape::Timestamp { self.timestamp(cursor) } else { self.duration(cursor) };
        match written {
            Err(failure) if failure.is_unrenderable() => {
                self.out.truncate(start);
                Ok(())
            }
            written => written,
        }
    }

    /// Reads the two integers of a Timestamp or Duration. If one repeats, the last value wins.
    #[inline(always)]
    fn seconds_and_nanos(&self, cursor: &mut Cursor<'_>) -> Result<(i64, i32)> {
        let mut usual = *cursor;
        let seconds = if usual.eat(Tag::new(1, VARINT)) { usual.varint()?.cast_signed() } else { 0 };
        let nanos = if usual.eat(Tag::new(2, VARINT)) { (usual.varint()? as u32).cast_signed() } else { 0 };
        if usual.is_at_end() {
            return Ok((seconds, nanos));
        }
        let (mut seconds, mut nanos) = (0, 0);
        while !cursor.is_at_end() {
            let tag = cursor.tag()?;
            match (tag.number(), tag.wire_type()) {
                (1, VARINT) => seconds = cursor.varint()?.cast_signed(),
                (2, VARINT) => nanos = (cursor.varint()? as u32).cast_signed(),
                _ => cursor.skip(tag, self.depth)?,
            }
        }
        Ok((seconds, nanos))
    }

    fn timestamp(&mut self, cursor: &mut Cursor<'_>) -> Result<()> {
        let start = cursor.at;
        let (seconds, nanos) = self.seconds_and_nanos(cursor)?;
        if !TIMESTAMP_SECONDS.contains(&seconds) {
            return Err(Failure::unrenderable(start, "Timestamp is not within the years 1 to 9999"));
        }
        if !(0..=MAX_NANOS).contains(&nanos) {
            return Err(Failure::unrenderable(start, "nanos of Timestamp are not within 0 to 999999999"));
        }
        self.out.write(|pen| text::timestamp(pen, seconds, nanos.unsigned_abs()));
        Ok(())
    }

    fn duration(&mut self, cursor: &mut Cursor<'_>) -> Result<()> {
        let start = cursor.at;
        let (seconds, nanos) = self.seconds_and_nanos(cursor)?;
        if !DURATION_SECONDS.contains(&seconds) {
            return Err(Failure::unrenderable(start, "seconds of Duration are not within ±315576000000"));
        }
        if !(-MAX_NANOS..=MAX_NANOS).contains(&nanos) {
            return Err(Failure::unrenderable(start, "nanos of Duration are not within ±999999999"));
        }
        if (seconds < 0 && nanos > 0) || (seconds > 0 && nanos < 0) {
            return Err(Failure::unrenderable(start, "seconds and nanos of Duration differ in sign"));
        }
        self.out.extend_from_slice(if seconds < 0 || nanos < 0 { b"\"-" } else { b"\"" });
        self.number(Kind::Uint64 { quoted: false }, seconds.unsigned_abs());
        self.out.write(|pen| text::fraction(pen, nanos.unsigned_abs()));
        self.out.extend(b"s\"");
        Ok(())
    }

    /// Writes the paths of a FieldMask in lowerCamelCase, joined by commas.
    fn field_mask(&mut self, cursor: &mut Cursor<'_>) -> Result<()> {
        self.out.push(b'"');
        let mut first = true;
        while !cursor.is_at_end() {
            let tag = cursor.tag()?;
            if (tag.number(), tag.wire_type()) != (1, LENGTH_DELIMITED) {
                cursor.skip(tag, self.depth)?;
                continue;
            }
            let path = cursor.delimited()?;
            if !first {
                self.out.push(b',');
            }
            first = false;
            self.path(path)?;
            self.within_limit(path.at)?;
        }
        self.out.push(b'"');
        Ok(())
    }

    /// Writes one path of a FieldMask.
    ///
    /// # Errors
    /// Returns an error if a reader could not convert the path back.
    fn path(&mut self, path: Cursor<'_>) -> Result<()> {
        if path.rest() == b"*" {
            self.out.push(b'*');
            return Ok(());
        }
        let (mut is_start, mut after_underscore) = (true, false);
        for (offset, byte) in path.rest().iter().enumerate() {
            let is_valid = match byte {
                b'a'..=b'z' => true,
                b'0'..=b'9' | b'.' => !after_underscore && !is_start,
                b'_' => !after_underscore,
                _ => false,
            };
            if !is_valid {
                let message = "FieldMask path does not survive conversion to lowerCamelCase and back";
                return Err(Failure::unrenderable(path.at + offset, message));
            }
            is_start = *byte == b'.';
            if *byte == b'_' {
                after_underscore = true;
                continue;
            }
            self.out.push(if after_underscore { byte.to_ascii_uppercase() } else { *byte });
            after_underscore = false;
        }
        if is_start || after_underscore {
            return Err(Failure::unrenderable(path.end, "FieldMask path does not end with a field name"));
        }
        Ok(())
    }

    fn structure(&mut self, message: &'p Message, cursor: &mut Cursor<'_>) -> Result<()> {
        let payload = cursor.bytes;
        self.out.push(b'{');
        let mut writing = Writing::new(&self.scratch.entries);
        self.struct_entries(message, cursor, &mut writing)?;
        self.close_struct(message, payload, &mut writing)
    }

    /// Writes the entries of one part of a Struct.
    #[cfg_attr(not(debug_assertions), inline(always))]
    pub(super) fn struct_entries(
        &mut self,
        message: &'p Message,
        cursor: &mut Cursor<'_>,
        writing: &mut Writing,
    ) -> Result<()> {
        let payload = cursor.bytes;
        while !cursor.is_at_end() {
            let tag = cursor.tag()?;
            match super::accept(message, tag) {
                Some((_, field)) => {
                    let mut entry = cursor.delimited()?;
                    self.entry(field, &mut entry, payload, writing).map_err(|failure| failure.within(&field.name))?;
                }
                None => cursor.skip(tag, self.depth)?,
            }
        }
        Ok(())
    }

    pub(super) fn close_struct(&mut self, message: &'p Message, payload: &[u8], writing: &mut Writing) -> Result<()> {
        match message.fields.first() {
            Some(field) => self.end_map(field, payload, writing),
            None => {
                self.out.push(b'}');
                Ok(())
            }
        }
    }

    fn list_value(&mut self, message: &'p Message, cursor: &mut Cursor<'_>) -> Result<()> {
        self.out.push(b'[');
        self.list_elements(message, cursor, &mut true)?;
        self.out.push(b']');
        Ok(())
    }

    /// Writes the elements of one part of a ListValue.
    #[cfg_attr(not(debug_assertions), inline(always))]
    pub(super) fn list_elements(
        &mut self,
        message: &'p Message,
        cursor: &mut Cursor<'_>,
        is_first: &mut bool,
    ) -> Result<()> {
        while !cursor.is_at_end() {
            let tag = cursor.tag()?;
            match super::accept(message, tag) {
                Some((index, field)) => {
                    if !std::mem::take(is_first) {
                        self.out.push(b',');
                    }
                    self.element(index, field, cursor).map_err(|failure| failure.within(&field.name))?;
                    self.within_limit(cursor.at)?;
                }
                None => cursor.skip(tag, self.depth)?,
            }
        }
        Ok(())
    }

    /// Writes the last kind of a Value that is set, or null if no kind is set.
    fn value(&mut self, message: &'p Message, cursor: &mut Cursor<'_>) -> Result<()> {
        let base = self.scratch.records.len();
        self.list(message, cursor, 0)?;
        self.last_kind(message, base, cursor.bytes)
    }

    fn wrapper(&mut self, message: &'p Message, cursor: &mut Cursor<'_>) -> Result<()> {
        let mut last = None;
        let (whole, mut is_replaced) = (*cursor, false);
        while !cursor.is_at_end() {
            let tag = cursor.tag()?;
            if super::accept(message, tag).is_some() {
                is_replaced |= last.is_some();
                last = Some(*cursor);
            }
            cursor.skip(tag, self.depth)?;
        }
        if is_replaced {
            self.check_known(message, whole, whole.end)?;
        }
        let Some(field) = message.fields.first() else { return Ok(()) };
        match (last, field.kind) {
            (Some(mut value), _) => self.element(0, field, &mut value),
            (None, Kind::String { .. } | Kind::Bytes) => {
                self.out.extend(b"\"\"");
                Ok(())
            }
            (None, kind) => {
                self.number(kind, 0);
                Ok(())
            }
        }
    }

    /// Writes `{"@type": …}` with the fields of the message inside. If that message has its own JSON form, the form is
    /// written under `value`.
    fn any(&mut self, cursor: &mut Cursor<'_>) -> Result<()> {
        let (start, mut content) = (cursor.at, AnyContent::default());
        self.any_content(cursor, &mut content)?;
        self.any_of(start, content)
    }

    /// Reads one part of an Any. If the URL or the value repeats, the last one wins.
    pub(super) fn any_content<'w>(&mut self, cursor: &mut Cursor<'w>, content: &mut AnyContent<'w>) -> Result<()> {
        while !cursor.is_at_end() {
            let tag = cursor.tag()?;
            match (tag.number(), tag.wire_type()) {
                (1, LENGTH_DELIMITED) => {
                    let text = cursor.delimited()?;
                    content.url = std::str::from_utf8(text.rest())
                        .map_err(|error| Failure::not_utf8(text.at + error.valid_up_to()))?;
                }
                (2, LENGTH_DELIMITED) => content.value = cursor.delimited()?,
                _ => cursor.skip(tag, self.depth)?,
            }
        }
        Ok(())
    }

    /// Writes an Any whose first part starts at this position.
    pub(super) fn any_of(&mut self, start: usize, content: AnyContent<'_>) -> Result<()> {
        let AnyContent { url, mut value } = content;
        if url.is_empty() && value.is_at_end() {
            self.out.extend(b"{}");
            return Ok(());
        }
        // Some producers set the full name alone, without a slash before it.
        let full_name = url.rsplit_once('/').map_or(url, |(_, full_name)| full_name);
        let Some(program) = self.types.program(full_name) else {
            return self.unknown_any(start, url, full_name, value);
        };
        if self.depth >= MAX_DEPTH {
            return Err(Failure::too_deep(start).inside_any());
        }
        self.out.extend(b"{\"@type\":");
        text::string(&mut self.out, url.as_bytes(), 0, url.len()).map_err(|error| unwritten(error, start))?;
        let mut inside = Engine {
            program: &program,
            types: self.types,
            out: std::mem::take(&mut self.out),
            scratch: &mut *self.scratch,
            taps: None,
            depth: self.depth + 1,
            effort: self.effort,
        };
        let message = &inside.program.messages[0];
        let result = if message.shape == Shape::Plain {
            inside.body(message, value.bytes, value.at, value.end, Frame::PLAIN).map(drop)
        } else {
            inside.out.extend(b",\"value\":");
            inside.well_known(message, &mut value, Frame::PLAIN)
        };
        (self.out, self.effort) = (inside.out, inside.effort);
        result.map_err(Failure::inside_any)?;
        self.out.push(b'}');
        Ok(())
    }

    /// Writes an Any whose type is unknown as its type URL and the bytes of its value.
    ///
    /// # Errors
    /// Returns an error unless the options ask for this form.
    #[cold]
    fn unknown_any(&mut self, start: usize, url: &str, full_name: &str, value: Cursor<'_>) -> Result<()> {
        let fallback = self.program.unknown_any;
        if fallback == AnyFallback::Refused {
            return Err(match full_name {
                "" => Failure::unrenderable(start, "Any does not name the type of its value"),
                full_name => Failure::unknown_type(start, full_name),
            });
        }
        self.out.extend(b"{\"@type\":");
        text::string(&mut self.out, url.as_bytes(), 0, url.len()).map_err(|error| unwritten(error, start))?;
        self.out.extend(b",\"value\":");
        if fallback == AnyFallback::Bytes {
            text::bytes(&mut self.out, value.rest(), self.program.bytes).map_err(|error| unwritten(error, value.at))?;
        } else {
            self.out.extend(b"null");
        }
        self.out.push(b'}');
        Ok(())
    }
}
