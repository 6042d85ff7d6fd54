//! protobridge pulls Protobuf events from SQS, decodes them with descriptor sets that are loaded at run time, renders
//! canonical ProtoJSON and republishes each event to the JSON topics (SNS) of the customers it belongs to.
//!
//! The modules stand in the order in which an event meets them; [`pipeline`] is that way on one page, and [`app`]
//! puts everything together.

pub mod admin;
pub mod app;
pub mod asyncapi;
pub mod aws;
pub mod batch;
pub mod cli;
pub mod config;
pub mod confluent;
pub mod dedupe;
pub mod delete;
#[cfg(feature = "demo")]
pub mod embedded;
pub mod envelope;
pub mod http;
pub mod iam;
pub mod objects;
pub mod outcome;
pub mod pipeline;
pub mod publish;
pub mod rate;
pub mod receive;
pub mod registry;
pub mod reload;
pub mod route;
pub mod shutdown;
pub mod telemetry;
pub mod transcode;
pub mod visibility;
