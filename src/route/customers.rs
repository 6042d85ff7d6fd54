//! The customers file.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::{fs, io};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use strict_config::Problem;

use crate::aws::s3::place::{self, NoAddress};
use crate::config::region::topic_in_region;
use crate::config::{Location, names};
use crate::message::{MAX_CUSTOMER_PART_BYTES, TopicArn, attributes, customer_part};
use crate::route::{ClaimCheckMode, Glob, Loss};
use crate::schema::registry::{CANARY, ProfileId, Profiles};

/// The content of the customers file: which customers receive which events, at which topic and in which profile.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CustomersFile {
    /// The customers.
    #[serde(default)]
    pub customers: Vec<CustomerEntry>,
    /// The ids of customers that were removed on purpose. A reload that removes more customers at once than
    /// `route.max_removed_percent` allows is refused unless they are listed here.
    #[serde(default)]
    pub removed: Vec<String>,
}

/// One customer in the file.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CustomerEntry {
    /// The customer's id, as it is in events.
    pub id: String,
    /// The ARN of the customer's topic. Default: `route.topic_template` with the customer's id.
    #[serde(default)]
    pub topic: Option<String>,
    /// The message types that the customer receives. `*` matches any run of characters.
    #[serde(default = "all_events")]
    pub events: Vec<String>,
    /// The name of the profile that renders the customer's JSON.
    #[serde(default = "default_profile")]
    pub profile: String,
    /// Whether the customer receives anything at all.
    #[serde(default = "enabled")]
    pub enabled: bool,
    /// Whether the customer also receives canaries: test events with the attribute `canary=true`, which the customer must
    /// expect and ignore. They do not depend on `events`.
    #[serde(default)]
    pub canary: bool,
    /// Which events leave as a claim check: the JSON is stored in `claim_check.bucket`, and the topic carries a pointer to
    /// it, which the customer must be able to read. `off` (default): none. `on`: events above `claim_check.over_bytes`.
    /// `always`: all events.
    #[serde(default = "no_claim_check")]
    #[schemars(schema_with = "claim_check_schema")]
    pub claim_check: String,
}

fn no_claim_check() -> String {
    ClaimCheckMode::Off.name().to_owned()
}

/// Returns the schema of `claim_check`. The rules of the file compare the text, so that `true` and `false` of YAML 1.1 pass,
/// and so that an error names only the values that people should write.
fn claim_check_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string"})
}

fn all_events() -> Vec<String> {
    vec!["*".to_owned()]
}

fn default_profile() -> String {
    "default".to_owned()
}

fn enabled() -> bool {
    true
}

/// One customer, ready for routing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Customer {
    /// The customer's id.
    pub id: Arc<str>,
    /// The ARN of the customer's topic.
    pub topic: TopicArn,
    /// The message types that the customer receives.
    pub events: Vec<Glob>,
    /// The profile that renders the customer's JSON.
    pub profile: ProfileId,
    /// Whether the customer receives anything at all.
    pub enabled: bool,
    /// Whether the customer also receives canaries.
    pub canary: bool,
    /// Which events leave as a claim check.
    pub claim_check: ClaimCheckMode,
}

impl Customer {
    /// Whether the customer's `events` include this type. Canaries reach exactly the customers that opted in.
    pub fn receives(&self, event_type: &str) -> bool {
        if event_type == CANARY {
            return self.canary;
        }
        self.events.iter().any(|glob| glob.matches(event_type))
    }
}

/// Why the customers could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("cannot read customers file {path}: {error}; set `route.customers_file` to it")]
    Unreadable {
        /// The file.
        path: Location,
        /// The reason.
        error: io::Error,
    },
    /// A bucket has no address.
    #[error(transparent)]
    NoAddress(#[from] NoAddress),
    /// The bucket does not answer, or denies the file.
    #[error(transparent)]
    Bucket(#[from] place::Error),
    /// The file has no customers, or lacks many that are in force.
    #[error(transparent)]
    Loss(#[from] Loss),
    /// The file is invalid, or customers in it contradict each other.
    #[error(transparent)]
    Document(#[from] strict_config::Error),
}

impl Error {
    /// Whether the file cannot be read, rather than be used.
    pub fn is_unreadable(&self) -> bool {
        matches!(self, Self::Unreadable { .. } | Self::NoAddress(_) | Self::Bucket(_))
    }
}

/// Reads the text of a customers file that is not in a bucket.
///
/// # Errors
/// Returns an error if the file cannot be read.
pub fn read(location: &Location) -> Result<String, Error> {
    let text = match location {
        Location::Path(path) => fs::read_to_string(path),
        Location::Bucket(_) => Err(io::Error::other("it is in a bucket, and only files can be read here")),
    };
    text.map_err(|error| Error::Unreadable { path: location.clone(), error })
}

/// The settings that the customers must fit.
#[derive(Debug, Clone, Copy)]
pub(super) struct TopicRules<'c> {
    /// `route.topic_template`.
    pub(super) template: Option<&'c str>,
    /// The region that AWS is called in, if it is known.
    pub(super) region: Option<&'c str>,
    /// `canary.topic`.
    pub(super) canary_topic: Option<&'c TopicArn>,
    /// Whether there is a `claim_check.bucket`.
    pub(super) has_claims_bucket: bool,
}

/// The content of the customers file, ready for routing.
#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) customers: Vec<Arc<Customer>>,
    /// The ids of customers that were removed on purpose.
    pub(super) removed: HashSet<String>,
}

/// Parses the text of the customers file.
pub(super) fn parse(
    location: &Location,
    text: &str,
    topics: TopicRules<'_>,
    profiles: &Profiles,
) -> Result<Parsed, Error> {
    let template = topics.template;
    let rules = |file: &CustomersFile| problems(file, topics, profiles);
    let file = strict_config::document_with(Path::new(&location.to_string()), text, rules)?;
    let customer = |entry: &CustomerEntry| {
        Some(Arc::new(Customer {
            id: entry.id.as_str().into(),
            topic: topic(entry, template)?.into(),
            events: entry.events.iter().map(|glob| Glob::new(glob)).collect(),
            profile: profiles.find(&entry.profile)?,
            enabled: entry.enabled,
            canary: entry.canary,
            claim_check: ClaimCheckMode::parse(&entry.claim_check)?,
        }))
    };
    // `problems` has checked that every customer has a topic, a profile and a known claim check.
    let customers = file.customers.iter().filter_map(customer).collect();
    Ok(Parsed { customers, removed: file.removed.into_iter().collect() })
}

fn topic(entry: &CustomerEntry, template: Option<&str>) -> Option<String> {
    entry.topic.clone().or_else(|| Some(template?.replace("{customer}", &entry.id)))
}

/// Checks the claim check of a customer.
///
/// # Errors
/// Returns the problem with the way out.
fn claim_check(entry: &CustomerEntry, rules: TopicRules<'_>) -> Result<(), String> {
    let Some(mode) = ClaimCheckMode::parse(&entry.claim_check) else {
        return Err(format!("expected `off`, `on` or `always`, found {:?}", entry.claim_check));
    };
    if !mode.is_on() {
        return Ok(());
    }
    if !rules.has_claims_bucket {
        let why =
            "has no effect without a bucket; set `claim_check.bucket` in the configuration, or leave this key out";
        return Err(format!("`{}` {why}", mode.name()));
    }
    let bytes = customer_part(&entry.id).len();
    if bytes > MAX_CUSTOMER_PART_BYTES {
        return Err(format!(
            "the id takes {bytes} bytes in the keys of the objects, and at most {MAX_CUSTOMER_PART_BYTES} fit; shorten the \
             id, or leave this key out"
        ));
    }
    Ok(())
}

/// Validates the customers file and returns its problems.
fn problems(file: &CustomersFile, rules: TopicRules<'_>, profiles: &Profiles) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut ids: HashSet<&str> = HashSet::new();
    let mut topics: HashMap<String, &str> = HashMap::new();
    for (index, entry) in file.customers.iter().enumerate() {
        let id = entry.id.as_str();
        let mut report = |key: &str, message: String| {
            problems.push(Problem::new(format!("customers[{index}].{key}"), message));
        };
        if id.is_empty() {
            report("id", "is empty".to_owned());
        }
        if !attributes::is_accepted(id) {
            let why = "has a control character, which SNS refuses in the attribute `customer-id`";
            report("id", format!("{} {why}", id.escape_debug()));
        }
        if !ids.insert(id) {
            report("id", format!("{id} is listed twice"));
        }
        if file.removed.iter().any(|removed| removed == id) {
            report("id", format!("{id} is also listed under `removed`; delete it there if the customer is back"));
        }
        for (position, glob) in entry.events.iter().enumerate() {
            if let Err(error) = names::type_glob(glob) {
                report(&format!("events[{position}]"), error.to_string());
            }
        }
        if profiles.find(&entry.profile).is_none() {
            let names = profiles.names().join(", ");
            report("profile", format!("there is no profile {}; the configuration has: {names}", entry.profile));
        }
        if let Err(problem) = claim_check(entry, rules) {
            report("claim_check", problem);
        }
        let Some(topic) = topic(entry, rules.template) else {
            report("topic", format!("{id} has no topic; give it one, or set `route.topic_template`"));
            continue;
        };
        if let Err(error) = names::topic_arn(&topic).and_then(|()| topic_in_region(rules.region, &topic)) {
            report("topic", format!("{topic} {error}"));
        }
        if rules.canary_topic.is_some_and(|canary| canary.as_str() == topic) {
            report("topic", format!("{topic} is `canary.topic`, which must belong to no customer"));
        }
        if let Some(other) = topics.insert(topic.clone(), id)
            && other != id
        {
            report("topic", format!("{other} has the same topic {topic}, so each would receive the other's events"));
        }
    }
    problems
}
