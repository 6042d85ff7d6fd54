//! The parts of a replay: the configuration and its files, the store, the sender, the records of what is sent.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use strict_config::{Problem, nearest};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::app::Loaded;
use crate::aws::Clients;
use crate::base::http::Network;
use crate::cli::config_file::ConfigFile;
use crate::cli::settle_region;
use crate::config::{self, Config};
use crate::delivery::resend::Resender;
use crate::message::Queue;
use crate::route::Routes;
use crate::schema::SchemaFiles;
use crate::store::journal::{self, Journal};
use crate::store::replays::Name;
use crate::store::{Store, archive, counters};
use crate::telemetry::{self, Metrics};

/// The longest time for storing the last records of what was sent.
const LAST_PUT: Duration = Duration::from_secs(30);

/// The longest time for the calls that are under way at the end.
const LAST_CALLS: Duration = Duration::from_secs(10);

/// The parts of a replay.
pub(super) struct Session {
    pub(super) config: Config,
    pub(super) store: Store,
    pub(super) archive: archive::Reader,
    clients: Clients,
    routes: Arc<Routes>,
    schemas: SchemaFiles,
    metrics: Arc<Metrics>,
}

/// What is recorded about a replay: the journal and the counters, and the tasks that store them.
pub(super) struct Records(Option<Recording>);

struct Recording {
    journal: Arc<Journal>,
    rows: JoinSet<()>,
    counters: Arc<counters::Writer>,
    minutes: JoinSet<()>,
}

impl Session {
    /// Loads the configuration and its files, and opens the store.
    ///
    /// # Errors
    /// Returns an error if one of these is wrong, or if the store cannot be opened.
    pub(super) async fn open(file: &ConfigFile) -> anyhow::Result<Self> {
        let origin = file.origin()?;
        let mut config = origin.load()?;
        start_log(&config.log)?;
        let clients = Clients::new(&config.aws, Network::of_environment()?).await;
        settle_region(&mut config, clients.region(), origin.path())?;
        let store = open_store(&config, &clients, origin.path())?;
        let Loaded { registry, routes, schemas, .. } = Loaded::read(&config, &clients).await?;
        crate::cli::warn_about_refused(&registry.current());
        let queues = config.queues.iter().map(|queue| Arc::new(Queue::from(queue))).collect();
        let archive = archive::Reader::new(store.clone(), queues);
        let metrics = Arc::new(Metrics::new(config.metrics.customer_label));
        Ok(Self { config, store, archive, clients, routes, schemas, metrics })
    }

    /// Returns the configured quota of messages per second.
    pub(super) fn quota(&self) -> Option<u32> {
        self.config.publish.quota_messages_per_second
    }

    /// Checks that the configuration has these queues.
    ///
    /// # Errors
    /// Returns an error that names the queues of the configuration if one of these is not among them.
    pub(super) fn check_queues(&self, queues: &[String]) -> anyhow::Result<()> {
        let known: Vec<&str> = self.config.queues.iter().map(config::Queue::label).collect();
        let Some(queue) = queues.iter().find(|queue| !known.contains(&queue.as_str())) else { return Ok(()) };
        match nearest(queue, known.iter().copied()) {
            Some(near) => bail!("there is no queue {queue}; did you mean {near}?"),
            None => bail!("there is no queue {queue}; the configuration has {}", known.join(", ")),
        }
    }

    /// Creates the sender. A preview sends nothing.
    ///
    /// # Errors
    /// Returns an error if a part cannot be set up with this configuration.
    pub(super) fn resender(&self, journal: Option<Arc<Journal>>, is_preview: bool) -> anyhow::Result<Resender> {
        let definitions = (Arc::clone(&self.routes), self.schemas.clone());
        let resender = Resender::new(&self.config, &self.clients, definitions, journal, is_preview, &self.metrics);
        Ok(resender.map_err(crate::app::Error::from)?)
    }

    /// Starts to record what the replay sends, if the configuration wants a journal.
    pub(super) fn keep_records(&self, name: &Name) -> Records {
        if !self.config.journal.enabled {
            return Records(None);
        }
        let (replica, region) = (format!("replay-{name}"), self.clients.region());
        let counters = counters::Writer::new(self.store.clone(), replica.clone(), region, &self.metrics);
        let (journal, writer) = journal::Writer::new(self.store.clone(), &self.config.journal, replica, &self.metrics);
        let (rows, minutes) = (JoinSet::from_iter([writer.run()]), JoinSet::from_iter([Arc::clone(&counters).run()]));
        Records(Some(Recording { journal, rows, counters, minutes }))
    }

    /// Ends the calls that are under way, and stores the last records.
    pub(super) async fn finish(&self, resender: Resender, records: Records) {
        let _under_way = timeout(LAST_CALLS, resender.finish()).await;
        let Some(Recording { journal, mut rows, counters, mut minutes }) = records.0 else { return };
        minutes.shutdown().await;
        let all_rows = async { while rows.join_next().await.is_some() {} };
        tokio::join!(journal::finish(&journal, all_rows, LAST_PUT), counters.finish(LAST_PUT));
    }
}

impl Records {
    /// Returns the journal, if one is kept.
    pub(super) fn journal(&self) -> Option<Arc<Journal>> {
        self.0.as_ref().map(|recording| Arc::clone(&recording.journal))
    }
}

/// Starts the log with warnings only, unless the configuration asks for something else than the default.
fn start_log(settings: &config::Log) -> anyhow::Result<()> {
    let mut settings = settings.clone();
    if settings.level == config::Log::default().level {
        settings.level = "warn".to_owned();
    }
    telemetry::init_log(&settings).with_context(|| format!("log.level `{}`", settings.level))?;
    Ok(())
}

/// Opens the store of a configuration.
///
/// # Errors
/// Returns an error if there is none, or if it cannot be opened.
pub(super) fn open_store(config: &Config, clients: &Clients, path: &Path) -> anyhow::Result<Store> {
    if let Some(folder) = config.store.folder().filter(|folder| !folder.is_dir()) {
        // A command that creates the folder would hide a mistake in its name.
        bail!("`store.url`: there is no folder {}; the service creates it when it starts", folder.display());
    }
    Store::open(&config.store, &clients.shared, &clients.network)?.ok_or_else(|| {
        let problem = "is not set, so there is no archive; set it to `s3://bucket/prefix`, or to a folder such as \
                       `file:///var/lib/protobridge`, as the service has it, and set `archive.enabled`";
        strict_config::Error::new(path, vec![Problem::new("store.url", problem)]).into()
    })
}
