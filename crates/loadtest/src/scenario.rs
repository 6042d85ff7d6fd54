//! The scenarios: which events are sent to which customers, and which faults occur.

mod network;

use clap::ValueEnum;

use crate::measure::{Outage, RunPlan};
use crate::spec::{BackendKind, Faults, SendSchedule, Size, Spec};

pub(crate) use network::NetworkOptions;

/// A situation that the service must handle well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Scenario {
    /// A backlog of 2 KB events for one customer, compared with the floor
    Drain,
    /// Steady loads at 10, 25, 50, 75 and 90 percent of the rate of a drain
    Steady,
    /// A backlog that appears at once after a quiet time
    Burst,
    /// A backlog for 1, 10, 100, 1,000 and 10,000 customers; a few customers have most of the events
    Customers,
    /// A steady load for 10,000 customers, at several values of `publish.linger_ms`
    Linger,
    /// A backlog in which each event goes to ten customers
    FanOut,
    /// A backlog of tiny, 1 KB, 2 KB and 100 KB events, each compared with its floor
    Sizes,
    /// A backlog while SNS accepts only 300 messages per second
    Throttled,
    /// A steady load for ten customers, without faults, and while SNS accepts only 100 messages per second for one of them
    ThrottledTopic,
    /// A backlog while 5 percent of all calls fail
    Failing,
    /// A backlog for ten customers, while the topic of one refuses every publish
    Refusing,
    /// Backlogs of 10,000, 100,000 and 1 million events, to measure memory; with --five-million also 5 million
    Backlog,
    /// Three pairs of backlogs, without a store and with one, to measure what the journal costs
    Journal,
    /// Three pairs of backlogs, with the archive off and on, to measure what the archive costs
    Archive,
    /// A steady load while the store of the archive does not answer for some time
    StoreDown,
    /// Three pairs of backlogs and three of steady loads, without and with 1 percent of large events, whose JSON is stored
    /// in S3
    LargeEvents,
    /// Drains and steady loads over a network with TLS, calls that take 20 ms, a limited bandwidth, and connections that
    /// are cut
    Network,
    /// One, two and four replicas, with and without Redis; one is killed and one is added; three share a quota of 300
    /// messages per second
    Replicas,
}

/// The parameters that apply to all scenarios.
#[derive(Debug, Clone)]
pub(crate) struct ScenarioParameters {
    /// The number of events in a backlog.
    pub(crate) events: u64,
    /// The duration of a steady load, in seconds.
    pub(crate) seconds: u64,
    pub(crate) five_million: bool,
    /// The steady loads, in percent of the capacity.
    pub(crate) loads: Vec<u32>,
    pub(crate) call_ms: u64,
    pub(crate) backend: BackendKind,
    /// Whether the service has a store in all scenarios.
    pub(crate) has_store: bool,
    /// The time in which the store does not answer, in seconds.
    pub(crate) store_down: u64,
    pub(crate) network: NetworkOptions,
}

/// A planned run of a scenario.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    /// Distinguishes this run from the other runs of the scenario.
    pub(crate) label: String,
    pub(crate) plan: RunPlan,
    /// Whether the floor is measured as well.
    pub(crate) has_floor: bool,
    /// The position on the horizontal axis of the scenario's plot.
    pub(crate) x: f64,
}

/// The percentage of large events in the scenario `large-events`, and the steady load in events per second. It is some
/// fraction of what a core can do, so that latencies are not those of a queue.
const LARGE_PERCENT: u32 = 1;
const LARGE_LOAD: f64 = 300.0;

/// The number of customers in the scenarios with the most customers.
const MANY_CUSTOMERS: u32 = 10_000;
/// The exponent of Zipf's law in these scenarios. The first hundred of ten thousand customers get half of the traffic.
const SKEW: f64 = 1.0;
/// The SNS quota of the smallest regions, in messages per second.
const QUOTA: u32 = 300;
/// The duration of the throttled run. Its first seconds do not count.
const THROTTLED_SECONDS: u64 = 60;

/// The steady load while the store does not answer, in events per second.
const STORE_LOAD: f64 = 1_000.0;

/// Whether the service has a store in the runs of the scenario `journal`, or an archive in those of `archive`, or large events
/// in those of `large-events`. Each odd run
/// and the next one are a pair. The order within the pairs alternates, so that a change in the machine's load does not
/// favor one side.
const PAIRED_RUNS: [bool; 6] = [false, true, true, false, false, true];

/// The quota of the throttled topic, in messages per second.
const TOPIC_QUOTA: u32 = 100;
/// The steady load over ten customers while a topic is throttled, in events per second. It is twice the quota for the
/// throttled topic, and far less than the service can publish, so the rate of the others depends on nothing else.
const TOPIC_LOAD: f64 = 2_000.0;
/// The duration of that load.
const TOPIC_SECONDS: u64 = 40;

impl Scenario {
    /// Returns all scenarios in the order in which they run.
    pub(crate) fn all() -> Vec<Self> {
        Self::value_variants().to_vec()
    }

    /// Returns the name as written on the command line.
    pub(crate) fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// Whether the scenario's load depends on the rate of a drain.
    pub(crate) fn requires_capacity(self) -> bool {
        matches!(self, Self::Steady | Self::Linger)
    }

    /// Returns the scenario's runs. `capacity` is the rate of a drain, in events per second.
    pub(crate) fn steps(self, parameters: &ScenarioParameters, capacity: f64) -> Vec<Step> {
        let backlog = Spec {
            events: parameters.events,
            call_ms: parameters.call_ms,
            backend: parameters.backend,
            has_store: parameters.has_store,
            ..Spec::default()
        };
        let steady = |per_second: f64, base: Spec| Spec {
            events: (per_second * parameters.seconds as f64).ceil().max(1.0) as u64,
            send_schedule: SendSchedule::Steady { per_second },
            ..base
        };
        match self {
            Self::Drain => vec![Step { has_floor: true, ..Step::new(String::new(), backlog) }],
            Self::Steady => {
                let step = |percent: &u32| {
                    let spec = steady(capacity * f64::from(*percent) / 100.0, backlog.clone());
                    Step::new(format!("{percent}%"), spec).at(*percent)
                };
                parameters.loads.iter().map(step).collect()
            }
            Self::Burst => {
                let step = Step::new(String::new(), backlog);
                vec![Step { plan: RunPlan { quiet_seconds: parameters.seconds, ..step.plan }, ..step }]
            }
            Self::Customers => {
                let step = |customers: u32| {
                    let spec = Spec { customers, skew: SKEW, ..backlog.clone() };
                    Step::new(thousands(u64::from(customers)), spec).at(customers)
                };
                [1, 10, 100, 1_000, MANY_CUSTOMERS].into_iter().map(step).collect()
            }
            Self::Linger => {
                let step = |linger_ms: u64| {
                    let spec = Spec { customers: MANY_CUSTOMERS, skew: SKEW, ..backlog.clone() };
                    // Smaller batches lower the capacity.
                    let step = Step::new(format!("{linger_ms} ms"), steady(capacity / 8.0, spec));
                    Step { plan: RunPlan { linger_ms, ..step.plan }, x: linger_ms as f64, ..step }
                };
                [0, 10, 50, 200, 1_000].into_iter().map(step).collect()
            }
            Self::FanOut => {
                let spec = Spec { events: parameters.events.div_ceil(10), customers: 10, fan_out: true, ..backlog };
                vec![Step::new("1→10".to_owned(), spec)]
            }
            Self::Sizes => {
                let step = |(size, part): (Size, u64)| {
                    let events = parameters.events.div_ceil(part);
                    let spec = Spec { size, events, ..backlog.clone() };
                    Step { has_floor: true, ..Step::new(size.name().to_owned(), spec) }
                };
                [(Size::Tiny, 1), (Size::OneKb, 1), (Size::TwoKb, 1), (Size::HundredKb, 20)].map(step).into()
            }
            Self::Throttled => {
                let faults = Faults { quota: Some(QUOTA), ..Faults::default() };
                let events = u64::from(QUOTA) * THROTTLED_SECONDS * 2;
                let spec = Spec { events, customers: 10, skew: 2.0, faults, ..backlog };
                let step = Step::new(format!("{QUOTA}/s"), spec);
                vec![Step { plan: RunPlan { limit_seconds: Some(THROTTLED_SECONDS), ..step.plan }, ..step }]
            }
            Self::ThrottledTopic => {
                let events = (TOPIC_LOAD * TOPIC_SECONDS as f64) as u64;
                let send_schedule = SendSchedule::Steady { per_second: TOPIC_LOAD };
                let step = |(label, topic_quota): (String, Option<u32>)| {
                    let faults = Faults { topic_quota, ..Faults::default() };
                    let spec = Spec { events, customers: 10, send_schedule, faults, ..backlog.clone() };
                    let step = Step::new(label, spec);
                    Step { plan: RunPlan { limit_seconds: Some(TOPIC_SECONDS), ..step.plan }, ..step }
                };
                [("none".to_owned(), None), (format!("{TOPIC_QUOTA}/s"), Some(TOPIC_QUOTA))].map(step).into()
            }
            Self::Failing => {
                let faults = Faults { failing_percent: 5, ..Faults::default() };
                vec![Step::new("5%".to_owned(), Spec { faults, ..backlog })]
            }
            Self::Refusing => {
                let faults = Faults { refusing: Some(3), ..Faults::default() };
                let events = parameters.events.div_ceil(2);
                vec![Step::new("1 of 10".to_owned(), Spec { events, customers: 10, faults, ..backlog })]
            }
            Self::Backlog => {
                let five = parameters.five_million.then_some(5_000_000);
                let step = |events| Step {
                    x: events as f64,
                    ..Step::new(thousands(events), Spec { events, ..backlog.clone() })
                };
                [10_000, 100_000, 1_000_000].into_iter().chain(five).map(step).collect()
            }
            Self::Journal => {
                let step = |has_store: bool| {
                    let label = if has_store { "with" } else { "without" };
                    Step::new(label.to_owned(), Spec { has_store, ..backlog.clone() }).at(u32::from(has_store))
                };
                PAIRED_RUNS.map(step).into()
            }
            Self::Archive => {
                let step = |has_archive: bool| {
                    let label = if has_archive { "on" } else { "off" };
                    let spec = Spec { has_store: true, has_archive, ..backlog.clone() };
                    Step::new(label.to_owned(), spec).at(u32::from(has_archive))
                };
                PAIRED_RUNS.map(step).into()
            }
            Self::StoreDown => {
                let seconds = parameters.store_down;
                let outage = Outage { after_seconds: (seconds / 5).max(3), seconds };
                let events = (STORE_LOAD * (seconds + 2 * outage.after_seconds) as f64) as u64;
                let send_schedule = SendSchedule::Steady { per_second: STORE_LOAD };
                let spec = Spec { events, send_schedule, has_store: false, has_archive: true, ..backlog };
                let step = Step::new(format!("{seconds} s"), spec);
                vec![Step { plan: RunPlan { outage: Some(outage), ..step.plan }, ..step }]
            }
            Self::LargeEvents => {
                let base = Spec { customers: 10, has_claim_check: true, ..backlog };
                let steady = steady(LARGE_LOAD, base.clone());
                let step = |(load, has_large, base): (&str, bool, &Spec)| {
                    let large_percent = if has_large { LARGE_PERCENT } else { 0 };
                    let spec = Spec { large_percent, ..base.clone() };
                    Step::new(format!("{load}, {large_percent}%"), spec).at(large_percent)
                };
                let backlogs = PAIRED_RUNS.map(|has_large| ("backlog", has_large, &base));
                let loads = PAIRED_RUNS.map(|has_large| ("steady", has_large, &steady));
                backlogs.into_iter().chain(loads).map(step).collect()
            }
            Self::Network => network::steps(&parameters.network, &backlog, parameters.seconds.div_ceil(2)),
            Self::Replicas => crate::replicas::steps::steps(parameters),
        }
    }
}

impl Step {
    fn new(label: String, spec: Spec) -> Self {
        Self { label, plan: RunPlan { spec, ..RunPlan::default() }, has_floor: false, x: 0.0 }
    }

    fn at(self, x: u32) -> Self {
        Self { x: f64::from(x), ..self }
    }
}

/// Formats a number with commas between groups of three digits.
pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters() -> ScenarioParameters {
        ScenarioParameters {
            events: 1_000,
            seconds: 20,
            five_million: false,
            loads: vec![50, 90],
            call_ms: 0,
            backend: BackendKind::Lean,
            has_store: false,
            store_down: 300,
            network: NetworkOptions::for_tests(),
        }
    }

    #[test]
    fn thousands_separates_groups_with_commas() {
        assert_eq!([0, 999, 1_000, 5_000_000].map(thousands), ["0", "999", "1,000", "5,000,000"]);
    }

    #[test]
    fn the_backlog_of_five_million_runs_only_on_request() {
        let parameters = |five_million| ScenarioParameters { five_million, ..parameters() };
        let largest = |five_million| {
            let steps = Scenario::Backlog.steps(&parameters(five_million), 0.0);
            steps.iter().map(|step| step.plan.spec.events).max().unwrap()
        };
        assert_eq!((largest(false), largest(true)), (1_000_000, 5_000_000));
    }

    #[test]
    fn a_steady_load_is_a_percentage_of_the_capacity() {
        let steps = Scenario::Steady.steps(&parameters(), 4_000.0);
        let specs: Vec<(u64, SendSchedule)> =
            steps.iter().map(|step| (step.plan.spec.events, step.plan.spec.send_schedule)).collect();
        let per_second = |per_second| SendSchedule::Steady { per_second };
        assert_eq!(specs, [(40_000, per_second(2_000.0)), (72_000, per_second(3_600.0))]);
    }
}
