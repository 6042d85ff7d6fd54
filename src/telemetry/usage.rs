//! What this process used of AWS: calls, billed units, bytes, published entries and throttles, since they were taken
//! last.
//!
//! The store keeps these counts minute by minute, for the reports of cost and throttles. Each list has a bound. Nothing
//! is counted before [`Metrics::begin_usage`](super::Metrics::begin_usage), so a service without a store pays one atomic read per call.

mod counts;

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;

pub use counts::{
    AnsweredEntry, Call, CallCounts, CallEnd, CallKey, Carried, Counts, PublishedCounts, PublishedKey, SecondCounts,
    SettledKey, ThrottledCall, UNIT_BYTES,
};

use super::operation::Operation;
use counts::units;

/// The most combinations of customer and event type, and the most of customer and operation, that are told apart
/// between two takes. Further ones count as [`OTHER`].
pub const MAX_CELLS: usize = 10_000;
/// The customer and the event type of what exceeds [`MAX_CELLS`].
pub const OTHER: &str = "other";
/// The most throttled calls that are described one by one between two takes.
pub const MAX_THROTTLES: usize = 1_000;

/// Counts what this process uses of AWS.
#[derive(Debug, Default)]
pub struct Usage {
    is_kept: AtomicBool,
    counts: Mutex<Counts>,
    /// The settled messages at the last take. Their metric counts them since the start of the process.
    settled_before: Mutex<BTreeMap<SettledKey, u64>>,
}

impl Usage {
    /// Begins to count. `settled` are the settled messages so far, which are left out.
    pub(super) fn begin(&self, settled: BTreeMap<SettledKey, u64>) {
        *self.settled_before.lock() = settled;
        self.is_kept.store(true, Ordering::Relaxed);
    }

    /// Returns what was counted since the last take. `settled` are the settled messages since the start of the process.
    pub(super) fn take(&self, settled: BTreeMap<SettledKey, u64>) -> Counts {
        let mut counts = std::mem::take(&mut *self.counts.lock());
        let mut before = self.settled_before.lock();
        for (key, messages) in &settled {
            let new = messages - before.get(key).copied().unwrap_or_default();
            if new > 0 {
                counts.settled.insert(key.clone(), new);
            }
        }
        *before = settled;
        counts
    }

    /// Counts a call.
    pub(super) fn call(&self, call: &Call<'_>, end: CallEnd) {
        self.count(|counts| {
            let key = |customer| (call.operation, call.is_fifo, customer);
            let other = || key(call.customer.map(|_| other()));
            let cell = cell(&mut counts.calls, key(call.customer.cloned()), other);
            let CallEnd::Answered(carried) = end else {
                cell.failed += 1;
                cell.throttled += u64::from(end == CallEnd::Throttled);
                return;
            };
            cell.calls += 1;
            cell.empty += u64::from(call.operation == Operation::ReceiveMessage && carried.entries == 0);
            cell.entries += carried.entries;
            cell.bytes += carried.bytes;
            cell.units_per_call += carried.units_per_call;
            cell.units_per_entry += carried.units_per_entry;
        });
    }

    /// Counts messages that are being sent to SNS now.
    pub fn attempted(&self, messages: usize) {
        self.count(|counts| counts.seconds.entry(second(SystemTime::now())).or_default().attempted += messages as u64);
    }

    /// Counts the entries of a PublishBatch that SNS answered just now. `carried` are all of them.
    pub fn published<'e>(&self, is_fifo: bool, carried: Carried, entries: impl Iterator<Item = AnsweredEntry<'e>>) {
        self.count(|counts| {
            let micro_units = u128::from(carried.units_per_call) * 1_000_000;
            let share_until = |bytes: u64| (micro_units * u128::from(bytes) / u128::from(carried.bytes.max(1))) as u64;
            let (mut until, mut accepted) = (0, 0);
            for AnsweredEntry { customer, event_type, bytes, is_confirmed } in entries {
                let (from, bytes) = (until, bytes as u64);
                until += bytes;
                if !is_confirmed {
                    continue;
                }
                accepted += 1;
                let other = || (customer.map(|_| other()), other(), is_fifo);
                let key = (customer.cloned(), Arc::clone(event_type), is_fifo);
                let cell = cell(&mut counts.published, key, other);
                cell.entries += 1;
                cell.bytes += bytes;
                // The shares of a call add up to its units exactly.
                cell.micro_units_per_call += share_until(until) - share_until(from);
                cell.units_per_entry += units(bytes);
                cell.just_over += u64::from(is_just_over(bytes));
            }
            if accepted > 0 {
                counts.seconds.entry(second(SystemTime::now())).or_default().accepted += accepted;
            }
        });
    }

    /// Counts a throttled call.
    pub fn throttled(&self, call: impl FnOnce() -> ThrottledCall) {
        self.count(|counts| {
            let call = call();
            counts.seconds.entry(second(call.at)).or_default().throttled += call.messages;
            if counts.throttles.len() < MAX_THROTTLES {
                counts.throttles.push(call);
            } else {
                counts.throttles_left_out += 1;
            }
        });
    }

    fn count(&self, count: impl FnOnce(&mut Counts)) {
        if self.is_kept.load(Ordering::Relaxed) {
            count(&mut self.counts.lock());
        }
    }
}

/// Returns the cell of a key. If there are too many cells for a new one, returns the cell of the `other` key.
fn cell<K: Eq + Hash, V: Default>(
    cells: &mut HashMap<K, V, foldhash::fast::RandomState>,
    key: K,
    other: impl FnOnce() -> K,
) -> &mut V {
    let is_full = cells.len() >= MAX_CELLS && !cells.contains_key(&key);
    cells.entry(if is_full { other() } else { key }).or_default()
}

/// Returns [`OTHER`] without a new allocation.
fn other() -> Arc<str> {
    static SHARED: LazyLock<Arc<str>> = LazyLock::new(|| OTHER.into());
    Arc::clone(&SHARED)
}

/// Whether an entry is at most a tenth larger than a multiple of 64 KiB.
fn is_just_over(bytes: u64) -> bool {
    let multiple = bytes.saturating_sub(1) / UNIT_BYTES * UNIT_BYTES;
    multiple > 0 && (bytes - multiple) * 10 <= multiple
}

/// Returns the second since the Unix epoch.
fn second(time: SystemTime) -> i64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs().cast_signed())
}

#[cfg(test)]
mod tests;
