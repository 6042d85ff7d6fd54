//! The process that serves SQS and SNS, from the runner's point of view.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use crate::emulator;
use crate::emulator::stats::Stats;
use crate::process::Process;
use crate::spec::Spec;

/// A running emulator process.
#[derive(Debug)]
pub(crate) struct Backend {
    pub(crate) process: Process,
    pub(crate) port: u16,
    /// The certificate of the authority that clients must trust, in PEM, if the emulator uses TLS.
    pub(crate) authority: Option<String>,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

/// The timeout for an answer. It is long because the embedded SQS and SNS first fill their queue.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(600);

impl Backend {
    /// Starts the emulator.
    ///
    /// # Errors
    /// Returns an error if the emulator does not start.
    pub(crate) async fn start(spec: &Spec) -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["emulator", "--spec", &serde_json::to_string(spec)?]);
        let mut process = Process::start(command.stdin(Stdio::piped()).stdout(Stdio::piped()))?;
        let input = process.child.stdin.take().context("the emulator has no standard input")?;
        let mut output =
            BufReader::new(process.child.stdout.take().context("the emulator has no standard output")?).lines();
        let port =
            timeout(ANSWER_TIMEOUT, output.next_line()).await??.context("the emulator exited before it started")?;
        let mut backend = Self { process, port: port.parse()?, authority: None, input, output };
        if spec.network.tls {
            backend.authority = backend.ask(emulator::ControlCommand::Authority).await?;
        }
        Ok(backend)
    }

    /// Sends a command and returns the answer.
    ///
    /// # Errors
    /// Returns an error if the emulator has ended or does not answer in time.
    pub(crate) async fn send(&mut self, command: emulator::ControlCommand) -> anyhow::Result<Stats> {
        self.ask(command).await
    }

    /// Asks for the SNS message ids of all deliveries: the sum of the hashed ids of each.
    ///
    /// # Errors
    /// Returns an error if the emulator has ended or does not answer in time.
    pub(crate) async fn ids(&mut self) -> anyhow::Result<Vec<u64>> {
        self.ask(emulator::ControlCommand::Ids).await
    }

    async fn ask<T: DeserializeOwned>(&mut self, command: emulator::ControlCommand) -> anyhow::Result<T> {
        self.input.write_all(format!("{}\n", command.line()).as_bytes()).await?;
        match timeout(ANSWER_TIMEOUT, self.output.next_line()).await {
            Ok(line) => Ok(serde_json::from_str(&line?.context("the emulator exited")?)?),
            Err(_) => bail!("the emulator did not answer within {ANSWER_TIMEOUT:?}"),
        }
    }
}
