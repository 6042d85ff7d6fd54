//! Receiving messages with long polls, as many as the in-flight budget allows.
//!
//! Each queue has [pollers](pollers::run), whose number follows the demand. A poll reserves room in the budget for the most
//! that it can return before it calls SQS, so the messages in flight never exceed the budget. A poller decides nothing
//! about a message; it passes each one on with its [`Receipt`].

mod evidence;
mod headroom;
mod poller;
pub mod pollers;
mod receiver;
mod reception;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

pub use evidence::{Evidence, PollSpan, Proof};
pub use poller::Poller;
pub use receiver::Receiver;
pub use reception::{Reception, Receptions, Trouble};

use super::budget::Permit;
use super::visibility::Visibility;
use super::{Receipt, Received};
use crate::message::{Message, Queue};

/// Pairs the messages that one receive returned with their receipts. `received` is the time of the answer; their
/// visibility timeouts count from `hidden`.
///
/// Each message takes its share of `reserved`; the rest returns to the budget. A message without an id or a receipt handle
/// is left out, because it can be neither deduplicated nor deleted.
fn pair_with_receipts(
    queue: &Arc<Queue>,
    messages: Vec<aws_lean::Message>,
    visibility: &Visibility,
    mut reserved: Permit,
    (hidden, received): (Instant, Instant),
) -> Vec<Received> {
    let messages = messages.into_iter().filter_map(|message| read(queue, message, received));
    messages
        .map(|(message, handle)| {
            let permit = reserved.split(message.size());
            let hold = visibility.hold(&message, &handle, hidden);
            Received { message, receipt: Receipt::new(Arc::clone(queue), handle, hold, permit) }
        })
        .collect()
}

/// Converts a message of the wire format. Returns it with its receipt handle.
fn read(queue: &Arc<Queue>, message: aws_lean::Message, at: Instant) -> Option<(Message, Arc<str>)> {
    let system = message.attributes;
    let time = |millis: Option<String>| {
        let millis = millis?.parse().ok()?;
        Some(SystemTime::UNIX_EPOCH + Duration::from_millis(millis))
    };
    let receive_count = system.approximate_receive_count.and_then(|count| count.parse().ok());
    let received = Message {
        queue: Arc::clone(queue),
        message_id: message.message_id?,
        body: message.body.unwrap_or_default(),
        attributes: message.message_attributes,
        sent: time(system.sent_timestamp).unwrap_or_else(SystemTime::now),
        first_received: time(system.approximate_first_receive_timestamp).unwrap_or_else(SystemTime::now),
        received: at,
        receive_count: receive_count.unwrap_or(1),
        group: system.message_group_id,
        deduplication_id: system.message_deduplication_id,
        sequence_number: system.sequence_number,
        trace_header: system.aws_trace_header,
    };
    Some((received, message.receipt_handle?.into()))
}

#[cfg(test)]
mod tests;
