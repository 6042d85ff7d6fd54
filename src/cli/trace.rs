//! `protobridge trace`: what became of an event.

mod output;
mod sql;

use std::io::Write as _;
use std::ops::Range;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use super::config_file::ConfigFile;
use super::journal::{no_store, open, with_progress};
use super::window::Window;
use crate::aws::configured_region;
use crate::base::time::unix_micros;
use crate::config::Config;
use crate::message::EventId;
use crate::store::journal::{Error, Evidence, Found, Reader, Row, Story, Wanted, stamp, time_of_id};
use output::Answer;

/// The window if neither the command line nor the id names a time.
const DAY: Duration = Duration::from_secs(86_400);
/// The window around the time that an id reveals: what happens to an event happens after its id was created.
const BEFORE: i64 = 10 * 60 * 1_000_000;
const AFTER: i64 = 50 * 60 * 1_000_000;

/// Arguments of `trace`.
#[derive(Debug, clap::Args)]
#[command(
    group(clap::ArgGroup::new("id").required(true).args(["event", "message_id", "sns_message_id"])),
    after_help = "\
Tells from the journal what happened to an event, in order, and ends with a verdict. Without --from and --to it looks \
at one hour around the time that the event id reveals (UUIDv7, ULID), or else at the last day. If rows can be missing, \
the verdict says so: \"no record\" and \"not known\" are different answers.

Examples:
  protobridge trace 9b4eee34-0c3b-4c1a-9d53-2d1b7d8a2c11 --customer acme
  protobridge trace --sns-message-id 1d2e0001-dddd-4eee-8fff-000000000001
  protobridge trace 4711 --from 2026-11-28T12:00:00Z --to 2026-11-28T14:00:00Z
  protobridge trace 4711 --from 7d --sql | duckdb

Exit codes: 0 found, 1 nothing was found or the journal cannot be read, 2 wrong usage, 64 wrong configuration."
)]
pub(super) struct Args {
    /// The id of the event, as in the attribute event-id
    #[arg(value_name = "EVENT-ID")]
    event: Option<String>,
    /// The id of an SQS message, instead of an event id
    #[arg(long, value_name = "ID")]
    message_id: Option<String>,
    /// The id of a message that a subscriber received from SNS, instead of an event id
    #[arg(long, value_name = "ID")]
    sns_message_id: Option<String>,
    /// Tell only what concerns this customer
    #[arg(long, value_name = "ID")]
    customer: Option<String>,
    #[command(flatten)]
    window: Window,
    /// Print JSON
    #[arg(long, conflicts_with = "sql")]
    json: bool,
    /// Print the query with which DuckDB finds the rows, and read nothing
    #[arg(long)]
    sql: bool,
    /// Print also what was looked at, and each reason why rows can be missing
    #[arg(long, conflicts_with = "sql")]
    explain: bool,
    #[command(flatten)]
    config: ConfigFile,
}

/// Tells the story of an event.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let origin = args.config.origin()?;
    let config = origin.load()?;
    let now = SystemTime::now();
    let wanted = args.wanted();
    let chosen = args.choose(now)?;
    let mut out = anstream::stdout().lock();
    if args.sql {
        let url = config.store.url.as_deref().ok_or_else(|| no_store(origin.path()))?;
        let region = super::runtime()?.block_on(configured_region(&config.aws));
        let query = sql::Query { url, wanted: &wanted, customer: args.customer.as_deref(), window: &chosen.window };
        write!(out, "{}", query.text(&config.aws, region.as_deref()))?;
        return Ok(ExitCode::SUCCESS);
    }
    let found = super::runtime()?.block_on(async {
        let reader = Reader::new(open(&config, origin.path()).await?);
        let look_up = look_up(&reader, &wanted, &chosen.window);
        Ok::<_, anyhow::Error>(with_progress("reading the journal", look_up).await?)
    })?;
    let answer = answer(&config, args, &wanted, chosen, &found, now);
    if args.json {
        serde_json::to_writer_pretty(&mut out, &answer.json())?;
        writeln!(out)?;
    } else {
        answer.write(&mut out, args.explain)?;
    }
    Ok(if answer.story.is_found { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn answer<'f>(
    config: &Config,
    args: &'f Args,
    wanted: &'f Wanted,
    chosen: Chosen,
    found: &'f Found,
    now: SystemTime,
) -> Answer<'f> {
    let kept = i64::from(config.journal.retention_days) * DAY.as_micros() as i64;
    let story = Story::tell(&Evidence {
        wanted,
        customer: args.customer.as_deref(),
        rows: &found.rows,
        looked: &found.looked,
        window: chosen.window.clone(),
        sample_published: config.journal.sample_published,
        kept_since: unix_micros(now).saturating_sub(kept),
    });
    Answer { wanted, customer: args.customer.as_deref(), chosen, found, story }
}

/// The window that is looked at, and why.
struct Chosen {
    window: Range<i64>,
    why: String,
}

impl Args {
    fn wanted(&self) -> Wanted {
        match (&self.event, &self.message_id, &self.sns_message_id) {
            (_, Some(id), _) => Wanted::Message(id.clone()),
            (_, _, Some(id)) => Wanted::SnsMessage(id.clone()),
            (event, ..) => Wanted::Event(as_recorded(event.as_deref().unwrap_or_default())),
        }
    }

    fn choose(&self, now: SystemTime) -> Result<Chosen, super::Usage> {
        if self.window.named(now) != (None, None) {
            return Ok(Chosen { window: self.window.range(now, DAY)?, why: "named by --from and --to".to_owned() });
        }
        let end = unix_micros(now);
        if let Some(time) = self.event.as_deref().and_then(|id| time_of_id(id, end)) {
            let window = time - BEFORE..(time + AFTER).min(end);
            if window.start < window.end {
                let why = format!("one hour around {}, the time in the event id", stamp::seconds(time));
                return Ok(Chosen { window, why });
            }
        }
        let why = "the last day; --from and --to name another time".to_owned();
        Ok(Chosen { window: self.window.range(now, DAY)?, why })
    }
}

/// Returns an event id as the journal has it: SNS does not accept every id.
fn as_recorded(id: &str) -> String {
    EventId::new(id).as_str().to_owned()
}

/// Returns the rows of the wanted id. Those of a message are completed by the other rows of its event, because the
/// verdict is about the event.
///
/// # Errors
/// Returns an error if the store does not return what is needed.
async fn look_up(reader: &Reader, wanted: &Wanted, window: &Range<i64>) -> Result<Found, Error> {
    let mut found = reader.find(wanted, window.clone()).await?;
    if matches!(wanted, Wanted::Event(_)) {
        return Ok(found);
    }
    let of_messages = found.rows.clone();
    let mut ids: Vec<&String> = of_messages.iter().filter_map(|row| row.event_id.as_ref()).collect();
    ids.sort_unstable();
    ids.dedup();
    for id in ids {
        let more = reader.find(&Wanted::Event(id.clone()), window.clone()).await?;
        found.rows.extend(more.rows.into_iter().filter(|row| of_messages.iter().any(|known| is_same_event(known, row))));
        let (ranges, bytes) = (found.looked.ranges, found.looked.bytes);
        // The later look sees what the first one saw, or more.
        found.looked = more.looked;
        found.looked.ranges += ranges;
        found.looked.bytes += bytes;
    }
    Ok(found)
}

/// Whether two rows are about the same event: producers can give one id to events of several types.
fn is_same_event(one: &Row, other: &Row) -> bool {
    one.message_id == other.message_id || (one.event_type == other.event_type && one.event_id == other.event_id)
}

#[cfg(test)]
mod tests;
