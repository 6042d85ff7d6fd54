//! A field or an extension, decoded from its FieldDescriptorProto.

use std::collections::HashMap;
use std::sync::Arc;

use prost_types::FieldDescriptorProto;
use prost_types::field_descriptor_proto::{Label, Type};

use super::comments::Element;
use super::features::{self, FieldFeatures, Form, Resolved};
use super::link::Refusal;
use super::names::Symbol;
use super::records::{decode, tag};
use super::{EnumDescriptor, MessageDescriptor, Pool, Syntax, join};

/// A field or an extension of a message. It holds its own decoded definition.
#[derive(Debug)]
pub(crate) struct FieldDescriptor {
    /// The definition as compiled, with its JSON name and with the full name of its type.
    pub(crate) proto: FieldDescriptorProto,
    pub(crate) kind: Kind,
    pub(crate) has_presence: bool,
    pub(crate) is_required: bool,
    /// Whether the values are encoded as groups.
    pub(crate) is_group: bool,
    /// Whether the field is marked with `debug_redact` by its own set; in a schema, whether the marks of all sets hide
    /// it.
    pub(crate) is_marked: bool,
    /// Whether another field of the message has the same JSON name, so that JSON has the name as declared. Only
    /// [`MessageDescriptor::fields`] can tell.
    pub(crate) json_name_clashes: bool,
    /// Whether every reader of the field must refuse strings that are not UTF-8.
    pub(crate) verifies_utf8: bool,
    /// The place of the field in its set, for its comment.
    pub(crate) element: Element,
    /// The full name of an extension; `None` for a field.
    pub(crate) extension: Option<String>,
}

/// The type of a field.
#[derive(Debug, Clone)]
pub(crate) enum Kind {
    Double,
    Float,
    Int32,
    Int64,
    Uint32,
    Uint64,
    Sint32,
    Sint64,
    Fixed32,
    Fixed64,
    Sfixed32,
    Sfixed64,
    Bool,
    String,
    Bytes,
    Message(MessageDescriptor),
    Enum(EnumDescriptor),
}

/// The surroundings of a field's definition.
#[derive(Debug)]
pub(super) struct Around<'p> {
    pub(super) pool: &'p Arc<Pool>,
    pub(super) syntax: Syntax,
    /// The features of an editions file in force around the field.
    pub(super) features: Resolved,
    /// The full name of the message or the package around the field.
    pub(super) scope: &'p str,
    /// The oneofs of the message.
    pub(super) oneofs: &'p [features::Oneof],
    pub(super) is_map_entry: bool,
    pub(super) is_extension: bool,
}

impl Around<'_> {
    /// Decodes a field.
    ///
    /// # Errors
    /// Returns an error if the bytes are not a FieldDescriptorProto, or if the set does not define the field's type or
    /// oneof.
    pub(super) fn read(&self, bytes: &[u8], element: Element) -> Result<FieldDescriptor, Refusal> {
        let mut proto: FieldDescriptorProto = decode(bytes)?;
        let extra: features::Field = decode(bytes)?;
        if proto.json_name.is_none() {
            proto.json_name = Some(json_name(proto.name()));
        }
        let kind = self.kind(&mut proto)?;
        let oneof = self.oneof(&proto)?;
        let is_singular = proto.label() != Label::Repeated;
        let is_message = matches!(kind, Kind::Message(_));
        let FieldFeatures { edition, is_marked } = FieldFeatures {
            edition: (self.syntax == Syntax::Editions && !self.is_map_entry).then(|| {
                let is_map = !is_singular && kind.is_map_entry();
                let is_message = proto.r#type() == Type::Message;
                let form = Form { is_extension: self.is_extension, is_singular, is_message, is_map };
                extra.resolve(self.features, oneof, form)
            }),
            is_marked: extra.is_marked(),
        };
        let has_presence = proto.proto3_optional()
            || oneof.is_some()
            || is_singular && (is_message || self.is_extension || self.syntax != Syntax::Proto3);
        Ok(FieldDescriptor {
            has_presence: edition.map_or(has_presence, |edition| edition.has_presence),
            is_required: edition.map_or(proto.label() == Label::Required, |edition| edition.is_required),
            is_group: edition.map_or(proto.r#type() == Type::Group, |edition| edition.is_delimited),
            is_marked,
            json_name_clashes: false,
            verifies_utf8: match self.syntax {
                Syntax::Proto2 => false,
                Syntax::Proto3 => true,
                Syntax::Editions => extra.verifies_utf8(self.features.with(oneof.and_then(features::Oneof::features))),
            },
            extension: self.is_extension.then(|| join(self.scope, proto.name())),
            proto,
            kind,
            element,
        })
    }

    fn kind(&self, proto: &mut FieldDescriptorProto) -> Result<Kind, Refusal> {
        if proto.type_name().is_empty() {
            return Kind::scalar(proto.r#type()).ok_or_else(|| {
                Refusal::unlinkable(format!("field {} does not name its type", join(self.scope, proto.name())))
            });
        }
        let (scope, pool) = (join(self.scope, proto.name()), self.pool);
        let symbol = pool.resolve(&scope, proto.type_name()).ok_or_else(|| {
            Refusal::unlinkable(format!(
                "field {scope} has type {}, which the set does not define",
                proto.type_name().trim_start_matches('.')
            ))
        })?;
        proto.type_name = Some(format!(".{}", pool.name_of(symbol)));
        let (kind, declared) = match symbol {
            Symbol::Message(index) => (Kind::Message(MessageDescriptor::new(pool, index)), Type::Message),
            Symbol::Enum(index) => (Kind::Enum(EnumDescriptor::new(pool, index)), Type::Enum),
        };
        if proto.r#type() != Type::Group {
            proto.set_type(declared);
        }
        Ok(kind)
    }

    fn oneof(&self, proto: &FieldDescriptorProto) -> Result<Option<&features::Oneof>, Refusal> {
        let Some(index) = proto.oneof_index.filter(|_| !self.is_extension) else { return Ok(None) };
        match usize::try_from(index).ok().and_then(|index| self.oneofs.get(index)) {
            Some(oneof) => Ok(Some(oneof)),
            None => {
                let field = join(self.scope, proto.name());
                Err(Refusal::unlinkable(format!("field {field} is in oneof {index}, which its message does not have")))
            }
        }
    }
}

impl FieldDescriptor {
    /// Returns the pool of the field, which identifies the set.
    pub(in crate::schema) fn pool(&self) -> &Arc<Pool> {
        self.element.pool()
    }

    /// Returns the field number.
    pub(crate) fn number(&self) -> u32 {
        self.proto.number().cast_unsigned()
    }

    /// Returns the name as declared.
    pub(crate) fn name(&self) -> &str {
        self.proto.name()
    }

    /// Returns the name as declared; for an extension, the full name in brackets.
    pub(crate) fn declared_name(&self) -> String {
        self.extension.as_ref().map_or_else(|| self.name().to_owned(), |full_name| format!("[{full_name}]"))
    }

    /// Returns the name in JSON.
    pub(crate) fn json_name(&self) -> &str {
        if self.json_name_clashes { self.name() } else { self.proto.json_name() }
    }

    /// Whether the field is repeated or a map.
    pub(crate) fn is_repeated(&self) -> bool {
        self.proto.label() == Label::Repeated
    }

    /// Whether the field is a map.
    pub(crate) fn is_map(&self) -> bool {
        self.extension.is_none() && self.is_repeated() && self.kind.is_map_entry()
    }

    /// Returns the position of the field's oneof in its message.
    pub(crate) fn oneof(&self) -> Option<usize> {
        let index = self.proto.oneof_index.filter(|_| self.extension.is_none())?;
        usize::try_from(index).ok()
    }

    /// Returns the element of the field's oneof. The field must be in a oneof of `message`.
    pub(crate) fn oneof_element(&self, message: &MessageDescriptor) -> Option<Element> {
        Some(message.element().inside(tag::MESSAGE_ONEOF, self.oneof()?))
    }
}

impl Kind {
    fn scalar(declared: Type) -> Option<Self> {
        Some(match declared {
            Type::Double => Self::Double,
            Type::Float => Self::Float,
            Type::Int32 => Self::Int32,
            Type::Int64 => Self::Int64,
            Type::Uint32 => Self::Uint32,
            Type::Uint64 => Self::Uint64,
            Type::Sint32 => Self::Sint32,
            Type::Sint64 => Self::Sint64,
            Type::Fixed32 => Self::Fixed32,
            Type::Fixed64 => Self::Fixed64,
            Type::Sfixed32 => Self::Sfixed32,
            Type::Sfixed64 => Self::Sfixed64,
            Type::Bool => Self::Bool,
            Type::String => Self::String,
            Type::Bytes => Self::Bytes,
            Type::Group | Type::Message | Type::Enum => return None,
        })
    }

    /// Returns the message type of a message field.
    pub(crate) fn as_message(&self) -> Option<&MessageDescriptor> {
        match self {
            Self::Message(message) => Some(message),
            _ => None,
        }
    }

    fn is_map_entry(&self) -> bool {
        self.as_message().is_some_and(MessageDescriptor::is_map_entry)
    }
}

/// Gives all fields of a message with the same name in JSON their names as declared, which differ within a message.
/// Compilers accept such fields in proto2, and in proto3 with `deprecated_legacy_json_field_conflicts`.
pub(super) fn resolve_clashes(fields: &mut [FieldDescriptor]) {
    loop {
        let mut counts: HashMap<&str, usize> = HashMap::with_capacity(fields.len());
        for field in &*fields {
            *counts.entry(field.json_name()).or_default() += 1;
        }
        if counts.len() == fields.len() {
            return;
        }
        let found = fields.iter().map(|field| counts[field.json_name()] > 1 && !field.json_name_clashes);
        let found: Vec<bool> = found.collect();
        if !found.contains(&true) {
            return;
        }
        // The declared name of one field can be the JSON name of another, which then clashes as well in the next round.
        for (field, clashes) in fields.iter_mut().zip(found) {
            field.json_name_clashes |= clashes;
        }
    }
}

/// Returns the JSON name that protoc gives to a field.
pub(super) fn json_name(name: &str) -> String {
    let mut json = String::with_capacity(name.len());
    let mut is_upper = false;
    for c in name.chars() {
        match c {
            '_' => is_upper = true,
            c => {
                json.push(if is_upper { c.to_ascii_uppercase() } else { c });
                is_upper = false;
            }
        }
    }
    json
}
