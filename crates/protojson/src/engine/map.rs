//! Map fields. Entries are sorted by key; if a key repeats, the last entry wins.
//!
//! Serializers write maps in any order, so sorting is part of the fast path. Entries are rendered in the order in which
//! they arrive. If the keys ascend, that output is final; this holds for every map with one entry and for serializers
//! that sort. Otherwise the rendered pieces are rearranged, and no value is rendered twice.
//!
//! In careful mode the entries are sorted before any is rendered. An entry that a later one replaces is only checked,
//! because it need not have a JSON form. Replaced entries are removed from time to time, so the list of entries is at most
//! twice as long as the output can be.

use std::cmp::Ordering;

use super::{Engine, Frame};
use crate::error::Failure;
use crate::program::{Field, Kind, Map};
use crate::wire::{Cursor, Result, Tag};

use super::value;

/// One rendered entry. A payload can consist of tiny entries, so each byte here counts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    key: Key,
    /// The start of the entry's text in the output, without the comma. In careful mode, the start of the entry in the
    /// payload.
    start: u32,
    end: u32,
}

impl Entry {
    /// Returns a cursor over an entry that is listed by its position in the payload.
    fn cursor(self, payload: &[u8]) -> Cursor<'_> {
        Cursor { bytes: payload, at: self.start as usize, end: self.end as usize }
    }
}

/// A map key. [`Keys`] tells how keys are ordered.
#[derive(Debug, Clone, Copy)]
struct Key(u64);

impl Key {
    /// Creates the key of a string, by its position in the payload.
    fn text(at: usize, len: usize) -> Self {
        Self((at as u64) << 32 | len as u64)
    }

    fn bytes(self, payload: &[u8]) -> &[u8] {
        let at = (self.0 >> 32) as usize;
        &payload[at..at + self.0 as u32 as usize]
    }
}

/// The order of the keys of one map.
#[derive(Debug, Clone, Copy)]
enum Keys<'w> {
    /// A key is a number, mapped so that unsigned order equals the order of the values.
    Numbers,
    /// A key is the position of a string in this payload.
    Texts(&'w [u8]),
}

impl<'w> Keys<'w> {
    fn new(map: &Map, payload: &'w [u8]) -> Self {
        if matches!(map.key.kind, Kind::String { .. }) { Self::Texts(payload) } else { Self::Numbers }
    }

    #[inline(always)]
    fn cmp(self, one: Key, other: Key) -> Ordering {
        match self {
            Self::Numbers => one.0.cmp(&other.0),
            Self::Texts(payload) => one.bytes(payload).cmp(other.bytes(payload)),
        }
    }

    fn is_same(self, one: Entry, other: Entry) -> bool {
        self.cmp(one.key, other.key) == Ordering::Equal
    }
}

/// The state of a map while it is written.
pub(super) struct Writing {
    /// The index of the map's first entry; the entries of the enclosing maps come before it.
    entries: usize,
    is_sorted: bool,
    /// The number of listed entries from which on the replaced ones are removed.
    crowded: usize,
}

impl Writing {
    /// Starts a map after the entries of the enclosing maps.
    pub(super) fn new(around: &[Entry]) -> Self {
        Self { entries: around.len(), is_sorted: true, crowded: 1024 }
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
        self.end_map(field, payload, &mut writing)
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
        let keys = Keys::new(map, payload);
        let previous = self.scratch.entries[writing.entries..].last().map(|entry| entry.key);
        let (key, start, end) = if self.effort.careful {
            let (start, end) = (entry.at, entry.end);
            (self.listed_key(map, entry)?, start, end)
        } else {
            if previous.is_some() {
                self.out.push(b',');
            }
            let start = self.out.len();
            let key = self.render(map, entry)?;
            self.within_limit(entry.at)?;
            (key, start, self.out.len())
        };
        if previous.is_some_and(|previous| keys.cmp(previous, key) != Ordering::Less) {
            writing.is_sorted = false;
        }
        self.scratch.entries.push(Entry { key, start: start as u32, end: end as u32 });
        if self.effort.careful && self.scratch.entries.len() - writing.entries >= writing.crowded {
            self.thin_out(map, payload, writing)?;
        }
        Ok(())
    }

    pub(super) fn end_map(&mut self, field: &'p Field, payload: &[u8], writing: &mut Writing) -> Result<()> {
        let Kind::Map(index) = field.kind else { return Ok(()) };
        let map = &self.program.maps[index as usize];
        if self.effort.careful {
            self.render_in_order(map, payload, writing)?;
        } else if !writing.is_sorted {
            self.put_in_order(Keys::new(map, payload), writing.entries);
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
    fn render_in_order(&mut self, map: &'p Map, payload: &[u8], writing: &mut Writing) -> Result<()> {
        self.keep_last(map, payload, writing)?;
        for at in writing.entries..self.scratch.entries.len() {
            if at > writing.entries {
                self.out.push(b',');
            }
            self.render(map, &mut self.scratch.entries[at].cursor(payload))?;
            self.within_limit(self.scratch.entries[at].start as usize)?;
        }
        Ok(())
    }

    /// Removes replaced entries from a long list, so that the list is not much longer than the limit of the output allows.
    ///
    /// # Errors
    /// Returns an error if the remaining entries exceed the limit of the output, however short their texts are.
    #[cold]
    fn thin_out(&mut self, map: &Map, payload: &[u8], writing: &mut Writing) -> Result<()> {
        const SHORTEST: usize = r#""":0"#.len();
        self.keep_last(map, payload, writing)?;
        let left = self.scratch.entries.len() - writing.entries;
        writing.crowded = 2 * left.max(512);
        match self.scratch.entries.last() {
            Some(last) if left * SHORTEST > self.out.left() => Err(Failure::over_limit(last.start as usize)),
            _ => Ok(()),
        }
    }

    /// Sorts the listed entries by key. If a key repeats, only the last entry stays; the entries that it replaces are
    /// checked.
    fn keep_last(&mut self, map: &Map, payload: &[u8], writing: &mut Writing) -> Result<()> {
        if writing.is_sorted {
            return Ok(());
        }
        let keys = Keys::new(map, payload);
        // The sort is stable, so the last of several equal keys stays last.
        self.scratch.entries[writing.entries..].sort_by(|one, other| keys.cmp(one.key, other.key));
        let mut kept = writing.entries;
        for at in writing.entries..self.scratch.entries.len() {
            let entry = self.scratch.entries[at];
            if self.scratch.entries.get(at + 1).is_some_and(|next| keys.is_same(entry, *next)) {
                let mut replaced = entry.cursor(payload);
                self.check_entry(map, &mut replaced, self.depth).map_err(|failure| failure.within("value"))?;
            } else {
                self.scratch.entries[kept] = entry;
                kept += 1;
            }
        }
        self.scratch.entries.truncate(kept);
        writing.is_sorted = true;
        Ok(())
    }

    /// Sorts the rendered entries from `base` on by key. If a key repeats, only the last entry stays.
    #[cold]
    fn put_in_order(&mut self, keys: Keys<'_>, base: usize) {
        let entries = &mut self.scratch.entries[base..];
        // The first rendered entry is the first of the list until the list is sorted.
        let start = entries.first().map_or(self.out.len(), |entry| entry.start as usize);
        // The sort is stable, so the last of several equal keys stays last.
        entries.sort_by(|one, other| keys.cmp(one.key, other.key));
        self.scratch.bytes.clear();
        self.scratch.bytes.extend_from_slice(self.out.since(start));
        self.out.truncate(start);
        for (index, entry) in entries.iter().enumerate() {
            if entries.get(index + 1).is_some_and(|next| keys.is_same(*entry, *next)) {
                continue;
            }
            if self.out.len() > start {
                self.out.push(b',');
            }
            let text = entry.start as usize - start..entry.end as usize - start;
            self.out.extend_from_slice(&self.scratch.bytes[text]);
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
        if matches!(map.key.kind, Kind::String { .. }) {
            let value = match key {
                Some(mut key) => key.delimited()?,
                None => Cursor::new(&[]),
            };
            self.text(&map.key, value, 0, Frame::PLAIN)?;
            return Ok(Key::text(value.at, value.rest().len()));
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
        Ok(Key(match map.key.kind {
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
            (None, Kind::String { .. } | Kind::Bytes) => {
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
