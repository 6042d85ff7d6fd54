//! The metrics, by name. Prefix `protobridge_`, base units, every label bounded.

use metrics::{Gauge, Histogram, Unit};
use metrics_exporter_prometheus::PrometheusHandle;

use super::exposition::{Declared, Exposition};
use super::family::{Family, Level, Times};

/// The metric label of events whose type is unknown.
pub const UNKNOWN_TYPE: &str = "unknown";

/// Every metric of the service.
pub struct Metrics {
    handle: PrometheusHandle,
    declared: Vec<Declared>,
    /// Messages received, by queue.
    pub received: Family,
    /// Messages whose event type was looked up, known or not, by queue and event type. They are settled or in flight:
    /// `accounted = settled + in_flight`.
    pub accounted: Family,
    /// Of these the ones that are not settled yet, by queue and event type.
    pub in_flight: Family<Level>,
    /// Messages whose outcome was reached or that were given back, by queue, event type and outcome.
    pub settled: Family,
    /// Messages stored in quarantine, by queue and reason.
    pub quarantined: Family,
    /// Messages that were given back to be tried again, by queue and cause.
    pub retried: Family,
    /// Messages whose receipt went stale while they were in flight, by queue.
    pub stale_receipts: Family,
    /// Long polls, by queue and result (`messages`, `empty`, `error`).
    pub polls: Family,
    /// Pollers that run, by queue.
    pub pollers: Family<Level>,
    /// Messages on a queue as SQS counts them, by queue and state (`visible`, `in_flight`, `delayed`).
    pub queue_messages: Family<Level>,
    /// Whether a queue has as many messages in flight as SQS allows, by queue.
    pub queue_full: Family<Level>,
    /// Age of the oldest message of a queue, of those received lately and those in flight, in seconds.
    pub oldest_message: Family<Level>,
    /// Entries that SNS confirmed, by event type, and by customer where the configuration asks for it.
    pub published: Family,
    /// Entries that SNS refused or that failed, by error code.
    pub publish_failures: Family,
    /// Calls that SNS throttled, as a whole or in part, by error code.
    pub throttles: Family,
    /// The most messages a second that are published; none before the first throttle.
    pub publish_limit: Family<Level>,
    /// Entries that were not published because they had been before, by queue, event type and cause (`redelivery`,
    /// `producer`).
    pub duplicates: Family,
    /// Questions that the shared window of duplicates did not answer, by operation.
    pub dedupe_store_errors: Family,
    /// Whether the shared window of duplicates answers; none where there is no such window.
    pub dedupe_store_up: Family<Level>,
    /// Pairs of event and customer in the window of this process.
    pub dedupe_entries: Gauge,
    /// Descriptor sets, by state (`in_force`, `refused`).
    pub descriptor_sets: Family<Level>,
    /// Topics of customers that do not exist.
    pub topics_missing: Gauge,
    /// Looks at descriptor sets or customers that found a change, by what changed and result (`admitted`, `refused`,
    /// `unreadable`, `unsettled`).
    pub reloads: Family,
    /// Whether what is in the files of descriptors or customers is in force, by what.
    pub last_reload: Family<Level>,
    /// Admitted changes that break those who read the JSON, by rule.
    pub breaking_changes: Family,
    /// Calls of AWS APIs, by service, operation and result (`ok`, `error`).
    pub calls: Family,
    /// Requests as AWS bills them, by service and operation, and by customer where the configuration asks for it.
    pub billable: Family,
    /// From the message's arrival in its queue to the confirmation of its last entry, by queue.
    pub latency: Family<Times>,
    /// Entries of each PublishBatch call.
    pub batch_entries: Histogram,
    /// Whether receives wait for publishes.
    pub backpressure: Gauge,
    /// Messages received and not yet finished.
    pub in_flight_messages: Gauge,
    /// Bytes of messages received and not yet finished.
    pub in_flight_bytes: Gauge,
    /// Whether entries are counted by customer.
    customer_label: bool,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Metrics {
    /// Fresh metrics, all zero. `customer_label` counts published entries by customer.
    pub fn new(customer_label: bool) -> Self {
        let mut all = Exposition::new();
        let published: &'static [&'static str] =
            if customer_label { &["event_type", "customer"] } else { &["event_type"] };
        let billable: &'static [&'static str] =
            if customer_label { &["service", "operation", "customer"] } else { &["service", "operation"] };
        let mut metrics = Self {
            handle: all.handle(),
            declared: Vec::new(),
            received: all.family("protobridge_messages_received_total", "Messages received", &["queue"]),
            accounted: all.family(
                "protobridge_events_received_total",
                "Messages by the type of their event: those settled and those in flight",
                &["queue", "event_type"],
            ),
            in_flight: all.family(
                "protobridge_events_in_flight",
                "Messages by the type of their event that are not settled yet",
                &["queue", "event_type"],
            ),
            settled: all.family(
                "protobridge_messages_settled_total",
                "Messages by what became of them: published, filtered, duplicate, quarantined, retried, abandoned",
                &["queue", "event_type", "outcome"],
            ),
            quarantined: all.family(
                "protobridge_messages_quarantined_total",
                "Messages stored in quarantine",
                &["queue", "reason"],
            ),
            retried: all.family(
                "protobridge_messages_retried_total",
                "Messages that were given back to be tried again, by cause",
                &["queue", "cause"],
            ),
            stale_receipts: all.family(
                "protobridge_stale_receipts_total",
                "Messages whose receipt went stale while they were in flight",
                &["queue"],
            ),
            polls: all.family("protobridge_polls_total", "Long polls by result", &["queue", "result"]),
            pollers: all.family("protobridge_pollers", "Pollers that run", &["queue"]),
            queue_messages: all.family(
                "protobridge_queue_messages",
                "Messages on a queue, about, as SQS counts them",
                &["queue", "state"],
            ),
            queue_full: all.family(
                "protobridge_queue_in_flight_limit_reached",
                "Whether a queue has as many messages in flight as SQS allows; polls come back empty then",
                &["queue"],
            ),
            oldest_message: all.family(
                "protobridge_oldest_message_age_seconds",
                "Age of the oldest message, of those received lately and those in flight",
                &["queue"],
            ),
            published: all.family("protobridge_entries_published_total", "Entries that SNS confirmed", published),
            publish_failures: all.family(
                "protobridge_entries_failed_total",
                "Attempts to publish an entry that failed, by error code",
                &["code"],
            ),
            throttles: all.family("protobridge_publish_throttles_total", "Calls that SNS throttled", &["code"]),
            publish_limit: all.family(
                "protobridge_publish_limit_messages_per_second",
                "The most that is published, over all topics, since SNS throttled",
                &[],
            ),
            duplicates: all.family(
                "protobridge_duplicates_suppressed_total",
                "Entries that were not published because they had been before",
                &["queue", "event_type", "cause"],
            ),
            dedupe_store_errors: all.family(
                "protobridge_dedupe_store_errors_total",
                "Questions that the shared window of duplicates did not answer",
                &["operation"],
            ),
            dedupe_store_up: all.family(
                "protobridge_dedupe_store_up",
                "Whether the shared window of duplicates answers",
                &[],
            ),
            dedupe_entries: all.gauge(
                "protobridge_dedupe_entries",
                Unit::Count,
                "Published events that this process remembers",
            ),
            descriptor_sets: all.family(
                "protobridge_descriptor_sets",
                "Descriptor sets that are in force, and those that were refused",
                &["state"],
            ),
            topics_missing: all.gauge(
                "protobridge_topics_missing",
                Unit::Count,
                "Topics of customers that do not exist",
            ),
            reloads: all.family(
                "protobridge_reloads_total",
                "Changes of descriptor sets and customers that were found",
                &["what", "result"],
            ),
            last_reload: all.family(
                "protobridge_last_reload_successful",
                "Whether the descriptor sets, or the customers, that are there now are in force",
                &["what"],
            ),
            breaking_changes: all.family(
                "protobridge_descriptor_breaking_changes_total",
                "Admitted changes that break those who read the JSON",
                &["rule"],
            ),
            calls: all.family("protobridge_aws_calls_total", "Calls of AWS APIs", &["service", "operation", "result"]),
            billable: all.family(
                "protobridge_billable_requests_total",
                "Requests as AWS bills them: a call counts once for each 64 KiB",
                billable,
            ),
            latency: all.family(
                "protobridge_event_latency_seconds",
                "From a message's arrival in its queue to the confirmation of its last entry",
                &["queue"],
            ),
            batch_entries: all.histogram(
                "protobridge_publish_batch_entries",
                Unit::Count,
                "Entries of each PublishBatch call",
            ),
            backpressure: all.gauge(
                "protobridge_backpressure",
                Unit::Count,
                "1 while receives wait, because more full batches do than are being published",
            ),
            in_flight_messages: all.gauge(
                "protobridge_messages_in_flight",
                Unit::Count,
                "Messages received and not yet finished",
            ),
            in_flight_bytes: all.gauge(
                "protobridge_in_flight_bytes",
                Unit::Bytes,
                "Bytes of messages received and not yet finished",
            ),
            customer_label,
        };
        all.info("protobridge_build_info", "The running version; always 1", "version", env!("CARGO_PKG_VERSION"));
        metrics.declared = all.declared();
        metrics
    }

    /// Every metric, whether it is shown by now or not.
    pub fn declared(&self) -> &[Declared] {
        &self.declared
    }

    /// The metrics in the Prometheus text format.
    pub fn render(&self) -> String {
        self.handle.render()
    }

    /// Keeps the histograms small; call it every few seconds.
    pub fn upkeep(&self) {
        self.handle.run_upkeep();
    }

    /// Counts one call of an AWS API that carries nothing of size.
    pub fn call(&self, service: &str, operation: &str, ok: bool) {
        self.transfer(service, operation, ok.then_some(0), None);
    }

    /// Counts one call of an AWS API that carried so many bytes, for a customer if it is one's; None if it failed.
    pub fn transfer(&self, service: &str, operation: &str, bytes: Option<usize>, customer: Option<&str>) {
        self.calls.with(&[service, operation, if bytes.is_some() { "ok" } else { "error" }]).add(1);
        if let Some(bytes) = bytes {
            let labels = [service, operation, customer.unwrap_or("none")];
            let requests = bytes.div_ceil(BILLED_BYTES).max(1) as u64;
            self.billable.with(if self.customer_label { &labels } else { &labels[..2] }).add(requests);
        }
    }

    /// Counts one entry that SNS confirmed.
    pub fn entry_published(&self, event_type: &str, customer: Option<&str>) {
        let labels = [event_type, customer.unwrap_or("none")];
        self.published.with(if self.customer_label { &labels } else { &labels[..1] }).add(1);
    }
}

/// What counts as one request: of SQS (Amazon SQS pricing, "every 64 KB chunk of a payload is billed as 1 request") and of
/// SNS (Amazon SNS pricing, likewise of published data).
const BILLED_BYTES: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_counter_reads_back_and_is_rendered_with_its_labels() {
        let metrics = Metrics::new(false);
        metrics.settled.with(&["orders", "shop.v1.OrderPlaced", "published"]).add(2);
        metrics.settled.with(&["orders", "shop.v1.OrderPlaced", "published"]).add(1);
        metrics.settled.with(&["orders", "unknown", "quarantined"]).add(1);
        assert_eq!((metrics.settled.sum(), metrics.settled.sum_where("outcome", "published")), (4, 3));
        let text = metrics.render();
        let line = r#"protobridge_messages_settled_total{queue="orders",event_type="shop.v1.OrderPlaced",outcome="published"} 3"#;
        assert!(text.contains(line), "{text}");
        assert!(text.contains("# HELP protobridge_messages_settled_total"), "{text}");
    }

    #[test]
    fn latency_has_a_bucket_at_the_objective_and_two_services_do_not_mix() {
        let (one, other) = (Metrics::new(false), Metrics::new(true));
        one.latency.with(&["orders"]).note(Duration::from_millis(2_900));
        one.latency.with(&["orders"]).note(Duration::from_millis(3_100));
        one.entry_published("a.B", Some("acme"));
        other.entry_published("a.B", Some("acme"));
        let within = r#"protobridge_event_latency_seconds_bucket{queue="orders",le="3"} 1"#;
        assert!(one.render().contains(within), "{}", one.render());
        assert_eq!(one.latency.sum(), 2);
        assert!(one.render().contains(r#"protobridge_entries_published_total{event_type="a.B"} 1"#));
        assert!(other.render().contains(r#"{event_type="a.B",customer="acme"} 1"#));
    }

    #[test]
    fn a_call_is_billed_for_each_64_kib_and_one_that_failed_not_at_all() {
        let metrics = Metrics::new(true);
        metrics.call("sqs", "DeleteMessageBatch", true);
        metrics.call("sqs", "DeleteMessageBatch", false);
        metrics.transfer("sns", "PublishBatch", Some(64 * 1024), Some("acme"));
        metrics.transfer("sns", "PublishBatch", Some(64 * 1024 + 1), Some("acme"));
        let totals = metrics.billable.totals();
        let shown: Vec<String> = totals.iter().map(|(labels, n)| format!("{} {n}", labels.join(" "))).collect();
        assert_eq!(shown, ["sns PublishBatch acme 3", "sqs DeleteMessageBatch none 1"]);
        assert_eq!(Metrics::new(false).declared().iter().filter(|m| m.labels.contains(&"customer")).count(), 0);
    }
}
