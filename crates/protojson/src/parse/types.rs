//! The fields of message types by their names in JSON, read from the descriptors as they are needed.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use crate::program::{Shape, shape};
use crate::schema::{FieldDescriptor, Kind, MessageDescriptor, Schema};

/// The message types of one text.
pub(super) struct Types<'s> {
    schema: &'s Schema,
    known: RefCell<HashMap<String, Rc<Message>>>,
}

/// A message type.
pub(super) struct Message {
    pub(super) name: String,
    pub(super) shape: Shape,
    pub(super) is_message_set: bool,
    pub(super) fields: Vec<Slot>,
    /// The index of each field by its name in JSON, and by its name as declared.
    by_name: HashMap<String, usize>,
}

/// A field.
pub(super) struct Slot {
    pub(super) number: u32,
    /// The name as declared, or the full name of an extension in brackets.
    pub(super) name: String,
    pub(super) form: Form,
    pub(super) value: Value,
    pub(super) is_group: bool,
    pub(super) oneof: Option<usize>,
}

pub(super) enum Form {
    Single,
    List,
    /// The key and the value of the entries.
    Map(Box<Slot>, Box<Slot>),
}

/// The type of one value.
pub(super) enum Value {
    Scalar(Kind),
    /// The numbers by name, aliases included.
    Enum(HashMap<String, i32>),
    /// `google.protobuf.NullValue`.
    Null,
    Message(MessageDescriptor),
}

impl<'s> Types<'s> {
    pub(super) fn new(schema: &'s Schema) -> Self {
        Self { schema, known: RefCell::default() }
    }

    pub(super) fn of(&self, descriptor: &MessageDescriptor) -> Rc<Message> {
        if let Some(known) = self.known.borrow().get(descriptor.full_name()) {
            return Rc::clone(known);
        }
        let message = Rc::new(Message::new(descriptor));
        self.known.borrow_mut().insert(message.name.clone(), Rc::clone(&message));
        message
    }

    /// Returns the message type with this full name, if a set defines it.
    pub(super) fn named(&self, full_name: &str) -> Option<Rc<Message>> {
        self.schema.descriptor(full_name).map(|descriptor| self.of(&descriptor))
    }

    /// Returns a type that every schema has.
    pub(super) fn built_in(&self, full_name: &str) -> Rc<Message> {
        self.named(full_name).expect("the well-known types are built in")
    }
}

impl Message {
    fn new(descriptor: &MessageDescriptor) -> Self {
        let mut by_name = HashMap::new();
        let mut fields = Vec::new();
        let declared = descriptor.fields().into_iter().chain(descriptor.extensions());
        let declared: Vec<FieldDescriptor> = declared.collect();
        for (index, field) in declared.iter().enumerate() {
            let json_name = match &field.extension {
                Some(name) => format!("[{name}]"),
                None => field.json_name().to_owned(),
            };
            by_name.insert(json_name, index);
            fields.push(Slot::new(field));
        }
        for (index, field) in declared.iter().enumerate().filter(|(_, field)| field.extension.is_none()) {
            // The declared name of one field can be the JSON name of another, which comes first.
            by_name.entry(field.name().to_owned()).or_insert(index);
        }
        let is_message_set = descriptor.is_message_set();
        let name = descriptor.full_name().to_owned();
        Self { name, shape: shape(descriptor), is_message_set, fields, by_name }
    }

    pub(super) fn find(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }
}

impl Slot {
    fn new(field: &FieldDescriptor) -> Self {
        let form = match field.kind.as_message().filter(|_| field.is_map()) {
            Some(entry) => Form::Map(
                Box::new(Self::new(&entry.map_entry_key_field())),
                Box::new(Self { name: field.name().to_owned(), ..Self::new(&entry.map_entry_value_field()) }),
            ),
            None if field.is_repeated() => Form::List,
            None => Form::Single,
        };
        Self {
            number: field.number(),
            name: field.extension.as_ref().map_or_else(|| field.name().to_owned(), |name| format!("[{name}]")),
            form,
            value: Value::new(&field.kind),
            is_group: field.is_group,
            oneof: field.oneof(),
        }
    }

    /// Whether null is a value of the type.
    pub(super) fn has_null(&self) -> bool {
        match &self.value {
            Value::Null => true,
            Value::Message(message) => shape(message) == Shape::Value,
            Value::Scalar(_) | Value::Enum(_) => false,
        }
    }
}

impl Value {
    fn new(kind: &Kind) -> Self {
        match kind {
            Kind::Message(message) => Self::Message(message.clone()),
            Kind::Enum(declared) if declared.full_name() == "google.protobuf.NullValue" => Self::Null,
            Kind::Enum(declared) => {
                Self::Enum(declared.values().iter().map(|value| (value.name().to_owned(), value.number())).collect())
            }
            scalar => Self::Scalar(scalar.clone()),
        }
    }
}
