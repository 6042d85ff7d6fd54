//! The expected JSON of an event, from a library that is independent of protobridge's codec.

use std::sync::LazyLock;

use prost_reflect::{DescriptorPool, DynamicMessage};
use protobridge::cli::embedded::samples::{SETS, Sample};
use serde_json::Value;

/// Renders an event as canonical JSON.
pub(crate) fn json(event: &Sample) -> Value {
    static POOLS: LazyLock<Vec<DescriptorPool>> = LazyLock::new(|| {
        SETS.iter().map(|(_, set)| DescriptorPool::decode(*set).expect("the descriptor set is valid")).collect()
    });
    let descriptor = POOLS.iter().find_map(|pool| pool.get_message_by_name(&event.message_type));
    let descriptor = descriptor.unwrap_or_else(|| panic!("no descriptor set defines {}", event.message_type));
    let message = DynamicMessage::decode(descriptor, &*event.payload).expect("the payload can be decoded");
    // Serialize to text and parse it again: only the text has the shortest digits of a 32-bit float.
    let text = serde_json::to_string(&message).expect("the event can be rendered");
    parse(&text)
}

/// Parses JSON and turns every number into an `f64`, so that `2` and `2.0` compare as equal.
pub(crate) fn parse(text: &str) -> Value {
    fn numbers_to_f64(value: &mut Value) {
        match value {
            Value::Number(number) => *value = number.as_f64().into(),
            Value::Array(values) => values.iter_mut().for_each(numbers_to_f64),
            Value::Object(fields) => fields.values_mut().for_each(numbers_to_f64),
            Value::Null | Value::Bool(_) | Value::String(_) => {}
        }
    }
    let mut value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    numbers_to_f64(&mut value);
    value
}
