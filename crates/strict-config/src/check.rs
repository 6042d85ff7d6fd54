//! Compares a document with the shape of its type and reports all differences at once.
//!
//! Values that do not fit are left out of the result. The rest can therefore still be deserialized, and the rules that
//! need typed values can be applied to it. A key without a value counts as absent and has its default.

use std::fmt;
use std::net::SocketAddr;

use serde_json::Value as Json;

use crate::nearest::nearest;
use crate::placeholder::placeholder;
use crate::problem::{Problem, Source};
use crate::shape::{Field, Shape};
use crate::tree::{Entry, Node, Value, contains, index_of, key_of};
use crate::variables::Variables;

/// The result of [`check`].
#[derive(Debug)]
pub(crate) struct Checked {
    /// The part of the document that fits the shape.
    pub(crate) value: Json,
    /// One problem for each value or key that does not fit.
    pub(crate) problems: Vec<Problem>,
    /// The keys that were left out.
    rejected: Vec<String>,
}

/// Compares `tree` with `shape`. `variables` name the way out of a placeholder.
pub(crate) fn check(shape: &Shape, tree: &Node, variables: &Variables) -> Checked {
    let mut check = Check { root: shape, variables, problems: Vec::new(), rejected: Vec::new() };
    let value = match tree.value {
        Value::Null => Some(Json::Object(check.fields("", tree, shape.fields(), &[]))),
        _ => check.value("", shape, tree),
    };
    Checked { value: value.unwrap_or(Json::Null), problems: check.problems, rejected: check.rejected }
}

impl Checked {
    /// Whether a rule about `key` can be applied: the key, the values around it and the values in it are all complete.
    pub(crate) fn judges(&self, key: &str) -> bool {
        !self.rejected.iter().any(|rejected| contains(rejected, key) || contains(key, rejected))
    }
}

struct Check<'a> {
    root: &'a Shape,
    variables: &'a Variables,
    problems: Vec<Problem>,
    rejected: Vec<String>,
}

impl Check<'_> {
    fn reject(&mut self, source: &Source, key: &str, message: impl Into<String>) {
        self.problems.push(Problem::at(source, key, message));
        self.rejected.push(key.to_owned());
    }

    /// Returns the part of `node` that fits `shape`, or `None` if `node` is of another kind.
    fn value(&mut self, key: &str, shape: &Shape, node: &Node) -> Option<Json> {
        if let (Source::File(_), Value::Text(text)) = (&node.source, &node.value)
            && let Some(placeholder) = placeholder(text)
        {
            self.reject(&node.source, key, self.variables.way_out(shape, key, &placeholder));
            return None;
        }
        match (shape, &node.value) {
            (Shape::Struct(fields), Value::Map(entries)) => Some(Json::Object(self.fields(key, node, fields, entries))),
            (Shape::Map(values), Value::Map(entries)) => Some(self.map(key, values, entries)),
            (Shape::List(items), Value::List(nodes)) => self.list(key, items, nodes),
            (Shape::Any, _) => Some(json(node)),
            _ => match scalar(shape, &node.value) {
                Ok(value) => Some(value),
                Err(expected) => {
                    let hint = hint(shape, &node.value);
                    let found = found(&node.value);
                    self.reject(&node.source, key, format!("expected {expected}, found {found}{hint}"));
                    None
                }
            },
        }
    }

    fn fields(&mut self, key: &str, node: &Node, fields: &[Field], entries: &[Entry]) -> serde_json::Map<String, Json> {
        let mut object = serde_json::Map::new();
        for (index, entry) in entries.iter().enumerate() {
            let child = key_of(key, &entry.key);
            if self.is_repeated(&child, entry, &entries[..index]) {
                continue;
            }
            let Some(field) = fields.iter().find(|field| field.name == entry.key) else {
                self.unknown(key, entry, fields);
                continue;
            };
            if matches!(entry.node.value, Value::Null) {
                continue;
            }
            if let Some(value) = self.value(&child, &field.shape, &entry.node) {
                object.insert(entry.key.clone(), value);
            }
        }
        for field in fields.iter().filter(|field| field.required && !object.contains_key(&field.name)) {
            let child = key_of(key, &field.name);
            if !self.is_rejected(&child) {
                let whole_document = Source::File(None);
                self.reject(if key.is_empty() { &whole_document } else { &node.source }, &child, "missing");
            }
        }
        object
    }

    fn map(&mut self, key: &str, values: &Shape, entries: &[Entry]) -> Json {
        let mut object = serde_json::Map::new();
        for (index, entry) in entries.iter().enumerate() {
            let child = key_of(key, &entry.key);
            if self.is_repeated(&child, entry, &entries[..index]) {
                continue;
            }
            let value = match (values, &entry.node.value) {
                (Shape::Struct(fields), Value::Null) => {
                    Some(Json::Object(self.fields(&child, &entry.node, fields, &[])))
                }
                _ => self.value(&child, values, &entry.node),
            };
            if let Some(value) = value {
                object.insert(entry.key.clone(), value);
            }
        }
        Json::Object(object)
    }

    /// Returns the list if all of its items fit. A list without one of its items would have another meaning.
    fn list(&mut self, key: &str, items: &Shape, nodes: &[Node]) -> Option<Json> {
        let values: Vec<_> =
            nodes.iter().enumerate().map(|(index, node)| self.value(&index_of(key, index), items, node)).collect();
        let whole = values.into_iter().collect::<Option<Vec<_>>>();
        if whole.is_none() {
            self.rejected.push(key.to_owned());
        }
        whole.map(Json::Array)
    }

    fn is_repeated(&mut self, key: &str, entry: &Entry, before: &[Entry]) -> bool {
        let Some(first) = before.iter().find(|other| other.key == entry.key) else { return false };
        let message = match first.source {
            Source::File(Some(position)) => format!("given twice; first on line {}", position.line),
            _ => "given twice".to_owned(),
        };
        self.reject(&entry.source, key, message);
        true
    }

    fn unknown(&mut self, key: &str, entry: &Entry, fields: &[Field]) {
        let names: Vec<_> = fields.iter().map(|field| field.name.as_str()).collect();
        let elsewhere = self.root.paths_to(&entry.key);
        let message = if let Some(near) = nearest(&entry.key, names.iter().copied()) {
            // The near key must not be reported as missing too.
            self.rejected.push(key_of(key, near));
            format!("unknown key; did you mean `{near}`?")
        } else if let [elsewhere] = elsewhere.as_slice() {
            format!("unknown key; did you mean `{elsewhere}`?")
        } else {
            format!("unknown key; known here: {}", names.join(", "))
        };
        self.reject(&entry.source, &key_of(key, &entry.key), message);
    }

    /// Whether `key` or a value in it has been reported.
    fn is_rejected(&self, key: &str) -> bool {
        self.rejected.iter().any(|rejected| contains(key, rejected))
    }
}

impl Shape {
    fn fields(&self) -> &[Field] {
        match self {
            Self::Struct(fields) => fields,
            _ => &[],
        }
    }
}

/// Returns the value as JSON.
///
/// # Errors
///
/// Returns the expected kind if the value does not fit `shape`.
fn scalar<'s>(shape: &'s Shape, value: &Value) -> Result<Json, Expected<'s>> {
    match (shape, value) {
        (Shape::Text { choices, format }, Value::Text(text) | Value::Boolean(_, text) | Value::Number(_, text))
            if choices.is_empty() || choices.contains(text) =>
        {
            if format.as_deref() == Some("socket-address") && text.parse::<SocketAddr>().is_err() {
                return Err(Expected::SocketAddress);
            }
            Ok(text.as_str().into())
        }
        (Shape::Integer { min, max }, Value::Number(number, _)) if is_integer_within(number, *min, *max) => {
            Ok(number.clone().into())
        }
        (Shape::Number, Value::Number(number, _)) => Ok(number.clone().into()),
        (Shape::Boolean, Value::Boolean(boolean, _)) => Ok((*boolean).into()),
        _ => Err(Expected::Value(shape)),
    }
}

fn is_integer_within(number: &serde_json::Number, min: Option<i128>, max: Option<i128>) -> bool {
    let integer = number.as_i64().map(i128::from).or(number.as_u64().map(i128::from));
    integer.is_some_and(|integer| min.is_none_or(|min| min <= integer) && max.is_none_or(|max| integer <= max))
}

/// The kind of value that a key requires. It displays as the part of a message after `expected`.
enum Expected<'s> {
    Value(&'s Shape),
    SocketAddress,
}

impl fmt::Display for Expected<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shape = match self {
            Self::SocketAddress => return f.write_str("an address with a port, such as 0.0.0.0:8080"),
            Self::Value(shape) => shape,
        };
        match shape {
            Shape::Text { choices, .. } if choices.is_empty() => f.write_str("text"),
            Shape::Text { choices, .. } => f.write_str(&one_of(choices)),
            Shape::Integer { min: Some(min), max: Some(max) } => write!(f, "an integer from {min} to {max}"),
            Shape::Integer { min: Some(min), max: None } => write!(f, "an integer of at least {min}"),
            Shape::Integer { min: None, max: Some(max) } => write!(f, "an integer of at most {max}"),
            Shape::Integer { min: None, max: None } => f.write_str("an integer"),
            Shape::Number => f.write_str("a number"),
            Shape::Boolean => f.write_str("true or false"),
            Shape::List(_) => f.write_str("a list"),
            Shape::Struct(_) | Shape::Map(_) => f.write_str("a mapping of keys to values"),
            Shape::Any => f.write_str("another value"),
        }
    }
}

fn one_of(choices: &[String]) -> String {
    let quoted: Vec<_> = choices.iter().map(|choice| format!("`{choice}`")).collect();
    match quoted.as_slice() {
        [most @ .., last] if !most.is_empty() => format!("{} or {last}", most.join(", ")),
        _ => quoted.concat(),
    }
}

/// Returns a suggestion if `value` is near one of the allowed texts of `shape`.
fn hint(shape: &Shape, value: &Value) -> String {
    let (Shape::Text { choices, .. }, Value::Text(text)) = (shape, value) else { return String::new() };
    match nearest(text, choices.iter().map(String::as_str)) {
        Some(near) => format!("; did you mean `{near}`?"),
        None => String::new(),
    }
}

fn found(value: &Value) -> String {
    match value {
        Value::Null => "nothing".into(),
        Value::Boolean(_, spelling) | Value::Number(_, spelling) => spelling.clone(),
        Value::Text(text) if text.chars().count() > 60 => {
            format!("{:?}…", text.chars().take(60).collect::<String>())
        }
        Value::Text(text) => format!("{text:?}"),
        Value::List(_) => "a list".into(),
        Value::Map(_) => "a mapping".into(),
    }
}

fn json(node: &Node) -> Json {
    match &node.value {
        Value::Null => Json::Null,
        Value::Boolean(boolean, _) => (*boolean).into(),
        Value::Number(number, _) => number.clone().into(),
        Value::Text(text) => text.as_str().into(),
        Value::List(items) => items.iter().map(json).collect(),
        Value::Map(entries) => entries.iter().map(|entry| (entry.key.clone(), json(&entry.node))).collect(),
    }
}
