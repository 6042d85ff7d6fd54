//! The metrics, by name. Prefix `protobridge_`, base units, every label bounded.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Label, Level, Metadata, Recorder as _, Unit};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

/// Bounds of the latency histograms, in seconds: fine around the usual few milliseconds, coarse up to the minutes
/// that a backlog takes.
const SECONDS: [f64; 16] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0];

/// Every metric of the service.
pub struct Metrics {
    handle: PrometheusHandle,
    /// Messages received, by queue.
    pub received: Family,
    /// Messages whose outcome was reached or that were given back, by queue, event type and outcome.
    pub settled: Family,
    /// Messages stored in quarantine, by queue and reason.
    pub quarantined: Family,
    /// Messages whose receipt went stale while they were in flight, by queue.
    pub stale_receipts: Family,
    /// Long polls, by queue and result (`messages`, `empty`, `error`).
    pub polls: Family,
    /// Entries that SNS confirmed, by event type, and by customer where the configuration asks for it.
    pub published: Family,
    /// Entries that SNS refused or that failed, by error code.
    pub publish_failures: Family,
    /// Calls that SNS throttled, as a whole or in part, by error code.
    pub throttles: Family,
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
            settled: family(
                "protobridge_messages_settled_total",
                "Messages by what became of them: published, filtered, quarantined, retried",
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
            published: family("protobridge_entries_published_total", "Entries that SNS confirmed", published),
            publish_failures: family(
                "protobridge_entries_failed_total",
                "Attempts to publish an entry that failed, by error code",
                &["code"],
            ),
            throttles: family("protobridge_publish_throttles_total", "Calls that SNS throttled", &["code"]),
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

const METADATA: Metadata<'static> = Metadata::new("protobridge", Level::INFO, None);

fn histogram(recorder: &PrometheusRecorder, name: &'static str, unit: Unit, help: &'static str) -> Histogram {
    recorder.describe_histogram(KeyName::from(name), Some(unit), help.into());
    recorder.register_histogram(&Key::from_name(name), &METADATA)
}

fn gauge(recorder: &PrometheusRecorder, name: &'static str, unit: Unit, help: &'static str) -> Gauge {
    recorder.describe_gauge(KeyName::from(name), Some(unit), help.into());
    recorder.register_gauge(&Key::from_name(name), &METADATA)
}

/// A counter that the process can read back.
#[derive(Debug)]
pub struct Tally {
    count: AtomicU64,
    metric: Counter,
}

impl Tally {
    /// Counts `n` more.
    pub fn add(&self, n: u64) {
        self.count.fetch_add(n, Ordering::Relaxed);
        self.metric.increment(n);
    }

    /// The count so far.
    pub fn get(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }
}

/// Counters of one name, told apart by the values of their labels.
pub struct Family {
    name: &'static str,
    labels: &'static [&'static str],
    recorder: Arc<PrometheusRecorder>,
    members: RwLock<HashMap<String, Arc<Tally>>>,
}

impl std::fmt::Debug for Family {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Family").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Joins label values into the key of a member; no label value holds this character.
const SEPARATOR: char = '\u{1f}';

impl Family {
    fn new(
        recorder: &Arc<PrometheusRecorder>,
        name: &'static str,
        help: &'static str,
        labels: &'static [&'static str],
    ) -> Self {
        recorder.describe_counter(KeyName::from(name), Some(Unit::Count), help.into());
        Self { name, labels, recorder: Arc::clone(recorder), members: RwLock::default() }
    }

    /// The counter with these label values, in the order of the family's labels.
    pub fn with(&self, values: &[&str]) -> Arc<Tally> {
        debug_assert_eq!(values.len(), self.labels.len(), "{} has the labels {:?}", self.name, self.labels);
        let mut key = String::with_capacity(values.iter().map(|value| value.len() + 1).sum());
        for value in values {
            key.push_str(value);
            key.push(SEPARATOR);
        }
        if let Some(tally) = self.members.read().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Arc::clone(tally);
        }
        let labels = self.labels.iter().zip(values).map(|(name, value)| Label::new(*name, (*value).to_owned()));
        let metric = self.recorder.register_counter(&Key::from_parts(self.name, labels.collect::<Vec<_>>()), &METADATA);
        let mut members = self.members.write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(members.entry(key).or_insert_with(|| Arc::new(Tally { count: AtomicU64::new(0), metric })))
    }

    /// All counters: label values and count, sorted by label values.
    pub fn totals(&self) -> Vec<(Vec<String>, u64)> {
        let members = self.members.read().unwrap_or_else(PoisonError::into_inner);
        let values = |key: &str| key.split_terminator(SEPARATOR).map(str::to_owned).collect();
        let mut totals: Vec<(Vec<String>, u64)> =
            members.iter().map(|(key, tally)| (values(key), tally.get())).collect();
        totals.sort();
        totals
    }

    /// The sum of the counters whose label of this name has this value.
    pub fn sum_where(&self, label: &str, value: &str) -> u64 {
        let Some(index) = self.labels.iter().position(|name| *name == label) else { return 0 };
        self.totals().iter().filter(|(values, _)| values[index] == value).map(|(_, count)| count).sum()
    }

    /// The sum of all counters.
    pub fn sum(&self) -> u64 {
        self.totals().iter().map(|(_, count)| count).sum()
    }
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
