//! The scenarios: what is sent to whom, and what goes wrong meanwhile.

use clap::ValueEnum;

use crate::measure::RunPlan;
use crate::spec::{BackendKind, Faults, SendSchedule, Size, Spec};

/// A situation that the service has to be good in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Scenario {
    /// A backlog of 2 KB events for one customer, beside the floor
    Drain,
    /// A steady load, at parts of what the drain reached: 10, 25, 50, 75 and 90 percent
    Steady,
    /// A backlog that appears at once after a time of quiet
    Burst,
    /// A backlog for 1, 10, 100, 1,000 and 10,000 customers, a few of whom have most of it
    Customers,
    /// A steady load for 10,000 customers, by how long batches linger
    Linger,
    /// Each event to ten customers
    FanOut,
    /// A backlog of tiny, 1 KB, 2 KB and 100 KB events, each beside its floor
    Sizes,
    /// SNS takes 300 messages a second and no more
    Throttled,
    /// 5 of 100 calls fail
    Failing,
    /// The topic of one of ten customers refuses everything
    Refusing,
    /// Backlogs of 10 k, 100 k and 1 million, for their memory; with --five-million one of 5 million, too
    Backlog,
}

/// What scenarios are made of.
#[derive(Debug, Clone)]
pub(crate) struct ScenarioParameters {
    /// How many events a backlog has.
    pub(crate) events: u64,
    /// How long a steady load lasts, in seconds.
    pub(crate) seconds: u64,
    pub(crate) five_million: bool,
    /// Parts of the capacity, in percent.
    pub(crate) loads: Vec<u32>,
    pub(crate) call_ms: u64,
    pub(crate) backend: BackendKind,
}

/// One run of a scenario.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    /// What tells it from the other runs of the scenario.
    pub(crate) label: String,
    pub(crate) plan: RunPlan,
    /// Whether the floor is measured beside it.
    pub(crate) has_floor: bool,
    /// Where it stands on the horizontal axis of its scenario.
    pub(crate) x: f64,
}

/// Customers of the scenarios that have most of them.
const MANY_CUSTOMERS: u32 = 10_000;
/// Exponent of Zipf's law in these: the first hundred of ten thousand have half of the traffic.
const SKEW: f64 = 1.0;
/// Messages a second that the smallest regions of SNS take.
const QUOTA: u32 = 300;
/// How long the throttled run lasts; its first seconds do not count.
const THROTTLED_SECONDS: u64 = 60;

impl Scenario {
    /// All of them, in the order that they are run in.
    pub(crate) fn all() -> Vec<Self> {
        Self::value_variants().to_vec()
    }

    /// As on the command line.
    pub(crate) fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// Whether it is defined by how fast a drain is.
    pub(crate) fn requires_capacity(self) -> bool {
        matches!(self, Self::Steady | Self::Linger)
    }

    /// Its runs. `capacity` is what a drain reached, in events a second.
    pub(crate) fn steps(self, parameters: &ScenarioParameters, capacity: f64) -> Vec<Step> {
        let backlog = Spec {
            events: parameters.events,
            call_ms: parameters.call_ms,
            backend: parameters.backend,
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
                    // With less in a batch the capacity is less, too.
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

/// With commas.
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
        }
    }

    #[test]
    fn thousands_have_commas() {
        assert_eq!([0, 999, 1_000, 5_000_000].map(thousands), ["0", "999", "1,000", "5,000,000"]);
    }

    #[test]
    fn five_million_is_a_backlog_only_where_it_is_asked_for() {
        let parameters = |five_million| ScenarioParameters { five_million, ..parameters() };
        let largest = |five_million| {
            let steps = Scenario::Backlog.steps(&parameters(five_million), 0.0);
            steps.iter().map(|step| step.plan.spec.events).max().unwrap()
        };
        assert_eq!((largest(false), largest(true)), (1_000_000, 5_000_000));
    }

    #[test]
    fn a_steady_load_is_the_part_of_the_capacity_that_it_says() {
        let steps = Scenario::Steady.steps(&parameters(), 4_000.0);
        let specs: Vec<(u64, SendSchedule)> =
            steps.iter().map(|step| (step.plan.spec.events, step.plan.spec.send_schedule)).collect();
        let per_second = |per_second| SendSchedule::Steady { per_second };
        assert_eq!(specs, [(40_000, per_second(2_000.0)), (72_000, per_second(3_600.0))]);
    }
}
