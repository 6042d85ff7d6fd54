//! Running over a quarantine queue from the command line: the queue by its name, progress on a terminal, and Ctrl-C.

use std::io::{IsTerminal as _, Write as _};
use std::path::Path;

use anyhow::bail;
use strict_config::nearest;
use tokio::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

use crate::app::shutdown::StopSignals;
use crate::app::{Loaded, Redriving};
use crate::aws::Clients;
use crate::base::http::Network;
use crate::cli::Usage;
use crate::cli::config_file::ConfigFile;
use crate::config::{Config, Log, Queue};
use crate::delivery::redrive::{Ended, Event, Examined, Options};
use crate::telemetry;

/// How often the progress is shown.
const PERIOD: Duration = Duration::from_millis(200);

/// The end of a run.
pub(in crate::cli) struct Run {
    /// The name of the queue.
    pub(in crate::cli) queue: String,
    pub(in crate::cli) ended: Ended,
    /// The number of rows that the journal lost.
    pub(in crate::cli) lost_rows: u64,
}

/// Runs over the quarantine queue of the queue that is named, and passes each message that matches to `on`. `before` is
/// called with the queue before anything is received; the run is left out if it returns false.
///
/// # Errors
/// Returns an error if the configuration is not valid, or if the queue cannot be received from.
pub(in crate::cli) fn run(
    file: &ConfigFile,
    name: Option<&str>,
    options: Options,
    before: impl FnOnce(&Queue) -> anyhow::Result<bool>,
    mut on: impl FnMut(Box<Examined>),
) -> anyhow::Result<Option<Run>> {
    let origin = file.origin()?;
    let mut config = origin.load()?;
    let queue = queue(&config, name)?.clone();
    if !before(&queue)? {
        return Ok(None);
    }
    // The command prints what happened. The log has only what goes wrong on the way.
    telemetry::init_log(&Log { level: "warn".to_owned(), ..config.log.clone() })?;
    let network = Network::of_environment()?;
    crate::cli::runtime()?.block_on(async {
        let mut signals = StopSignals::new()?;
        let clients = Clients::new(&config.aws, network).await;
        let redriving = prepare(&mut config, &queue, &clients, options, origin.path()).await?;
        if let Some(warning) = redriving.warning() {
            anstream::eprintln!("warning: {warning}");
        }
        let stop = CancellationToken::new();
        let mut progress = Progress::new();
        let running = redriving.run(&stop, |event| match event {
            Event::Progress { seen, depth } => progress.show(seen, depth),
            Event::Examined(examined) => {
                progress.clear();
                on(examined);
            }
        });
        tokio::pin!(running);
        let mut is_stopping = false;
        let (ended, lost_rows) = loop {
            tokio::select! {
                ended = &mut running => break ended?,
                signal = signals.next() => {
                    if is_stopping {
                        bail!("second {signal}: the messages that were not returned are visible again within five minutes");
                    }
                    anstream::eprintln!("\n{signal}: returning the messages that are held");
                    is_stopping = true;
                    stop.cancel();
                }
            }
        };
        Ok(Some(Run { queue: queue.label().to_owned(), ended, lost_rows }))
    })
}

async fn prepare(
    config: &mut Config,
    queue: &Queue,
    clients: &Clients,
    options: Options,
    path: &Path,
) -> anyhow::Result<Redriving> {
    crate::cli::settle_region(config, clients.region(), path)?;
    let loaded = Loaded::read(config, clients).await?;
    crate::cli::warn_about_refused(&loaded.registry.current());
    Ok(Redriving::new(config, queue, clients, &loaded, options)?)
}

/// Returns the queue with this name or URL, or the only one.
fn queue<'c>(config: &'c Config, name: Option<&str>) -> anyhow::Result<&'c Queue> {
    let Some(name) = name else {
        let [queue] = config.queues.as_slice() else {
            return Err(Usage("the configuration has several queues; name one with --queue").into());
        };
        return Ok(queue);
    };
    if let Some(queue) = config.queues.iter().find(|queue| queue.label() == name || queue.url == name) {
        return Ok(queue);
    }
    let names = || config.queues.iter().map(Queue::label);
    match nearest(name, names()) {
        Some(near) => bail!("the configuration has no queue {name}; did you mean {near}?"),
        None => bail!("the configuration has no queue {name}; it has {}", names().collect::<Vec<_>>().join(", ")),
    }
}

/// A line on standard error, if that is a terminal.
struct Progress {
    is_shown: bool,
    shown: Option<Instant>,
}

impl Progress {
    fn new() -> Self {
        Self { is_shown: std::io::stderr().is_terminal(), shown: None }
    }

    fn show(&mut self, seen: usize, depth: Option<u64>) {
        if !self.is_shown || self.shown.is_some_and(|shown| shown.elapsed() < PERIOD) {
            return;
        }
        self.shown = Some(Instant::now());
        match depth {
            Some(depth) => eprint!("\r\x1b[K{seen} of about {depth} messages received"),
            None => eprint!("\r\x1b[K{seen} messages received"),
        }
        // A line that is not shown is no reason to stop.
        let _hidden = std::io::stderr().flush();
    }

    fn clear(&mut self) {
        if self.shown.take().is_some() {
            eprint!("\r\x1b[K");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}
