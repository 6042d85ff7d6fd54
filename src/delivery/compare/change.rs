//! One difference between what two configurations make of an event.

use serde_json::Value;

/// The kinds of differences, the most harmful first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// The event is no longer delivered.
    NoLongerDelivered,
    /// The event was not delivered and still is not, for another reason.
    OutcomeChanged,
    /// The event is delivered to another topic.
    TopicChanged,
    /// The event leaves as a claim check, and did not, or the other way round. Other clients cannot read a claim check.
    ClaimCheckChanged,
    /// A message attribute or the message group has another value, is gone, or is new.
    AttributeChanged,
    /// A path of the JSON has no value any more.
    PathGone,
    /// A path of the JSON has a value of another JSON type.
    PathRetyped,
    /// A path of the JSON has another value.
    ValueDiffers,
    /// A path of the JSON is new.
    PathAdded,
    /// The event is newly delivered.
    NewlyDelivered,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 10] = [
        Self::NoLongerDelivered,
        Self::OutcomeChanged,
        Self::TopicChanged,
        Self::ClaimCheckChanged,
        Self::AttributeChanged,
        Self::PathGone,
        Self::PathRetyped,
        Self::ValueDiffers,
        Self::PathAdded,
        Self::NewlyDelivered,
    ];

    /// Returns the name of the kind for machines.
    pub fn code(self) -> &'static str {
        match self {
            Self::NoLongerDelivered => "no_longer_delivered",
            Self::OutcomeChanged => "outcome_changed",
            Self::TopicChanged => "topic_changed",
            Self::ClaimCheckChanged => "claim_check_changed",
            Self::AttributeChanged => "attribute_changed",
            Self::PathGone => "path_gone",
            Self::PathRetyped => "path_retyped",
            Self::ValueDiffers => "value_differs",
            Self::PathAdded => "path_added",
            Self::NewlyDelivered => "newly_delivered",
        }
    }

    /// Whether the difference is one of the JSON.
    pub fn is_of_json(self) -> bool {
        matches!(self, Self::PathGone | Self::PathRetyped | Self::ValueDiffers | Self::PathAdded)
    }
}

/// One difference. The values can be personal data.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// The kind.
    pub kind: Kind,
    /// The place without data of the event: the path in the JSON with `[]` for any index and `{}` for any key of a map,
    /// the name of an attribute, or the outcomes.
    pub place: String,
    /// The place with indexes and keys of maps.
    pub exact: String,
    /// The value with the configuration in force, if there is one.
    pub old: Option<Value>,
    /// The value with the candidate, if there is one.
    pub new: Option<Value>,
    /// Whether the difference breaks consumers.
    pub is_breaking: bool,
}
