//! `protobridge replay`: sends archived messages again, or compares what a change of the configuration would make of them.

mod compare;
mod known;
mod plan;
mod progress;
mod send;
mod session;
mod summary;
mod unconfirmed;

use std::process::ExitCode;

use super::config_file::ConfigFile;
use super::window::Window;

/// Arguments of `replay`.
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{}\n\n{}", send::HELP, compare::HELP))]
pub(super) struct Args {
    #[command(flatten)]
    window: Window,
    #[command(flatten)]
    filter: Filter,
    #[command(flatten)]
    send: send::Options,
    #[command(flatten)]
    compare: compare::Options,
    #[command(flatten)]
    config: ConfigFile,
}

/// The options that sending and comparing have in common: the messages of the window that are wanted, and the output.
#[derive(Debug, Clone, Default, clap::Args)]
struct Filter {
    /// Only deliveries to this customer
    #[arg(long, value_name = "ID")]
    customer: Option<String>,
    /// Only events of the types that match this glob, such as 'shop.v1.Order*'; can be repeated
    #[arg(long = "type", value_name = "GLOB")]
    types: Vec<String>,
    /// Only messages of this queue, by its name in the configuration; can be repeated
    #[arg(long, value_name = "NAME")]
    queue: Vec<String>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    if args.compare.is_wanted() {
        return compare::run(&args.compare, &args.window, &args.filter, &args.config);
    }
    send::run(&args.send, &args.window, &args.filter, &args.config)
}
