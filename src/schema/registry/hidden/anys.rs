//! The fields that hold Anys, while profiles hide fields by paths.
//!
//! An Any can hold a message whose fields a path hides. If the field of the Any gets another type, such as `bytes`, the
//! JSON has the same bytes, and no path reaches into them.

use protojson::{Change, MarkedField, Schema, ShownField, Visibility};

use super::{Hiding, change};

impl Hiding {
    /// Returns the fields of this schema that hold Anys, if a profile hides fields by paths.
    pub(super) fn anys_in(&self, schema: &Schema) -> Vec<MarkedField> {
        if self.paths.is_empty() { Vec::new() } else { schema.any_fields() }
    }

    /// Returns those of the fields that the schema shows with another type: of those that held Anys before, and of those
    /// that hold Anys in a set of the schema while the definition of another set serves.
    pub(super) fn shown_in_anys(
        &self,
        schema: &Schema,
        mut fields: Vec<MarkedField>,
        before: &[MarkedField],
    ) -> Vec<Change> {
        fields.extend_from_slice(before);
        fields.sort_unstable();
        fields.dedup_by(|one, other| one.key() == other.key());
        let retyped = schema.retyped(&fields).into_iter();
        let changes = retyped.filter_map(|ShownField { field, text, set }| {
            let (message_type, name) = (field.message_type(), field.name());
            if self.accepts(message_type, name) {
                return None;
            }
            let shows = |profile: &usize| {
                let options = &self.profiles.options[*profile];
                let has_paths = !options.drop.is_empty() || !options.redact.is_empty();
                has_paths && schema.visibility(message_type, options, &[field.number()]) == Visibility::Visible
            };
            let profiles: Vec<usize> = (0..self.profiles.options.len()).filter(shows).collect();
            if profiles.is_empty() {
                return None;
            }
            let text = format!("{text}, and {} fields inside it by paths", self.hide(&profiles));
            Some(change(message_type, name, text, field.sets().iter().map(String::as_str).chain([set])))
        });
        changes.collect()
    }
}
