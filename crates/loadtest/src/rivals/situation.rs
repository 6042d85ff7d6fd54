//! The situations in which the contestants are measured.

use std::collections::BTreeMap;
use std::fmt;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::contestant::Contestant;
use super::{Measured, Options};
use crate::measure::RunPlan;
use crate::spec::Spec;

/// A situation. In each, a backlog of change events of 2 KB of JSON is drained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Situation {
    /// One customer; calls take only CPU time
    OneCustomer,
    /// 100 customers, by Zipf's law; calls take only CPU time
    Skewed,
    /// One customer; each call takes 10 milliseconds
    SlowCalls,
}

/// The loops of the SDK calls and of each rival, if calls take no time. More loops make p95 longer then.
const LOOPS: u32 = 8;
/// The same for the rival in Go, which takes less CPU time with more loops.
const LOOPS_OF_GO: u32 = 16;
/// The same, if calls take time.
const LOOPS_OF_SLOW_CALLS: u32 = 32;

impl Situation {
    pub(crate) fn all() -> Vec<Self> {
        Self::value_variants().to_vec()
    }
}

impl fmt::Display for Situation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OneCustomer => "one customer",
            Self::Skewed => "100 customers",
            Self::SlowCalls => "slow calls",
        })
    }
}

impl Measured {
    pub(super) fn new(situation: Situation, options: &Options) -> Self {
        let is_slow = situation == Situation::SlowCalls;
        Self {
            situation,
            events: options.events,
            call_ms: if is_slow { options.call_ms } else { 0 },
            loops: options.loops,
            runs: BTreeMap::new(),
            differences: BTreeMap::new(),
        }
    }

    /// Returns the plan of a run of the contestant.
    pub(super) fn plan(&self, contestant: Contestant) -> RunPlan {
        let (customers, skew) = if self.situation == Situation::Skewed { (100, 1.0) } else { (1, 0.0) };
        let default_loops = match (self.situation, contestant) {
            (Situation::SlowCalls, _) => LOOPS_OF_SLOW_CALLS,
            (_, Contestant::Go) => LOOPS_OF_GO,
            _ => LOOPS,
        };
        let (events, call_ms, by_value) = (self.events, self.call_ms, contestant.is_rival());
        let spec = Spec { events, customers, skew, call_ms, by_value, ..Spec::default() };
        RunPlan { spec, loops: Some(self.loops.unwrap_or(default_loops)), ..RunPlan::default() }
    }

    /// Returns a heading for the table.
    pub(super) fn title(&self) -> String {
        let events = self.events;
        match self.situation {
            Situation::OneCustomer => format!("One customer: {events} events"),
            Situation::Skewed => format!("100 customers, by Zipf's law: {events} events"),
            Situation::SlowCalls => format!("One customer, {} ms per call: {events} events", self.call_ms),
        }
    }
}
