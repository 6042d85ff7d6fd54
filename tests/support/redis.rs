//! A real redis-server on a free loopback port. The binary comes from a Python package.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Child, Stdio};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::python::Python;
use crate::wait;

/// A redis-server, empty at first. It keeps everything in memory, so a restart loses the data.
#[derive(Debug)]
pub(crate) struct Redis {
    port: u16,
    /// The server exits when its standard input closes, so it never outlives this process.
    child: Option<Child>,
}

impl Redis {
    /// Starts a server and waits until it answers. Returns `None` if tests that need Python are skipped.
    pub(crate) async fn start() -> Option<Self> {
        Python::get()?;
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
        let mut redis = Self { port: port.expect("a port is free").port(), child: None };
        redis.restart().await;
        Some(redis)
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Starts the server again on the same port.
    pub(crate) async fn restart(&mut self) {
        let python = Python::get().expect("Python is set up, because the server was started before");
        let log = Path::new(env!("CARGO_TARGET_TMPDIR")).join("redis.log");
        let output = File::options().create(true).append(true).open(log).expect("the log can be written");
        let mut script = python.script("run_redis.py");
        script.arg(self.port.to_string()).stdin(Stdio::piped()).stderr(Stdio::null()).stdout(output);
        self.child = Some(script.spawn().expect("Python can be started"));
        wait::until("Redis answers", async || self.ping().await.ok()).await;
    }

    /// Stops the server and waits until it no longer answers.
    pub(crate) async fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            drop(child.stdin.take());
            child.wait().expect("the process ends");
        }
        wait::until("Redis no longer answers", async || self.ping().await.err().map(drop)).await;
    }

    async fn ping(&self) -> std::io::Result<()> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).await?;
        stream.write_all(b"PING\r\n").await?;
        let mut answer = [0; 7];
        stream.read_exact(&mut answer).await.map(drop)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            drop(child.stdin.take());
            let _ended = child.wait();
        }
    }
}
