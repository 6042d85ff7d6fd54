//! The state of each source at one moment, for `/status` and the metrics.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::exchange::SharedGaps;
use super::judge::{Heard, judge};
use super::{Last, Source, Sources};
use crate::aws::sqs::receive::{Proof, Receptions};
use crate::base::cut;
use crate::schema::registry::{EventType, Snapshot};
use crate::telemetry::{LagLeg, SourceLabels, SourceLagLabels, SourceState, SourceStateLabels};

/// The knowledge of this replica about one source.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceReport {
    /// The name of the source, or `other`.
    pub source: String,
    /// The state, as far as this replica knows.
    pub state: SourceState,
    /// Whether the configuration expects the source.
    pub is_expected: bool,
    /// The names of the queues on which it was heard.
    pub queues: BTreeSet<String>,
    /// The time since it was alive for certain; `None` if it was not heard since the start.
    pub age: Option<Duration>,
    /// The time between two of its heartbeats.
    pub interval: Option<Duration>,
    /// The time without a heartbeat after which it is stale.
    pub stale_after: Option<Duration>,
    /// The number of its last heartbeat.
    pub sequence: Option<u64>,
    /// The numbers that are missing in its sequence, as far as this replica knows.
    pub gaps: u64,
    /// Its restarts.
    pub restarts: u64,
    /// The lag of its last heartbeat.
    pub lag: Option<LagReport>,
    /// The time since which messages on its queues can be unknown to this replica; `None` if that is all the time.
    pub unproven: Option<Duration>,
    /// The time since the first message after that reached its queues which this replica received and has not read, and
    /// which can be a heartbeat. `None` if there is no such message.
    pub unread: Option<Duration>,
}

/// The lag of a heartbeat.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LagReport {
    /// The seconds from the source to the queue. A negative number shows that the two clocks differ.
    pub before_queue_seconds: Option<f64>,
    /// The time on the queue.
    pub in_queue: Duration,
}

impl Sources {
    /// Returns what is known about each source, sorted by name. Counts the numbers that have been missing for too long.
    pub fn report(&self, receptions: &Receptions, snapshot: &Snapshot, now: Instant) -> Vec<SourceReport> {
        let active = active_types(snapshot);
        let mut known = self.known.lock();
        let report = |(name, source): (&Arc<str>, &mut Source)| {
            let gaps = source.sequence.take_gaps(now);
            if gaps > 0 {
                source.gaps = source.gaps.saturating_add(gaps);
                self.metrics.monitor.gaps.with(&SourceLabels { source: name }).add(gaps);
            }
            source.report(name, receptions, &active, now)
        };
        known.iter_mut().map(report).collect()
    }

    /// Returns what all replicas know about missing heartbeats; `None` if they share nothing.
    pub fn shared_gaps(&self, now: Instant) -> Option<SharedGaps> {
        Some(self.exchange.as_ref()?.report(now))
    }

    /// Sets the gauge of missing heartbeats, which is absent while the lists are unknown.
    pub fn show_gaps(&self, shared: Option<&SharedGaps>) {
        let mut missing = BTreeMap::<&str, u64>::new();
        for list in shared.into_iter().flat_map(|shared| &shared.lists) {
            let count = missing.entry(&list.source).or_default();
            *count = count.saturating_add(list.missing);
        }
        let members = missing.into_iter().map(|(source, count)| (SourceLabels { source }, count as f64));
        self.metrics.monitor.missing.set(members);
    }

    /// Sets the gauges of all sources.
    pub fn show(&self, reports: &[SourceReport], wall: SystemTime) {
        let metrics = &self.metrics.monitor;
        metrics.states.set(reports.iter().flat_map(|report| {
            SourceState::ALL.iter().map(|state| {
                let labels = SourceStateLabels { source: &report.source, state: *state };
                (labels, if report.state == *state { 1.0 } else { 0.0 })
            })
        }));
        let gauge = |value: fn(&SourceReport, SystemTime) -> Option<f64>| {
            reports
                .iter()
                .filter_map(move |report| Some((SourceLabels { source: &report.source }, value(report, wall)?)))
        };
        metrics.received.set(gauge(|report, wall| Some(unix(wall) - report.age?.as_secs_f64())));
        metrics.sequences.set(gauge(|report, _| Some(report.sequence? as f64)));
        metrics.intervals.set(gauge(|report, _| Some(report.interval?.as_secs_f64())));
        metrics.stale_after.set(gauge(|report, _| Some(report.stale_after?.as_secs_f64())));
        metrics.proven_until.set(gauge(|report, wall| Some(unix(wall) - report.unproven?.as_secs_f64())));
        metrics.unread_since.set(gauge(|report, wall| Some(unix(wall) - report.unread?.as_secs_f64())));
        metrics.lags.set(reports.iter().flat_map(|report| {
            let lag = |leg, seconds| (SourceLagLabels { source: &report.source, leg }, seconds);
            let in_queue = report.lag.map(|it| lag(LagLeg::InQueue, it.in_queue.as_secs_f64()));
            let before = report.lag.and_then(|it| it.before_queue_seconds);
            in_queue.into_iter().chain(before.map(|seconds| lag(LagLeg::BeforeQueue, seconds)))
        }));
    }
}

impl Source {
    fn report(&self, name: &str, receptions: &Receptions, active: &[(String, Instant)], now: Instant) -> SourceReport {
        // A source that was not heard can be on any queue.
        let is_its_queue = |label: &str| self.queues.is_empty() || self.queues.contains(label);
        let queues = || receptions.iter().filter(|reception| is_its_queue(&reception.queue.label));
        let proofs = queues().map(|reception| reception.evidence.at(now));
        let mut proof = proofs.reduce(Proof::and).unwrap_or(Proof { proven_until: None, lag: Duration::ZERO });
        let last_event = match self.events.as_slice() {
            [] => queues().filter_map(|reception| reception.queue.last_event.get()).max(),
            globs => {
                let of_source = active.iter().filter(|(name, _)| globs.iter().any(|glob| glob.matches(name)));
                of_source.map(|(_, at)| *at).max()
            }
        };
        let (after, group) = (self.heard.map(|last| last.alive), self.group.as_deref());
        let unread = queues().filter_map(|reception| reception.evidence.first_unread((after, now), group)).min();
        let heard = self.heard.map(|Last { alive, interval, .. }| Heard {
            alive,
            interval,
            limit: self.limit,
            last_event,
            unread,
        });
        // While polls fail, a heartbeat that is a little late can wait on the queue. Only a proof counts that reaches to the
        // time at which the source is stale.
        if let Some(heard) = heard.filter(|_| !queues().all(|reception| reception.works())) {
            proof.proven_until = proof.proven_until.filter(|until| *until >= heard.alive + heard.stale_after());
        }
        let since = |at: Instant| now.saturating_duration_since(at);
        SourceReport {
            source: cut(name),
            state: judge(now, heard, proof),
            is_expected: self.is_expected,
            queues: self.queues.clone(),
            age: heard.map(|heard| since(heard.alive)),
            interval: heard.map(|heard| heard.interval),
            stale_after: heard.map(|heard| heard.stale_after()),
            sequence: self.sequence.highest(),
            gaps: self.gaps,
            restarts: self.restarts,
            lag: self.heard.map(|last| LagReport { before_queue_seconds: last.before_queue, in_queue: last.in_queue }),
            unproven: proof.proven_until.map(since),
            unread: unread.map(since),
        }
    }
}

/// Returns the types that had an event, with the time of the last one.
fn active_types(snapshot: &Snapshot) -> Vec<(String, Instant)> {
    let seen = |event_type: &Arc<EventType>| Some((event_type.name.to_string(), event_type.last_event.get()?));
    snapshot.event_types().filter_map(seen).collect()
}

fn unix(time: SystemTime) -> f64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}
