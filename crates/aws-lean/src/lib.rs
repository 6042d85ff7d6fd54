//! A lean client for the three hot calls of SQS and SNS.

#![warn(missing_docs)]

mod answer;
mod client;
mod clock;
pub mod credentials;
mod delete;
mod endpoint;
mod failure;
mod form;
mod publish;
mod receive;
#[cfg(any(test, feature = "test-util"))]
pub mod scripted;
mod signing;
#[cfg(test)]
mod tests;
mod xml;

pub use client::LeanClient;
pub use failure::{Failure, FailureKind, chain};
pub use publish::PublishEntry;
pub use receive::{Message, SystemAttributes};
pub use signing::Auth;

/// The number of entries that SQS and SNS take per batch, and of messages that one receive returns, at most.
pub const MAX_BATCH_ENTRIES: usize = 10;
