//! What a replay is about to do, and whether the operator wants it.

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use crate::cli::Usage;
use crate::cli::columns::{grouped, rate, span};
use crate::store::journal::stamp;
use crate::store::replays::{Name, Request};

/// What a replay is about to do.
pub(super) struct Plan<'p> {
    pub(super) name: &'p Name,
    pub(super) request: &'p Request,
    /// The messages that the archive has of the window, or a few more.
    pub(super) messages: u64,
    /// Whether the journal does not know all confirmed deliveries.
    pub(super) has_doubts: bool,
}

impl Plan<'_> {
    /// Prints the plan and asks, unless the answer is known. Without a terminal there is nobody to ask.
    ///
    /// # Errors
    /// Returns an error if there is no terminal and the answer is not known.
    pub(super) fn is_wanted(&self, is_known: bool) -> anyhow::Result<bool> {
        anstream::eprintln!("{}", self.text());
        if is_known {
            return Ok(true);
        }
        if !std::io::stdin().is_terminal() {
            return Err(Usage("standard input is no terminal, so this cannot ask before it sends; add --yes").into());
        }
        anstream::eprint!("Send them? [y/N] ");
        std::io::stderr().flush()?;
        let mut answer = String::new();
        std::io::stdin().lock().read_line(&mut answer)?;
        Ok(["y", "yes"].contains(&answer.trim().to_lowercase().as_str()))
    }

    fn text(&self) -> String {
        let Self { name, request, messages, has_doubts } = self;
        let seconds = *messages as f64 / request.rate;
        let duration = stamp::length((seconds * 1e6) as i64);
        let mut lines = vec![
            format!("replay {name}: {} UTC", span(request.from, "to", request.to)),
            format!("  {} messages in the archive, before the filters", grouped(*messages as f64)),
        ];
        lines.extend(selected(request));
        let rate = rate(request.rate);
        lines.push(format!("  {rate} messages to topics per second: about {duration} if each message has one topic"));
        if *has_doubts {
            lines.push("  the journal does not know all confirmed deliveries, see above".to_owned());
        }
        lines.join("\n")
    }
}

/// Returns a line for each filter of a request.
pub(super) fn selected(request: &Request) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(customer) = &request.customer {
        let which = if request.unconfirmed { ", which the journal does not show as confirmed" } else { "" };
        lines.push(format!("  only deliveries to {customer}{which}"));
    }
    if !request.types.is_empty() {
        lines.push(format!("  only types {}", request.types.join(", ")));
    }
    if !request.queues.is_empty() {
        lines.push(format!("  only messages of {}", request.queues.join(", ")));
    }
    if request.quarantined || request.unconfirmed {
        lines.push("  messages that went into quarantine included".to_owned());
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plan_names_the_window_the_filters_and_the_duration() {
        let request = Request {
            from: 1_795_867_200_000_000,
            to: 1_795_867_500_000_000,
            customer: Some("acme".into()),
            types: vec!["shop.v1.*".into()],
            unconfirmed: true,
            rate: 100.0,
            ..Request::default()
        };
        let name = "incident-42".parse().unwrap();
        let plan = Plan { name: &name, request: &request, messages: 12_000, has_doubts: false };
        insta::assert_snapshot!(plan.text(), @r"
        replay incident-42: 2026-11-28 12:00:00 to 12:05:00 UTC
          12,000 messages in the archive, before the filters
          only deliveries to acme, which the journal does not show as confirmed
          only types shop.v1.*
          messages that went into quarantine included
          100 messages to topics per second: about 2 min 0 s if each message has one topic
        ");
    }
}
