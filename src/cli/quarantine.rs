//! `protobridge quarantine`: which messages are in quarantine, and why.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::process::ExitCode;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::{Value, json};

use super::columns;
use super::config_file::ConfigFile;
use super::redrive::{Run, Wanted, end, positive, run_over, warn, write_rest};
use crate::base::time::{rfc3339_of_unix, unix_micros};
use crate::delivery::redrive::{Action, Examined, Filter, Options, Why};
use crate::message::Message;
use crate::message::attributes::QUARANTINE_NOTE;

/// Arguments of `quarantine`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Count the messages of a quarantine queue by reason and type
    List(List),
    /// Print the notes of messages in quarantine
    Show(Show),
}

/// Arguments of `quarantine list`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
SQS has no way to look at a message without receiving it. The messages are hidden while the command runs, and visible \
again, unchanged, at its end. SQS counts each look as a receive.

Example:
  protobridge quarantine list --queue orders

Exit codes: 0 the list is complete, 1 it is not, 2 wrong usage, 64 wrong configuration.")]
struct List {
    /// The name or the URL of the queue whose quarantine queue is meant; required if the configuration has several
    #[arg(long, value_name = "QUEUE")]
    queue: Option<String>,
    /// The most messages that are counted
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = positive)]
    limit: usize,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigFile,
}

/// Arguments of `quarantine show`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Prints one JSON object per message: its note, and what is known about its event. The message id is the one before the \
quarantine, as logs and `trace` have it, or the one on the quarantine queue. Payloads can be personal data, so they are \
printed only with --payload.

Examples:
  protobridge quarantine show --queue orders --reason too_large --limit 1
  protobridge quarantine show 5fea7756-0ea4-451a-a703-a558b933e274 --payload

Exit codes: 0 found, 1 no message matches, 2 wrong usage, 64 wrong configuration.")]
struct Show {
    /// The id of a message
    #[arg(value_name = "MESSAGE-ID")]
    message_id: Option<String>,
    /// The name or the URL of the queue whose quarantine queue is meant; required if the configuration has several
    #[arg(long, value_name = "QUEUE")]
    queue: Option<String>,
    #[command(flatten)]
    wanted: Wanted,
    /// The most messages that are printed
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = positive)]
    limit: usize,
    /// Print also the body and the attributes, as the producer sent them
    #[arg(long)]
    payload: bool,
    #[command(flatten)]
    config: ConfigFile,
}

/// Runs the subcommand.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match &args.command {
        Command::List(args) => list(args),
        Command::Show(args) => show(args),
    }
}

fn look(filter: Filter, limit: usize) -> Options {
    Options { action: Action::Look, is_preview: true, filter, limit, rate: 1, allow_repeats: false }
}

fn list(args: &List) -> anyhow::Result<ExitCode> {
    let mut counts = Counts::default();
    let options = look(Filter::default(), args.limit);
    let run = run_over(&args.config, args.queue.as_deref(), options, |_| Ok(true), |examined| counts.add(&examined))?;
    let Some(run) = run else { return Ok(ExitCode::FAILURE) };
    let mut out = anstream::stdout().lock();
    if args.json {
        serde_json::to_writer_pretty(&mut out, &counts.json(&run))?;
        writeln!(out)?;
    } else {
        counts.write(&mut out, &run, args.limit)?;
    }
    warn(&run);
    let is_complete = run.ended.why == Why::Empty && run.ended.waiting == 0;
    Ok(if is_complete { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The messages in quarantine by reason and type.
#[derive(Debug, Default)]
struct Counts(BTreeMap<(String, String), Count>);

#[derive(Debug)]
struct Count {
    messages: usize,
    /// In microseconds since the Unix epoch.
    oldest: i64,
    newest: i64,
    example: String,
}

impl Counts {
    fn add(&mut self, examined: &Examined) {
        let at = unix_micros(examined.quarantined.quarantined());
        let key = (examined.quarantined.reason().to_owned(), examined.event_type.clone().unwrap_or_default());
        let example = || examined.quarantined.first_message_id().to_owned();
        let count =
            self.0.entry(key).or_insert_with(|| Count { messages: 0, oldest: at, newest: at, example: example() });
        count.messages += 1;
        (count.oldest, count.newest) = (count.oldest.min(at), count.newest.max(at));
    }

    fn write(&self, out: &mut impl io::Write, run: &Run, limit: usize) -> io::Result<()> {
        if self.0.is_empty() {
            writeln!(out, "The quarantine queue of {} has no message from there.", run.queue)?;
        } else {
            let head = ["REASON", "TYPE", "OLDEST (UTC)", "NEWEST (UTC)", "EXAMPLE", "MESSAGES"];
            let mut rows = vec![head.map(str::to_owned).to_vec()];
            for ((reason, event_type), count) in &self.0 {
                let event_type = if event_type.is_empty() { "-" } else { event_type };
                let (oldest, newest) = (columns::utc(count.oldest), columns::utc(count.newest));
                let (example, messages) = (count.example.clone(), count.messages.to_string());
                rows.push(vec![reason.clone(), event_type.to_owned(), oldest, newest, example, messages]);
            }
            columns::write(out, &rows, 5)?;
        }
        write_rest(out, run, limit)
    }

    fn json(&self, run: &Run) -> Value {
        let rows = self.0.iter().map(|((reason, event_type), count)| {
            json!({
                "reason": reason,
                "type": Some(event_type).filter(|name| !name.is_empty()),
                "messages": count.messages,
                "oldest": rfc3339_of(count.oldest),
                "newest": rfc3339_of(count.newest),
                "example_message_id": count.example,
            })
        });
        json!({
            "queue": run.queue,
            "end": end(run.ended.why),
            "received": run.ended.seen,
            "untouched": run.ended.untouched,
            "without_note": run.ended.without_note,
            "waiting": run.ended.waiting,
            "rows": rows.collect::<Vec<_>>(),
        })
    }
}

fn rfc3339_of(micros: i64) -> Option<String> {
    let nanos = micros.rem_euclid(1_000_000) * 1_000;
    rfc3339_of_unix(micros.div_euclid(1_000_000), u32::try_from(nanos).unwrap_or(0))
}

fn show(args: &Show) -> anyhow::Result<ExitCode> {
    let limit = if args.message_id.is_some() { 1 } else { args.limit };
    let options = look(args.wanted.filter(None, args.message_id.as_deref()), limit);
    let mut shown = Vec::new();
    let on = |examined: Box<Examined>| shown.push(shown_json(&examined, args.payload));
    let run = run_over(&args.config, args.queue.as_deref(), options, |_| Ok(true), on)?;
    let mut out = anstream::stdout().lock();
    for message in &shown {
        writeln!(out, "{message:#}")?;
    }
    if shown.is_empty() {
        anstream::eprintln!("no message of the quarantine queue matches");
    }
    if let Some(run) = &run {
        warn(run);
    }
    Ok(if shown.is_empty() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn shown_json(examined: &Examined, has_payload: bool) -> Value {
    let quarantined = &examined.quarantined;
    let mut shown = json!({
        "message_id": quarantined.first_message_id(),
        "quarantine_message_id": quarantined.message_id(),
        "event_type": examined.event_type,
        "event_id": examined.event_id,
        "note": serde_json::from_str::<Value>(quarantined.text()).unwrap_or_default(),
    });
    if has_payload {
        shown["payload"] = payload(&examined.original);
    } else if let Some(folded) = shown.pointer_mut("/note/folded") {
        // A folded attribute is a part of the message, and can be personal data.
        for value in ["string_value", "binary_value"] {
            folded.as_object_mut().map(|folded| folded.remove(value));
        }
    }
    shown
}

/// Returns the body and the attributes of the original message.
fn payload(original: &Message) -> Value {
    let own = original.attributes.iter().filter(|(name, _)| *name != QUARANTINE_NOTE);
    let attributes: serde_json::Map<String, Value> = own
        .map(|(name, value)| {
            let text = match value.binary_value() {
                Some(bytes) => json!({"type": value.data_type(), "base64": BASE64_STANDARD.encode(bytes)}),
                None => json!({"type": value.data_type(), "value": value.string_value()}),
            };
            (name.clone(), text)
        })
        .collect();
    json!({"body": original.body, "attributes": attributes})
}
