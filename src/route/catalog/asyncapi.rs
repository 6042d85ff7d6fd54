//! The AsyncAPI 3.0 document of the customers' topics: the events of each topic, and the schemas of their JSON.
//!
//! The document has protobridge's point of view, so all operations are `send`. Customers with the same profile share
//! messages and schemas, so each further customer adds only a channel. The document is created without I/O, and the same
//! configuration always gives the same document.

mod message;
mod schemas;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use protojson::Additions;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::config::Config;
use crate::route::{Customer, Glob, Router};
use crate::schema::registry::{CANARY, HEARTBEAT, ProfileId, Profiles, Snapshot};
use schemas::Schemas;

/// The input of a document.
#[derive(Debug)]
pub struct Subject<'a> {
    /// The message types.
    pub snapshot: &'a Snapshot,
    /// The profiles of the customers.
    pub profiles: &'a Profiles,
    /// The customers whose topics are described, in this order.
    pub customers: Vec<Arc<Customer>>,
    /// The message types that are events; see [`event_types`].
    pub event_types: Vec<&'a str>,
    /// The base URL of SNS, if it is not the region's.
    pub endpoint: Option<&'a str>,
    /// Whether the schemas accept what newer versions of the types add.
    pub additions: Additions,
}

/// Returns the types that are events, sorted.
///
/// A type is an event if no other type has a field of it. It is also an event if the configuration names it without a star:
/// as the default type of a queue, as a broadcast type, or in the `events` of a customer.
pub fn event_types<'s>(snapshot: &'s Snapshot, router: &Router, config: &Config) -> Vec<&'s str> {
    let mut named: HashSet<&str> = config.queues.iter().filter_map(|queue| queue.default_type.as_deref()).collect();
    named.extend(config.route.broadcast.iter().map(String::as_str));
    named.extend(router.customers().flat_map(|customer| &customer.events).map(Glob::as_str));
    let held = snapshot.held();
    let is_event = |name: &&str| !held.contains(*name) || named.contains(name);
    let mut types = snapshot.type_names();
    let has_canaries = router.canary_topic().is_some() && router.customers().any(|customer| customer.canary);
    for (built_in, is_sent) in [(HEARTBEAT, named.contains(HEARTBEAT)), (CANARY, has_canaries)] {
        if is_sent && !types.contains(&built_in) {
            types.push(built_in);
            types.sort_unstable();
        }
    }
    types.into_iter().filter(is_event).collect()
}

/// Creates the document.
pub fn document(subject: &Subject<'_>) -> Value {
    let mut event_types = Names::default();
    let mut writer = Writer {
        subject,
        event_types: subject.event_types.iter().map(|name| (*name, event_types.unique(name))).collect(),
        profiles: profile_tokens(subject.profiles),
        servers: BTreeMap::new(),
        schemas: Schemas::default(),
        messages: BTreeMap::new(),
        messages_by_group: HashMap::new(),
    };
    let mut names = Names::default();
    let (mut channels, mut operations) = (Map::new(), Map::new());
    for customer in &subject.customers {
        let name = names.unique(&customer.id);
        let operation = json!({
            "action": "send",
            "channel": {"$ref": format!("#/channels/{name}")},
            "summary": format!("protobridge publishes the events of {}; its consumers receive them.", customer.id)
        });
        operations.insert(name.clone(), operation);
        channels.insert(name, writer.channel(customer));
    }
    let mut schemas = writer.schemas.into_components();
    let has_claim_checks = subject.customers.iter().any(|customer| customer.claim_check.is_on());
    schemas.insert(message::ATTRIBUTES.to_owned(), message::attributes(has_claim_checks));
    json!({
        "asyncapi": "3.0.0",
        "info": info(subject.snapshot),
        "defaultContentType": "application/json",
        "servers": Value::from_iter(writer.servers),
        "channels": channels,
        "operations": operations,
        "components": {"messages": Value::from_iter(writer.messages), "schemas": schemas}
    })
}

struct Writer<'a> {
    subject: &'a Subject<'a>,
    /// The keys of the event types.
    event_types: HashMap<&'a str, String>,
    /// The keys of the profiles.
    profiles: HashMap<ProfileId, String>,
    servers: BTreeMap<String, Value>,
    schemas: Schemas,
    messages: BTreeMap<String, Value>,
    /// The messages of a channel, by profile and globs. Many customers have the same profile and globs.
    messages_by_group: HashMap<(ProfileId, Vec<String>, bool), Value>,
}

impl Writer<'_> {
    fn channel(&mut self, customer: &Arc<Customer>) -> Value {
        let topic = customer.topic.as_str().rsplit(':').next().unwrap_or_default();
        let mut binding = json!({"name": topic});
        if topic.ends_with(".fifo") {
            binding["ordering"] = json!({"type": "FIFO"});
        }
        let server = self.server(customer.topic.as_str());
        let mut channel = json!({
            "address": customer.topic.as_str(),
            "title": *customer.id,
            "servers": [{"$ref": format!("#/servers/{server}")}],
            "messages": self.messages(customer),
            "bindings": {"sns": binding}
        });
        if let Some(description) = message::claim_check(customer.claim_check) {
            channel["description"] = description.into();
        }
        channel
    }

    /// Adds the server of a topic. Returns its key.
    fn server(&mut self, arn: &str) -> String {
        let mut parts = arn.split(':').skip(1);
        let (partition, region) = (parts.next().unwrap_or_default(), parts.nth(1).unwrap_or_default());
        let name = format!("sns-{region}");
        let endpoint = self.subject.endpoint;
        self.servers.entry(name.clone()).or_insert_with(|| {
            let domain = if partition == "aws-cn" { "amazonaws.com.cn" } else { "amazonaws.com" };
            let regional = format!("sns.{region}.{domain}");
            let host = endpoint.map_or(regional.as_str(), |url| url.split_once("://").map_or(url, |(_, rest)| rest));
            json!({
                "host": host.split('/').next().unwrap_or(host),
                "protocol": "sns",
                "description": format!("Amazon SNS in {region}")
            })
        });
        name
    }

    /// Returns references to the messages that a customer receives, by type. Adds the messages that are new.
    fn messages(&mut self, customer: &Arc<Customer>) -> Value {
        let globs = customer.events.iter().map(|glob| glob.as_str().to_owned()).collect();
        let group = (customer.profile, globs, customer.canary);
        if let Some(known) = self.messages_by_group.get(&group) {
            return known.clone();
        }
        let mut messages = Map::new();
        for event_type in self.subject.event_types.iter().filter(|event_type| customer.receives(event_type)) {
            let Some(known) = self.subject.snapshot.find(event_type) else { continue };
            let name = &self.event_types[*event_type];
            let key = format!("{}-{name}", self.profiles[&customer.profile]);
            if !self.messages.contains_key(&key) {
                let schema = known.json_schema(customer.profile, self.subject.additions);
                let payload = self.schemas.add(&self.profiles[&customer.profile], schema);
                let message = message::message(known, name, customer, payload);
                self.messages.insert(key.clone(), message);
            }
            messages.insert(name.clone(), json!({"$ref": format!("#/components/messages/{key}")}));
        }
        self.messages_by_group.insert(group, Value::Object(messages.clone()));
        messages.into()
    }
}

/// Describes the document. The version changes whenever a descriptor set changes.
fn info(snapshot: &Snapshot) -> Value {
    let mut hashes: Vec<&str> = snapshot.sets().iter().map(|set| &*set.hash).collect();
    hashes.sort_unstable();
    let version: String = Sha256::digest(hashes.concat())[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    json!({
        "title": "Events as JSON",
        "version": version,
        "description": "Events that protobridge publishes as JSON (ProtoJSON), one SNS topic per customer.\n\n\
            The document has protobridge's point of view: protobridge sends, and the subscriber of a topic receives.\n\n\
            The headers are SNS message attributes of type String; subscriptions can filter by them. An event can arrive \
            more than once, always with the same `event-type` and `event-id`: deduplicate on both together. A queue that \
            is subscribed without raw message delivery receives the JSON as the string `Message` of a notification, and \
            the attributes under `MessageAttributes`."
    })
}

fn profile_tokens(profiles: &Profiles) -> HashMap<ProfileId, String> {
    let mut names = Names::default();
    let tokens = profiles.names().iter().filter_map(|name| Some((profiles.find(name)?, names.unique(name))));
    tokens.collect()
}

/// The keys that are in use.
#[derive(Debug, Default)]
struct Names(BTreeSet<String>);

impl Names {
    /// Returns a key for a name. Adds a number if the key is in use.
    fn unique(&mut self, name: &str) -> String {
        let key = token(name);
        let mut name = key.clone();
        let mut count = 1;
        while !self.0.insert(name.clone()) {
            count += 1;
            name = format!("{key}-{count}");
        }
        name
    }
}

/// Replaces the characters that a key of a component cannot have, and dots: code generators make names of types of keys.
fn token(name: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    name.chars().map(|c| if fits(c) { c } else { '_' }).collect()
}

#[cfg(test)]
#[path = "asyncapi/tests.rs"]
mod tests;
