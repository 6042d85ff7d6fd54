//! `protobridge healthcheck`: asks the admin endpoint of a running service whether it is healthy.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use bytes::Bytes;
use http::Uri;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio::time::{Instant, sleep, timeout};

use super::Usage;
use super::config_file::ConfigFile;
use crate::base::error::chain;
use crate::config::load;

/// The maximum number of bytes of an answer that are printed.
const MAX_ANSWER_BYTES: usize = 4096;

/// The pause before a further attempt: short beside the seconds that a network policy takes to know a new pod.
const PAUSE: Duration = Duration::from_millis(500);

/// The maximum of `--retry-for`, in seconds. A service that nothing reaches for an hour needs an operator.
const MAX_RETRY_SECONDS: u64 = 3600;

/// Arguments of `healthcheck`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Asks the endpoint that `admin.listen` of the configuration file names. If there is no file, it asks port 8080 of this \
machine.

For images without a shell or curl, such as the image of protobridge:
  HEALTHCHECK CMD [\"protobridge\", \"healthcheck\"]

A new pod can be cut off for a few seconds, until the network knows its address and the policies let it through. So \
let a check from a new pod, such as that of `helm test`, try again:
  protobridge healthcheck --url http://protobridge:8080/readyz --retry-for 30
An answer ends the attempts, even if it says that the service is not healthy. For a liveness probe, leave out \
--retry-for: the caller of the probe has a threshold of its own.

Exit codes: 0 the service is healthy, 1 it is not or does not answer, 2 wrong usage, 64 wrong configuration.")]
pub(super) struct Args {
    // The file's `admin.listen` names the endpoint.
    #[command(flatten)]
    config: ConfigFile,
    /// URL to ask instead, such as http://protobridge:8080/readyz
    #[arg(long, conflicts_with = "ready")]
    url: Option<Uri>,
    /// Ask whether the service receives messages (/readyz) rather than whether it is alive (/livez)
    #[arg(long)]
    ready: bool,
    /// The number of seconds that each attempt waits for an answer
    #[arg(long, value_name = "SECONDS", default_value_t = 3)]
    timeout: u64,
    /// Without an answer, try again every half second; start the last attempt at most this many seconds after the first
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 0,
        value_parser = clap::value_parser!(u64).range(..=MAX_RETRY_SECONDS)
    )]
    retry_for: u64,
}

/// Asks the admin endpoint of a running service, and prints the answer to standard output.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let uri = uri(args)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (is_success, text) = runtime.block_on(ask_repeatedly(&uri, args)).with_context(|| uri.to_string())?;
    if !is_success {
        bail!("{uri}: {text}");
    }
    println!("{text}");
    Ok(ExitCode::SUCCESS)
}

fn uri(args: &Args) -> anyhow::Result<Uri> {
    if let Some(uri) = &args.url {
        return match (uri.scheme_str(), uri.host()) {
            (Some("http"), Some(_)) => Ok(uri.clone()),
            _ => Err(Usage("--url must be an http URL, such as http://127.0.0.1:8080/livez").into()),
        };
    }
    let listen = load::listen(args.config.if_present(), load::environment())?;
    if listen.port() == 0 {
        return Err(Usage(
            "`admin.listen` has port 0, so the service listens on any free port; name its URL with --url",
        )
        .into());
    }
    let path = if args.ready { "/readyz" } else { "/livez" };
    Ok(format!("http://{}{path}", reachable(listen)).parse()?)
}

/// Returns the address at which this machine reaches a server that listens on `listen`.
pub(super) fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

/// Asks until the service answers, or until `--retry-for` is over. Returns the answer as [`ask`] does.
///
/// # Errors
///
/// Returns an error if no attempt has an answer. The error has the cause of the last attempt and, if retries were
/// requested, the number of attempts.
async fn ask_repeatedly(uri: &Uri, args: &Args) -> anyhow::Result<(bool, String)> {
    let last_start = Instant::now() + Duration::from_secs(args.retry_for);
    let mut attempts = 1_u32;
    loop {
        let error = match timeout(Duration::from_secs(args.timeout), ask(uri.clone())).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => error,
            Err(_) => anyhow!("no answer within {} s", args.timeout),
        };
        if Instant::now() + PAUSE > last_start {
            let is_retried = args.retry_for > 0;
            return Err(if is_retried { error.context(format!("no answer to {attempts} attempts")) } else { error });
        }
        sleep(PAUSE).await;
        attempts += 1;
    }
}

/// Sends a GET request. Returns whether the status is a success, and the body, or the status if the body is empty.
async fn ask(uri: Uri) -> anyhow::Result<(bool, String)> {
    let client: Client<_, Empty<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let answer = client.get(uri).await.map_err(|error| anyhow!(chain(&error)))?;
    let status = answer.status();
    let body =
        Limited::new(answer.into_body(), MAX_ANSWER_BYTES).collect().await.map(http_body_util::Collected::to_bytes);
    let body = body.unwrap_or_default();
    let text = String::from_utf8_lossy(&body);
    let text = text.trim();
    Ok((status.is_success(), if text.is_empty() { status.to_string() } else { text.to_owned() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_address_is_asked_on_loopback() {
        let reachable = |listen: &str| reachable(listen.parse().unwrap()).to_string();
        assert_eq!(reachable("0.0.0.0:8080"), "127.0.0.1:8080");
        assert_eq!(reachable("[::]:81"), "[::1]:81");
        assert_eq!(reachable("10.0.0.7:9000"), "10.0.0.7:9000");
    }
}
