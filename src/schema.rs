//! Schemas: descriptor sets as data, and the JSON that they make of payloads.

pub mod confluent;
pub mod registry;
pub mod transcode;
