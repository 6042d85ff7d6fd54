//! From ProtoJSON to the wire format, for events that producers send as JSON text.
//!
//! The text is read once and written as it is read; only the content of an Any is held, because its type can come last.
//! Unknown fields, duplicate fields and two members of one oneof are errors, as the specification of ProtoJSON demands.
//! An error names the type, the field and the position. It never shows a value.

mod scalar;
mod types;
mod well_known;

use std::collections::HashSet;
use std::fmt;
use std::rc::Rc;

use prost::encoding::encode_varint;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use crate::program::Shape;
use crate::schema::{MessageDescriptor, Schema};
use crate::wire::{END_GROUP, LENGTH_DELIMITED, START_GROUP};
use scalar::Json;
use types::{Form, Message, Slot, Types, Value};

/// The reason why a text is not the ProtoJSON of a message type.
#[derive(Debug)]
pub struct JsonError(serde_json::Error);

impl JsonError {
    /// Returns the line and the column at which reading stopped. Both count from 1; the column counts bytes.
    pub fn position(&self) -> (usize, usize) {
        (self.0.line(), self.0.column())
    }
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for JsonError {}

/// Returns the wire format of the message that has this JSON.
pub(crate) fn wire(schema: &Schema, message: &MessageDescriptor, json: &[u8]) -> Result<Vec<u8>, JsonError> {
    let types = Types::new(schema);
    let mut out = Vec::new();
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let body = Body { types: &types, message: types.of(message), out: &mut out };
    body.deserialize(&mut deserializer).and_then(|()| deserializer.end()).map_err(JsonError)?;
    Ok(out)
}

/// Passes the values that are neither objects nor lists to the method `scalar` of a visitor.
macro_rules! visit_scalars {
    ($value:ty) => {
        fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<$value, E> {
            self.scalar(&Json::Bool(value))
        }

        fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<$value, E> {
            self.scalar(&Json::Integer(value.into()))
        }

        fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<$value, E> {
            self.scalar(&Json::Integer(value.into()))
        }

        fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<$value, E> {
            self.scalar(&Json::Number(value))
        }

        fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<$value, E> {
            self.scalar(&Json::Text(value))
        }

        fn visit_unit<E: serde::de::Error>(self) -> Result<$value, E> {
            self.scalar(&Json::Null)
        }
    };
}

/// Writes the fields of one message.
struct Body<'t> {
    types: &'t Types<'t>,
    message: Rc<Message>,
    out: &'t mut Vec<u8>,
}

impl Body<'_> {
    fn error<E: serde::de::Error>(&self, reason: impl fmt::Display) -> E {
        E::custom(format_args!("{}: {reason}", self.message.name))
    }

    /// Writes a message whose JSON is a single value.
    fn scalar<E: serde::de::Error>(self, json: &Json<'_>) -> Result<(), E> {
        match (self.message.shape, json) {
            (Shape::Wrapper, _) => {
                let slot = &self.message.fields[0];
                slot.put(json, self.out).map_err(|reason| self.error(reason))
            }
            (shape, _) => well_known::scalar(shape, json, self.out).map_err(|reason| self.error(reason)),
        }
    }

    fn fields<'de, A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let message = Rc::clone(&self.message);
        if message.is_message_set {
            return Err(self.error("it is a MessageSet, which JSON cannot hold"));
        }
        let (mut seen, mut oneofs) = (HashSet::new(), HashSet::new());
        while let Some(key) = map.next_key::<String>()? {
            let Some(index) = message.find(&key) else {
                return Err(self.error(format_args!(
                    "it has no field `{}`",
                    key.chars().take(100).collect::<String>().escape_debug()
                )));
            };
            let slot = &message.fields[index];
            if !seen.insert(index) {
                return Err(self.error(format_args!("field `{}` is there twice", slot.name)));
            }
            let is_set =
                map.next_value_seed(Field { types: self.types, message: &message.name, slot, out: self.out })?;
            if is_set && slot.oneof.is_some_and(|oneof| !oneofs.insert(oneof)) {
                return Err(self.error(format_args!("field `{}` and another field of its oneof are set", slot.name)));
            }
        }
        Ok(())
    }

    /// Writes the entries of a Struct.
    fn entries<'de, A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let value = self.types.built_in("google.protobuf.Value");
        let mut seen = HashSet::new();
        while let Some(key) = map.next_key::<String>()? {
            let mut entry = Vec::new();
            delimited(1, key.as_bytes(), &mut entry);
            nested(2, &mut entry, |out| {
                map.next_value_seed(Body { types: self.types, message: Rc::clone(&value), out })
            })?;
            delimited(1, &entry, self.out);
            if !seen.insert(key) {
                return Err(self.error("a key is there twice"));
            }
        }
        Ok(())
    }

    /// Writes the elements of a ListValue.
    fn elements<'de, A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let value = self.types.built_in("google.protobuf.Value");
        loop {
            let mut element = Vec::new();
            let body = Body { types: self.types, message: Rc::clone(&value), out: &mut element };
            if list.next_element_seed(body)?.is_none() {
                return Ok(());
            }
            delimited(1, &element, self.out);
        }
    }

    /// Writes an Any. Its fields are held until its type is known.
    fn any<'de, A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut fields = serde_json::Map::new();
        while let Some((key, value)) = map.next_entry::<String, serde_json::Value>()? {
            if fields.insert(key, value).is_some() {
                return Err(self.error("a field is there twice"));
            }
        }
        if fields.is_empty() {
            return Ok(());
        }
        let Some(serde_json::Value::String(url)) = fields.remove("@type") else {
            return Err(self.error("it has no text in `@type`"));
        };
        let name = url.rsplit_once('/').map_or(&*url, |(_, name)| name);
        let Some(message) = self.types.named(name) else {
            return Err(self.error(format_args!("it holds the unknown message type {}", name.escape_debug())));
        };
        let mut value = Vec::new();
        let is_plain = message.shape == Shape::Plain;
        let body = Body { types: self.types, message, out: &mut value };
        let content = match fields.remove("value") {
            _ if is_plain => Ok(body.deserialize(serde_json::Value::Object(fields))),
            Some(inner) if fields.is_empty() => Ok(body.deserialize(inner)),
            _ => Err(self.error("a well-known type in it has exactly the fields `@type` and `value`")),
        };
        content?.map_err(A::Error::custom)?;
        delimited(1, url.as_bytes(), self.out);
        delimited(2, &value, self.out);
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Body<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Body<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the JSON of {}", self.message.name)
    }

    visit_scalars!(());

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        match self.message.shape {
            Shape::Plain => self.fields(map),
            Shape::Struct => self.entries(map),
            Shape::Any => self.any(map),
            Shape::Value => {
                let inner = self.types.built_in("google.protobuf.Struct");
                nested(5, self.out, |out| Body { types: self.types, message: inner, out }.entries(map))
            }
            _ => Err(self.error("an object is not its JSON")),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<(), A::Error> {
        match self.message.shape {
            Shape::ListValue => self.elements(list),
            Shape::Value => {
                let inner = self.types.built_in("google.protobuf.ListValue");
                nested(6, self.out, |out| Body { types: self.types, message: inner, out }.elements(list))
            }
            _ => Err(self.error("a list is not its JSON")),
        }
    }
}

/// Writes one field. Returns whether it has a value: null means that it has none.
struct Field<'t> {
    types: &'t Types<'t>,
    /// The full name of the message around the field.
    message: &'t str,
    slot: &'t Slot,
    out: &'t mut Vec<u8>,
}

impl Field<'_> {
    fn error<E: serde::de::Error>(&self, reason: impl fmt::Display) -> E {
        E::custom(format_args!("{}.{}: {reason}", self.message, self.slot.name))
    }

    fn single(&mut self) -> One<'_> {
        One { types: self.types, message: self.message, slot: self.slot, out: self.out }
    }

    fn scalar<E: serde::de::Error>(mut self, json: &Json<'_>) -> Result<bool, E> {
        match (&self.slot.form, json) {
            (_, Json::Null) if !self.slot.has_null() => Ok(false),
            (Form::Single, _) => self.single().scalar(json).map(|()| true),
            (Form::List | Form::Map(..), Json::Null) => Ok(false),
            (Form::List, _) => Err(self.error("expected a list")),
            (Form::Map(..), _) => Err(self.error("expected an object")),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Field<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Field<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the JSON of {}.{}", self.message, self.slot.name)
    }

    visit_scalars!(bool);

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<bool, A::Error> {
        match &self.slot.form {
            Form::Single => self.single().visit_seq(list).map(|()| true),
            Form::List => {
                while list.next_element_seed(self.single())?.is_some() {}
                Ok(true)
            }
            Form::Map(..) => Err(self.error("expected an object, found a list")),
        }
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<bool, A::Error> {
        let (key_slot, value_slot) = match &self.slot.form {
            Form::Single => return self.single().visit_map(map).map(|()| true),
            Form::List => return Err(self.error("expected a list, found an object")),
            Form::Map(key, value) => (key, value),
        };
        let mut seen = HashSet::new();
        while let Some(key) = map.next_key::<String>()? {
            let mut entry = Vec::new();
            key_slot.put_key(&key, &mut entry).map_err(|reason| self.error(reason))?;
            if !seen.insert(entry.clone()) {
                return Err(self.error("a key is there twice"));
            }
            map.next_value_seed(One { slot: value_slot, out: &mut entry, types: self.types, message: self.message })?;
            delimited(self.slot.number, &entry, self.out);
        }
        Ok(true)
    }
}

/// Writes one value of a field: the only one, an element of a list, or the value of a map entry.
struct One<'t> {
    types: &'t Types<'t>,
    message: &'t str,
    slot: &'t Slot,
    out: &'t mut Vec<u8>,
}

impl One<'_> {
    fn scalar<E: serde::de::Error>(self, json: &Json<'_>) -> Result<(), E> {
        match &self.slot.value {
            Value::Message(_) if matches!(json, Json::Null) && !self.slot.has_null() => {
                Err(self.error("null is no value"))
            }
            Value::Message(_) => self.inside(|body| body.scalar(json)),
            _ => self.slot.put(json, self.out).map_err(|reason| self.error(reason)),
        }
    }

    fn error<E: serde::de::Error>(&self, reason: &str) -> E {
        E::custom(format_args!("{}.{}: {reason}", self.message, self.slot.name))
    }

    /// Writes the message of the field.
    fn inside<E: serde::de::Error>(self, write: impl FnOnce(Body<'_>) -> Result<(), E>) -> Result<(), E> {
        let Value::Message(descriptor) = &self.slot.value else {
            return Err(self.error("expected a single value, found an object or a list"));
        };
        let (types, message) = (self.types, self.types.of(descriptor));
        if !self.slot.is_group {
            return nested(self.slot.number, self.out, |out| write(Body { types, message, out }));
        }
        tag(self.slot.number, START_GROUP, self.out);
        write(Body { types, message, out: self.out })?;
        tag(self.slot.number, END_GROUP, self.out);
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for One<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for One<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the JSON of {}.{}", self.message, self.slot.name)
    }

    visit_scalars!(());

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        self.inside(|body| body.visit_map(map))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<(), A::Error> {
        self.inside(|body| body.visit_seq(list))
    }
}

/// Writes a message that `write` fills.
fn nested<E>(number: u32, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Result<(), E> {
    let mut inner = Vec::new();
    write(&mut inner)?;
    delimited(number, &inner, out);
    Ok(())
}

fn delimited(number: u32, bytes: &[u8], out: &mut Vec<u8>) {
    tag(number, LENGTH_DELIMITED, out);
    encode_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

fn tag(number: u32, wire_type: u8, out: &mut Vec<u8>) {
    encode_varint(u64::from(number << 3 | u32::from(wire_type)), out);
}
