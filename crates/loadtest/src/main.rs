//! Measures protobridge from the outside. `cargo run --release -p loadtest -- --help` describes the commands.
//!
//! A [`session`] runs [`scenario`]s. Each run ([`measure`]) starts two processes: an [`emulator`] of SQS and SNS, and a
//! [`subject`], which is the service, the [`floor`] or one of its [`rivals`]. The results form a [`report`], which is
//! compared with [`goals`] and plotted.

mod admin;
mod archive;
mod backend;
mod bucket;
mod cli;
mod emulator;
mod events;
mod floor;
mod goals;
mod journal;
mod json_value;
mod measure;
mod network;
mod plot;
mod process;
mod progress;
mod replicas;
mod report;
mod rivals;
mod scenario;
mod session;
mod spec;
mod subject;
mod totals;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
