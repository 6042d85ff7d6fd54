//! The changes between two schemas that break consumers of the JSON.

use std::collections::BTreeMap;
use std::fmt;

use prost_reflect::{EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor};

use super::Schema;

/// A change that breaks consumers of a type's JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Full name of the message type whose JSON changes.
    pub message_type: String,
    /// The name of the field or enum value before the change; empty if the whole type was removed.
    pub element: String,
    /// The rule that the change breaks.
    pub rule: Rule,
    /// A description of the change for people.
    pub text: String,
}

/// The kinds of changes that break consumers of the JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Rule {
    /// The message type was removed.
    MessageRemoved,
    /// The field was removed.
    FieldRemoved,
    /// The field has another name in JSON.
    FieldRenamed,
    /// The field has another number, so payloads that are already in flight lose it.
    FieldRenumbered,
    /// The field has another type.
    TypeChanged,
    /// The field changed between a single value, a list and a map.
    CardinalityChanged,
    /// The enum value has another name.
    EnumValueRenamed,
    /// The enum value was removed; its number appears instead of its name.
    EnumValueRemoved,
}

impl Rule {
    /// All rules.
    pub const ALL: &[Self] = &[
        Self::MessageRemoved,
        Self::FieldRemoved,
        Self::FieldRenamed,
        Self::FieldRenumbered,
        Self::TypeChanged,
        Self::CardinalityChanged,
        Self::EnumValueRenamed,
        Self::EnumValueRemoved,
    ];

    /// Returns the code of the rule for reports and metrics.
    pub fn code(self) -> &'static str {
        match self {
            Self::MessageRemoved => "message_removed",
            Self::FieldRemoved => "field_removed",
            Self::FieldRenamed => "field_renamed",
            Self::FieldRenumbered => "field_renumbered",
            Self::TypeChanged => "type_changed",
            Self::CardinalityChanged => "cardinality_changed",
            Self::EnumValueRenamed => "enum_value_renamed",
            Self::EnumValueRemoved => "enum_value_removed",
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.message_type)?;
        if !self.element.is_empty() {
            write!(f, ".{}", self.element)?;
        }
        write!(f, ": {} ({})", self.text, self.rule)
    }
}

impl Schema {
    /// Returns the changes since `older` that break consumers of the JSON, in the order of the type names. Additions
    /// break no consumer.
    pub fn breaking_changes(&self, older: &Self) -> Vec<Change> {
        let before: BTreeMap<&str, &MessageDescriptor> = older
            .messages
            .iter()
            .filter(|(name, _)| !name.starts_with("google.protobuf."))
            .map(|(name, entry)| (name.as_str(), &entry.descriptor))
            .collect();
        let mut changes = Vec::new();
        for (name, before) in before {
            match self.messages.get(name) {
                None => changes.push(Change {
                    message_type: name.to_owned(),
                    element: String::new(),
                    rule: Rule::MessageRemoved,
                    text: "the message type was removed".to_owned(),
                }),
                Some(now) => {
                    for field in before.fields() {
                        let change = |element: &str, rule, text| Change {
                            message_type: name.to_owned(),
                            element: element.to_owned(),
                            rule,
                            text,
                        };
                        compare_field(&field, &now.descriptor, &mut |rule, text| {
                            changes.push(change(field.name(), rule, text));
                        });
                    }
                }
            }
        }
        changes
    }
}

fn compare_field(before: &FieldDescriptor, message: &MessageDescriptor, report: &mut impl FnMut(Rule, String)) {
    let Some(now) = message.get_field(before.number()) else {
        return match message.get_field_by_name(before.name()) {
            Some(now) => {
                report(Rule::FieldRenumbered, format!("number {} is now {}", before.number(), now.number()));
            }
            None => report(Rule::FieldRemoved, format!("field {} was removed", before.number())),
        };
    };
    if now.json_name() != before.json_name() {
        report(Rule::FieldRenamed, format!("{:?} is now {:?} in JSON", before.json_name(), now.json_name()));
    }
    let (shape, shape_now) = (shape(before), shape(&now));
    if shape != shape_now {
        return report(Rule::CardinalityChanged, format!("{shape} is now {shape_now}"));
    }
    let (kind, kind_now) = (kind(before), kind(&now));
    if kind != kind_now {
        return report(Rule::TypeChanged, format!("{kind} is now {kind_now}"));
    }
    if let (Some(values), Some(values_now)) = (values(before), values(&now)) {
        compare_values(&values, &values_now, report);
    }
}

fn compare_values(before: &EnumDescriptor, now: &EnumDescriptor, report: &mut impl FnMut(Rule, String)) {
    let name = |values: &EnumDescriptor, number| values.get_value(number).map(|value| value.name().to_owned());
    let mut numbers: Vec<i32> = before.values().map(|value| value.number()).collect();
    numbers.sort_unstable();
    numbers.dedup();
    for number in numbers {
        match (name(before, number), name(now, number)) {
            (Some(was), Some(is)) if was != is => {
                report(Rule::EnumValueRenamed, format!("value {number} of {} was {was} and is {is}", now.full_name()));
            }
            (Some(was), None) => {
                report(
                    Rule::EnumValueRemoved,
                    format!("value {was} of {} was removed; the JSON now shows {number}", now.full_name()),
                );
            }
            _ => {}
        }
    }
}

fn shape(field: &FieldDescriptor) -> &'static str {
    if field.is_map() {
        "a map"
    } else if field.is_list() {
        "a list"
    } else {
        "a single value"
    }
}

/// Returns the field's type as written in a schema.
fn kind(field: &FieldDescriptor) -> String {
    match field.kind() {
        Kind::Message(entry) if field.is_map() => {
            let part = |number| entry.get_field(number).map_or_else(String::new, |field| kind(&field));
            format!("map<{}, {}>", part(1), part(2))
        }
        Kind::Message(message) => message.full_name().to_owned(),
        Kind::Enum(values) => values.full_name().to_owned(),
        scalar => format!("{scalar:?}").to_lowercase(),
    }
}

/// Returns the enum of a field, or of the values of a map.
fn values(field: &FieldDescriptor) -> Option<EnumDescriptor> {
    match field.kind() {
        Kind::Enum(values) => Some(values),
        Kind::Message(entry) if field.is_map() => values(&entry.get_field(2)?),
        _ => None,
    }
}
