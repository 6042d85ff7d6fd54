//! The fields that lead to marked fields: those whose messages have a marked field, at any depth.
//!
//! A mark hides a field of one message type. If another definition gives a field around that type another type, such as
//! `bytes`, the codec reads the same bytes without the mark. So the fields around a marked field count as well.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use super::extensions::Extensions;
use super::marks::Mark;
use super::pool::{Held, Link, Names};
use super::{DescriptorSet, Entry, FieldDescriptor, Joined, MessageDescriptor};

/// The type whose values can have any type, and so any marked field.
const ANY: &str = "google.protobuf.Any";

/// The message types that have a marked field, directly or inside other messages.
#[derive(Debug, Default)]
pub(super) struct Reach {
    types: HashSet<Arc<str>>,
}

impl Reach {
    /// Collects the types from which the fields of all sets lead to marks that count.
    pub(super) fn of(sets: &[DescriptorSet], counts: impl Fn(&Mark) -> bool) -> Self {
        let marks = sets.iter().flat_map(|set| &*set.marks).filter(|mark| counts(mark));
        let mut types: HashSet<Arc<str>> = marks.map(|mark| Arc::clone(&mark.message_type)).collect();
        if types.is_empty() {
            return Self { types };
        }
        types.insert(ANY.into());
        let mut holders: HashMap<&str, Vec<&Arc<str>>> = HashMap::new();
        for DescriptorSet { pool, links, .. } in sets {
            for link in &**links {
                holders.entry(pool.message_name(link.inner)).or_default().push(pool.message_name(link.holder));
            }
        }
        let mut reached: Vec<Arc<str>> = types.iter().cloned().collect();
        while let Some(inner) = reached.pop() {
            for holder in holders.remove(&*inner).into_iter().flatten() {
                if types.insert(Arc::clone(holder)) {
                    reached.push(Arc::clone(holder));
                }
            }
        }
        Self { types }
    }

    pub(super) fn contains(&self, message_type: &str) -> bool {
        self.types.contains(message_type)
    }

    /// Creates the reach of the fields that hold an Any, whose value can have any type.
    pub(super) fn of_any() -> Self {
        Self { types: HashSet::from([Arc::from(ANY)]) }
    }

    /// Returns the marks of all fields of a set that lead to a mark directly.
    pub(super) fn marks_of(&self, set: &DescriptorSet) -> Vec<Mark> {
        let holders = set.links.chunk_by(|one, other| one.holder == other.holder);
        holders.flat_map(|links| self.marks(set, links)).collect()
    }

    /// Returns the full names of the types, in no particular order.
    pub(super) fn types(&self) -> impl Iterator<Item = &Arc<str>> {
        self.types.iter()
    }

    /// Returns those of these links that lead to a mark. They are links of one set.
    fn leading<'l>(&self, set: &'l DescriptorSet, links: &'l [Link]) -> impl Iterator<Item = &'l Link> {
        links.iter().filter(|link| self.contains(set.pool.message_name(link.inner)))
    }

    /// Returns the marks of the fields with these links, which belong to one message type of a set.
    fn marks(&self, set: &DescriptorSet, links: &[Link]) -> Vec<Mark> {
        let Some(holder) = links.first().map(|link| link.holder) else { return Vec::new() };
        let leading: Vec<&Link> = self.leading(set, links).collect();
        if leading.is_empty() || set.pool.is_map_entry(holder) {
            return Vec::new();
        }
        let message_type = set.pool.message_name(holder);
        let mut marks = Vec::with_capacity(leading.len());
        let mut add = |link: &Link, names: Names| {
            let held = set.held(link);
            marks.extend(held.map(|held| Mark::inside(message_type, link.number, names, held)));
        };
        MessageDescriptor::new(&set.pool, holder).each_name(|number, name, json_name| {
            // The links are sorted by number, and no extension has the number of a field.
            if let Ok(at) = leading.binary_search_by_key(&number, |link| link.number) {
                add(leading[at], Names::of(name, json_name));
            }
        });
        for link in leading {
            if let Some(index) = link.extension {
                add(link, set.pool.extension(index).names());
            }
        }
        marks
    }
}

/// The definitions that serve.
#[derive(Clone, Copy)]
pub(super) struct Serving<'j> {
    pub(super) sets: &'j [DescriptorSet],
    pub(super) messages: &'j HashMap<Arc<str>, Entry>,
    pub(super) extensions: &'j Extensions,
}

impl Serving<'_> {
    /// Returns the marks of the fields that lead to a mark in some set while other fields of their number or name serve
    /// with another type. Each has the positions of the sets with the field.
    pub(super) fn contradicted(&self, reach: &Reach) -> BTreeMap<Mark, Vec<u32>> {
        let mut marks: BTreeMap<Mark, Vec<u32>> = BTreeMap::new();
        for (position, set) in (0..).zip(self.sets) {
            for links in set.links.chunk_by(|one, other| one.holder == other.holder) {
                let name = set.pool.message_name(links[0].holder);
                let Some(entry) = self.messages.get(name).filter(|_| reach.contains(name)) else { continue };
                if self.has_fields(*entry, position, links) {
                    continue;
                }
                let leading = reach.marks(set, links);
                let fields = if leading.is_empty() { Vec::new() } else { self.fields(name, *entry) };
                for mark in leading.into_iter().filter(|mark| mark.hidden_among(&fields).next().is_some()) {
                    marks.entry(mark).or_default().push(position);
                }
            }
        }
        marks
    }

    /// Whether a definition has the fields with these links of a set, as far as that is plain without decoding it.
    fn has_fields(&self, serving: Entry, position: u32, links: &[Link]) -> bool {
        if links.iter().any(|link| link.extension.is_some()) {
            return false;
        }
        if serving.set == position {
            return true;
        }
        let (Some(set), own) = (self.sets.get(serving.set as usize), &self.sets[position as usize]) else {
            return false;
        };
        let message = |set: &DescriptorSet, index| MessageDescriptor::new(&set.pool, index);
        let types = |set: &DescriptorSet, links: &[Link]| -> Vec<_> {
            let fields = links.iter().filter(|link| link.extension.is_none());
            fields.map(|link| (link.number, set.held(link))).collect()
        };
        message(set, serving.index).is_copy_of(&message(own, links[0].holder))
            && types(set, set.links_of(serving.index)) == types(own, links)
    }

    /// Decodes the fields and extensions of a definition.
    fn fields(&self, name: &str, serving: Entry) -> Vec<FieldDescriptor> {
        let Some(set) = self.sets.get(serving.set as usize) else { return Vec::new() };
        let mut fields = MessageDescriptor::new(&set.pool, serving.index).fields();
        let extensions = self.extensions.get(name).map(|entries| &**entries).unwrap_or_default();
        fields.extend(extensions.iter().map(|entry| self.sets[entry.set as usize].pool.extension(entry.index)));
        fields
    }
}

impl Joined {
    /// Whether the field of a mark serves with the type that the mark allows. Decodes no definition.
    pub(super) fn serves(&self, mark: &Mark) -> bool {
        let Some((held, entry)) = mark.held().zip(self.messages.get(&mark.message_type)) else { return false };
        let Some(set) = self.sets.get(entry.set as usize) else { return false };
        let links = set.links_of(entry.index);
        let Ok(at) = links.binary_search_by_key(&mark.number, |link| link.number) else { return false };
        let mut is_it = false;
        if links[at].extension.is_none() && set.held(&links[at]).as_ref() == Some(held) {
            MessageDescriptor::new(&set.pool, entry.index).each_name(|number, name, json_name| {
                let has_names = || Names::of(name, json_name) == mark.names();
                is_it = is_it || number == mark.number && has_names();
            });
        }
        is_it
    }
}

impl DescriptorSet {
    /// Returns the marks of the fields of a message type that lead to a mark.
    pub(super) fn marks_inside(&self, full_name: &str, reach: &Reach) -> Vec<Mark> {
        self.pool.find_message(full_name).map_or_else(Vec::new, |holder| reach.marks(self, self.links_of(holder)))
    }

    /// Returns the links of a message type.
    fn links_of(&self, holder: u32) -> &[Link] {
        let start = self.links.partition_point(|link| link.holder < holder);
        let count = self.links[start..].partition_point(|link| link.holder == holder);
        &self.links[start..start + count]
    }

    /// Returns the type of the field with this link; `None` for a map without messages.
    fn held(&self, link: &Link) -> Option<Held> {
        let is_map = self.pool.is_map_entry(link.inner);
        let inner = match is_map {
            // An entry has no other field with a message than its value.
            true => self.links_of(link.inner).first()?.inner,
            false => link.inner,
        };
        Some(Held { message_type: Arc::clone(self.pool.message_name(inner)), is_map })
    }
}
