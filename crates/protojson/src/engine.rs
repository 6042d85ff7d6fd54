//! The transcoder: one pass over the wire bytes that appends JSON.
//!
//! Output is in the order of field numbers, and almost every serialiser writes in that order already. So the fast path
//! ([`Engine::body`]) checks with one compare a field that numbers only ascend. Where they do not, or a singular field
//! or a member of a oneof comes again, it takes back *that message only*, and the ordered path sorts its records first.
//!
//! What is taken back is bounded: once it adds up to more than a multiple of the payload, the whole payload is done
//! again in careful mode, in which every message is put in order before anything is written. So nested disorder costs
//! a constant factor, not one for each level.
//!
//! What is small or called in one place is inlined by order. In unoptimised builds that would make the frames too large
//! for a hundred levels on the stack of a thread, because there every inlined variable has a place of its own; so what
//! is called for each level is inlined only where there are no debug assertions.

mod check;
mod hidden;
mod list;
mod map;
mod ordered;
mod scratch;
mod value;
mod wkt;

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
    /// Messages around the current one.
    pub(crate) depth: usize,
    pub(crate) effort: Effort,
}

/// How much was taken back, and what follows from that.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Effort {
    /// Bytes that may still be taken back.
    left: usize,
    /// Whether every message is put in order before anything is written.
    careful: bool,
}

impl Effort {
    pub(crate) fn new(payload: usize) -> Self {
        Self { left: 2 * payload + 1024, careful: false }
    }

    pub(crate) fn careful() -> Self {
        Self { left: usize::MAX, careful: true }
    }
}

/// What a message is read under.
#[derive(Clone, Copy)]
pub(crate) struct Frame<'p> {
    /// Number of the group that the message is; 0 where it is length-delimited.
    group: u32,
    /// Its taps.
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
    /// Writes a message as JSON. Afterwards `cursor` stands behind it, and behind its end tag if it is a group.
    pub(crate) fn message(&mut self, index: MessageIndex, cursor: &mut Cursor<'_>, frame: Frame<'p>) -> Result<()> {
        let message = &self.program.messages[index as usize];
        if message.shape == Shape::Plain {
            let open = self.out.len();
            cursor.at = self.body(message, cursor.bytes, cursor.at, cursor.end, frame)?;
            self.out.close(open, *b"{}");
            return Ok(());
        }
        if frame.group != 0 {
            // Two of the well-known types read their payload more than once, so they want its end.
            let mut inner = cursor.group(frame.group, self.depth - 1)?;
            return self.well_known(message, &mut inner, frame);
        }
        self.well_known(message, cursor, frame)
    }

    /// Writes the fields of a message, a comma before each, and returns where it ends. The message stands in `bytes`
    /// from `start` to `end`; those are not a [`Cursor`] because they fit in registers.
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
                        return Ok(at);
                    }
                }
            };
            let field = &message.fields[index as usize];
            if index < next || oneofs & field.oneof != 0 {
                self.take_back(written, at - start, frame)?;
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

    /// Reads a tag that is long, or of no field, or broken.
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

    /// What is left to do when all records of a message are written.
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

    /// Forgets what a message has written, `read` bytes of payload far.
    #[cold]
    fn take_back(&mut self, written: usize, read: usize, frame: Frame<'p>) -> Result<()> {
        self.out.truncate(written);
        if let (Some(node), Some(taps)) = (frame.node, self.taps.as_deref_mut()) {
            node.unset(taps);
        }
        match self.effort.left.checked_sub(read) {
            Some(left) => self.effort.left = left,
            None => return Err(Failure::start_again()),
        }
        Ok(())
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
            Kind::String | Kind::Bytes => {
                let value = cursor.delimited()?;
                let is_empty = value.is_at_end();
                if is_empty && field.omits_zero {
                    return Ok(());
                }
                self.key(field);
                let start = self.out.len();
                self.text(field.kind, value)?;
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

    /// Writes those of these fields that are written though they are absent.
    #[cold]
    fn defaults(&mut self, absent: &[Field]) {
        for field in absent.iter().filter(|field| field.emits_default) {
            self.key(field);
            match (field.role, field.kind) {
                (Role::Repeated, _) => self.out.extend(b"[]"),
                (Role::Map, _) => self.out.extend(b"{}"),
                (Role::Singular, Kind::String | Kind::Bytes) => self.out.extend(b"\"\""),
                (_, kind) => self.number(kind, 0),
            }
        }
    }

    /// Notes the value that was written from `start` on, if a tap wants it.
    #[cold]
    fn note(&mut self, index: u32, start: usize, frame: Frame<'p>) {
        let (Some(tap), Some(taps)) = (frame.leaf(index), self.taps.as_deref_mut()) else { return };
        let rendered = self.out.since(start);
        if rendered.contains(&b'\\') {
            // What was written is JSON, and what is noted is never anything but a string or a number.
            if let Ok(text) = serde_json::from_slice::<String>(rendered) {
                taps.set(tap, &text);
            }
        } else if let Ok(text) = std::str::from_utf8(rendered) {
            taps.set(tap, text.trim_matches('"'));
        }
    }
}

/// Has something that is not inlined move a cursor, without forcing the cursor itself into memory.
#[inline(always)]
fn step<'w>(cursor: &mut Cursor<'w>, go: impl FnOnce(&mut Cursor<'w>) -> Result<()>) -> Result<()> {
    let mut moved = *cursor;
    go(&mut moved)?;
    cursor.at = moved.at;
    Ok(())
}

/// What [`Engine::unusual`] found, and where it ends.
enum Unusual {
    Field(Tag, u32, usize),
    Unknown(usize),
    EndOfGroup(usize),
}

/// The field that a record belongs to, if it has the wire type that the field allows.
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

/// Which required field is missing.
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
