//! The sum of the differences of many messages, in bounded memory.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::change::{Change, Kind};
use super::example::Example;
use super::shapes::Shapes;
use super::views::{View, views};
use crate::delivery::dry_run::{Forecast, Unanswered};
use crate::message::steps::About;
use crate::message::{EventId, Message};

/// The most groups. A type that no set defines is a name that a producer chose.
const MAX_GROUPS: usize = 10_000;
/// The most places of one group.
const MAX_PLACES: usize = 500;
/// The type of events beyond [`MAX_GROUPS`].
const OTHER: &str = "(other)";
/// The type of messages that name none.
const NO_TYPE: &str = "(no type)";

/// The events of one type for one destination.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Group {
    /// The customer, or the ARN of a topic of no customer; `None` for messages that neither configuration delivers, and
    /// that name no configured customer.
    pub destination: Option<Arc<str>>,
    /// The full name of the type.
    pub event_type: Arc<str>,
}

/// The differences of a group.
#[derive(Debug, Default)]
pub struct Tally {
    /// The number of events.
    pub events: u64,
    /// The number of events without a difference.
    pub equal: u64,
    /// The number of events whose differences break consumers.
    pub breaking: u64,
    /// The number of events whose JSON differs.
    pub json_changed: u64,
    /// The number of events that have each kind of difference.
    pub kinds: BTreeMap<Kind, u64>,
    /// The number of events that differ at each place.
    pub places: BTreeMap<(Kind, String), Place>,
    /// The number of differences at places beyond the first 500.
    pub at_other_places: u64,
    /// The smallest event that has each kind of difference.
    pub examples: BTreeMap<Kind, Arc<Example>>,
}

/// The events that differ at one place.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Place {
    /// Their number.
    pub events: u64,
    /// Whether one of these differences breaks consumers.
    pub is_breaking: bool,
}

/// The numbers of messages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Totals {
    /// The messages that were compared.
    pub compared: u64,
    /// The messages with a difference.
    pub different: u64,
    /// The messages with a difference that breaks consumers.
    pub breaking: u64,
    /// The messages that were not compared, by reason.
    pub not_compared: BTreeMap<&'static str, u64>,
}

/// The sum of the differences of many messages.
#[derive(Debug)]
pub struct Comparison {
    /// The customers that either configuration has.
    customers: HashSet<Arc<str>>,
    /// Only events for this customer count.
    customer: Option<String>,
    shapes: Shapes,
    groups: BTreeMap<Group, Tally>,
    totals: Totals,
}

impl Comparison {
    /// Creates an empty comparison. `customers` are those that either configuration has. With `customer`, only events
    /// for that customer count.
    pub fn new(customers: impl IntoIterator<Item = Arc<str>>, customer: Option<&str>) -> Self {
        Self {
            customers: customers.into_iter().collect(),
            customer: customer.map(str::to_owned),
            shapes: Shapes::default(),
            groups: BTreeMap::new(),
            totals: Totals::default(),
        }
    }

    /// Adds a message, with the forecast by the configuration in force and that by the candidate. `name` names the
    /// message in an example.
    pub fn add(&mut self, name: &str, message: &Message, forecasts: [&Forecast; 2]) {
        let mut views = views(forecasts, &self.customers, &mut self.shapes);
        if let Some(customer) = &self.customer {
            views.retain(|view| view.destination.as_deref() == Some(customer));
            if views.is_empty() {
                return;
            }
        }
        let has = |is: fn(&Change) -> bool| u64::from(views.iter().any(|view| view.changes.iter().any(is)));
        self.totals.compared += 1;
        self.totals.different += has(|_| true);
        self.totals.breaking += has(|change| change.is_breaking);
        let event_type = type_of(forecasts);
        let event_id = forecasts.iter().find_map(|forecast| forecast.event_id.as_ref()).map(EventId::as_str);
        for View { destination, changes } in views {
            let mut group = Group { destination, event_type: Arc::clone(&event_type) };
            if self.groups.len() >= MAX_GROUPS && !self.groups.contains_key(&group) {
                group = Group { destination: None, event_type: OTHER.into() };
            }
            let example = || {
                let (id, queue) = (event_id.map(str::to_owned), message.queue.label.clone());
                Example::new(message.size(), name.to_owned(), queue, id, &changes)
            };
            self.groups.entry(group).or_default().add(&changes, (message.size(), name), example);
        }
    }

    /// Counts a message that cannot be compared without a lookup.
    pub fn add_unanswered(&mut self, unanswered: &Unanswered) {
        self.add_not_compared(match unanswered {
            Unanswered::Object(_) => "their payload is in S3, which is not read",
            Unanswered::Schema(_) => "their schema is in the schema registry, which is not asked",
        });
    }

    /// Counts a message that cannot be compared for this reason.
    pub fn add_not_compared(&mut self, reason: &'static str) {
        *self.totals.not_compared.entry(reason).or_default() += 1;
    }

    /// Returns the groups and their differences.
    pub fn groups(&self) -> &BTreeMap<Group, Tally> {
        &self.groups
    }

    /// Returns the numbers of messages.
    pub fn totals(&self) -> &Totals {
        &self.totals
    }
}

/// Returns the type of an event, or the name that the message gives if no set defines it.
pub fn type_of(forecasts: [&Forecast; 2]) -> Arc<str> {
    let known = forecasts.iter().find_map(|forecast| forecast.event_type.as_ref());
    if let Some(event_type) = known {
        return Arc::clone(&event_type.name);
    }
    let stated = forecasts.iter().flat_map(|forecast| &forecast.steps).find(|step| step.about == About::Type);
    stated.map_or_else(|| NO_TYPE.into(), |step| step.found.as_str().into())
}

impl Tally {
    /// Adds an event. `example` is called if the event is the smallest one that shows a difference.
    fn add(&mut self, changes: &[Change], (bytes, name): (usize, &str), example: impl FnOnce() -> Example) {
        self.events += 1;
        self.equal += u64::from(changes.is_empty());
        self.breaking += u64::from(changes.iter().any(|change| change.is_breaking));
        self.json_changed += u64::from(changes.iter().any(|change| change.kind.is_of_json()));
        // An event counts once at each place, however many items of an array differ there.
        let mut places: BTreeMap<(Kind, &str), bool> = BTreeMap::new();
        for change in changes {
            *places.entry((change.kind, &change.place)).or_default() |= change.is_breaking;
        }
        for ((kind, place), is_breaking) in places {
            let key = (kind, place.to_owned());
            if self.places.len() >= MAX_PLACES && !self.places.contains_key(&key) {
                self.at_other_places += 1;
                continue;
            }
            let counted = self.places.entry(key).or_default();
            counted.events += 1;
            counted.is_breaking |= is_breaking;
        }
        let mut kinds: Vec<Kind> = changes.iter().map(|change| change.kind).collect();
        kinds.sort_unstable();
        kinds.dedup();
        kinds.iter().for_each(|kind| *self.kinds.entry(*kind).or_default() += 1);
        kinds.retain(|kind| {
            self.examples.get(kind).is_none_or(|known| (bytes, name) < (known.bytes, known.message.as_str()))
        });
        if !kinds.is_empty() {
            let example = Arc::new(example());
            self.examples.extend(kinds.into_iter().map(|kind| (kind, Arc::clone(&example))));
        }
    }
}
