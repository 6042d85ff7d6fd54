//! Compares the archive in the service's store with the sent events: each event has its message in the archive, or is
//! declared as lost. A Parquet library reads the archive, not the service's own reader.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::path::Path;

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::record::{Field, Row};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::events::{self, Events};
use crate::journal::files;
use crate::spec::Spec;

/// The archive that a service stored.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Archive {
    pub(crate) segments: u64,
    /// The size of all segments.
    pub(crate) bytes: u64,
    /// The size of the archived messages as SQS counts it: bodies and attributes.
    pub(crate) message_bytes: u64,
    pub(crate) rows: u64,
    /// The number of messages that the segments declare as lost.
    pub(crate) lost: u64,
    /// One sentence for each way in which it differs from the events that were sent.
    pub(crate) differences: Vec<String>,
}

impl fmt::Display for Archive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { segments, rows, lost, .. } = self;
        write!(f, "{rows} archived and {lost} declared as lost in {segments} segments, {:.2} × messages", self.share())
    }
}

impl Archive {
    /// Reads the archive in the store and compares it. `processes` is the number of processes that wrote it.
    ///
    /// # Errors
    /// Returns an error if a segment cannot be read.
    pub(crate) fn compared(store: &Path, spec: &Spec, processes: u64) -> anyhow::Result<Self> {
        let events = Events::new(spec)?;
        let mut found = Found { counts: vec![0; spec.events as usize], ..Found::default() };
        let mut archive = Self::default();
        for path in files(&store.join("archive"))? {
            archive.bytes += fs::metadata(&path)?.len();
            archive.segments += 1;
            archive.rows += found.read(&path, &events).with_context(|| path.display().to_string())?;
        }
        archive.message_bytes = found.message_bytes;
        archive.lost = found.lost;
        archive.differences = found.differences(processes);
        Ok(archive)
    }

    /// Returns the size of the segments, in sizes of their messages.
    pub(crate) fn share(&self) -> f64 {
        self.bytes as f64 / self.message_bytes.max(1) as f64
    }
}

/// What the segments have.
#[derive(Debug, Default)]
struct Found {
    /// The number of rows of each event.
    counts: Vec<u8>,
    message_bytes: u64,
    /// The number of rows that are not the message of an event, as it was sent.
    strange: u64,
    lost: u64,
    /// The number of segments that declare that they are the last of their process.
    ends: u64,
    /// The number and the time of each segment, from and to, by process.
    processes: BTreeMap<String, Vec<(u64, i64, i64)>>,
}

impl Found {
    /// Adds a segment. Returns the number of its rows.
    fn read(&mut self, path: &Path, events: &Events) -> anyhow::Result<u64> {
        let reader = SerializedFileReader::new(File::open(path)?)?;
        let metadata = reader.metadata().file_metadata();
        let value = |name: &str| {
            let mut all = metadata.key_value_metadata().into_iter().flatten();
            let value = all.find(|pair| pair.key == name).and_then(|pair| pair.value.as_deref());
            value.with_context(|| format!("its metadata has no {name}"))
        };
        let lost: Vec<Value> = serde_json::from_str(value("protobridge.lost")?)?;
        self.lost += lost.iter().filter_map(|lost| lost["count"].as_u64()).sum::<u64>();
        self.ends += u64::from(value("protobridge.is_last")? == "true");
        let time = |name: &str| anyhow::Ok(value(name)?.parse::<i64>()?);
        let segment = (value("protobridge.number")?.parse()?, time("protobridge.from")?, time("protobridge.to")?);
        self.processes.entry(value("protobridge.incarnation")?.to_owned()).or_default().push(segment);
        let mut rows = 0;
        for row in reader.get_row_iter(None)? {
            rows += 1;
            self.add(&row?, events);
        }
        let declared = value("protobridge.rows")?;
        if declared.parse::<u64>()? != rows {
            bail!("it declares {declared} rows, but has {rows}");
        }
        Ok(rows)
    }

    fn add(&mut self, row: &Row, events: &Events) {
        let column = |wanted: &str| row.get_column_iter().find(|(name, _)| *name == wanted).map(|(_, field)| field);
        let text = |wanted: &str| match column(wanted) {
            Some(Field::Str(text)) => Some(text.as_str()),
            _ => None,
        };
        let body = match column("body") {
            Some(Field::Bytes(bytes)) if text("body_encoding") == Some("base64") => {
                BASE64_STANDARD.encode(bytes.data())
            }
            _ => String::new(),
        };
        let number = text("event_id").and_then(|id| events::number(id.as_bytes()));
        let count = number.and_then(|number| self.counts.get_mut(number as usize));
        match (number, count) {
            (Some(number), Some(count))
                if body == events.template(number).body
                    && text("message_id") == Some(events::message_id(number).as_str())
                    && text("outcome") == Some("published") =>
            {
                *count = count.saturating_add(1);
            }
            _ => self.strange += 1,
        }
        self.message_bytes += body.len() as u64 + attribute_bytes(text("attributes").unwrap_or_default());
    }

    fn differences(&self, processes: u64) -> Vec<String> {
        let missing = self.counts.iter().filter(|count| **count == 0).count() as u64;
        let differences = [
            (self.ends.abs_diff(processes), "processes stored no last segment, or more than one"),
            (self.breaks(), "segments do not continue the one before them"),
            (self.strange, "rows are not the message of a published event as it was sent"),
            (missing.saturating_sub(self.lost), "events are neither archived nor declared as lost"),
            (self.lost.saturating_sub(missing), "events are declared as lost, but archived"),
        ];
        let found = differences.into_iter().filter(|(count, _)| *count > 0);
        found.map(|(count, what)| format!("the archive: {count} {what}")).collect()
    }

    /// Returns the number of segments whose number or time does not follow that of the segment before.
    fn breaks(&self) -> u64 {
        let mut breaks = 0;
        for segments in self.processes.values() {
            let mut sorted = segments.clone();
            sorted.sort_unstable();
            breaks += u64::from(sorted.first().is_some_and(|(number, ..)| *number != 0));
            let follows = |pair: &&[(u64, i64, i64)]| pair[1].0 == pair[0].0 + 1 && pair[1].1 == pair[0].2;
            breaks += sorted.windows(2).filter(|pair| !follows(pair)).count() as u64;
        }
        breaks
    }
}

/// Returns the size of a message's attributes as SQS counts it. They are a JSON object.
fn attribute_bytes(attributes: &str) -> u64 {
    let attributes: Value = serde_json::from_str(attributes).unwrap_or_default();
    let length = |value: &Value| value.as_str().map_or(0, str::len) as u64;
    let attributes = attributes.as_object().into_iter().flatten();
    attributes.map(|(name, value)| name.len() as u64 + length(&value["type"]) + length(&value["value"])).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_in_which_an_archive_differs_from_the_events_has_a_sentence() {
        type Change = fn(&mut Found);
        let differences = |change: Change| {
            let mut found = Found { counts: vec![1, 2, 0], lost: 1, ends: 2, ..Found::default() };
            for (process, segments) in [("a", vec![(1, 5, 9), (0, 2, 5)]), ("b", vec![(0, 3, 4)])] {
                found.processes.insert(process.to_owned(), segments);
            }
            change(&mut found);
            found.differences(2)
        };
        assert_eq!(differences(|_| ()), [""; 0], "an event twice and a declared loss are no difference");
        let changes: [(Change, &str); 8] = [
            (|found| found.ends = 1, "last segment"),
            (|found| found.ends = 3, "last segment"),
            (|found| found.processes.get_mut("a").unwrap()[0] = (2, 5, 9), "do not continue"),
            (|found| found.processes.get_mut("a").unwrap()[0] = (1, 6, 9), "do not continue"),
            (|found| found.processes.get_mut("b").unwrap()[0] = (1, 3, 4), "do not continue"),
            (|found| found.strange = 1, "as it was sent"),
            (|found| found.counts[0] = 0, "1 events are neither"),
            (|found| found.counts[2] = 1, "1 events are declared as lost"),
        ];
        for (change, part) in changes {
            let found = differences(change);
            assert!(matches!(&found[..], [one] if one.contains(part)), "{part} is not in {found:?}");
        }
    }

    #[test]
    fn attributes_have_the_size_that_sqs_counts() {
        let attributes = r#"{"event-id": {"type": "String", "value": "12345"}, "a": {"type": "Number", "value": "1"}}"#;
        assert_eq!(attribute_bytes(attributes), (8 + 6 + 5) + (1 + 6 + 1));
    }
}
