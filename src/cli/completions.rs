//! `protobridge completions`: prints the completions of a shell.

use std::io::{self, Write as _};

use clap::CommandFactory as _;
use clap_complete::Shell;

/// Arguments of `completions`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  Bash:  protobridge completions bash \\
           > /usr/share/bash-completion/completions/protobridge
  Zsh:   protobridge completions zsh > \"${fpath[1]}/_protobridge\"
  Fish:  protobridge completions fish \\
           > ~/.config/fish/completions/protobridge.fish")]
pub(super) struct Args {
    /// The shell
    shell: Shell,
}

/// Prints the completions to standard output.
pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut super::Cli::command(), "protobridge", &mut script);
    io::stdout().lock().write_all(&script)?;
    Ok(())
}
