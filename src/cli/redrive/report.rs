//! What `redrive` reports: by reason and type, how many events would be published, are had already, or still fail.

use std::collections::BTreeMap;
use std::io;

use serde_json::{Value, json};

use super::Run;
use crate::cli::columns;
use crate::delivery::redrive::{Action, Examined, Why};

/// The most different causes that are listed per reason and type.
const MOST_CAUSES: usize = 3;

/// What decides about the words of a report.
#[derive(Debug, Clone, Copy)]
pub(super) struct Words {
    pub(super) action: Action,
    pub(super) is_preview: bool,
    pub(super) limit: usize,
}

/// The messages that matched, counted.
#[derive(Debug)]
pub(super) struct Report {
    words: Words,
    rows: BTreeMap<(String, String), Row>,
    /// The number of examples that are still wanted.
    wanted: usize,
    examples: Vec<Value>,
}

/// The messages of one reason and type.
#[derive(Debug, Default)]
struct Row {
    messages: usize,
    publish: usize,
    had: usize,
    filtered: usize,
    fails: usize,
    /// The messages that leave the quarantine queue.
    leave: usize,
    /// The messages that stay because other customers lack the event.
    stay_for_others: usize,
    causes: Vec<Cause>,
}

/// Why messages still fail.
#[derive(Debug)]
struct Cause {
    why: String,
    messages: usize,
    first_message_id: String,
}

impl Row {
    fn add(&mut self, examined: &Examined) {
        let verdict = &examined.verdict;
        self.messages += 1;
        self.publish += verdict.publish;
        self.had += verdict.had;
        self.filtered += usize::from(verdict.filtered.is_some());
        self.leave += usize::from(verdict.leaves);
        self.stay_for_others += usize::from(verdict.fails.is_none() && verdict.others_lack > 0);
        let Some(why) = &verdict.fails else { return };
        self.fails += 1;
        if let Some(cause) = self.causes.iter_mut().find(|cause| cause.why == *why) {
            cause.messages += 1;
        } else {
            let first_message_id = examined.quarantined.first_message_id().to_owned();
            self.causes.push(Cause { why: why.clone(), messages: 1, first_message_id });
        }
    }
}

impl Report {
    /// Creates a report with up to `show` examples.
    pub(super) fn new(words: Words, show: usize) -> Self {
        Self { words, rows: BTreeMap::new(), wanted: show, examples: Vec::new() }
    }

    /// Counts a message.
    pub(super) fn add(&mut self, examined: &Examined) {
        let event_type = examined.event_type.clone().unwrap_or_default();
        let key = (examined.quarantined.reason().to_owned(), event_type);
        self.rows.entry(key).or_default().add(examined);
        for example in examined.verdict.examples.iter().take(self.wanted - self.examples.len()) {
            self.examples.push(json!({
                "message_id": examined.quarantined.first_message_id(),
                "event_type": examined.event_type,
                "event_id": examined.event_id,
                "topic": example.topic,
                "customer": example.customer.as_deref(),
                "json": serde_json::from_str::<Value>(&example.body).unwrap_or_default(),
            }));
        }
    }

    /// Whether a message still fails.
    pub(super) fn has_failures(&self) -> bool {
        self.rows.values().any(|row| row.fails > 0)
    }

    /// Returns the report as JSON.
    pub(super) fn json(&self, run: &Run) -> Value {
        let publish = if self.words.is_preview { "would_publish" } else { "published" };
        let leave = if self.words.is_preview { "would_leave" } else { "left" };
        let rows = self.rows.iter().map(|((reason, event_type), row)| {
            let causes = row.causes.iter().map(|cause| {
                json!({"why": cause.why, "messages": cause.messages, "first_message_id": cause.first_message_id})
            });
            json!({
                "reason": reason,
                "type": Some(event_type).filter(|name| !name.is_empty()),
                "messages": row.messages,
                publish: row.publish,
                "have_it": row.had,
                "filtered": row.filtered,
                "still_fail": row.fails,
                "stay_for_other_customers": row.stay_for_others,
                leave: row.leave,
                "causes": causes.collect::<Vec<_>>(),
            })
        });
        json!({
            "queue": run.queue,
            "action": action(self.words.action),
            "dry_run": self.words.is_preview,
            "end": end(run.ended.why),
            "received": run.ended.seen,
            "matched": run.ended.matched,
            "untouched": run.ended.untouched,
            "without_note": run.ended.without_note,
            "waiting": run.ended.waiting,
            "rows": rows.collect::<Vec<_>>(),
            "examples": self.examples,
        })
    }

    /// Writes the report as text.
    pub(super) fn write(&self, out: &mut impl io::Write, run: &Run) -> io::Result<()> {
        if !self.rows.is_empty() {
            columns::write(out, &self.table(), 2)?;
            writeln!(out)?;
        }
        self.write_causes(out)?;
        for example in &self.examples {
            writeln!(out, "{example:#}\n")?;
        }
        writeln!(out, "{}", self.summary())?;
        write_rest(out, run, self.words.limit)
    }

    fn table(&self) -> Vec<Vec<String>> {
        let Words { action, is_preview, .. } = self.words;
        let would = |done: &str, would: &str| if is_preview { would.to_owned() } else { done.to_owned() };
        let mut head = vec!["REASON".to_owned(), "TYPE".to_owned(), "MESSAGES".to_owned()];
        match action {
            Action::SendBack => head.push(would("SENT BACK", "WOULD SEND BACK")),
            Action::Discard => head.push(would("DELETED", "WOULD DELETE")),
            _ => head.extend([would("PUBLISHED", "WOULD PUBLISH"), "HAVE IT".to_owned(), "FILTERED".to_owned()]),
        }
        head.push(would("STILL FAIL", "STILL FAIL"));
        let mut rows = vec![head];
        for ((reason, event_type), row) in &self.rows {
            let event_type = if event_type.is_empty() { "-" } else { event_type };
            let mut cells = vec![reason.clone(), event_type.to_owned(), row.messages.to_string()];
            match action {
                Action::SendBack | Action::Discard => cells.push(row.leave.to_string()),
                _ => cells.extend([row.publish, row.had, row.filtered].map(|count| count.to_string())),
            }
            cells.push(row.fails.to_string());
            rows.push(cells);
        }
        rows
    }

    fn write_causes(&self, out: &mut impl io::Write) -> io::Result<()> {
        for ((reason, event_type), row) in &self.rows {
            for cause in row.causes.iter().take(MOST_CAUSES) {
                let Cause { why, messages, first_message_id } = cause;
                let event_type = if event_type.is_empty() { "of an unknown type" } else { event_type };
                let fail = if *messages == 1 { "fails" } else { "fail" };
                writeln!(out, "{messages} still {fail}, {reason} {event_type}: {why}")?;
                writeln!(out, "  first message id {first_message_id}")?;
            }
            let more = row.causes.len().saturating_sub(MOST_CAUSES);
            if more > 0 {
                writeln!(out, "  and {more} more cause(s); --json has all of them")?;
            }
        }
        if self.has_failures() { writeln!(out) } else { Ok(()) }
    }

    fn summary(&self) -> String {
        let sum = |of: fn(&Row) -> usize| self.rows.values().map(of).sum::<usize>();
        let (messages, leave) = (sum(|row| row.messages), sum(|row| row.leave));
        let (publish, others) = (sum(|row| row.publish), sum(|row| row.stay_for_others));
        let of = format!("{leave} of {messages} message(s) that match");
        let mut text = match (self.words.action, self.words.is_preview) {
            (Action::Send, true) => format!("Would publish {publish} event(s) and delete {of}."),
            (Action::Send, false) => format!("Published {publish} event(s) and deleted {of}."),
            (Action::SendBack, true) => format!("Would send back {of}."),
            (Action::SendBack, false) => format!("Sent back {of}."),
            (Action::Discard, true) => format!("Would delete {of}."),
            (Action::Discard, false) => format!("Deleted {of}."),
            (Action::Look, _) => format!("{messages} message(s) match."),
        };
        if others > 0 {
            text += &format!(" {others} message(s) stay because other customers lack the event.");
        }
        text
    }
}

/// Writes what became of the messages that did not match, and why the run ended before the end of the queue.
pub(in crate::cli) fn write_rest(out: &mut impl io::Write, run: &Run, limit: usize) -> io::Result<()> {
    let ended = &run.ended;
    if ended.untouched > 0 {
        writeln!(out, "{} other message(s) are visible again, unchanged.", ended.untouched)?;
    }
    if ended.without_note > 0 {
        writeln!(
            out,
            "{} message(s) have no note of protobridge that can be read; they are visible again, unchanged.",
            ended.without_note
        )?;
    }
    match ended.why {
        Why::Empty if ended.waiting > 0 => writeln!(
            out,
            "About {} message(s) could not be received. On a FIFO queue, a message that stays keeps those behind it in \
             its group hidden; run the command again for them.",
            ended.waiting
        ),
        Why::Empty => Ok(()),
        Why::Limit => writeln!(out, "Stopped at the limit of {limit} message(s); --limit raises it."),
        Why::Full => writeln!(
            out,
            "Stopped because {} messages are held, and SQS limits their number. A run that deletes messages makes room.",
            ended.seen
        ),
        Why::Stopped => writeln!(out, "Stopped before the end of the queue."),
    }
}

/// Returns the word for the end of a run in JSON.
pub(in crate::cli) fn end(why: Why) -> &'static str {
    match why {
        Why::Empty => "empty",
        Why::Limit => "limit",
        Why::Full => "full",
        Why::Stopped => "stopped",
    }
}

fn action(action: Action) -> &'static str {
    match action {
        Action::Look => "look",
        Action::Send => "publish",
        Action::SendBack => "to_source",
        Action::Discard => "discard",
    }
}
