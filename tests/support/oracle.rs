//! What an event's JSON should be, by a library that has nothing to do with our codec.

use std::sync::LazyLock;

use prost_reflect::{DescriptorPool, DynamicMessage};
use protobridge::cli::embedded::samples::{SETS, Sample};
use serde_json::Value;

/// An event as canonical JSON.
pub(crate) fn json(event: &Sample) -> Value {
    static POOLS: LazyLock<Vec<DescriptorPool>> =
        LazyLock::new(|| SETS.iter().map(|(_, set)| DescriptorPool::decode(*set).expect("the set is good")).collect());
    let descriptor = POOLS.iter().find_map(|pool| pool.get_message_by_name(&event.message_type));
    let descriptor = descriptor.unwrap_or_else(|| panic!("{} is in no set", event.message_type));
    let message = DynamicMessage::decode(descriptor, &*event.payload).expect("the event is whole");
    // By way of text, because that is where a 32-bit float gets its digits.
    let text = serde_json::to_string(&message).expect("the event can be rendered");
    parse(&text)
}

/// Parses JSON. Equal numbers are equal values afterwards, whether they are written `2` or `2.0`.
pub(crate) fn parse(text: &str) -> Value {
    fn even(value: &mut Value) {
        match value {
            Value::Number(number) => *value = number.as_f64().into(),
            Value::Array(values) => values.iter_mut().for_each(even),
            Value::Object(fields) => fields.values_mut().for_each(even),
            Value::Null | Value::Bool(_) | Value::String(_) => {}
        }
    }
    let mut value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    even(&mut value);
    value
}
