//! A model of SQS, SNS and S3 as AWS documents them, and of a schema registry. It runs in this process, in tokio's time and without a network: the
//! clients talk to a [`World`] instead of a connection.
//!
//! A world depends only on its seed and on its clients' calls, so a test on one thread with paused time can be repeated
//! exactly. [`Faults`] decides which faults happen and how often; a test itself decides on [`Trouble`]. The [`log`] records
//! everything that happens. As at AWS, a call takes effect even if its client no longer waits for the answer.

#[path = "model/attempts.rs"]
pub(crate) mod attempts;
#[path = "model/bill.rs"]
pub(crate) mod bill;
#[path = "model/calls.rs"]
mod calls;
#[path = "model/claims.rs"]
pub(crate) mod claims;
#[path = "model/connector.rs"]
mod connector;
#[path = "model/fate.rs"]
mod fate;
#[path = "model/faults.rs"]
mod faults;
#[path = "model/log.rs"]
pub(crate) mod log;
#[path = "model/lookups.rs"]
mod lookups;
#[path = "model/queue.rs"]
mod queue;
#[path = "model/sns.rs"]
mod sns;
#[path = "model/sqs.rs"]
mod sqs;
#[path = "model/topic.rs"]
mod topic;
#[path = "model/trouble.rs"]
mod trouble;
#[path = "model/wire.rs"]
mod wire;
#[path = "model/world.rs"]
mod world;

pub(crate) use faults::Faults;
pub(crate) use queue::Incoming;
pub(crate) use sns::{SHARED_ID, name_of};
pub(crate) use trouble::{Target, Trouble};
pub(crate) use world::{World, topic_arn};
