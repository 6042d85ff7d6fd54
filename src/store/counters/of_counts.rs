//! A minute of counters from the counts of the process.

use super::{Calls, Minute, Published, Second, Settled, Throttle};
use crate::base::time::unix_micros;
use crate::telemetry::{
    CallCounts, CallKey, Counts, PublishedCounts, PublishedKey, SecondCounts, SettledKey, ThrottledCall,
};

impl From<&Counts> for Minute {
    /// Takes over the counts, sorted. Leaves the times and the names of the process empty.
    fn from(counts: &Counts) -> Self {
        let mut call_cells: Vec<_> = counts.calls.iter().collect();
        call_cells.sort_unstable_by_key(|(key, _)| *key);
        let mut published_cells: Vec<_> = counts.published.iter().collect();
        published_cells.sort_unstable_by_key(|(key, _)| *key);
        Self {
            calls: call_cells.into_iter().map(calls).collect(),
            published: published_cells.into_iter().map(published).collect(),
            settled: counts.settled.iter().map(settled).collect(),
            seconds: counts.seconds.iter().map(|(at, counts)| (*at, second(*counts))).collect(),
            throttles: counts.throttles.iter().map(throttle).collect(),
            throttles_left_out: counts.throttles_left_out,
            ..Self::default()
        }
    }
}

fn calls(((operation, fifo, customer), counts): (&CallKey, &CallCounts)) -> Calls {
    let CallCounts { calls, empty, failed, throttled, entries, bytes, units_per_call, units_per_entry } = *counts;
    Calls {
        service: operation.service().to_owned(),
        operation: operation.name().to_owned(),
        fifo: *fifo,
        customer: customer.as_deref().map(str::to_owned),
        calls,
        empty,
        failed,
        throttled,
        entries,
        bytes,
        units_per_call,
        units_per_entry,
    }
}

fn published(((customer, event_type, fifo), counts): (&PublishedKey, &PublishedCounts)) -> Published {
    let PublishedCounts { entries, bytes, micro_units_per_call, units_per_entry, just_over } = *counts;
    Published {
        customer: customer.as_deref().map(str::to_owned),
        event_type: event_type.to_string(),
        fifo: *fifo,
        entries,
        bytes,
        micro_units_per_call,
        units_per_entry,
        just_over,
    }
}

fn settled(((queue, event_type, outcome), messages): (&SettledKey, &u64)) -> Settled {
    Settled {
        queue: queue.clone(),
        event_type: event_type.clone(),
        outcome: outcome.code().to_owned(),
        messages: *messages,
    }
}

fn second(counts: SecondCounts) -> Second {
    let SecondCounts { attempted, accepted, throttled } = counts;
    Second { attempted, accepted, throttled }
}

fn throttle(call: &ThrottledCall) -> Throttle {
    let ThrottledCall { at, topic, code, request_id, messages, is_whole_call, rate } = call;
    Throttle {
        at: unix_micros(*at),
        topic: topic.clone(),
        code: code.clone(),
        request_id: request_id.clone(),
        messages: *messages,
        whole_call: *is_whole_call,
        rate: *rate,
    }
}
