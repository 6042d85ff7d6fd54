#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod answer;
mod bucket;
mod change_visibility;
mod client;
mod clock;
mod codes;
pub mod credentials;
mod delete;
mod endpoint;
mod failure;
mod form;
mod list;
mod object;
mod publish;
mod publish_answer;
mod receive;
mod revision;
#[cfg(any(test, feature = "test-util"))]
pub mod scripted;
mod send;
mod signing;
mod sqs_batch;
#[cfg(test)]
mod tests;
mod xml;

pub use bucket::{Bucket, BucketKeyError};
pub use client::LeanClient;
pub use endpoint::{EndpointUrls, NoEndpoint};
pub use failure::{Failure, FailureKind, chain};
pub use list::{Listed, Page};
pub use object::{NewObject, Object};
pub use publish::{PublishAttribute, PublishEntry, Published};
pub use receive::{Message, SystemAttributes};
pub use revision::{Condition, Fetched, Revision};
pub use send::SendEntry;
pub use signing::Auth;

/// The largest number of entries that SQS and SNS take per batch, and of messages that one receive returns.
pub const MAX_BATCH_ENTRIES: usize = 10;
