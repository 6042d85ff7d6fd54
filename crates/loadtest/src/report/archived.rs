//! What a run tells about the archive.

use super::{Run, millis};
use crate::emulator::stats::Latency;

impl Run {
    /// Returns the lines about the archive, for runs that measure it: the time until a message is deleted, and the latency
    /// while the store answered and while it did not.
    pub(crate) fn archive_lines(&self) -> Vec<String> {
        let text = |what: &str, latency: Latency| {
            let Latency { p50, p95, p99, .. } = latency;
            format!("{what}: p50 {} ms, p95 {} ms, p99 {} ms", millis(p50), millis(p95), millis(p99))
        };
        let arrived = &self.service.after.arrived;
        let mut lines = Vec::new();
        if self.scenario == "archive" || self.plan.outage.is_some() {
            lines.push(text("from publish to delete", self.figures.to_delete_ms));
        }
        if self.plan.outage.is_some() {
            lines.push(text("from send to publish, store up", arrived.while_store_up));
            lines.push(text("from send to publish, store down", arrived.while_store_down));
        }
        lines
    }
}
