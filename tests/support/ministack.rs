//! [ministack](https://pypi.org/project/ministack/), an emulator of AWS that nobody here wrote: one for the process,
//! on a free port of the loopback interface.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use tokio::sync::OnceCell;

use crate::http;
use crate::python::Python;
use crate::wait;

/// A ministack that answers.
#[derive(Debug)]
pub(crate) struct Ministack {
    /// Base URL of its SQS, SNS and S3.
    pub(crate) endpoint_url: String,
    /// Its standard input is what it lives on; it ends with this process.
    _child: Child,
}

impl Ministack {
    /// The one ministack of this process; nothing if tests that need Python are to be skipped.
    ///
    /// # Panics
    ///
    /// It cannot be set up or does not start.
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
        // Between the answer and the start somebody else may take the port; then it is another one.
        let port = free_port().map_err(|error| format!("no free port for ministack: {error}"))?;
        let name = format!("tests-{}-{attempt}", std::process::id());
        let mut child = spawn(python, port, &name, &log).map_err(|error| format!("ministack: {error}"))?;
        if answers(&mut child, port, &name).await {
            return Ok(Ministack { endpoint_url: format!("http://127.0.0.1:{port}"), _child: child });
        }
        // It is either gone already or no good.
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
        // Shown by its health check, and tells it from another one that took the same port.
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

/// Waits until it answers, or has ended.
async fn answers(child: &mut Child, port: u16, name: &str) -> bool {
    let address = (Ipv4Addr::LOCALHOST, port).into();
    let outcome =
        wait::within(Duration::from_secs(30), async || match http::get(address, "/_ministack/health").await {
            Ok(answer) if answer.status == 200 && answer.body.contains(name) => Some(true),
            _ => child.try_wait().is_ok_and(|status| status.is_some()).then_some(false),
        });
    outcome.await.unwrap_or(false)
}
