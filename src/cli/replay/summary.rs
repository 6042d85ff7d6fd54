//! What a replay did, or would do: the text and the JSON at its end.

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;

use serde_json::{Value, json};

use super::plan::selected;
use super::session::Session;
use crate::cli::columns::{self, grouped, range, rate, span};
use crate::config::Prices;
use crate::delivery::replay::{Cell, Example, Tally};
use crate::message::OutcomeLabel;
use crate::store::archive::{FOLDER, Listing};
use crate::store::journal::stamp;
use crate::store::replays::{Counts, Name, Request, State, Status};

const GB: f64 = (1_u64 << 30) as f64;

/// What a replay did, or would do.
pub(super) struct Summary {
    name: Name,
    /// `None` in a dry run.
    status: Option<Status>,
    request: Request,
    /// What was done, by earlier processes included.
    counts: Counts,
    /// What this process did; `None` if it did nothing.
    run: Option<(Tally, Listing)>,
}

/// The range of money between the two readings of AWS's rounding, and of the billed requests.
struct Cost {
    units: (u64, u64),
    money: (f64, f64),
}

impl Summary {
    /// Returns the summary of a dry run.
    pub(super) fn of_preview(name: &Name, request: &Request, tally: Tally, listing: Listing) -> Self {
        let (name, request, counts) = (name.clone(), request.clone(), tally.counts.clone());
        Self { name, status: None, request, counts, run: Some((tally, listing)) }
    }

    /// Returns the summary of a run that left this state.
    pub(super) fn of_run(state: &State, tally: Tally, listing: Listing) -> Self {
        Self { run: Some((tally, listing)), ..Self::of_state(state) }
    }

    /// Returns the summary of a replay that has ended before.
    pub(super) fn of_state(state: &State) -> Self {
        let State { name, status, request, counts, .. } = state.clone();
        Self { name, status: Some(status), request, counts, run: None }
    }

    /// Returns the exit code: success if the window has no gap, something matched, and all of it was sent.
    pub(super) fn exit_code(&self) -> ExitCode {
        let has_gaps = self.run.as_ref().is_some_and(|(_, listing)| !listing.gaps.is_empty());
        if has_gaps || self.counts.messages == 0 || self.counts.refused() > 0 {
            ExitCode::FAILURE
        } else {
            ExitCode::SUCCESS
        }
    }

    /// Prints the summary to standard output, and to standard error what an operator must know besides.
    ///
    /// # Errors
    /// Returns an error if standard output cannot be written.
    pub(super) fn write(&self, session: &Session, is_json: bool) -> anyhow::Result<()> {
        let prices = &session.config.prices;
        let mut out = anstream::stdout().lock();
        if is_json {
            serde_json::to_writer_pretty(&mut out, &self.json(prices))?;
            writeln!(out)?;
        } else {
            self.write_text(&mut out, prices)?;
        }
        out.flush()?;
        if let Some(why) = self.nothing(session.store.url()) {
            anstream::eprintln!("{why}");
        }
        if let Some((_, Listing { gaps, .. })) = self.run.as_ref().filter(|(_, listing)| !listing.gaps.is_empty()) {
            anstream::eprintln!(
                "the archive has {} in the window, see above: messages can be missing",
                gaps_text(gaps.len())
            );
        }
        Ok(())
    }

    /// Returns what was looked at if nothing matched.
    fn nothing(&self, url: &str) -> Option<String> {
        let (_, listing) = self.run.as_ref().filter(|_| self.counts.messages == 0)?;
        let (segments, rows) = (grouped(listing.segments.len() as f64), grouped(self.counts.rows as f64));
        let window = span(self.request.from, "and", self.request.to);
        let mut text = format!(
            "nothing matched: {segments} segments in {url}/{FOLDER} have {rows} messages that were finished between \
             {window} UTC"
        );
        let filters = selected(&self.request);
        if listing.segments.is_empty() {
            text.push_str(
                "; the service writes the archive if its configuration has this `store.url` and `archive.enabled`",
            );
        } else if self.counts.quarantined > 0 {
            let count = grouped(self.counts.quarantined as f64);
            text.push_str(&format!("; {count} of them went into quarantine, which --quarantined includes"));
        } else if !filters.is_empty() {
            text.push_str(&format!("; the filters were: {}", filters.join(";").trim()));
        }
        Some(text)
    }

    fn title(&self) -> String {
        let (name, window) = (&self.name, span(self.request.from, "to", self.request.to));
        match self.status {
            None => format!("dry run of replay {name}: {window} UTC"),
            Some(status) => format!("replay {name} is {}: {window} UTC", status.code()),
        }
    }

    fn write_text(&self, out: &mut impl Write, prices: &Prices) -> io::Result<()> {
        let counts = &self.counts;
        let number = |count: u64| grouped(count as f64);
        writeln!(out, "{}", self.title())?;
        for line in selected(&self.request) {
            writeln!(out, "{line}")?;
        }
        let (would, had) = if self.status.is_none() { ("would be", "already have") } else { ("were", "had") };
        writeln!(
            out,
            "  {} messages read, {} selected; {} deliveries {would} published, {} {had} the event",
            number(counts.rows),
            number(counts.messages),
            number(counts.published),
            number(counts.had)
        )?;
        if counts.quarantined > 0 {
            let left_out = number(counts.quarantined);
            writeln!(out, "  {left_out} messages that went into quarantine are left out; --quarantined includes them")?;
        }
        for (reason, refusal) in &counts.refused {
            let (count, first) = (number(refusal.count), &refusal.first_message_id);
            writeln!(out, "  cannot be sent: {count} × {reason}, first message {first}: {}", refusal.detail)?;
        }
        let Some((tally, _)) = &self.run else { return Ok(()) };
        if !tally.cells.is_empty() {
            writeln!(out)?;
            columns::write(out, &self.table(tally), 3)?;
        }
        if tally.counts.published > 0 {
            writeln!(out)?;
            self.write_volume(out, tally, prices)?;
        }
        match &tally.example {
            Some(example) => write_example(out, example),
            None => Ok(()),
        }
    }

    fn table(&self, tally: &Tally) -> Vec<Vec<String>> {
        let header = ["CUSTOMER", "TYPE", "OUTCOME", "COUNT", "BYTES"];
        let mut rows = vec![header.map(str::to_owned).to_vec()];
        for ((customer, event_type, outcome), cell) in &tally.cells {
            let known = |text: &Option<Arc<str>>| text.as_deref().unwrap_or("-").to_owned();
            let would = self.status.is_none() && *outcome == OutcomeLabel::Published.code();
            let outcome = if would { "would publish" } else { outcome };
            let (count, bytes) = (grouped(cell.count as f64), grouped(cell.bytes as f64));
            rows.push(vec![known(customer), known(event_type), outcome.to_owned(), count, bytes]);
        }
        rows
    }

    fn write_volume(&self, out: &mut impl Write, tally: &Tally, prices: &Prices) -> io::Result<()> {
        let Cost { units, money } = Cost::of(tally, prices);
        let units = range(grouped(units.0 as f64), &grouped(units.1 as f64));
        let money = range(amount(money.0), &amount(money.1));
        let bytes = grouped(tally.counts.bytes as f64);
        writeln!(
            out,
            "{bytes} bytes; SNS bills {units} requests, {money} {} at the prices of {}",
            prices.currency, prices.as_of
        )?;
        if self.status.is_none() {
            let duration = stamp::length((tally.counts.published as f64 / self.request.rate * 1e6) as i64);
            writeln!(out, "at {} messages to topics per second it takes about {duration}", rate(self.request.rate))?;
        }
        Ok(())
    }

    fn json(&self, prices: &Prices) -> Value {
        let Self { name, status, request, counts, run } = self;
        let mut json = json!({
            "name": name,
            "status": status.map_or("dry_run", Status::code),
            "from": stamp::rfc3339(request.from),
            "to": stamp::rfc3339(request.to),
            "rate": request.rate,
            "counts": counts,
        });
        let Some((tally, listing)) = run else { return json };
        let Cost { units, money } = Cost::of(tally, prices);
        type Key = (Option<Arc<str>>, Option<Arc<str>>, &'static str);
        let row = |((customer, event_type, outcome), cell): (&Key, &Cell)| {
            let mut row = serde_json::to_value(cell).unwrap_or_default();
            (row["customer"], row["type"], row["outcome"]) =
                (json!(customer.as_deref()), json!(event_type.as_deref()), json!(outcome));
            row
        };
        json["rows"] = tally.cells.iter().map(row).collect();
        json["units"] = json!({"per_call": units.0, "per_entry": units.1});
        json["money"] = json!({"per_call": money.0, "per_entry": money.1, "currency": prices.currency});
        json["seconds"] = json!(tally.counts.published as f64 / request.rate);
        json["gaps"] = json!(listing.gaps);
        if let Some(Example { event_type, customer, topic, message_id, body }) = &tally.example {
            let body: Value = serde_json::from_str(body).unwrap_or_else(|_| json!(**body));
            json["example"] = json!({"type": event_type.as_deref(), "customer": customer.as_deref(), "topic": topic, "message_id": message_id, "body": body});
        }
        json
    }
}

impl Cost {
    fn of(Tally { standard, fifo, .. }: &Tally, prices: &Prices) -> Self {
        let million = |units: u64, price: f64| units as f64 / 1e6 * price;
        let (least, most) = (standard.least_units(), standard.units);
        let (least_fifo, most_fifo) = (fifo.least_units(), fifo.units);
        let payload = fifo.bytes as f64 / GB * prices.sns_fifo_gb;
        let money = |standard: u64, fifo: u64| {
            million(standard, prices.sns_standard) + million(fifo, prices.sns_fifo) + payload
        };
        Self {
            units: (least + least_fifo, most + most_fifo),
            money: (money(least, least_fifo), money(most, most_fifo)),
        }
    }
}

fn gaps_text(count: usize) -> String {
    if count == 1 { "a gap".to_owned() } else { format!("{count} gaps") }
}

fn amount(money: f64) -> String {
    if money >= 0.01 { format!("{money:.2}") } else { format!("{money:.6}") }
}

fn write_example(out: &mut impl Write, example: &Example) -> io::Result<()> {
    let Example { event_type, customer, topic, message_id, body } = example;
    let known = |text: &Option<Arc<str>>| text.as_deref().unwrap_or("-").to_owned();
    writeln!(out)?;
    writeln!(out, "example: {} for {} to {topic}, message {message_id}", known(event_type), known(customer))?;
    match serde_json::from_str::<Value>(body) {
        Ok(json) => writeln!(out, "{json:#}"),
        Err(_) => writeln!(out, "{body}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn preview() -> Summary {
        let request = Request {
            from: 1_795_867_200_000_000,
            to: 1_795_867_500_000_000,
            types: vec!["shop.*".into()],
            rate: 100.0,
            ..Request::default()
        };
        let mut tally = Tally::default();
        let (acme, placed) = (Some("acme".into()), Some("shop.v1.OrderPlaced".into()));
        let cell = |count, bytes| Cell { count, bytes, ..Cell::default() };
        tally.cells.insert((acme.clone(), placed.clone(), "published"), cell(1_200, 600_000));
        tally.cells.insert((acme.clone(), placed.clone(), "too_large"), cell(2, 0));
        tally.cells.insert((None, None, "unknown_type"), cell(1, 0));
        tally.counts = Counts {
            rows: 2_000,
            messages: 1_203,
            quarantined: 7,
            published: 1_200,
            bytes: 600_000,
            ..Counts::default()
        };
        for id in ["m-5", "m-9"] {
            tally.counts.refuse("too_large", id, "300000 bytes exceed 262144");
        }
        (tally.standard.entries, tally.standard.bytes, tally.standard.units) = (1_200, 600_000, 1_200);
        tally.example = Some(Example {
            event_type: placed,
            customer: acme,
            topic: "arn:aws:sns:eu-west-1:1:acme".into(),
            message_id: "m-1".into(),
            body: Arc::new(r#"{"orderId":"o-1"}"#.into()),
        });
        Summary::of_preview(&"x".parse().unwrap(), &request, tally, Listing::default())
    }

    #[test]
    fn the_text_says_what_would_be_sent_to_whom_at_which_cost() {
        let mut out = Vec::new();
        preview().write_text(&mut out, &Prices::default()).unwrap();
        insta::assert_snapshot!(String::from_utf8(out).unwrap(), @r#"
        dry run of replay x: 2026-11-28 12:00:00 to 12:05:00 UTC
          only types shop.*
          2,000 messages read, 1,203 selected; 1,200 deliveries would be published, 0 already have the event
          7 messages that went into quarantine are left out; --quarantined includes them
          cannot be sent: 2 × too_large, first message m-5: 300000 bytes exceed 262144

        CUSTOMER  TYPE                 OUTCOME        COUNT    BYTES
        -         -                    unknown_type       1        0
        acme      shop.v1.OrderPlaced  would publish  1,200  600,000
        acme      shop.v1.OrderPlaced  too_large          2        0

        600,000 bytes; SNS bills 120–1,200 requests, 0.000060–0.000600 USD at the prices of 2026-11-01
        at 100 messages to topics per second it takes about 12.0 s

        example: shop.v1.OrderPlaced for acme to arn:aws:sns:eu-west-1:1:acme, message m-1
        {
          "orderId": "o-1"
        }
        "#);
    }

    #[test]
    fn the_json_has_the_same_numbers() {
        let json = preview().json(&Prices::default());
        assert_eq!((&json["status"], &json["counts"]["published"]), (&json!("dry_run"), &json!(1_200)));
        assert_eq!(json["units"], json!({"per_call": 120, "per_entry": 1_200}));
        assert_eq!((&json["seconds"], &json["example"]["body"]["orderId"]), (&json!(12.0), &json!("o-1")));
        let rows = json["rows"].as_array().unwrap();
        assert_eq!((rows.len(), &rows[1]["customer"], &rows[0]["customer"]), (3, &json!("acme"), &json!(null)));
    }

    #[test]
    fn a_replay_succeeds_if_something_matched_and_all_of_it_was_sent() {
        let code = |counts: Counts| {
            let summary = Summary { counts, ..preview() };
            format!("{:?}", summary.exit_code())
        };
        let (success, failure) = (format!("{:?}", ExitCode::SUCCESS), format!("{:?}", ExitCode::FAILURE));
        let sent = Counts { messages: 1, published: 1, ..Counts::default() };
        assert_eq!(code(sent.clone()), success);
        assert_eq!(code(Counts::default()), failure);
        let mut refused = sent;
        refused.refuse("too_large", "m-1", "");
        assert_eq!(code(refused), failure);
    }

    #[test]
    fn without_a_match_the_summary_says_what_was_looked_at() {
        let mut summary = preview();
        assert_eq!(summary.nothing("file:///x"), None);
        summary.counts = Counts::default();
        let text = summary.nothing("file:///x").unwrap();
        assert!(text.contains("0 segments in file:///x/archive/v1") && text.contains("`archive.enabled`"), "{text}");
    }
}
