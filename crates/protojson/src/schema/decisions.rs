//! Decides which of several contradicting definitions serves.
//!
//! The innermost names are decided first. A type that holds a losing definition is withheld, so it no longer
//! contradicts other definitions of its own name. If all names were decided at once, two sets could each win a type and
//! lose an enum inside it, and the type would be in force nowhere.
//!
//! Types that hold each other are decided together: the set that wins the first contradiction among them wins those
//! that follow, if it defines the name. A decision whose winner is withheld by a decision of a set that won before is
//! dropped, and its losers can serve again. So a definition loses only against one that serves.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::definition::Definition;
use super::join::{conflict, is_well_known};
use super::order::innermost_first;
use super::{DescriptorSet, Entry, EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor};
use crate::SchemaError;

/// The decisions about definitions.
#[derive(Default)]
pub(super) struct Choices {
    /// The definitions that do not serve, by the position of their set.
    withheld: HashSet<(u32, Arc<str>)>,
    /// The position of the set whose definition serves, for each name that the order of the sets would decide
    /// otherwise.
    pub(super) serving: HashMap<Arc<str>, u32>,
    /// The extensions that do not serve because their types hold a losing definition.
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

/// Decides which definitions serve. `conflicts` are the names with contradicting definitions. Returns the
/// contradictions, too.
pub(super) fn decide(sets: &[DescriptorSet], conflicts: BTreeSet<Arc<str>>) -> (Choices, Vec<SchemaError>) {
    let mut names = Names::new(sets, conflicts);
    for group in names.groups() {
        names.settle(&group);
    }
    let Names { mut choices, decisions, .. } = names;
    for (set, linked) in (0..).zip(sets) {
        for (index, _) in linked.pool.extensions() {
            if held(&linked.pool.extension(index)).is_some_and(|held| choices.is_withheld(set, &held)) {
                choices.extensions.insert(Entry { set, index });
            }
        }
    }
    let mut contradictions: Vec<(Arc<str>, Vec<SchemaError>)> =
        decisions.into_iter().map(|decision| (decision.name, decision.errors)).collect();
    contradictions.sort_by(|(one, _), (other, _)| one.cmp(other));
    (choices, contradictions.into_iter().flat_map(|(_, errors)| errors).collect())
}

/// The names that contradictions concern, and the decisions so far.
struct Names<'s> {
    sets: &'s [DescriptorSet],
    /// The names with contradictions, and those of the types that hold them, sorted.
    all: Vec<Arc<str>>,
    /// The definitions of each name, in the order of the sets.
    candidates: HashMap<Arc<str>, Vec<Candidate>>,
    /// For each set, the types that hold a type, by the name of the held one.
    holders: Vec<HashMap<Arc<str>, Vec<Arc<str>>>>,
    decisions: Vec<Decision>,
    choices: Choices,
}

/// A definition.
struct Candidate {
    set: u32,
    definition: Definition,
    /// The number of message types of the same package, or of the same enclosing message, in the set.
    neighbors: usize,
}

/// A decision among contradicting definitions of a name.
struct Decision {
    name: Arc<str>,
    winner: u32,
    losers: Vec<u32>,
    errors: Vec<SchemaError>,
}

impl<'s> Names<'s> {
    fn new(sets: &'s [DescriptorSet], conflicts: BTreeSet<Arc<str>>) -> Self {
        let holders: Vec<_> = sets.iter().map(holders).collect();
        let mut names = conflicts.clone();
        let mut reached: Vec<Arc<str>> = conflicts.into_iter().collect();
        while let Some(name) = reached.pop() {
            for holder in holders.iter().filter_map(|holders| holders.get(&name)).flatten() {
                if names.insert(Arc::clone(holder)) {
                    reached.push(Arc::clone(holder));
                }
            }
        }
        let all: Vec<Arc<str>> = names.into_iter().collect();
        let candidates = candidates(sets, &all);
        Self { sets, all, candidates, holders, decisions: Vec::new(), choices: Choices::default() }
    }

    /// Returns the names in groups of types that hold each other. A group comes after the groups that its types hold.
    fn groups(&self) -> Vec<Vec<Arc<str>>> {
        let indexes: HashMap<&Arc<str>, usize> = self.all.iter().zip(0..).collect();
        let mut held: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); self.all.len()];
        for (name, holders) in self.holders.iter().flatten() {
            let Some(name) = indexes.get(name) else { continue };
            for holder in holders {
                held[indexes[holder]].insert(*name);
            }
        }
        let edges: Vec<Vec<usize>> = held.into_iter().map(|held| held.into_iter().collect()).collect();
        let groups = innermost_first(&edges).into_iter();
        groups.map(|group| group.into_iter().map(|name| Arc::clone(&self.all[name])).collect()).collect()
    }

    /// Decides about the names of a group, which are sorted.
    fn settle(&mut self, group: &[Arc<str>]) {
        let (first, mut winners) = (self.decisions.len(), Vec::new());
        let mut open: BTreeSet<Arc<str>> = group.iter().cloned().collect();
        while let Some(name) = open.pop_first() {
            self.choices.serving.remove(&name);
            let Some(decision) = self.choose(&name, &winners) else { continue };
            if !winners.contains(&decision.winner) {
                winners.push(decision.winner);
            }
            // Without a larger definition that is withheld now, other definitions can contradict each other.
            let withheld = self.withhold(&decision).into_iter().filter(|name| group.binary_search(name).is_ok());
            open.extend(withheld);
            self.decisions.push(decision);
            if self.drop_decisions_without_winner(first) {
                open.extend(group.iter().cloned());
            }
        }
    }

    /// Decides which definition of a name serves. Returns the decision if definitions lose. `winners` are the sets that
    /// won in the same group, the first one first.
    fn choose(&mut self, name: &Arc<str>, winners: &[u32]) -> Option<Decision> {
        let can_serve = |candidate: &&Candidate| !self.choices.is_withheld(candidate.set, name);
        let candidates: Vec<&Candidate> = self.candidates.get(name)?.iter().filter(can_serve).collect();
        if are_ordered(&candidates) {
            return None;
        }
        let adds_to_all = |one: &&Candidate| candidates.iter().all(|it| one.definition.only_adds_to(&it.definition));
        let again = winners.iter().find_map(|set| candidates.iter().find(|candidate| candidate.set == *set));
        let winner = match again {
            Some(winner) if !candidates.iter().any(adds_to_all) => winner,
            _ => best(&candidates),
        };
        self.choices.serving.insert(Arc::clone(name), winner.set);
        if is_well_known(name) {
            return None;
        }
        let losers = candidates.iter().filter(|other| !winner.definition.only_adds_to(&other.definition));
        let named = |candidate: &Candidate| self.sets[candidate.set as usize].name();
        let errors = losers
            .clone()
            .map(|loser| conflict(name, (named(winner), &winner.definition), (named(loser), &loser.definition)));
        let (errors, losers): (Vec<_>, Vec<u32>) = (errors.collect(), losers.map(|loser| loser.set).collect());
        (!losers.is_empty()).then(|| Decision { name: Arc::clone(name), winner: winner.set, losers, errors })
    }

    /// Withholds the losing definitions, and the types of their sets that hold them. Returns the names that were not
    /// withheld before.
    fn withhold(&mut self, decision: &Decision) -> Vec<Arc<str>> {
        let mut withheld = Vec::new();
        for set in &decision.losers {
            let mut reached = vec![Arc::clone(&decision.name)];
            while let Some(name) = reached.pop() {
                if self.choices.withheld.insert((*set, Arc::clone(&name))) {
                    reached.extend(self.holders[*set as usize].get(&name).into_iter().flatten().cloned());
                    withheld.push(name);
                }
            }
        }
        withheld
    }

    /// Drops the decisions from the position `first` on whose winner is withheld by another decision, and lets their
    /// losers serve again. Returns whether there were any.
    fn drop_decisions_without_winner(&mut self, first: usize) -> bool {
        let is_void = |decision: &Decision| self.choices.is_withheld(decision.winner, &decision.name);
        if !self.decisions[first..].iter().any(is_void) {
            return false;
        }
        let mut decisions = std::mem::take(&mut self.decisions);
        let mut own = decisions.split_off(first);
        own.retain(|decision| !self.choices.is_withheld(decision.winner, &decision.name));
        decisions.extend(own);
        self.choices.withheld.clear();
        for decision in &decisions {
            self.withhold(decision);
        }
        self.decisions = decisions;
        true
    }
}

/// Returns the types of a set that hold a type, by the name of the held one.
fn holders(set: &DescriptorSet) -> HashMap<Arc<str>, Vec<Arc<str>>> {
    let mut holders: HashMap<Arc<str>, Vec<Arc<str>>> = HashMap::new();
    for message in set.pool.messages() {
        for held in message.fields().iter().filter_map(held) {
            holders.entry(held).or_default().push(Arc::clone(message.shared_name()));
        }
    }
    holders
}

/// Returns the full name of the type of a field.
fn held(field: &FieldDescriptor) -> Option<Arc<str>> {
    match &field.kind {
        Kind::Message(message) => Some(Arc::clone(message.shared_name())),
        Kind::Enum(declared) => Some(Arc::clone(declared.shared_name())),
        _ => None,
    }
}

/// Returns the definitions of these names, which are sorted. Leaves out map entries, which are parts of other
/// definitions.
fn candidates(sets: &[DescriptorSet], names: &[Arc<str>]) -> HashMap<Arc<str>, Vec<Candidate>> {
    let mut candidates: HashMap<Arc<str>, Vec<Candidate>> = HashMap::new();
    let is_concerned = |name: &Arc<str>| names.binary_search(name).is_ok();
    for (set, linked) in (0..).zip(sets) {
        let mut add = |name: &Arc<str>, definition| {
            let around = name.rfind('.').map_or("", |dot| &name[..=dot]);
            let is_around = |other: &MessageDescriptor| other.full_name().starts_with(around);
            let neighbors = linked.pool.messages().filter(is_around).count();
            candidates.entry(Arc::clone(name)).or_default().push(Candidate { set, definition, neighbors });
        };
        let messages = linked.pool.messages().filter(|message| !message.is_map_entry());
        for message in messages.filter(|message| is_concerned(message.shared_name())) {
            add(message.shared_name(), Definition::of_message(&message));
        }
        let is_concerned = |declared: &EnumDescriptor| is_concerned(declared.shared_name());
        for declared in linked.pool.enums().filter(is_concerned) {
            add(declared.shared_name(), Definition::of_enum(&declared));
        }
    }
    candidates
}

/// Whether each definition adds to those before it, or the largest of those adds to it. The order of the sets then does
/// not decide.
fn are_ordered(candidates: &[&Candidate]) -> bool {
    let mut candidates = candidates.iter();
    let Some(mut largest) = candidates.next() else { return true };
    for candidate in candidates {
        if !largest.definition.only_adds_to(&candidate.definition) {
            if !candidate.definition.only_adds_to(&largest.definition) {
                return false;
            }
            largest = candidate;
        }
    }
    true
}

/// Returns the definition that serves.
///
/// It is the one that the most sets agree with. Then it is the one whose set has the most types of the package, because
/// a set that only imports the package tends to have fewer of them than the set of its owner. Then it is the one with
/// the most elements. The last rule has no meaning: it compares the definitions as text.
fn best<'c>(candidates: &[&'c Candidate]) -> &'c Candidate {
    let agreeing =
        |one: &Candidate| candidates.iter().filter(|other| one.definition.only_adds_to(&other.definition)).count();
    let rank = |one: &Candidate| (agreeing(one), one.neighbors, one.definition.len());
    let by_content = |one: &&&Candidate, other: &&&Candidate| {
        let by_text = || one.definition.cmp(&other.definition).then(other.set.cmp(&one.set));
        rank(one).cmp(&rank(other)).then_with(by_text)
    };
    candidates.iter().max_by(by_content).expect("a name in conflict has definitions")
}
