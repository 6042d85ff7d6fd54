//! The changes that show a hidden field, or hide a field.

use std::collections::BTreeMap;

use super::{Change, Comparison, Rule};
use crate::schema::{FieldDescriptor, Mark, MessageDescriptor};

/// A field that was hidden and is shown now.
pub(super) struct Shown<'f> {
    pub(super) mark: Mark,
    /// The positions of the sets with the mark.
    sets: Vec<u32>,
    field: &'f FieldDescriptor,
}

impl Comparison<'_> {
    /// Returns those of these fields of a message that are shown now and were hidden, by their numbers.
    pub(super) fn shown<'f>(
        &self,
        before: &MessageDescriptor,
        fields_now: &'f [FieldDescriptor],
    ) -> BTreeMap<u32, Shown<'f>> {
        let mut shown: BTreeMap<u32, Shown<'f>> = BTreeMap::new();
        for (mark, sets) in self.before.protected(before.shared_name(), &self.before.marks.reach, |_| true) {
            for field in mark.hidden_among(fields_now).filter(|field| !field.is_marked) {
                let found = || Shown { mark: mark.clone(), sets: Vec::new(), field };
                let known = shown.entry(field.number()).or_insert_with(found);
                known.sets.extend_from_slice(&sets);
                // The first of the causes describes the change best.
                if mark.cause < known.mark.cause {
                    known.mark = mark.clone();
                }
            }
        }
        shown
    }

    /// Adds the change that shows a field. `element` is the name of the field before the change.
    pub(super) fn redaction_removed(
        &mut self,
        before: &MessageDescriptor,
        element: String,
        Shown { mark, sets, field }: Shown<'_>,
    ) {
        let pools = [Some(before.pool()), Some(field.pool())];
        self.add(before.full_name(), element, Rule::RedactionRemoved, mark.removal(field), pools);
        let mut marking: Vec<&str> = self.before.set_names(&sets).collect();
        marking.sort_unstable();
        marking.dedup();
        self.blame(marking);
    }

    /// Adds the change that hides a field.
    pub(super) fn redaction_added(&mut self, message_type: &str, before: &FieldDescriptor, now: &FieldDescriptor) {
        let mut marks = self.now.marks.of_type(message_type).map(|(mark, _)| mark).filter(|mark| mark.hides(now));
        let text = match marks.next().and_then(Mark::held) {
            Some(held) => format!("the type {held} of another set has a field with the option debug_redact"),
            None => "the option debug_redact was added".to_owned(),
        };
        let pools = [Some(before.pool()), Some(now.pool())];
        self.add(message_type, before.declared_name(), Rule::RedactionAdded, text, pools);
        self.blame(self.now.sets_that_mark(message_type, now));
    }

    /// Adds these sets in front of the sets of the change that was added last.
    fn blame(&mut self, marking: Vec<&str>) {
        if let Some(Change { sets, .. }) = self.changes.last_mut() {
            sets.retain(|name| !marking.contains(&&**name));
            sets.splice(..0, marking.into_iter().map(str::to_owned));
        }
    }
}
