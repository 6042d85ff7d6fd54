//! What routing would leave out without anyone having meant it.
//!
//! An event type that silently stops being emitted, because a pattern no longer covers it, is a known way to lose
//! events. These are warnings and not errors: a type may be on its way in, or on its way out.

use std::collections::HashMap;

use crate::route::Router;

/// Suspicious things, one sentence each: globs that fit no known type, and types that nobody receives.
pub fn warnings(router: &Router, known_types: &[&str], event_types: &[&str]) -> Vec<String> {
    let mut warnings = Vec::new();
    let mut customers: Vec<_> = router.customers().collect();
    customers.sort_by(|a, b| a.id.cmp(&b.id));
    // Ten thousand customers have a few globs between them.
    let mut fits: HashMap<&str, bool> = HashMap::new();
    for customer in &customers {
        for glob in &customer.events {
            let known = fits.entry(glob.as_str());
            if *known.or_insert_with(|| known_types.iter().any(|known| glob.matches(known))) {
                continue;
            }
            warnings.push(format!("customer {}: events `{}` fits no known message type", customer.id, glob.as_str()));
        }
    }
    for glob in router.broadcast_globs.iter().filter(|glob| !known_types.iter().any(|known| glob.matches(known))) {
        warnings.push(format!("route.broadcast `{}` fits no known message type", glob.as_str()));
    }
    let receives = |event_type: &&str| customers.iter().any(|c| c.enabled && c.wants(event_type));
    for event_type in event_types.iter().filter(|event_type| !receives(event_type)) {
        warnings.push(format!("nobody receives {event_type}: no enabled customer's events fit it"));
    }
    warnings
}
