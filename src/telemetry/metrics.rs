//! The metrics, by name. Prefix `protobridge_`, base units, every label bounded.

use std::sync::Arc;
use std::time::Duration;

use metrics::{Gauge, Histogram, Key, KeyName, Label, Metadata, Recorder as _, Unit};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

use super::family::{Family, Level};

/// Bounds of the latency histograms, in seconds: fine around the usual few milliseconds, coarse up to the minutes
/// that a backlog takes.
const SECONDS: [f64; 16] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0];

/// Every metric of the service.
pub struct Metrics {
    handle: PrometheusHandle,
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
    /// Entries that SNS confirmed, by event type, and by customer where the configuration asks for it.
    pub published: Family,
    /// Entries that SNS refused or that failed, by error code.
    pub publish_failures: Family,
    /// Calls that SNS throttled, as a whole or in part, by error code.
    pub throttles: Family,
    /// Entries that were not published because they had been before, by queue, event type and cause (`redelivery`,
    /// `producer`).
    pub duplicates: Family,
    /// Questions that the shared window of duplicates did not answer, by operation.
    pub dedupe_store_errors: Family,
    /// Whether the shared window of duplicates answers.
    pub dedupe_store_up: Gauge,
    /// Pairs of event and customer in the window of this process.
    pub dedupe_entries: Gauge,
    /// Descriptor sets, by state (`in_force`, `refused`).
    pub descriptor_sets: Family<Level>,
    /// Topics of customers that do not exist.
    pub topics_missing: Gauge,
    /// Looks at descriptor sets or customers that found a change, by what changed and result (`admitted`, `refused`,
    /// `unreadable`, `unsettled`).
    pub reloads: Family,
    /// Admitted changes that break those who read the JSON, by rule.
    pub breaking_changes: Family,
    /// Calls of AWS APIs, by service, operation and result (`ok`, `error`).
    pub calls: Family,
    /// From the message's arrival in the source queue to the confirmation of its last entry, in seconds.
    pub latency: Histogram,
    /// Entries of each PublishBatch call.
    pub batch_entries: Histogram,
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
        let batch = Matcher::Full("protobridge_publish_batch_entries".into());
        let builder = PrometheusBuilder::new().set_buckets(&SECONDS);
        let builder = builder.and_then(|b| b.set_buckets_for_metric(batch, &[1.0, 2.0, 4.0, 6.0, 8.0, 9.0, 10.0]));
        // Both calls refuse an empty list of buckets only.
        let recorder = Arc::new(builder.unwrap_or_default().build_recorder());
        let family = |name, help, labels| Family::new(&recorder, name, help, labels);
        let published: &'static [&'static str] =
            if customer_label { &["event_type", "customer"] } else { &["event_type"] };
        let metrics = Self {
            handle: recorder.handle(),
            received: family("protobridge_messages_received_total", "Messages received", &["queue"]),
            accounted: family(
                "protobridge_events_received_total",
                "Messages by the type of their event: those settled and those in flight",
                &["queue", "event_type"],
            ),
            in_flight: Family::new(
                &recorder,
                "protobridge_events_in_flight",
                "Messages by the type of their event that are not settled yet",
                &["queue", "event_type"],
            ),
            settled: family(
                "protobridge_messages_settled_total",
                "Messages by what became of them: published, filtered, duplicate, quarantined, retried, abandoned",
                &["queue", "event_type", "outcome"],
            ),
            quarantined: family(
                "protobridge_messages_quarantined_total",
                "Messages stored in quarantine",
                &["queue", "reason"],
            ),
            stale_receipts: family(
                "protobridge_stale_receipts_total",
                "Messages whose receipt went stale while they were in flight",
                &["queue"],
            ),
            polls: family("protobridge_polls_total", "Long polls by result", &["queue", "result"]),
            pollers: Family::new(&recorder, "protobridge_pollers", "Pollers that run", &["queue"]),
            queue_messages: Family::new(
                &recorder,
                "protobridge_queue_messages",
                "Messages on a queue, about, as SQS counts them",
                &["queue", "state"],
            ),
            queue_full: Family::new(
                &recorder,
                "protobridge_queue_in_flight_limit_reached",
                "Whether a queue has as many messages in flight as SQS allows; polls come back empty then",
                &["queue"],
            ),
            published: family("protobridge_entries_published_total", "Entries that SNS confirmed", published),
            publish_failures: family(
                "protobridge_entries_failed_total",
                "Attempts to publish an entry that failed, by error code",
                &["code"],
            ),
            throttles: family("protobridge_publish_throttles_total", "Calls that SNS throttled", &["code"]),
            duplicates: family(
                "protobridge_duplicates_suppressed_total",
                "Entries that were not published because they had been before",
                &["queue", "event_type", "cause"],
            ),
            dedupe_store_errors: family(
                "protobridge_dedupe_store_errors_total",
                "Questions that the shared window of duplicates did not answer",
                &["operation"],
            ),
            dedupe_store_up: gauge(
                &recorder,
                "protobridge_dedupe_store_up",
                Unit::Count,
                "Whether the shared window of duplicates answers",
            ),
            dedupe_entries: gauge(
                &recorder,
                "protobridge_dedupe_entries",
                Unit::Count,
                "Published events that this process remembers",
            ),
            descriptor_sets: Family::new(
                &recorder,
                "protobridge_descriptor_sets",
                "Descriptor sets that are in force, and those that were refused",
                &["state"],
            ),
            topics_missing: gauge(
                &recorder,
                "protobridge_topics_missing",
                Unit::Count,
                "Topics of customers that do not exist",
            ),
            reloads: family(
                "protobridge_reloads_total",
                "Changes of descriptor sets and customers that were found",
                &["what", "result"],
            ),
            breaking_changes: family(
                "protobridge_descriptor_breaking_changes_total",
                "Admitted changes that break those who read the JSON",
                &["rule"],
            ),
            calls: family("protobridge_aws_calls_total", "Calls of AWS APIs", &["service", "operation", "result"]),
            latency: histogram(
                &recorder,
                "protobridge_event_latency_seconds",
                Unit::Seconds,
                "From a message's arrival in its queue to the confirmation of its last entry",
            ),
            batch_entries: histogram(
                &recorder,
                "protobridge_publish_batch_entries",
                Unit::Count,
                "Entries of each PublishBatch call",
            ),
            in_flight_messages: gauge(
                &recorder,
                "protobridge_messages_in_flight",
                Unit::Count,
                "Messages received and not yet finished",
            ),
            in_flight_bytes: gauge(
                &recorder,
                "protobridge_in_flight_bytes",
                Unit::Bytes,
                "Bytes of messages received and not yet finished",
            ),
            customer_label,
        };
        let version = vec![Label::new("version", env!("CARGO_PKG_VERSION"))];
        let info = Key::from_parts("protobridge_build_info", version);
        recorder.describe_gauge(KeyName::from("protobridge_build_info"), None, "The running version; always 1".into());
        recorder.register_gauge(&info, &METADATA).set(1.0);
        metrics
    }

    /// The metrics in the Prometheus text format.
    pub fn render(&self) -> String {
        self.handle.render()
    }

    /// Keeps the histograms small; call it every few seconds.
    pub fn upkeep(&self) {
        self.handle.run_upkeep();
    }

    /// Counts one call of an AWS API.
    pub fn call(&self, service: &str, operation: &str, ok: bool) {
        self.calls.with(&[service, operation, if ok { "ok" } else { "error" }]).add(1);
    }

    /// Counts one entry that SNS confirmed.
    pub fn entry_published(&self, event_type: &str, customer: Option<&str>) {
        let labels = [event_type, customer.unwrap_or("none")];
        self.published.with(if self.customer_label { &labels } else { &labels[..1] }).add(1);
    }

    /// Notes how long an event took.
    pub fn event_latency(&self, latency: Duration) {
        self.latency.record(latency.as_secs_f64());
    }
}

pub(super) const METADATA: Metadata<'static> = Metadata::new("protobridge", metrics::Level::INFO, None);

fn histogram(recorder: &PrometheusRecorder, name: &'static str, unit: Unit, help: &'static str) -> Histogram {
    recorder.describe_histogram(KeyName::from(name), Some(unit), help.into());
    recorder.register_histogram(&Key::from_name(name), &METADATA)
}

fn gauge(recorder: &PrometheusRecorder, name: &'static str, unit: Unit, help: &'static str) -> Gauge {
    recorder.describe_gauge(KeyName::from(name), Some(unit), help.into());
    recorder.register_gauge(&Key::from_name(name), &METADATA)
}

#[cfg(test)]
mod tests {
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
    fn latency_has_buckets_and_two_services_do_not_mix() {
        let (one, other) = (Metrics::new(false), Metrics::new(true));
        one.event_latency(Duration::from_millis(3));
        one.entry_published("a.B", Some("acme"));
        other.entry_published("a.B", Some("acme"));
        assert!(one.render().contains(r#"protobridge_event_latency_seconds_bucket{le="0.005"} 1"#), "{}", one.render());
        assert!(one.render().contains(r#"protobridge_entries_published_total{event_type="a.B"} 1"#));
        assert!(other.render().contains(r#"{event_type="a.B",customer="acme"} 1"#));
    }
}
