//! `protobridge run` as a child process: the real thing, that can be asked, told to stop, and killed.

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

/// A running service. It is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Service {
    child: Child,
    admin: SocketAddr,
    log: Log,
    reading: JoinHandle<()>,
}

/// What the service wrote to standard error, by line.
#[derive(Debug, Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Service {
    /// Starts the service with this configuration file, whose admin endpoint has to be on a loopback address, and waits
    /// until it says that it runs.
    pub(crate) async fn start(config: &Path) -> Self {
        let mut command = Command::from(command::protobridge());
        command.arg("run").arg("--config").arg(config).env("PROTOBRIDGE_LOG_FORMAT", "json");
        let mut child = command
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the command was built with the tests");
        let log = Log::default();
        let reading = tokio::spawn(read(child.stderr.take().expect("it is piped"), log.clone()));
        let admin = wait::until("the service runs", async || {
            let ended = child.try_wait().expect("it is our child");
            assert!(ended.is_none(), "the service ended by itself:\n{}", log.text());
            log.admin()
        });
        let admin = admin.await;
        Self { child, admin, log, reading }
    }

    /// Asks its admin endpoint.
    pub(crate) async fn get(&self, path: &str) -> std::io::Result<Answer> {
        http::get(self.admin, path).await
    }

    /// How many messages it has settled with this outcome, as `/status` has it.
    pub(crate) async fn settled(&self, outcome: &str) -> u64 {
        let status = self.get("/status").await.expect("it is running").json();
        let queues = status["queues"].as_array().expect("a list of queues");
        queues.iter().filter_map(|queue| queue["outcomes"][outcome].as_u64()).sum()
    }

    /// Ends it as a crash does: at once, and with nothing put in order.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.expect("it is our child");
    }

    /// Sends SIGTERM.
    pub(crate) fn terminate(&self) {
        let pid = self.child.id().expect("it was not waited for");
        let kill = std::process::Command::new("sh").arg("-c").arg(format!("kill -TERM {pid}")).status();
        assert!(kill.expect("there is a shell").success());
    }

    /// Waits for its end. Returns how it ended, and its log.
    pub(crate) async fn ended(mut self) -> (ExitStatus, String) {
        let status = wait::until("the service ends", async || self.child.try_wait().expect("it is our child")).await;
        self.reading.await.expect("reading does not fail");
        (status, self.log.text())
    }
}

impl Log {
    fn text(&self) -> String {
        self.0.lock().expect("no test panics while it holds it").join("\n")
    }

    /// Where the admin endpoint is, once the service says that it runs.
    fn admin(&self) -> Option<SocketAddr> {
        let lines = self.0.lock().expect("no test panics while it holds it");
        let running = lines.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let address = running
            .filter(|line| line["message"] == "running")
            .find_map(|line| Some(line["admin"].as_str()?.strip_prefix("http://")?.to_owned()));
        Some(address?.parse().expect("an address with a port"))
    }
}

async fn read(stderr: tokio::process::ChildStderr, log: Log) {
    let mut lines = BufReader::new(stderr).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        log.0.lock().expect("no test panics while it holds it").push(line);
    }
}
