//! protobridge: Protobuf events from SQS, republished as canonical JSON to per-customer SNS topics.
pub mod config;
