//! protobridge pulls Protobuf events from SQS, decodes them with descriptor sets that are loaded at run time, renders
//! canonical ProtoJSON and republishes each event to the JSON topics (SNS) of the customers it belongs to.
//!
//! The modules are layers. They are listed in order: each module can use only those before it in this list. The test
//! `tests/architecture.rs` checks this.
//!
//! 1. [`config`]: the typed configuration.
//! 2. [`base`]: building blocks without a word of protobridge's domain.
//! 3. [`message`]: a message, its envelope, and the vocabulary of what happens to it.
//! 4. [`telemetry`]: logs, metrics and traces.
//! 5. [`store`]: the object store, with the journal and the counters of the reports.
//! 6. [`aws`]: SQS, SNS and S3.
//! 7. [`schema`]: descriptor sets and transcoding.
//! 8. [`route`]: customers, their topics, and the catalog of what they receive.
//! 9. [`monitor`]: heartbeats of sources, silence rules and canaries.
//! 10. [`delivery`]: decision, duplicates, publish, settlement. [`delivery::pipeline`] shows an event's path on one page.
//! 11. [`app`]: the running service.
//! 12. [`cli`]: the commands.

pub mod config;

pub mod base;

pub mod message;

pub mod telemetry;

pub mod store;

pub mod aws;

pub mod schema;

pub mod route;

pub mod monitor;

pub mod delivery;

pub mod app;

pub mod cli;
