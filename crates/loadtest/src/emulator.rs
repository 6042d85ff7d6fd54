//! SQS and SNS for load runs, in a process of their own: lean enough to leave the processor to whom is measured.
//!
//! One input queue whose messages are made as they are received, so a backlog of millions needs a few bytes for each;
//! one topic a customer, with a queue subscribed to it that is nothing but a [ledger]: it counts what arrives,
//! and when. Visibility timeouts, receipt handles, receive counts, long polls and entries of batches work as those who
//! use them expect. What is left out: everything that the service does not call, FIFO, signatures, and the MD5 of
//! attributes. A receive brings ten messages whenever there are ten, which real SQS does not promise.

mod answer;
mod clock;
#[cfg(feature = "rustack")]
pub(crate) mod embedded;
mod faults;
mod form;
mod http;
mod ledger;
mod queue;
mod sns;
mod sqs;
mod state;
pub(crate) mod stats;

use std::io::{BufRead as _, Write as _};
use std::sync::Arc;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::spec::Spec;
use state::Emulator;

/// What the runner says to the emulator, a line each, and what it answers with a line of JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ControlCommand {
    /// The events are sent from now on. Answered with [`stats::Stats`].
    Start,
    /// How things are. Answered with [`stats::Stats`].
    Stats,
}

impl ControlCommand {
    /// The line.
    pub(crate) fn line(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stats => "stats",
        }
    }
}

/// Serves until standard input ends. The first line on standard output is the port.
///
/// # Errors
/// When there is no port to listen on, or nobody reads the answers.
pub(crate) fn run(spec: Spec) -> anyhow::Result<()> {
    // One thread: whoever is measured has the other cores, and no lock is ever waited for.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.context("cannot listen")?;
        let port = listener.local_addr()?.port();
        let emulator = Arc::new(Emulator::new(spec)?);
        print_line(&port.to_string())?;
        tokio::spawn(http::serve(listener, Arc::clone(&emulator)));
        let mut commands = read_commands();
        while let Some(command) = commands.recv().await {
            if command == ControlCommand::Start {
                emulator.start();
            }
            print_line(&serde_json::to_string(&emulator.stats())?)?;
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests;

fn print_line(line: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()?;
    Ok(())
}

/// Standard input, read by a thread, because it cannot be read otherwise without blocking.
fn read_commands() -> mpsc::Receiver<ControlCommand> {
    let (commands, read) = mpsc::channel(1);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            let command =
                if line == ControlCommand::Start.line() { ControlCommand::Start } else { ControlCommand::Stats };
            if commands.blocking_send(command).is_err() {
                return;
            }
        }
    });
    read
}
