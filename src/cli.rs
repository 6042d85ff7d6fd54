//! The command line. Exit codes: 0 success, 1 failure, 2 wrong usage, 64 invalid configuration.

mod archive;
mod canary;
mod case;
mod check;
mod columns;
mod completions;
mod config;
mod config_file;
mod cost;
mod counted;
#[cfg(feature = "demo")]
mod demo;
mod descriptors;
mod duplicates;
#[cfg(feature = "demo")]
pub mod embedded;
mod explain;
mod healthcheck;
mod heartbeat;
mod iam;
mod iam_policy;
mod inputs;
mod journal;
mod man;
mod profile;
mod quarantine;
mod redrive;
mod replay;
mod run;
mod schema;
mod sources;
mod store;
mod test;
mod throttles;
mod trace;
mod transcode;
mod window;

use std::io;
use std::path::Path;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::app;
use crate::base::build::VERSION_AND_HASH;
use crate::base::http::NetworkError;
use crate::config::Config;
use crate::delivery::redrive::Error as RedriveError;
use crate::schema::registry::Snapshot;

/// Pulls Protobuf events from SQS, decodes them with compiled descriptor sets, and republishes them as canonical JSON
/// to each customer's SNS topic.
#[derive(Debug, Parser)]
#[command(version = VERSION_AND_HASH, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Start here:
  protobridge demo                               watch events, without AWS
  protobridge config example > protobridge.yaml  write an annotated file
  protobridge check --config protobridge.yaml    check that all is in place
  protobridge run --config protobridge.yaml      run the service

An environment variable can override every key of the configuration: PROTOBRIDGE_PUBLISH_LINGER_MS=5 overrides \
`publish.linger_ms`. PROTOBRIDGE_DEDUPE_REDIS_URL_FILE names a file with the value of `dedupe.redis_url`. Without \
--config, a command takes protobridge.yaml of the current folder.

Exit codes: 0 success, 1 failure, 2 wrong usage, 64 invalid configuration.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the service on sample events, with SQS and SNS embedded in this process
    #[cfg(feature = "demo")]
    Demo(demo::Args),
    /// Run the service
    Run(run::Args),
    /// Send test events through the service, and report those that do not return in time and unaltered
    Canary(canary::Args),
    /// Check the configuration, the descriptor sets and the customers; with --online also the queues and topics
    Check(check::Args),
    /// Read Protobuf on standard input and write JSON on standard output
    Transcode(transcode::Args),
    /// Run the test cases of a configuration, offline
    Test(test::Args),
    /// Show the outcome that a message would have, and why, step by step
    Explain(explain::Args),
    /// List descriptor sets, check that they load, and find what a new version breaks
    Descriptors(descriptors::Args),
    /// Print what consumers receive: the JSON Schema of a message type, or the AsyncAPI document of the topics
    Schema(schema::Args),
    /// Print the minimal IAM policy that the service, or a reader of its store, needs with a configuration
    IamPolicy(iam_policy::Args),
    /// Print the rules by which S3 deletes old objects of the store
    Store(store::Args),
    /// Show the state of each source of events, as far as the replicas know together
    Sources(sources::Args),
    /// Tell what became of an event, from the journal: received, published, suppressed, and what is not known
    Trace(trace::Args),
    /// List what is in the archive, count its messages, and check that it is complete and readable
    Archive(archive::Args),
    /// Send archived messages again, or see what a change would make of them
    Replay(replay::Args),
    /// Send quarantined messages again in place, after their cause is fixed
    Redrive(redrive::Args),
    /// Show which messages are in quarantine, and why
    Quarantine(quarantine::Args),
    /// Find events that producers sent more than once, by type
    Duplicates(duplicates::Args),
    /// Report what the calls to AWS cost, by customer, event type or operation
    Cost(cost::Args),
    /// Report where SNS throttled, and the rates that it accepted, over all replicas
    Throttles(throttles::Args),
    /// Send one heartbeat of a source to an input queue
    Heartbeat(heartbeat::Args),
    /// Ask a running service whether it is healthy; exit 0 if it is
    Healthcheck(healthcheck::Args),
    /// Print the JSON Schema of the configuration file, or an annotated example
    Config(config::Args),
    /// Print the completions of a shell
    Completions(completions::Args),
    /// Print a manual page, or write all of them
    Man(man::Args),
}

/// Runs the command that the arguments name, and returns its exit code.
pub fn main() -> ExitCode {
    let result = match Cli::parse().command {
        #[cfg(feature = "demo")]
        Command::Demo(args) => demo::run(&args),
        Command::Run(args) => run::run(&args),
        Command::Canary(args) => canary::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Transcode(args) => transcode::run(&args),
        Command::Test(args) => test::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Descriptors(args) => descriptors::run(&args),
        Command::Schema(args) => schema::run(&args).map(|()| ExitCode::SUCCESS),
        Command::IamPolicy(args) => iam_policy::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Store(args) => store::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Sources(args) => sources::run(&args),
        Command::Trace(args) => trace::run(&args),
        Command::Archive(args) => archive::run(&args),
        Command::Replay(args) => replay::run(&args),
        Command::Redrive(args) => redrive::run(&args),
        Command::Quarantine(args) => quarantine::run(&args),
        Command::Duplicates(args) => duplicates::run(&args),
        Command::Cost(args) => cost::run(&args),
        Command::Throttles(args) => throttles::run(&args),
        Command::Heartbeat(args) => heartbeat::run(&args),
        Command::Healthcheck(args) => healthcheck::run(&args),
        Command::Config(args) => config::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Completions(args) => completions::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Man(args) => man::run(&args).map(|()| ExitCode::SUCCESS),
    };
    match result {
        Ok(code) => code,
        // The reader of standard output, such as `head`, has closed the pipe. That is not an error.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            anstream::eprintln!("{ERROR}error:{ERROR:#} {}", with_causes(&error));
            exit_code(&error)
        }
    }
}

const ERROR: anstyle::Style = anstyle::AnsiColor::Red.on_default().bold();

/// Returns the error and its causes. Many errors quote their cause, so a cause that the text already contains is left
/// out.
fn with_causes(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// Arguments that are missing, invalid or in conflict.
#[derive(Debug, thiserror::Error)]
#[error("{0}; see --help")]
struct Usage(&'static str);

fn exit_code(error: &anyhow::Error) -> ExitCode {
    const USAGE: u8 = 2;
    // `EX_USAGE` of sysexits.h.
    const BAD_CONFIGURATION: u8 = 64;
    let is_configuration = error.is::<strict_config::Error>()
        || error.is::<NetworkError>()
        || error.is::<crate::store::OpenError>()
        || error.is::<tracing_subscriber::filter::ParseError>()
        || error.downcast_ref::<RedriveError>().is_some_and(RedriveError::is_configuration)
        || error.downcast_ref::<app::Error>().is_some_and(app::Error::is_configuration);
    if is_configuration {
        ExitCode::from(BAD_CONFIGURATION)
    } else if error.is::<Usage>() {
        ExitCode::from(USAGE)
    } else {
        ExitCode::FAILURE
    }
}

/// Sets the region that AWS is called in, if the configuration at `path` does not set it.
///
/// # Errors
/// Returns an error if the configuration names a queue or a topic of another region.
fn settle_region(config: &mut Config, region: Option<String>, path: &Path) -> Result<(), strict_config::Error> {
    match config.settle_region(region) {
        problems if problems.is_empty() => Ok(()),
        problems => Err(strict_config::Error::new(path, problems)),
    }
}

/// Warns on standard error about descriptor sets that were refused.
fn warn_about_refused(snapshot: &Snapshot) {
    for refused in snapshot.refused() {
        anstream::eprintln!("warning: {refused}");
    }
}

/// Builds the runtime for the commands that need one.
fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()
}

#[cfg(test)]
mod tests;
