//! Compares the journal in the service's store with the emulator's ledger: each delivery has one row, with the id that
//! SNS gave to the message. A Parquet library reads the journal, not the service's own reader.

use std::fmt;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::record::{Field, Row};
use serde::{Deserialize, Serialize};

use crate::emulator::ledger::hashed;
use crate::emulator::stats::ArrivalStats;
use crate::events;
use crate::spec::Spec;

/// The journal that a service stored.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Journal {
    pub(crate) segments: u64,
    /// The size of all segments.
    pub(crate) bytes: u64,
    /// The number of rows with any outcome.
    pub(crate) rows: u64,
    /// One sentence for each way in which it differs from the emulator's ledger.
    pub(crate) differences: Vec<String>,
}

impl fmt::Display for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { segments, bytes, rows, .. } = self;
        write!(f, "{rows} rows in {segments} segments, {:.0} bytes per row", *bytes as f64 / (*rows).max(1) as f64)
    }
}

impl Journal {
    /// Reads the journal in the store and compares it. `processes` is the number of processes that wrote it, and `ids`
    /// has the sum of the hashed SNS message ids of each delivery.
    ///
    /// # Errors
    /// Returns an error if a segment cannot be read.
    pub(crate) fn compared(
        store: &Path,
        spec: &Spec,
        processes: u64,
        ids: &[u64],
        arrived: &ArrivalStats,
    ) -> anyhow::Result<Self> {
        let mut rows =
            PublishedRows { counts: vec![0; ids.len()], ids: vec![0; ids.len()], ..PublishedRows::default() };
        let mut journal = Self::default();
        for path in files(&store.join("journal"))? {
            journal.bytes += fs::metadata(&path)?.len();
            journal.segments += 1;
            journal.rows += rows.read(&path, spec).with_context(|| path.display().to_string())?;
        }
        journal.differences = rows.differences(processes, ids, arrived);
        Ok(journal)
    }
}

/// The rows of published events in all segments, by delivery.
#[derive(Debug, Default)]
struct PublishedRows {
    /// The number of rows of each delivery.
    counts: Vec<u8>,
    /// The sum of the hashed SNS message ids of the rows of each delivery.
    ids: Vec<u64>,
    /// The number of rows that belong to no delivery.
    strange: u64,
    /// The number of rows of any kind that the segments declare as dropped.
    dropped: u64,
    /// The number of segments that declare that they are the last of their process.
    ends: u64,
}

impl PublishedRows {
    /// Adds the rows of a segment. Returns the number of its rows of any kind.
    fn read(&mut self, path: &Path, spec: &Spec) -> anyhow::Result<u64> {
        let reader = SerializedFileReader::new(File::open(path)?)?;
        let metadata = reader.metadata().file_metadata();
        let value = |name: &str| {
            let mut all = metadata.key_value_metadata().into_iter().flatten();
            let value = all.find(|pair| pair.key == name).and_then(|pair| pair.value.as_deref());
            value.with_context(|| format!("its metadata has no {name}"))
        };
        self.dropped += value("protobridge.dropped")?.parse::<u64>()?;
        self.ends += u64::from(value("protobridge.is_last")? == "true");
        let mut rows = 0;
        for row in reader.get_row_iter(None)? {
            rows += 1;
            self.add(&row?, spec);
        }
        let declared = value("protobridge.rows")?;
        if declared.parse::<u64>()? != rows {
            bail!("it declares {declared} rows, but has {rows}");
        }
        Ok(rows)
    }

    fn add(&mut self, row: &Row, spec: &Spec) {
        let text = |wanted: &str| {
            row.get_column_iter().find_map(|(name, field)| match field {
                Field::Str(text) if name == wanted => Some(text.as_str()),
                _ => None,
            })
        };
        if text("outcome") != Some("published") {
            return;
        }
        match delivery(&text, spec) {
            Some((slot, message)) => {
                self.counts[slot] = self.counts[slot].saturating_add(1);
                self.ids[slot] = self.ids[slot].wrapping_add(hashed(message));
            }
            None => self.strange += 1,
        }
    }

    fn differences(&self, processes: u64, ids: &[u64], arrived: &ArrivalStats) -> Vec<String> {
        let count = |is_wrong: fn(u8, u64, u64) -> bool| {
            let slots = self.counts.iter().zip(&self.ids).zip(ids);
            slots.filter(|((rows, stored), counted)| is_wrong(**rows, **stored, **counted)).count() as u64
        };
        let published: u64 = self.counts.iter().map(|rows| u64::from(*rows)).sum();
        let differences = [
            (self.dropped, "rows were dropped"),
            (self.ends.abs_diff(processes), "processes stored no last segment, or more than one"),
            (self.strange, "rows of published events name an event, a customer or a message that does not exist"),
            (count(|rows, _, counted| rows == 0 && counted != 0), "deliveries have no row"),
            (
                count(|rows, stored, counted| rows > 0 && stored != counted),
                "deliveries have rows with other SNS message ids, or too many",
            ),
            (
                (arrived.arrived + arrived.doubled).abs_diff(published),
                "rows of published events are too many or too few",
            ),
        ];
        let found = differences.into_iter().filter(|(count, _)| *count > 0);
        found.map(|(count, what)| format!("the journal: {count} {what}")).collect()
    }
}

/// Returns the delivery that a row is about, and the number in its SNS message id.
fn delivery<'r>(text: &impl Fn(&str) -> Option<&'r str>, spec: &Spec) -> Option<(usize, u64)> {
    let number = events::number(text("event_id")?.as_bytes()).filter(|number| *number < spec.events)?;
    let customer = events::customer_of_topic(text("topic")?).ok().filter(|customer| *customer < spec.customers)?;
    let is_theirs = text("customer") == Some(events::customer_id(customer).as_str());
    let is_of_event = text("message_id") == Some(events::message_id(number).as_str());
    let message = events::sns_message_number(text("sns_message_id")?)?;
    (is_theirs && is_of_event).then(|| (spec.slot(number, customer), message))
}

/// Returns all files below a folder.
///
/// # Errors
/// Returns an error if the folder cannot be read.
pub(crate) fn files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(&path)?);
        } else {
            found.push(path);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_in_which_a_journal_differs_from_the_ledger_has_a_sentence() {
        type Change = fn(&mut PublishedRows);
        let ids = [hashed(7), hashed(8).wrapping_add(hashed(9)), 0];
        let arrived = ArrivalStats { arrived: 2, doubled: 1, ..ArrivalStats::default() };
        let differences = |change: Change| {
            let mut rows =
                PublishedRows { counts: vec![1, 2, 0], ids: ids.to_vec(), ends: 2, ..PublishedRows::default() };
            change(&mut rows);
            rows.differences(2, &ids, &arrived)
        };
        assert_eq!(differences(|_| ()), [""; 0], "two deliveries, one of them twice, by two processes");
        let changes: [(Change, &str); 7] = [
            (|rows| rows.dropped = 1, "were dropped"),
            (|rows| rows.ends = 1, "last segment"),
            (|rows| rows.ends = 3, "last segment"),
            (|rows| rows.strange = 1, "does not exist"),
            (|rows| rows.ids[0] = hashed(8), "other SNS message ids"),
            (|rows| (rows.counts, rows.ids[0]) = (vec![0, 3, 0], 0), "have no row"),
            (|rows| rows.counts[2] = 1, "too many or too few"),
        ];
        for (change, part) in changes {
            let found = differences(change);
            assert!(found.iter().any(|difference| difference.contains(part)), "{part} is not in {found:?}");
        }
    }

    #[test]
    fn a_row_belongs_to_a_delivery_only_if_event_message_customer_and_topic_agree() {
        let spec = Spec { events: 5, customers: 3, fan_out: true, ..Spec::default() };
        let of = |changed: &str, value: &str| {
            let columns = [
                ("event_id", events::event_id(4)),
                ("message_id", events::message_id(4)),
                ("customer", events::customer_id(2)),
                ("topic", events::topic(2)),
                ("sns_message_id", events::sns_message_id(77)),
            ];
            let text = |wanted: &str| {
                let (name, text) = columns.iter().find(|(name, _)| *name == wanted)?;
                Some(if *name == changed { value } else { text.as_str() })
            };
            delivery(&text, &spec)
        };
        assert_eq!(of("", ""), Some((14, 77)));
        assert_eq!(of("event_id", &events::event_id(5)), None);
        assert_eq!(of("message_id", &events::message_id(3)), None);
        assert_eq!(of("customer", &events::customer_id(1)), None);
        assert_eq!(of("topic", &events::topic(3)), None);
        assert_eq!(of("sns_message_id", "5e57"), None);
    }
}
