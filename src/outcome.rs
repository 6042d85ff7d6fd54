//! What becomes of a message, and the proof of it that a delete asks for.
//!
//! A message that was received ends in exactly one [`Outcome`]. Three of them allow its deletion, and each leaves a
//! value that only the place which reached it can make: SNS confirmed every entry ([`publish::Confirmed`]), the
//! quarantine queue has it ([`quarantine::Stored`]), or a rule that someone wrote leaves it out ([`route::Filtered`]).
//! [`Reached`] is made from those and from nothing else, and [`delete`](crate::delete) wants one.

mod account;
pub mod quarantine;

use std::fmt;

pub use account::{Account, Settled, UNKNOWN};

use crate::{dedupe, publish, route};

/// What becomes of one message.
#[derive(Debug)]
pub enum Outcome {
    /// Every topic that the event routes to has it.
    Published(Everywhere),
    /// Every topic that the event routes to had it before.
    Duplicate(Everywhere),
    /// A rule that someone wrote leaves it out.
    Filtered(route::Filtered),
    /// It can never be published as it is; the reason is for people.
    Quarantine(Verdict),
    /// Not now; it stays on its queue and comes back after a while.
    Retry(Retry),
}

/// Why a message is given back to be tried again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retry {
    /// The cause, of a closed list.
    pub cause: Cause,
    /// What exactly, for people.
    pub detail: String,
}

/// Why a message is given back: a closed list, so that alerts can tell what has to be mended from what only takes its
/// time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    /// No descriptor set defines its type yet.
    UnknownType,
    /// The S3 object that it points to is not there yet.
    MissingObject,
    /// What has to be asked about it, S3 or the schema registry, does not answer.
    Outside,
    /// SNS did not take it, or not everywhere.
    Publish,
    /// Another replica is publishing the same event.
    ClaimedElsewhere,
    /// Its receipt went stale: it has, or may have, a new owner.
    StaleReceipt,
    /// It belongs into quarantine, and the quarantine queue did not take it.
    QuarantineFailed,
    /// It belongs into quarantine, and its queue has none.
    NoQuarantineQueue,
    /// One before it in its message group is tried again.
    GroupOrder,
    /// A defect of protobridge.
    Defect,
}

impl Cause {
    /// All causes.
    pub const ALL: [Self; 10] = [
        Self::UnknownType,
        Self::MissingObject,
        Self::Outside,
        Self::Publish,
        Self::ClaimedElsewhere,
        Self::StaleReceipt,
        Self::QuarantineFailed,
        Self::NoQuarantineQueue,
        Self::GroupOrder,
        Self::Defect,
    ];

    /// The cause's code, as in metrics and logs.
    pub fn code(self) -> &'static str {
        match self {
            Self::UnknownType => "unknown_type",
            Self::MissingObject => "missing_object",
            Self::Outside => "outside",
            Self::Publish => "publish",
            Self::ClaimedElsewhere => "claimed_elsewhere",
            Self::StaleReceipt => "stale_receipt",
            Self::QuarantineFailed => "quarantine_failed",
            Self::NoQuarantineQueue => "no_quarantine_queue",
            Self::GroupOrder => "group_order",
            Self::Defect => "defect",
        }
    }

    /// A retry for this cause.
    pub fn because(self, detail: impl fmt::Display) -> Retry {
        Retry { cause: self, detail: detail.to_string() }
    }
}

impl From<Retry> for Outcome {
    fn from(retry: Retry) -> Self {
        Self::Retry(retry)
    }
}

/// Proof that one topic has an event: SNS confirmed it, now or within the window of duplicates.
#[derive(Debug)]
pub struct Delivered(());

impl From<publish::Confirmed> for Delivered {
    fn from(_: publish::Confirmed) -> Self {
        Self(())
    }
}

impl From<dedupe::Seen> for Delivered {
    fn from(_: dedupe::Seen) -> Self {
        Self(())
    }
}

/// Proof that every topic of an event has it.
#[derive(Debug)]
pub struct Everywhere(());

impl Everywhere {
    /// The proof for an event with one topic for each of these; there is none for an event without topics.
    pub fn of(deliveries: &[Delivered]) -> Option<Self> {
        (!deliveries.is_empty()).then_some(Self(()))
    }
}

/// Why a message goes into quarantine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The reason, of a closed list.
    pub reason: Reason,
    /// What exactly, for people.
    pub detail: String,
}

/// Why a message goes into quarantine: a closed list, so that alerts and dashboards can name each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The payload could not be found in the message, or not be read: no base64, no attribute.
    BadEnvelope,
    /// No descriptor set defines the message type, or none was named.
    UnknownType,
    /// The payload is not the wire format of its type.
    MalformedProtobuf,
    /// The payload holds a value that ProtoJSON has no form for.
    Unrenderable,
    /// It is nobody's event, or that of a customer whom nobody configured.
    NoCustomer,
    /// The JSON is larger than a topic takes.
    TooLarge,
    /// SNS refused the entry for what it is.
    PublishRefused,
}

impl Reason {
    /// All reasons.
    pub const ALL: [Self; 7] = [
        Self::BadEnvelope,
        Self::UnknownType,
        Self::MalformedProtobuf,
        Self::Unrenderable,
        Self::NoCustomer,
        Self::TooLarge,
        Self::PublishRefused,
    ];

    /// The reason's code, as in metrics, logs and the quarantine attribute.
    pub fn code(self) -> &'static str {
        match self {
            Self::BadEnvelope => "bad_envelope",
            Self::UnknownType => "unknown_type",
            Self::MalformedProtobuf => "malformed_protobuf",
            Self::Unrenderable => "unrenderable",
            Self::NoCustomer => "no_customer",
            Self::TooLarge => "too_large",
            Self::PublishRefused => "publish_refused",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl Reason {
    /// A verdict with this reason.
    pub fn because(self, detail: impl fmt::Display) -> Verdict {
        Verdict { reason: self, detail: detail.to_string() }
    }
}

impl From<Verdict> for Outcome {
    fn from(verdict: Verdict) -> Self {
        Self::Quarantine(verdict)
    }
}

/// Proof that a message may be deleted: its outcome was reached.
#[derive(Debug)]
pub struct Reached(());

impl From<Everywhere> for Reached {
    fn from(_: Everywhere) -> Self {
        Self(())
    }
}

impl From<route::Filtered> for Reached {
    fn from(_: route::Filtered) -> Self {
        Self(())
    }
}

impl From<quarantine::Stored> for Reached {
    fn from(_: quarantine::Stored) -> Self {
        Self(())
    }
}

#[cfg(test)]
impl Reached {
    pub(crate) fn for_tests() -> Self {
        Self(())
    }
}
