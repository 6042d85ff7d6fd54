//! Shows the progress of a run on standard error.

use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use tokio::time::Instant;

use crate::emulator::stats::Stats;
use crate::process::Usage;
use crate::spec::Spec;

/// The progress display: on a terminal one line that is overwritten, otherwise one line every few seconds.
#[derive(Debug)]
pub(crate) struct Progress {
    is_terminal: bool,
    /// The name of the running measurement, such as `drain, service`.
    pub(crate) label: String,
    shown: Option<Instant>,
    arrived: (u64, u64),
}

impl Progress {
    pub(crate) fn new() -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        Self { is_terminal, label: String::new(), shown: None, arrived: (0, 0) }
    }

    /// Shows how many events have arrived, and the rate, CPU time and memory.
    pub(crate) fn show(&mut self, spec: &Spec, stats: &Stats, usage: Usage, before: Usage) {
        let period = Duration::from_secs(if self.is_terminal { 1 } else { 5 });
        if self.shown.is_some_and(|shown| shown.elapsed() < period) {
            return;
        }
        let (at, arrived) = (stats.elapsed_us, stats.arrived.arrived);
        let (last_at, last) = if self.arrived.1 <= arrived { self.arrived } else { (0, 0) };
        let rate = (arrived - last) as f64 / (at.saturating_sub(last_at).max(1) as f64 / 1e6);
        let events = (arrived as f64 / f64::from(spec.customers_per_event())).max(1.0);
        let cpu = (usage.cpu_ms - before.cpu_ms) as f64 * 1e3 / events;
        let (expected, rss) = (stats.arrived.expected, usage.rss_kib / 1024);
        self.shown = Some(Instant::now());
        self.arrived = (at, arrived);
        self.line(&format!("{arrived} of {expected} arrived, {rate:.0}/s, {cpu:.0} µs per event, {rss} MiB"));
    }

    /// Shows a text.
    pub(crate) fn message(&mut self, text: &str) {
        self.line(text);
    }

    /// Removes the overwritten line from the terminal.
    pub(crate) fn clear(&mut self) {
        if self.is_terminal {
            eprint!("\r\x1b[K");
        }
        self.shown = None;
        self.arrived = (0, 0);
    }

    fn line(&self, text: &str) {
        if self.is_terminal {
            eprint!("\r\x1b[K{}: {text}", self.label);
            let _unseen = std::io::stderr().flush();
        } else {
            eprintln!("{}: {text}", self.label);
        }
    }
}
