//! Joins sets that can contradict each other.
//!
//! Two definitions of one name contradict each other if neither of them only adds to the other. One of them serves. The
//! others are withheld, and so is every type of their sets that holds them: its events were written with a definition
//! that does not serve. All other types of these sets serve.
//!
//! The choice depends on the content of the sets alone, so every process that has the same sets makes the same choice,
//! whatever the sets are called, in which order they came, and which of them was in force before.

use std::collections::{BTreeMap, BTreeSet};

use super::decisions::{Choices, decide};
use super::join::{Finished, Join, is_well_known};
use super::{DescriptorSet, Schema};
use crate::SchemaError;

/// A schema of sets that can contradict each other; see [`Schema::reconcile`].
#[derive(Debug)]
pub struct Reconciled {
    /// The schema.
    pub schema: Schema,
    /// The definitions that are not used because they contradict the one that serves.
    pub contradictions: Vec<SchemaError>,
    /// The types that no set can serve: full name, and the name of the set with the withheld definition. Sorted.
    pub withheld: Vec<(String, String)>,
    /// The extensions that no set can serve because their types do not serve: the name and the type that it extends,
    /// such as `[y.note] of x.Order`, and the name of a set with the extension. Sorted.
    pub withheld_extensions: Vec<(String, String)>,
}

/// Joins these sets, whatever their order and their names. Returns the choices that this required, too.
pub(super) fn reconcile(mut sets: Vec<DescriptorSet>) -> (Reconciled, Choices) {
    // A set with comments comes first, so that the comments of its types are the ones that are kept.
    sets.sort_by(|one, other| one.pool.content().cmp(&other.pool.content()).then_with(|| one.name.cmp(&other.name)));
    let mut join = Join::of(&sets, Choices::default());
    let mut contradictions = Vec::new();
    if !join.conflicts.is_empty() {
        let (choices, found) = decide(&sets, join.conflicts.into_keys().collect());
        join = Join::of(&sets, choices);
        debug_assert!(join.conflicts.is_empty(), "{:?} is undecided", join.conflicts);
        contradictions = found;
    }
    let withheld = join.withheld();
    let Finished { schema, clashes, choices } = join.finish();
    contradictions.extend(clashes.into_iter().map(|clash| clash.error));
    let withheld_extensions = withheld_extensions(&schema, &choices);
    (Reconciled { schema, contradictions, withheld, withheld_extensions }, choices)
}

/// Returns the extensions whose types hold a losing definition, and that no other set serves.
fn withheld_extensions(schema: &Schema, choices: &Choices) -> Vec<(String, String)> {
    let joined = &schema.joined;
    let mut withheld = BTreeSet::new();
    for entry in &choices.extensions {
        let (pool, set) = (joined.pool(*entry), joined.set_of(*entry));
        let (extendee, field) = (pool.extendee(entry.index), pool.extension(entry.index));
        let is_served = joined.extensions(extendee.full_name()).any(|serving| serving.extension == field.extension);
        // Events hold no options.
        if !is_served && !is_well_known(extendee.full_name()) {
            withheld.insert((format!("{} of {}", field.declared_name(), extendee.full_name()), set.to_owned()));
        }
    }
    withheld.into_iter().collect()
}

impl Join {
    /// Returns the message types that are defined and that no set can serve, with the names of their sets, sorted.
    fn withheld(&self) -> Vec<(String, String)> {
        let mut withheld = BTreeMap::new();
        for (set, linked) in (0..).zip(&self.sets) {
            for message in linked.pool.messages().filter(|message| !message.is_map_entry()) {
                let name = message.shared_name();
                if self.choices.is_withheld(set, name) && !self.messages.contains_key(name) {
                    withheld.entry(name.to_string()).or_insert_with(|| linked.name().to_owned());
                }
            }
        }
        withheld.into_iter().collect()
    }
}
