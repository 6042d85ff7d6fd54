//! The statistics that the emulator reports to the runner.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::replicas::ReplicaStats;
use crate::network::NetworkStats;
use crate::totals::Totals;

/// All counters since the start.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Stats {
    /// The time since the start, in microseconds.
    pub(crate) elapsed_us: u64,
    /// The number of events that were sent to the queue.
    pub(crate) sent: u64,
    /// The number of events that were sent and not deleted.
    pub(crate) on_queue: u64,
    /// The number of events on the queue whose topic refuses them.
    pub(crate) refused_on_queue: u64,
    /// The number of long polls that are waiting for a message now.
    pub(crate) waiting_polls: u32,
    /// The number of publishes that were throttled.
    pub(crate) throttled_calls: u64,
    pub(crate) calls: Calls,
    /// All calls since the emulator began, those before the start included.
    #[serde(default)]
    pub(crate) totals: Totals,
    /// The objects that the service stored for large events.
    #[serde(default)]
    pub(crate) claims: ClaimStats,
    #[serde(default)]
    pub(crate) network: NetworkStats,
    /// How the first JSON without the expected value differs from it, if JSON is judged by value.
    #[serde(default)]
    pub(crate) first_difference: Option<String>,
    pub(crate) arrived: ArrivalStats,
    /// The figures of each replica, if the spec wants them.
    #[serde(default)]
    pub(crate) replicas: Vec<ReplicaStats>,
}

/// The objects that the service stored for large events, and the pointers to them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ClaimStats {
    /// The number of objects.
    pub(crate) objects: u64,
    /// The bytes of all stored objects, those that were stored again included.
    pub(crate) bytes: u64,
    /// The number of objects to which no pointer was published.
    pub(crate) orphans: u64,
    /// The number of published pointers that led to the JSON of their event.
    pub(crate) pointers: u64,
    /// The number of published pointers that did not.
    pub(crate) misleading: u64,
}

/// The calls by operation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Calls(pub(crate) BTreeMap<String, CallCounts>);

/// The calls of one operation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CallCounts {
    pub(crate) calls: u64,
    /// The number of calls that were answered with an error.
    pub(crate) failed: u64,
    /// The number of batch entries or of received messages.
    pub(crate) entries: u64,
    /// The requests that AWS bills: one for each started 64 KiB of a call, bodies and attributes of all its entries
    /// together.
    pub(crate) units: u64,
}

/// The bytes that AWS bills as one request.
const UNIT_BYTES: u64 = 64 * 1024;

impl Calls {
    pub(crate) fn add(&mut self, operation: &str, is_ok: bool, entries: u64, bytes: u64) {
        // There are few operations, and only the first call of each allocates.
        if !self.0.contains_key(operation) {
            self.0.insert(operation.to_owned(), CallCounts::default());
        }
        let Some(count) = self.0.get_mut(operation) else { return };
        count.calls += 1;
        count.failed += u64::from(!is_ok);
        count.entries += entries;
        count.units += bytes.div_ceil(UNIT_BYTES).max(1);
    }

    /// Returns the sum over all operations.
    pub(crate) fn sum(&self) -> CallCounts {
        self.0.values().fold(CallCounts::default(), |sum, count| CallCounts {
            calls: sum.calls + count.calls,
            failed: sum.failed + count.failed,
            entries: sum.entries + count.entries,
            units: sum.units + count.units,
        })
    }

    /// Returns the counts of one operation.
    pub(crate) fn of(&self, operation: &str) -> CallCounts {
        self.0.get(operation).copied().unwrap_or_default()
    }
}

/// The arrivals at the customers' queues.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct ArrivalStats {
    /// The number of deliveries that must arrive: one per event and customer of the event.
    pub(crate) expected: u64,
    /// The number of deliveries that arrived at least once.
    pub(crate) arrived: u64,
    /// The number of duplicates: arrivals of an event at a customer after the first, without those below.
    pub(crate) doubled: u64,
    /// The number of duplicates of deliveries whose answer was lost, one for each lost answer.
    #[serde(default)]
    pub(crate) doubled_after_lost_answer: u64,
    /// The number of arrivals at a wrong customer or of an unknown event.
    pub(crate) astray: u64,
    /// The number of arrivals with unexpected JSON.
    pub(crate) altered: u64,
    /// The number of events that were deleted from the input queue before every customer, or the quarantine queue, had
    /// them.
    pub(crate) deleted_early: u64,
    /// The number of events that went into quarantine.
    pub(crate) quarantined: u64,
    /// The time of the last first-time arrival, in microseconds since the start.
    pub(crate) last_us: u64,
    /// The latency from send to arrival.
    pub(crate) latency: Latency,
    /// The latency from the first receive to arrival.
    pub(crate) in_service: Latency,
    /// `in_service` for the customer with the most events.
    pub(crate) in_service_busiest: Latency,
    /// `in_service` for all other customers.
    pub(crate) in_service_others: Latency,
    /// The time from the last accepted publish of an event to its delete.
    #[serde(default)]
    pub(crate) to_delete: Latency,
    /// `latency` of the arrivals while the service's store answered.
    #[serde(default)]
    pub(crate) while_store_up: Latency,
    /// `latency` of the arrivals while it did not.
    #[serde(default)]
    pub(crate) while_store_down: Latency,
    /// `latency` of the events that are not large.
    #[serde(default)]
    pub(crate) small: Latency,
    /// `in_service` of the events that are not large.
    #[serde(default)]
    pub(crate) small_in_service: Latency,
    /// `latency` of the large events.
    #[serde(default)]
    pub(crate) large: Latency,
    /// `in_service` of the large events.
    #[serde(default)]
    pub(crate) large_in_service: Latency,
    /// The first-time arrivals in each second since the start.
    pub(crate) by_second: Vec<u32>,
    /// The same for all customers except the one with the most events.
    pub(crate) others_by_second: Vec<u32>,
    /// The share of the events that belongs to all customers except the one with the most events.
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
    fn every_call_is_billed_per_started_64_kib() {
        let mut calls = Calls::default();
        calls.add("PublishBatch", true, 10, 64 * 1024);
        calls.add("PublishBatch", false, 10, 64 * 1024 + 1);
        calls.add("ReceiveMessage", true, 0, 0);
        assert_eq!(calls.of("PublishBatch"), CallCounts { calls: 2, failed: 1, entries: 20, units: 3 });
        assert_eq!(calls.sum(), CallCounts { calls: 3, failed: 1, entries: 20, units: 4 });
    }
}
