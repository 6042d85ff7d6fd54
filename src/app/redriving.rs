//! A run over a quarantine queue, with the journal that records it.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::Loaded;
use crate::aws::Clients;
use crate::config::{self, Config};
use crate::delivery::redrive::{self, Action, Ended, Event, Options, Redrive};
use crate::store::Store;
use crate::store::journal::{self, Journal};
use crate::telemetry::Metrics;

/// The longest time for storing the rows of the journal at the end.
const LAST_PUT: Duration = Duration::from_secs(10);

/// A run over a quarantine queue, as a command makes it.
#[derive(Debug)]
pub struct Redriving {
    redrive: Redrive,
    journal: Option<Rows>,
    metrics: Arc<Metrics>,
    warning: Option<String>,
}

/// The journal of the run, and the task that stores its rows.
#[derive(Debug)]
struct Rows {
    journal: Arc<Journal>,
    writing: JoinSet<()>,
}

impl Redriving {
    /// Prepares a run over the quarantine queue of `queue`. Must be called in a runtime of tokio; makes no call to SQS.
    ///
    /// A run that publishes keeps a journal, if the configuration has one. A store that cannot be used is no reason to leave
    /// events in quarantine, so it becomes a [warning](Self::warning).
    ///
    /// # Errors
    /// Returns an error if the queue has no quarantine queue, or if a part cannot be set up.
    pub fn new(
        config: &Config,
        queue: &config::Queue,
        clients: &Clients,
        loaded: &Loaded,
        options: Options,
    ) -> Result<Self, redrive::Error> {
        let metrics = Arc::new(Metrics::new(config.metrics.customer_label));
        let publishes = options.action == Action::Send && !options.is_preview;
        let (journal, warning) = if publishes { Rows::start(config, clients, &metrics) } else { (None, None) };
        let files = (&loaded.routes, &loaded.schemas);
        let rows = journal.as_ref().map(|rows| Arc::clone(&rows.journal));
        let redrive = Redrive::new((config, queue), clients, files, rows, options, &metrics)?;
        Ok(Self { redrive, journal, metrics, warning })
    }

    /// Returns why the run keeps no journal, if the configuration has one.
    pub fn warning(&self) -> Option<&str> {
        self.warning.as_deref()
    }

    /// Makes the run. Returns how it ended, and the number of rows that the journal lost.
    ///
    /// # Errors
    /// Returns an error if the quarantine queue cannot be received from, or if SQS deletes nothing.
    pub async fn run(self, stop: &CancellationToken, on: impl FnMut(Event)) -> Result<(Ended, u64), redrive::Error> {
        let ended = self.redrive.run(stop, on).await;
        if let Some(Rows { journal, mut writing }) = self.journal {
            let all_rows = async { while writing.join_next().await.is_some() {} };
            journal::finish(&journal, all_rows, LAST_PUT).await;
        }
        Ok((ended?, self.metrics.journal_dropped.sum()))
    }
}

impl Rows {
    fn start(config: &Config, clients: &Clients, metrics: &Arc<Metrics>) -> (Option<Self>, Option<String>) {
        if !config.journal.enabled {
            return (None, None);
        }
        match Store::open(&config.store, &clients.shared, &clients.network) {
            Ok(None) => (None, None),
            Ok(Some(store)) => {
                // A name of its own: the run is no replica, whose rows would have a gap when it ends.
                let name = format!("redrive-{:08x}", fastrand::u32(..));
                let (journal, writer) = journal::Writer::new(store, &config.journal, name, metrics);
                (Some(Self { journal, writing: JoinSet::from_iter([writer.run()]) }), None)
            }
            Err(error) => (None, Some(format!("the journal gets no rows of this run: {error}"))),
        }
    }
}
