//! The metrics of the service. Their names begin with `protobridge_`, their units are base units, and each label has a
//! bounded number of values.

use std::sync::Arc;

use metrics::{Gauge, Histogram, Unit};
use metrics_exporter_prometheus::PrometheusHandle;

use super::canary::CanaryMetrics;
use super::claims::ClaimMetrics;
use super::exposition::{Declared, Exposition};
use super::family::{Family, Level, Times};
use super::fleeting::FleetingFamily;
use super::label_set::NoLabels;
use super::labels::{
    BillableLabels, BreakingChangeLabels, BuildLabels, CallLabels, CustomerLabel, DescriptorSetLabels,
    DescriptorSourceErrorLabels, DescriptorSourceLabels, DroppedRowsLabels, DuplicateLabels, EventLabels,
    FailureLabels, LastReloadLabels, OutageLabels, PollLabels, PublishedLabels, QuarantinedLabels, QueueLabels,
    QueueMessagesLabels, ReloadLabels, RetriedLabels, SettledLabels, StoreErrorLabels, StoreLabels, TopicLabels,
};
use super::monitor::MonitorMetrics;
use super::usage::Usage;
use crate::base::build;

/// The value of the label `event_type` if the type is unknown.
pub const UNKNOWN_TYPE: &str = "unknown";

/// The metrics of one service.
pub struct Metrics {
    handle: PrometheusHandle,
    declared: Vec<Declared>,
    /// The messages received.
    pub received: Family<QueueLabels<'static>>,
    /// The messages whose event type was looked up, known or not. Each is settled or in flight:
    /// `accounted = settled + in_flight`.
    pub accounted: Family<EventLabels<'static>>,
    /// The messages in `accounted` that are not settled yet.
    pub in_flight: Family<EventLabels<'static>, Level>,
    /// The messages that are settled, those returned to their queue included.
    pub settled: Family<SettledLabels<'static>>,
    /// The messages stored in quarantine.
    pub quarantined: Family<QuarantinedLabels<'static>>,
    /// The messages that were returned to their queue to be tried again.
    pub retried: Family<RetriedLabels<'static>>,
    /// The messages whose receipt went stale while they were in flight.
    pub stale_receipts: Family<QueueLabels<'static>>,
    /// Whether a part of the outside does not work at this moment.
    pub outages: Family<OutageLabels<'static>, Level>,
    /// The messages that are hidden on their queue until the part of the outside that they depend on works.
    pub parked: Family<QueueLabels<'static>, Level>,
    /// The long polls.
    pub polls: Family<PollLabels<'static>>,
    /// Whether SQS answered the last poll of a queue.
    pub queue_up: Family<QueueLabels<'static>, Level>,
    /// The pollers that run.
    pub pollers: Family<QueueLabels<'static>, Level>,
    /// The approximate number of messages on a queue, as SQS counts them.
    pub queue_messages: Family<QueueMessagesLabels<'static>, Level>,
    /// Whether a queue has as many messages in flight as SQS allows.
    pub queue_full: Family<QueueLabels<'static>, Level>,
    /// The receives that a queue's redrive policy allows per message. Not shown without a policy.
    pub receives_allowed: Family<QueueLabels<'static>, Level>,
    /// The receives that a queue's redrive policy must allow for the retry schedule.
    pub receives_needed: Family<QueueLabels<'static>, Level>,
    /// The approximate number of messages on the dead-letter queue of a queue.
    pub dead_letters: Family<QueueLabels<'static>, Level>,
    /// The age in seconds of a queue's oldest message, among those in flight and those received recently.
    pub oldest_message: Family<QueueLabels<'static>, Level>,
    /// The entries that SNS confirmed.
    pub published: Family<PublishedLabels<'static>>,
    /// The failed attempts to publish an entry.
    pub publish_failures: Family<FailureLabels<'static>>,
    /// The calls that SNS throttled, as a whole or in part.
    pub throttles: Family<FailureLabels<'static>>,
    /// The limit of messages published per second. Not shown before the first throttle.
    pub publish_limit: Family<NoLabels, Level>,
    /// The limits of the topics that SNS throttles by themselves. A topic is shown only while it has a limit.
    pub publish_topic_limits: FleetingFamily<TopicLabels<'static>>,
    /// The entries that were not published, because the same event was published to the same customer before.
    pub duplicates: Family<DuplicateLabels<'static>>,
    /// The failed requests to the shared window of duplicates.
    pub dedupe_store_errors: Family<StoreLabels>,
    /// The values in the shared window of duplicates that no replica writes. Not shown if no shared window is
    /// configured.
    pub dedupe_store_invalid: Family,
    /// Whether the shared window of duplicates answers. Not shown if none is configured.
    pub dedupe_store_up: Family<NoLabels, Level>,
    /// The deliveries in the window of this process.
    pub dedupe_entries: Gauge,
    /// The descriptor sets in force and those refused.
    pub descriptor_sets: Family<DescriptorSetLabels, Level>,
    /// The topics of customers that do not exist.
    pub topics_missing: Gauge,
    /// The changes of descriptor sets or customers that were found.
    pub reloads: Family<ReloadLabels>,
    /// The keys of the configuration whose changed value needs a restart.
    pub restart_pending: Arc<Level>,
    /// Whether the present content of the files is in force.
    pub last_reload: Family<LastReloadLabels, Level>,
    /// The time of the last successful read of each place in a bucket, in seconds since 1970. Only shown for such places.
    pub descriptor_source_last_success: Family<DescriptorSourceLabels, Level>,
    /// The interval at which each place in a bucket is polled, in seconds; 0 without polls. Only shown for such places.
    pub descriptor_source_poll_seconds: Family<DescriptorSourceLabels, Level>,
    /// The failed reads of places in a bucket. Only shown for such places.
    pub descriptor_source_errors: Family<DescriptorSourceErrorLabels>,
    /// The admitted changes that break readers of the JSON.
    pub breaking_changes: Family<BreakingChangeLabels>,
    /// The calls of AWS APIs.
    pub calls: Family<CallLabels>,
    /// The requests as AWS bills them.
    pub billable: Family<BillableLabels<'static>>,
    /// The time from a message's arrival in its queue to the confirmation of its last entry.
    pub latency: Family<QueueLabels<'static>, Times>,
    /// The number of entries of each PublishBatch call.
    pub batch_entries: Histogram,
    /// Whether receives wait for publishes.
    pub backpressure: Gauge,
    /// The messages received and not yet finished.
    pub in_flight_messages: Arc<Level>,
    /// The bytes of messages received and not yet finished.
    pub in_flight_bytes: Gauge,
    /// The build that runs, with its configuration and its descriptor sets.
    pub build_info: FleetingFamily<BuildLabels<'static>>,
    /// The rows that the journal took. Like the other metrics of the journal, not shown without a store.
    pub journal_rows: Family,
    /// The rows that are not in the journal because they could not be kept or stored.
    pub journal_dropped: Family<DroppedRowsLabels>,
    /// The segments that were stored.
    pub journal_segments: Family,
    /// The rows in memory that are not stored yet.
    pub journal_unstored: Family<NoLabels, Level>,
    /// The age in seconds of the oldest row that is not stored yet; 0 if all are stored.
    pub journal_oldest_unstored: Family<NoLabels, Level>,
    /// The messages that the archive has. Like the other metrics of the archive, not shown without one.
    pub archive_messages: Family<QueueLabels<'static>>,
    /// The bytes of stored segments.
    pub archive_bytes: Family,
    /// The segments that were stored.
    pub archive_segments: Family,
    /// The messages that were deleted without the archive.
    pub archive_gaps: Family<QueueLabels<'static>>,
    /// The age in seconds of the oldest message that is not stored yet; 0 if all are stored.
    pub archive_oldest_unstored: Family<NoLabels, Level>,
    /// The messages that wait for the archive before they are deleted.
    pub archive_held: Family<NoLabels, Level>,
    /// The failed calls to the store.
    pub store_errors: Family<StoreErrorLabels>,
    /// The metrics of claim checks.
    pub claims: ClaimMetrics,
    /// The metrics of the canary's prober.
    pub canary: CanaryMetrics,
    /// The metrics of sources and silence rules.
    pub monitor: MonitorMetrics,
    /// The minutes of counters that were dropped because the store did not answer. Not shown without a store.
    pub counters_dropped: Family,
    /// What the process used of AWS since it was taken last.
    pub usage: Usage,
    /// Whether entries and billed requests are counted by customer.
    customer_label: bool,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Metrics {
    /// Creates the metrics of a service that has counted nothing. `customer_label` adds the label `customer` to the
    /// published entries and the billed requests.
    pub fn new(customer_label: bool) -> Self {
        let mut all = Exposition::new();
        let hidden = (!customer_label).then_some(CustomerLabel::NAME);
        let mut metrics = Self {
            handle: all.handle(),
            declared: Vec::new(),
            received: all.family("protobridge_messages_received_total", "Messages received"),
            accounted: all.family(
                "protobridge_events_received_total",
                "Messages by the type of their event: those settled and those in flight",
            ),
            in_flight: all.family("protobridge_events_in_flight", "Messages that are not settled yet, by event type"),
            settled: all.family(
                "protobridge_messages_settled_total",
                "Messages by outcome: published, filtered, duplicate, quarantined, retried, abandoned",
            ),
            quarantined: all.family("protobridge_messages_quarantined_total", "Messages stored in quarantine"),
            retried: all.family(
                "protobridge_messages_retried_total",
                "Messages that were returned to their queue for a retry, by cause",
            ),
            stale_receipts: all.family(
                "protobridge_stale_receipts_total",
                "Messages whose receipt went stale while they were in flight",
            ),
            outages: all.family(
                "protobridge_outage",
                "1 while a topic, SNS as a whole, a bucket or the schema registry does not work; 0 afterwards",
            ),
            parked: all.family(
                "protobridge_parked_messages",
                "Messages hidden on their queue until a topic, SNS, a bucket or the schema registry works again",
            ),
            polls: all.family("protobridge_polls_total", "Calls that receive messages, by result"),
            queue_up: all.family("protobridge_queue_up", "Whether SQS answered the last poll of the queue"),
            pollers: all.family("protobridge_pollers", "Running pollers"),
            queue_messages: all
                .family("protobridge_queue_messages", "Approximate number of messages on a queue, as SQS counts them"),
            queue_full: all.family(
                "protobridge_queue_in_flight_limit_reached",
                "Whether a queue has as many messages in flight as SQS allows; polls then return no messages",
            ),
            receives_allowed: all.family(
                "protobridge_queue_receives_allowed",
                "Receives of a message that the queue's redrive policy allows",
            ),
            receives_needed: all.family(
                "protobridge_queue_receives_needed",
                "Receives of a message that the queue's redrive policy must allow for the retry schedule",
            ),
            dead_letters: all.family(
                "protobridge_dead_letter_messages",
                "Approximate number of messages on the queue's dead-letter queue, as SQS counts them",
            ),
            oldest_message: all.family(
                "protobridge_oldest_message_age_seconds",
                "Age of the oldest message, among those received recently and those in flight",
            ),
            published: all.family_without(hidden, "protobridge_entries_published_total", "Entries that SNS confirmed"),
            publish_failures: all
                .family("protobridge_entries_failed_total", "Failed attempts to publish an entry, by error code"),
            throttles: all.family("protobridge_publish_throttles_total", "Calls that SNS throttled"),
            publish_limit: all.family(
                "protobridge_publish_limit_messages_per_second",
                "Current limit of the publish rate over all topics, since the first throttle",
            ),
            publish_topic_limits: all.fleeting(
                hidden,
                "protobridge_publish_topic_limit_messages_per_second",
                "Limit on the messages published per second to a topic that SNS throttles by itself",
            ),
            duplicates: all.family(
                "protobridge_duplicates_suppressed_total",
                "Entries that were not published because SNS had confirmed them before",
            ),
            dedupe_store_errors: all
                .family("protobridge_dedupe_store_errors_total", "Failed requests to the shared window of duplicates"),
            dedupe_store_invalid: all.family(
                "protobridge_dedupe_store_invalid_values_total",
                "Values in the shared window of duplicates that are not from protobridge and were ignored",
            ),
            dedupe_store_up: all
                .family("protobridge_dedupe_store_up", "Whether the shared window of duplicates answers"),
            dedupe_entries: all.gauge(
                "protobridge_dedupe_entries",
                Unit::Count,
                "Published events that this process remembers",
            ),
            descriptor_sets: all
                .family("protobridge_descriptor_sets", "Descriptor sets in force, and refused descriptor sets"),
            topics_missing: all.gauge(
                "protobridge_topics_missing",
                Unit::Count,
                "Topics of customers that do not exist",
            ),
            reloads: all.family(
                "protobridge_reloads_total",
                "Changes of descriptor sets, the customers file and the configuration file, by result",
            ),
            restart_pending: all.level(
                "protobridge_restart_pending_keys",
                "Keys of the configuration whose changed value needs a restart",
            ),
            last_reload: all.family(
                "protobridge_last_reload_successful",
                "Whether the present descriptor sets or customers are in force, or the present configuration is valid",
            ),
            descriptor_source_last_success: all.family(
                "protobridge_descriptor_source_last_success_timestamp_seconds",
                "Time at which the descriptor sets or customers in a bucket were last read or found unchanged",
            ),
            descriptor_source_poll_seconds: all.family(
                "protobridge_descriptor_source_poll_seconds",
                "Interval at which the descriptor sets or customers in a bucket are read; 0 if they are not",
            ),
            descriptor_source_errors: all.family(
                "protobridge_descriptor_source_errors_total",
                "Failed reads of the descriptor sets or customers in a bucket",
            ),
            breaking_changes: all.family(
                "protobridge_descriptor_breaking_changes_total",
                "Admitted changes that break consumers of the JSON",
            ),
            calls: all.family("protobridge_aws_calls_total", "Calls of AWS APIs"),
            billable: all.family_without(
                hidden,
                "protobridge_billable_requests_total",
                "Requests as AWS bills them: a call counts once per 64 KiB",
            ),
            latency: all.family(
                "protobridge_event_latency_seconds",
                "From a message's arrival in its queue to the confirmation of its last entry",
            ),
            batch_entries: all.histogram(
                "protobridge_publish_batch_entries",
                Unit::Count,
                "Entries of each PublishBatch call",
            ),
            backpressure: all.gauge(
                "protobridge_backpressure",
                Unit::Count,
                "1 while receives wait because more full batches wait than publish calls are under way",
            ),
            in_flight_messages: all.level("protobridge_messages_in_flight", "Messages received and not yet finished"),
            in_flight_bytes: all.gauge(
                "protobridge_in_flight_bytes",
                Unit::Bytes,
                "Bytes of messages received and not yet finished",
            ),
            build_info: all.fleeting(
                None,
                "protobridge_build_info",
                "The running version, its configuration and its descriptor sets; always 1",
            ),
            journal_rows: all.family("protobridge_journal_rows_total", "Rows that the journal took"),
            journal_dropped: all.family(
                "protobridge_journal_rows_dropped_total",
                "Rows that are not in the journal, because memory was full or the store did not take their segment",
            ),
            journal_segments: all
                .family("protobridge_journal_segments_total", "Segments of the journal that were stored"),
            journal_unstored: all
                .family("protobridge_journal_unstored_rows", "Rows of the journal that are not stored yet"),
            journal_oldest_unstored: all.family(
                "protobridge_journal_oldest_unstored_seconds",
                "Age of the oldest row of the journal that is not stored yet",
            ),
            archive_messages: all
                .family("protobridge_archive_messages_total", "Messages that were stored in the archive"),
            archive_bytes: all.family("protobridge_archive_bytes_total", "Bytes of stored segments of the archive"),
            archive_segments: all
                .family("protobridge_archive_segments_total", "Segments of the archive that were stored"),
            archive_gaps: all.family(
                "protobridge_archive_gap_messages_total",
                "Messages that were deleted without the archive, because the store did not answer",
            ),
            archive_oldest_unstored: all.family(
                "protobridge_archive_oldest_unstored_seconds",
                "Age of the oldest finished message that the archive has not stored yet",
            ),
            archive_held: all
                .family("protobridge_archive_held_receipts", "Finished messages that wait for the archive"),
            store_errors: all.family("protobridge_store_errors_total", "Failed calls to the store"),
            claims: ClaimMetrics::declare(&mut all, hidden),
            canary: CanaryMetrics::declare(&mut all),
            monitor: MonitorMetrics::new(&mut all),
            counters_dropped: all.family(
                "protobridge_counters_dropped_total",
                "Minutes of the counters for the reports that were dropped because the store did not answer",
            ),
            usage: Usage::default(),
            customer_label,
        };
        metrics.declared = all.declared();
        metrics
    }

    /// Returns every declared metric, even if it is not shown yet.
    pub fn declared(&self) -> &[Declared] {
        &self.declared
    }

    /// Renders the metrics in the Prometheus text format.
    pub fn render(&self) -> String {
        let mut text = self.handle.render();
        self.publish_topic_limits.render(&mut text);
        self.build_info.render(&mut text);
        self.monitor.render(&mut text);
        text
    }

    /// Shows the running build, with the hashes of its configuration and of the descriptor sets in force.
    pub fn show_build(&self, config_hash: &str, sets_hash: &str) {
        let labels = BuildLabels { version: build::VERSION, git_hash: build::GIT_HASH, config_hash, sets_hash };
        self.build_info.set([(labels, 1.0)]);
    }

    /// Keeps the histograms small. Must be called every few seconds.
    pub fn upkeep(&self) {
        self.handle.run_upkeep();
    }

    /// Counts one entry that SNS confirmed.
    pub fn entry_published(&self, event_type: &str, customer: Option<&str>) {
        self.published.with(&PublishedLabels { event_type, customer: self.customer(customer) }).add(1);
    }

    /// Returns the label of a customer, which is hidden if the configuration leaves it out.
    pub fn customer<'v>(&self, id: Option<&'v str>) -> CustomerLabel<'v> {
        if self.customer_label {
            id.map_or(CustomerLabel::NoCustomer, CustomerLabel::Id)
        } else {
            CustomerLabel::Hidden
        }
    }
}

#[cfg(test)]
mod tests;
