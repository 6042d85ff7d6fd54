//! `protobridge archive stat`: the messages of a window, counted.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::json;

use super::{Report, window_json, write_gaps};
use crate::cli::columns;
use crate::cli::journal::{window_text, with_changing_progress};
use crate::store::archive::{Listing, Reader, Row};
use crate::store::journal::stamp;

/// The messages of a window, counted.
pub(super) struct Stat<'l> {
    pub(super) window: &'l Range<i64>,
    pub(super) counts: Counts,
    pub(super) listing: &'l Listing,
}

/// Counts by queue, event type and day. A type that is not known is `None`.
#[derive(Debug, Default)]
pub(super) struct Counts(BTreeMap<Group, Count>);

/// Queue, event type and day.
type Group = (String, Option<String>, String);

/// Messages, and their bytes as SQS counts them.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Count {
    messages: u64,
    bytes: u64,
}

impl<'l> Stat<'l> {
    /// Reads the messages of a window and counts them.
    pub(super) async fn count(reader: &Reader, listing: &'l Listing, window: &'l Range<i64>) -> anyhow::Result<Self> {
        let (all, read) = (listing.rows(), AtomicU64::new(0));
        let progress = || {
            let [read, all] = [read.load(Ordering::Relaxed), all].map(|number| columns::grouped(number as f64));
            format!("counting message {read} of {all} at most")
        };
        let counting = async {
            let mut counts = Counts::default();
            let mut rows = reader.rows(listing, window.clone(), None);
            while let Some(row) = rows.next().await? {
                counts.add(&row);
                read.fetch_add(1, Ordering::Relaxed);
            }
            Ok::<_, anyhow::Error>(counts)
        };
        let counts = with_changing_progress(progress, counting).await?;
        Ok(Self { window, counts, listing })
    }
}

impl Counts {
    pub(super) fn add(&mut self, row: &Row) {
        let event_type = row.event_type.as_deref().map(str::to_owned);
        let group = (row.message.queue.label.clone(), event_type, stamp::day(row.settled_at));
        let count = self.0.entry(group).or_default();
        count.messages += 1;
        count.bytes += row.message.size() as u64;
    }

    fn total(&self) -> Count {
        let sum =
            |sum: Count, one: &Count| Count { messages: sum.messages + one.messages, bytes: sum.bytes + one.bytes };
        self.0.values().fold(Count::default(), sum)
    }
}

impl Report for Stat<'_> {
    fn json(&self) -> serde_json::Value {
        let groups = self.counts.0.iter().map(|((queue, event_type, day), Count { messages, bytes })| {
            json!({"queue": queue, "event_type": event_type, "day": day, "messages": messages, "bytes": bytes})
        });
        let Count { messages, bytes } = self.counts.total();
        json!({
            "window": window_json(self.window), "messages": messages, "bytes": bytes,
            "groups": groups.collect::<Vec<_>>(), "gaps": self.listing.gaps,
        })
    }

    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let numbers =
            |Count { messages, bytes }: Count| [messages, bytes].map(|number| columns::grouped(number as f64));
        let row = |texts: [&str; 3], numbers: [String; 2]| [&texts.map(str::to_owned)[..], &numbers].concat();
        let mut rows = vec![row(["QUEUE", "TYPE", "DAY"], ["MESSAGES", "BYTES"].map(str::to_owned))];
        for ((queue, event_type, day), count) in &self.counts.0 {
            rows.push(row([queue, event_type.as_deref().unwrap_or("-"), day], numbers(*count)));
        }
        rows.push(row(["all", "", ""], numbers(self.counts.total())));
        writeln!(out, "Messages that were finished from {}:", window_text(self.window))?;
        columns::write(out, &rows, 3)?;
        write_gaps(out, self.listing)
    }
}
