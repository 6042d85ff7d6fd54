//! `protobridge run` as a child process that a test can query, terminate and kill.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

use crate::http::{self, Answer};
use crate::{command, wait};

/// A running service. Dropping it kills the process.
#[derive(Debug)]
pub(crate) struct Service {
    child: Child,
    admin: SocketAddr,
    log: Log,
    reading: JoinHandle<()>,
}

/// The lines that the service has written to standard error.
#[derive(Debug, Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Service {
    /// Starts the service with this configuration file and further arguments, and waits until it logs that it runs. The
    /// admin endpoint must be on a loopback address.
    pub(crate) async fn start(config: &Path, arguments: &[&str]) -> Self {
        Self::start_with(command::protobridge(), config, arguments).await
    }

    /// Like [`Service::start`], with a command that has other environment variables.
    pub(crate) async fn start_with(command: std::process::Command, config: &Path, arguments: &[&str]) -> Self {
        Self::start_as("run", command, config, arguments).await
    }

    /// Like [`Service::start_with`], with another subcommand that has an admin endpoint.
    pub(crate) async fn start_as(
        subcommand: &str,
        command: std::process::Command,
        config: &Path,
        arguments: &[&str],
    ) -> Self {
        let mut command = Command::from(command);
        command.arg(subcommand).arg("--config").arg(config).args(arguments).env("PROTOBRIDGE_LOG_FORMAT", "json");
        let mut child = command
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the command was built with the tests");
        let log = Log::default();
        let reading = tokio::spawn(read(child.stderr.take().expect("the stream is piped"), log.clone()));
        let admin = wait::until("the service runs", async || {
            let ended = child.try_wait().expect("the child process can be waited for");
            assert!(ended.is_none(), "the service exited by itself:\n{}", log.text());
            log.admin()
        });
        let admin = admin.await;
        Self { child, admin, log, reading }
    }

    /// Sends a GET request to the admin endpoint.
    pub(crate) async fn get(&self, path: &str) -> std::io::Result<Answer> {
        http::get(self.admin, path).await
    }

    /// Returns the number of messages with this outcome, according to `/status`.
    pub(crate) async fn settled(&self, outcome: &str) -> u64 {
        let status = self.get("/status").await.expect("the service runs").json();
        let queues = status["queues"].as_array().expect("the status lists the queues");
        queues.iter().filter_map(|queue| queue["outcomes"][outcome].as_u64()).sum()
    }

    /// Returns the most memory that the process had, in MiB, as the kernel reports it; `None` if it does not.
    pub(crate) fn peak_mib(&self) -> Option<u64> {
        let pid = self.child.id().expect("the process was not waited for");
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"))?;
        Some(peak.parse::<u64>().expect("the kernel writes a number") >> 10)
    }

    /// Kills the service with SIGKILL, as a crash would.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.expect("the child process can be waited for");
    }

    /// Sends SIGTERM.
    pub(crate) fn terminate(&self) {
        self.signal("TERM");
    }

    /// Sends SIGHUP.
    pub(crate) fn hang_up(&self) {
        self.signal("HUP");
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().expect("the process was not waited for");
        let kill = std::process::Command::new("sh").arg("-c").arg(format!("kill -{name} {pid}")).status();
        assert!(kill.expect("a shell can be started").success());
    }

    /// Returns the lines of the log so far.
    pub(crate) fn lines(&self) -> Vec<Value> {
        self.log.lines()
    }

    /// Waits until the log has a line with this message. Returns the first one.
    pub(crate) async fn wait_for_line(&self, message: &str) -> Value {
        let line = async || self.lines().into_iter().find(|line| line["message"] == message);
        wait::until(&format!("the log has {message:?}"), line).await
    }

    /// Waits until the service exits. Returns its exit status and its log.
    pub(crate) async fn wait_for_exit(mut self) -> (ExitStatus, String) {
        let status = wait::until("the service exits", async || {
            self.child.try_wait().expect("the child process can be waited for")
        })
        .await;
        self.reading.await.expect("the reading task does not panic");
        (status, self.log.text())
    }
}

impl Log {
    fn text(&self) -> String {
        self.0.lock().expect("no thread panicked while it held the lock").join("\n")
    }

    fn lines(&self) -> Vec<Value> {
        let lines = self.0.lock().expect("no thread panicked while it held the lock");
        lines.iter().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Returns the address of the admin endpoint, once the service has logged that it runs.
    fn admin(&self) -> Option<SocketAddr> {
        let address = self
            .lines()
            .into_iter()
            .filter(|line| line["message"] == "running" || line["message"] == "sending canaries")
            .find_map(|line| Some(line["admin"].as_str()?.strip_prefix("http://")?.to_owned()));
        Some(address?.parse().expect("the admin address has a port"))
    }
}

async fn read(stderr: tokio::process::ChildStderr, log: Log) {
    let mut lines = BufReader::new(stderr).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        log.0.lock().expect("no thread panicked while it held the lock").push(line);
    }
}
