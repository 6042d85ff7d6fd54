//! Transcodes dynamic Protobuf to canonical [ProtoJSON]: compiled descriptor sets in, wire bytes → JSON bytes out.
//!
//! ```
//! use protojson::{Options, Schema};
//!
//! # let set = protox::compile(["timestamped.proto"], [concat!(env!("CARGO_MANIFEST_DIR"), "/tests/proto")])?;
//! # let descriptor_set = prost::Message::encode_to_vec(&set);
//! // `descriptor_set` holds the output of `protoc --include_imports --descriptor_set_out` or `buf build`.
//! let schema = Schema::builder().set("example.binpb", &descriptor_set)?.build()?;
//! let plan = schema.plan("example.v1.Timestamped", &Options::default())?;
//!
//! let mut json = Vec::new();
//! plan.transcode(&[0x0a, 0x02, b'h', b'i', 0x12, 0x02, 0x08, 0x3c], &mut json)?;
//! assert_eq!(json, br#"{"note":"hi","at":"1970-01-01T00:01:00Z"}"#);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The slow work happens once: [`Schema`] links descriptor sets, and [`Schema::plan`] compiles one message type with
//! its [`Options`]. A [`Plan`] is immutable, cheap to clone and shared between threads. The crate does no I/O and has
//! no global state.
//!
//! [ProtoJSON]: https://protobuf.dev/programming-guides/json/

#![warn(missing_docs)]

mod engine;
mod error;
mod field_path;
mod json_schema;
mod options;
mod output;
mod parse;
mod plan;
mod program;
mod sample;
mod schema;
mod taps;
mod text;
mod wire;

pub use error::{Error, ErrorKind, PlanError, SchemaError, SchemaErrorKind, TapError, TapErrorKind};
pub use field_path::FieldPath;
pub use json_schema::Additions;
pub use options::{Bytes, Enums, FieldNames, Int64, InvalidUtf8, Options, UnknownAny};
pub use parse::JsonError;
pub use plan::Plan;
pub use schema::{
    Change, DescriptorSet, MarkedField, Outgrown, Reconciled, Rule, Schema, SchemaBuilder, ShownField, Trail,
    Visibility,
};
pub use taps::Taps;

/// Runs the examples in the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
