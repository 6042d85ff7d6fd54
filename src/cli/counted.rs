//! The counters of a window, which the reports of cost and throttles read from the store.

use std::io;
use std::ops::Range;
use std::path::Path;

use anyhow::bail;
use strict_config::Problem;

use super::columns::{span, utc};
use crate::aws::Clients;
use crate::base::http::Network;
use crate::config::Config;
use crate::store::Store;
use crate::store::counters::coverage::{BreakKind, Coverage};
use crate::store::counters::{FOLDER, Minute, Reader};

/// The counters of a window, and the store that has them.
#[derive(Debug)]
pub(super) struct Counted {
    pub(super) store: Store,
    pub(super) minutes: Vec<Minute>,
    window: Range<i64>,
}

impl Counted {
    /// Reads the counters of a window. `path` is the file of the configuration.
    ///
    /// # Errors
    /// Returns an error if no store is configured, or if the store does not return all counters of the window.
    pub(super) async fn read(config: &Config, path: &Path, window: Range<i64>) -> anyhow::Result<Self> {
        let network = Network::of_environment()?;
        let clients = Clients::new(&config.aws, network).await;
        let Some(store) = Store::open(&config.store, &clients.shared, &clients.network)? else {
            let problem = "is not set, so nothing is counted and there is nothing to report; set it to \
                           `s3://bucket/prefix`, or to a folder such as `file:///var/lib/protobridge`";
            return Err(strict_config::Error::new(path, vec![Problem::new("store.url", problem)]).into());
        };
        let minutes = Reader::new(store.clone()).minutes(window.clone()).await?;
        Ok(Self { store, minutes, window })
    }

    /// Returns the report, which is `None` without counters.
    ///
    /// # Errors
    /// Returns an error if there is none.
    pub(super) fn or_none<R>(&self, report: Option<R>, about: &str) -> anyhow::Result<R> {
        let Some(report) = report else {
            bail!(
                "no counters begin between {} UTC under {}/{FOLDER}/, so {about} is unknown; each replica writes an object \
                 per minute if its configuration has this `store.url`, and if `journal.enabled` is not false",
                span(self.window.start, "and", self.window.end),
                self.store.url()
            );
        };
        Ok(report)
    }
}

/// Writes a line for each time that was not counted. `unknown` says what is unknown of it.
pub(super) fn write_breaks(out: &mut impl io::Write, coverage: &Coverage, unknown: &str) -> io::Result<()> {
    for gap in &coverage.breaks {
        let why = match gap.kind {
            BreakKind::Before | BreakKind::Within => "they are lost",
            BreakKind::Restart | BreakKind::After => "it died, or they are lost",
        };
        let (replica, time) = (&gap.replica, span(gap.from, "and", gap.to));
        writeln!(out, "no counters of {replica} between {time} ({why}): {unknown}")?;
    }
    if let Some(after) = coverage.not_stored_after {
        writeln!(out, "counters after {} are not complete yet: replicas store them each minute", utc(after))?;
    }
    Ok(())
}
