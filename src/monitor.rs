//! Quiet or broken: whether the sources of events and the path of the events work.
//!
//! [`sources`] follows the heartbeats of sources, and [`canary`] the test events that must return. This layer decides nothing about a message: it reads what others
//! found out, and says what that means.

pub mod canary;
pub mod sources;
