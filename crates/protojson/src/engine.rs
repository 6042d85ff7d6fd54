//! The transcoder. It reads the wire bytes in one pass and appends JSON.
//!
//! The output is in the order of field numbers, and almost every serializer writes fields in that order already. The
//! fast path ([`Engine::body`]) checks with one compare per field that the numbers ascend. If they do not, or if a
//! singular field or a member of a oneof repeats, it rolls back *that message only*. The ordered path then sorts the
//! message's records and writes them.
//!
//! The amount of rollback is bounded. If the bytes rolled back exceed a multiple of the payload, the whole payload
//! starts again in careful mode. Careful mode puts the records of every message in order before it writes anything.
//! Nested disorder therefore costs a constant factor in total, not a factor per level.
//!
//! Functions that are small or have one caller are marked `inline(always)`. In unoptimized builds every inlined
//! variable has its own stack slot, and the frames of a hundred levels would not fit on a thread's stack. Functions
//! that run once per level are therefore inlined only in builds without debug assertions.
//!
//! The output has a limit. The engine compares it with the length behind each message, list element, map entry and
//! chunk of packed values, so the output exceeds the limit at most by the keys, defaults and short values of one message.
//! The fast path can exceed the limit with output that a rollback or a later map entry would remove, so such a payload
//! starts again in careful mode too. Careful mode writes only what stays.

mod check;
mod effort;
mod hidden;
mod list;
mod map;
mod ordered;
mod parts;
mod scratch;
mod value;
mod wkt;

pub(crate) use effort::Effort;
pub(crate) use scratch::Scratch;

use crate::error::Failure;
use crate::output::Output;
use crate::plan::AnyTypes;
use crate::program::{Field, Kind, Message, MessageIndex, Program, Role, Shape};
use crate::taps::{Node, Taps};
use crate::wire::{Cursor, END_GROUP, LENGTH_DELIMITED, MAX_DEPTH, Result, START_GROUP, Tag};

/// Appends the JSON of one payload to `out`.
pub(crate) struct Engine<'p> {
    pub(crate) program: &'p Program,
    pub(crate) types: &'p dyn AnyTypes,
    pub(crate) out: Output,
    pub(crate) scratch: &'p mut Scratch,
    pub(crate) taps: Option<&'p mut Taps>,
    /// The number of messages around the current one.
    pub(crate) depth: usize,
    pub(crate) effort: Effort,
}

/// The context in which a message is read.
#[derive(Clone, Copy)]
pub(crate) struct Frame<'p> {
    /// The group number if the message is a group; 0 if it is length-delimited.
    group: u32,
    /// The taps of the message.
    node: Option<&'p Node>,
}

impl Frame<'_> {
    pub(crate) const PLAIN: Frame<'static> = Frame { group: 0, node: None };
}

impl<'p> Frame<'p> {
    pub(crate) fn with_taps(node: &'p Node) -> Self {
        Self { group: 0, node: Some(node) }
    }

    fn leaf(self, field: u32) -> Option<usize> {
        let node = self.node?;
        node.leaves.iter().find(|(known, _)| *known == field).map(|(_, tap)| *tap)
    }

    fn inside(self, index: u32, field: &Field) -> Self {
        let group = if field.wire_type == START_GROUP { field.number } else { 0 };
        Self { group, node: self.node.and_then(|node| node.inside(index)) }
    }
}

impl<'p> Engine<'p> {
    /// Writes a message as JSON. Afterwards `cursor` is behind the message, and behind its end tag if it is a group.
    pub(crate) fn message(&mut self, index: MessageIndex, cursor: &mut Cursor<'_>, frame: Frame<'p>) -> Result<()> {
        let message = &self.program.messages[index as usize];
        if message.shape == Shape::Plain {
            let open = self.out.len();
            cursor.at = self.body(message, cursor.bytes, cursor.at, cursor.end, frame)?;
            self.out.close(open, *b"{}");
            return Ok(());
        }
        if frame.group != 0 {
            // Some well-known types read their payload more than once, so the end of the group must be known first.
            let mut inner = cursor.group(frame.group, self.depth - 1)?;
            return self.well_known(message, &mut inner, frame);
        }
        self.well_known(message, cursor, frame)
    }

    /// Writes the fields of a message, with a comma before each, and returns the position where the message ends. The
    /// message is in `bytes` from `start` to `end`. The three are separate arguments instead of a [`Cursor`] because
    /// they then stay in registers.
    pub(crate) fn body(
        &mut self,
        message: &'p Message,
        bytes: &[u8],
        start: usize,
        end: usize,
        frame: Frame<'p>,
    ) -> Result<usize> {
        if self.effort.careful || message.always_ordered {
            return self.in_order(message, bytes, start, end, frame);
        }
        let mut cursor = Cursor { bytes, at: start, end };
        let written = self.out.len();
        let mut next = 0;
        let mut oneofs = 0;
        let mut required = 0;
        while !cursor.is_at_end() {
            let at = cursor.at;
            let quick = cursor.short_tag().and_then(|(tag, at)| Some((tag, at, message.find_tag(tag)?)));
            let (tag, index) = if let Some((tag, behind, index)) = quick {
                cursor.at = behind;
                (Tag(tag), index)
            } else {
                match self.unusual(message, &mut { cursor }, frame)? {
                    Unusual::Field(tag, index, at) => {
                        cursor.at = at;
                        (tag, index)
                    }
                    Unusual::Unknown(at) => {
                        cursor.at = at;
                        continue;
                    }
                    Unusual::EndOfGroup(at) => {
                        self.finish(message, next, required, Cursor { bytes, at: start, end }, frame)?;
                        self.within_limit(at)?;
                        return Ok(at);
                    }
                }
            };
            let field = &message.fields[index as usize];
            if index < next || oneofs & field.oneof != 0 {
                self.roll_back(written, at - start, frame)?;
                return self.in_order(message, bytes, start, end, frame);
            }
            if message.has_defaults {
                self.defaults(&message.fields[next as usize..index as usize]);
            }
            next = index + 1;
            oneofs |= field.oneof;
            required += u32::from(field.is_required);
            match field.role {
                Role::Singular => self.singular(index, field, &mut cursor, frame),
                Role::Repeated => step(&mut cursor, |cursor| self.repeated(index, field, tag, cursor)),
                Role::Map => step(&mut cursor, |cursor| self.map(field, tag, cursor)),
                Role::Dropped | Role::Redacted => {
                    step(&mut cursor, |cursor| self.hidden(index, field, tag, cursor, frame))
                }
            }
            .map_err(|failure| failure.within(&field.name))?;
        }
        if frame.group != 0 {
            return Err(Failure::malformed(start, "group has no end"));
        }
        self.finish(message, next, required, Cursor { bytes, at: start, end }, frame)?;
        self.within_limit(end)?;
        Ok(end)
    }

    #[inline(never)]
    fn in_order(
        &mut self,
        message: &'p Message,
        bytes: &[u8],
        at: usize,
        end: usize,
        frame: Frame<'p>,
    ) -> Result<usize> {
        let mut cursor = Cursor { bytes, at, end };
        self.ordered(message, &mut cursor, frame)?;
        Ok(cursor.at)
    }

    /// Reads a tag that is longer than two bytes, invalid, or not one of an expected field.
    #[cold]
    #[inline(never)]
    fn unusual(&mut self, message: &Message, cursor: &mut Cursor<'_>, frame: Frame<'p>) -> Result<Unusual> {
        let at = cursor.at;
        let tag = cursor.tag()?;
        if let Some((index, _)) = accept(message, tag) {
            return Ok(Unusual::Field(tag, index, cursor.at));
        }
        if tag.wire_type() == END_GROUP {
            end_of_group(tag, frame.group, at)?;
            return Ok(Unusual::EndOfGroup(cursor.at));
        }
        cursor.skip(tag, self.depth)?;
        Ok(Unusual::Unknown(cursor.at))
    }

    /// Completes a message after all its records: writes the remaining defaults and checks the required fields.
    #[cfg_attr(not(debug_assertions), inline(always))]
    fn finish(
        &mut self,
        message: &'p Message,
        next: u32,
        required: u32,
        whole: Cursor<'_>,
        frame: Frame<'p>,
    ) -> Result<()> {
        if message.has_defaults {
            self.defaults(&message.fields[next as usize..]);
        }
        if required < message.required {
            return Err(missing(message, whole, frame.group, self.depth));
        }
        Ok(())
    }

    /// Discards the output and the tap values of a message of which `read` bytes of payload were read.
    #[cold]
    fn roll_back(&mut self, written: usize, read: usize, frame: Frame<'p>) -> Result<()> {
        self.out.truncate(written);
        if let (Some(node), Some(taps)) = (frame.node, self.taps.as_deref_mut()) {
            node.unset(taps);
        }
        match self.effort.rollback_left.checked_sub(read) {
            Some(rollback_left) => self.effort.rollback_left = rollback_left,
            None => return Err(Failure::start_again()),
        }
        Ok(())
    }

    /// Returns an error if the output exceeds its limit. `at` is the position in the payload.
    #[inline(always)]
    pub(crate) fn within_limit(&self, at: usize) -> Result<()> {
        if self.out.is_over() { Err(Failure::over_limit(at)) } else { Ok(()) }
    }

    /// Writes a comma and the key of a field.
    #[cfg_attr(not(debug_assertions), inline(always))]
    fn key(&mut self, field: &Field) {
        self.out.label(&field.key);
    }

    #[cfg_attr(not(debug_assertions), inline(always))]
    fn singular(&mut self, index: u32, field: &'p Field, cursor: &mut Cursor<'_>, frame: Frame<'p>) -> Result<()> {
        let (start, is_zero) = match field.kind {
            Kind::Message(_) => {
                self.key(field);
                let start = self.out.len();
                self.child(field, cursor, frame.inside(index, field))?;
                (start, false)
            }
            Kind::String { .. } | Kind::Bytes => {
                let value = cursor.delimited()?;
                let is_empty = value.is_at_end();
                if is_empty && field.omits_zero {
                    return Ok(());
                }
                self.key(field);
                let start = self.out.len();
                self.text(field, value, index, frame)?;
                (start, is_empty)
            }
            _ => {
                let bits = value::read(field, cursor)?;
                if bits == 0 && field.omits_zero {
                    return Ok(());
                }
                self.key(field);
                let start = self.out.len();
                self.number(field.kind, bits);
                (start, bits == 0)
            }
        };
        if frame.node.is_some() && !(is_zero && field.is_implicit) {
            self.note(index, start, frame);
        }
        Ok(())
    }

    /// Writes a message that is the value of a field.
    #[cfg_attr(not(debug_assertions), inline(always))]
    fn child(&mut self, field: &'p Field, cursor: &mut Cursor<'_>, frame: Frame<'p>) -> Result<()> {
        let Kind::Message(index) = field.kind else { return Ok(()) };
        if self.depth >= MAX_DEPTH {
            return Err(Failure::too_deep(cursor.at));
        }
        self.depth += 1;
        let message = &self.program.messages[index as usize];
        if frame.group == 0 && message.shape == Shape::Plain {
            let Cursor { bytes, at, end } = cursor.delimited()?;
            let open = self.out.len();
            self.body(message, bytes, at, end, frame)?;
            self.out.close(open, *b"{}");
        } else if frame.group == 0 {
            let mut inner = cursor.delimited()?;
            self.well_known(message, &mut inner, frame)?;
        } else {
            step(cursor, |cursor| self.message(index, cursor, frame))?;
        }
        self.depth -= 1;
        Ok(())
    }

    /// Writes the defaults of those absent fields that are written even if they are absent.
    #[cold]
    fn defaults(&mut self, absent: &[Field]) {
        for field in absent.iter().filter(|field| field.emits_default) {
            self.key(field);
            match (field.role, field.kind) {
                (Role::Repeated, _) => self.out.extend(b"[]"),
                (Role::Map, _) => self.out.extend(b"{}"),
                (Role::Singular, Kind::String { .. } | Kind::Bytes) => self.out.extend(b"\"\""),
                (_, kind) => self.number(kind, 0),
            }
        }
    }

    /// Records the value that was written from `start` on, if the field has a tap.
    #[cold]
    fn note(&mut self, index: u32, start: usize, frame: Frame<'p>) {
        let (Some(tap), Some(taps)) = (frame.leaf(index), self.taps.as_deref_mut()) else { return };
        let rendered = self.out.since(start);
        if rendered.is_empty() {
            // A value that has no JSON.
            return taps.unset(tap);
        }
        if rendered.contains(&b'\\') {
            // The rendered value is JSON. Only a string can contain a backslash.
            if let Ok(text) = serde_json::from_slice::<String>(rendered) {
                taps.set(tap, &text);
            }
        } else if let Ok(text) = std::str::from_utf8(rendered) {
            taps.set(tap, text.trim_matches('"'));
        }
    }
}

/// Lets a function that is not inlined move a copy of the cursor, so that the cursor itself can stay in registers.
#[inline(always)]
fn step<'w>(cursor: &mut Cursor<'w>, go: impl FnOnce(&mut Cursor<'w>) -> Result<()>) -> Result<()> {
    let mut moved = *cursor;
    go(&mut moved)?;
    cursor.at = moved.at;
    Ok(())
}

/// The result of [`Engine::unusual`], with the position behind it.
enum Unusual {
    Field(Tag, u32, usize),
    Unknown(usize),
    EndOfGroup(usize),
}

/// Returns the field that a record belongs to, if the record has a wire type that the field allows.
#[inline(always)]
fn accept(message: &Message, tag: Tag) -> Option<(u32, &Field)> {
    let index = message.find(tag.number())?;
    let field = &message.fields[index as usize];
    let wire_type = tag.wire_type();
    let fits = wire_type == field.wire_type || (wire_type == LENGTH_DELIMITED && field.is_packable);
    fits.then_some((index, field))
}

fn end_of_group(tag: Tag, group: u32, at: usize) -> Result<()> {
    match group {
        0 => Err(Failure::malformed(at, "end-group without a group")),
        _ if group == tag.number() => Ok(()),
        _ => Err(Failure::malformed(at, "end-group of another group")),
    }
}

/// Returns the error for the first required field that is missing.
#[cold]
fn missing(message: &Message, mut cursor: Cursor<'_>, group: u32, depth: usize) -> Box<Failure> {
    let start = cursor.at;
    let mut seen = vec![false; message.fields.len()];
    while !cursor.is_at_end() {
        let Ok(tag) = cursor.tag() else { break };
        if tag.wire_type() == END_GROUP && tag.number() == group {
            break;
        }
        if let Some((index, _)) = accept(message, tag) {
            seen[index as usize] = true;
        }
        if cursor.skip(tag, depth).is_err() {
            break;
        }
    }
    let missing = message.fields.iter().zip(seen).find(|(field, seen)| field.is_required && !seen);
    Failure::missing_required(start, missing.map_or("", |(field, _)| &field.name))
}
