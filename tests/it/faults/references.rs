//! Messages that refer to something outside of them: to an object in S3, or to a schema of the schema registry.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use fastrand::Rng;
use protobridge::config::{Config, Framing};
use serde_json::json;

use super::hazard::Hazard;
use super::scenario::{Expect, ORDER, Planned, Scenario, field};
use crate::model::{Target, World};

/// The buckets that messages can point to.
const BUCKETS: [&str; 2] = ["events-a", "events-b"];
/// The number of schemas in the registry. Each of them has the same types: it is a version of the same file.
const SCHEMAS: u32 = 40;
/// A schema id that the registry does not have.
const UNKNOWN_SCHEMA: u32 = 1_000;
const REGISTRY: &str = "http://registry:8081";

/// The things that the messages of a scenario refer to.
#[derive(Debug, Default)]
pub(super) struct References {
    /// The objects in S3: bucket, key and content.
    objects: Vec<(&'static str, String, String)>,
    /// Whether the source queue has Confluent's framing.
    pub(super) is_framed: bool,
    /// The events that depend on a bucket or on the registry.
    dependents: Vec<(Arc<str>, Target)>,
}

/// Moves payloads of some scenarios to S3, and wraps the payloads of some scenarios in Confluent's framing. A hazard of S3
/// or of the registry requires that. Draws from random numbers of its own.
pub(super) fn refer(scenario: &mut Scenario, hazard: Option<Hazard>) {
    let random = &mut Rng::with_seed(scenario.seed ^ 0x0b1ec7);
    let is_framed = random.u8(..8) == 0 || hazard == Some(Hazard::SchemaRegistry);
    let are_stored = random.u8(..6) == 0 || hazard == Some(Hazard::Bucket);
    if is_framed {
        scenario.references.is_framed = true;
        scenario.messages.iter_mut().for_each(|planned| frame(random, planned));
    }
    if are_stored {
        store_some(random, scenario);
    }
    let needs = |planned: &Planned| -> Vec<_> {
        planned.needs.iter().map(|target| (Arc::clone(&planned.message.name), target.clone())).collect()
    };
    scenario.references.dependents = scenario.messages.iter().flat_map(needs).collect();
}

/// Wraps a payload in Confluent's wire format. Half of the messages name their type only by the schema.
fn frame(random: &mut Rng, planned: &mut Planned) {
    let Ok(payload) = BASE64_STANDARD.decode(&planned.message.body) else { return };
    let attributes = planned.message.attributes.as_object_mut().expect("the attributes are an object");
    let message_type = attributes["message-type"]["StringValue"].as_str().expect("the type is a text").to_owned();
    let id = match (&*message_type, &planned.expect) {
        (_, Expect::Quarantined("unknown_type")) => UNKNOWN_SCHEMA,
        (ORDER, _) => random.u32(1..=SCHEMAS),
        // The registry has no schema with this type.
        _ => 0,
    };
    if id > 0 && random.bool() {
        attributes.remove("message-type");
        planned.needs.push(Target::SchemaRegistry);
    }
    // One index in zigzag: the second message of the file.
    let framed = [&[0], &id.to_be_bytes()[..], &[2, 2], &payload].concat();
    planned.message.body = BASE64_STANDARD.encode(framed);
}

/// Returns the `google.protobuf.FileDescriptorProto` of every schema. The type of the orders is its second message.
fn schema() -> Vec<u8> {
    let (package, name) = ORDER.rsplit_once('.').expect("the type has a package");
    let message = |name: &str| field(4, &field(1, name.as_bytes()));
    [field(2, package.as_bytes()), message("Another"), message(name)].concat()
}

/// Draws a bucket. The first one has three times as many objects, more than can wait for it in memory.
pub(super) fn bucket(random: &mut Rng) -> &'static str {
    BUCKETS[usize::from(random.u8(..4) == 0)]
}

/// Moves the payloads of about half of the messages to S3. A few of these objects do not exist.
fn store_some(random: &mut Rng, scenario: &mut Scenario) {
    let mut counts = BTreeMap::<Arc<str>, usize>::new();
    for planned in &scenario.messages {
        *counts.entry(Arc::clone(&planned.message.name)).or_default() += 1;
    }
    for (number, planned) in scenario.messages.iter_mut().enumerate() {
        if random.bool() {
            continue;
        }
        let message = &mut planned.message;
        let bucket = bucket(random);
        let key = format!("{}/{number}", message.name);
        let pointer = json!(["software.amazon.payloadoffloading.PayloadS3Pointer",
            {"s3BucketName": bucket, "s3Key": &key}]);
        let content = std::mem::replace(&mut message.body, pointer.to_string());
        message.attributes["ExtendedPayloadSize"] =
            json!({"DataType": "Number", "StringValue": content.len().to_string()});
        planned.needs.push(Target::Bucket(bucket.to_owned()));
        if counts[&message.name] == 1 && random.u8(..12) == 0 {
            planned.expect = Expect::Quarantined("bad_envelope");
            // A message that waits for its object, or never leaves the queue, blocks its group.
            message.group = message.group.is_some().then(|| format!("own-{number}"));
        } else {
            scenario.references.objects.push((bucket, key, content));
        }
    }
}

impl References {
    /// Configures the service for these references.
    pub(super) fn configure(&self, config: &mut Config) {
        if !self.objects.is_empty() {
            config.envelope.s3_buckets = BUCKETS.map(str::to_owned).into();
        }
        if self.is_framed {
            config.queues[0].framing = Framing::Confluent;
            config.confluent.registry_url = Some(REGISTRY.to_owned());
        }
    }

    /// Stores the objects and the schemas in a world.
    pub(super) fn store(&self, world: &World) {
        for (bucket, key, content) in &self.objects {
            world.put_object(bucket, key, content.clone());
        }
        if self.is_framed {
            let schema = schema();
            (1..=SCHEMAS).for_each(|id| world.put_schema(id, &schema));
        }
        for (event, target) in &self.dependents {
            world.depends(event, target.clone());
        }
    }
}
