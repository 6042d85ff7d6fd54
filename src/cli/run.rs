//! `protobridge run`.

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use tracing::{error, info};

use super::config_file::ConfigFile;
use crate::app::reload::Followed;
use crate::app::shutdown::Signals;
use crate::app::{App, Listener, Loaded, check_queues};
use crate::aws::Clients;
use crate::telemetry;

/// Arguments of `run`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigFile,
}

/// Runs the service until SIGTERM or SIGINT, then drains it. A second signal ends the process at once. SIGHUP reloads
/// the files.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let origin = args.config.origin()?;
    let config = origin.load()?;
    let level = telemetry::init_log(&config.log).with_context(|| format!("log.level `{}`", config.log.level))?;
    super::runtime()?.block_on(async {
        // Install the handlers before anything that takes time: the kernel does not deliver SIGTERM to the first
        // process of a container that has no handler for it.
        let mut signals = Signals::new()?;
        let start = async {
            let admin = Listener::bind(&config.admin).await?;
            let clients = Clients::new(&config.aws).await;
            let as_loaded = config.clone();
            let mut config = config.clone();
            super::settle_region(&mut config, clients.region(), origin.path())?;
            let loading = config.clone();
            let loaded = tokio::task::spawn_blocking(move || Loaded::load(&loading)).await?;
            let loaded = loaded?;
            check_queues(&clients, &config).await?;
            let mut app = App::start_with(&config, loaded, clients, Some(admin))?;
            app.follow(Followed { origin: origin.clone(), config: as_loaded, region: config.aws.region, level });
            anyhow::Ok(app)
        };
        let mut app = tokio::select! {
            app = start => app?,
            signal = signals.stop.next() => {
                info!(signal, "stopped before the start was complete");
                return Ok(ExitCode::SUCCESS);
            }
        };
        let signal = loop {
            tokio::select! {
                signal = signals.stop.next() => break signal,
                () = signals.reload.next() => app.reload("SIGHUP"),
                defect = app.failed() => bail!("{defect}; this is a bug in protobridge"),
            }
        };
        info!(signal, "stopping");
        tokio::select! {
            _drained = app.stop() => Ok(ExitCode::SUCCESS),
            signal = signals.stop.next() => {
                error!(signal, "second signal: exiting at once; SQS delivers the messages in flight again");
                Ok(ExitCode::FAILURE)
            }
        }
    })
}
