//! An emulator of SQS, SNS and S3 in its own process, lean enough to leave most of the CPU to the subject.
//!
//! It has one input queue, which makes its messages when they are received, so that a backlog of millions needs only a
//! few bytes per event. It has one topic per customer. The queue subscribed to a topic is a [ledger], which counts the
//! arrivals and their times. Visibility timeouts, receipt handles, receive counts, long polls and batch entries work as
//! clients of AWS expect. S3 has the payloads of large events, and takes the JSON of large events; see [s3].
//!
//! The emulator leaves out all operations that the service does not call, FIFO, signatures, and the MD5 of attributes.
//! A receive returns ten messages whenever ten are visible, which real SQS does not promise.

mod answer;
mod clock;
#[cfg(feature = "rustack")]
pub(crate) mod embedded;
mod faults;
mod form;
pub(crate) mod http;
pub(crate) mod ledger;
mod network;
mod queue;
mod renderings;
pub(crate) mod replicas;
mod s3;
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

/// A command from the runner, one per line. The emulator answers each with one line of JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ControlCommand {
    /// Start sending the events now. The answer is [`stats::Stats`].
    Start,
    /// Report the current state. The answer is [`stats::Stats`].
    Stats,
    /// Report the certificate of the authority that clients must trust. The answer is a text, or null without TLS.
    Authority,
    /// Report the SNS message ids of all deliveries, if the service has a store. The answer is a list with the sum of
    /// the hashed ids of each delivery.
    Ids,
    /// From now on the store does not answer. The answer is [`stats::Stats`].
    StoreDown,
    /// The store answers again. The answer is [`stats::Stats`].
    StoreUp,
}

impl ControlCommand {
    /// Returns the command's line.
    pub(crate) fn line(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stats => "stats",
            Self::Authority => "authority",
            Self::Ids => "ids",
            Self::StoreDown => "store-down",
            Self::StoreUp => "store-up",
        }
    }
}

/// Serves until standard input ends. Writes the port to the first line of standard output.
///
/// # Errors
/// Returns an error if the emulator cannot listen on a port or cannot write an answer.
pub(crate) fn run(spec: Spec) -> anyhow::Result<()> {
    // One thread leaves the other cores to the subject, and never waits for a lock.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.context("cannot listen")?;
        let port = listener.local_addr()?.port();
        let emulator = Arc::new(Emulator::new(spec)?);
        print_line(&port.to_string())?;
        let (server, authority) = network::Server::new(Arc::clone(&emulator), emulator.spec.network)?;
        tokio::spawn(server.serve(listener));
        let mut commands = read_commands();
        while let Some(command) = commands.recv().await {
            match command {
                ControlCommand::Authority => print_line(&serde_json::to_string(&authority)?)?,
                ControlCommand::Ids => print_line(&serde_json::to_string(emulator.state().ledger.ids())?)?,
                other => {
                    match other {
                        ControlCommand::Start => emulator.start(),
                        ControlCommand::StoreDown => emulator.state().ledger.set_store_down(true),
                        ControlCommand::StoreUp => emulator.state().ledger.set_store_down(false),
                        ControlCommand::Stats | ControlCommand::Ids | ControlCommand::Authority => {}
                    }
                    print_line(&serde_json::to_string(&emulator.stats())?)?;
                }
            }
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

/// Reads commands from standard input, in a thread, because reading blocks.
fn read_commands() -> mpsc::Receiver<ControlCommand> {
    let (commands, read) = mpsc::channel(1);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            use ControlCommand::{Authority, Ids, Start, StoreDown, StoreUp};
            let all = [Start, Authority, Ids, StoreDown, StoreUp];
            let command = all.into_iter().find(|command| command.line() == line).unwrap_or(ControlCommand::Stats);
            if commands.blocking_send(command).is_err() {
                return;
            }
        }
    });
    read
}
