//! Comparing what the configuration in force and a candidate make of archived messages.

use std::process::ExitCode;

use super::Filter;
use crate::cli::config_file::ConfigFile;
use crate::cli::window::Window;

/// The options of a comparison.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct Options {}

impl Options {
    /// Whether a comparison is wanted.
    pub(super) fn is_wanted(&self) -> bool {
        false
    }
}

/// Compares the messages.
pub(super) fn run(_: &Options, _: &Window, _: &Filter, _: &ConfigFile) -> anyhow::Result<ExitCode> {
    anyhow::bail!("a replay cannot compare yet")
}
