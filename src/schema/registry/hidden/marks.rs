//! The fields that are hidden because they, or fields inside them, have the option `debug_redact`.

use protojson::{Change, MarkedField, Schema, ShownField};

use super::{Hiding, change};

impl Hiding {
    /// Returns the fields of this schema that stay hidden by a mark. Leaves out the marks of fields that may become
    /// visible, and the fields that lead to such marks only.
    pub(super) fn marked_in(&self, schema: &Schema) -> Vec<MarkedField> {
        if !self.hides_marked() {
            return Vec::new();
        }
        schema.marked_fields(|message_type, name| !self.accepts(message_type, name))
    }

    /// Returns those of the fields that the schema shows.
    pub(super) fn shown_marked(&self, schema: &Schema, before: &[MarkedField]) -> Vec<Change> {
        let shown = schema.shown(before).into_iter();
        let shown = shown.filter(|shown| !self.accepts(shown.field.message_type(), shown.field.name()));
        let changes = shown.map(|ShownField { field, text, set }| {
            let depends = match field.inner() {
                Some(_) => format!("{} only what has the option", self.hide_marked()),
                None => format!("{} it only by that", self.hide_marked()),
            };
            let sets = field.sets().iter().map(String::as_str).chain([set]);
            change(field.message_type(), field.name(), format!("{text}, and {depends}"), sets)
        });
        changes.collect()
    }
}
