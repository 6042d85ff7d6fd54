//! The changes between two schemas that break consumers of the JSON.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use super::{EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor, Schema};

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
        let mut names: Vec<&str> = older.joined.messages.keys().map(|name| &**name).collect();
        names.retain(|name| !name.starts_with("google.protobuf."));
        names.sort_unstable();
        let mut comparison = Comparison::default();
        for name in names {
            let Some(before) = older.message(name) else { continue };
            match self.message(name) {
                // A set that did not change is the same set in both schemas.
                Some(now) if now.is(&before) => {}
                Some(now) => comparison.messages(&before, &now),
                None => comparison.changes.push(Change {
                    message_type: name.to_owned(),
                    element: String::new(),
                    rule: Rule::MessageRemoved,
                    text: "the message type was removed".to_owned(),
                }),
            }
        }
        comparison.changes
    }
}

#[derive(Default)]
struct Comparison {
    changes: Vec<Change>,
    /// The differences of enums that were compared already, by their names before and now. Many fields can have the
    /// same enum.
    enums: HashMap<(String, String), Vec<(Rule, String)>>,
}

impl Comparison {
    fn messages(&mut self, before: &MessageDescriptor, now: &MessageDescriptor) {
        let fields_now = now.fields();
        for field in before.fields() {
            let found = fields_now.binary_search_by_key(&field.number(), FieldDescriptor::number);
            let mut differences = Vec::new();
            match found {
                Ok(at) => self.fields(&field, &fields_now[at], &mut differences),
                Err(_) => differences.push(match fields_now.iter().find(|now| now.name() == field.name()) {
                    Some(now) => (Rule::FieldRenumbered, format!("number {} is now {}", field.number(), now.number())),
                    None => (Rule::FieldRemoved, format!("field {} was removed", field.number())),
                }),
            }
            self.changes.extend(differences.into_iter().map(|(rule, text)| Change {
                message_type: before.full_name().to_owned(),
                element: field.name().to_owned(),
                rule,
                text,
            }));
        }
    }

    fn fields(&mut self, before: &FieldDescriptor, now: &FieldDescriptor, differences: &mut Vec<(Rule, String)>) {
        if now.json_name() != before.json_name() {
            let text = format!("{:?} is now {:?} in JSON", before.json_name(), now.json_name());
            differences.push((Rule::FieldRenamed, text));
        }
        let (shape, shape_now) = (shape(before), shape(now));
        if shape != shape_now {
            return differences.push((Rule::CardinalityChanged, format!("{shape} is now {shape_now}")));
        }
        let (kind, kind_now) = (kind(before), kind(now));
        if kind != kind_now {
            return differences.push((Rule::TypeChanged, format!("{kind} is now {kind_now}")));
        }
        if let (Some(values), Some(values_now)) = (values(before), values(now)) {
            let names = (values.full_name().to_owned(), values_now.full_name().to_owned());
            let known = self.enums.entry(names).or_insert_with(|| compare_values(&values, &values_now));
            differences.extend(known.iter().cloned());
        }
    }
}

fn compare_values(before: &EnumDescriptor, now: &EnumDescriptor) -> Vec<(Rule, String)> {
    // Of several names with one number, the first one is written.
    let names = |declared: &EnumDescriptor| {
        let mut names = BTreeMap::new();
        for value in declared.values() {
            names.entry(value.number()).or_insert_with(|| value.name().to_owned());
        }
        names
    };
    let (names_now, now) = (names(now), now.full_name());
    let mut differences = Vec::new();
    for (number, was) in names(before) {
        match names_now.get(&number) {
            Some(is) if *is != was => {
                differences.push((Rule::EnumValueRenamed, format!("value {number} of {now} was {was} and is {is}")));
            }
            Some(_) => {}
            None => differences.push((
                Rule::EnumValueRemoved,
                format!("value {was} of {now} was removed; the JSON now shows {number}"),
            )),
        }
    }
    differences
}

fn shape(field: &FieldDescriptor) -> &'static str {
    if field.is_map() {
        "a map"
    } else if field.is_repeated() {
        "a list"
    } else {
        "a single value"
    }
}

/// Returns the field's type as written in a schema.
fn kind(field: &FieldDescriptor) -> String {
    match &field.kind {
        Kind::Message(entry) if field.is_map() => {
            let [key, value] = [entry.map_entry_key_field(), entry.map_entry_value_field()].map(|field| kind(&field));
            format!("map<{key}, {value}>")
        }
        Kind::Message(message) => message.full_name().to_owned(),
        Kind::Enum(values) => values.full_name().to_owned(),
        scalar => format!("{scalar:?}").to_lowercase(),
    }
}

/// Returns the enum of a field, or of the values of a map.
fn values(field: &FieldDescriptor) -> Option<EnumDescriptor> {
    match &field.kind {
        Kind::Enum(values) => Some(values.clone()),
        Kind::Message(entry) if field.is_map() => values(&entry.map_entry_value_field()),
        _ => None,
    }
}
