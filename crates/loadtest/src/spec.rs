//! The specification of a run, shared by the runner, the emulator and the floor.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::network::Network;

/// The events, customers and faults of a run. Equal specs produce equal events for equal customers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Spec {
    /// The number of events.
    pub(crate) events: u64,
    pub(crate) size: Size,
    /// The number of customers. Each has a topic.
    pub(crate) customers: u32,
    /// The exponent of Zipf's law, which distributes the events over the customers. At 0 all customers get the same
    /// share.
    pub(crate) skew: f64,
    /// Whether every event goes to every customer.
    pub(crate) fan_out: bool,
    #[serde(rename = "arrivals")]
    pub(crate) send_schedule: SendSchedule,
    pub(crate) faults: Faults,
    /// The extra time that each call takes, in milliseconds.
    pub(crate) call_ms: u64,
    pub(crate) backend: BackendKind,
    /// Whether the service has a store. The emulator then remembers the ids of all deliveries.
    #[serde(default)]
    pub(crate) has_store: bool,
    /// Whether the service has an archive. Then it needs a store, or a plan in which its store is down.
    #[serde(default)]
    pub(crate) has_archive: bool,
    /// The percentage of events whose JSON exceeds what a topic accepts.
    #[serde(default)]
    pub(crate) large_percent: u32,
    /// Whether the service has a bucket for large events, and each customer a claim check.
    #[serde(default)]
    pub(crate) has_claim_check: bool,
    /// The network between the service and the emulator.
    #[serde(default)]
    pub(crate) network: Network,
    /// Whether the emulator tells the replicas of the service apart. Each event then has one customer.
    #[serde(default)]
    pub(crate) has_replicas: bool,
    /// Whether JSON is judged by its value instead of its text. Encoders differ in white space and in the order of
    /// keys.
    #[serde(default)]
    pub(crate) by_value: bool,
}

/// An implementation of SQS and SNS.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
pub(crate) enum BackendKind {
    /// The lean emulator of this tool
    #[default]
    Lean,
    /// The embedded SQS and SNS of `protobridge demo`; only for drains
    #[cfg(feature = "rustack")]
    Rustack,
}

/// When the events are sent to the input queue.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) enum SendSchedule {
    /// All at once, at the start.
    AtOnce,
    /// At random moments with this average rate (a Poisson process).
    Steady { per_second: f64 },
}

/// The faults that SQS and SNS have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Faults {
    /// The messages per second that SNS accepts over all topics. It throttles publishes above that.
    pub(crate) quota: Option<u32>,
    /// The messages per second that SNS accepts for the topic of customer 0. It throttles publishes to this topic above
    /// that.
    #[serde(default)]
    pub(crate) topic_quota: Option<u32>,
    /// The percentage of calls that fail before they have any effect.
    pub(crate) failing_percent: u32,
    /// The customer whose topic refuses every publish.
    pub(crate) refusing: Option<u32>,
}

/// The size of the events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
pub(crate) enum Size {
    /// Heartbeats of about 45 bytes of Protobuf
    #[value(name = "tiny")]
    Tiny,
    /// Documents of 1 KB
    #[value(name = "1kb")]
    OneKb,
    /// Change events of 0.8 KB of Protobuf and 2 KB of JSON
    #[value(name = "2kb")]
    TwoKb,
    /// Documents of 100 KB
    #[value(name = "100kb")]
    HundredKb,
}

impl Size {
    /// Returns the name as written on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Tiny => "tiny",
            Self::OneKb => "1kb",
            Self::TwoKb => "2kb",
            Self::HundredKb => "100kb",
        }
    }
}

impl Default for Spec {
    fn default() -> Self {
        Self {
            events: 100_000,
            size: Size::TwoKb,
            customers: 1,
            skew: 0.0,
            fan_out: false,
            send_schedule: SendSchedule::AtOnce,
            faults: Faults::default(),
            call_ms: 0,
            backend: BackendKind::Lean,
            has_store: false,
            has_archive: false,
            large_percent: 0,
            has_claim_check: false,
            network: Network::default(),
            has_replicas: false,
            by_value: false,
        }
    }
}

impl Spec {
    /// Returns the position of a delivery among all deliveries of the run.
    pub(crate) fn slot(&self, number: u64, customer: u32) -> usize {
        let of_customer = if self.fan_out { customer as usize } else { 0 };
        number as usize * self.customers_per_event() as usize + of_customer
    }

    /// Whether the event is one of the large ones. They are spread evenly.
    pub(crate) fn is_large(&self, number: u64) -> bool {
        number % 100 < u64::from(self.large_percent)
    }

    /// Returns the number of customers that each event goes to.
    pub(crate) fn customers_per_event(&self) -> u32 {
        if self.fan_out { self.customers } else { 1 }
    }
}
