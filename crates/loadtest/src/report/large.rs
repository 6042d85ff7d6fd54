//! The figures of a run about large events.

use super::{Run, millis};
use crate::emulator::stats::{ClaimStats, Latency};

impl Run {
    /// Returns the lines about large events and the events beside them, for runs that can have large events: the calls to
    /// S3, and the latencies.
    pub(crate) fn large_lines(&self) -> Vec<String> {
        if !self.plan.spec.has_claim_check {
            return Vec::new();
        }
        let text = |what: &str, Latency { p50, p95, p99, max }: Latency| {
            let [p50, p95, p99, max] = [p50, p95, p99, max].map(millis);
            format!("{what}: p50 {p50} ms, p95 {p95} ms, p99 {p99} ms, max {max} ms")
        };
        let (arrived, calls) = (&self.service.after.arrived, &self.service.after.calls);
        let [publishes, puts, gets] =
            ["PublishBatch", "PutObject", "GetObject"].map(|operation| calls.of(operation).calls);
        let ClaimStats { objects, bytes, pointers, .. } = self.service.after.claims;
        let mib = bytes >> 20;
        let mut lines = vec![
            format!(
                "{publishes} publishes; {puts} PUTs of {objects} objects, {mib} MiB; {pointers} pointers; {gets} GETs"
            ),
            text("small events from send", arrived.small),
            text("small events from receive", arrived.small_in_service),
        ];
        if self.plan.spec.large_percent > 0 {
            lines.push(text("large events from send", arrived.large));
            lines.push(text("large events from receive", arrived.large_in_service));
        }
        lines
    }
}
