//! The metrics of sources, their heartbeats, and silence rules.

use super::exposition::Exposition;
use super::family::Family;
use super::fleeting::FleetingFamily;
use super::label_set::{closed_lists, label_sets};

label_sets! {
    /// The labels of a source.
    SourceLabels<'v> {
        /// The name of the source, or `other`.
        source: &'v str,
    }

    /// The labels of the states of a source.
    SourceStateLabels<'v> {
        /// The name of the source, or `other`.
        source: &'v str,
        /// The state.
        state: SourceState,
    }

    /// The labels of the lags of a source.
    SourceLagLabels<'v> {
        /// The name of the source, or `other`.
        source: &'v str,
        /// The part of the path.
        leg: LagLeg,
    }

    /// The labels of an event type.
    TypeLabels<'v> {
        /// The full name of the message type.
        event_type: &'v str,
    }
}

closed_lists! {
    /// The state of a source, as far as this process knows.
    SourceState {
        /// No heartbeat was received since the process started.
        Unknown = "unknown",
        /// Heartbeats and events arrive.
        Flowing = "flowing",
        /// Heartbeats arrive and no events.
        Quiet = "quiet",
        /// Heartbeats do not arrive, and they are not on the queue.
        Stale = "stale",
        /// The source cannot be judged, because this process is behind or cannot receive.
        Late = "late",
    }

    /// A part of the path of a heartbeat.
    LagLeg {
        /// From the source to the queue: database, replication, producer.
        BeforeQueue = "before_queue",
        /// On the queue, until this process received the heartbeat.
        InQueue = "in_queue",
    }
}

/// The metrics of sources and silence rules. The gauges are set when the metrics are read.
#[derive(Debug)]
pub struct MonitorMetrics {
    /// The heartbeats received, each counted once.
    pub heartbeats: Family<SourceLabels<'static>>,
    /// The heartbeats that are missing in the sequence of a source.
    pub gaps: Family<SourceLabels<'static>>,
    /// The restarts of a source.
    pub restarts: Family<SourceLabels<'static>>,
    /// The state of each source: 1 for the present one, 0 for the others.
    pub states: FleetingFamily<SourceStateLabels<'static>>,
    /// The time of the last heartbeat.
    pub received: FleetingFamily<SourceLabels<'static>>,
    /// The number of the last heartbeat.
    pub sequences: FleetingFamily<SourceLabels<'static>>,
    /// The heartbeats that all replicas together lack.
    pub missing: FleetingFamily<SourceLabels<'static>>,
    /// The lag of the last heartbeat.
    pub lags: FleetingFamily<SourceLagLabels<'static>>,
    /// The time between two heartbeats.
    pub intervals: FleetingFamily<SourceLabels<'static>>,
    /// The time without a heartbeat after which a source is stale.
    pub stale_after: FleetingFamily<SourceLabels<'static>>,
    /// The time until which all heartbeats that were sent are known to have been received.
    pub proven_until: FleetingFamily<SourceLabels<'static>>,
    /// The time at which the oldest message that can be a heartbeat, and is not read, reached the queue.
    pub unread_since: FleetingFamily<SourceLabels<'static>>,
    /// The time of the last event of each type that a silence rule names.
    pub last_events: FleetingFamily<TypeLabels<'static>>,
    /// The longest time between two events of a type, while a rule counts.
    pub silence_limits: FleetingFamily<TypeLabels<'static>>,
}

impl MonitorMetrics {
    pub(super) fn new(all: &mut Exposition) -> Self {
        Self {
            heartbeats: all.family("protobridge_source_heartbeats_total", "Heartbeats received, each counted once"),
            gaps: all.family(
                "protobridge_source_sequence_gaps_total",
                "Heartbeats missing in the sequence of a source, as this replica sees it",
            ),
            restarts: all.family("protobridge_source_restarts_total", "Restarts of a source: its sequence began again"),
            states: all.fleeting(
                None,
                "protobridge_source_state",
                "1 for the present state of a source, as far as this replica knows; 0 for the others",
            ),
            received: all.fleeting(
                None,
                "protobridge_source_heartbeat_received_timestamp_seconds",
                "Time of the last heartbeat of a source, less the time that the heartbeat spent on the queue",
            ),
            sequences: all.fleeting(None, "protobridge_source_sequence", "Number of the last heartbeat of a source"),
            missing: all.fleeting(
                None,
                "protobridge_source_missing_heartbeats",
                "Heartbeats missing in the sequence of a source, as all replicas together know it",
            ),
            lags: all.fleeting(None, "protobridge_source_lag_seconds", "Lag of the last heartbeat of a source"),
            intervals: all.fleeting(
                None,
                "protobridge_source_interval_seconds",
                "Time between two heartbeats of a source",
            ),
            stale_after: all.fleeting(
                None,
                "protobridge_source_stale_after_seconds",
                "Time without a heartbeat after which a source is stale",
            ),
            proven_until: all.fleeting(
                None,
                "protobridge_source_proven_until_timestamp_seconds",
                "Time until which all heartbeats that were sent are known to have been received",
            ),
            unread_since: all.fleeting(
                None,
                "protobridge_source_unread_since_timestamp_seconds",
                "Time at which the oldest message reached the queue that is received, not read, and can be a heartbeat",
            ),
            last_events: all.fleeting(
                None,
                "protobridge_event_type_last_received_timestamp_seconds",
                "Time of the last event of a type that a silence rule names",
            ),
            silence_limits: all.fleeting(
                None,
                "protobridge_event_type_silence_limit_seconds",
                "Longest time between two events of a type, while a silence rule counts",
            ),
        }
    }

    /// Shows the counters of an expected source before it is heard.
    pub fn start_at_zero(&self, source: &str) {
        for family in [&self.heartbeats, &self.gaps, &self.restarts] {
            family.with(&SourceLabels { source });
        }
    }

    /// Appends the gauges in the Prometheus text format.
    pub(super) fn render(&self, text: &mut String) {
        self.states.render(text);
        for family in [
            &self.received,
            &self.sequences,
            &self.intervals,
            &self.stale_after,
            &self.proven_until,
            &self.unread_since,
        ] {
            family.render(text);
        }
        self.missing.render(text);
        self.lags.render(text);
        self.last_events.render(text);
        self.silence_limits.render(text);
    }
}
