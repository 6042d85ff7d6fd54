//! The page `/status`.

use std::collections::BTreeMap;

use serde::Serialize;

use super::State;
use super::knowledge::{KnownSources, KnownTypes, known};
use crate::app::canary::CanaryReport;
use crate::app::reload::{PlaceReport, StandingReport};
use crate::aws::FailureKind;
use crate::aws::outages::{Domain, Outage};
use crate::aws::sns::rate;
use crate::aws::sqs::receive::Reception;
use crate::base::cut;
use crate::base::time::rfc3339;
use crate::telemetry::Metrics;

/// The state of the service at one moment. Counts start with the process.
#[derive(Debug, Serialize)]
pub(super) struct StatusReport {
    version: &'static str,
    phase: &'static str,
    started_at: String,
    uptime_seconds: u64,
    in_flight: usize,
    queues: Vec<QueueReport>,
    /// The configuration file, if the service follows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    configuration: Option<StandingReport>,
    /// The places of the descriptor sets and of the customers file that are in buckets.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    places: Vec<PlaceReport>,
    descriptor_sets: Vec<Set>,
    customers: Customers,
    /// The parts of the outside that do not work at this moment.
    outages: Vec<OutageReport>,
    publish_rate: PublishRate,
    /// The sources of events, as far as this replica knows.
    sources: KnownSources,
    /// The silence rules, as far as this replica knows.
    silence: Vec<KnownTypes>,
    /// The number of calls of AWS APIs, by operation.
    calls: BTreeMap<&'static str, u64>,
    /// The canaries, with `run --canary`.
    #[serde(skip_serializing_if = "Option::is_none")]
    canary: Option<CanaryReport>,
}

/// The publish rates, in messages per second. A support case about throttling requires these numbers.
#[derive(Debug, Serialize)]
struct PublishRate {
    /// The rate that SNS accepted in the last second.
    current: f64,
    /// The highest rate that SNS accepted in any second.
    highest: f64,
    /// The limit on the rate over all topics since the last throttle.
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<f64>,
    /// The topics that SNS throttles by themselves.
    topics: Vec<ThrottledTopic>,
    throttled: u64,
    /// The last throttles, oldest first.
    throttles: Vec<Throttled>,
}

#[derive(Debug, Serialize)]
struct ThrottledTopic {
    topic: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    customer: Option<String>,
    /// The rate that SNS accepted from the topic in the last second.
    current: f64,
    /// The limit on the topic's rate since its last throttle.
    limit: f64,
}

#[derive(Debug, Serialize)]
struct Throttled {
    at: String,
    rate: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<f64>,
    topic: String,
    code: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
}

#[derive(Debug, Serialize)]
struct OutageReport {
    domain: &'static str,
    name: String,
    since: String,
    reason: String,
}

#[derive(Debug, Serialize)]
struct QueueReport {
    name: String,
    url: String,
    /// Whether the queue can be received from: `receiving`, `denied`, `missing`, `failing`, or `unknown` before the
    /// first poll has ended.
    state: &'static str,
    /// Why the queue cannot be received from at this moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    trouble: Option<TroubleReport>,
    received: u64,
    /// The number of messages that are hidden until a part of the outside works again.
    parked: u64,
    /// The number of messages by outcome.
    outcomes: BTreeMap<&'static str, u64>,
    /// The number of messages in quarantine, by reason.
    quarantined: BTreeMap<&'static str, u64>,
    /// The number of polls by result.
    polls: BTreeMap<&'static str, u64>,
}

#[derive(Debug, Serialize)]
pub(in crate::app) struct TroubleReport {
    since: String,
    /// The number of polls in a row that failed.
    failures: u64,
    error: String,
    way_out: String,
}

#[derive(Debug, Serialize)]
struct Set {
    name: String,
    hash: String,
    bytes: usize,
}

#[derive(Debug, Serialize)]
struct Customers {
    configured: usize,
    enabled: usize,
}

pub(super) fn report(state: &State) -> StatusReport {
    let definitions = state.views.routes.definitions();
    let (sets, router) = (definitions.snapshot.sets(), &definitions.router);
    let sets = sets.iter().map(|set| Set { name: set.name.clone(), hash: set.hash.to_string(), bytes: set.bytes });
    let (sources, silence) = known(state.observe());
    StatusReport {
        version: crate::base::build::VERSION,
        phase: state.phase().name(),
        started_at: rfc3339(state.started),
        uptime_seconds: state.started.elapsed().unwrap_or_default().as_secs(),
        in_flight: state.views.visibility.in_flight(),
        queues: state.views.receptions.iter().map(|reception| queue_report(reception, &state.views.metrics)).collect(),
        configuration: state.views.configuration.report(),
        places: state.views.places.report(),
        descriptor_sets: sets.collect(),
        customers: Customers {
            configured: router.customers().count(),
            enabled: router.customers().filter(|customer| customer.enabled).count(),
        },
        outages: state.views.outages.current().into_iter().map(outage_report).collect(),
        publish_rate: publish_rate(state.views.rate.report()),
        sources,
        silence,
        calls: state.views.metrics.calls.sum_by(|labels| Some(labels.operation.name())),
        canary: state.canary.get().map(|prober| prober.report()),
    }
}

fn publish_rate(report: rate::RateReport) -> PublishRate {
    let rounded = |rate: f64| (rate * 10.0).round() / 10.0;
    let throttled = |throttle: rate::Throttle| Throttled {
        at: rfc3339(throttle.at),
        rate: rounded(throttle.rate),
        limit: throttle.limit.map(rounded),
        topic: cut(throttle.topic),
        code: cut(throttle.code),
        request_id: throttle.request_id.map(cut),
    };
    let topic = |own: rate::TopicLimit| ThrottledTopic {
        topic: own.topic.to_string(),
        customer: own.customer.map(|customer| customer.to_string()),
        current: rounded(own.rate),
        limit: rounded(own.limit),
    };
    PublishRate {
        current: rounded(report.rate),
        highest: rounded(report.highest),
        limit: report.limit.map(rounded),
        topics: report.topics.into_iter().map(topic).collect(),
        throttled: report.throttled,
        throttles: report.throttles.into_iter().map(throttled).collect(),
    }
}

fn outage_report((domain, outage): (Domain, Outage)) -> OutageReport {
    let (kind, name) = (domain.kind().code(), domain.name().to_owned());
    OutageReport { domain: kind, name, since: rfc3339(outage.since), reason: outage.reason }
}

/// Returns the state of a queue, and why it cannot be received from.
pub(in crate::app) fn queue_state(reception: &Reception) -> (&'static str, Option<TroubleReport>) {
    let trouble = reception.trouble();
    let state = match &trouble {
        Some(trouble) => match trouble.kind {
            FailureKind::Denied => "denied",
            FailureKind::NotFound => "missing",
            _ => "failing",
        },
        None if reception.works() => "receiving",
        None => "unknown",
    };
    let trouble = trouble.map(|trouble| TroubleReport {
        since: rfc3339(trouble.since),
        failures: trouble.failures,
        error: trouble.error,
        way_out: trouble.way_out,
    });
    (state, trouble)
}

fn queue_report(reception: &Reception, metrics: &Metrics) -> QueueReport {
    let queue = &reception.queue;
    let (state, trouble) = queue_state(reception);
    let is_own = |label: &str| label == queue.label;
    QueueReport {
        name: queue.label.clone(),
        url: queue.url.to_string(),
        state,
        trouble,
        received: metrics.received.sum_where(|labels| is_own(labels.queue)),
        parked: metrics.parked.sum_where(|labels| is_own(labels.queue)),
        outcomes: metrics.settled.sum_by(|labels| is_own(labels.queue).then(|| labels.outcome.code())),
        quarantined: metrics.quarantined.sum_by(|labels| is_own(labels.queue).then(|| labels.reason.code())),
        polls: metrics.polls.sum_by(|labels| is_own(labels.queue).then(|| labels.result.code())),
    }
}
