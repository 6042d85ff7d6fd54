//! SQS and SNS as AWS documents them, in this process, in tokio's time and without a network: the clients of the SDK
//! talk to a [`World`] instead of a connection.
//!
//! Everything that happens follows from the seed of the world and from what its clients do, so a run on one thread with
//! time paused can be repeated exactly. What goes wrong, and how often, is decided by [`Faults`]; what has happened
//! stands in the [`log`]. A call goes on in the world when its client has stopped waiting, as it does at AWS.

#[path = "model/calls.rs"]
mod calls;
#[path = "model/connector.rs"]
mod connector;
#[path = "model/fate.rs"]
mod fate;
#[path = "model/faults.rs"]
mod faults;
#[path = "model/log.rs"]
pub(crate) mod log;
#[path = "model/queue.rs"]
mod queue;
#[path = "model/sns.rs"]
mod sns;
#[path = "model/sqs.rs"]
mod sqs;
#[path = "model/topic.rs"]
mod topic;
#[path = "model/wire.rs"]
mod wire;
#[path = "model/world.rs"]
mod world;

pub(crate) use faults::Faults;
pub(crate) use queue::Incoming;
pub(crate) use world::World;
