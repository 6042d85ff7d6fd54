//! What a run consists of, as runner, emulator and floor have to know it alike.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// Events, customers, and what goes wrong. The same spec always makes the same events for the same customers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Spec {
    /// How many events there are.
    pub(crate) events: u64,
    pub(crate) size: Size,
    /// How many customers there are, each with a topic.
    pub(crate) customers: u32,
    /// Exponent of Zipf's law, by which the traffic of customers differs; 0 is the same traffic for each.
    pub(crate) skew: f64,
    /// Every event goes to every customer.
    pub(crate) fan_out: bool,
    #[serde(rename = "arrivals")]
    pub(crate) send_schedule: SendSchedule,
    pub(crate) faults: Faults,
    /// How long each call takes besides what the emulator needs for it, in milliseconds.
    pub(crate) call_ms: u64,
    pub(crate) backend: BackendKind,
}

/// Who plays SQS and SNS.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
pub(crate) enum BackendKind {
    /// The lean emulator that this tool brings
    #[default]
    Lean,
    /// The embedded SQS and SNS of `protobridge demo`; for drains only
    #[cfg(feature = "rustack")]
    Rustack,
}

/// When events are sent to the queue.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) enum SendSchedule {
    /// All at once, at the start.
    AtOnce,
    /// So many a second, at random moments (a Poisson process).
    Steady { per_second: f64 },
}

/// What goes wrong in SQS and SNS.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Faults {
    /// Messages a second that SNS takes over all topics; what is above is throttled.
    pub(crate) quota: Option<u32>,
    /// So many of a hundred calls fail before they have any effect.
    pub(crate) failing_percent: u32,
    /// The topic of this customer refuses every publish.
    pub(crate) refusing: Option<u32>,
}

/// How large events are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
pub(crate) enum Size {
    /// Heartbeats, some 45 bytes of Protobuf
    #[value(name = "tiny")]
    Tiny,
    /// Documents of 1 KB
    #[value(name = "1kb")]
    OneKb,
    /// Change events, 0.8 KB of Protobuf and 2 KB of JSON
    #[value(name = "2kb")]
    TwoKb,
    /// Documents of 100 KB
    #[value(name = "100kb")]
    HundredKb,
}

impl Size {
    /// As it is written on the command line.
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
        }
    }
}

impl Spec {
    /// How many customers get each event.
    pub(crate) fn customers_per_event(&self) -> u32 {
        if self.fan_out { self.customers } else { 1 }
    }
}
