//! The result of a comparison, for people and for machines.

mod json;
mod text;

use std::ops::Range;
use std::process::ExitCode;

use anyhow::bail;

use super::FailOn;
use super::candidate::Recognized;
use super::engine::Read;
use crate::delivery::compare::{Change, Comparison, Example};
use crate::store::archive::Listing;

/// The result of a comparison.
#[derive(Debug)]
pub(super) struct Report<'c> {
    pub(super) recognized: Vec<Recognized>,
    /// Why sets of the candidate are refused that are not refused now.
    pub(super) refused: Vec<String>,
    pub(super) source: Source,
    /// The share of `--sample`.
    pub(super) share: f64,
    pub(super) read: Read,
    pub(super) comparison: &'c Comparison,
    /// Whether all values of events are hidden.
    pub(super) is_paths_only: bool,
}

/// The place that the messages come from.
#[derive(Debug)]
pub(super) enum Source {
    /// This folder of samples.
    Samples(String),
    /// The archive.
    Archive {
        /// The time in which the messages were finished, in microseconds since the Unix epoch.
        window: Range<i64>,
        /// The segments and the gaps of that time.
        listing: Listing,
    },
}

impl Source {
    /// Returns the number of gaps that the archive has in the window.
    fn gaps(&self) -> usize {
        match self {
            Self::Samples(_) => 0,
            Self::Archive { listing, .. } => listing.gaps.len(),
        }
    }
}

impl Report<'_> {
    /// Returns the exit code.
    ///
    /// # Errors
    /// Returns an error that says why the command fails.
    pub(super) fn verdict(&self, fail_on: FailOn) -> anyhow::Result<ExitCode> {
        if fail_on == FailOn::Never {
            return Ok(ExitCode::SUCCESS);
        }
        let totals = self.comparison.totals();
        let of = |number: u64| format!("{number} of {} message(s)", totals.compared);
        if totals.breaking > 0 {
            bail!("the candidate breaks consumers with {}", of(totals.breaking));
        }
        if !self.refused.is_empty() {
            bail!("{} descriptor set(s) of the candidate are refused", self.refused.len());
        }
        if totals.different > 0 && fail_on == FailOn::Any {
            bail!("the candidate changes {}", of(totals.different));
        }
        match self.source.gaps() {
            0 => {}
            1 => bail!("the archive has a gap in this window, so messages can be missing in the comparison"),
            gaps => bail!("the archive has {gaps} gaps in this window, so messages can be missing in the comparison"),
        }
        if totals.compared == 0 {
            bail!("no message was compared, so nothing is known about the candidate");
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Returns the differences of an example that are shown. Without values, those at several items of an array look
    /// the same, and are shown once.
    fn changes<'e>(&self, example: &'e Example) -> impl Iterator<Item = &'e Change> + use<'e> {
        let is_paths_only = self.is_paths_only;
        let mut before: Option<&Change> = None;
        example.changes.iter().filter(move |change| {
            let is_repeated = before.is_some_and(|before| (before.kind, &before.place) == (change.kind, &change.place));
            before = Some(change);
            !(is_paths_only && is_repeated)
        })
    }
}
