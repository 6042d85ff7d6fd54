//! `protobridge run`.

use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tracing::{error, info};

use super::config_file::ConfigFile;
use crate::app::reload::Followed;
use crate::app::shutdown::Signals;
use crate::app::{App, Listener, NoCanary, Unhealthy, announce, load_at_start};
use crate::aws::Clients;
use crate::base::http::Network;
use crate::telemetry;

/// Arguments of `run`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigFile,
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
    /// Also send canaries from this process, for a small install. It cannot report that this process is down;
    /// `protobridge canary` is a process of its own
    #[arg(long)]
    canary: bool,
}

/// Why the service stops.
enum End {
    Signal(&'static str),
    Unhealthy(Unhealthy),
}

/// Runs the service until SIGTERM or SIGINT, then drains it. A second signal ends the process at once. SIGHUP reloads
/// the files.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let origin = args.config.origin()?;
    let config = origin.load()?;
    if args.canary && config.canary_path().is_none() {
        return Err(super::canary::missing(&origin, &NoCanary).into());
    }
    let level = telemetry::init_log(&config.log).with_context(|| format!("log.level `{}`", config.log.level))?;
    let network = Network::of_environment()?;
    super::runtime()?.block_on(async {
        // Install the handlers before anything that takes time: the kernel does not deliver SIGTERM to the first
        // process of a container that has no handler for it.
        let mut signals = Signals::new()?;
        let start = async {
            let admin = Listener::bind(&config.admin).await?;
            let clients = Clients::new(&config.aws, network.clone()).await;
            let as_loaded = config.clone();
            let mut config = config.clone();
            super::settle_region(&mut config, clients.region(), origin.path())?;
            let loaded = load_at_start(&config, &clients, &admin).await?;
            announce(&config, &loaded.registry.current(), &network);
            let mut app = App::start_with(&config, loaded, clients.clone(), Some(admin))?;
            if args.canary {
                app.send_canaries(&config, &clients).map_err(|error| super::canary::missing(&origin, &error))?;
            }
            let (origin, region) = (origin.clone(), config.aws.region);
            app.follow(Followed { origin, config: as_loaded, region, level, clients });
            anyhow::Ok(app)
        };
        let mut app = tokio::select! {
            app = start => app?,
            signal = signals.stop.next() => {
                info!(signal, "stopped before the start was complete");
                return Ok(ExitCode::SUCCESS);
            }
        };
        let limit = args.require_healthy.map(|seconds| Duration::from_secs(seconds.into()));
        let mut unhealthy = pin!(unhealthy(limit.map(|limit| app.healthy(limit))));
        let end = loop {
            tokio::select! {
                signal = signals.stop.next() => break End::Signal(signal),
                unhealthy = unhealthy.as_mut() => break End::Unhealthy(unhealthy),
                () = signals.reload.next() => app.reload("SIGHUP"),
                defect = app.failed() => bail!("{defect}; this is a bug in protobridge"),
            }
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
            signal = signals.stop.next() => {
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
