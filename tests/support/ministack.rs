//! [ministack](https://pypi.org/project/ministack/), an independent emulator of AWS. Each test process starts one, on a
//! free loopback port.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use tokio::sync::OnceCell;

use crate::http;
use crate::python::Python;
use crate::wait;

/// A running ministack.
#[derive(Debug)]
pub(crate) struct Ministack {
    /// The base URL of its SQS, SNS and S3.
    pub(crate) endpoint_url: String,
    /// The emulator exits when its standard input closes, so it never outlives this process.
    _child: Child,
}

impl Ministack {
    /// Returns the ministack of this process, or `None` if tests that need Python are skipped.
    ///
    /// # Panics
    ///
    /// Panics if ministack cannot be set up or does not start.
    pub(crate) async fn get() -> Option<&'static Self> {
        static MINISTACK: OnceCell<Result<Ministack, String>> = OnceCell::const_new();
        let python = Python::get()?;
        match MINISTACK.get_or_init(|| start(python)).await {
            Ok(ministack) => Some(ministack),
            Err(message) => panic!("{message}"),
        }
    }
}

async fn start(python: &Python) -> Result<Ministack, String> {
    const ATTEMPTS: u32 = 5;
    let log = Path::new(env!("CARGO_TARGET_TMPDIR")).join("ministack.log");
    for attempt in 0..ATTEMPTS {
        // Another process can take the port before ministack binds it. The next attempt uses another port.
        let port = free_port().map_err(|error| format!("no free port for ministack: {error}"))?;
        let name = format!("tests-{}-{attempt}", std::process::id());
        let mut child = spawn(python, port, &name, &log).map_err(|error| format!("ministack: {error}"))?;
        if answers(&mut child, port, &name).await {
            return Ok(Ministack { endpoint_url: format!("http://127.0.0.1:{port}"), _child: child });
        }
        // The process has exited or does not answer.
        let _gone = child.kill();
        let _status = child.wait();
    }
    Err(format!("ministack did not start in {ATTEMPTS} attempts; the end of {} says why", log.display()))
}

fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

fn spawn(python: &Python, port: u16, name: &str, log: &Path) -> std::io::Result<Child> {
    let output = File::options().create(true).append(true).open(log)?;
    python
        .script("run_ministack.py")
        .env("BIND_HOST", "127.0.0.1")
        .env("GATEWAY_PORT", port.to_string())
        .env("IOT_MTLS_ENABLED", "0")
        .env("SERVICES", "sqs,sns,s3")
        .env("LOG_LEVEL", "WARNING")
        // The health check returns this name, which tells this ministack from another one on the same port.
        .env("MINISTACK_VERSION", name)
        .env("TMPDIR", env!("CARGO_TARGET_TMPDIR"))
        .env_remove("MINISTACK_HOST")
        .env_remove("MINISTACK_REGION")
        .env_remove("MINISTACK_ACCOUNT_ID")
        .env_remove("PERSIST_STATE")
        .env_remove("AUTH")
        .env_remove("USE_SSL")
        .stdin(Stdio::piped())
        .stdout(output.try_clone()?)
        .stderr(output)
        .spawn()
}

/// Waits until ministack answers or exits. Returns whether it answers.
async fn answers(child: &mut Child, port: u16, name: &str) -> bool {
    let address = (Ipv4Addr::LOCALHOST, port).into();
    let outcome =
        wait::within(Duration::from_secs(30), async || match http::get(address, "/_ministack/health").await {
            Ok(answer) if answer.status == 200 && answer.body.contains(name) => Some(true),
            _ => child.try_wait().is_ok_and(|status| status.is_some()).then_some(false),
        });
    outcome.await.unwrap_or(false)
}
