//! What differs between the decisions of two configurations about the same messages, without I/O.
//!
//! The caller decides about each message twice, as a [dry run](super::dry_run) of the [prepared] message, and adds
//! both forecasts to a [`Comparison`]. It keeps counts and the smallest example of each kind of difference, so its memory
//! does not grow with the number of messages.

mod change;
mod ending;
mod example;
mod shapes;
mod tally;
mod views;

use std::time::SystemTime;

pub use change::{Change, Kind};
pub use ending::Ending;
pub use example::Example;
pub use tally::{Comparison, Group, Place, Tally, Totals, type_of};

use crate::message::{Message, attributes};

/// Returns a message as a comparison decides about it. No grace period holds it back, because a message whose type is unknown
/// ends as that, however young it is. It has no quarantine note, because the deliveries of the first attempt are compared, too.
pub fn prepared(mut message: Message) -> Message {
    message.first_received = SystemTime::UNIX_EPOCH;
    message.attributes.remove(attributes::QUARANTINE_NOTE);
    message
}
