//! `protobridge canary`.

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use strict_config::Problem;
use tracing::info;

use super::config_file::ConfigFile;
use crate::app::shutdown::Signals;
use crate::app::{CanaryApp, Listener, NoCanary};
use crate::aws::Clients;
use crate::base::http::Network;
use crate::config::load::Origin;
use crate::telemetry;

/// Arguments of `canary`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A canary is a test event. The service publishes it to `canary.topic`, like every event, and it must return unaltered, \
within `canary.deadline_seconds`, in the queue that is subscribed to that topic. Run this command beside the service, \
not in it, so that it can report that the service is down. It needs the section `canary` of the configuration; \
docs/operations.md has the setup.

/metrics, /status, /livez and /readyz answer at `admin.listen`. If the service runs on the same machine, set \
PROTOBRIDGE_ADMIN_LISTEN to another address.

Example:
  protobridge canary --config protobridge.yaml")]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigFile,
}

/// Sends canaries until SIGTERM or SIGINT, which ends the process at once.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let origin = args.config.origin()?;
    let mut config = origin.load()?;
    if config.canary_path().is_none() {
        return Err(missing(&origin, &NoCanary).into());
    }
    telemetry::init_log(&config.log).with_context(|| format!("log.level `{}`", config.log.level))?;
    let network = Network::of_environment()?;
    super::runtime()?.block_on(async {
        let mut signals = Signals::new()?;
        let start = async {
            let admin = Listener::bind(&config.admin).await?;
            let clients = Clients::new(&config.aws, network).await;
            super::settle_region(&mut config, clients.region(), origin.path())?;
            CanaryApp::start(&config, &clients, admin).map_err(|error| anyhow::Error::from(missing(&origin, &error)))
        };
        let mut app = tokio::select! {
            app = start => app?,
            signal = signals.stop.next() => {
                info!(signal, "stopped before the start was complete");
                return Ok(ExitCode::SUCCESS);
            }
        };
        loop {
            tokio::select! {
                signal = signals.stop.next() => {
                    info!(signal, "stopped");
                    return Ok(ExitCode::SUCCESS);
                }
                () = signals.reload.next() => info!("nothing to reload: a changed configuration needs a restart"),
                defect = app.failed() => bail!("{defect}; this is a bug in protobridge"),
            }
        }
    })
}

/// Returns the error of a configuration without a canary.
pub(super) fn missing(origin: &Origin, error: &NoCanary) -> strict_config::Error {
    strict_config::Error::new(origin.path(), vec![Problem::new("canary.topic", error.to_string())])
}
