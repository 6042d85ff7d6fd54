//! The sources and the silence rules on the page `/status`.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::gaps::KnownGaps;
use crate::monitor::Knowledge;
use crate::monitor::silence::SilenceReport;
use crate::monitor::sources::SourceReport;

/// The knowledge of one replica about the sources.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KnownSources {
    /// How far the knowledge reaches.
    pub knowledge: String,
    /// The sources, sorted by name.
    pub list: Vec<KnownSource>,
    /// The missing heartbeats, as all replicas know them, with `dedupe.redis_url`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gaps: Option<KnownGaps>,
}

/// The knowledge of one replica about one source. Times are in seconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KnownSource {
    /// The name of the source, or `other` for those beyond `heartbeats.max_sources`.
    pub source: String,
    /// `unknown`, `flowing`, `quiet`, `stale` or `late`.
    pub state: String,
    /// Whether the configuration expects the source.
    pub expected: bool,
    /// The names of the queues on which it was heard.
    pub queues: BTreeSet<String>,
    /// The time since its last heartbeat reached the queue.
    pub age_seconds: Option<f64>,
    /// The time between two of its heartbeats.
    pub interval_seconds: Option<f64>,
    /// The time without a heartbeat after which it is stale.
    pub stale_after_seconds: Option<f64>,
    /// The number of its last heartbeat.
    pub sequence: Option<u64>,
    /// The numbers that are missing in its sequence, as far as this replica knows.
    pub gaps: u64,
    /// Its restarts.
    pub restarts: u64,
    /// The time from the source to the queue, by two clocks. A negative number shows that the clocks differ.
    pub before_queue_seconds: Option<f64>,
    /// The time on the queue.
    pub in_queue_seconds: Option<f64>,
    /// Whether the clock of the source is ahead of the clock of SQS.
    pub clock_skew: bool,
    /// The time since which this replica can have missed heartbeats that are on the queue.
    pub unproven_seconds: Option<f64>,
    /// The time since the first message after that reached the queue which this replica received and has not read, and
    /// which can be a heartbeat.
    #[serde(default)]
    pub unread_seconds: Option<f64>,
}

/// The knowledge of one replica about the types of a silence rule.
#[derive(Debug, Serialize)]
pub(super) struct KnownTypes {
    within_seconds: u64,
    types: Vec<KnownType>,
}

#[derive(Debug, Serialize)]
struct KnownType {
    event_type: String,
    /// `unknown`, `flowing`, `silent`, `idle` (no type of `while` flows) or `late`.
    state: &'static str,
    last_event_seconds: Option<f64>,
}

/// Returns the knowledge as the page shows it.
pub(super) fn known(knowledge: Knowledge) -> (KnownSources, Vec<KnownTypes>) {
    let Knowledge { sources, gaps, silence } = knowledge;
    let list = sources.into_iter().map(known_source).collect();
    let knowledge = "as far as this replica knows".to_owned();
    let sources = KnownSources { knowledge, list, gaps: gaps.map(KnownGaps::from) };
    (sources, silence.into_iter().map(known_types).collect())
}

fn known_source(report: SourceReport) -> KnownSource {
    let seconds = |time: Option<Duration>| time.map(|time| rounded(time.as_secs_f64()));
    let before_queue = report.lag.and_then(|lag| lag.before_queue_seconds).map(rounded);
    KnownSource {
        source: report.source,
        state: report.state.code().to_owned(),
        expected: report.is_expected,
        queues: report.queues,
        age_seconds: seconds(report.age),
        interval_seconds: seconds(report.interval),
        stale_after_seconds: seconds(report.stale_after),
        sequence: report.sequence,
        gaps: report.gaps,
        restarts: report.restarts,
        before_queue_seconds: before_queue,
        in_queue_seconds: seconds(report.lag.map(|lag| lag.in_queue)),
        clock_skew: before_queue.is_some_and(|seconds| seconds < 0.0),
        unproven_seconds: seconds(report.unproven),
        unread_seconds: seconds(report.unread),
    }
}

fn known_types(report: SilenceReport) -> KnownTypes {
    let known = |(event_type, state, age): (String, crate::monitor::silence::TypeState, Option<Duration>)| KnownType {
        event_type,
        state: state.code(),
        last_event_seconds: age.map(|age| rounded(age.as_secs_f64())),
    };
    KnownTypes { within_seconds: report.within.as_secs(), types: report.types.into_iter().map(known).collect() }
}

/// Rounds to milliseconds.
fn rounded(seconds: f64) -> f64 {
    (seconds * 1_000.0).round() / 1_000.0
}
