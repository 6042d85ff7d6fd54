//! Rows in memory, packed: what few rows have in common is kept once, and the other text is appended to one buffer.

use std::collections::HashMap;

use bytes::Bytes;
use foldhash::fast::RandomState;

use super::Row;
use super::columns::{COLUMNS, Count, Field, Text, Time};

/// The number of rows in a full chunk. A lookup in rows that are not stored yet locks out the pipeline for at most one
/// chunk.
pub(super) const CHUNK_ROWS: usize = 4_096;

/// The fields whose text many rows share.
const SHARED: [Text; 10] = [
    Text::EventType,
    Text::Customer,
    Text::Topic,
    Text::Queue,
    Text::Outcome,
    Text::Reason,
    Text::DuplicateCause,
    Text::SchemaHash,
    Text::Replay,
    Text::Replica,
];

/// The fields whose text is of one row or of few.
const OWN: [Text; 8] = [
    Text::EventId,
    Text::MessageId,
    Text::SnsMessageId,
    Text::Detail,
    Text::SequenceNumber,
    Text::RequestId,
    Text::FirstMessageId,
    Text::TraceId,
];

/// No text, in place of the index of a shared text.
const NO_TEXT: u32 = u32::MAX;

/// No number, and no time.
const NO_COUNT: u32 = u32::MAX;
const NO_TIME: i64 = i64::MIN;

#[derive(Debug)]
struct Packed {
    /// The end of each own text in `Chunk::text`; a text begins where the one before it ends.
    ends: [u32; OWN.len()],
    /// Bit by bit, whether the row has the own text of this index.
    has: u8,
    redrive: bool,
    shared: [u32; SHARED.len()],
    counts: [u32; 3],
    times: [i64; 4],
}

/// Up to [`CHUNK_ROWS`] rows.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    rows: Vec<Packed>,
    text: Vec<u8>,
    shared: Vec<Bytes>,
    indices: HashMap<Bytes, u32, RandomState>,
    shared_bytes: usize,
}

impl Chunk {
    /// Returns the number of rows.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Returns the bytes that the rows take in memory, roughly.
    pub(super) fn bytes(&self) -> usize {
        self.rows.len() * size_of::<Packed>() + self.text.len() + self.shared_bytes
    }

    /// Adds a row.
    pub(super) fn push(&mut self, row: &Row<&str>) {
        let (mut ends, mut has) = ([0; OWN.len()], 0);
        for (index, field) in OWN.into_iter().enumerate() {
            if let Some(text) = row.text(field) {
                self.text.extend_from_slice(text.as_bytes());
                has |= 1 << index;
            }
            ends[index] = self.text.len() as u32;
        }
        let shared = SHARED.map(|field| row.text(field).map_or(NO_TEXT, |text| self.share(text)));
        let counts = [Count::Receive, Count::Attempts, Count::Throttles];
        let times = [Time::Sent, Time::Received, Time::Published, Time::Settled];
        self.rows.push(Packed {
            ends,
            has,
            redrive: row.redrive,
            shared,
            counts: counts.map(|count| row.count(count).unwrap_or(NO_COUNT)),
            times: times.map(|time| row.time(time).unwrap_or(NO_TIME)),
        });
    }

    fn share(&mut self, text: &str) -> u32 {
        if let Some(index) = self.indices.get(text.as_bytes()) {
            return *index;
        }
        let (text, index) = (Bytes::copy_from_slice(text.as_bytes()), self.shared.len() as u32);
        self.shared_bytes += text.len() + 64;
        self.shared.push(text.clone());
        self.indices.insert(text, index);
        index
    }

    /// Ends the chunk.
    pub(super) fn seal(mut self) -> Sealed {
        self.indices = HashMap::default();
        let text = std::mem::take(&mut self.text).into();
        Sealed { chunk: self, text }
    }

    /// Returns a text of a row. `buffer` has the own texts.
    fn text<'c>(&'c self, row: usize, field: Text, buffer: &'c [u8]) -> Option<&'c [u8]> {
        if let Some(index) = OWN.iter().position(|own| *own == field) {
            return self.own(row, index).map(|(begin, end)| &buffer[begin..end]);
        }
        let index = SHARED.iter().position(|shared| *shared == field)?;
        self.shared.get(self.rows[row].shared[index] as usize).map(|text| &text[..])
    }

    fn own(&self, row: usize, index: usize) -> Option<(usize, usize)> {
        let Packed { ends, has, .. } = &self.rows[row];
        let begin = match index {
            0 if row == 0 => 0,
            0 => self.rows[row - 1].ends[OWN.len() - 1],
            _ => ends[index - 1],
        };
        (has & 1 << index != 0).then(|| (begin as usize, ends[index] as usize))
    }

    /// Returns a time of a row.
    fn time(&self, row: usize, field: Time) -> Option<i64> {
        Some(self.rows[row].times[field as usize]).filter(|time| *time != NO_TIME)
    }

    /// Returns a number of a row.
    fn count(&self, row: usize, field: Count) -> Option<u32> {
        Some(self.rows[row].counts[field as usize]).filter(|count| *count != NO_COUNT)
    }

    /// Returns the rows in which one of these fields has this text.
    pub(super) fn find(&self, fields: &[Text], text: &str) -> Vec<Row> {
        self.find_in(&self.text, fields, text)
    }

    fn find_in(&self, buffer: &[u8], fields: &[Text], text: &str) -> Vec<Row> {
        let has = |row: usize, field: Text| self.text(row, field, buffer) == Some(text.as_bytes());
        let is_wanted = |row: &usize| fields.iter().any(|field| has(*row, *field));
        (0..self.len()).filter(is_wanted).map(|row| self.row(row, buffer)).collect()
    }

    fn row(&self, row: usize, buffer: &[u8]) -> Row {
        let mut unpacked = Row { redrive: self.rows[row].redrive, ..Row::default() };
        for column in &COLUMNS {
            match column.field {
                Field::Text(field) => {
                    if let Some(text) = self.text(row, field, buffer) {
                        unpacked.set_text(field, String::from_utf8_lossy(text).into_owned());
                    }
                }
                Field::Time(field) => {
                    if let Some(time) = self.time(row, field) {
                        unpacked.set_time(field, time);
                    }
                }
                Field::Count(field) => {
                    if let Some(count) = self.count(row, field) {
                        unpacked.set_count(field, count);
                    }
                }
                Field::Redrive => {}
            }
        }
        unpacked
    }
}

/// A chunk that gets no more rows.
#[derive(Debug)]
pub(super) struct Sealed {
    chunk: Chunk,
    text: Bytes,
}

/// Where a column finds its texts.
#[derive(Debug, Clone, Copy)]
pub(super) enum Texts {
    Own(usize),
    Shared(usize),
}

impl Texts {
    pub(super) fn of(field: Text) -> Self {
        match OWN.iter().position(|own| *own == field) {
            Some(index) => Self::Own(index),
            // Each field is in one of the two lists, as a test proves.
            None => Self::Shared(SHARED.iter().position(|shared| *shared == field).unwrap_or_default()),
        }
    }
}

impl Sealed {
    /// Returns the number of rows.
    pub(super) fn len(&self) -> usize {
        self.chunk.len()
    }

    /// Returns the rows in which one of these fields has this text.
    pub(super) fn find(&self, fields: &[Text], text: &str) -> Vec<Row> {
        self.chunk.find_in(&self.text, fields, text)
    }

    /// Returns the event id of a row.
    pub(super) fn event_id(&self, row: usize) -> Option<&[u8]> {
        self.chunk.text(row, Text::EventId, &self.text)
    }

    /// Returns a text of a row, without a copy.
    pub(super) fn text(&self, row: usize, texts: Texts) -> Option<Bytes> {
        match texts {
            Texts::Own(index) => self.chunk.own(row, index).map(|(begin, end)| self.text.slice(begin..end)),
            Texts::Shared(index) => self.chunk.shared.get(self.chunk.rows[row].shared[index] as usize).cloned(),
        }
    }

    /// Returns a time of a row.
    pub(super) fn time(&self, row: usize, field: Time) -> Option<i64> {
        self.chunk.time(row, field)
    }

    /// Returns a number of a row.
    pub(super) fn count(&self, row: usize, field: Count) -> Option<u32> {
        self.chunk.count(row, field)
    }

    /// Whether the message of a row came back from a quarantine queue.
    pub(super) fn is_redriven(&self, row: usize) -> bool {
        self.chunk.rows[row].redrive
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_rows::{borrowed, full, sparse};
    use super::*;

    #[test]
    fn each_text_is_either_shared_or_own() {
        let in_lists: Vec<Text> = SHARED.into_iter().chain(OWN).collect();
        let of_columns = COLUMNS.iter().filter_map(|column| match column.field {
            Field::Text(text) => Some(text),
            _ => None,
        });
        assert_eq!(in_lists.len(), of_columns.clone().count());
        assert!(of_columns.into_iter().all(|text| in_lists.contains(&text)));
    }

    #[test]
    fn rows_come_back_as_they_were() {
        let rows = [full(1), sparse(2), full(3), sparse(4)];
        let mut chunk = Chunk::default();
        for row in &rows {
            chunk.push(&borrowed(row));
        }
        let back: Vec<Row> = (0..chunk.len()).map(|row| chunk.row(row, &chunk.text)).collect();
        assert_eq!(back, rows);
        assert_eq!(chunk.find(&[Text::MessageId], &rows[1].message_id), rows[1..2]);
        assert_eq!(chunk.find(&[Text::EventId, Text::SnsMessageId], "nothing"), []);
        let sealed = chunk.seal();
        assert_eq!(sealed.find(&[Text::EventId, Text::SnsMessageId], "sns-0003"), rows[2..3]);
    }
}
