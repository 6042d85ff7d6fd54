//! Routing: from an event's customer and type to topics.
//!
//! A router is built from the customers file and the names of the known message types. It is immutable, and it knows
//! neither descriptor sets nor the content of profiles. Every lookup is in a hash map, so it costs the same with ten
//! customers as with ten thousand.

mod canaries;
pub mod catalog;
mod checks;
mod claim_check;
mod customers;
mod destination;
mod glob;
mod losses;
mod object;
mod topics;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

pub use checks::warnings;
pub use claim_check::ClaimCheckMode;
pub use customers::{Customer, CustomersFile, Error, read};
pub use destination::Destination;
pub use glob::Glob;
pub use losses::Loss;
pub use object::CustomersObject;
pub use topics::TopicWatch;

use canaries::Canaries;
use customers::TopicRules;

use crate::base::Watched;
use crate::config::{self, Config, FallbackPolicy, Location};
use crate::message::steps::{About, Step, Witness};
use crate::message::{QuarantineKind, QuarantineReason, TopicArn, attributes};
use crate::schema::registry::{CANARY, HEARTBEAT, ProfileId, Profiles, Snapshot};

/// Finds the destinations of an event by its customer and type.
#[derive(Debug)]
pub struct Router {
    customers: HashMap<String, Arc<Customer>>,
    /// The destinations of each known broadcast type.
    broadcasts: HashMap<String, Vec<Destination>>,
    broadcast_globs: Vec<Glob>,
    canaries: Canaries,
    without_customer: FallbackPolicy,
    unknown_customer: FallbackPolicy,
}

/// Everything that decides about an event and that a reload can change. A reload swaps it as a whole, and a decision
/// uses one of it, so the types of a decision are always those that its router knows.
#[derive(Debug)]
pub struct Definitions {
    /// The message types.
    pub snapshot: Arc<Snapshot>,
    /// The customers and their topics.
    pub router: Arc<Router>,
}

/// The definitions in force, and the customers file that the router comes from.
#[derive(Debug)]
pub struct Routes {
    settings: config::Route,
    /// The region that AWS is called in, if it is known.
    region: Option<String>,
    /// The topic of canaries, if there is one.
    canary_topic: Option<TopicArn>,
    /// Whether there is a bucket for claim checks.
    has_claims_bucket: bool,
    profiles: Arc<Profiles>,
    /// The definitions, and the text of the file.
    definitions: Watched<String, Definitions>,
}

impl Routes {
    /// Loads the customers file. If the region of AWS is known, every topic must be in it. `snapshot` has the message types.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read, is invalid or has no customers. The error lists all problems of the
    /// file.
    pub fn load(config: &Config, profiles: Arc<Profiles>, snapshot: Arc<Snapshot>) -> Result<Self, Error> {
        let text = customers::read(&config.route.customers_file)?;
        Self::parse(config, &text, profiles, snapshot)
    }

    /// Loads the text of the customers file. If the region of AWS is known, every topic must be in it. `snapshot` has the
    /// message types.
    ///
    /// # Errors
    /// Returns an error if the file is invalid or has no customers. The error lists all problems of the file.
    pub fn parse(config: &Config, text: &str, profiles: Arc<Profiles>, snapshot: Arc<Snapshot>) -> Result<Self, Error> {
        let (settings, region) = (&config.route, config.aws.region.as_deref());
        let canary_topic = config.canary_path().map(|path| TopicArn::from(path.topic));
        let has_claims_bucket = config.claim_check.bucket.is_some();
        let (template, canary) = (settings.topic_template.as_deref(), canary_topic.as_ref());
        let rules = TopicRules { template, region, canary_topic: canary, has_claims_bucket };
        let parsed = customers::parse(&settings.customers_file, text, rules, &profiles)?;
        losses::check(settings, &[], &parsed)?;
        let router = Router::new(settings, parsed.customers, snapshot.type_names()).with_canary(canary_topic.as_ref());
        let definitions = Watched::new(text.to_owned(), Definitions { snapshot, router: Arc::new(router) });
        let (settings, region) = (settings.clone(), region.map(str::to_owned));
        Ok(Self { settings, region, canary_topic, has_claims_bucket, profiles, definitions })
    }

    /// Creates routes without a file.
    #[cfg(test)]
    pub(crate) fn of(settings: &config::Route, router: Router, snapshot: Arc<Snapshot>) -> Self {
        let profiles = Arc::new(Profiles::new(&Default::default()));
        let definitions = Watched::new(String::new(), Definitions { snapshot, router: Arc::new(router) });
        let settings = settings.clone();
        Self { settings, region: None, canary_topic: None, has_claims_bucket: true, profiles, definitions }
    }

    /// Returns the definitions in force.
    pub fn definitions(&self) -> Arc<Definitions> {
        self.definitions.current()
    }

    /// Returns the router in force.
    pub fn current(&self) -> Arc<Router> {
        Arc::clone(&self.definitions().router)
    }

    /// Returns the place of the customers file.
    pub fn location(&self) -> &Location {
        &self.settings.customers_file
    }

    /// Reads the text of the customers file as it is now.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read.
    pub fn read(&self) -> Result<String, Error> {
        customers::read(&self.settings.customers_file)
    }

    /// Whether this text was offered last.
    pub fn is_current(&self, text: &str) -> bool {
        self.definitions.is_current(text)
    }

    /// Admits this text of the customers file. Returns `None` if the text was offered last.
    ///
    /// # Errors
    /// Returns an error if the text is invalid, or if it lacks more customers than the configuration allows. The router in
    /// force stays in force.
    pub fn admit(&self, text: &str) -> Result<Option<Arc<Router>>, Error> {
        let admitted = self.definitions.admit(text.to_owned(), |text| {
            let template = self.settings.topic_template.as_deref();
            let region = self.region.as_deref();
            let (canary_topic, has_claims_bucket) = (self.canary_topic.as_ref(), self.has_claims_bucket);
            let rules = TopicRules { template, region, canary_topic, has_claims_bucket };
            let parsed = customers::parse(&self.settings.customers_file, text, rules, &self.profiles)?;
            let before = self.definitions();
            let known: Vec<&str> = before.router.customers().map(|customer| &*customer.id).collect();
            losses::check(&self.settings, &known, &parsed)?;
            let snapshot = Arc::clone(&before.snapshot);
            let router = self.router(parsed.customers, &snapshot);
            Ok::<_, Error>(Definitions { snapshot, router })
        })?;
        Ok(admitted.map(|definitions| Arc::clone(&definitions.router)))
    }

    /// Puts message types into force, together with a router that knows them. Returns the router.
    pub fn set_types(&self, snapshot: Arc<Snapshot>) -> Arc<Router> {
        let customers = self.current().customers().cloned().collect();
        let router = self.router(customers, &snapshot);
        self.definitions.replace(Definitions { snapshot, router: Arc::clone(&router) });
        router
    }

    fn router(&self, customers: Vec<Arc<Customer>>, snapshot: &Snapshot) -> Arc<Router> {
        let router = Router::new(&self.settings, customers, snapshot.type_names());
        Arc::new(router.with_canary(self.canary_topic.as_ref()))
    }
}

/// The router's decision about an event.
#[derive(Debug)]
pub enum Routing {
    /// The event goes to these destinations; there is at least one.
    To(Vec<Destination>),
    /// A rule drops the event.
    Filtered(Filtered),
    /// The event has no configured customer, and no rule covers that. It goes to quarantine.
    Unroutable(QuarantineReason),
}

/// Proof that a rule of the operator drops the event.
#[derive(Debug)]
pub struct Filtered {
    rule: &'static str,
}

impl Filtered {
    /// Returns the rule as text for people.
    pub fn rule(&self) -> &'static str {
        self.rule
    }
}

fn filtered(rule: &'static str) -> Routing {
    Routing::Filtered(Filtered { rule })
}

impl Router {
    /// Creates the router of these customers.
    pub fn new<'t>(
        settings: &config::Route,
        customers: Vec<Arc<Customer>>,
        known_types: impl IntoIterator<Item = &'t str>,
    ) -> Self {
        let broadcast_globs: Vec<Glob> = settings.broadcast.iter().map(|glob| Glob::new(glob)).collect();
        let mut broadcasts = HashMap::new();
        let is_broadcast = |known: &str| match known {
            // `*` includes the types of the descriptor sets only.
            HEARTBEAT => broadcast_globs.iter().any(|glob| glob.matches(known) && glob.as_str() != "*"),
            _ => broadcast_globs.iter().any(|glob| glob.matches(known)),
        };
        for known in known_types.into_iter().chain([HEARTBEAT]).filter(|known| is_broadcast(known)) {
            let receivers = customers.iter().filter(|customer| customer.enabled && customer.receives(known));
            let receivers: Vec<Destination> = receivers.map(|customer| Destination::of(customer)).collect();
            // A heartbeat without receivers has a rule of its own.
            if known != HEARTBEAT || !receivers.is_empty() {
                broadcasts.insert(known.to_owned(), receivers);
            }
        }
        Self {
            customers: customers.into_iter().map(|customer| (customer.id.to_string(), customer)).collect(),
            broadcasts,
            broadcast_globs,
            canaries: Canaries::default(),
            without_customer: settings.without_customer.clone(),
            unknown_customer: settings.unknown_customer.clone(),
        }
    }

    /// Adds the topic of canaries. They also go to the customers that opted in. Without a topic, canaries are dropped.
    pub fn with_canary(mut self, topic: Option<&TopicArn>) -> Self {
        self.canaries = Canaries::new(topic, self.customers.values());
        self
    }

    /// Returns the destinations of an event of this type and customer.
    pub fn route(&self, event_type: &str, customer: Option<&str>) -> Routing {
        self.route_noting(event_type, customer, &mut ())
    }

    /// Returns the same as [`Router::route`], and notes the rule that decided.
    pub fn route_noting(&self, event_type: &str, customer: Option<&str>, witness: &mut impl Witness) -> Routing {
        let mut rule = |found: &'static str, because: &dyn fmt::Display| {
            witness.note(|| Step::new(About::Route, found, because));
        };
        if event_type == CANARY {
            rule("canary", &"a canary goes to `canary.topic` and to the customers with `canary: true`");
            return self.canaries.route();
        }
        if let Some(receivers) = self.broadcasts.get(event_type) {
            rule(
                "broadcast",
                &"`route.broadcast` has this type; each customer whose `events` include it is a destination",
            );
            return match receivers.as_slice() {
                [] => filtered("no customer receives this broadcast type"),
                receivers => Routing::To(receivers.to_vec()),
            };
        }
        if event_type == HEARTBEAT && !customer.is_some_and(|id| self.is_receiver(id, event_type)) {
            rule("dropped", &"a heartbeat belongs to no customer, and no customer has subscribed to this one");
            return filtered("a heartbeat belongs to no customer");
        }
        let Some(id) = customer else {
            rule(self.without_customer.name(), &"the event names no customer, and `route.without_customer` says this");
            return apply_policy(&self.without_customer, None, "events without a customer are dropped", || {
                "the event names no customer: neither the attribute nor a tap has a value".to_owned()
            });
        };
        let Some(customer) = self.customers.get(id) else {
            let because = "the customers file does not have the customer, and `route.unknown_customer` says this";
            rule(self.unknown_customer.name(), &because);
            return apply_policy(&self.unknown_customer, Some(id), "events of unknown customers are dropped", || {
                format!("customer {id} is not in the customers file")
            });
        };
        if !customer.enabled {
            rule("dropped", &format_args!("customer {id} has `enabled: false` in the customers file"));
            return filtered("the customer is disabled");
        }
        if !customer.receives(event_type) {
            rule("dropped", &format_args!("`events` of customer {id} in the customers file do not include this type"));
            return filtered("the customer does not receive this type");
        }
        rule(
            "the customer's topic",
            &format_args!("`events` of customer {id} in the customers file include this type"),
        );
        Routing::To(vec![Destination::of(customer)])
    }

    /// Whether events of this type go to every customer that receives the type.
    pub fn is_broadcast(&self, event_type: &str) -> bool {
        event_type == CANARY || self.broadcasts.contains_key(event_type)
    }

    /// Returns the profile of a customer, or the default profile if the customer is unknown.
    pub fn profile(&self, customer: Option<&str>) -> ProfileId {
        customer.and_then(|id| self.customers.get(id)).map_or_else(ProfileId::default, |customer| customer.profile)
    }

    /// Returns which events of a customer leave as a claim check.
    pub fn claim_check(&self, customer: Option<&str>) -> ClaimCheckMode {
        customer.and_then(|id| self.customers.get(id)).map(|customer| customer.claim_check).unwrap_or_default()
    }

    /// Returns the topic of canaries, if there is one.
    pub fn canary_topic(&self) -> Option<&TopicArn> {
        self.canaries.topic.as_ref()
    }

    /// Returns all customers, in no particular order.
    pub fn customers(&self) -> impl Iterator<Item = &Arc<Customer>> {
        self.customers.values()
    }

    /// Whether this customer is enabled and receives this type.
    fn is_receiver(&self, id: &str, event_type: &str) -> bool {
        self.customers.get(id).is_some_and(|customer| customer.enabled && customer.receives(event_type))
    }

    /// Returns the ids of the enabled customers that receive this type, sorted.
    pub fn receivers(&self, event_type: &str) -> Vec<&str> {
        let receivers = self.customers.values().filter(|customer| customer.enabled && customer.receives(event_type));
        let mut ids: Vec<&str> = receivers.map(|customer| &*customer.id).collect();
        ids.sort_unstable();
        ids
    }

    /// Returns every topic that an event can go to, without duplicates, sorted.
    pub fn topics(&self) -> Vec<TopicArn> {
        let customers = self.customers.values().filter(|customer| customer.enabled);
        let fallbacks =
            [&self.without_customer, &self.unknown_customer].into_iter().filter_map(|policy| match policy {
                FallbackPolicy::Topic(arn) => Some(arn.as_str().into()),
                FallbackPolicy::Quarantine | FallbackPolicy::Drop => None,
            });
        let topics = customers.map(|customer| customer.topic.clone()).chain(fallbacks);
        let mut topics: Vec<TopicArn> = topics.chain(self.canaries.topic.clone()).collect();
        topics.sort_unstable();
        topics.dedup();
        topics
    }
}

/// Applies the policy for events without a configured customer. `stranger` is the customer that the event names.
fn apply_policy(
    policy: &FallbackPolicy,
    stranger: Option<&str>,
    rule: &'static str,
    detail: impl FnOnce() -> String,
) -> Routing {
    match policy {
        FallbackPolicy::Quarantine => Routing::Unroutable(QuarantineKind::NoCustomer.because(detail())),
        FallbackPolicy::Drop => filtered(rule),
        FallbackPolicy::Topic(arn) => {
            let topic = arn.as_str().into();
            let stranger = stranger.map(|id| attributes::customer_id(id).into());
            let (profile, claim_check) = (ProfileId::default(), ClaimCheckMode::Off);
            let destination = Destination { topic, customer: None, stranger, profile, claim_check, is_canary: false };
            Routing::To(vec![destination])
        }
    }
}

#[cfg(test)]
#[path = "route/tests.rs"]
mod tests;
