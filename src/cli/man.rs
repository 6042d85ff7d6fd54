//! `protobridge man`: prints or writes manual pages.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Command, CommandFactory as _};
use clap_mangen::Man;

use super::Usage;
use crate::base::build::VERSION_AND_HASH;

/// Arguments of `man`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  Read one page:      protobridge man run | man -l -
  Install all pages:  protobridge man --out /usr/local/share/man/man1")]
pub(super) struct Args {
    /// Command whose page is printed, such as `run` or `descriptors diff` [default: protobridge itself]
    #[arg(conflicts_with = "out")]
    command: Vec<String>,
    /// Write the pages of all commands into this folder instead
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
}

/// Prints one page to standard output, or writes all pages into a folder.
pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let mut cli = super::Cli::command().disable_help_subcommand(true);
    // Gives each command the name of its page, such as `protobridge-run`.
    cli.build();
    if let Some(folder) = &args.out {
        let written = fs::create_dir_all(folder).and_then(|()| write_all(&cli, folder));
        return written.with_context(|| format!("cannot write manual pages into {}", folder.display()));
    }
    let mut command = &cli;
    for name in &args.command {
        command = command.find_subcommand(name).ok_or(Usage("there is no such command"))?;
    }
    let mut text = Vec::new();
    page(command).render(&mut text)?;
    io::stdout().lock().write_all(&text)?;
    Ok(())
}

/// Writes the pages of a command and of the commands below it.
fn write_all(command: &Command, folder: &Path) -> io::Result<()> {
    for below in command.get_subcommands() {
        write_all(below, folder)?;
    }
    page(command).generate_to(folder).map(drop)
}

fn page(command: &Command) -> Man {
    Man::new(command.clone()).source(format!("protobridge {VERSION_AND_HASH}")).manual("protobridge")
}
