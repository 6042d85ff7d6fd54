//! What becomes of an event for one destination.

use std::fmt;

use crate::delivery::dry_run::{Forecast, Predicted};
use crate::message::QuarantineReason;

/// What becomes of an event for one destination, without data of the event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ending {
    /// It is delivered.
    Delivered,
    /// The event goes to other destinations only.
    NotADestination,
    /// This rule drops the event.
    Filtered(&'static str),
    /// The message goes into quarantine for this reason.
    Quarantined(&'static str),
    /// The message returns to its queue for this reason, until the redrive policy of the queue takes it.
    Retried(&'static str),
}

impl Ending {
    /// Returns the ending of an event that a configuration delivers to nobody, or not to this destination.
    pub(super) fn without_delivery(forecast: &Forecast) -> Self {
        if !forecast.entries.is_empty() || !forecast.refused.is_empty() {
            return Self::NotADestination;
        }
        match &forecast.outcome {
            Predicted::Published | Predicted::Duplicate => Self::NotADestination,
            Predicted::Filtered(rule) => Self::Filtered(rule),
            Predicted::Quarantined(reason) => Self::of_reason(reason),
            Predicted::Retried(retry) => Self::Retried(retry.cause.code()),
        }
    }

    /// Returns the ending of an event that cannot be published for this reason.
    pub(super) fn of_reason(reason: &QuarantineReason) -> Self {
        Self::Quarantined(reason.kind.code())
    }

    /// Whether the message fails.
    pub(super) fn is_failure(self) -> bool {
        matches!(self, Self::Quarantined(_) | Self::Retried(_))
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Delivered => f.write_str("delivered"),
            Self::NotADestination => f.write_str("not a destination"),
            Self::Filtered(rule) => write!(f, "filtered ({rule})"),
            Self::Quarantined(code) => write!(f, "quarantined ({code})"),
            Self::Retried(code) => write!(f, "retried ({code})"),
        }
    }
}
