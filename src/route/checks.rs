//! Checks for routing rules that can drop events by mistake.
//!
//! A pattern that no longer matches an event type is a common cause of lost events. The checks give warnings and no
//! errors, because a type can be about to be added or removed.

use std::collections::HashMap;

use crate::config::Warning;
use crate::route::{Glob, Router};
use crate::schema::registry::BUILT_IN;

/// Returns a warning for each glob that matches no known type, and for each event type that no customer receives.
pub fn warnings(router: &Router, known_types: &[&str], event_types: &[&str]) -> Vec<Warning> {
    const FILE: &str = "route.customers_file";
    let matches_a_type = |glob: &Glob| known_types.iter().chain(&BUILT_IN).any(|known| glob.matches(known));
    let mut warnings = Vec::new();
    let mut customers: Vec<_> = router.customers().collect();
    customers.sort_by(|a, b| a.id.cmp(&b.id));
    // Ten thousand customers share a few globs, so each glob is matched only once.
    let mut matches: HashMap<&str, bool> = HashMap::new();
    for customer in &customers {
        for glob in &customer.events {
            let is_used = matches.entry(glob.as_str());
            if *is_used.or_insert_with(|| matches_a_type(glob)) {
                continue;
            }
            let message = format!("customer {}: events `{}` matches no known message type", customer.id, glob.as_str());
            warnings.push(Warning::new(FILE, message));
        }
    }
    if router.canary_topic().is_none() {
        for customer in customers.iter().filter(|customer| customer.canary) {
            let message = format!("customer {}: `canary: true` has no effect without `canary.topic`", customer.id);
            warnings.push(Warning::new(FILE, message).fix("configure the section `canary`, or remove the key"));
        }
    }
    for glob in router.broadcast_globs.iter().filter(|glob| !matches_a_type(glob)) {
        let message = format!("`{}` matches no known message type", glob.as_str());
        warnings.push(Warning::new("route.broadcast", message));
    }
    let receives = |event_type: &&str| customers.iter().any(|c| c.enabled && c.receives(event_type));
    for event_type in event_types.iter().filter(|event_type| !receives(event_type)) {
        let message = format!("no customer receives {event_type}: the `events` of no enabled customer match it");
        warnings.push(Warning::new(FILE, message));
    }
    if !customers.iter().any(|customer| customer.enabled) {
        let message = match customers.len() {
            0 => "the file has no customers, so no event reaches a customer".to_owned(),
            count => format!("none of the {count} customers is enabled, so no event reaches a customer"),
        };
        warnings.push(Warning::new(FILE, message).fix("add a customer, or enable one"));
    }
    warnings
}
