//! The figures of a run over a network.

use super::{Report, Run, millis, per_thousand, row, table};
use crate::network::NetworkStats;

impl Run {
    /// Returns the TLS handshakes per call.
    fn handshakes_per_call(&self) -> f64 {
        let calls = self.service.stats.calls.sum().calls;
        self.service.stats.network.handshakes as f64 / calls.max(1) as f64
    }

    /// Returns the failed calls of the service for which there is no cut; `None` if they were not counted.
    pub(crate) fn failed_without_reason(&self) -> Option<u64> {
        let failed = self.service.failed_calls?;
        Some(failed.saturating_sub(self.service.after.network.can_fail()))
    }
}

impl Report {
    /// Returns the table of the runs over a network, or `None` if there are none.
    pub(crate) fn network_table(&self) -> Option<String> {
        let mut table = table(&[
            "",
            "events/s to 90 %",
            "µs CPU",
            "MiB",
            "calls/1k",
            "p50 ms",
            "p95 ms",
            "p99 ms",
            "max ms",
            "handshakes/1k calls",
            "resumed",
            "cuts idle",
            "cuts in calls",
            "failed calls",
            "lost answers",
            "duplicates after them",
            "other duplicates",
            "KB up/event",
            "KB down/event",
        ]);
        for run in self.runs_of("network") {
            let (figures, service) = (&run.figures, &run.service);
            let NetworkStats { handshakes, resumed, cut_idle, lost_publishes, up_bytes, down_bytes, .. } =
                service.after.network;
            let per_event = |bytes: u64| format!("{:.1}", bytes as f64 / 1e3 / service.events(&run.plan.spec).max(1.0));
            let latency = figures.latency_ms;
            table.add_row(row(&[
                run.label.clone(),
                format!("{:.0}", service.per_second_of_most(&run.plan.spec)),
                format!("{:.1}", figures.cpu_us_per_event),
                format!("{:.0}", figures.peak_rss_mib),
                per_thousand(figures.calls_per_event),
                millis(latency.p50),
                millis(latency.p95),
                millis(latency.p99),
                millis(latency.max),
                per_thousand((handshakes > 0).then(|| run.handshakes_per_call())),
                resumed.to_string(),
                cut_idle.to_string(),
                service.after.network.interrupted().to_string(),
                service.failed_calls.map_or_else(|| "?".to_owned(), |calls| calls.to_string()),
                lost_publishes.to_string(),
                service.after.arrived.doubled_after_lost_answer.to_string(),
                figures.doubled.to_string(),
                per_event(up_bytes),
                per_event(down_bytes),
            ]));
        }
        (!table.is_empty()).then(|| table.to_string())
    }
}
