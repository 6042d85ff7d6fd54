//! The marks `debug_redact` of all sets of a schema.
//!
//! A mark hides the number, the name and the JSON name of a field, whichever definition of the message type serves. So
//! a set that marks a field hides it, also if the definition of another set serves the type.
//!
//! A field of a message type that leads to a mark has a mark of its own, which allows the field one type. If another
//! definition serves and gives the field another type, the whole field is hidden.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::changes::type_of;
use super::leads::{Reach, Serving};
use super::pool::{Held, Names};
use super::{FieldDescriptor, Joined, MessageDescriptor};

/// A field or an extension that must stay hidden: a set marks it with `debug_redact`, or a field inside it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Mark {
    /// The full name of the message type, or of the message type that the extension extends.
    pub(super) message_type: Arc<str>,
    /// The name as declared; for an extension, the full name in brackets.
    pub(super) name: Box<str>,
    pub(super) json_name: Box<str>,
    pub(super) number: u32,
    pub(super) cause: Cause,
}

/// The reason why a field must stay hidden.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Cause {
    /// A set marks the field.
    Marked,
    /// The field leads to a marked field. While it has this type, it need not be hidden itself.
    Inside(Held),
    /// The field serves, and the mark of another field of the same number or name hides it.
    Beside,
}

/// The marks of all sets.
#[derive(Debug, Default)]
pub(super) struct Marks {
    by_type: HashMap<Arc<str>, Hidden>,
    /// The types that lead to a marked field.
    pub(super) reach: Reach,
}

/// The numbers and names of one message type that marks hide.
#[derive(Debug, Default)]
struct Hidden {
    /// The marks with the positions of the sets that have each of them. Of the fields that lead to marks they have only
    /// those whose type in the definition that serves is another one.
    marks: BTreeMap<Mark, Vec<u32>>,
    /// The numbers of the marked fields, sorted.
    numbers: Vec<u32>,
    /// The names and the JSON names of the marked fields, sorted.
    names: Vec<Box<str>>,
}

impl Mark {
    /// Returns the mark of a field or an extension of this message type, if it has one.
    pub(super) fn of(message_type: &Arc<str>, field: &FieldDescriptor) -> Option<Self> {
        field.is_marked.then(|| Self::new(message_type, field.number(), field.names(), Cause::Marked))
    }

    /// Returns the mark of a field that leads to a marked field. `held` is its type.
    pub(super) fn inside(message_type: &Arc<str>, number: u32, names: Names, held: Held) -> Self {
        Self::new(message_type, number, names, Cause::Inside(held))
    }

    fn new(message_type: &Arc<str>, number: u32, names: Names, cause: Cause) -> Self {
        let Names { declared: name, json: json_name } = names;
        Self { message_type: Arc::clone(message_type), name, json_name, number, cause }
    }

    pub(super) fn names(&self) -> Names {
        Names { declared: self.name.clone(), json: self.json_name.clone() }
    }

    /// Whether the mark hides this field of its message type.
    pub(super) fn hides(&self, field: &FieldDescriptor) -> bool {
        let is_it = self.number == field.number() || [&self.name, &self.json_name].iter().any(|it| field.is_named(it));
        is_it && !self.allows_type_of(field)
    }

    /// Whether this is the field of the mark, with the type that the mark allows.
    fn is_met_by(&self, field: &FieldDescriptor) -> bool {
        let is_it = || field.names() == self.names();
        self.number == field.number() && is_it() && self.allows_type_of(field)
    }

    /// Whether a field has the type that the mark allows.
    pub(super) fn allows_type_of(&self, field: &FieldDescriptor) -> bool {
        self.held().is_some_and(|held| Held::of(field).as_ref() == Some(held))
    }

    /// Returns the type of a field that leads to a marked field.
    pub(super) fn held(&self) -> Option<&Held> {
        match &self.cause {
            Cause::Inside(held) => Some(held),
            Cause::Marked | Cause::Beside => None,
        }
    }

    /// Returns those of the fields of its message type that the mark hides. A mark that allows a type hides none if one
    /// of them is the field with that type.
    pub(super) fn hidden_among<'f>(&self, fields: &'f [FieldDescriptor]) -> impl Iterator<Item = &'f FieldDescriptor> {
        let fields = if fields.iter().any(|field| self.is_met_by(field)) { &[] } else { fields };
        fields.iter().filter(|field| self.hides(field))
    }

    /// Describes the change that shows the field of the mark in `now`, for people.
    pub(super) fn removal(&self, now: &FieldDescriptor) -> String {
        match &self.cause {
            Cause::Marked => "the option debug_redact was removed".to_owned(),
            Cause::Inside(held) => {
                let (name, number, kind) = (now.declared_name(), now.number(), type_of(now));
                format!("debug_redact hides a field inside {held}, and {name} = {number} has the type {kind} now")
            }
            Cause::Beside => "no other set hides it by debug_redact any more".to_owned(),
        }
    }
}

impl Hidden {
    /// Fills the lists of numbers and names.
    fn index(&mut self) {
        let marked = || self.marks.keys().filter(|mark| mark.cause == Cause::Marked);
        self.numbers = marked().map(|mark| mark.number).collect();
        self.numbers.sort_unstable();
        self.names = marked().flat_map(|mark| [&mark.name, &mark.json_name]).cloned().collect();
        self.names.sort_unstable();
        self.names.dedup();
    }

    fn hide(&self, field: &FieldDescriptor) -> bool {
        let has_name = |name: &str| self.names.binary_search_by(|known| (**known).cmp(name)).is_ok();
        let is_marked = || {
            let Names { declared, json } = field.names();
            has_name(&declared) || has_name(&json)
        };
        self.numbers.binary_search(&field.number()).is_ok()
            || is_marked()
            || self.marks.keys().any(|mark| mark.cause != Cause::Marked && mark.hides(field))
    }
}

impl Marks {
    /// Collects the marks of all sets.
    pub(super) fn of(serving: Serving<'_>) -> Self {
        let reach = Reach::of(serving.sets, |_| true);
        let mut by_type: HashMap<Arc<str>, Hidden> = HashMap::new();
        for (set, linked) in (0..).zip(serving.sets) {
            for mark in &*linked.marks {
                let hidden = by_type.entry(Arc::clone(&mark.message_type)).or_default();
                hidden.marks.entry(mark.clone()).or_default().push(set);
            }
        }
        for (mark, sets) in serving.contradicted(&reach) {
            by_type.entry(Arc::clone(&mark.message_type)).or_default().marks.insert(mark, sets);
        }
        by_type.values_mut().for_each(Hidden::index);
        Self { by_type, reach }
    }

    /// Whether any mark hides this field of a message type.
    pub(super) fn hide(&self, message_type: &str, field: &FieldDescriptor) -> bool {
        self.by_type.get(message_type).is_some_and(|hidden| hidden.hide(field))
    }

    /// Whether a set has this mark, and so hides everything that the mark hides.
    pub(super) fn contains(&self, mark: &Mark) -> bool {
        self.by_type.get(&mark.message_type).is_some_and(|hidden| hidden.marks.contains_key(mark))
    }

    /// Returns each mark of a message type with the positions of the sets that have it, sorted.
    pub(super) fn of_type(&self, message_type: &str) -> impl Iterator<Item = (&Mark, &[u32])> {
        let hidden = self.by_type.get(message_type).into_iter();
        hidden.flat_map(|hidden| &hidden.marks).map(|(mark, sets)| (mark, &**sets))
    }

    /// Returns the fields that lead to a mark in some set and serve with another type, with the positions of the sets
    /// in which they lead to a mark. They are in no particular order.
    pub(super) fn contradicted(&self) -> impl Iterator<Item = (&Mark, &[u32])> {
        let marks = self.by_type.values().flat_map(|hidden| &hidden.marks);
        marks.filter(|(mark, _)| mark.held().is_some()).map(|(mark, sets)| (mark, &**sets))
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

    /// Returns everything that hides fields of a message type, with the positions of the sets that have it: the marks
    /// that count, the fields that lead to marks in `reach`, and the fields that serve and are hidden by these.
    pub(super) fn protected(
        self: &Arc<Self>,
        message_type: &Arc<str>,
        reach: &Reach,
        counts: impl Fn(&Mark) -> bool,
    ) -> BTreeMap<Mark, Vec<u32>> {
        let mut protected: BTreeMap<Mark, Vec<u32>> = BTreeMap::new();
        if !reach.contains(message_type) {
            return protected;
        }
        let marked = self.marks.of_type(message_type).filter(|(mark, _)| mark.cause == Cause::Marked && counts(mark));
        protected.extend(marked.map(|(mark, sets)| (mark.clone(), sets.to_vec())));
        for (position, set) in (0..).zip(&self.sets) {
            for mark in set.marks_inside(message_type, reach) {
                protected.entry(mark).or_default().push(position);
            }
        }
        let Some(entry) = self.messages.get(message_type) else { return protected };
        if self.marks.by_type.contains_key(message_type) {
            let fields = self.descriptor(*entry).all_fields();
            for field in fields.iter().filter(|field| field.is_marked) {
                let hiding = protected.iter().filter(|(mark, _)| mark.hides(field));
                let sets: Vec<u32> = hiding.flat_map(|(_, sets)| sets).copied().collect();
                let mark = Mark::new(message_type, field.number(), field.names(), Cause::Marked);
                if !sets.is_empty() && !protected.contains_key(&mark) {
                    protected.insert(Mark { cause: Cause::Beside, ..mark }, sets);
                }
            }
        }
        protected
    }
}

impl MessageDescriptor {
    /// Decodes the fields and the extensions.
    pub(super) fn all_fields(&self) -> Vec<FieldDescriptor> {
        let mut fields = self.fields();
        fields.extend(self.extensions());
        fields
    }
}
