//! Schemas: descriptor sets loaded at run time, and the transcoding of payloads to JSON.

pub mod confluent;
pub mod registry;
pub mod transcode;
