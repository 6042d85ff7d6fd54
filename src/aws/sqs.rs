//! SQS: receiving messages, keeping them hidden, and settling them.
//!
//! Each message in flight has a [`Receipt`]. A receipt ends in one of these ways: [`delete::Deleter`] deletes the message,
//! [`release::Releaser`] returns it to its queue, or the receipt is dropped and the message becomes visible again when its
//! visibility timeout lapses. A receipt can be [parked](Receipt::park) in between: the message stays hidden, and leaves the
//! memory.

mod attempts;
pub mod budget;
mod change;
mod dead_letters;
pub mod delete;
pub mod depth;
pub mod quarantine;
mod receipt;
pub mod receive;
pub mod redrive;
pub mod release;
mod stale;
pub mod visibility;

pub use receipt::{ParkedReceipt, Receipt, Received, SettledReceipt};
