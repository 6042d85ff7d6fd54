//! Messages and enums. A descriptor is a pool and an index; its contents are decoded when a caller asks for them.

use std::fmt;
use std::sync::Arc;

use prost_types::{EnumOptions, EnumValueDescriptorProto, MessageOptions};

use super::comments::Element;
use super::features;
use super::field::{self, Around};
use super::link::Refusal;
use super::records::{self, Malformed, decode, decode_field, last_text, tag};
use super::{FieldDescriptor, Message, Pool};
use crate::schema::Joined;

/// A message type.
#[derive(Clone)]
pub(crate) struct MessageDescriptor {
    pool: Arc<Pool>,
    index: u32,
    /// The schema that has the types of the fields, and the extensions; `None` during linking.
    joined: Option<Arc<Joined>>,
}

/// An enum.
#[derive(Clone)]
pub(crate) struct EnumDescriptor {
    pool: Arc<Pool>,
    index: u32,
}

/// The reason why decoding cannot fail.
const LINKED: &str = "linking decoded the definition";

impl fmt::Debug for MessageDescriptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MessageDescriptor").field(&self.full_name()).finish()
    }
}

impl fmt::Debug for EnumDescriptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("EnumDescriptor").field(&self.full_name()).finish()
    }
}

impl MessageDescriptor {
    pub(in crate::schema) fn new(pool: &Arc<Pool>, index: u32) -> Self {
        Self { pool: Arc::clone(pool), index, joined: None }
    }

    /// Returns the message as a part of a schema.
    pub(in crate::schema) fn within(self, joined: &Arc<Joined>) -> Self {
        Self { joined: Some(Arc::clone(joined)), ..self }
    }

    fn entry(&self) -> &Message {
        &self.pool.messages[self.index as usize]
    }

    /// Returns the message as compiled.
    pub(super) fn bytes(&self) -> &[u8] {
        self.pool.at(self.entry().origin.place)
    }

    /// Returns the pool, which identifies the set.
    pub(in crate::schema) fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }

    /// Returns the index in the pool.
    pub(in crate::schema) fn index(&self) -> u32 {
        self.index
    }

    pub(crate) fn full_name(&self) -> &str {
        &self.entry().name
    }

    /// Returns the full name, shared with the pool.
    pub(in crate::schema) fn shared_name(&self) -> &Arc<str> {
        &self.entry().name
    }

    /// Whether the message is the entry of a map field.
    pub(crate) fn is_map_entry(&self) -> bool {
        self.entry().is_map_entry
    }

    /// Whether the two descriptors are the same definition in the same set.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.pool, &other.pool) && self.index == other.index
    }

    /// Whether the two definitions were compiled from the same source, apart from the types of other definitions.
    pub(in crate::schema) fn is_copy_of(&self, other: &Self) -> bool {
        let around = |message: &Self| {
            let Message { origin, features, .. } = message.entry();
            (message.pool.files[origin.file as usize].syntax, *features)
        };
        self.bytes() == other.bytes() && around(self) == around(other)
    }

    /// Decodes the fields, sorted by number. In a schema, their types are the definitions that serve, and the marks of
    /// all sets apply.
    pub(crate) fn fields(&self) -> Vec<FieldDescriptor> {
        let mut fields: Vec<FieldDescriptor> = Vec::new();
        let read = self.each_field(|field, _| {
            fields.push(self.served(field));
            Ok(())
        });
        read.expect(LINKED);
        fields.sort_by_key(FieldDescriptor::number);
        field::resolve_clashes(&mut fields);
        fields
    }

    /// Decodes the extensions of the message in all sets of the schema, sorted by number. Outside a schema, decodes those of
    /// its own set.
    pub(crate) fn extensions(&self) -> Vec<FieldDescriptor> {
        let Some(joined) = &self.joined else {
            let own = self.pool.extensions().filter(|(_, extendee)| extendee.index() == self.index());
            return own.map(|(index, _)| self.pool.extension(index)).collect();
        };
        joined.extensions(self.full_name()).map(|extension| self.served(extension)).collect()
    }

    fn served(&self, field: FieldDescriptor) -> FieldDescriptor {
        match &self.joined {
            Some(joined) => FieldDescriptor {
                is_marked: joined.marks.hide(self.full_name(), &field),
                kind: joined.served(field.kind),
                ..field
            },
            None => field,
        }
    }

    /// Decodes the fields one by one, in the order of their declaration, each with its name as compiled.
    pub(super) fn each_field(
        &self,
        mut take: impl FnMut(FieldDescriptor, &[u8]) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        let (entry, element) = (self.entry(), self.element());
        let file = &self.pool.files[entry.origin.file as usize];
        let oneofs = self.oneofs()?;
        let around = Around {
            pool: &self.pool,
            syntax: file.syntax,
            features: entry.features,
            scope: &entry.name,
            oneofs: &oneofs,
            is_map_entry: entry.is_map_entry,
            is_extension: false,
        };
        for (position, field) in records::of(self.bytes(), tag::MESSAGE_FIELD).enumerate() {
            let (bytes, _) = field?;
            take(around.read(bytes, element.inside(tag::MESSAGE_FIELD, position))?, bytes)?;
        }
        Ok(())
    }

    pub(super) fn oneofs(&self) -> Result<Vec<features::Oneof>, Malformed> {
        records::of(self.bytes(), tag::MESSAGE_ONEOF).map(|oneof| decode(oneof?.0)).collect()
    }

    /// Returns the names of the oneofs in the order of their declaration.
    pub(crate) fn oneof_names(&self) -> Vec<String> {
        self.oneofs().expect(LINKED).into_iter().map(|oneof| oneof.name).collect()
    }

    /// Returns the field with this number.
    pub(crate) fn get_field(&self, number: u32) -> Option<FieldDescriptor> {
        self.fields().into_iter().find(|field| field.number() == number)
    }

    /// Returns the field with this name, as declared.
    pub(crate) fn get_field_by_name(&self, name: &str) -> Option<FieldDescriptor> {
        if !self.has_field(name) {
            return None;
        }
        self.fields().into_iter().find(|field| field.name() == name)
    }

    /// Whether the message has a field with this name, as declared. Decodes nothing else.
    pub(crate) fn has_field(&self, name: &str) -> bool {
        let mut fields = records::of(self.bytes(), tag::MESSAGE_FIELD);
        fields.any(|field| field.is_ok_and(|(field, _)| last_text(field, tag::FIELD_NAME).is_ok_and(|it| it == name)))
    }

    /// Returns the key of a map entry.
    pub(crate) fn map_entry_key_field(&self) -> FieldDescriptor {
        self.get_field(1).expect("linking checked the map entry")
    }

    /// Returns the value of a map entry.
    pub(crate) fn map_entry_value_field(&self) -> FieldDescriptor {
        self.get_field(2).expect("linking checked the map entry")
    }

    pub(crate) fn options(&self) -> Option<MessageOptions> {
        decode_field(self.bytes(), tag::MESSAGE_OPTIONS).expect(LINKED)
    }

    /// Whether the message has the wire format of a MessageSet.
    pub(crate) fn is_message_set(&self) -> bool {
        self.options().is_some_and(|options| options.message_set_wire_format())
    }

    /// Returns the place of the message in its set, for its comment.
    pub(crate) fn element(&self) -> Element {
        self.pool.element(&self.entry().origin, tag::FILE_MESSAGE, tag::MESSAGE_NESTED)
    }
}

impl Pool {
    /// Returns the index of each extension with the message that it extends.
    pub(in crate::schema) fn extensions(self: &Arc<Self>) -> impl Iterator<Item = (u32, MessageDescriptor)> + '_ {
        let extendees = self.extensions.iter().map(|extension| MessageDescriptor::new(self, extension.extendee));
        (0..).zip(extendees)
    }

    /// Returns the message that an extension extends.
    pub(in crate::schema) fn extendee(self: &Arc<Self>, index: u32) -> MessageDescriptor {
        MessageDescriptor::new(self, self.extensions[index as usize].extendee)
    }

    /// Decodes an extension.
    pub(in crate::schema) fn extension(self: &Arc<Self>, index: u32) -> FieldDescriptor {
        self.extensions[index as usize].read(self).expect(LINKED)
    }
}

impl super::Extension {
    /// Decodes the extension.
    pub(super) fn read(&self, pool: &Arc<Pool>) -> Result<FieldDescriptor, Refusal> {
        let file = &pool.files[self.origin.file as usize];
        let features = self.origin.parent.map_or(file.features, |parent| pool.messages[parent as usize].features);
        let scope = pool.scope(&self.origin, &self.package);
        let (syntax, is_extension) = (file.syntax, true);
        let around = Around { pool, syntax, features, scope, oneofs: &[], is_map_entry: false, is_extension };
        let element = pool.element(&self.origin, tag::FILE_EXTENSION, tag::MESSAGE_EXTENSION);
        around.read(pool.at(self.origin.place), element)
    }
}

impl EnumDescriptor {
    pub(in crate::schema) fn new(pool: &Arc<Pool>, index: u32) -> Self {
        Self { pool: Arc::clone(pool), index }
    }

    /// Whether the two descriptors are the same definition in the same set.
    pub(in crate::schema) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.pool, &other.pool) && self.index == other.index
    }

    fn entry(&self) -> &super::Enum {
        &self.pool.enums[self.index as usize]
    }

    /// Returns the enum as compiled.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.pool.at(self.entry().origin.place)
    }

    /// Returns the pool, which identifies the set.
    pub(in crate::schema) fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }

    /// Returns the index in the pool.
    pub(in crate::schema) fn index(&self) -> u32 {
        self.index
    }

    pub(crate) fn full_name(&self) -> &str {
        &self.entry().name
    }

    /// Returns the full name, shared with the pool.
    pub(in crate::schema) fn shared_name(&self) -> &Arc<str> {
        &self.entry().name
    }

    /// Decodes the values, in the order of their declaration.
    pub(crate) fn values(&self) -> Vec<EnumValueDescriptorProto> {
        let values = records::of(self.bytes(), tag::ENUM_VALUE);
        values.map(|value| decode(value.expect(LINKED).0).expect(LINKED)).collect()
    }

    /// Returns the number of the first value, which is the default.
    pub(crate) fn default_number(&self) -> i32 {
        let first = records::of(self.bytes(), tag::ENUM_VALUE).next();
        let value: Option<EnumValueDescriptorProto> = first.map(|value| decode(value.expect(LINKED).0).expect(LINKED));
        value.map_or(0, |value| value.number())
    }

    pub(crate) fn options(&self) -> Option<EnumOptions> {
        decode_field(self.bytes(), tag::ENUM_OPTIONS).expect(LINKED)
    }

    /// Returns the place of the enum in its set, for its comment.
    pub(crate) fn element(&self) -> Element {
        self.pool.element(&self.entry().origin, tag::FILE_ENUM, tag::MESSAGE_ENUM)
    }

    /// Returns the place of a value by its position among the values.
    pub(crate) fn value_element(&self, position: usize) -> Element {
        self.element().inside(tag::ENUM_VALUE, position)
    }
}
