//! What the service keeps in the store: the journal and the counters of the reports.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::aws::Clients;
use crate::config::Config;
use crate::store::journal::{self, Journal};
use crate::store::{OpenError, Store, counters, replica_name, retention};
use crate::telemetry::Metrics;

/// The longest time for storing the last rows and counters at the end of a drain. It passes while the last spans are
/// exported, see [`LAST_EXPORT`](crate::telemetry::LAST_EXPORT).
const LAST_PUT: Duration = Duration::from_secs(3);

/// The journal and the counters of this process, and the tasks that store them.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) journal: Arc<Journal>,
    counters: Arc<counters::Writer>,
    /// Stores the rows of the journal. It ends only after [`Journal::stop`].
    rows: JoinSet<()>,
    /// Stores the counters. It never ends by itself.
    minutes: JoinSet<()>,
    /// Deletes old objects from a folder. It never ends by itself.
    sweep: JoinSet<()>,
}

impl Stored {
    /// Starts to keep a journal and counters, if the configuration has a store and wants them.
    ///
    /// # Errors
    /// Returns an error if the store cannot be opened.
    pub(super) fn start(config: &Config, clients: &Clients, metrics: &Arc<Metrics>) -> Result<Option<Self>, OpenError> {
        let Some(store) = Store::open(&config.store, &clients.shared, &clients.network)? else { return Ok(None) };
        if !config.journal.enabled {
            return Ok(None);
        }
        let replica = replica_name();
        let sweep = JoinSet::from_iter([sweep(store.clone(), config, Arc::clone(metrics))]);
        let counters = counters::Writer::new(store.clone(), replica.clone(), clients.region(), metrics);
        let (journal, writer) = journal::Writer::new(store, &config.journal, replica, metrics);
        let rows = JoinSet::from_iter([writer.run()]);
        let minutes = JoinSet::from_iter([Arc::clone(&counters).run()]);
        Ok(Some(Self { journal, counters, rows, minutes, sweep }))
    }

    /// Waits until one of the tasks ends before its time.
    pub(super) async fn failed(&mut self) -> Option<Result<(), tokio::task::JoinError>> {
        tokio::select! {
            Some(ended) = self.rows.join_next() => Some(ended),
            Some(ended) = self.minutes.join_next() => Some(ended),
            Some(ended) = self.sweep.join_next() => Some(ended),
            else => None,
        }
    }

    /// Stores what is left, because the service stops.
    pub(super) async fn finish(self) {
        let Self { journal, counters, mut rows, mut minutes, mut sweep } = self;
        tokio::join!(minutes.shutdown(), sweep.shutdown());
        let all_rows = async { while rows.join_next().await.is_some() {} };
        tokio::join!(journal::finish(&journal, all_rows, LAST_PUT), counters.finish(LAST_PUT));
    }
}

/// Deletes old objects from the store, if it is a folder. Never ends.
fn sweep(store: Store, config: &Config, metrics: Arc<Metrics>) -> impl Future<Output = ()> + use<> {
    let retentions = retention::retentions(config);
    async move { retention::sweep(&store, &retentions, &metrics).await }
}
