//! Sending archived messages again.

use std::process::ExitCode;

use super::Filter;
use crate::cli::config_file::ConfigFile;
use crate::cli::window::Window;

/// The options of a replay that sends.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct Options {}

/// Sends the messages.
pub(super) fn run(_: &Options, _: &Window, _: &Filter, _: &ConfigFile) -> anyhow::Result<ExitCode> {
    anyhow::bail!("a replay cannot send yet")
}
