//! A panic while a message is decided about concerns this one message only.

use std::panic::{self, AssertUnwindSafe};

use super::outcome::Outcome;
use crate::message::RetryCause;

/// Does work that is about one message.
///
/// # Errors
/// Returns a retry of the message if the work panics.
pub(super) fn catch<T>(work: impl FnOnce() -> T) -> Result<T, Outcome> {
    // A panic can leave only the state of this one message incomplete, and nobody uses that afterwards.
    panic::catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
        let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        let detail = format!("a defect of protobridge: {}", text.unwrap_or("a panic without a text"));
        RetryCause::Defect.because(detail).into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_over_one_message_is_a_retry_with_its_text() {
        let Err(Outcome::Retry(retry)) = catch(|| -> u8 { panic!("no such {}", "index") }) else {
            panic!("a panic must be a retry");
        };
        assert_eq!((retry.cause, &*retry.detail), (RetryCause::Defect, "a defect of protobridge: no such index"));
        assert_eq!(catch(|| 7).ok(), Some(7));
    }
}
