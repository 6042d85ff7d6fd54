//! The JSON Schema (2020-12) of the JSON that a plan writes.
//!
//! The schema is derived from the compiled program, so only the compiler decides how options affect a field.
//! Descriptors supply the details that programs do not need: names of enum values, comments, deprecation. A schema
//! accepts everything that the codec writes, and it is as narrow as JSON Schema can reasonably express. It does not
//! describe the contents of an Any, which can be of any type.
//!
//! Apart from `$defs` and `deprecated`, only keywords that also exist in draft 7 are used, because AsyncAPI is based on
//! draft 7.

mod value;

use std::collections::{BTreeMap, HashMap, VecDeque};

use prost_types::{FieldOptions, MessageOptions};
use serde_json::{Map, Value, json};

use crate::output::Label;
use crate::program::{Field, Kind, MessageIndex, Program, Role, Shape};
use crate::schema::{Comments, Element, FieldDescriptor, Kind as Declared, MessageDescriptor};

/// The dialect of the schemas.
const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// Returns the schema of a program that was compiled from this message type.
pub(crate) fn document(root: &MessageDescriptor, program: &Program) -> Value {
    let mut writer = Writer {
        program,
        root: root.full_name(),
        comments: Comments::default(),
        definitions: BTreeMap::new(),
        names: HashMap::new(),
        waiting: VecDeque::new(),
    };
    let reference = writer.message(0, root, "");
    while let Some((index, descriptor, path)) = writer.waiting.pop_front() {
        let name = writer.names[&index].clone();
        let definition = writer.definition(index, &descriptor, &path);
        writer.definitions.insert(name, definition);
    }
    let mut document = object(json!({"$schema": DIALECT, "title": root.full_name()}));
    document.extend(object(reference));
    document.insert("$defs".to_owned(), writer.definitions.into_iter().collect());
    Value::Object(document)
}

struct Writer<'p> {
    program: &'p Program,
    /// The full name of the root.
    root: &'p str,
    comments: Comments,
    definitions: BTreeMap<String, Value>,
    /// The names of the message definitions.
    names: HashMap<MessageIndex, String>,
    /// The messages that have a name but no definition yet, with their path from the root.
    waiting: VecDeque<(MessageIndex, MessageDescriptor, String)>,
}

/// The source of a compiled field.
struct Source {
    declared: Declared,
    description: Option<String>,
    is_deprecated: bool,
    oneof: Option<Element>,
}

impl Writer<'_> {
    /// Returns a reference to the definition of a message.
    fn message(&mut self, index: MessageIndex, descriptor: &MessageDescriptor, path: &str) -> Value {
        let known = self.names.entry(index).or_insert_with(|| {
            let table = &self.program.messages[index as usize];
            self.waiting.push_back((index, descriptor.clone(), path.to_owned()));
            let full_name = token(descriptor.full_name());
            match path {
                // Rules have no effect inside the well-known types.
                _ if !table.has_rules || table.shape != Shape::Plain => full_name,
                "" => format!("{full_name}-root"),
                path => format!("{full_name}-{}.{}", token(self.root), token(path)),
            }
        });
        reference(known)
    }

    fn definition(&mut self, index: MessageIndex, descriptor: &MessageDescriptor, path: &str) -> Value {
        let table = &self.program.messages[index as usize];
        if table.shape != Shape::Plain {
            let inside = table.fields.first().map(|field| value::scalar(field.kind, self.program));
            return value::well_known(table.shape, inside, self.program.unknown_any);
        }
        let declared = descriptor.fields().into_iter().chain(descriptor.extensions());
        let declared: HashMap<u32, FieldDescriptor> = declared.map(|field| (field.number(), field)).collect();
        let (mut properties, mut required) = (Map::new(), Vec::new());
        let mut oneofs: BTreeMap<u32, (Option<Element>, Vec<String>)> = BTreeMap::new();
        for field in table.fields.iter().filter(|field| field.role != Role::Dropped) {
            let (key, source) = (key(field), self.source(descriptor, &declared[&field.number]));
            properties.insert(key.clone(), self.property(field, &source, &join(path, &field.name)));
            if field.is_required || field.emits_default {
                required.push(key.clone());
            }
            if field.oneof_number != 0 {
                let (oneof, members) = oneofs.entry(field.oneof_number).or_default();
                *oneof = source.oneof;
                members.push(key);
            }
        }
        let mut schema = Map::new();
        let comment = self.comments.of(&descriptor.element());
        let is_deprecated = descriptor.options().as_ref().is_some_and(MessageOptions::deprecated);
        annotate(&mut schema, comment, is_deprecated);
        schema.insert("type".to_owned(), "object".into());
        schema.insert("properties".to_owned(), properties.into());
        if !required.is_empty() {
            schema.insert("required".to_owned(), required.into());
        }
        let exclusive = oneofs.into_values().filter(|(_, members)| members.len() > 1);
        let exclusive: Vec<Value> = exclusive.map(|(oneof, members)| self.at_most_one(oneof, &members)).collect();
        if !exclusive.is_empty() {
            schema.insert("allOf".to_owned(), exclusive.into());
        }
        schema.insert("additionalProperties".to_owned(), false.into());
        schema.into()
    }

    fn source(&mut self, message: &MessageDescriptor, field: &FieldDescriptor) -> Source {
        Source {
            declared: field.kind.clone(),
            description: self.comments.of(&field.element),
            is_deprecated: field.proto.options.as_ref().is_some_and(FieldOptions::deprecated),
            oneof: field.oneof_element(message),
        }
    }

    fn property(&mut self, field: &Field, source: &Source, path: &str) -> Value {
        let mut schema = Map::new();
        annotate(&mut schema, source.description.clone(), source.is_deprecated);
        schema.extend(object(match (field.role, field.kind) {
            (Role::Redacted, Kind::String { .. }) if !field.is_list => json!({"const": "[REDACTED]"}),
            (Role::Redacted, _) => json!({"type": "null"}),
            (Role::Repeated, kind) => {
                json!({"type": "array", "items": self.value(kind, &source.declared, path)})
            }
            (_, Kind::Map(index)) => self.map(index, &source.declared, path),
            (_, kind) => self.value(kind, &source.declared, path),
        }));
        schema.into()
    }

    fn map(&mut self, index: u32, declared: &Declared, path: &str) -> Value {
        let map = &self.program.maps[index as usize];
        let Declared::Message(entry) = declared else { return json!({"type": "object"}) };
        let value = self.value(map.value.kind, &entry.map_entry_value_field().kind, path);
        let mut schema = object(json!({"type": "object"}));
        if let Some(names) = value::key(map.key.kind) {
            schema.insert("propertyNames".to_owned(), names);
        }
        schema.insert("additionalProperties".to_owned(), value);
        schema.into()
    }

    fn value(&mut self, kind: Kind, declared: &Declared, path: &str) -> Value {
        match (kind, declared) {
            (Kind::Message(index), Declared::Message(descriptor)) => self.message(index, descriptor, path),
            (Kind::Enum(_) | Kind::EnumNumber, Declared::Enum(descriptor)) => {
                let name = token(descriptor.full_name());
                if !self.definitions.contains_key(&name) {
                    let schema = value::enumeration(descriptor, kind == Kind::EnumNumber, &mut self.comments);
                    self.definitions.insert(name.clone(), schema);
                }
                reference(&name)
            }
            _ => value::scalar(kind, self.program),
        }
    }

    /// Returns a schema that allows at most one of these properties.
    fn at_most_one(&mut self, oneof: Option<Element>, members: &[String]) -> Value {
        let mut schema = Map::new();
        if let Some(oneof) = oneof {
            annotate(&mut schema, self.comments.of(&oneof), false);
        }
        let mut choices: Vec<Value> = members.iter().map(|member| json!({"required": [member]})).collect();
        choices.push(json!({"not": {"anyOf": choices.clone()}}));
        schema.insert("oneOf".to_owned(), choices.into());
        schema.into()
    }
}

/// Returns the key of a field as it is written.
fn key(field: &Field) -> String {
    let label = match &field.key {
        Label::Short { chunk, len } => &chunk[..usize::from(*len)],
        Label::Long(bytes) => bytes,
    };
    // The label is `,"jsonName":`.
    serde_json::from_slice(&label[1..label.len() - 1]).expect("the key was written as a JSON string")
}

fn reference(definition: &str) -> Value {
    json!({"$ref": format!("#/$defs/{definition}")})
}

/// Returns a name that is valid in references and as the key of an AsyncAPI component. Names that a compiler accepts
/// are unchanged.
fn token(name: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    name.chars().map(|c| if fits(c) { c } else { '_' }).collect()
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

fn annotate(schema: &mut Map<String, Value>, description: Option<String>, is_deprecated: bool) {
    if let Some(description) = description {
        schema.insert("description".to_owned(), description.into());
    }
    if is_deprecated {
        schema.insert("deprecated".to_owned(), true.into());
    }
}

fn object(schema: Value) -> Map<String, Value> {
    match schema {
        Value::Object(schema) => schema,
        _ => Map::new(),
    }
}
