//! The integration tests, in one binary.
//!
//! Scenarios of the whole pipeline are written once and run against each emulator: `embedded` is the emulator of this
//! crate, `ministack` is an independent one. `tests/support` sets up the queues, the topics and the service.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[path = "../support/bucket.rs"]
mod bucket;
#[path = "../support/collector.rs"]
mod collector;
#[path = "../support/command.rs"]
mod command;
#[path = "../support/denial.rs"]
mod denial;
#[path = "../support/descriptors.rs"]
mod descriptor_sets;
#[path = "../support/emulator.rs"]
mod emulator;
#[path = "../support/encoder.rs"]
mod encoder;
#[path = "../support/gate.rs"]
mod gate;
#[path = "../support/http.rs"]
mod http;
#[path = "../support/ministack.rs"]
mod ministack;
#[path = "../support/model.rs"]
mod model;
#[path = "../support/oracle.rs"]
mod oracle;
#[path = "../support/proxy.rs"]
mod proxy;
#[path = "../support/python.rs"]
mod python;
#[path = "../support/queue.rs"]
mod queue;
#[path = "../support/redis.rs"]
mod redis;
#[path = "../support/service.rs"]
mod service;
#[path = "../support/source.rs"]
mod source;
#[path = "../support/stage.rs"]
mod stage;
#[path = "../support/wait.rs"]
mod wait;

mod admin;
mod admission;
mod boto3;
mod canary;
mod changes;
mod claims;
mod cli;
mod cli_buckets;
mod cli_canary;
mod cli_check;
mod cli_check_online;
mod cli_compare;
mod cli_demo;
mod cli_descriptors;
mod cli_explain;
mod cli_healthcheck;
mod cli_iam_policy;
mod cli_replay;
mod cli_reports;
mod cli_schema;
mod cli_sources;
mod cli_store;
mod cli_test;
mod cli_transcode;
mod contract;
mod counters;
mod crash;
mod delivery;
mod descriptors;
mod duplicates;
mod envelope;
mod faults;
mod fifo;
mod health;
mod hidden;
mod large_events;
mod log;
mod network;
mod outages;
mod quarantine;
mod raw_delivery;
mod redelivery;
mod redrive;
mod reload;
mod routing;
mod sets_in_force;
mod shared_gaps;
mod shared_window;
mod shutdown;
mod traces;
mod version;
