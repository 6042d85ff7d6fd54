//! The changes between two schemas that concern consumers of the JSON.

mod redactions;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use super::pool::Pool;
use super::{EnumDescriptor, FieldDescriptor, Joined, Kind, MessageDescriptor, Schema};

/// A change that concerns consumers of a type's JSON, or producers that have not changed yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Full name of the message type whose JSON changes.
    pub message_type: String,
    /// The name of the field before the change, or of the added field; for an extension, the full name in brackets. Empty
    /// if the whole type was removed.
    pub element: String,
    /// The kind of the change.
    pub rule: Rule,
    /// A description of the change for people.
    pub text: String,
    /// The names of the sets that can have made the change: for a redaction, the sets that mark the field; then the set
    /// with the definition before the change, and the set with the definition now.
    pub sets: Vec<String>,
}

/// The kinds of changes that concern consumers of the JSON.
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
    /// The field is required now, so payloads without it cannot be rendered.
    FieldRequired,
    /// The field is no longer marked with `debug_redact`, so a profile that hides such fields shows its value.
    RedactionRemoved,
    /// The field is marked with `debug_redact`. This breaks no consumer.
    RedactionAdded,
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
        Self::FieldRequired,
        Self::RedactionRemoved,
        Self::RedactionAdded,
    ];

    /// Whether a change of this kind breaks consumers or producers, or shows a value that was hidden from consumers.
    pub fn is_breaking(self) -> bool {
        self != Self::RedactionAdded
    }

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
            Self::FieldRequired => "field_required",
            Self::RedactionRemoved => "redaction_removed",
            Self::RedactionAdded => "redaction_added",
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
        let mut changes = self.changes(older);
        changes.retain(|change| change.rule.is_breaking());
        changes
    }

    /// Returns the changes since `older` that break consumers of the JSON, and the redactions that were added, in the
    /// order of the type names.
    pub fn changes(&self, older: &Self) -> Vec<Change> {
        let mut names: Vec<&str> = older.joined.messages.keys().map(|name| &**name).collect();
        names.retain(|name| !name.starts_with("google.protobuf."));
        names.sort_unstable();
        let (before, now) = (&older.joined, &self.joined);
        let mut comparison = Comparison { before, now, changes: Vec::new(), enums: changed_enums(before, now) };
        for name in names {
            let Some(before) = older.message(name) else { continue };
            match self.message(name) {
                Some(now) => comparison.messages(&before, &now),
                None => {
                    let text = "the message type was removed".to_owned();
                    comparison.add(name, String::new(), Rule::MessageRemoved, text, [Some(before.pool()), None]);
                }
            }
        }
        comparison.changes
    }
}

struct Comparison<'s> {
    before: &'s Arc<Joined>,
    now: &'s Arc<Joined>,
    changes: Vec<Change>,
    /// The enums with differences, by full name.
    enums: HashMap<Arc<str>, ChangedEnum>,
}

struct ChangedEnum {
    differences: Vec<(Rule, String)>,
    /// The pools with the definitions before and now.
    pools: [Arc<Pool>; 2],
}

impl Comparison<'_> {
    /// Adds a change. `pools` have the definitions before and now.
    fn add(&mut self, message_type: &str, element: String, rule: Rule, text: String, pools: [Option<&Arc<Pool>>; 2]) {
        let names = [self.before, self.now].into_iter().zip(pools).filter_map(|(joined, pool)| joined.set_with(pool?));
        let mut sets: Vec<String> = names.map(str::to_owned).collect();
        sets.dedup();
        self.changes.push(Change { message_type: message_type.to_owned(), element, rule, text, sets });
    }

    fn messages(&mut self, before: &MessageDescriptor, now: &MessageDescriptor) {
        // A set that did not change is the same set in both schemas. The enums, the extensions and the marks can be in
        // other sets.
        let has_same_marks = self.now.marks.are_same(&self.before.marks, before.full_name());
        let is_same = now.is(before) && self.enums.is_empty() && has_same_marks;
        let declared = |message: &MessageDescriptor| {
            let mut fields = if is_same { Vec::new() } else { message.fields() };
            fields.extend(message.extensions());
            fields.sort_by_key(FieldDescriptor::number);
            fields
        };
        let (fields, fields_now) = (declared(before), declared(now));
        let mut shown =
            if is_same && fields_now.is_empty() { BTreeMap::new() } else { self.shown(before, &fields_now) };
        for field in &fields {
            let found = fields_now.binary_search_by_key(&field.number(), FieldDescriptor::number);
            let field_now = found.ok().map(|at| &fields_now[at]);
            let pools = [Some(field.pool()), Some(field_now.map_or(now.pool(), FieldDescriptor::pool))];
            let differences = match field_now {
                Some(field_now) => compare_fields(field, field_now),
                None => vec![match fields_now.iter().find(|now| now.declared_name() == field.declared_name()) {
                    Some(now) => (Rule::FieldRenumbered, format!("number {} is now {}", field.number(), now.number())),
                    None => (Rule::FieldRemoved, format!("{} {} was removed", noun(field), field.number())),
                }],
            };
            for (rule, text) in differences {
                self.add(before.full_name(), field.declared_name(), rule, text, pools);
            }
            if let Some(shown) = shown.remove(&field.number()) {
                let name = if field.is_marked { field.declared_name() } else { shown.mark.name.to_string() };
                self.redaction_removed(before, name, shown);
            }
            if let Some(field_now) = field_now.filter(|now| now.is_marked && !field.is_marked) {
                self.redaction_added(before.full_name(), field, field_now);
            }
            if let Some(values) = values(field).filter(|_| field_now.is_some_and(|now| has_same_type(field, now))) {
                self.enumeration(before.full_name(), field.declared_name(), &values);
            }
        }
        for shown in shown.into_values() {
            self.redaction_removed(before, shown.mark.name.to_string(), shown);
        }
        for field in fields_now.iter().filter(|field| field.is_required) {
            let found = fields.binary_search_by_key(&field.number(), FieldDescriptor::number);
            let text = match found.map(|at| &fields[at]) {
                Ok(before) if before.is_required => continue,
                Ok(_) => "it is required now, so payloads without it cannot be published",
                Err(_) => "the new field is required, so payloads without it cannot be published",
            };
            let pools = [None, Some(field.pool())];
            self.add(before.full_name(), field.declared_name(), Rule::FieldRequired, text.to_owned(), pools);
        }
    }

    /// Adds the differences of the enum of a field.
    fn enumeration(&mut self, message_type: &str, element: String, values: &EnumDescriptor) {
        let Some(ChangedEnum { differences, pools: [before, now] }) = self.enums.get(values.full_name()) else {
            return;
        };
        let (differences, before, now) = (differences.clone(), Arc::clone(before), Arc::clone(now));
        for (rule, text) in differences {
            self.add(message_type, element.clone(), rule, text, [Some(&before), Some(&now)]);
        }
    }
}

/// Returns the differences of a field, without those of its enum.
fn compare_fields(before: &FieldDescriptor, now: &FieldDescriptor) -> Vec<(Rule, String)> {
    let mut differences = Vec::new();
    if json_name(now) != json_name(before) {
        let text = format!("{:?} is now {:?} in JSON", json_name(before), json_name(now));
        differences.push((Rule::FieldRenamed, text));
    }
    let [(shape, kind), (shape_now, kind_now)] = [before, now].map(|field| (shape(field), kind(field)));
    if shape != shape_now {
        differences.push((Rule::CardinalityChanged, format!("{shape} is now {shape_now}")));
    } else if kind != kind_now {
        differences.push((Rule::TypeChanged, format!("{kind} is now {kind_now}")));
    }
    differences
}

fn has_same_type(before: &FieldDescriptor, now: &FieldDescriptor) -> bool {
    shape(before) == shape(now) && kind(before) == kind(now)
}

fn json_name(field: &FieldDescriptor) -> String {
    if field.extension.is_some() { field.declared_name() } else { field.json_name().to_owned() }
}

fn noun(field: &FieldDescriptor) -> &'static str {
    if field.extension.is_some() { "extension" } else { "field" }
}

/// Returns the enums that differ.
fn changed_enums(before: &Joined, now: &Joined) -> HashMap<Arc<str>, ChangedEnum> {
    let mut changed = HashMap::new();
    for name in before.enums.keys() {
        let (Some(values), Some(values_now)) = (before.enumeration(name), now.enumeration(name)) else { continue };
        // A set that did not change is the same set in both schemas.
        if values.is(&values_now) {
            continue;
        }
        let differences = compare_values(&values, &values_now);
        if !differences.is_empty() {
            let pools = [values.pool(), values_now.pool()].map(Arc::clone);
            changed.insert(Arc::clone(name), ChangedEnum { differences, pools });
        }
    }
    changed
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

/// Returns the field's type as written in a schema, with the label of a list.
pub(super) fn type_of(field: &FieldDescriptor) -> String {
    let label = if field.is_repeated() && !field.is_map() { "repeated " } else { "" };
    format!("{label}{}", kind(field))
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
