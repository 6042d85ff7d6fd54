//! The implementations that the benches compare, and the check that their outputs are equal.

use std::fmt;
use std::sync::Arc;

use prost::Message;
use protojson::{Options, Schema};
use serde::Serialize;
use serde_json::Value;

use crate::corpus::{self, Set};

/// The output of prost-build and pbjson-build for the schema of the corpus. The program in `generate/` writes it.
#[allow(unreachable_pub, clippy::all, clippy::pedantic)]
mod generated {
    include!("generated/bench.rs");
    include!("generated/bench.serde.rs");
}

/// A function from wire bytes to JSON, which it appends.
pub(crate) type Transcode = Box<dyn Fn(&[u8], &mut Vec<u8>)>;

/// An implementation that transcodes wire bytes to ProtoJSON.
pub(crate) struct Rival {
    pub(crate) name: &'static str,
    /// Appends the JSON of one payload.
    pub(crate) transcode: Transcode,
}

impl Rival {
    fn new(name: &'static str, transcode: impl Fn(&[u8], &mut Vec<u8>) + 'static) -> Self {
        Self { name, transcode: Box::new(transcode) }
    }
}

/// Returns all rivals for the message type of a set, protojson first. Each rival does its one-time work in advance and
/// writes into a reused buffer.
pub(crate) fn all(set: &Set) -> Vec<Rival> {
    vec![ours(set), prost_reflect(set), buffa(set), prost_pbjson(set)]
}

fn ours(set: &Set) -> Rival {
    let schema = Schema::builder().set("corpus.binpb", corpus::DESCRIPTOR_SET).expect("a set that links");
    let schema = schema.build().expect("no conflict");
    let plan = schema.plan(set.message_type, &Options::default()).expect("a known type");
    Rival::new("protojson", move |wire, json| plan.transcode(wire, json).expect("a valid payload"))
}

fn prost_reflect(set: &Set) -> Rival {
    let pool = prost_reflect::DescriptorPool::decode(corpus::DESCRIPTOR_SET).expect("a set that links");
    let descriptor = pool.get_message_by_name(set.message_type).expect("a known type");
    Rival::new("prost-reflect + serde_json", move |wire, json| {
        let message = prost_reflect::DynamicMessage::decode(descriptor.clone(), wire).expect("a valid payload");
        serde_json::to_writer(json, &message).expect("a renderable message");
    })
}

fn buffa(set: &Set) -> Rival {
    let pool = Arc::new(buffa_descriptor::DescriptorPool::decode(corpus::DESCRIPTOR_SET).expect("a set that links"));
    let index = pool.message_index(set.message_type).expect("a known type");
    Rival::new("buffa-descriptor", move |wire, json| {
        let message = buffa_descriptor::DynamicMessage::decode(Arc::clone(&pool), index, wire);
        serde_json::to_writer(json, &message.expect("a valid payload")).expect("a renderable message");
    })
}

fn prost_pbjson(set: &Set) -> Rival {
    const NAME: &str = "prost + pbjson, generated";
    match set.message_type {
        "bench.ChangeEvent" => Rival::new(NAME, generated::<generated::ChangeEvent>),
        "bench.Document" => Rival::new(NAME, generated::<generated::Document>),
        "bench.Metrics" => Rival::new(NAME, generated::<generated::Metrics>),
        "bench.Node" => Rival::new(NAME, generated::<generated::Node>),
        "bench.Heartbeat" => Rival::new(NAME, generated::<generated::Heartbeat>),
        "bench.Blob" => Rival::new(NAME, generated::<generated::Blob>),
        other => panic!("no generated code for {other}"),
    }
}

fn generated<M: Message + Default + Serialize>(wire: &[u8], json: &mut Vec<u8>) {
    let message = M::decode(wire).expect("a valid payload");
    serde_json::to_writer(json, &message).expect("a renderable message");
}

/// Panics unless all rivals give equal JSON for every payload of the set. Returns the average size of protojson's JSON
/// in bytes.
///
/// The outputs are compared as values: members in any order, numbers by value (`1` equals `1.0`). Two more differences
/// are allowed:
/// - pbjson writes the zone of a Timestamp as `+00:00`, and canonical ProtoJSON as `Z`;
/// - buffa-descriptor writes a float with the digits of the equal double, such as `0.10000000149011612` for `0.1`.
pub(crate) fn check(set: &Set, rivals: &[Rival]) -> usize {
    let mut bytes = 0;
    for (index, payload) in set.payloads.iter().enumerate() {
        let (ours, others) = rivals.split_first().expect("protojson is always a rival");
        let mut json = Vec::new();
        (ours.transcode)(payload, &mut json);
        bytes += json.len();
        let expected: Value = serde_json::from_slice(&json).expect("JSON");
        for rival in others {
            json.clear();
            (rival.transcode)(payload, &mut json);
            let given: Value = serde_json::from_slice(&json).expect("JSON");
            if let Err(difference) = equal(&expected, &given) {
                panic!("{} {index}: {} and {} differ: {difference}", set.name, ours.name, rival.name);
            }
        }
    }
    bytes / set.payloads.len()
}

/// Returns an error with the place where two values differ, innermost first.
fn equal(ours: &Value, theirs: &Value) -> Result<(), String> {
    let within = |place: &dyn fmt::Display, result: Result<(), String>| result.map_err(|e| format!("{e} in {place}"));
    match (ours, theirs) {
        (Value::Object(one), Value::Object(other)) if one.len() == other.len() => {
            one.iter().try_for_each(|(key, value)| within(key, equal(value, other.get(key).unwrap_or(&Value::Null))))
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            one.iter().zip(other).enumerate().try_for_each(|(at, (one, other))| within(&at, equal(one, other)))
        }
        (Value::Number(one), Value::Number(other)) if same_number(one.as_f64(), other.as_f64()) => Ok(()),
        (Value::String(one), Value::String(other))
            if one.strip_suffix('Z').is_some_and(|time| other.strip_suffix("+00:00") == Some(time)) =>
        {
            Ok(())
        }
        _ if ours == theirs => Ok(()),
        _ => Err(format!("{ours} and {theirs}")),
    }
}

fn same_number(ours: Option<f64>, theirs: Option<f64>) -> bool {
    let (Some(ours), Some(theirs)) = (ours, theirs) else { return false };
    // serde_json can misread the last bit of a double, which matters if two rivals spell one number differently.
    ours == theirs || (f64::from(ours as f32) - theirs).abs() <= f64::EPSILON * theirs.abs()
}
