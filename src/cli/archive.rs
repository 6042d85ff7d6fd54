//! `protobridge archive`: what is in the archive, and whether it is complete.

mod stat;
#[cfg(test)]
mod tests;

use std::io::{self, Write};
use std::iter;
use std::ops::Range;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use clap::Subcommand;
use futures_util::{StreamExt as _, TryStreamExt as _};
use serde::Serialize;
use serde_json::json;

use super::columns;
use super::config_file::ConfigFile;
use super::journal::{open, window_text, with_changing_progress, with_progress};
use super::window::Window;
use crate::store::archive::{Damage, Declaration, Listing, Reader, Stored};
use crate::store::journal::stamp;
use stat::Stat;

/// The window if the command line names no time.
const HOUR: Duration = Duration::from_secs(3_600);

/// The number of segments that are verified at a time.
const PARALLEL: usize = 8;

/// Arguments of `archive`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The archive has every received message as it came; `protobridge replay` sends them again. A window of time selects \
the messages that protobridge finished in it: published, filtered, suppressed or quarantined. Without --from and --to \
it is the last hour.

Examples:
  protobridge archive ls --from 5m
  protobridge archive stat --from 2026-11-28
  protobridge archive verify --from 2h --json

Exit codes: 0 success, 1 failure or, for verify, damage or gaps, 2 wrong usage, 64 wrong configuration.")]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the segments of a window: begin, replica, messages, lost messages, bytes and key
    #[command(after_help = "\
A segment has the messages that one process finished in about a second. LOST counts the messages of that time that \
were deleted without the archive.

Examples:
  protobridge archive ls --from 5m
  protobridge archive ls --from 2026-11-28T12:00:00Z --to 2026-11-28T13:00:00Z

Exit codes: 0 success, 1 the archive cannot be read, 2 wrong usage, 64 wrong configuration.")]
    Ls(Options),
    /// Count the messages of a window and their bytes, by queue, event type and day, and list its gaps
    #[command(after_help = "\
Reads all messages of the window, and counts each once, even if it was received more often. BYTES are those of bodies \
and attributes, as SQS counts them. A message whose type is not known has the type -.

Examples:
  protobridge archive stat --from 1h
  protobridge archive stat --from 2026-11-27 --to 2026-11-28 --json

Exit codes: 0 success, 1 the archive cannot be read, 2 wrong usage, 64 wrong configuration.")]
    Stat(Options),
    /// Read every segment of a window, check that it has what it declares, and list the gaps
    #[command(after_help = "\
A gap is a time in which messages were, or can have been, deleted without the archive. A replay of the window lacks \
them. A segment that is damaged has to be moved away before messages of its time are sent again.

Examples:
  protobridge archive verify --from 1h
  protobridge archive verify --from 7d --json

Exit codes: 0 all is readable and there is no gap, 1 damage, gaps or no segment, or the archive cannot be read, 2 \
wrong usage, 64 wrong configuration.")]
    Verify(Options),
}

/// The options of all three.
#[derive(Debug, clap::Args)]
struct Options {
    #[command(flatten)]
    window: Window,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigFile,
}

/// Runs the command.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let (Command::Ls(options) | Command::Stat(options) | Command::Verify(options)) = &args.command;
    let origin = options.config.origin()?;
    let config = origin.load()?;
    let window = options.window.range(SystemTime::now(), HOUR)?;
    super::runtime()?.block_on(async {
        let reader = Reader::new(open(&config, origin.path()).await?, Vec::new());
        let listing = with_progress("listing the archive", reader.look(window.clone())).await?;
        let mut out = anstream::stdout().lock();
        let is_good = match args.command {
            Command::Ls(_) => {
                write(&mut out, options.json, &Listed::new(&window, &listing))?;
                true
            }
            Command::Stat(_) => {
                let stat = Stat::count(&reader, &listing, &window).await?;
                write(&mut out, options.json, &stat)?;
                true
            }
            Command::Verify(_) => {
                let verified = Verified::read(&reader, &listing, &window).await?;
                write(&mut out, options.json, &verified)?;
                verified.is_good()
            }
        };
        Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    })
}

/// What a command found out.
trait Report {
    fn json(&self) -> serde_json::Value;

    fn write(&self, out: &mut dyn Write) -> io::Result<()>;
}

fn write(mut out: impl Write, is_json: bool, report: &impl Report) -> anyhow::Result<()> {
    if is_json {
        serde_json::to_writer_pretty(&mut out, &report.json())?;
        writeln!(out)?;
    } else {
        report.write(&mut out)?;
    }
    Ok(())
}

/// The segments of a window.
struct Listed<'l> {
    window: &'l Range<i64>,
    listing: &'l Listing,
}

impl<'l> Listed<'l> {
    fn new(window: &'l Range<i64>, listing: &'l Listing) -> Self {
        Self { window, listing }
    }
}

impl Report for Listed<'_> {
    fn json(&self) -> serde_json::Value {
        let segment = |Stored { declaration, object }: &Stored| {
            let Declaration { replica, incarnation, number, from, to, rows, lost, is_last, .. } = declaration;
            json!({
                "from": stamp::rfc3339(*from), "to": stamp::rfc3339(*to), "replica": replica, "process": incarnation,
                "number": number, "messages": rows, "lost": lost, "bytes": object.size, "is_last": is_last,
                "key": object.key,
            })
        };
        let segments: Vec<_> = self.listing.segments.iter().map(segment).collect();
        json!({"window": window_json(self.window), "segments": segments, "gaps": self.listing.gaps})
    }

    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.listing.segments.is_empty() {
            return writeln!(out, "The archive has no segment from {}.", window_text(self.window));
        }
        let header = ["TIME", "REPLICA", "MESSAGES", "LOST", "BYTES"];
        let mut rows = vec![header.map(str::to_owned).to_vec()];
        rows.extend(self.listing.segments.iter().map(|Stored { declaration, object }| {
            let Declaration { replica, from, rows, lost, .. } = declaration;
            let numbers = [rows, lost, &object.size].map(|number| columns::grouped(*number as f64));
            [vec![columns::utc_millis(*from), replica.clone()], numbers.to_vec()].concat()
        }));
        let mut table = Vec::new();
        columns::write(&mut table, &rows, 2)?;
        let keys = self.listing.segments.iter().map(|stored| stored.object.key.as_str());
        for (line, key) in String::from_utf8_lossy(&table).lines().zip(iter::once("KEY").chain(keys)) {
            writeln!(out, "{line}  {key}")?;
        }
        Ok(())
    }
}

/// What reading every segment of a window showed.
struct Verified<'l> {
    window: &'l Range<i64>,
    listing: &'l Listing,
    damaged: Vec<Damaged<'l>>,
}

/// A segment that is not as it must be.
#[derive(Serialize)]
struct Damaged<'l> {
    key: &'l str,
    damage: Damage,
}

impl<'l> Verified<'l> {
    async fn read(reader: &Reader, listing: &'l Listing, window: &'l Range<i64>) -> anyhow::Result<Self> {
        let (all, read) = (listing.segments.len(), AtomicU64::new(0));
        let progress = || format!("verifying segment {} of {all}", read.load(Ordering::Relaxed));
        let checks = listing.segments.iter().map(|stored| async {
            let damage = reader.verify(stored).await?;
            read.fetch_add(1, Ordering::Relaxed);
            Ok::<_, anyhow::Error>(damage.map(|damage| Damaged { key: &stored.object.key, damage }))
        });
        let checks = futures_util::stream::iter(checks).buffered(PARALLEL);
        let found = with_changing_progress(progress, checks.try_collect::<Vec<_>>()).await?;
        Ok(Self { window, listing, damaged: found.into_iter().flatten().collect() })
    }

    /// Whether the archive has the window, without a gap, and all of it can be read.
    fn is_good(&self) -> bool {
        let Listing { segments, gaps } = self.listing;
        !segments.is_empty() && gaps.is_empty() && self.damaged.is_empty()
    }
}

impl Report for Verified<'_> {
    fn json(&self) -> serde_json::Value {
        json!({
            "window": window_json(self.window), "segments": self.listing.segments.len(),
            "messages": self.listing.rows(), "bytes": self.listing.bytes(), "damaged": self.damaged,
            "gaps": self.listing.gaps,
        })
    }

    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let [segments, messages, bytes] =
            [self.listing.segments.len() as u64, self.listing.rows(), self.listing.bytes()]
                .map(|number| columns::grouped(number as f64));
        writeln!(
            out,
            "Read from {}: {segments} segments, {messages} messages, {bytes} bytes.",
            window_text(self.window)
        )?;
        for Damaged { key, damage } in &self.damaged {
            writeln!(out, "damaged: {key}: {damage}")?;
        }
        write_gaps(out, self.listing)
    }
}

/// Writes the gaps, a line each, or that there is none.
fn write_gaps(out: &mut dyn Write, Listing { segments, gaps }: &Listing) -> io::Result<()> {
    gaps.iter().try_for_each(|gap| writeln!(out, "gap: {gap}"))?;
    if segments.is_empty() {
        return writeln!(out, "No segment is of this time: no replica ran, or `archive.enabled` was not set.");
    }
    if gaps.is_empty() {
        writeln!(out, "No gaps: the archive has every message of the processes that it knows.")
    } else {
        Ok(())
    }
}

fn window_json(window: &Range<i64>) -> serde_json::Value {
    json!({"from": stamp::rfc3339(window.start), "to": stamp::rfc3339(window.end)})
}
