//! Printing an error together with its causes.

use std::error::Error;

/// Returns the text of an error and of its causes, separated by `: `.
///
/// A cause whose text the text so far contains is left out, because many errors print their cause themselves.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let more = inner.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = inner.source();
    }
    text
}
