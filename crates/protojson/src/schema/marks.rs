//! The marks `debug_redact` of all sets of a schema.
//!
//! A mark hides the number and the name of a field, whichever definition of the message type serves. So a set that
//! marks a field hides it, also if the definition of another set serves the type.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::{DescriptorSet, FieldDescriptor, Joined};

/// A field or an extension that a set marks with `debug_redact`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Mark {
    /// The full name of the message type, or of the message type that the extension extends.
    pub(super) message_type: Arc<str>,
    /// The name as declared; for an extension, the full name in brackets.
    pub(super) name: Box<str>,
    pub(super) number: u32,
}

/// The marks of all sets.
#[derive(Debug, Default)]
pub(super) struct Marks {
    by_type: HashMap<Arc<str>, Hidden>,
}

/// The numbers and names of one message type that marks hide.
#[derive(Debug, Default)]
struct Hidden {
    /// The marks with the positions of the sets that have each of them.
    marks: BTreeMap<Mark, Vec<u32>>,
    /// Sorted.
    numbers: Vec<u32>,
    /// Sorted.
    names: Vec<Box<str>>,
}

impl Mark {
    /// Returns the mark of a field or an extension of this message type, if it has one.
    pub(super) fn of(message_type: &Arc<str>, field: &FieldDescriptor) -> Option<Self> {
        let (number, name) = (field.number(), || field.declared_name().into());
        field.is_marked.then(|| Self { message_type: Arc::clone(message_type), name: name(), number })
    }

    /// Whether the mark hides this field of its message type.
    pub(super) fn hides(&self, field: &FieldDescriptor) -> bool {
        self.number == field.number() || *self.name == *field.declared_name()
    }
}

impl Marks {
    /// Collects the marks of these sets.
    pub(super) fn of(sets: &[DescriptorSet]) -> Self {
        let mut by_type: HashMap<Arc<str>, Hidden> = HashMap::new();
        for (set, linked) in (0..).zip(sets) {
            for mark in &*linked.marks {
                let hidden = by_type.entry(Arc::clone(&mark.message_type)).or_default();
                hidden.marks.entry(mark.clone()).or_default().push(set);
            }
        }
        for hidden in by_type.values_mut() {
            hidden.numbers = hidden.marks.keys().map(|mark| mark.number).collect();
            hidden.numbers.sort_unstable();
            hidden.names = hidden.marks.keys().map(|mark| mark.name.clone()).collect();
            hidden.names.sort_unstable();
        }
        Self { by_type }
    }

    /// Whether any mark hides this field of a message type.
    pub(super) fn hide(&self, message_type: &str, field: &FieldDescriptor) -> bool {
        let Some(Hidden { numbers, names, .. }) = self.by_type.get(message_type) else { return false };
        numbers.binary_search(&field.number()).is_ok()
            || names.binary_search_by(|name| (**name).cmp(&field.declared_name())).is_ok()
    }

    /// Returns each mark with the positions of the sets that have it, in no particular order.
    pub(super) fn all(&self) -> impl Iterator<Item = (&Mark, &[u32])> {
        self.by_type.values().flat_map(|hidden| &hidden.marks).map(|(mark, sets)| (mark, &**sets))
    }

    /// Returns each mark of a message type with the positions of the sets that have it, sorted.
    pub(super) fn of_type(&self, message_type: &str) -> impl Iterator<Item = (&Mark, &[u32])> {
        let hidden = self.by_type.get(message_type).into_iter();
        hidden.flat_map(|hidden| &hidden.marks).map(|(mark, sets)| (mark, &**sets))
    }

    /// Whether the message type has the same marks in another schema.
    pub(super) fn are_same(&self, other: &Self, message_type: &str) -> bool {
        let marks = |of| Self::of_type(of, message_type).map(|(mark, _)| mark);
        marks(self).eq(marks(other))
    }
}

impl Joined {
    /// Returns the names of the sets whose marks hide this field of a message type.
    pub(super) fn sets_that_mark(&self, message_type: &str, field: &FieldDescriptor) -> Vec<&str> {
        let marks = self.marks.of_type(message_type).filter(|(mark, _)| mark.hides(field));
        let mut sets: Vec<&str> = marks.flat_map(|(_, sets)| self.set_names(sets)).collect();
        sets.sort_unstable();
        sets.dedup();
        sets
    }

    /// Returns the names of the sets at these positions.
    pub(super) fn set_names<'s>(&'s self, positions: &'s [u32]) -> impl Iterator<Item = &'s str> {
        positions.iter().map(|position| self.sets[*position as usize].name())
    }
}
