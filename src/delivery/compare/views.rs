//! The differences of one message, for each destination.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use serde_json::Value;

use super::change::{Change, Kind};
use super::ending::Ending;
use super::shapes::{Shapes, exact, general};
use crate::aws::sns::publish::TopicEntry;
use crate::base::json_diff::{Match, differences};
use crate::delivery::dry_run::Forecast;
use crate::message::attributes::{EXTENDED_PAYLOAD_SIZE, SCHEMA_HASH, TRACEPARENT, TRACESTATE};
use crate::message::steps::About;
use crate::message::{QuarantineReason, Recipient};

/// The attributes that are not compared. The hash of the schema differs with each change of it, the trace is of the process,
/// and the size of offloaded JSON differs with the JSON.
const NOT_COMPARED: [&str; 4] = [SCHEMA_HASH, TRACEPARENT, TRACESTATE, EXTENDED_PAYLOAD_SIZE];

/// What differs for one destination, or for a message without any.
#[derive(Debug)]
pub(super) struct View {
    /// The customer, the ARN of a topic of no customer, or `None` for a message without destinations that names no
    /// configured customer.
    pub(super) destination: Option<Arc<str>>,
    /// The differences. None means that the event is equal.
    pub(super) changes: Vec<Change>,
}

/// What a configuration makes of an event for one destination.
#[derive(Clone, Copy)]
enum Fate<'f> {
    Delivered(&'f TopicEntry),
    Refused(&'f QuarantineReason),
}

/// Returns the differences between two forecasts of a message. `customers` are those that either configuration has.
pub(super) fn views(forecasts: [&Forecast; 2], customers: &HashSet<Arc<str>>, shapes: &mut Shapes) -> Vec<View> {
    let mut destinations: BTreeMap<&str, [Option<Fate<'_>>; 2]> = BTreeMap::new();
    for (side, forecast) in forecasts.into_iter().enumerate() {
        for entry in &forecast.entries {
            let name = entry.customer.as_deref().unwrap_or(entry.topic.as_str());
            destinations.entry(name).or_default()[side] = Some(Fate::Delivered(entry));
        }
        for refused in &forecast.refused {
            let Recipient { topic, customer } = &refused.recipient;
            let name = customer.as_deref().unwrap_or(topic.as_str());
            destinations.entry(name).or_default()[side] = Some(Fate::Refused(&refused.reason));
        }
    }
    if destinations.is_empty() {
        let named = forecasts.iter().flat_map(|forecast| &forecast.steps).find(|step| step.about == About::Customer);
        let destination = named.and_then(|step| customers.get(step.found.as_str())).cloned();
        let changes = ending_changed(forecasts, [None, None]).into_iter().collect();
        return vec![View { destination, changes }];
    }
    let mut views = Vec::with_capacity(destinations.len());
    for (name, fates) in destinations {
        let changes = match fates {
            [Some(Fate::Delivered(old)), Some(Fate::Delivered(new))] => of_entries(old, new, forecasts, shapes),
            fates => ending_changed(forecasts, fates).into_iter().collect(),
        };
        let destination = customers.get(name).cloned().unwrap_or_else(|| name.into());
        views.push(View { destination: Some(destination), changes });
    }
    views
}

/// Returns the change between two endings of which at most one is a delivery.
fn ending_changed(forecasts: [&Forecast; 2], fates: [Option<Fate<'_>>; 2]) -> Option<Change> {
    let ending = |side: usize| match fates[side] {
        Some(Fate::Delivered(_)) => (Ending::Delivered, None),
        Some(Fate::Refused(reason)) => (Ending::of_reason(reason), Some(reason.detail.as_str())),
        None => match Ending::without_delivery(forecasts[side]) {
            ending if ending.is_failure() => (ending, Some(forecasts[side].outcome.detail())),
            ending => (ending, None),
        },
    };
    let ((from, old), (to, new)) = (ending(0), ending(1));
    let (kind, is_breaking) = match (from, to) {
        (Ending::Delivered, _) => (Kind::NoLongerDelivered, true),
        (_, Ending::Delivered) => (Kind::NewlyDelivered, false),
        (from, to) if from == to => return None,
        (from, to) => (Kind::OutcomeChanged, to.is_failure() && !from.is_failure()),
    };
    let place = format!("{from} -> {to}");
    let value = |detail: Option<&str>| detail.map(Value::from);
    Some(Change { kind, exact: place.clone(), place, old: value(old), new: value(new), is_breaking })
}

/// Returns the differences between two entries of one destination.
fn of_entries(old: &TopicEntry, new: &TopicEntry, forecasts: [&Forecast; 2], shapes: &mut Shapes) -> Vec<Change> {
    let mut changes = Vec::new();
    if old.topic != new.topic {
        // Subscribers of the topic in force no longer receive the event.
        let topics = (Some(old.topic.as_str()), Some(new.topic.as_str()));
        let place = format!("{} -> {}", old.topic, new.topic);
        changes.push(Change { place, ..change(Kind::TopicChanged, "topic".to_owned(), topics) });
    }
    let compared = |name: &str| !NOT_COMPARED.contains(&name);
    let value = |entry: &'_ TopicEntry, name: &str| {
        entry.attributes.iter().find(|(known, _)| *known == name).map(|(_, value)| value.to_owned())
    };
    let mut names: Vec<&str> = old.attributes.iter().chain(new.attributes.iter()).map(|(name, _)| name).collect();
    names.sort_unstable();
    names.dedup();
    for name in names.into_iter().filter(|name| compared(name)) {
        let (old, new) = (value(old, name), value(new, name));
        if old != new {
            changes.push(change(Kind::AttributeChanged, name.to_owned(), (old.as_deref(), new.as_deref())));
        }
    }
    if old.group != new.group {
        let groups = (old.group.as_deref(), new.group.as_deref());
        changes.push(change(Kind::AttributeChanged, "message group".to_owned(), groups));
    }
    changes.extend(claim_check_changed(old, new));
    if old.json() != new.json() {
        of_json(old.json(), new.json(), forecasts, shapes, &mut changes);
    }
    changes
}

/// Returns the change between JSON and a pointer to it. Clients that read pointers read JSON too.
fn claim_check_changed(old: &TopicEntry, new: &TopicEntry) -> Option<Change> {
    let [is_old, is_new] = [old, new].map(|entry| entry.offload.is_some());
    let name = |is_claim_check| if is_claim_check { "claim check" } else { "JSON" };
    let place = format!("{} -> {}", name(is_old), name(is_new));
    let size = |entry: &TopicEntry| Some(format!("{} bytes", entry.json().len()).into());
    (is_old != is_new).then(|| Change {
        kind: Kind::ClaimCheckChanged,
        exact: place.clone(),
        place,
        old: size(old),
        new: size(new),
        is_breaking: is_new,
    })
}

/// Returns a change that breaks consumers unless the value is new.
fn change(kind: Kind, place: String, (old, new): (Option<&str>, Option<&str>)) -> Change {
    let (old, new) = (old.map(Value::from), new.map(Value::from));
    Change { kind, exact: place.clone(), place, is_breaking: old.is_some(), old, new }
}

/// Adds the differences between two JSON texts. The order of keys makes none.
fn of_json(old: &str, new: &str, forecasts: [&Forecast; 2], shapes: &mut Shapes, changes: &mut Vec<Change>) {
    let read = |text: &str| serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()));
    let (old, new): (Value, Value) = (read(old), read(new));
    let schemas = shapes.of(forecasts.map(|forecast| forecast.event_type.as_ref()));
    differences(&old, &new, Match::Exact, &mut |path, old, new| {
        let kind = match (old, new) {
            (Some(old), Some(new)) if kind_of(old) == kind_of(new) => Kind::ValueDiffers,
            (Some(_), Some(_)) => Kind::PathRetyped,
            (Some(_), None) => Kind::PathGone,
            (None, _) => Kind::PathAdded,
        };
        changes.push(Change {
            kind,
            place: general(path, schemas),
            exact: exact(path),
            old: old.cloned(),
            new: new.cloned(),
            is_breaking: kind != Kind::PathAdded,
        });
    });
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
