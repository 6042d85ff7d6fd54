//! `protobridge duplicates`: events that producers sent more than once.

mod report;
mod tally;

use std::io::Write as _;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use super::config_file::ConfigFile;
use super::journal::{open, with_progress};
use super::window::Window;
use crate::route::Glob;
use crate::store::journal::Reader;
use report::Report;
use tally::Tally;

/// The window if the command line names no time.
const DAY: Duration = Duration::from_secs(86_400);

/// Arguments of `duplicates`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Lists, by event type and queue, the events that came as more than one SQS message: a producer sent them again, such as \
one that is only half rolled back. A message that SQS delivers more than once is no duplicate of this kind.

PUBLISHED AGAIN counts the events that a destination got from more than one of these messages.

Examples:
  protobridge duplicates --from 2h
  protobridge duplicates --from 2026-11-28T12:00:00Z --to 2026-11-28T14:00:00Z \\
    --type 'shop.v1.*' --json

Exit codes: 0 success, 1 the journal cannot be read, 2 wrong usage, 64 wrong configuration.")]
pub(super) struct Args {
    #[command(flatten)]
    window: Window,
    /// Only event types that match; * matches any characters; repeat the option for several
    #[arg(long = "type", value_name = "GLOB")]
    types: Vec<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigFile,
}

/// Lists the events that came more than once.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let origin = args.config.origin()?;
    let config = origin.load()?;
    let window = args.window.range(SystemTime::now(), DAY)?;
    let globs: Vec<Glob> = args.types.iter().map(|glob| Glob::new(glob)).collect();
    let is_wanted = |name: &str| globs.is_empty() || globs.iter().any(|glob| glob.matches(name));
    let mut tally = Tally::default();
    let looked = super::runtime()?.block_on(async {
        let reader = Reader::new(open(&config, origin.path()).await?);
        let scan = reader.scan(window.clone(), |row| {
            if row.event_type.as_deref().is_some_and(is_wanted) {
                tally.add(&row);
            }
        });
        Ok::<_, anyhow::Error>(with_progress("reading the journal", scan).await?)
    })?;
    let report = Report { window, tally: tally.finish(), looked, sample_published: config.journal.sample_published };
    let mut out = anstream::stdout().lock();
    if args.json {
        serde_json::to_writer_pretty(&mut out, &report.json())?;
        writeln!(out)?;
    } else {
        report.write(&mut out)?;
    }
    Ok(ExitCode::SUCCESS)
}
