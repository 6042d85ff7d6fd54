//! The transcoder: one pass over the wire bytes that appends JSON.
//!
//! Output is in the order of field numbers, and almost every serialiser writes in that order already. So the fast path
//! ([`Engine::body`]) checks with one compare a field that numbers only ascend. Where they do not, or a singular field
//! or a member of a oneof comes again, it takes back *that message only*, and the ordered path sorts its records first.
//!
//! What is taken back is bounded: once it adds up to more than a multiple of the payload, the whole payload is done
//! again in careful mode, in which every message is put in order before anything is written. So nested disorder costs
//! a constant factor, not one for each level.

mod check;
mod hidden;
mod map;
mod ordered;
mod value;
mod wkt;

use crate::error::Failure;
use crate::plan::AnyTypes;
use crate::program::{Field, Kind, Message, MessageIndex, Program, Role, Shape};
use crate::taps::{Node, Taps};
use crate::wire::{Cursor, END_GROUP, LENGTH_DELIMITED, MAX_DEPTH, Result, START_GROUP, Tag};

/// Memory that outlives a payload, so that the next one needs none.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    /// Records of the messages that are being put in order; a stack.
    records: Vec<ordered::Record>,
    /// Entries of the maps that are being written; a stack.
    entries: Vec<map::Entry>,
    /// Rendered entries while they are put in order.
    bytes: Vec<u8>,
}

impl Scratch {
    pub(crate) fn clear(&mut self) {
        self.records.clear();
        self.entries.clear();
    }

    /// Gives back what an unusually large payload has needed; the next one will hardly be as large.
    pub(crate) fn trim(&mut self) {
        // Some hundred KiB each.
        const ITEMS: usize = 1 << 13;
        const BYTES: usize = 1 << 19;
        self.clear();
        if self.records.capacity() > ITEMS {
            self.records.shrink_to(ITEMS);
        }
        if self.entries.capacity() > ITEMS {
            self.entries.shrink_to(ITEMS);
        }
        if self.bytes.capacity() > BYTES {
            self.bytes.clear();
            self.bytes.shrink_to(BYTES);
        }
    }
}

/// Appends the JSON of one payload to `out`.
pub(crate) struct Engine<'p> {
    pub(crate) program: &'p Program,
    pub(crate) types: &'p dyn AnyTypes,
    pub(crate) out: &'p mut Vec<u8>,
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
            self.out.push(b'{');
            self.body(message, cursor, frame, true)?;
            self.out.push(b'}');
            return Ok(());
        }
        if frame.group != 0 {
            // Two of the well-known types read their payload more than once, so they want its end.
            let mut inner = cursor.group(frame.group, self.depth - 1)?;
            return self.well_known(message, &mut inner, frame);
        }
        self.well_known(message, cursor, frame)
    }

    /// Writes the fields of a message; `first` if nothing stands before them in the object.
    pub(crate) fn body(
        &mut self,
        message: &'p Message,
        cursor: &mut Cursor<'_>,
        frame: Frame<'p>,
        mut first: bool,
    ) -> Result<()> {
        if self.effort.careful || message.always_ordered {
            return self.ordered(message, cursor, frame, first);
        }
        let (start, written, was_first) = (*cursor, self.out.len(), first);
        let mut next = 0;
        let mut oneofs = 0;
        let mut required = 0;
        loop {
            if cursor.is_at_end() {
                if frame.group != 0 {
                    return Err(Failure::malformed(start.at, "group has no end"));
                }
                break;
            }
            let at = cursor.at;
            let tag = cursor.tag()?;
            let Some((index, field)) = accept(message, tag) else {
                if tag.wire_type() == END_GROUP {
                    end_of_group(tag, frame.group, at)?;
                    break;
                }
                cursor.skip(tag, self.depth)?;
                continue;
            };
            if index < next || oneofs & field.oneof != 0 {
                self.take_back(written, at - start.at, frame)?;
                *cursor = start;
                return self.ordered(message, cursor, frame, was_first);
            }
            if message.has_defaults {
                self.defaults(&message.fields[next as usize..index as usize], &mut first);
            }
            next = index + 1;
            oneofs |= field.oneof;
            required += u32::from(field.is_required);
            match field.role {
                Role::Singular => self.singular(index, field, cursor, frame, &mut first),
                Role::Repeated => self.repeated(index, field, tag, cursor, &mut first),
                Role::Map => self.map(field, tag, cursor, &mut first),
                Role::Dropped | Role::Redacted => self.hidden(index, field, tag, cursor, frame, &mut first),
            }
            .map_err(|failure| failure.within(&field.name))?;
        }
        if message.has_defaults {
            self.defaults(&message.fields[next as usize..], &mut first);
        }
        if required < message.required {
            return Err(missing(message, start, frame.group, self.depth));
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

    /// Writes the key of a field, with a comma where something stands before it.
    #[inline(always)]
    fn key(&mut self, field: &Field, first: &mut bool) {
        let from = usize::from(*first);
        *first = false;
        self.out.extend_from_slice(&field.key[from..]);
    }

    #[inline(always)]
    fn singular(
        &mut self,
        index: u32,
        field: &'p Field,
        cursor: &mut Cursor<'_>,
        frame: Frame<'p>,
        first: &mut bool,
    ) -> Result<()> {
        let (start, is_zero) = match field.kind {
            Kind::Message(_) => {
                self.key(field, first);
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
                self.key(field, first);
                let start = self.out.len();
                self.text(field.kind, value)?;
                (start, is_empty)
            }
            _ => {
                let bits = value::read(field, cursor)?;
                if bits == 0 && field.omits_zero {
                    return Ok(());
                }
                self.key(field, first);
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
    #[inline]
    fn child(&mut self, field: &'p Field, cursor: &mut Cursor<'_>, frame: Frame<'p>) -> Result<()> {
        let Kind::Message(index) = field.kind else { return Ok(()) };
        if self.depth >= MAX_DEPTH {
            return Err(Failure::too_deep(cursor.at));
        }
        self.depth += 1;
        if frame.group == 0 {
            let mut inner = cursor.delimited()?;
            self.message(index, &mut inner, frame)?;
        } else {
            self.message(index, cursor, frame)?;
        }
        self.depth -= 1;
        Ok(())
    }

    /// Writes a run of records of a repeated field, the tag of the first read already.
    fn repeated(
        &mut self,
        index: u32,
        field: &'p Field,
        tag: Tag,
        cursor: &mut Cursor<'_>,
        first: &mut bool,
    ) -> Result<()> {
        let mut list = List { is_open: false };
        loop {
            self.elements(index, field, tag.wire_type(), cursor, first, &mut list)?;
            if !cursor.eat(tag) {
                break;
            }
        }
        self.close(field, first, &list);
        Ok(())
    }

    /// Writes what one record of a repeated field holds: one value, or many packed ones.
    #[inline(always)]
    fn elements(
        &mut self,
        index: u32,
        field: &'p Field,
        wire_type: u8,
        cursor: &mut Cursor<'_>,
        first: &mut bool,
        list: &mut List,
    ) -> Result<()> {
        if wire_type == LENGTH_DELIMITED && field.is_packable {
            let mut packed = cursor.delimited()?;
            if packed.is_at_end() {
                return Ok(());
            }
            self.open(field, first, list);
            return self.packed(field, &mut packed);
        }
        self.open(field, first, list);
        self.element(index, field, cursor)
    }

    /// Writes one value of a repeated field or a map.
    #[inline(always)]
    fn element(&mut self, index: u32, field: &'p Field, cursor: &mut Cursor<'_>) -> Result<()> {
        match field.kind {
            Kind::Message(_) => self.child(field, cursor, Frame::PLAIN.inside(index, field)),
            Kind::String | Kind::Bytes => {
                let value = cursor.delimited()?;
                self.text(field.kind, value)
            }
            _ => {
                let bits = value::read(field, cursor)?;
                self.number(field.kind, bits);
                Ok(())
            }
        }
    }

    #[inline(always)]
    fn open(&mut self, field: &Field, first: &mut bool, list: &mut List) {
        if list.is_open {
            self.out.push(b',');
        } else {
            self.key(field, first);
            self.out.push(b'[');
            list.is_open = true;
        }
    }

    #[inline(always)]
    fn close(&mut self, field: &Field, first: &mut bool, list: &List) {
        if list.is_open {
            self.out.push(b']');
        } else if field.emits_default {
            self.key(field, first);
            self.out.extend_from_slice(b"[]");
        }
    }

    /// Writes those of these fields that are written though they are absent.
    #[cold]
    fn defaults(&mut self, absent: &[Field], first: &mut bool) {
        for field in absent.iter().filter(|field| field.emits_default) {
            self.key(field, first);
            match (field.role, field.kind) {
                (Role::Repeated, _) => self.out.extend_from_slice(b"[]"),
                (Role::Map, _) => self.out.extend_from_slice(b"{}"),
                (Role::Singular, Kind::String | Kind::Bytes) => self.out.extend_from_slice(b"\"\""),
                (_, kind) => self.number(kind, 0),
            }
        }
    }

    /// Notes the value that was written from `start` on, if a tap wants it.
    #[cold]
    fn note(&mut self, index: u32, start: usize, frame: Frame<'p>) {
        let (Some(tap), Some(taps)) = (frame.leaf(index), self.taps.as_deref_mut()) else { return };
        let rendered = &self.out[start..];
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

/// A list that is being written.
struct List {
    is_open: bool,
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
