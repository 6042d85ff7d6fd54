//! The JSON Schema (2020-12) of the JSON that a plan writes.
//!
//! The schema is derived from the compiled program, so only the compiler decides how options affect a field.
//! Descriptors supply the details that programs do not need: names of enum values, comments, deprecation. A schema
//! accepts everything that the codec writes. It does not describe the contents of an Any, which can be of any type.
//!
//! By default it also accepts [what a newer version of the type adds](Additions), and it has only constructs that code
//! generators turn into usable types. If additions are refused, it is as narrow as JSON Schema can reasonably express.
//!
//! Apart from `$defs` and `deprecated`, only keywords that also exist in draft 7 are used, because AsyncAPI is based on
//! draft 7.

mod names;
mod value;

use std::collections::{BTreeMap, HashMap, VecDeque};

use prost_types::{FieldOptions, MessageOptions};
use serde_json::{Map, Value, json};

use crate::output::Label;
use crate::program::{Field, Kind, MessageIndex, Program, Role, Shape};
use crate::schema::{Comments, Element, FieldDescriptor, Kind as Declared, MessageDescriptor};
use names::Names;

/// The dialect of the schemas.
const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// Whether a JSON Schema accepts what a newer version of the message type can add: fields, enum values, members of
/// oneofs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Additions {
    /// Unknown fields and unknown names of enum values are valid. This is for consumers, who receive additions without
    /// notice.
    #[default]
    Accepted,
    /// Only what this version of the type writes is valid. This is for tests of producers and consumers.
    Refused,
}

/// Returns the schema of a program that was compiled from this message type.
pub(crate) fn document(root: &MessageDescriptor, program: &Program, additions: Additions) -> Value {
    let mut writer = Writer {
        program,
        additions,
        root: root.full_name(),
        comments: Comments::default(),
        definitions: BTreeMap::new(),
        names: Names::default(),
        messages: HashMap::new(),
        waiting: VecDeque::new(),
    };
    let reference = writer.message(0, root, "");
    while let Some((index, descriptor, path)) = writer.waiting.pop_front() {
        let name = writer.messages[&index].clone();
        let definition = writer.definition(index, &descriptor, &path);
        writer.definitions.insert(name, definition);
    }
    let mut document = object(json!({"$schema": DIALECT, "title": names::token(root.full_name())}));
    document.extend(object(reference));
    document.insert("$defs".to_owned(), writer.definitions.into_iter().collect());
    Value::Object(document)
}

struct Writer<'p> {
    program: &'p Program,
    additions: Additions,
    /// The full name of the root.
    root: &'p str,
    comments: Comments,
    definitions: BTreeMap<String, Value>,
    names: Names,
    /// The names of the message definitions.
    messages: HashMap<MessageIndex, String>,
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
        let known = self.messages.entry(index).or_insert_with(|| {
            let table = &self.program.messages[index as usize];
            self.waiting.push_back((index, descriptor.clone(), path.to_owned()));
            let full_name = descriptor.full_name();
            match path {
                // Rules have no effect inside the well-known types.
                _ if !table.has_rules || table.shape != Shape::Plain => self.names.of(full_name),
                "" => self.names.of(&format!("{full_name}-root")),
                path => self.names.of(&format!("{full_name}-{}.{path}", self.root)),
            }
        });
        reference(known)
    }

    fn definition(&mut self, index: MessageIndex, descriptor: &MessageDescriptor, path: &str) -> Value {
        let table = &self.program.messages[index as usize];
        if table.shape != Shape::Plain {
            let inside = table.fields.first().map(|field| value::scalar(field.kind, self.program));
            return value::well_known(table.shape, inside, self.program.unknown_any, self.additions);
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
        let exclusive: Vec<(Option<Element>, Vec<String>)> =
            oneofs.into_values().filter(|(_, members)| members.len() > 1).collect();
        let mut schema = Map::new();
        let mut comment: Vec<String> = self.comments.of(&descriptor.element()).into_iter().collect();
        if self.additions == Additions::Accepted {
            comment.extend(exclusive.iter().map(|(oneof, members)| self.at_most_one_in_words(oneof.as_ref(), members)));
        }
        let is_deprecated = descriptor.options().as_ref().is_some_and(MessageOptions::deprecated);
        annotate(&mut schema, Some(comment.join("\n\n")).filter(|text| !text.is_empty()), is_deprecated);
        schema.insert("type".to_owned(), "object".into());
        schema.insert("properties".to_owned(), properties.into());
        if !required.is_empty() {
            schema.insert("required".to_owned(), required.into());
        }
        if self.additions == Additions::Refused && !exclusive.is_empty() {
            let exclusive = exclusive.into_iter().map(|(oneof, members)| self.at_most_one(oneof, &members));
            schema.insert("allOf".to_owned(), exclusive.collect());
        }
        schema.insert("additionalProperties".to_owned(), (self.additions == Additions::Accepted).into());
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
        let value = object(match (field.role, field.kind) {
            (Role::Redacted, Kind::String { .. }) if !field.is_list => json!({"type": "string", "const": "[REDACTED]"}),
            (Role::Redacted, _) => json!({"type": "null"}),
            (Role::Repeated, kind) => {
                json!({"type": "array", "items": self.value(kind, &source.declared, path)})
            }
            (_, Kind::Map(index)) => self.map(index, &source.declared, path),
            (_, kind) => self.value(kind, &source.declared, path),
        });
        // Draft 7 ignores the keywords beside a reference, and some code generators copy the type for each such place.
        if value.contains_key("$ref") && !schema.is_empty() {
            schema.insert("allOf".to_owned(), json!([value]));
        } else {
            schema.extend(value);
        }
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
                let name = self.names.of(descriptor.full_name());
                if !self.definitions.contains_key(&name) {
                    let as_number = kind == Kind::EnumNumber;
                    let schema = value::enumeration(descriptor, as_number, self.additions, &mut self.comments);
                    self.definitions.insert(name.clone(), schema);
                }
                reference(&name)
            }
            _ => value::scalar(kind, self.program),
        }
    }

    /// Returns a sentence that says that at most one of these properties is present.
    fn at_most_one_in_words(&mut self, oneof: Option<&Element>, members: &[String]) -> String {
        let members: Vec<String> = members.iter().map(|member| format!("`{member}`")).collect();
        let rule = format!("At most one of these is present: {}.", members.join(", "));
        match oneof.and_then(|oneof| self.comments.of(oneof)) {
            Some(comment) => format!("{comment} {rule}"),
            None => rule,
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
