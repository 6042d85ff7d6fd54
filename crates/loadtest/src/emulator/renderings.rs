//! Judges the JSON of the events by value.
//!
//! An encoder writes all events of one template in the same way. The text that was judged once is remembered, so that
//! only a few dozen texts are parsed in a run, and the emulator takes no more CPU time than if it compared the text.

use std::collections::HashMap;

use super::form;
use crate::events::Template;
use crate::json_value;

/// The texts that were judged.
#[derive(Debug, Default)]
pub(super) struct Renderings {
    /// The texts with the expected value, still percent-encoded, by the checksum of the expected JSON.
    equal: HashMap<String, Vec<Vec<u8>>>,
    /// How the first text without the expected value differs from it.
    first_difference: Option<String>,
}

/// The most texts that are remembered for a template.
const MAX_TEXTS: usize = 8;

impl Renderings {
    /// Whether the percent-encoded text has the value of the template's JSON.
    pub(super) fn is_equal(&mut self, text: &[u8], template: &Template) -> bool {
        if self.equal.get(&template.checksum).is_some_and(|texts| texts.iter().any(|known| known == text)) {
            return true;
        }
        if let Some(difference) = json_value::text_difference(&template.json, &form::unescape(text)) {
            self.first_difference.get_or_insert(difference);
            return false;
        }
        let texts = self.equal.entry(template.checksum.clone()).or_default();
        if texts.len() < MAX_TEXTS {
            texts.push(text.to_vec());
        }
        true
    }

    pub(super) fn first_difference(&self) -> Option<&str> {
        self.first_difference.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::Events;
    use crate::spec::{Size, Spec};

    #[test]
    fn other_spellings_of_the_value_are_equal_each_time_and_other_values_never() {
        let events = Events::new(&Spec { size: Size::Tiny, ..Spec::default() }).unwrap();
        let template = events.template(0);
        let spaced = template.json.replace("\":", "\": ").replace(",\"", ", \"");
        let spaced = spaced.replace(' ', "+").replace('"', "%22").replace(':', "%3A");
        let mut renderings = Renderings::default();
        for _ in 0..3 {
            assert!(renderings.is_equal(spaced.as_bytes(), template), "{spaced}");
        }
        assert!(renderings.is_equal(template.json.as_bytes(), template));
        assert_eq!(renderings.first_difference(), None);
        let wrong = template.json.replacen("\"sequence\":\"", "\"sequence\":\"9", 1);
        for _ in 0..2 {
            assert!(!renderings.is_equal(wrong.as_bytes(), template), "{wrong}");
        }
        let difference = renderings.first_difference().unwrap();
        assert!(difference.starts_with("sequence: expected "), "{difference}");
    }
}
