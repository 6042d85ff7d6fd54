//! Quiet or broken: whether the sources of events and the path of the events work.
//!
//! [`sources`] follows the heartbeats of sources. This layer decides nothing about a message: it reads what others
//! found out, and says what that means.

pub mod sources;
