//! The ordered path, for a message whose fields are not in the order of their numbers, or whose singular fields repeat.
//!
//! The engine first lists the records of the message, then sorts them by field, then writes them. The sort is stable,
//! so the records of one field stay in the order of arrival. Listing skips nested values, so each record of the message
//! is read once.
//!
//! Merging follows the wire format. If a message comes in several parts, the records of all parts are the records of
//! one message. The last value of a singular scalar wins. In a oneof the last member wins, and a message member starts
//! empty after another member cleared it.

use super::list::List;
use super::{Engine, Frame, accept, end_of_group};
use crate::error::Failure;
use crate::program::{Field, Kind, Message, Role, Shape};
use crate::wire::{Cursor, END_GROUP, LENGTH_DELIMITED, MAX_DEPTH, Result, START_GROUP, VARINT};

/// One record of a known field. A payload can consist of tiny records, so each byte here counts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Record {
    /// The index of the field, and in the lowest three bits the wire type.
    field_and_wire_type: u32,
    /// The position of the value in the payload.
    at: u32,
}

impl Record {
    /// Creates the record of a field, by its index. The payload is at most [`MAX_PAYLOAD`](crate::plan::MAX_PAYLOAD)
    /// bytes long, so that its positions fit.
    fn new(field: u32, wire_type: u8, at: usize) -> Self {
        Self { field_and_wire_type: field << 3 | u32::from(wire_type), at: at as u32 }
    }

    /// Returns the index of the field.
    pub(super) fn field(self) -> u32 {
        self.field_and_wire_type >> 3
    }

    pub(super) fn wire_type(self) -> u8 {
        (self.field_and_wire_type & 7) as u8
    }

    /// Returns the position of the value in the payload.
    pub(super) fn at(self) -> usize {
        self.at as usize
    }
}

impl<'p> Engine<'p> {
    /// Writes the fields of a message in the order of their numbers, whatever the order of the records is.
    pub(super) fn ordered(&mut self, message: &'p Message, cursor: &mut Cursor<'_>, frame: Frame<'p>) -> Result<()> {
        let base = self.scratch.records.len();
        let start = *cursor;
        if self.list(message, cursor, frame.group)? {
            self.settle_oneofs(message, base, start.bytes)?;
        }
        self.listed(message, base, start, frame)
    }

    /// Writes one message that is split over several records of a field. `run` is the range of these records in the
    /// list.
    pub(super) fn merged(
        &mut self,
        field: &'p Field,
        run: std::ops::Range<usize>,
        payload: &[u8],
        frame: Frame<'p>,
    ) -> Result<()> {
        let Kind::Message(index) = field.kind else { return Ok(()) };
        let message = &self.program.messages[index as usize];
        if message.shape != Shape::Plain {
            return self.merged_well_known(field, message, run, payload, frame);
        }
        let start = Cursor::from(payload, self.scratch.records[run.start].at());
        if self.depth >= MAX_DEPTH {
            return Err(Failure::too_deep(start.at));
        }
        let base = self.scratch.records.len();
        let mut has_oneofs = false;
        self.parts(field, run, payload, |engine, part| {
            has_oneofs |= engine.list(message, part, 0)?;
            Ok(())
        })?;
        self.depth += 1;
        if has_oneofs {
            self.settle_oneofs(message, base, payload)?;
        }
        let open = self.out.len();
        self.listed(message, base, start, frame)?;
        self.out.close(open, *b"{}");
        self.depth -= 1;
        Ok(())
    }

    /// Reads the parts of a message, which are listed records of a field, one after the other.
    pub(super) fn parts<'w>(
        &mut self,
        field: &Field,
        run: std::ops::Range<usize>,
        payload: &'w [u8],
        mut read: impl FnMut(&mut Self, &mut Cursor<'w>) -> Result<()>,
    ) -> Result<()> {
        for at in run {
            let mut part = self.part(field, payload, at)?;
            self.depth += 1;
            read(self, &mut part)?;
            self.depth -= 1;
        }
        Ok(())
    }

    /// Returns the payload of one listed record of a message field.
    fn part<'w>(&self, field: &Field, payload: &'w [u8], record: usize) -> Result<Cursor<'w>> {
        let mut cursor = Cursor::from(payload, self.scratch.records[record].at());
        if field.wire_type == START_GROUP { cursor.group(field.number, self.depth) } else { cursor.delimited() }
    }

    /// Lists one record of a message field for merging.
    pub(super) fn note_part(&mut self, field: &Field, at: usize) {
        self.scratch.records.push(Record::new(0, field.wire_type, at));
    }

    /// Writes one message, whose records are the listed records from `base` on.
    fn listed(&mut self, message: &'p Message, base: usize, start: Cursor<'_>, frame: Frame<'p>) -> Result<()> {
        let records = &mut self.scratch.records[base..];
        if !records.is_sorted_by_key(|record| record.field()) {
            records.sort_by_key(|record| record.field());
        }
        let mut next = 0u32;
        let mut required = 0;
        let mut from = base;
        let to = self.scratch.records.len();
        while from < to {
            let index = self.scratch.records[from].field();
            let run = self.scratch.records[from..to].iter().take_while(|record| record.field() == index).count();
            let field = &message.fields[index as usize];
            if message.has_defaults {
                self.defaults(&message.fields[next as usize..index as usize]);
            }
            next = index + 1;
            required += u32::from(field.is_required);
            if !self.effort.taps_only || frame.node.is_some_and(|node| node.touches(index)) {
                self.run(index, field, from..from + run, start, frame)
                    .map_err(|failure| failure.within(&field.name))?;
            }
            from += run;
        }
        if required < message.required {
            return Err(missing(message, &self.scratch.records[base..], start.at));
        }
        self.scratch.records.truncate(base);
        if message.has_defaults {
            self.defaults(&message.fields[next as usize..]);
        }
        self.within_limit(start.at)
    }

    /// Lists the records of a message, and returns whether members of oneofs are among them.
    pub(super) fn list(&mut self, message: &Message, cursor: &mut Cursor<'_>, group: u32) -> Result<bool> {
        let start = cursor.at;
        let mut has_oneofs = false;
        loop {
            if cursor.is_at_end() {
                if group != 0 {
                    return Err(Failure::malformed(start, "group has no end"));
                }
                break;
            }
            let at = cursor.at;
            let tag = cursor.tag()?;
            if let Some((index, field)) = accept(message, tag) {
                has_oneofs |= field.oneof_number != 0;
                self.scratch.records.push(Record::new(index, tag.wire_type(), cursor.at));
                cursor.skip(tag, self.depth).map_err(|failure| failure.within(&field.name))?;
                continue;
            }
            if message.is_message_set && tag.wire_type() == START_GROUP && tag.number() == 1 {
                self.list_item(message, cursor)?;
                continue;
            }
            if tag.wire_type() == END_GROUP {
                end_of_group(tag, group, at)?;
                break;
            }
            cursor.skip(tag, self.depth)?;
        }
        Ok(has_oneofs)
    }

    /// Lists an item of a MessageSet: a group that holds a type id, which is the number of an extension, and a payload.
    fn list_item(&mut self, message: &Message, cursor: &mut Cursor<'_>) -> Result<()> {
        const TYPE_ID: u32 = 2;
        const PAYLOAD: u32 = 3;
        let mut item = cursor.group(1, self.depth)?;
        let (mut type_id, mut payload) = (None, None);
        while !item.is_at_end() {
            let tag = item.tag()?;
            match (tag.number(), tag.wire_type()) {
                (TYPE_ID, VARINT) => type_id = Some(item.varint()?),
                (PAYLOAD, LENGTH_DELIMITED) => {
                    payload = Some(item.at);
                    item.delimited()?;
                }
                _ => item.skip(tag, self.depth)?,
            }
        }
        let field = type_id.and_then(|number| message.find(u32::try_from(number).ok()?));
        if let (Some(field), Some(at)) = (field, payload) {
            self.scratch.records.push(Record::new(field, LENGTH_DELIMITED, at));
        }
        Ok(())
    }

    /// Keeps of each oneof only the records of its last member that come after the records of all other members. Checks
    /// the records that it removes.
    fn settle_oneofs(&mut self, message: &Message, base: usize, payload: &[u8]) -> Result<()> {
        // For each oneof: its last member, and the start of the last uninterrupted run of that member's records.
        let mut last: Vec<(u32, usize)> = Vec::new();
        let records = &self.scratch.records[base..];
        for record in records {
            let oneof = message.fields[record.field() as usize].oneof_number as usize;
            if oneof == 0 {
                continue;
            }
            if last.len() < oneof {
                last.resize(oneof, (u32::MAX, 0));
            }
            if last[oneof - 1].0 != record.field() {
                last[oneof - 1] = (record.field(), record.at());
            }
        }
        let mut kept = base;
        for at in base..self.scratch.records.len() {
            let record = self.scratch.records[at];
            let field = &message.fields[record.field() as usize];
            let oneof = field.oneof_number as usize;
            if oneof == 0 || (last[oneof - 1].0 == record.field() && record.at() >= last[oneof - 1].1) {
                self.scratch.records[kept] = record;
                kept += 1;
            } else {
                let mut replaced = Cursor::from(payload, record.at());
                self.check(field, record.wire_type(), &mut replaced, self.depth)
                    .map_err(|failure| failure.within(&field.name))?;
            }
        }
        self.scratch.records.truncate(kept);
        Ok(())
    }

    /// Writes all records of one field.
    fn run(
        &mut self,
        index: u32,
        field: &'p Field,
        run: std::ops::Range<usize>,
        message: Cursor<'_>,
        frame: Frame<'p>,
    ) -> Result<()> {
        let cursor = |record: Record| Cursor { at: record.at(), ..message };
        match field.role {
            Role::Singular if run.len() > 1 && matches!(field.kind, Kind::Message(_)) => {
                self.key(field);
                let start = self.out.len();
                self.merged(field, run, message.bytes, frame.inside(index, field))?;
                if frame.node.is_some() {
                    self.note(index, start, frame);
                }
                Ok(())
            }
            Role::Dropped | Role::Redacted => {
                let mut is_set = false;
                for at in run {
                    let record = self.scratch.records[at];
                    is_set = self.inspect_hidden(index, field, record.wire_type(), cursor(record), frame)?
                        || (is_set && field.is_list);
                }
                if is_set {
                    self.redacted(field);
                }
                Ok(())
            }
            Role::Singular => {
                if run.len() > 1 {
                    for at in run.start..run.end - 1 {
                        let replaced = self.scratch.records[at];
                        self.check(field, replaced.wire_type(), &mut cursor(replaced), self.depth)?;
                    }
                }
                let last = self.scratch.records[run.end - 1];
                self.singular(index, field, &mut cursor(last), frame)
            }
            Role::Repeated => {
                let mut list = List { is_open: false };
                for at in run {
                    let record = self.scratch.records[at];
                    self.elements(index, field, record.wire_type(), &mut cursor(record), &mut list)?;
                    self.within_limit(record.at())?;
                }
                self.close(field, &list);
                Ok(())
            }
            Role::Map => {
                let mut writing = self.begin_map(field);
                for at in run {
                    let mut entry = cursor(self.scratch.records[at]).delimited()?;
                    self.entry(field, &mut entry, message.bytes, &mut writing)?;
                }
                self.end_map(field, message.bytes, &mut writing)
            }
        }
    }

    /// Writes a message from its whole payload.
    pub(super) fn whole_child(&mut self, field: &'p Field, payload: &[u8], frame: Frame<'p>) -> Result<()> {
        let Kind::Message(index) = field.kind else { return Ok(()) };
        if self.depth >= MAX_DEPTH {
            return Err(Failure::too_deep(0));
        }
        self.depth += 1;
        self.message(index, &mut Cursor::new(payload), Frame { group: 0, ..frame })?;
        self.depth -= 1;
        Ok(())
    }
}

/// Returns the error for the first required field that is missing among these records.
#[cold]
fn missing(message: &Message, records: &[Record], start: usize) -> Box<Failure> {
    let mut is_there = vec![false; message.fields.len()];
    for record in records {
        is_there[record.field() as usize] = true;
    }
    let missing = message.fields.iter().zip(is_there).find(|(field, is_there)| field.is_required && !is_there);
    Failure::missing_required(start, missing.map_or("", |(field, _)| &field.name))
}
