//! Compiles descriptors to a program.

use std::collections::{HashMap, HashSet};

use super::rules::{Fate, Rules};
use super::{AnyFallback, Enum, Field, Kind, Map, Message, MessageIndex, Program, Role, Shape};
use crate::output::{Label, Output};
use crate::schema::{EnumDescriptor, FieldDescriptor, Kind as Declared, MessageDescriptor};
use crate::{Enums, FieldNames, Int64, InvalidUtf8, Options, UnknownAny, text, wire};

/// Field numbers below this one are looked up by index. The tables cost 20 bytes per number and message.
const DENSE: u32 = 256;

/// Compiles a message type and every type that it can hold. `others` are the names of the fields that the paths of `drop`
/// and of `redact` lead to in other definitions of the type.
pub(crate) fn compile(root: &MessageDescriptor, options: &Options, others: [Vec<Vec<String>>; 2]) -> Program {
    let mut rules = Rules::new(root.full_name(), &options.include, &options.drop, &options.redact);
    let [dropped, redacted] = others;
    rules.hide(&dropped, Fate::Dropped);
    rules.hide(&redacted, Fate::Redacted);
    let has_paths = [&options.include, &options.drop, &options.redact].iter().any(|paths| !paths.is_empty());
    let hides = options.redact_marked || has_paths;
    let mut compiler = Compiler {
        options,
        program: Program {
            messages: Vec::new(),
            enums: Vec::new(),
            maps: Vec::new(),
            bytes: options.bytes,
            unknown_any: match options.unknown_any {
                UnknownAny::Refuse => AnyFallback::Refused,
                UnknownAny::Bytes if hides => AnyFallback::Hidden,
                UnknownAny::Bytes => AnyFallback::Bytes,
            },
        },
        messages: HashMap::new(),
        enums: HashMap::new(),
        waiting: Vec::new(),
    };
    compiler.message(root, Some(&rules).filter(|rules| !rules.is_empty()));
    while let Some((index, descriptor, rules)) = compiler.waiting.pop() {
        compiler.program.messages[index as usize] = compiler.fill(&descriptor, rules);
    }
    compiler.program
}

struct Compiler<'s> {
    options: &'s Options,
    program: Program,
    messages: HashMap<String, MessageIndex>,
    enums: HashMap<String, u32>,
    /// The messages that have an index but no table yet. A type can contain itself, so the tables are filled one after
    /// the other.
    waiting: Vec<(MessageIndex, MessageDescriptor, Option<&'s Rules>)>,
}

/// The oneofs of a message that are counted: those with more than one member. A synthetic oneof has only one member, so
/// no other member can clear it.
#[derive(Default)]
struct Oneofs {
    /// The positions of the oneofs in their message, in the order of their first members.
    positions: Vec<usize>,
}

impl Oneofs {
    fn of(fields: &[FieldDescriptor]) -> Self {
        let mut members: HashMap<usize, u32> = HashMap::new();
        for oneof in fields.iter().filter_map(FieldDescriptor::oneof) {
            *members.entry(oneof).or_default() += 1;
        }
        let mut positions = Vec::new();
        for oneof in fields.iter().filter_map(FieldDescriptor::oneof) {
            if members.insert(oneof, 0).is_some_and(|count| count > 1) {
                positions.push(oneof);
            }
        }
        Self { positions }
    }

    /// Returns the number of a field's oneof, counted from 1; 0 if it is in none.
    fn number_of(&self, field: &FieldDescriptor) -> u32 {
        let position = field.oneof().and_then(|oneof| self.positions.iter().position(|known| *known == oneof));
        position.map_or(0, |position| position as u32 + 1)
    }
}

/// Whether the values of a field have fields of their own in the JSON. The rules of an Any are those of its content.
fn has_parts(field: &FieldDescriptor) -> bool {
    let value = field.kind.as_message().filter(|_| field.is_map()).map(MessageDescriptor::map_entry_value_field);
    let value = value.as_ref().unwrap_or(field);
    value.kind.as_message().is_some_and(|message| matches!(shape(message), Shape::Plain | Shape::Any))
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
        let mut declared = descriptor.fields();
        declared.extend(descriptor.extensions());
        declared.sort_by_key(FieldDescriptor::number);
        let oneofs = Oneofs::of(&declared);
        let fields: Vec<Field> = declared.iter().map(|field| self.field(field, &oneofs, rules)).collect();
        let is_message_set = descriptor.is_message_set();
        let always_ordered = is_message_set || oneofs.positions.len() > u64::BITS as usize;
        Message { has_rules: rules.is_some(), ..table(shape(descriptor), fields, is_message_set, always_ordered) }
    }

    fn field(&mut self, source: &FieldDescriptor, oneofs: &Oneofs, rules: Option<&'s Rules>) -> Field {
        let bracketed = source.extension.as_ref().map(|full_name| format!("[{full_name}]"));
        let name = bracketed.as_deref().unwrap_or(source.name());
        let (mut fate, inside) = self.fate(name, source.is_marked, rules);
        if fate == Fate::Kept && inside.is_some_and(Rules::keeps_only_parts) && !has_parts(source) {
            fate = Fate::Dropped;
        }
        let role = match (source.is_map(), source.is_repeated()) {
            (true, _) => Role::Map,
            (false, true) => Role::Repeated,
            (false, false) => Role::Singular,
        };
        let kind = if role == Role::Map { self.map(source, inside) } else { self.kind(source, inside) };
        let oneof_number = oneofs.number_of(source);
        let has_presence = source.has_presence;
        let is_implicit = role == Role::Singular && !has_presence && !matches!(kind, Kind::Message(_));
        let key = match self.options.field_names {
            FieldNames::Json => bracketed.as_deref().unwrap_or(source.json_name()),
            FieldNames::Proto => name,
        };
        Field {
            number: source.number(),
            wire_type: wire_type(&source.kind, source.is_group),
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
            is_required: source.is_required,
            emits_default: self.options.emit_defaults && fate == Fate::Kept && (is_implicit || role != Role::Singular),
            oneof: if oneof_number == 0 { 0 } else { 1u64.checked_shl(oneof_number - 1).unwrap_or(0) },
            oneof_number,
            key: key_bytes(key),
            name: name.into(),
        }
    }

    /// Returns the treatment of a field by the options, and the rules for the fields inside it.
    fn fate(&self, name: &str, is_marked: bool, rules: Option<&'s Rules>) -> (Fate, Option<&'s Rules>) {
        let is_marked = self.options.redact_marked && is_marked;
        let (fate, inside) = rules.map_or((Fate::Kept, None), |rules| rules.of(name));
        (if is_marked && fate == Fate::Kept { Fate::Redacted } else { fate }, inside)
    }

    fn kind(&mut self, source: &FieldDescriptor, rules: Option<&'s Rules>) -> Kind {
        let quoted = self.options.int64 == Int64::String;
        match &source.kind {
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
            Declared::String => {
                Kind::String { lossy: self.options.invalid_utf8 == InvalidUtf8::Replace && !source.verifies_utf8 }
            }
            Declared::Bytes => Kind::Bytes,
            Declared::Enum(descriptor) if descriptor.full_name() == "google.protobuf.NullValue" => Kind::Null,
            Declared::Enum(_) if self.options.enums == Enums::Number => Kind::EnumNumber,
            Declared::Enum(descriptor) => Kind::Enum(self.enumeration(descriptor)),
            Declared::Message(descriptor) => Kind::Message(self.message(descriptor, rules)),
        }
    }

    fn map(&mut self, source: &FieldDescriptor, rules: Option<&'s Rules>) -> Kind {
        // A map field always has a message type: its entry.
        let Declared::Message(entry) = &source.kind else { return self.kind(source, rules) };
        let mut part = |field: FieldDescriptor, rules| {
            // The rules of a map field apply to the fields inside its values.
            let kind = self.kind(&field, rules);
            Field { omits_zero: false, kind, ..self.field(&field, &Oneofs::default(), None) }
        };
        let mut key = part(entry.map_entry_key_field(), None);
        if let Kind::String { lossy } = &mut key.kind {
            // After a replacement, two keys could be equal.
            *lossy = false;
        }
        let value = entry.map_entry_value_field();
        // The default of a closed enum can be a number other than zero.
        let default = if let Declared::Enum(declared) = &value.kind { declared.default_number() } else { 0 };
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
        for value in descriptor.values() {
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

/// Returns the JSON form of a message type.
pub(crate) fn shape(descriptor: &MessageDescriptor) -> Shape {
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
