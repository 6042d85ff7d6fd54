//! Joins sets that can contradict each other.
//!
//! Two definitions of one name contradict each other if neither of them only adds to the other. One of them serves. The
//! others are withheld, and so is every type of their sets that holds them: its events were written with a definition
//! that does not serve. All other types of these sets serve.
//!
//! The choice depends on the content of the sets alone, so every process that has the same sets makes the same choice,
//! whatever the sets are called, in which order they came, and which of them was in force before.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::definition::Definition;
use super::extensions::{self, Clash};
use super::join::{Join, is_well_known};
use super::{DescriptorSet, Entry, FieldDescriptor, Kind, MessageDescriptor, Schema};
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
}

/// The decisions about definitions.
#[derive(Default)]
pub(super) struct Choices {
    /// The definitions that do not serve, by the position of their set.
    withheld: HashSet<(u32, Arc<str>)>,
    /// The position of the set whose definition serves, for each name that the order of the sets would decide otherwise.
    pub(super) serving: HashMap<Arc<str>, u32>,
    /// The extensions that do not serve.
    pub(super) extensions: HashSet<Entry>,
}

impl Choices {
    /// Whether the definition of this name in a set does not serve.
    pub(super) fn is_withheld(&self, set: u32, name: &Arc<str>) -> bool {
        !self.withheld.is_empty() && self.withheld.contains(&(set, Arc::clone(name)))
    }

    /// Whether a definition of this name does not serve.
    pub(super) fn withholds(&self, name: &Arc<str>) -> bool {
        self.withheld.iter().any(|(_, withheld)| withheld == name)
    }
}

/// Joins these sets, whatever their order and their names. Returns the choices that this required, too.
pub(super) fn reconcile(mut sets: Vec<DescriptorSet>) -> (Reconciled, Choices) {
    // A set with comments comes first, so that the comments of its types are the ones that are kept.
    sets.sort_by(|one, other| one.pool.content().cmp(&other.pool.content()).then_with(|| one.name.cmp(&other.name)));
    let mut choices = Choices::default();
    let mut contradictions = Vec::new();
    loop {
        let join = Join::of(&sets, choices);
        let is_settled = join.conflicts.is_empty();
        let clash = if is_settled { extensions::join(&sets, &join.messages, &join.choices).err() } else { None };
        let found = match (is_settled, clash) {
            (true, None) => {
                let withheld = join.withheld();
                let (schema, choices) = join.finish_with_choices().expect("the extensions were joined just now");
                return (Reconciled { schema, contradictions, withheld }, choices);
            }
            (true, Some(clash)) => {
                let Clash { error, losers, .. } = *clash;
                choices = join.choices;
                choices.extensions.extend(losers);
                vec![error]
            }
            (false, _) => {
                let names = join.conflicts.into_keys().collect();
                choices = join.choices;
                choices.settle(&sets, names)
            }
        };
        contradictions.extend(found);
    }
}

impl Choices {
    /// Decides which definition of each of these names serves. Returns the contradictions among the definitions.
    fn settle(&mut self, sets: &[DescriptorSet], names: BTreeSet<Arc<str>>) -> Vec<SchemaError> {
        let mut contradictions = Vec::new();
        let mut losers = BTreeSet::new();
        for (name, candidates) in self.candidates(sets, names) {
            let winner = best(&candidates);
            self.serving.insert(Arc::clone(&name), winner.set);
            if is_well_known(&name) {
                continue;
            }
            let set = |candidate: &Candidate| sets[candidate.set as usize].name();
            for loser in candidates.iter().filter(|other| !winner.definition.only_adds_to(&other.definition)) {
                let error =
                    super::join::conflict(&name, (set(winner), &winner.definition), (set(loser), &loser.definition));
                contradictions.push(error);
                losers.insert(loser.set);
                self.withheld.insert((loser.set, Arc::clone(&name)));
            }
        }
        for set in losers {
            self.withhold_holders(sets, set);
        }
        // A withheld definition cannot serve, so these names are decided again.
        let withheld = &self.withheld;
        self.serving.retain(|name, set| !withheld.contains(&(*set, Arc::clone(name))));
        contradictions
    }

    /// Returns the definitions of each of these names that can serve.
    fn candidates(&self, sets: &[DescriptorSet], names: BTreeSet<Arc<str>>) -> BTreeMap<Arc<str>, Vec<Candidate>> {
        let mut found: BTreeMap<Arc<str>, Vec<Candidate>> = names.into_iter().map(|name| (name, Vec::new())).collect();
        for (set, linked) in (0..).zip(sets) {
            let mut packages: Vec<(Arc<str>, Definition)> = Vec::new();
            for message in linked.pool.messages().filter(|message| found.contains_key(message.shared_name())) {
                packages.push((Arc::clone(message.shared_name()), Definition::of_message(&message)));
            }
            for declared in linked.pool.enums().filter(|declared| found.contains_key(declared.shared_name())) {
                packages.push((Arc::clone(declared.shared_name()), Definition::of_enum(&declared)));
            }
            for (name, definition) in packages {
                if self.is_withheld(set, &name) {
                    continue;
                }
                let around = name.rfind('.').map_or("", |dot| &name[..=dot]);
                let is_around = |other: &MessageDescriptor| other.full_name().starts_with(around);
                let neighbors = linked.pool.messages().filter(is_around).count();
                found.entry(name).or_default().push(Candidate { set, definition, neighbors });
            }
        }
        found
    }

    /// Withholds the types and extensions of a set that hold a withheld definition of the set.
    fn withhold_holders(&mut self, sets: &[DescriptorSet], set: u32) {
        let pool = &sets[set as usize].pool;
        let mut holders: HashMap<Arc<str>, Vec<Arc<str>>> = HashMap::new();
        for message in pool.messages() {
            for held in message.fields().iter().filter_map(held) {
                holders.entry(held).or_default().push(Arc::clone(message.shared_name()));
            }
        }
        let withheld = self.withheld.iter().filter(|(of, _)| *of == set).map(|(_, name)| Arc::clone(name));
        let mut reached: Vec<Arc<str>> = withheld.collect();
        while let Some(name) = reached.pop() {
            for holder in holders.remove(&name).unwrap_or_default() {
                if self.withheld.insert((set, Arc::clone(&holder))) {
                    reached.push(holder);
                }
            }
        }
        for (index, _) in pool.extensions() {
            if held(&pool.extension(index)).is_some_and(|held| self.is_withheld(set, &held)) {
                self.extensions.insert(Entry { set, index });
            }
        }
    }
}

/// Returns the full name of the type of a field.
fn held(field: &FieldDescriptor) -> Option<Arc<str>> {
    match &field.kind {
        Kind::Message(message) => Some(Arc::clone(message.shared_name())),
        Kind::Enum(declared) => Some(Arc::clone(declared.shared_name())),
        _ => None,
    }
}

/// A definition that can serve.
struct Candidate {
    set: u32,
    definition: Definition,
    /// The number of message types of the same package, or of the same enclosing message, in the set.
    neighbors: usize,
}

/// Returns the definition that serves.
///
/// It is the one that the most sets agree with. Then it is the one whose set has the most types of the package, because a
/// set that only imports the package tends to have fewer of them than the set of its owner. Then it is the one with the
/// most elements. The last rule has no meaning: it compares the definitions as text.
fn best(candidates: &[Candidate]) -> &Candidate {
    let agreeing =
        |one: &Candidate| candidates.iter().filter(|other| one.definition.only_adds_to(&other.definition)).count();
    let rank = |one: &Candidate| (agreeing(one), one.neighbors, one.definition.len());
    let by_content = |one: &&Candidate, other: &&Candidate| {
        let by_text = || one.definition.cmp(&other.definition).then(other.set.cmp(&one.set));
        rank(one).cmp(&rank(other)).then_with(by_text)
    };
    candidates.iter().max_by(by_content).expect("a name in conflict has definitions")
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
