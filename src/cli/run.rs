//! `protobridge run`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use tracing::{error, info};

use crate::app::shutdown::Signals;
use crate::app::{App, Listener, Loaded, announce, check_queues};
use crate::aws::Clients;
use crate::base::http::Network;
use crate::config::load;
use crate::telemetry;

/// Arguments of `run`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Configuration file (YAML); `protobridge config example` prints one
    #[arg(long, value_name = "FILE", env = "PROTOBRIDGE_CONFIG")]
    config: PathBuf,
}

/// Runs the service until SIGTERM or SIGINT, then drains it. A second signal ends the process at once.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let config = load::file(&args.config, load::environment())?;
    telemetry::init_log(&config.log).with_context(|| format!("log.level `{}`", config.log.level))?;
    let network = Network::of_environment()?;
    super::runtime()?.block_on(async {
        // Install the handlers before anything that takes time: the kernel does not deliver SIGTERM to the first
        // process of a container that has no handler for it.
        let mut signals = Signals::new()?;
        let start = async {
            let admin = Listener::bind(&config.admin).await?;
            let clients = Clients::new(&config.aws, network.clone()).await;
            let mut config = config.clone();
            super::settle_region(&mut config, clients.region(), &args.config)?;
            let loading = config.clone();
            let loaded = tokio::task::spawn_blocking(move || Loaded::load(&loading)).await?;
            let loaded = loaded?;
            announce(&config, &loaded.registry.current(), &network);
            check_queues(&clients, &config).await?;
            anyhow::Ok(App::start_with(&config, loaded, clients, Some(admin))?)
        };
        let mut app = tokio::select! {
            app = start => app?,
            signal = signals.next() => {
                info!(signal, "stopped before the start was complete");
                return Ok(ExitCode::SUCCESS);
            }
        };
        let signal = tokio::select! {
            signal = signals.next() => signal,
            defect = app.failed() => bail!("{defect}; this is a bug in protobridge"),
        };
        info!(signal, "stopping");
        tokio::select! {
            _drained = app.stop() => Ok(ExitCode::SUCCESS),
            signal = signals.next() => {
                error!(signal, "second signal: exiting at once; SQS delivers the messages in flight again");
                Ok(ExitCode::FAILURE)
            }
        }
    })
}
