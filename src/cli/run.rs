//! `protobridge run`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tracing::{error, info};

use crate::app::shutdown::Signals;
use crate::app::{App, Listener, Loaded, Unhealthy};
use crate::aws::Clients;
use crate::config::load;
use crate::telemetry;

/// Arguments of `run`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Configuration file (YAML); `protobridge config example` prints one
    #[arg(long, value_name = "FILE", env = "PROTOBRIDGE_CONFIG")]
    config: PathBuf,
    /// Fail with exit code 1 unless every queue could be received from within this time, in seconds (default: 30).
    /// Without this option, queues that are missing or denied are polled until they answer; `/readyz` names them
    #[arg(
        long,
        value_name = "SECONDS",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "30",
        value_parser = clap::value_parser!(u32).range(1..=3_600)
    )]
    require_healthy: Option<u32>,
}

/// Why the service stops.
enum End {
    Signal(&'static str),
    Unhealthy(Unhealthy),
}

/// Runs the service until SIGTERM or SIGINT, then drains it. A second signal ends the process at once.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let config = load::file(&args.config, load::environment())?;
    telemetry::init_log(&config.log).with_context(|| format!("log.level `{}`", config.log.level))?;
    super::runtime()?.block_on(async {
        // Install the handlers before anything that takes time: the kernel does not deliver SIGTERM to the first
        // process of a container that has no handler for it.
        let mut signals = Signals::new()?;
        let start = async {
            let admin = Listener::bind(&config.admin).await?;
            let clients = Clients::new(&config.aws).await;
            let mut config = config.clone();
            super::settle_region(&mut config, clients.region(), &args.config)?;
            let loading = config.clone();
            let loaded = tokio::task::spawn_blocking(move || Loaded::load(&loading)).await?;
            let loaded = loaded?;
            anyhow::Ok(App::start_with(&config, loaded, clients, Some(admin))?)
        };
        let mut app = tokio::select! {
            app = start => app?,
            signal = signals.next() => {
                info!(signal, "stopped before the start was complete");
                return Ok(ExitCode::SUCCESS);
            }
        };
        let limit = args.require_healthy.map(|seconds| Duration::from_secs(seconds.into()));
        let unhealthy = unhealthy(limit.map(|limit| app.healthy(limit)));
        let end = tokio::select! {
            signal = signals.next() => End::Signal(signal),
            unhealthy = unhealthy => End::Unhealthy(unhealthy),
            defect = app.failed() => bail!("{defect}; this is a bug in protobridge"),
        };
        match &end {
            End::Signal(signal) => info!(signal, "stopping"),
            End::Unhealthy(unhealthy) => error!("{unhealthy}"),
        }
        tokio::select! {
            _drained = app.stop() => match end {
                End::Signal(_) => Ok(ExitCode::SUCCESS),
                End::Unhealthy(unhealthy) => Err(unhealthy.into()),
            },
            signal = signals.next() => {
                error!(signal, "second signal: exiting at once; SQS delivers the messages in flight again");
                Ok(ExitCode::FAILURE)
            }
        }
    })
}

/// Waits until a required health is missing for too long. Never ends if none is required, or once it was reached.
async fn unhealthy(health: Option<impl Future<Output = Result<(), Unhealthy>>>) -> Unhealthy {
    if let Some(health) = health
        && let Err(unhealthy) = health.await
    {
        return unhealthy;
    }
    std::future::pending().await
}
