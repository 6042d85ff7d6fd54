//! Compares what the service stored with what the emulator counted.
//!
//! Journal and counters are read here with a Parquet library and a JSON library, not with the service's own readers.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::record::{Field, Row};
use serde::{Deserialize, Serialize};

use crate::emulator::ledger::hashed;
use crate::emulator::stats::{Answered, Stats};
use crate::events;
use crate::spec::Spec;

/// What the service stored.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Stored {
    /// The number of segments of the journal, and their bytes.
    pub(crate) segments: u64,
    pub(crate) bytes: u64,
    pub(crate) rows: u64,
    /// One sentence for each way in which it differs from what the emulator counted.
    pub(crate) differences: Vec<String>,
}

impl fmt::Display for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { segments, bytes, rows, .. } = self;
        write!(f, "{rows} rows in {segments} segments, {:.0} bytes per row", *bytes as f64 / (*rows).max(1) as f64)
    }
}

/// Reads a store and compares it. `ids` has the sum of the hashed SNS message ids of each delivery.
///
/// # Errors
/// Returns an error if a file cannot be read.
pub(crate) fn compare(store: &Path, spec: &Spec, ids: &[u64], stats: &Stats) -> anyhow::Result<Stored> {
    let mut journal = Journal { rows_of: vec![0; ids.len()], ids_of: vec![0; ids.len()], ..Journal::default() };
    for path in files(&store.join("journal"))? {
        journal.read(&path, spec).with_context(|| path.display().to_string())?;
    }
    let mut stored = journal.stored;
    let mut differs = |count: u64, what: &str| {
        if count > 0 {
            stored.differences.push(format!("journal: {count} {what}"));
        }
    };
    differs(journal.dropped, "rows were dropped");
    differs(u64::from(journal.ends != 1), "process did not store its last segment");
    differs(
        journal.strange,
        "rows of published events name no delivery, or a customer or a message that it does not have",
    );
    let delivered = |slot: &usize| ids[*slot] != 0;
    let slots = || 0..ids.len();
    differs(
        slots().filter(|slot| delivered(slot) && journal.rows_of[*slot] == 0).count() as u64,
        "deliveries have no row",
    );
    let is_wrong = |slot: &usize| journal.rows_of[*slot] > 0 && journal.ids_of[*slot] != ids[*slot];
    differs(slots().filter(is_wrong).count() as u64, "deliveries have rows with other SNS message ids, or too many");
    let arrived = stats.arrived.arrived + stats.arrived.doubled;
    let published: u64 = journal.rows_of.iter().map(|rows| u64::from(*rows)).sum();
    differs(arrived.abs_diff(published), "rows of published events too many or too few");
    stored.differences.extend(compare_counters(&store.join("counters"), stats)?);
    Ok(stored)
}

/// The rows of all segments, by delivery.
#[derive(Debug, Default)]
struct Journal {
    stored: Stored,
    rows_of: Vec<u8>,
    /// The sum of the hashed SNS message ids of the rows.
    ids_of: Vec<u64>,
    dropped: u64,
    /// The number of segments that say that they are the last of their process.
    ends: u64,
    strange: u64,
}

impl Journal {
    fn read(&mut self, path: &Path, spec: &Spec) -> anyhow::Result<()> {
        self.stored.segments += 1;
        self.stored.bytes += fs::metadata(path)?.len();
        let reader = SerializedFileReader::new(File::open(path)?)?;
        let metadata = reader.metadata().file_metadata();
        let value = |name: &str| {
            let all = metadata.key_value_metadata().into_iter().flatten();
            all.filter(|pair| pair.key == name)
                .find_map(|pair| pair.value.clone())
                .context("its metadata lacks a value")
        };
        self.dropped += value("protobridge.dropped")?.parse::<u64>()?;
        self.ends += u64::from(value("protobridge.is_last")? == "true");
        let mut rows = 0;
        for row in reader.get_row_iter(None)? {
            rows += 1;
            self.add(&row?, spec);
        }
        if value("protobridge.rows")?.parse::<u64>()? != rows {
            bail!("it declares another number of rows than it has");
        }
        self.stored.rows += rows;
        Ok(())
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
                self.rows_of[slot] = self.rows_of[slot].saturating_add(1);
                self.ids_of[slot] = self.ids_of[slot].wrapping_add(hashed(message));
            }
            None => self.strange += 1,
        }
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

/// A minute of the counters, as far as it is compared.
#[derive(Debug, Deserialize)]
struct Minute {
    calls: Vec<Calls>,
    seconds: BTreeMap<i64, Second>,
}

#[derive(Debug, Deserialize)]
struct Calls {
    operation: String,
    calls: u64,
    empty: u64,
    failed: u64,
    entries: u64,
    bytes: u64,
    units_per_call: u64,
    units_per_entry: u64,
}

#[derive(Debug, Deserialize)]
struct Second {
    accepted: u64,
    attempted: u64,
}

/// The operations whose calls are compared. The SDK's clients make the others, and repeat a failed call by themselves.
const OPERATIONS: [&str; 5] =
    ["ReceiveMessage", "PublishBatch", "DeleteMessageBatch", "ChangeMessageVisibilityBatch", "SendMessageBatch"];

/// Returns one sentence for each operation whose counters differ.
fn compare_counters(folder: &Path, stats: &Stats) -> anyhow::Result<Vec<String>> {
    let (mut counted, mut failed) = (BTreeMap::<String, Answered>::new(), BTreeMap::<String, u64>::new());
    let (mut accepted, mut attempted) = (0, 0);
    for path in files(folder)? {
        let minute: Minute = serde_json::from_slice(&fs::read(&path)?).with_context(|| path.display().to_string())?;
        for calls in minute.calls {
            let sum = counted.entry(calls.operation.clone()).or_default();
            sum.calls += calls.calls;
            sum.empty += calls.empty;
            sum.entries += calls.entries;
            sum.bytes += calls.bytes;
            sum.units_per_call += calls.units_per_call;
            sum.units_per_entry += calls.units_per_entry;
            *failed.entry(calls.operation).or_default() += calls.failed;
        }
        accepted += minute.seconds.values().map(|second| second.accepted).sum::<u64>();
        attempted += minute.seconds.values().map(|second| second.attempted).sum::<u64>();
    }
    let mut differences = Vec::new();
    for operation in OPERATIONS {
        let theirs = stats.all_calls.of(operation);
        let ours = counted.get(operation).copied().unwrap_or_default();
        let ours_failed = failed.get(operation).copied().unwrap_or_default();
        if (ours, ours_failed) != (theirs.answered, theirs.failed) {
            let theirs = (theirs.answered, theirs.failed);
            differences.push(format!("counters: {operation}: {:?}, but AWS counts {theirs:?}", (ours, ours_failed)));
        }
    }
    let publishes = stats.all_calls.of("PublishBatch");
    if accepted != publishes.answered.entries || attempted < accepted {
        let theirs = publishes.answered.entries;
        differences.push(format!("counters: {accepted} of {attempted} messages accepted, but AWS accepts {theirs}"));
    }
    Ok(differences)
}

/// Returns all files below a folder.
fn files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
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
