//! Printing an error together with its causes.

pub use aws_lean::chain;
