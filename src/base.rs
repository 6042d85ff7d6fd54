//! Building blocks that know nothing of messages, AWS or Protobuf.
//!
//! Every other layer can use them. What belongs here has no word of protobridge's own domain in it.

pub mod backoff;
pub mod backpressure;
pub mod batch;
pub mod breaker;
pub mod build;
mod cut;
pub mod error;
pub mod gate;
pub mod http;
pub mod json_diff;
mod last_seen;
mod rate_limited_log;
pub mod redis;
pub mod time;
mod watched;

pub use backoff::Backoff;
pub use backpressure::Backpressure;
pub use breaker::Breaker;
pub use cut::{MAX_SHOWN_BYTES, cut};
pub use gate::Gate;
pub use last_seen::LastSeen;
pub use rate_limited_log::RateLimitedLog;
pub use redis::Redis;
pub use watched::Watched;
