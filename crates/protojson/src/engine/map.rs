//! Map fields. Entries are sorted by key; if a key repeats, the last entry wins.
//!
//! Serializers write maps in any order, so sorting is part of the fast path. Entries are rendered in the order in which
//! they arrive. If the keys ascend, that output is final; this holds for every map with one entry and for serializers
//! that sort. Otherwise the rendered pieces are rearranged, and no value is rendered twice.
//!
//! In careful mode the entries are sorted before any is rendered. An entry that a later one replaces is only checked,
//! because it need not have a JSON form.

use std::cmp::Ordering;
use std::ops::Range;

use super::{Engine, Frame};
use crate::program::{Field, Kind, Map};
use crate::wire::{Cursor, Result, Tag};

use super::value;

/// One rendered entry.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    key: Key,
    /// The position of the entry's text in the output, without the comma. In careful mode, the position of the entry in
    /// the payload.
    text: Range<usize>,
}

/// A map key, ordered as a number or by bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    /// A number, mapped so that unsigned order equals the order of the values.
    Number(u64),
    /// A string, by its position in the payload.
    Text { at: usize, len: usize },
}

impl Key {
    fn cmp(self, other: Self, payload: &[u8]) -> Ordering {
        match (self, other) {
            (Self::Number(one), Self::Number(other)) => one.cmp(&other),
            (Self::Text { at, len }, Self::Text { at: other_at, len: other_len }) => {
                payload[at..at + len].cmp(&payload[other_at..other_at + other_len])
            }
            // All keys of one map have the same kind.
            _ => Ordering::Equal,
        }
    }
}

/// The state of a map while it is written.
pub(super) struct Writing {
    /// The index of the map's first entry; the entries of the enclosing maps come before it.
    entries: usize,
    is_sorted: bool,
}

impl Writing {
    /// Starts a map after the entries of the enclosing maps.
    pub(super) fn new(around: &[Entry]) -> Self {
        Self { entries: around.len(), is_sorted: true }
    }
}

impl<'p> Engine<'p> {
    /// Writes consecutive records of a map field. The tag of the first record was already read.
    pub(super) fn map(&mut self, field: &'p Field, tag: Tag, cursor: &mut Cursor<'_>) -> Result<()> {
        let payload = cursor.bytes;
        let mut writing = self.begin_map(field);
        loop {
            let mut entry = cursor.delimited()?;
            self.entry(field, &mut entry, payload, &mut writing)?;
            if !cursor.eat(tag) {
                break;
            }
        }
        self.end_map(field, payload, &writing)
    }

    pub(super) fn begin_map(&mut self, field: &Field) -> Writing {
        self.key(field);
        self.out.push(b'{');
        Writing::new(&self.scratch.entries)
    }

    /// Renders one entry of a map. All records of the map are in `payload`.
    pub(super) fn entry(
        &mut self,
        field: &'p Field,
        entry: &mut Cursor<'_>,
        payload: &[u8],
        writing: &mut Writing,
    ) -> Result<()> {
        let Kind::Map(index) = field.kind else { return Ok(()) };
        let map = &self.program.maps[index as usize];
        let previous = self.scratch.entries[writing.entries..].last().map(|entry| entry.key);
        let (key, text) = if self.effort.careful {
            let place = entry.at..entry.end;
            (self.listed_key(map, entry)?, place)
        } else {
            if previous.is_some() {
                self.out.push(b',');
            }
            let start = self.out.len();
            (self.render(map, entry)?, start..self.out.len())
        };
        if previous.is_some_and(|previous| previous.cmp(key, payload) != Ordering::Less) {
            writing.is_sorted = false;
        }
        self.scratch.entries.push(Entry { key, text });
        Ok(())
    }

    pub(super) fn end_map(&mut self, field: &'p Field, payload: &[u8], writing: &Writing) -> Result<()> {
        if self.effort.careful {
            self.render_in_order(field, payload, writing)?;
        } else if !writing.is_sorted {
            self.put_in_order(payload, writing.entries);
        }
        self.scratch.entries.truncate(writing.entries);
        self.out.push(b'}');
        Ok(())
    }

    /// Renders one entry and moves the cursor behind it.
    fn render(&mut self, map: &'p Map, entry: &mut Cursor<'_>) -> Result<Key> {
        let found = self.find(map, entry)?;
        let key = self.map_key(map, found.key)?;
        self.out.push(b':');
        self.map_value(map, &found)?;
        Ok(key)
    }

    /// Returns the key of an entry that is rendered later.
    fn listed_key(&mut self, map: &'p Map, entry: &mut Cursor<'_>) -> Result<Key> {
        let key = self.find(map, entry)?.key;
        let written = self.out.len();
        let key = self.map_key(map, key)?;
        self.out.truncate(written);
        Ok(key)
    }

    /// Renders the listed entries in the order of their keys. If a key repeats, only the last entry is rendered.
    fn render_in_order(&mut self, field: &'p Field, payload: &[u8], writing: &Writing) -> Result<()> {
        let Kind::Map(index) = field.kind else { return Ok(()) };
        let map = &self.program.maps[index as usize];
        if !writing.is_sorted {
            // The sort is stable, so the last of several equal keys stays last.
            self.scratch.entries[writing.entries..].sort_by(|one, other| one.key.cmp(other.key, payload));
        }
        let mut first = true;
        for at in writing.entries..self.scratch.entries.len() {
            let Entry { key, text } = self.scratch.entries[at].clone();
            let mut entry = Cursor { bytes: payload, at: text.start, end: text.end };
            let next = self.scratch.entries.get(at + 1).map(|next| next.key);
            if next.is_some_and(|next| key.cmp(next, payload) == Ordering::Equal) {
                self.check_entry(map, &mut entry, self.depth).map_err(|failure| failure.within("value"))?;
                continue;
            }
            if !first {
                self.out.push(b',');
            }
            first = false;
            self.render(map, &mut entry)?;
        }
        Ok(())
    }

    /// Sorts the rendered entries from `base` on by key. If a key repeats, only the last entry stays.
    #[cold]
    fn put_in_order(&mut self, payload: &[u8], base: usize) {
        let entries = &mut self.scratch.entries[base..];
        // The sort is stable, so the last of several equal keys stays last.
        entries.sort_by(|one, other| one.key.cmp(other.key, payload));
        let start = entries.iter().map(|entry| entry.text.start).min().unwrap_or(self.out.len());
        self.scratch.bytes.clear();
        self.scratch.bytes.extend_from_slice(self.out.since(start));
        self.out.truncate(start);
        for (index, entry) in entries.iter().enumerate() {
            let is_replaced =
                entries.get(index + 1).is_some_and(|next| entry.key.cmp(next.key, payload) == Ordering::Equal);
            if is_replaced {
                continue;
            }
            if self.out.len() > start {
                self.out.push(b',');
            }
            self.out.extend_from_slice(&self.scratch.bytes[entry.text.start - start..entry.text.end - start]);
        }
    }

    /// Finds the last key and the last value of an entry, and moves the cursor behind the entry.
    #[cfg_attr(not(debug_assertions), inline(always))]
    fn find<'w>(&self, map: &Map, entry: &mut Cursor<'w>) -> Result<Found<'w>> {
        match Found::key_then_value(map, *entry) {
            Some(found) => {
                entry.at = entry.end;
                Ok(found)
            }
            None => self.find_any(map, entry),
        }
    }

    #[inline(never)]
    fn find_any<'w>(&self, map: &Map, entry: &mut Cursor<'w>) -> Result<Found<'w>> {
        let mut found = Found { entry: *entry, key: None, value: None, values: 0 };
        while !entry.is_at_end() {
            let tag = entry.tag()?;
            if tag.number() == map.key.number && tag.wire_type() == map.key.wire_type {
                if let Some(mut replaced) = found.key.replace(*entry) {
                    self.check(&map.key, map.key.wire_type, &mut replaced, self.depth)?;
                }
            } else if tag.number() == map.value.number && tag.wire_type() == map.value.wire_type {
                found.values += 1;
                match found.value.replace(*entry) {
                    // Replaced messages are not skipped but merged.
                    Some(mut replaced) if !matches!(map.value.kind, Kind::Message(_)) => {
                        self.check(&map.value, map.value.wire_type, &mut replaced, self.depth)?;
                    }
                    _ => {}
                }
            }
            entry.skip(tag, self.depth)?;
        }
        Ok(found)
    }

    /// Writes the key between quotes, whatever its kind is.
    fn map_key(&mut self, map: &Map, key: Option<Cursor<'_>>) -> Result<Key> {
        if map.key.kind == Kind::String {
            let value = match key {
                Some(mut key) => key.delimited()?,
                None => Cursor::new(&[]),
            };
            self.text(Kind::String, value)?;
            return Ok(Key::Text { at: value.at, len: value.rest().len() });
        }
        let bits = match key {
            Some(mut key) => value::read(&map.key, &mut key)?,
            None => 0,
        };
        self.out.push(b'"');
        let kind = match map.key.kind {
            Kind::Int64 { .. } | Kind::Sint64 { .. } => Kind::Int64 { quoted: false },
            Kind::Uint64 { .. } => Kind::Uint64 { quoted: false },
            kind => kind,
        };
        self.number(kind, bits);
        self.out.push(b'"');
        Ok(Key::Number(match map.key.kind {
            Kind::Int64 { .. } | Kind::Sint64 { .. } => bits ^ (1 << 63),
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => u64::from(bits as u32 ^ (1 << 31)),
            _ => bits,
        }))
    }

    fn map_value(&mut self, map: &'p Map, found: &Found<'_>) -> Result<()> {
        let field = &map.value;
        match (found.value, field.kind) {
            (Some(_), Kind::Message(_)) if found.values > 1 => {
                // Several records of a message form one message. No serializer writes such an entry.
                let base = self.scratch.records.len();
                let mut entry = found.entry;
                while !entry.is_at_end() {
                    let tag = entry.tag()?;
                    if tag.number() == field.number && tag.wire_type() == field.wire_type {
                        self.note_part(field, entry.at);
                    }
                    entry.skip(tag, self.depth)?;
                }
                self.merged(field, base..base + found.values, entry.bytes, Frame::PLAIN)?;
                self.scratch.records.truncate(base);
                Ok(())
            }
            (Some(mut value), _) => self.element(0, field, &mut value),
            (None, Kind::Message(_)) => self.whole_child(field, &[], Frame::PLAIN),
            (None, Kind::String | Kind::Bytes) => {
                self.out.extend(b"\"\"");
                Ok(())
            }
            (None, kind) => {
                self.number(kind, map.default);
                Ok(())
            }
        }
        .map_err(|failure| failure.within("value"))
    }
}

/// The key and the value of an entry, in either order.
struct Found<'w> {
    entry: Cursor<'w>,
    key: Option<Cursor<'w>>,
    value: Option<Cursor<'w>>,
    /// The number of records that hold the value.
    values: usize,
}

impl<'w> Found<'w> {
    /// Finds the key and the value if the entry consists of exactly one key followed by one value, as serializers write
    /// it.
    #[inline(always)]
    fn key_then_value(map: &Map, entry: Cursor<'w>) -> Option<Self> {
        let key = entry.behind(map.key.tag())?;
        let value = key.behind_value(map.key.wire_type)?.behind(map.value.tag())?;
        let end = value.behind_value(map.value.wire_type)?;
        end.is_at_end().then_some(Self { entry, key: Some(key), value: Some(value), values: 1 })
    }
}
