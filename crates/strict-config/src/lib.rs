//! Loads a YAML document into a typed value, strictly.
//!
//! The type is a plain struct with serde's `Deserialize` and schemars' [`JsonSchema`](schemars::JsonSchema). The crate
//! promises:
//!
//! - All problems of a document are reported at once, each with its line, its key and, if there is an obvious one, a
//!   suggestion.
//! - Nothing is ignored: an unknown key, a key that is given twice and an unknown [variable](Variables) are problems.
//! - Text keeps its spelling: for a key of type `String`, `007` and `off` need no quotes.
//! - A placeholder such as `${NAME}` is a problem, because nothing replaces it. The problem names the variable of the
//!   key.
//! - Rules that types cannot express are applied in the same pass, as far as the values that they need are valid.
//!
//! ```
//! use std::path::Path;
//!
//! #[derive(Debug, Default, serde::Deserialize, schemars::JsonSchema)]
//! #[serde(deny_unknown_fields, default)]
//! struct Settings {
//!     linger_ms: u32,
//! }
//!
//! let error = strict_config::document::<Settings>(Path::new("a.yaml"), "linger_sm: 5").unwrap_err();
//! assert_eq!(error.to_string(), "a.yaml:1:1: linger_sm: unknown key; did you mean `linger_ms`?");
//! ```
//!
//! It deliberately does not:
//!
//! - read the document's file or the environment; the caller passes the text and the variables. It only reads the files
//!   that [variables name](Variables::read_files_in), if the caller allows it,
//! - merge several documents,
//! - write YAML,
//! - support every type: a type must not contain itself, and the values of an enum with data are not checked one by
//!   one. A problem in such a value is reported without its line, and only if the document has no other problem.

#![warn(missing_docs)]

mod check;
mod document;
mod json_schema;
mod nearest;
mod placeholder;
mod problem;
mod shape;
#[cfg(test)]
mod toy;
mod tree;
mod variables;

pub use document::{Positions, document, document_with, document_with_positions, document_with_variables};
pub use json_schema::json_schema;
pub use nearest::nearest;
pub use problem::{Error, Position, Problem, Source};
pub use variables::{Variable, Variables};

/// Compiles and runs the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
