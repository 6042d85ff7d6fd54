//! What the service keeps in the store: the journal, the counters of the reports, and the archive.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinError, JoinSet};

use crate::aws::Clients;
use crate::aws::sqs::delete::Deleter;
use crate::base::Backpressure;
use crate::config::Config;
use crate::delivery::Recorders;
use crate::delivery::archiving::Settled;
use crate::delivery::outcome::Deletable;
use crate::store::archive::{self, Archive, Keeper};
use crate::store::journal::{self, Journal};
use crate::store::{OpenError, Store, counters, replica_name, retention};
use crate::telemetry::Metrics;

/// The longest time for storing the last rows and counters at the end of a drain. It passes while the last spans are
/// exported, see [`LAST_EXPORT`](crate::telemetry::LAST_EXPORT).
const LAST_PUT: Duration = Duration::from_secs(3);

/// The longest time for storing the last messages of the archive during a drain. Their deletes follow.
const LAST_ARCHIVED: Duration = Duration::from_secs(3);

/// What this process keeps in the store, and the tasks that store it.
#[derive(Debug, Default)]
pub(super) struct Stored {
    records: Option<Records>,
    archived: Option<Archived>,
    /// Deletes old objects from a folder. It never ends by itself.
    sweep: JoinSet<()>,
}

/// The journal and the counters.
#[derive(Debug)]
struct Records {
    journal: Arc<Journal>,
    counters: Arc<counters::Writer>,
    /// Stores the rows of the journal. It ends only after [`Journal::stop`].
    rows: JoinSet<()>,
    /// Stores the counters. It never ends by itself.
    minutes: JoinSet<()>,
}

/// The archive.
#[derive(Debug)]
struct Archived {
    archive: Arc<Archive<Settled>>,
    /// The writer until it runs.
    writer: Option<archive::Writer<Settled>>,
    /// Stores the messages. It ends only after [`Archive::stop`].
    messages: JoinSet<()>,
    /// Deletes what still waits at the end.
    deleter: Option<Deleter<Deletable>>,
}

impl Stored {
    /// Starts to keep a journal and counters, and creates the archive, if the configuration has a store and wants them.
    ///
    /// # Errors
    /// Returns an error if the store cannot be opened.
    pub(super) fn start(config: &Config, clients: &Clients, metrics: &Arc<Metrics>) -> Result<Self, OpenError> {
        let Some(store) = Store::open(&config.store, &clients.shared, &clients.network)? else {
            return Ok(Self::default());
        };
        let replica = replica_name();
        let sweep = JoinSet::from_iter([sweep(store.clone(), config, Arc::clone(metrics))]);
        let records = config.journal.enabled.then(|| {
            let counters = counters::Writer::new(store.clone(), replica.clone(), clients.region(), metrics);
            let (journal, writer) = journal::Writer::new(store.clone(), &config.journal, replica.clone(), metrics);
            let rows = JoinSet::from_iter([writer.run()]);
            let minutes = JoinSet::from_iter([Arc::clone(&counters).run()]);
            Records { journal, counters, rows, minutes }
        });
        let archived = config.archive.enabled.then(|| {
            metrics.start_archive_at_zero(config.queues.iter().map(crate::config::Queue::label));
            let (archive, writer) = archive::Writer::new(store, &config.archive, replica, metrics);
            Archived { archive, writer: Some(writer), messages: JoinSet::new(), deleter: None }
        });
        Ok(Self { records, archived, sweep })
    }

    /// Returns the journal and the archive, for the pipeline.
    pub(super) fn recorders(&self) -> Recorders {
        let archive = self.archived.as_ref().map(|archived| Arc::clone(&archived.archive));
        Recorders { journal: self.journal(), keeper: archive.map_or(Keeper::Off, Keeper::On) }
    }

    /// Returns the journal.
    pub(super) fn journal(&self) -> Option<Arc<Journal>> {
        self.records.as_ref().map(|records| Arc::clone(&records.journal))
    }

    /// Returns the pressure under which no message must be received, because the archive cannot take it.
    pub(super) fn backpressure(&self) -> Option<Backpressure> {
        self.archived.as_ref().map(|archived| archived.archive.backpressure())
    }

    /// Starts to store the archive. `deleter` deletes what it has.
    pub(super) fn start_archive(&mut self, deleter: Deleter<Deletable>) {
        let Some(Archived { writer, messages, deleter: last, .. }) = &mut self.archived else { return };
        if let Some(writer) = writer.take() {
            *last = Some(deleter.clone());
            messages.spawn(writer.run(move |settled: Settled, kept| settled.delete(&deleter, kept)));
        }
    }

    /// Waits until one of the tasks ends before its time.
    pub(super) async fn failed(&mut self) -> Option<Result<(), JoinError>> {
        let Self { records, archived, sweep } = self;
        let journal = async {
            let Some(Records { rows, minutes, .. }) = records else { return None };
            tokio::select! {
                Some(ended) = rows.join_next() => Some(ended),
                Some(ended) = minutes.join_next() => Some(ended),
                else => None,
            }
        };
        let archive = async { archived.as_mut()?.messages.join_next().await };
        tokio::select! {
            Some(ended) = journal => Some(ended),
            Some(ended) = archive => Some(ended),
            Some(ended) = sweep.join_next() => Some(ended),
            else => None,
        }
    }

    /// Stores the last messages of the archive, and deletes them from their queues, because the service stops. Must be
    /// called after the last message was finished. Returns whether there is an archive.
    pub(super) async fn finish_archive(&mut self) -> bool {
        let Some(Archived { archive, messages, deleter, .. }) = &mut self.archived else { return false };
        let all = async { while messages.join_next().await.is_some() {} };
        let left = archive::finish(archive, all, LAST_ARCHIVED).await;
        for (settled, kept) in left {
            if let Some(deleter) = deleter {
                settled.delete(deleter, kept);
            }
        }
        // With this handle, the task of the deletes would not end.
        self.archived = None;
        true
    }

    /// Stores what is left of the journal and the counters, because the service stops.
    pub(super) async fn finish(self) {
        let Self { records, mut sweep, .. } = self;
        sweep.shutdown().await;
        let Some(Records { journal, counters, mut rows, mut minutes }) = records else { return };
        minutes.shutdown().await;
        let all_rows = async { while rows.join_next().await.is_some() {} };
        tokio::join!(journal::finish(&journal, all_rows, LAST_PUT), counters.finish(LAST_PUT));
    }
}

/// Deletes old objects from the store, if it is a folder. Never ends.
fn sweep(store: Store, config: &Config, metrics: Arc<Metrics>) -> impl Future<Output = ()> + use<> {
    let retentions = retention::retentions(config);
    async move { retention::sweep(&store, &retentions, &metrics).await }
}
