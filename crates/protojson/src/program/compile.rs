//! Compiles descriptors to a program.

use std::collections::{HashMap, HashSet};

use prost_reflect::{
    Cardinality, EnumDescriptor, ExtensionDescriptor, FieldDescriptor, Kind as Declared, MessageDescriptor,
    OneofDescriptor, prost_types,
};

use super::rules::{Fate, Rules};
use super::{Enum, Field, Kind, Map, Message, MessageIndex, Program, Role, Shape};
use crate::output::{Label, Output};
use crate::schema::Features;
use crate::{Bytes, Enums, FieldNames, Int64, Options, text, wire};

/// Field numbers below this one are looked up by index. The tables cost 20 bytes per number and message.
const DENSE: u32 = 256;

/// Compiles a message type and every type that it can hold. The program records the option paths that match no field.
pub(crate) fn compile(root: &MessageDescriptor, features: &Features, options: &Options) -> Program {
    let rules = Rules::new(&options.include, &options.drop, &options.redact);
    let paths = [&options.include, &options.drop, &options.redact].into_iter().flatten();
    let mut compiler = Compiler {
        features,
        options,
        program: Program {
            messages: Vec::new(),
            enums: Vec::new(),
            maps: Vec::new(),
            base64_url: options.bytes == Bytes::Base64Url,
            unmatched: Vec::new(),
        },
        matched: vec![false; paths.clone().count()],
        messages: HashMap::new(),
        enums: HashMap::new(),
        waiting: Vec::new(),
    };
    compiler.message(root, Some(&rules).filter(|rules| !rules.is_empty()));
    while let Some((index, descriptor, rules)) = compiler.waiting.pop() {
        compiler.program.messages[index as usize] = compiler.fill(&descriptor, rules);
    }
    let unmatched = paths.zip(&compiler.matched).filter(|(_, matched)| !**matched).map(|(path, _)| path.clone());
    compiler.program.unmatched = unmatched.collect();
    compiler.program
}

struct Compiler<'s> {
    features: &'s Features,
    options: &'s Options,
    program: Program,
    messages: HashMap<String, MessageIndex>,
    enums: HashMap<String, u32>,
    /// The messages that have an index but no table yet. A type can contain itself, so the tables are filled one after
    /// the other.
    waiting: Vec<(MessageIndex, MessageDescriptor, Option<&'s Rules>)>,
    /// For each option path, whether it matches a field.
    matched: Vec<bool>,
}

/// The common data of a field or an extension.
struct Source {
    number: u32,
    name: String,
    full_name: String,
    json_name: String,
    kind: Declared,
    cardinality: Cardinality,
    is_map: bool,
    is_group: bool,
    has_presence: bool,
    oneof: Option<OneofDescriptor>,
}

impl From<FieldDescriptor> for Source {
    fn from(field: FieldDescriptor) -> Self {
        Self {
            number: field.number(),
            name: field.name().to_owned(),
            full_name: field.full_name().to_owned(),
            json_name: field.json_name().to_owned(),
            kind: field.kind(),
            cardinality: field.cardinality(),
            is_map: field.is_map(),
            is_group: field.is_group(),
            has_presence: field.supports_presence(),
            // A synthetic oneof has only one member, so no other member can clear it.
            oneof: field.containing_oneof().filter(|oneof| oneof.fields().len() > 1),
        }
    }
}

impl From<ExtensionDescriptor> for Source {
    fn from(extension: ExtensionDescriptor) -> Self {
        let name = format!("[{}]", extension.full_name());
        Self {
            number: extension.number(),
            name: name.clone(),
            full_name: extension.full_name().to_owned(),
            json_name: name,
            kind: extension.kind(),
            cardinality: extension.cardinality(),
            is_map: false,
            is_group: extension.is_group(),
            has_presence: true,
            oneof: None,
        }
    }
}

impl<'s> Compiler<'s> {
    /// Returns the index of a message type's table. With rules, a type has a separate table for each place where a rule
    /// applies.
    fn message(&mut self, descriptor: &MessageDescriptor, rules: Option<&'s Rules>) -> MessageIndex {
        let index = self.program.messages.len() as MessageIndex;
        if rules.is_none() {
            if let Some(known) = self.messages.get(descriptor.full_name()) {
                return *known;
            }
            self.messages.insert(descriptor.full_name().to_owned(), index);
        }
        self.waiting.push((index, descriptor.clone(), rules));
        // Reserves the index; `fill` replaces the table later.
        self.program.messages.push(table(Shape::Plain, Vec::new(), false, false));
        index
    }

    fn fill(&mut self, descriptor: &MessageDescriptor, rules: Option<&'s Rules>) -> Message {
        let mut sources: Vec<Source> = descriptor.fields().map(Source::from).collect();
        sources.extend(descriptor.extensions().map(Source::from));
        sources.sort_by_key(|source| source.number);
        let mut oneofs: Vec<String> = Vec::new();
        let fields: Vec<Field> = sources.iter().map(|source| self.field(source, &mut oneofs, rules)).collect();
        let is_message_set = descriptor
            .descriptor_proto()
            .options
            .as_ref()
            .is_some_and(prost_types::MessageOptions::message_set_wire_format);
        let always_ordered = is_message_set || oneofs.len() > u64::BITS as usize;
        Message { has_rules: rules.is_some(), ..table(shape(descriptor), fields, is_message_set, always_ordered) }
    }

    fn field(&mut self, source: &Source, oneofs: &mut Vec<String>, rules: Option<&'s Rules>) -> Field {
        let features = self.features.of_field(&source.full_name);
        let (fate, inside) = self.fate(source, features.is_marked, rules);
        let role = match (source.is_map, source.cardinality) {
            (true, _) => Role::Map,
            (false, Cardinality::Repeated) => Role::Repeated,
            (false, _) => Role::Singular,
        };
        let kind = if source.is_map { self.map(&source.kind, inside) } else { self.kind(&source.kind, inside) };
        let is_group = features.delimited.unwrap_or(source.is_group);
        let oneof_number = source.oneof.as_ref().map_or(0, |oneof| {
            let known = oneofs.iter().position(|name| name == oneof.full_name());
            known.unwrap_or_else(|| {
                oneofs.push(oneof.full_name().to_owned());
                oneofs.len() - 1
            }) as u32
                + 1
        });
        let has_presence = features.has_presence.unwrap_or(source.has_presence) || source.oneof.is_some();
        let is_implicit = role == Role::Singular && !has_presence && !matches!(kind, Kind::Message(_));
        let key = match self.options.field_names {
            FieldNames::Json => &source.json_name,
            FieldNames::Proto => &source.name,
        };
        Field {
            number: source.number,
            wire_type: wire_type(&source.kind, is_group),
            is_packable: role == Role::Repeated && kind.is_packable(),
            is_list: role != Role::Singular,
            role: match fate {
                Fate::Kept => role,
                Fate::Dropped => Role::Dropped,
                Fate::Redacted => Role::Redacted,
            },
            kind,
            is_implicit,
            // A hidden field treats zero like an absent field, even with `emit_defaults`: no default is written for it.
            omits_zero: is_implicit && (!self.options.emit_defaults || fate != Fate::Kept),
            is_required: features.is_required.unwrap_or(source.cardinality == Cardinality::Required),
            emits_default: self.options.emit_defaults && fate == Fate::Kept && (is_implicit || role != Role::Singular),
            oneof: if oneof_number == 0 { 0 } else { 1u64.checked_shl(oneof_number - 1).unwrap_or(0) },
            oneof_number,
            key: key_bytes(key),
            name: source.name.as_str().into(),
        }
    }

    /// Returns the treatment of a field by the options, and the rules for the fields inside it.
    fn fate(&mut self, source: &Source, is_marked: bool, rules: Option<&'s Rules>) -> (Fate, Option<&'s Rules>) {
        let is_marked = self.options.redact_marked && is_marked;
        let (fate, inside, ends) = rules.map_or((Fate::Kept, None, &[][..]), |rules| rules.of(&source.name));
        for path in ends {
            self.matched[*path] = true;
        }
        (if is_marked && fate == Fate::Kept { Fate::Redacted } else { fate }, inside)
    }

    fn kind(&mut self, declared: &Declared, rules: Option<&'s Rules>) -> Kind {
        let quoted = self.options.int64 == Int64::String;
        match declared {
            Declared::Bool => Kind::Bool,
            Declared::Int32 => Kind::Int32,
            Declared::Sint32 => Kind::Sint32,
            Declared::Uint32 | Declared::Fixed32 => Kind::Uint32,
            Declared::Sfixed32 => Kind::Sfixed32,
            Declared::Int64 | Declared::Sfixed64 => Kind::Int64 { quoted },
            Declared::Sint64 => Kind::Sint64 { quoted },
            Declared::Uint64 | Declared::Fixed64 => Kind::Uint64 { quoted },
            Declared::Float => Kind::Float,
            Declared::Double => Kind::Double,
            Declared::String => Kind::String,
            Declared::Bytes => Kind::Bytes,
            Declared::Enum(descriptor) if descriptor.full_name() == "google.protobuf.NullValue" => Kind::Null,
            Declared::Enum(_) if self.options.enums == Enums::Number => Kind::EnumNumber,
            Declared::Enum(descriptor) => Kind::Enum(self.enumeration(descriptor)),
            Declared::Message(descriptor) => Kind::Message(self.message(descriptor, rules)),
        }
    }

    fn map(&mut self, declared: &Declared, rules: Option<&'s Rules>) -> Kind {
        // A map field always has a message type: its entry.
        let Declared::Message(entry) = declared else { return self.kind(declared, rules) };
        let mut part = |field: FieldDescriptor, rules| {
            let source = Source::from(field);
            // The rules of a map field apply to the fields inside its values.
            let kind = self.kind(&source.kind, rules);
            Field { omits_zero: false, kind, ..self.field(&source, &mut Vec::new(), None) }
        };
        let key = part(entry.map_entry_key_field(), None);
        let value = entry.map_entry_value_field();
        // The default of a closed enum can be a number other than zero.
        let default = value.kind().as_enum().map_or(0, |descriptor| descriptor.default_value().number());
        let map = Map { key, value: part(value, rules), default: u64::from(default.cast_unsigned()) };
        self.program.maps.push(map);
        Kind::Map(self.program.maps.len() as u32 - 1)
    }

    fn enumeration(&mut self, descriptor: &EnumDescriptor) -> u32 {
        if let Some(index) = self.enums.get(descriptor.full_name()) {
            return *index;
        }
        let mut names: Vec<(i32, Label)> = Vec::new();
        let mut seen = HashSet::new();
        // In declaration order, so that the first of several aliases wins.
        for value in &descriptor.enum_descriptor_proto().value {
            if seen.insert(value.number()) {
                let mut name = Output::default();
                // This cannot fail: names in descriptors are UTF-8.
                let _ = text::string(&mut name, value.name().as_bytes(), 0, value.name().len());
                names.push((value.number(), Label::new(name.into_bytes())));
            }
        }
        names.sort_by_key(|(number, _)| *number);
        let mut dense: Vec<Option<Label>> = Vec::new();
        let mut sparse = Vec::new();
        for (number, name) in names {
            match usize::try_from(number) {
                Ok(index) if index < dense.len() + 16 => {
                    dense.resize_with(index + 1, || None);
                    dense[index] = Some(name);
                }
                _ => sparse.push((number, name)),
            }
        }
        self.program.enums.push(Enum { dense: dense.into(), sparse: sparse.into() });
        let index = self.program.enums.len() as u32 - 1;
        self.enums.insert(descriptor.full_name().to_owned(), index);
        index
    }
}

fn key_bytes(name: &str) -> Label {
    let mut key = Output::default();
    key.push(b',');
    // This cannot fail: names in descriptors are UTF-8.
    let _ = text::string(&mut key, name.as_bytes(), 0, name.len());
    key.push(b':');
    Label::new(key.into_bytes())
}

fn wire_type(kind: &Declared, is_group: bool) -> u8 {
    match kind {
        Declared::Double | Declared::Fixed64 | Declared::Sfixed64 => wire::FIXED64,
        Declared::Float | Declared::Fixed32 | Declared::Sfixed32 => wire::FIXED32,
        Declared::Message(_) if is_group => wire::START_GROUP,
        Declared::String | Declared::Bytes | Declared::Message(_) => wire::LENGTH_DELIMITED,
        _ => wire::VARINT,
    }
}

fn shape(descriptor: &MessageDescriptor) -> Shape {
    match descriptor.full_name() {
        "google.protobuf.Timestamp" => Shape::Timestamp,
        "google.protobuf.Duration" => Shape::Duration,
        "google.protobuf.FieldMask" => Shape::FieldMask,
        "google.protobuf.Struct" => Shape::Struct,
        "google.protobuf.Value" => Shape::Value,
        "google.protobuf.ListValue" => Shape::ListValue,
        "google.protobuf.Any" => Shape::Any,
        "google.protobuf.DoubleValue"
        | "google.protobuf.FloatValue"
        | "google.protobuf.Int64Value"
        | "google.protobuf.UInt64Value"
        | "google.protobuf.Int32Value"
        | "google.protobuf.UInt32Value"
        | "google.protobuf.BoolValue"
        | "google.protobuf.StringValue"
        | "google.protobuf.BytesValue" => Shape::Wrapper,
        _ => Shape::Plain,
    }
}

fn table(shape: Shape, fields: Vec<Field>, is_message_set: bool, always_ordered: bool) -> Message {
    let highest = fields.iter().map(|field| field.number).filter(|number| *number < DENSE).max();
    let mut dense = vec![0u32; highest.map_or(0, |number| number as usize + 1)];
    let mut by_tag = vec![0u16; 8 * dense.len()];
    let mut sparse = Vec::new();
    for (index, field) in fields.iter().enumerate() {
        for wire_type in [Some(field.wire_type), field.is_packable.then_some(wire::LENGTH_DELIMITED)] {
            let entry =
                wire_type.and_then(|wire_type| by_tag.get_mut(8 * field.number as usize + usize::from(wire_type)));
            if let Some(entry) = entry {
                *entry = u16::try_from(index + 1).unwrap_or(0);
            }
        }
        match dense.get_mut(field.number as usize) {
            Some(entry) => *entry = index as u32 + 1,
            None => sparse.push((field.number, index as u32)),
        }
    }
    Message {
        shape,
        required: fields.iter().filter(|field| field.is_required).count() as u32,
        has_defaults: fields.iter().any(|field| field.emits_default),
        fields: fields.into(),
        dense: dense.into(),
        by_tag: by_tag.into(),
        sparse: sparse.into(),
        always_ordered,
        is_message_set,
        has_rules: false,
    }
}
