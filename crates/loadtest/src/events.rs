//! The events of a run, made from the codec's corpus.
//!
//! There are only a few dozen different payloads. Each event has a number, which is part of its event id. Everything
//! else follows from the number, so millions of events need no memory, and the expected content of an event can be
//! derived from its event id.

use std::collections::BTreeMap;

use anyhow::Context as _;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use md5::{Digest as _, Md5};
use protojson::{Options, Schema};
use sha2::Sha256;

use crate::spec::{Size, Spec};

#[path = "../../protojson/corpus/corpus.rs"]
mod corpus;
mod document;
mod large;

pub(crate) use corpus::DESCRIPTOR_SET;
pub(crate) use large::{CLAIMS_BUCKET, CLAIMS_PREFIX, OBJECTS_BUCKET, pointer};

/// The file name of the [`DESCRIPTOR_SET`].
pub(crate) const SET_NAME: &str = "corpus.binpb";

/// All events of a run.
#[derive(Debug)]
pub(crate) struct Events {
    spec: Spec,
    templates: Vec<Template>,
    /// Those of the large events; empty if the spec has none.
    large: Vec<Template>,
    /// For each customer, the share of the events that belongs to it and all customers before it.
    up_to: Vec<f64>,
}

/// The content that many events share.
#[derive(Debug)]
pub(crate) struct Template {
    /// The full name of the message type.
    pub(crate) message_type: &'static str,
    /// The body of the message: the payload as base64, or a pointer to an object that has it.
    pub(crate) body: String,
    /// The MD5 of the body, in hexadecimal.
    pub(crate) md5: String,
    /// The JSON that the service must make of the payload.
    pub(crate) json: String,
    /// The SHA-256 of the JSON in base64, as S3 writes it.
    pub(crate) checksum: String,
    /// The event time, as it appears in the JSON.
    pub(crate) time: String,
    /// The encoding of a compressed payload.
    pub(crate) encoding: Option<&'static str>,
    /// The object that a pointer leads to.
    pub(crate) object: Option<Bytes>,
}

impl Events {
    /// Makes the events of the spec.
    ///
    /// # Errors
    /// Returns an error if the corpus cannot be loaded or transcoded.
    pub(crate) fn new(spec: &Spec) -> anyhow::Result<Self> {
        let schema = Schema::builder().set(SET_NAME, DESCRIPTOR_SET)?.build()?;
        let templates = payloads(spec.size)
            .into_iter()
            .map(|payload| Template::new(&schema, message_type(spec.size), &payload))
            .collect::<anyhow::Result<Vec<_>>>()?;
        let large = if spec.large_percent > 0 { large::templates(&schema)? } else { Vec::new() };
        Ok(Self { spec: spec.clone(), templates, large, up_to: shares(spec.customers, spec.skew) })
    }

    /// Returns the content of the event with this number.
    pub(crate) fn template(&self, number: u64) -> &Template {
        match self.spec.is_large(number) {
            true => &self.large[(number / 100 % self.large.len() as u64) as usize],
            false => &self.templates[(number % self.templates.len() as u64) as usize],
        }
    }

    /// Returns the contents of the large events.
    pub(crate) fn large(&self) -> &[Template] {
        &self.large
    }

    /// Returns the customer that the event belongs to. If the spec fans events out, every customer gets it instead.
    pub(crate) fn customer(&self, number: u64) -> u32 {
        // Spreads consecutive numbers evenly over [0, 1).
        let mixed = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let point = ((mixed ^ (mixed >> 32)) >> 11) as f64 / (1u64 << 53) as f64;
        let last = self.up_to.len() - 1;
        self.up_to.partition_point(|up_to| *up_to <= point).min(last) as u32
    }

    /// Returns the customer's share of the events.
    pub(crate) fn share(&self, customer: u32) -> f64 {
        let at = customer as usize;
        self.up_to[at] - if at == 0 { 0.0 } else { self.up_to[at - 1] }
    }

    /// Returns the mean size of the JSON, in bytes.
    pub(crate) fn json_bytes(&self) -> f64 {
        let mean = |templates: &[Template]| {
            templates.iter().map(|template| template.json.len()).sum::<usize>() as f64 / templates.len().max(1) as f64
        };
        let large = f64::from(self.spec.large_percent) / 100.0;
        mean(&self.templates) * (1.0 - large) + mean(&self.large) * large
    }
}

/// Returns the message type of the events of this size.
pub(crate) fn message_type(size: Size) -> &'static str {
    set(size).message_type
}

/// Returns the part of the corpus that events of this size are made from.
fn set(size: Size) -> corpus::Set {
    let name = match size {
        Size::Tiny => "heartbeat",
        Size::OneKb | Size::HundredKb => "strings",
        Size::TwoKb => "change",
    };
    corpus::sets().into_iter().find(|set| set.name == name).expect("the corpus has this set")
}

fn payloads(size: Size) -> Vec<Vec<u8>> {
    let whole: Vec<Vec<u8>> = set(size).payloads.into_iter().map(<[u8]>::to_vec).collect();
    match size {
        Size::Tiny | Size::TwoKb => whole,
        Size::OneKb => document::sized(&whole, 1_000),
        Size::HundredKb => document::sized(&whole, 100_000),
    }
}

impl Template {
    fn new(schema: &Schema, message_type: &'static str, payload: &[u8]) -> anyhow::Result<Self> {
        let plan = schema.plan(message_type, &Options::default())?;
        let mut json = Vec::new();
        plan.transcode(payload, &mut json)?;
        let json = String::from_utf8(json)?;
        let fields: BTreeMap<String, serde_json::Value> = serde_json::from_str(&json)?;
        let time = ["eventTime", "sentAt"].iter().find_map(|name| fields.get(*name)?.as_str());
        let time = time.unwrap_or("2026-01-01T00:00:00Z").to_owned();
        let (body, md5) = (String::new(), String::new());
        let checksum = checksum(json.as_bytes());
        let template = Self { message_type, body, md5, json, checksum, time, encoding: None, object: None };
        Ok(template.with_body(BASE64_STANDARD.encode(payload)))
    }

    fn with_body(self, body: String) -> Self {
        let md5 = Md5::digest(&body).iter().map(|byte| format!("{byte:02x}")).collect();
        Self { body, md5, ..self }
    }
}

/// Returns the SHA-256 in base64, as S3 writes it.
pub(crate) fn checksum(bytes: &[u8]) -> String {
    BASE64_STANDARD.encode(Sha256::digest(bytes))
}

/// Returns the cumulative shares by Zipf's law: customer n has 1/n^skew of the share of customer 1.
fn shares(customers: u32, skew: f64) -> Vec<f64> {
    let weights: Vec<f64> = (1..=customers.max(1)).map(|rank| f64::from(rank).powf(-skew)).collect();
    let all: f64 = weights.iter().sum();
    let sum = |so_far: &mut f64, weight: &f64| {
        *so_far += weight / all;
        Some(*so_far)
    };
    weights.iter().scan(0.0, sum).collect()
}

/// Returns the event id for a number. It is as long as a UUID.
pub(crate) fn event_id(number: u64) -> String {
    format!("10adbeef-0000-4000-8000-{number:012x}")
}

/// Returns the number in an [`event_id`].
pub(crate) fn number(event_id: &[u8]) -> Option<u64> {
    let digits = event_id.strip_prefix(b"10adbeef-0000-4000-8000-")?;
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// Returns the id that SNS gives to the message with this number.
pub(crate) fn sns_message_id(number: u64) -> String {
    format!("5e57a9e5-0000-4000-8000-{number:012x}")
}

/// Returns the number in an [`sns_message_id`].
pub(crate) fn sns_message_number(id: &str) -> Option<u64> {
    u64::from_str_radix(id.strip_prefix("5e57a9e5-0000-4000-8000-")?, 16).ok()
}

/// Returns the id of an event's message on the input queue.
pub(crate) fn message_id(number: u64) -> String {
    format!("0e55a6e0-0000-4000-8000-{number:012x}")
}

/// Returns the id of a customer.
pub(crate) fn customer_id(customer: u32) -> String {
    format!("customer-{customer:05}")
}

const TOPIC: &str = "arn:aws:sns:eu-west-1:000000000000:json-customer-";

/// The template of the topic ARNs; `{customer}` is replaced by the customer id.
pub(crate) const TOPIC_TEMPLATE: &str = "arn:aws:sns:eu-west-1:000000000000:json-{customer}";

/// Returns the ARN of a customer's topic.
pub(crate) fn topic(customer: u32) -> String {
    format!("{TOPIC}{customer:05}")
}

/// Returns the customer that the topic belongs to.
///
/// # Errors
/// Returns an error if the ARN is not that of a customer's topic.
pub(crate) fn customer_of_topic(arn: &str) -> anyhow::Result<u32> {
    let digits = arn.strip_prefix(TOPIC).with_context(|| format!("{arn} is not a customer's topic"))?;
    Ok(digits.parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_json_has_the_size_that_its_name_says() {
        for (size, from, to) in [
            (Size::Tiny, 50, 200),
            (Size::OneKb, 900, 1_600),
            (Size::TwoKb, 1_700, 2_300),
            (Size::HundredKb, 95_000, 110_000),
        ] {
            let events = Events::new(&Spec { size, ..Spec::default() }).unwrap();
            let bytes = events.json_bytes() as u64;
            assert!((from..to).contains(&bytes), "{}: {bytes} bytes of JSON", size.name());
        }
    }

    #[test]
    fn events_are_distributed_over_customers_by_rank() {
        let spec = Spec { customers: 100, skew: 1.0, ..Spec::default() };
        let events = Events::new(&spec).unwrap();
        let mut counts = vec![0u32; 100];
        for number in 0..100_000 {
            counts[events.customer(number) as usize] += 1;
        }
        for customer in [0, 1, 9, 99] {
            let expected = events.share(customer) * 100_000.0;
            let found = f64::from(counts[customer as usize]);
            assert!((found - expected).abs() < expected * 0.2, "customer {customer}: {found} of {expected}");
        }
        assert!((events.share(0) / events.share(9) - 10.0).abs() < 1e-6);
    }

    #[test]
    fn ids_and_topics_are_parsed_back() {
        assert_eq!(number(event_id(4_999_999).as_bytes()), Some(4_999_999));
        assert_eq!(number(b"something-else"), None);
        assert_eq!(customer_of_topic(&topic(9_999)).unwrap(), 9_999);
        assert_eq!(topic(7), TOPIC_TEMPLATE.replace("{customer}", &customer_id(7)));
        assert!(customer_of_topic("arn:aws:sns:eu-west-1:000000000000:other").is_err());
    }
}
