//! The closed lists of what can happen to a message: outcomes, quarantine reasons, retry causes, duplicate causes.
//!
//! The lists are closed so that metrics, alerts, dashboards and runbooks can name each entry.

use std::fmt;

use crate::base::cut;

/// The outcome of a message, as metrics and traces name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum OutcomeLabel {
    /// Every topic that the event routes to has it.
    Published,
    /// A rule of the configuration drops the event.
    Filtered,
    /// Every topic that the event routes to had it before.
    Duplicate,
    /// The quarantine queue has the message.
    Quarantined,
    /// The message was returned to its queue.
    Retried,
    /// The message was dropped without a decision, for example at the end of a drain that took too long. It becomes
    /// visible again when its visibility timeout lapses.
    Abandoned,
}

impl OutcomeLabel {
    /// All outcomes.
    pub const ALL: [Self; 6] =
        [Self::Published, Self::Filtered, Self::Duplicate, Self::Quarantined, Self::Retried, Self::Abandoned];

    /// Returns the value of the label.
    pub fn code(self) -> &'static str {
        match self {
            Self::Published => "published",
            Self::Filtered => "filtered",
            Self::Duplicate => "duplicate",
            Self::Quarantined => "quarantined",
            Self::Retried => "retried",
            Self::Abandoned => "abandoned",
        }
    }
}

/// Why a message goes into quarantine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuarantineReason {
    /// The entry of the closed list.
    pub kind: QuarantineKind,
    /// The problem of this message, for the operator.
    pub detail: String,
}

/// The closed list of reasons for quarantine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum QuarantineKind {
    /// The message has no payload that can be read: the body is not base64, or a layer around it is damaged.
    BadEnvelope,
    /// No descriptor set defines the message type, or the message names no type.
    UnknownType,
    /// The payload is not valid wire format of its type.
    MalformedProtobuf,
    /// The payload has a value that ProtoJSON cannot represent.
    Unrenderable,
    /// The event names no customer, or a customer who is not configured.
    NoCustomer,
    /// The attribute and the payload name different customers.
    CustomerMismatch,
    /// The JSON and its attributes exceed the topic's size limit.
    TooLarge,
    /// SNS refused the entry itself, and would refuse it again.
    PublishRefused,
    /// The message is not at fault. Its destination has been out of order for so long that protobridge holds as many
    /// messages of the queue as it may.
    DestinationDown,
}

impl QuarantineKind {
    /// All reasons.
    pub const ALL: [Self; 9] = [
        Self::BadEnvelope,
        Self::UnknownType,
        Self::MalformedProtobuf,
        Self::Unrenderable,
        Self::NoCustomer,
        Self::CustomerMismatch,
        Self::TooLarge,
        Self::PublishRefused,
        Self::DestinationDown,
    ];

    /// Returns the code that metrics, logs and the quarantine note use.
    pub fn code(self) -> &'static str {
        match self {
            Self::BadEnvelope => "bad_envelope",
            Self::UnknownType => "unknown_type",
            Self::MalformedProtobuf => "malformed_protobuf",
            Self::Unrenderable => "unrenderable",
            Self::NoCustomer => "no_customer",
            Self::CustomerMismatch => "customer_mismatch",
            Self::TooLarge => "too_large",
            Self::PublishRefused => "publish_refused",
            Self::DestinationDown => "destination_down",
        }
    }

    /// Creates a reason of this kind. A long detail is cut, because it can quote text of the message.
    pub fn because(self, detail: impl fmt::Display) -> QuarantineReason {
        QuarantineReason { kind: self, detail: cut(detail) }
    }
}

impl fmt::Display for QuarantineKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// Why a message is returned to its queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retry {
    /// The entry of the closed list.
    pub cause: RetryCause,
    /// The failure of this message, for the operator.
    pub detail: String,
}

/// The closed list of causes for a retry. It separates what an operator must fix from what time alone fixes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RetryCause {
    /// No descriptor set defines the message type yet.
    UnknownType,
    /// The S3 object that the message points to does not exist yet.
    MissingObject,
    /// S3 or the schema registry does not answer.
    Lookup,
    /// SNS did not accept the event for every topic.
    Publish,
    /// The bucket of claim checks did not accept the JSON of the event for every customer.
    ClaimStore,
    /// Another replica is publishing the same event.
    ClaimedElsewhere,
    /// The receipt went stale: the message has, or can have, a new owner.
    StaleReceipt,
    /// The message belongs in quarantine, and the quarantine queue did not accept it.
    QuarantineFailed,
    /// The message belongs in quarantine, and its queue has no quarantine queue.
    NoQuarantineQueue,
    /// A part of the outside that the message depends on does not work, or takes no more messages now. The message is
    /// hidden until it does.
    Held,
    /// A message before it in the same message group is retried.
    GroupOrder,
    /// protobridge has a defect.
    Defect,
}

impl RetryCause {
    /// All causes.
    pub const ALL: [Self; 12] = [
        Self::UnknownType,
        Self::MissingObject,
        Self::Lookup,
        Self::Publish,
        Self::ClaimStore,
        Self::ClaimedElsewhere,
        Self::StaleReceipt,
        Self::QuarantineFailed,
        Self::NoQuarantineQueue,
        Self::Held,
        Self::GroupOrder,
        Self::Defect,
    ];

    /// Returns the code that metrics and logs use.
    pub fn code(self) -> &'static str {
        match self {
            Self::UnknownType => "unknown_type",
            Self::MissingObject => "missing_object",
            Self::Lookup => "outside",
            Self::Publish => "publish",
            Self::ClaimStore => "claim_store",
            Self::ClaimedElsewhere => "claimed_elsewhere",
            Self::StaleReceipt => "stale_receipt",
            Self::QuarantineFailed => "quarantine_failed",
            Self::NoQuarantineQueue => "no_quarantine_queue",
            Self::Held => "held",
            Self::GroupOrder => "group_order",
            Self::Defect => "defect",
        }
    }

    /// Creates a retry for this cause.
    pub fn because(self, detail: impl fmt::Display) -> Retry {
        Retry { cause: self, detail: cut(detail) }
    }
}

/// Why an event arrived a second time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DuplicateCause {
    /// SQS delivered the same message again.
    Redelivery,
    /// The producer sent the event again, as another message.
    Producer,
}

impl DuplicateCause {
    /// Both causes.
    pub const ALL: [Self; 2] = [Self::Redelivery, Self::Producer];

    /// Returns the value of the metric label.
    pub fn code(self) -> &'static str {
        match self {
            Self::Redelivery => "redelivery",
            Self::Producer => "producer",
        }
    }
}
