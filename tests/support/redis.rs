//! A real redis-server, out of the Python package that ships one, on a free port of the loopback interface.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Child, Stdio};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::python::Python;
use crate::wait;

/// A redis-server. It has nothing in it, and forgets everything when it stops.
#[derive(Debug)]
pub(crate) struct Redis {
    port: u16,
    /// Its standard input is what it lives on; it ends with this process.
    child: Option<Child>,
}

impl Redis {
    /// A server that answers; nothing if tests that need Python are to be skipped.
    pub(crate) async fn start() -> Option<Self> {
        Python::get()?;
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
        let mut redis = Self { port: port.expect("a port is free").port(), child: None };
        redis.start_again().await;
        Some(redis)
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Starts it where it was before.
    pub(crate) async fn start_again(&mut self) {
        let python = Python::get().expect("it was started before");
        let log = Path::new(env!("CARGO_TARGET_TMPDIR")).join("redis.log");
        let output = File::options().create(true).append(true).open(log).expect("the log can be written");
        let mut script = python.script("run_redis.py");
        script.arg(self.port.to_string()).stdin(Stdio::piped()).stderr(Stdio::null()).stdout(output);
        self.child = Some(script.spawn().expect("Python runs"));
        wait::until("redis answers", async || self.ping().await.ok()).await;
    }

    /// Stops it, and returns when it does not answer any more.
    pub(crate) async fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            drop(child.stdin.take());
            child.wait().expect("it ends");
        }
        wait::until("redis is gone", async || self.ping().await.err().map(drop)).await;
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
