//! `protobridge redrive`: sends quarantined messages again.

mod report;
mod running;

use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::Usage;
use super::config_file::ConfigFile;
use super::window::Point;
use crate::base::time::unix_micros;
use crate::config::Queue;
use crate::delivery::redrive::{Action, Filter, Options, Why};
use crate::message::QuarantineKind;
use crate::route::Glob;
use report::{Report, Words};
pub(super) use report::{end, write_rest};
pub(super) use running::{Run, run as run_over};

/// Arguments of `redrive`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Receives the messages of a quarantine queue, restores each one as its producer sent it, and publishes its event to the \
customers who do not have it. A message whose event all customers have then is deleted; the others stay, with their id \
and their retention. Messages that do not match are visible again at the end, unchanged. The service can run meanwhile.

Look first: --dry-run makes the same decisions and publishes nothing. Nothing is published for messages that a rule of \
the configuration drops today; they are deleted. SQS counts each look at a message as a receive.

Examples:
  protobridge redrive --queue orders --dry-run --show 1
  protobridge redrive --queue orders --reason unknown_type
  protobridge redrive --queue orders --type 'shop.v1.*' --customer acme
  protobridge redrive --queue orders --quarantined-before 7d --discard

Exit codes: 0 all that matches is done, 1 a message still fails or stays, 2 wrong usage, 64 wrong configuration.")]
pub(super) struct Args {
    /// The name or the URL of the queue whose quarantine queue is meant; required if the configuration has several
    #[arg(long, value_name = "QUEUE")]
    queue: Option<String>,
    #[command(flatten)]
    wanted: Wanted,
    /// Send only this customer's deliveries; a message stays as long as another customer lacks its event
    #[arg(long, value_name = "ID", conflicts_with_all = ["to_source", "discard"])]
    customer: Option<String>,
    /// The most messages that match; the others stay
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = positive)]
    limit: usize,
    /// The most messages per second; a throttle by SNS halves it for a while
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rate: u32,
    /// Decide about each message, and publish, send and delete nothing
    #[arg(long)]
    dry_run: bool,
    /// Print the JSON of the first N deliveries
    #[arg(long, value_name = "N", default_value_t = 0, requires = "dry_run", conflicts_with_all = ["to_source", "discard"])]
    show: usize,
    /// Send the messages to their source queue instead, as their producer sent them
    #[arg(long, conflicts_with = "discard")]
    to_source: bool,
    /// Delete the messages instead
    #[arg(long)]
    discard: bool,
    /// Do not ask before --discard
    #[arg(long)]
    yes: bool,
    /// Send messages, too, whose note had no room to list the customers who have the event; these get it a second time
    #[arg(long, conflicts_with = "discard")]
    allow_repeats: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigFile,
}

/// The messages that a command is about.
#[derive(Debug, clap::Args)]
pub(super) struct Wanted {
    /// Only messages with this reason, such as unknown_type
    #[arg(long, value_name = "REASON", value_parser = reason)]
    reason: Option<QuarantineKind>,
    /// Only events of this type: a full name, in which * stands for any characters; repeat the option for several types
    #[arg(long = "type", value_name = "GLOB")]
    event_types: Vec<String>,
    /// Only messages that were quarantined before this time: a time such as 2026-11-28T12:00:00Z, a day, or a time before
    /// now such as 30m, 2h or 7d
    #[arg(long, value_name = "TIME", value_parser = Point::parse)]
    quarantined_before: Option<Point>,
}

impl Wanted {
    /// Returns the messages that are wanted.
    pub(super) fn filter(&self, customer: Option<&str>, message_id: Option<&str>) -> Filter {
        let at = |point: Point| {
            let micros = point.time(unix_micros(SystemTime::now()));
            UNIX_EPOCH + Duration::from_micros(u64::try_from(micros).unwrap_or(0))
        };
        Filter {
            reason: self.reason,
            event_types: self.event_types.iter().map(|glob| Glob::new(glob)).collect(),
            customer: customer.map(Arc::from),
            quarantined_before: self.quarantined_before.map(at),
            message_id: message_id.map(str::to_owned),
        }
    }

    /// Returns whether every message is wanted.
    fn is_all(&self) -> bool {
        self.reason.is_none() && self.event_types.is_empty() && self.quarantined_before.is_none()
    }
}

/// Sends the messages again, and prints what became of them.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let options = Options {
        action: args.action(),
        is_preview: args.dry_run,
        filter: args.wanted.filter(args.customer.as_deref(), None),
        limit: args.limit,
        rate: args.rate,
        allow_repeats: args.allow_repeats,
    };
    let words = Words { action: options.action, is_preview: args.dry_run, limit: args.limit };
    let mut report = Report::new(words, args.show);
    let run = run_over(
        &args.config,
        args.queue.as_deref(),
        options,
        |queue| args.confirm(queue),
        |examined| {
            report.add(&examined);
        },
    )?;
    let Some(run) = run else { return Ok(ExitCode::FAILURE) };
    let mut out = anstream::stdout().lock();
    if args.json {
        serde_json::to_writer_pretty(&mut out, &report.json(&run))?;
        writeln!(out)?;
    } else {
        report.write(&mut out, &run)?;
    }
    warn(&run);
    let is_complete = run.ended.why != Why::Stopped && run.ended.undeleted == 0;
    Ok(if is_complete && !report.has_failures() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Warns on standard error about what a run left undone.
pub(super) fn warn(run: &Run) {
    if run.ended.undeleted > 0 {
        anstream::eprintln!(
            "warning: SQS did not answer in time for {} message(s) that were to be deleted or returned; a message that was \
             published and not deleted is published again by the next redrive, unless the window of duplicates in Redis \
             still knows it",
            run.ended.undeleted
        );
    }
    if run.lost_rows > 0 {
        anstream::eprintln!(
            "warning: the journal lost {} row(s) of this run; `trace` does not know them",
            run.lost_rows
        );
    }
}

impl Args {
    fn action(&self) -> Action {
        match (self.to_source, self.discard) {
            (true, _) => Action::SendBack,
            (_, true) => Action::Discard,
            _ => Action::Send,
        }
    }

    /// Asks whether the messages are to be deleted. Returns whether the command goes on.
    fn confirm(&self, queue: &Queue) -> anyhow::Result<bool> {
        if !self.discard || self.dry_run || self.yes {
            return Ok(true);
        }
        if !io::stdin().is_terminal() {
            return Err(Usage("--discard asks on a terminal; without one, add --yes").into());
        }
        let which = if self.wanted.is_all() { "ALL messages" } else { "the messages that match" };
        let url = queue.quarantine_url.as_deref().unwrap_or_default();
        eprint!("Delete {which} of {url} for good? --dry-run shows them. [y/N] ");
        io::stderr().flush()?;
        let mut answer = String::new();
        io::stdin().read_line(&mut answer)?;
        Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
    }
}

/// The value parser of `--reason`.
fn reason(text: &str) -> Result<QuarantineKind, String> {
    QuarantineKind::ALL
        .into_iter()
        .find(|kind| kind.code() == text)
        .ok_or_else(|| format!("the reasons are {}", QuarantineKind::ALL.map(QuarantineKind::code).join(", ")))
}

/// The value parser of numbers from 1.
pub(super) fn positive(text: &str) -> Result<usize, &'static str> {
    text.parse().ok().filter(|number| *number > 0).ok_or("it is not a number from 1")
}
