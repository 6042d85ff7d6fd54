//! What the emulator tells the runner.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Everything that was counted since the start.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Stats {
    /// Since the start, in microseconds.
    pub(crate) elapsed_us: u64,
    /// Events sent to the queue.
    pub(crate) sent: u64,
    /// Events sent and not deleted.
    pub(crate) on_queue: u64,
    /// Of those the ones whose topic refuses them.
    pub(crate) refused_on_queue: u64,
    /// Long polls that wait for a message at the moment.
    pub(crate) waiting_polls: u32,
    /// Publishes that were throttled.
    pub(crate) throttled_calls: u64,
    pub(crate) calls: Calls,
    pub(crate) arrived: ArrivalStats,
}

/// Calls by operation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Calls(pub(crate) BTreeMap<String, CallCounts>);

/// Calls of one operation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CallCounts {
    pub(crate) calls: u64,
    /// Of those, how many were answered with an error.
    pub(crate) failed: u64,
    /// Entries of batches, or messages received.
    pub(crate) entries: u64,
    /// What AWS bills: a request for each begun 64 KiB of what a call carries, bodies and attributes of all its entries
    /// together.
    pub(crate) units: u64,
}

/// What AWS bills as one request.
const UNIT_BYTES: u64 = 64 * 1024;

impl Calls {
    pub(crate) fn add(&mut self, operation: &str, is_ok: bool, entries: u64, bytes: u64) {
        // The names are few; only the first call of each allocates.
        if !self.0.contains_key(operation) {
            self.0.insert(operation.to_owned(), CallCounts::default());
        }
        let Some(count) = self.0.get_mut(operation) else { return };
        count.calls += 1;
        count.failed += u64::from(!is_ok);
        count.entries += entries;
        count.units += bytes.div_ceil(UNIT_BYTES).max(1);
    }

    /// All calls.
    pub(crate) fn sum(&self) -> CallCounts {
        self.0.values().fold(CallCounts::default(), |sum, count| CallCounts {
            calls: sum.calls + count.calls,
            failed: sum.failed + count.failed,
            entries: sum.entries + count.entries,
            units: sum.units + count.units,
        })
    }

    /// The calls of one operation.
    pub(crate) fn of(&self, operation: &str) -> CallCounts {
        self.0.get(operation).copied().unwrap_or_default()
    }
}

/// What arrived at the customers' queues.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct ArrivalStats {
    /// Deliveries that there have to be: for each event, each of its customers.
    pub(crate) expected: u64,
    /// Of those, how many arrived once or more.
    pub(crate) arrived: u64,
    /// Arrivals beyond the first of an event at a customer.
    pub(crate) doubled: u64,
    /// Arrivals at somebody whose event it is not, or of an event that was never sent.
    pub(crate) astray: u64,
    /// Arrivals whose JSON is not what the event says.
    pub(crate) altered: u64,
    /// Events deleted from the input queue before every customer, or the quarantine queue, had them.
    pub(crate) deleted_early: u64,
    /// Events that went into quarantine.
    pub(crate) quarantined: u64,
    /// When the last event arrived, in microseconds since the start.
    pub(crate) last_us: u64,
    /// From send to arrival.
    pub(crate) latency: Latency,
    /// From first receive to arrival.
    pub(crate) in_service: Latency,
    /// As `in_service`, of the customer with the most traffic.
    pub(crate) in_service_busiest: Latency,
    /// As `in_service`, of all other customers.
    pub(crate) in_service_others: Latency,
    /// Arrivals of each second since the start.
    pub(crate) by_second: Vec<u32>,
    /// Arrivals of each second, of all customers but the busiest.
    pub(crate) others_by_second: Vec<u32>,
    /// The part of the traffic that belongs to all customers but the busiest.
    pub(crate) others_share: f64,
}

/// Quantiles, in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Latency {
    pub(crate) p50: f64,
    pub(crate) p95: f64,
    pub(crate) p99: f64,
    pub(crate) max: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_begun_64_kib_of_a_call_is_billed_and_no_call_is_free() {
        let mut calls = Calls::default();
        calls.add("PublishBatch", true, 10, 64 * 1024);
        calls.add("PublishBatch", false, 10, 64 * 1024 + 1);
        calls.add("ReceiveMessage", true, 0, 0);
        assert_eq!(calls.of("PublishBatch"), CallCounts { calls: 2, failed: 1, entries: 20, units: 3 });
        assert_eq!(calls.sum(), CallCounts { calls: 3, failed: 1, entries: 20, units: 4 });
    }
}
