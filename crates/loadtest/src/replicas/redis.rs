//! A redis-server for a run, and the proxy in front of it.

use std::net::{Ipv4Addr, TcpListener};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::{Instant, sleep};

use super::proxy::Proxy;
use super::{RedisPlace, ReplicaPlan};
use crate::process::Process;

/// A running server, empty at first. It keeps everything in memory.
#[derive(Debug)]
pub(crate) struct Redis {
    _process: Process,
    proxy: Option<Proxy>,
    port: u16,
}

/// The variable that names the binary of the server, if it is not `redis-server` in the `PATH`.
const VARIABLE: &str = "REDIS_SERVER";
/// The time that the proxy adds to each answer. Timers have a resolution of a millisecond, so it is 1 to 2 ms.
const DELAY: Duration = Duration::from_millis(1);
/// The time within which the server must answer.
const START_TIMEOUT: Duration = Duration::from_secs(20);

impl Redis {
    /// Starts a server on a free loopback port, and waits until it answers. Returns `None` if the place has none.
    ///
    /// # Errors
    /// Returns an error if the server is not installed or does not answer.
    pub(crate) async fn start(place: RedisPlace) -> anyhow::Result<Option<Self>> {
        if place == RedisPlace::Off {
            return Ok(None);
        }
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let mut command = Command::new(binary());
        command.args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", "", "--appendonly", "no"]);
        let mut process = Process::start(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()))?;
        let since = Instant::now();
        while ping(port).await.is_err() {
            if let Some(ended) = process.child.try_wait()? {
                bail!("redis-server exited at its start: {ended}");
            }
            if since.elapsed() > START_TIMEOUT {
                bail!("redis-server did not answer within {START_TIMEOUT:?}");
            }
            sleep(Duration::from_millis(10)).await;
        }
        let is_delayed = place == RedisPlace::Delayed;
        let proxy =
            if is_delayed { Some(Proxy::start(port, DELAY).await.context("cannot start the proxy")?) } else { None };
        Ok(Some(Self { _process: process, proxy, port }))
    }

    pub(crate) fn url(&self) -> String {
        let port = self.proxy.as_ref().map_or(self.port, |proxy| proxy.port);
        format!("redis://127.0.0.1:{port}")
    }
}

/// Checks that redis-server can be started, if the plan needs one.
///
/// # Errors
/// Returns an error that names the way out.
pub(crate) async fn check(plan: Option<&ReplicaPlan>) -> anyhow::Result<()> {
    if plan.is_none_or(|plan| plan.redis == RedisPlace::Off) {
        return Ok(());
    }
    let mut command = Command::new(binary());
    let version = command.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).status().await;
    match version {
        Ok(status) if status.success() => Ok(()),
        _ => bail!(
            "cannot start redis-server; install the package redis-server, or name the binary with {VARIABLE}=FILE"
        ),
    }
}

fn binary() -> std::ffi::OsString {
    std::env::var_os(VARIABLE).unwrap_or_else(|| "redis-server".into())
}

async fn ping(port: u16) -> std::io::Result<()> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    stream.write_all(b"PING\r\n").await?;
    let mut answer = [0; 7];
    stream.read_exact(&mut answer).await.map(drop)
}
