//! The steps from a message to its outcome, for people who ask why a message has this outcome.
//!
//! The code that decides notes its own steps, so an explanation cannot differ from the decision. The pipeline passes `()`
//! as the [`Witness`], for which the compiler leaves the notes out.

use std::fmt;

use serde::Serialize;

/// One step of a decision: a finding, and the key or the part of the message that decided it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// The subject of the step.
    pub about: About,
    /// The finding, such as the name of the type.
    pub found: String,
    /// The attribute, the configuration key or the rule that decided it.
    pub because: String,
}

/// The subject of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum About {
    /// The queue of the message.
    Queue,
    /// A layer around the payload.
    Layer,
    /// The message type of the event.
    Type,
    /// The descriptor set that defines the type.
    Set,
    /// The source whose heartbeat the event is.
    Source,
    /// The customer that the event names.
    Customer,
    /// The rule that finds the destinations.
    Route,
    /// The event id.
    EventId,
    /// The time of the event.
    EventTime,
    /// The message group on FIFO topics.
    Group,
    /// One destination of the event.
    Destination,
    /// The object that has the JSON for the destination before it.
    ClaimCheck,
    /// The outcome of the message.
    Outcome,
}

impl fmt::Display for About {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Queue => "queue",
            Self::Layer => "layer",
            Self::Type => "type",
            Self::Set => "set",
            Self::Source => "source",
            Self::Customer => "customer",
            Self::Route => "route",
            Self::EventId => "event id",
            Self::EventTime => "event time",
            Self::Group => "group",
            Self::Destination => "destination",
            Self::ClaimCheck => "claim check",
            Self::Outcome => "outcome",
        })
    }
}

impl Step {
    /// Creates a step.
    pub fn new(about: About, found: impl fmt::Display, because: impl fmt::Display) -> Self {
        Self { about, found: found.to_string(), because: because.to_string() }
    }
}

/// The recipient of the steps of a decision.
pub trait Witness {
    /// Notes a step. `step` is not called if the witness keeps no steps.
    fn note(&mut self, step: impl FnOnce() -> Step);
}

/// Keeps no steps.
impl Witness for () {
    fn note(&mut self, _: impl FnOnce() -> Step) {}
}

/// Keeps all steps in their order.
impl Witness for Vec<Step> {
    fn note(&mut self, step: impl FnOnce() -> Step) {
        self.push(step());
    }
}

impl<W: Witness> Witness for &mut W {
    fn note(&mut self, step: impl FnOnce() -> Step) {
        W::note(self, step);
    }
}
