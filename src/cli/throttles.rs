//! `protobridge throttles`: where SNS throttled, and the rates that it accepted, over all replicas.

mod text;

use std::io::Write as _;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use super::config_file::ConfigFile;
use super::counted::Counted;
use super::window::Window;
use crate::store::counters::throttles;

/// The window without `--from` and `--to`.
const WINDOW: Duration = Duration::from_secs(60 * 60);

/// Arguments of `throttles`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Adds up the counters that all replicas wrote to `store.url`: the quota of SNS counts the messages of an account per \
second in a region, and each replica sees a part of them. The minutes that begin in the window count. The quota on \
paper is `publish.quota_messages_per_second`, or the one that AWS documents for the region.

Examples:
  protobridge throttles --from 2h
  protobridge throttles --from 2026-11-28T12:00:00Z --to 15m --support-case

Exit codes: 0 success, 1 the store does not answer or has no counters of this time, 2 wrong usage, 64 wrong \
configuration, such as no `store.url`.")]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigFile,
    // Without options: the last hour.
    #[command(flatten)]
    window: Window,
    /// Print what AWS Support asks for: account, region, quota, each throttle with its request id, and a summary
    #[arg(long, conflicts_with = "json")]
    support_case: bool,
    /// Print JSON, with each throttle
    #[arg(long)]
    json: bool,
}

/// Prints the report.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let (path, config) = (args.config.path()?, args.config.load()?);
    let window = args.window.range(SystemTime::now(), WINDOW)?;
    let counted = super::runtime()?.block_on(Counted::read(&config, path, window.clone()))?;
    let (quota, region) = (config.publish.quota_messages_per_second, config.aws.region.as_deref());
    let report = throttles::report(&counted.minutes, window, quota, region);
    let report = counted.or_none(report, "whether SNS throttled")?;
    let mut out = anstream::stdout().lock();
    if args.json {
        serde_json::to_writer_pretty(&mut out, &report)?;
        writeln!(out)?;
    } else if args.support_case {
        text::write_support_case(&mut out, &report)?;
    } else {
        text::write(&mut out, &report)?;
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests;
