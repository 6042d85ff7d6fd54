//! Whose event it is: from customer and type to topics.
//!
//! Every lookup is in a hash map, so ten thousand customers cost what ten do. What a router does not know is profiles'
//! content or descriptor sets: it is built from the customers file and the names of known types, and never changes.

pub mod catalog;
mod customers;
mod glob;
mod lint;
mod topics;

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

pub use customers::{Customer, CustomersFile, Error};
pub use glob::Glob;
pub use lint::warnings;
pub use topics::TopicWatch;

use crate::config::{self, Nobody};
use crate::message::{QuarantineKind, QuarantineReason, TopicArn};
use crate::schema::registry::{ProfileId, Profiles};

/// From customer and event type to destinations.
#[derive(Debug)]
pub struct Router {
    customers: HashMap<String, Arc<Customer>>,
    /// Who gets each broadcast type that is known.
    broadcasts: HashMap<String, Vec<Destination>>,
    broadcast_globs: Vec<Glob>,
    without_customer: Nobody,
    unknown_customer: Nobody,
}

/// Where an event goes, and how it is rendered there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// ARN of the topic.
    pub topic: TopicArn,
    /// The customer's id; none for a topic that takes what is nobody's.
    pub customer: Option<Arc<str>>,
    /// How the customer wants the JSON.
    pub profile: ProfileId,
}

/// The router in force, and the customers file that it comes from.
#[derive(Debug)]
pub struct Routes {
    settings: config::Route,
    profiles: Arc<Profiles>,
    current: RwLock<Arc<Router>>,
    /// What the file held when it was looked at last.
    seen: Mutex<String>,
}

impl Routes {
    /// Reads the customers file.
    ///
    /// # Errors
    /// When the file cannot be read, or says something impossible; all of it is reported at once.
    pub fn load<'t>(
        settings: &config::Route,
        profiles: Arc<Profiles>,
        known_types: impl IntoIterator<Item = &'t str>,
    ) -> Result<Self, Error> {
        let text = customers::read(&settings.customers_file)?;
        let customers =
            customers::parse(&settings.customers_file, &text, settings.topic_template.as_deref(), &profiles)?;
        let current = RwLock::new(Arc::new(Router::new(settings, customers, known_types)));
        Ok(Self { settings: settings.clone(), profiles, current, seen: Mutex::new(text) })
    }

    /// Routes of these customers, from no file.
    #[cfg(test)]
    pub(crate) fn of(settings: &config::Route, router: Router) -> Self {
        let profiles = Arc::new(Profiles::new(&Default::default()));
        Self { settings: settings.clone(), profiles, current: RwLock::new(Arc::new(router)), seen: Mutex::default() }
    }

    /// The router in force.
    pub fn current(&self) -> Arc<Router> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The customers file.
    pub fn path(&self) -> &Path {
        &self.settings.customers_file
    }

    /// What is in the customers file now.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn look(&self) -> Result<String, Error> {
        customers::read(&self.settings.customers_file)
    }

    /// Whether this text is what was seen last.
    pub fn has_seen(&self, text: &str) -> bool {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) == text
    }

    /// Admits this text of the customers file, unless it is what was seen last.
    ///
    /// # Errors
    /// When it says something impossible; what was in force stays so.
    pub fn admit<'t>(
        &self,
        text: &str,
        known_types: impl IntoIterator<Item = &'t str>,
    ) -> Result<Option<Arc<Router>>, Error> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if *seen == text {
            return Ok(None);
        }
        text.clone_into(&mut seen);
        let (file, template) = (&self.settings.customers_file, self.settings.topic_template.as_deref());
        let customers = customers::parse(file, text, template, &self.profiles)?;
        Ok(Some(self.put_in_force(Router::new(&self.settings, customers, known_types))))
    }

    /// Takes note of the message types that are known by now.
    pub fn know<'t>(&self, known_types: impl IntoIterator<Item = &'t str>) -> Arc<Router> {
        let customers = self.current().customers().cloned().collect();
        self.put_in_force(Router::new(&self.settings, customers, known_types))
    }

    fn put_in_force(&self, router: Router) -> Arc<Router> {
        let router = Arc::new(router);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&router);
        router
    }
}

/// What the router says of an event.
#[derive(Debug)]
pub enum Routing {
    /// It goes to these topics; at least one.
    To(Vec<Destination>),
    /// A rule drops the event.
    Filtered(Filtered),
    /// The event has no customer that is configured, and no rule covers that.
    Unroutable(QuarantineReason),
}

/// Proof that a rule which someone wrote leaves an event out.
#[derive(Debug)]
pub struct Filtered {
    rule: &'static str,
}

impl Filtered {
    /// The rule, for people.
    pub fn rule(&self) -> &'static str {
        self.rule
    }
}

fn out(rule: &'static str) -> Routing {
    Routing::Filtered(Filtered { rule })
}

impl Router {
    /// A router of these customers.
    pub fn new<'t>(
        settings: &config::Route,
        customers: Vec<Arc<Customer>>,
        known_types: impl IntoIterator<Item = &'t str>,
    ) -> Self {
        let broadcast_globs: Vec<Glob> = settings.broadcast.iter().map(|glob| Glob::new(glob)).collect();
        let mut broadcasts = HashMap::new();
        for known in known_types.into_iter().filter(|known| broadcast_globs.iter().any(|glob| glob.matches(known))) {
            let receivers = customers.iter().filter(|customer| customer.enabled && customer.wants(known));
            broadcasts.insert(known.to_owned(), receivers.map(|customer| Destination::of(customer)).collect());
        }
        Self {
            customers: customers.into_iter().map(|customer| (customer.id.to_string(), customer)).collect(),
            broadcasts,
            broadcast_globs,
            without_customer: settings.without_customer.clone(),
            unknown_customer: settings.unknown_customer.clone(),
        }
    }

    /// Where an event of this type and customer goes.
    pub fn route(&self, event_type: &str, customer: Option<&str>) -> Routing {
        if let Some(receivers) = self.broadcasts.get(event_type) {
            return match receivers.as_slice() {
                [] => out("no customer asks for this broadcast type"),
                receivers => Routing::To(receivers.to_vec()),
            };
        }
        let Some(id) = customer else {
            return nobodys(&self.without_customer, "events without a customer are dropped", || {
                "the event names no customer: neither the attribute nor a tap has a value".to_owned()
            });
        };
        match self.customers.get(id) {
            None => nobodys(&self.unknown_customer, "events of unknown customers are dropped", || {
                format!("customer {id} is not in the customers file")
            }),
            Some(customer) if !customer.enabled => out("the customer is disabled"),
            Some(customer) if !customer.wants(event_type) => out("the customer does not ask for this type"),
            Some(customer) => Routing::To(vec![Destination::of(customer)]),
        }
    }

    /// The profile of a customer; the default one where the customer is not known.
    pub fn profile(&self, customer: Option<&str>) -> ProfileId {
        customer.and_then(|id| self.customers.get(id)).map_or_else(ProfileId::default, |customer| customer.profile)
    }

    /// All customers, in no particular order.
    pub fn customers(&self) -> impl Iterator<Item = &Arc<Customer>> {
        self.customers.values()
    }

    /// The enabled customers who receive this type, by id.
    pub fn receivers(&self, event_type: &str) -> Vec<&str> {
        let receivers = self.customers.values().filter(|customer| customer.enabled && customer.wants(event_type));
        let mut ids: Vec<&str> = receivers.map(|customer| &*customer.id).collect();
        ids.sort_unstable();
        ids
    }

    /// Every topic that an event may go to, each once, sorted.
    pub fn topics(&self) -> Vec<TopicArn> {
        let customers = self.customers.values().filter(|customer| customer.enabled);
        let fallbacks =
            [&self.without_customer, &self.unknown_customer].into_iter().filter_map(|nobody| match nobody {
                Nobody::Topic(arn) => Some(arn.as_str().into()),
                Nobody::Quarantine | Nobody::Drop => None,
            });
        let mut topics: Vec<TopicArn> = customers.map(|customer| customer.topic.clone()).chain(fallbacks).collect();
        topics.sort_unstable();
        topics.dedup();
        topics
    }
}

impl Destination {
    fn of(customer: &Customer) -> Self {
        Self { topic: customer.topic.clone(), customer: Some(Arc::clone(&customer.id)), profile: customer.profile }
    }
}

fn nobodys(policy: &Nobody, rule: &'static str, detail: impl FnOnce() -> String) -> Routing {
    match policy {
        Nobody::Quarantine => Routing::Unroutable(QuarantineKind::NoCustomer.because(detail())),
        Nobody::Drop => out(rule),
        Nobody::Topic(arn) => {
            let topic = arn.as_str().into();
            Routing::To(vec![Destination { topic, customer: None, profile: ProfileId::default() }])
        }
    }
}

#[cfg(test)]
#[path = "route/tests.rs"]
mod tests;
