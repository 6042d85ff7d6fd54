//! The emulator's process, as the runner sees it.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use crate::emulator;
use crate::emulator::stats::Stats;
use crate::process::Process;
use crate::spec::Spec;

/// A running emulator.
#[derive(Debug)]
pub(crate) struct Backend {
    pub(crate) process: Process,
    pub(crate) port: u16,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

/// Longer than it ever needs for an answer; the embedded SQS and SNS open their queue only when everything is in it.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(600);

impl Backend {
    /// Starts it.
    ///
    /// # Errors
    /// When it does not start.
    pub(crate) async fn start(spec: &Spec) -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["emulator", "--spec", &serde_json::to_string(spec)?]);
        let mut process = Process::start(command.stdin(Stdio::piped()).stdout(Stdio::piped()))?;
        let input = process.child.stdin.take().context("it has no input")?;
        let mut output = BufReader::new(process.child.stdout.take().context("it has no output")?).lines();
        let port = timeout(ANSWER_TIMEOUT, output.next_line()).await??.context("the emulator did not start")?;
        Ok(Self { process, port: port.parse()?, input, output })
    }

    /// Gives it a command, and returns what it answers.
    ///
    /// # Errors
    /// When it has ended, or does not answer.
    pub(crate) async fn send(&mut self, command: emulator::ControlCommand) -> anyhow::Result<Stats> {
        self.input.write_all(format!("{}\n", command.line()).as_bytes()).await?;
        match timeout(ANSWER_TIMEOUT, self.output.next_line()).await {
            Ok(line) => Ok(serde_json::from_str(&line?.context("the emulator ended")?)?),
            Err(_) => bail!("the emulator did not answer within {ANSWER_TIMEOUT:?}"),
        }
    }
}
