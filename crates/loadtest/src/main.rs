//! Measures protobridge from the outside, as `cargo run --release -p loadtest -- --help` tells.
//!
//! [`session`] goes through [`scenario`]s; each run ([`measure`]) has an [`emulator`] of SQS and SNS and a
//! [`subject`], the service or the [`floor`], each a process of its own. What comes out is a [`report`], held against
//! [`goals`], and plotted.

mod backend;
mod cli;
mod emulator;
mod events;
mod floor;
mod goals;
mod measure;
mod plot;
mod process;
mod progress;
mod report;
mod scenario;
mod session;
mod spec;
mod subject;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
