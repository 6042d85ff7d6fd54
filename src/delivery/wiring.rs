//! Connects the pipeline with the parts that it works on. The app and the pipeline's tests use the same wiring.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::archiving::{Archiving, Settled};
use super::claims::Claims;
use super::decide::Rules;
use super::dedupe::{StoreError, Window};
use super::intake::Intake;
use super::lookups::Lookups;
use super::outcome::Deletable;
use super::parking::Parking;
use super::pipeline::{Downstream, Pipeline};
use crate::aws::Clients;
use crate::aws::outages::Outages;
use crate::aws::s3::{self, Objects};
use crate::aws::sns::publish::Publisher;
use crate::aws::sns::rate::Rate;
use crate::aws::sqs::delete::Deleter;
use crate::aws::sqs::quarantine::Quarantine;
use crate::aws::sqs::redrive::Schedule;
use crate::aws::sqs::release::Releaser;
use crate::aws::sqs::visibility::Visibility;
use crate::base::Backpressure;
use crate::config::Config;
use crate::message::Queue;
use crate::monitor::Monitor;
use crate::route::Routes;
use crate::schema::SchemaFiles;
use crate::schema::confluent::{self, Schemas};
use crate::store::archive::Keeper;
use crate::store::journal::Journal;
use crate::telemetry::{Metrics, Traces};

/// Why the pipeline cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The schema registry cannot be used.
    #[error(transparent)]
    SchemaRegistry(#[from] confluent::RegistryError),
    /// The S3 buckets cannot be used.
    #[error(transparent)]
    Buckets(#[from] s3::BucketsError),
    /// The store of the window of duplicates cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl SetupError {
    /// Whether the configuration is wrong, rather than the system that the service runs on.
    pub fn is_configuration(&self) -> bool {
        match self {
            Self::SchemaRegistry(error) => matches!(error, confluent::RegistryError::Url),
            Self::Buckets(_) => true,
            Self::Store(_) => true,
        }
    }
}

/// Where the pipeline records what it does.
#[derive(Debug)]
pub struct Recorders {
    /// The journal; `None` without one.
    pub journal: Option<Arc<Journal>>,
    /// The archive.
    pub keeper: Keeper<Settled>,
}

impl Default for Recorders {
    /// Neither a journal nor an archive.
    fn default() -> Self {
        Self { journal: None, keeper: Keeper::Off }
    }
}

/// A pipeline and the parts that others use too.
#[derive(Debug)]
pub struct Wired {
    /// Processes messages.
    pub pipeline: Arc<Pipeline>,
    /// Keeps messages in flight hidden, while [`Visibility::keep_hidden`] is polled.
    pub visibility: Visibility,
    /// Holds receives back while the publisher has more work than it can do.
    pub backpressure: Backpressure,
    /// The publish rate.
    pub rate: Arc<Rate>,
    /// The parts of the outside that do not work at the moment.
    pub outages: Arc<Outages>,
    /// The messages that wait for them. [`Parking::run`] must be polled.
    pub parking: Arc<Parking>,
    /// The receives that are allowed.
    pub intake: Arc<Intake>,
    /// Deletes messages that the archive has. Without the last handle, the task of the deletes ends.
    pub deleter: Deleter<Deletable>,
    /// The sources and the silence rules.
    pub monitor: Arc<Monitor>,
    /// The tasks of the publisher, the deleter, the releaser and the quarantine. They end after the pipeline was dropped
    /// and their work is done.
    pub tasks: JoinSet<()>,
}

/// Connects a pipeline with everything that it works on. Must be called inside a tokio runtime. Makes no call to AWS.
///
/// # Errors
/// Returns an error if a part cannot be set up with this configuration or on this system.
pub fn wire(
    config: &Config,
    clients: &Clients,
    queues: &[Arc<Queue>],
    (routes, schemas): (Arc<Routes>, SchemaFiles),
    (traces, recorders): (Traces, Recorders),
    metrics: &Arc<Metrics>,
) -> Result<Wired, SetupError> {
    let outages = Arc::new(Outages::new(Arc::clone(metrics)));
    let objects = Objects::new(config, clients)?;
    let lookups =
        Lookups::new(objects, Schemas::new(&config.confluent, schemas.confluent, &clients.network)?, &outages);
    let claims = Claims::new(config, clients, &outages, metrics)?;
    let window = Window::new(&config.dedupe, config.visibility.timeout() * 2, Arc::clone(metrics))?;
    let mut tasks = JoinSet::new();
    let rate = Arc::new(Rate::default());
    let (publisher, run) = Publisher::new(
        clients.lean.clone(),
        (&config.publish, (config.receive.max_in_flight_messages, config.receive.max_in_flight_bytes)),
        Arc::clone(&rate),
        Arc::clone(&outages),
        Arc::clone(metrics),
    );
    tasks.spawn(run);
    let (quarantine, run) = Quarantine::new(clients.lean.clone(), Arc::clone(metrics));
    tasks.spawn(run);
    let (releaser, run) = Releaser::new(clients.lean.clone(), Arc::clone(metrics));
    tasks.spawn(run);
    let (deleter, run) = Deleter::new(clients.lean.clone(), Arc::clone(metrics));
    tasks.spawn(run);

    let monitor = Arc::new(Monitor::new(config, window.redis().as_ref(), metrics));
    let intake = Arc::new(Intake::new(queues, Arc::clone(&outages)));
    let parking = Parking::new(
        config.receive.max_held_messages,
        Arc::clone(&outages),
        Arc::clone(&intake),
        releaser.clone(),
        Arc::clone(metrics),
    );
    let parking = Arc::new(parking);
    let backpressure = publisher.backpressure();
    let rules = Rules::new(config, publisher.max_bytes()).with_glue(schemas.glue);
    let downstream = Downstream {
        window,
        publisher,
        claims: Arc::new(claims),
        quarantine,
        releaser,
        parking: Arc::clone(&parking),
        intake: Arc::clone(&intake),
        archiving: Archiving::new(recorders.keeper, &config.archive, deleter.clone()),
        traces,
        journal: recorders.journal,
    };
    let retry_backoff = Schedule::new(&config.retry).backoff();
    let followed = (routes, Arc::clone(&monitor));
    let pipeline = Pipeline::new(rules, retry_backoff, lookups, followed, downstream, Arc::clone(metrics));
    let visibility = Visibility::new(clients.lean.clone(), Arc::clone(metrics), config.visibility.timeout());
    Ok(Wired {
        pipeline: Arc::new(pipeline),
        visibility,
        backpressure,
        rate,
        outages,
        parking,
        intake,
        deleter,
        monitor,
        tasks,
    })
}
