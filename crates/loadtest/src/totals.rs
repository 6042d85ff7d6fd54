//! What AWS bills and throttles, over the whole life of a service: as the emulator counts it, and as the counters in
//! the service's store say.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The bytes that AWS bills as one request.
const UNIT_BYTES: u64 = 64 * 1024;
/// The operations that are compared. The SDK's clients make the other calls, and repeat those that fail.
const COMPARED: [&str; 5] =
    ["ReceiveMessage", "ChangeMessageVisibilityBatch", "DeleteMessageBatch", "SendMessageBatch", "PublishBatch"];

/// The calls of a service, and the messages that it sent to SNS.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Totals {
    /// The calls by operation.
    pub(crate) calls: BTreeMap<String, Billed>,
    /// The messages in calls to publish.
    pub(crate) attempted: u64,
    /// The messages that SNS accepted.
    pub(crate) accepted: u64,
    /// The messages that SNS throttled.
    pub(crate) throttled: u64,
}

/// The calls of one operation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Billed {
    /// The answered calls.
    pub(crate) calls: u64,
    /// The receives among them without a message.
    pub(crate) empty: u64,
    /// The calls that were answered with an error.
    pub(crate) failed: u64,
    /// The throttled calls among these.
    pub(crate) throttled: u64,
    /// The messages or entries of the answered calls.
    pub(crate) entries: u64,
    /// Their bytes.
    pub(crate) bytes: u64,
    /// The billed requests if each call is rounded up in total.
    pub(crate) units_per_call: u64,
    /// The billed requests if each entry is rounded up.
    pub(crate) units_per_entry: u64,
}

/// The messages or entries of one call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Carried {
    pub(crate) entries: u64,
    pub(crate) bytes: u64,
    units_per_entry: u64,
}

impl Carried {
    /// Adds a message or an entry of this size.
    pub(crate) fn add(&mut self, bytes: u64) {
        self.entries += 1;
        self.bytes += bytes;
        self.units_per_entry += units(bytes);
    }

    /// A call with this number of entries without a payload. It is one billed request.
    pub(crate) fn entries(entries: usize) -> Self {
        Self { entries: entries as u64, ..Self::default() }
    }
}

fn units(bytes: u64) -> u64 {
    bytes.div_ceil(UNIT_BYTES).max(1)
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CallEnd {
    Answered,
    Failed,
    Throttled,
}

impl Totals {
    /// Counts one call.
    pub(crate) fn add(&mut self, operation: &str, end: CallEnd, carried: Carried) {
        // Only the first call of each operation allocates.
        if !self.calls.contains_key(operation) {
            self.calls.insert(operation.to_owned(), Billed::default());
        }
        let Some(billed) = self.calls.get_mut(operation) else { return };
        if end == CallEnd::Answered {
            billed.calls += 1;
            billed.empty += u64::from(operation == "ReceiveMessage" && carried.entries == 0);
            billed.entries += carried.entries;
            billed.bytes += carried.bytes;
            billed.units_per_call += units(carried.bytes);
            billed.units_per_entry += carried.units_per_entry.max(1);
        } else {
            billed.failed += 1;
            billed.throttled += u64::from(end == CallEnd::Throttled);
        }
        if operation == "PublishBatch" {
            self.attempted += carried.entries;
            self.accepted += if end == CallEnd::Answered { carried.entries } else { 0 };
            self.throttled += if end == CallEnd::Throttled { carried.entries } else { 0 };
        }
    }

    /// Adds up the counters in the store in this folder.
    ///
    /// # Errors
    /// Returns an error if there are none or one cannot be read.
    pub(crate) fn stored(store: &Path) -> anyhow::Result<Self> {
        let mut totals = Self::default();
        let mut folders = vec![store.join("counters/v1")];
        while let Some(folder) = folders.pop() {
            let entries = fs::read_dir(&folder).with_context(|| format!("no counters in {}", folder.display()))?;
            for path in entries.map(|entry| entry.map(|entry| entry.path())) {
                let path = path?;
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let minute = serde_json::from_slice(&fs::read(&path)?);
                    totals.add_minute(&minute.with_context(|| format!("{} is damaged", path.display()))?);
                }
            }
        }
        Ok(totals)
    }

    fn add_minute(&mut self, minute: &Value) {
        for calls in minute["calls"].as_array().into_iter().flatten() {
            let count = |name: &str| calls[name].as_u64().unwrap_or_default();
            let billed = self.calls.entry(calls["operation"].as_str().unwrap_or_default().to_owned()).or_default();
            billed.calls += count("calls");
            billed.empty += count("empty");
            billed.failed += count("failed");
            billed.throttled += count("throttled");
            billed.entries += count("entries");
            billed.bytes += count("bytes");
            billed.units_per_call += count("units_per_call");
            billed.units_per_entry += count("units_per_entry");
        }
        for second in minute["seconds"].as_object().into_iter().flat_map(|seconds| seconds.values()) {
            let count = |name: &str| second[name].as_u64().unwrap_or_default();
            self.attempted += count("attempted");
            self.accepted += count("accepted");
            self.throttled += count("throttled");
        }
    }

    /// Returns one sentence for each operation whose counters in the store differ from those of the emulator.
    pub(crate) fn differences(&self, emulator: &Self) -> Vec<String> {
        let of = |totals: &Self, operation| totals.calls.get(operation).copied().unwrap_or_default();
        let pairs = COMPARED.map(|operation| (operation, of(self, operation), of(emulator, operation)));
        let mut differences: Vec<String> = pairs
            .iter()
            .filter(|(_, stored, counted)| stored != counted)
            .map(|(operation, stored, counted)| {
                format!("the counters of {operation} are {stored:?}, but the emulator counted {counted:?}")
            })
            .collect();
        let messages = |totals: &Self| (totals.attempted, totals.accepted, totals.throttled);
        let (stored, counted) = (messages(self), messages(emulator));
        if stored != counted {
            differences.push(format!(
                "the messages attempted, accepted and throttled are {stored:?}, but the emulator counted {counted:?}"
            ));
        }
        differences
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn publish(totals: &mut Totals, end: CallEnd, sizes: &[u64]) {
        let mut carried = Carried::default();
        sizes.iter().for_each(|size| carried.add(*size));
        totals.add("PublishBatch", end, carried);
    }

    #[test]
    fn the_counters_of_a_store_are_compared_with_the_emulators_to_the_unit() {
        let mut counted = Totals::default();
        publish(&mut counted, CallEnd::Answered, &[10, UNIT_BYTES + 1]);
        publish(&mut counted, CallEnd::Throttled, &[10]);
        counted.add("ReceiveMessage", CallEnd::Answered, Carried::default());
        let folder = tempfile::tempdir().unwrap();
        let minute = |units: u64| {
            let publishes = json!({
                "operation": "PublishBatch", "calls": 1, "failed": 1, "throttled": 1, "entries": 2, "bytes": UNIT_BYTES + 11,
                "units_per_call": 2, "units_per_entry": units,
            });
            let receives = json!({
                "operation": "ReceiveMessage", "calls": 1, "empty": 1, "units_per_call": 1, "units_per_entry": 1,
            });
            let seconds = json!({
                "7": {"attempted": 3, "accepted": 0, "throttled": 1}, "8": {"attempted": 0, "accepted": 2, "throttled": 0},
            });
            json!({"calls": [publishes, receives], "seconds": seconds}).to_string()
        };
        let hour = folder.path().join("counters/v1/date=2026-11-28/hour=12");
        assert!(Totals::stored(folder.path()).is_err(), "a store without counters");
        fs::create_dir_all(&hour).unwrap();
        fs::write(hour.join("0000-a-1-0.json"), minute(3)).unwrap();
        assert_eq!(Totals::stored(folder.path()).unwrap().differences(&counted), Vec::<String>::new());
        fs::write(hour.join("0000-a-1-0.json"), minute(4)).unwrap();
        let differences = Totals::stored(folder.path()).unwrap().differences(&counted);
        assert!(matches!(&differences[..], [one] if one.contains("PublishBatch")), "{differences:?}");
    }
}
