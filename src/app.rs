//! The service put together: configuration in, running tasks out. All wiring is here, and nothing else.

mod preflight;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::{interval, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, info, warn};

pub use preflight::{QueueError, probe};

use crate::admin;
use crate::aws::Clients;
use crate::config::{self, Config};
use crate::confluent::{self, Schemas};
use crate::dedupe::{StoreError, Window};
use crate::delete::Deleter;
use crate::objects::{self, Objects};
use crate::outcome::quarantine::Quarantine;
use crate::pipeline::{Ends, Outside, Pipeline, Tasks};
use crate::publish::{Backpressure, Publisher};
use crate::rate::Rate;
use crate::receive::{Budget, Depth, Poller, Source, crew};
use crate::registry::{self, Profiles, Registry, Snapshot};
use crate::reload::Reload;
use crate::route::{self, Router, Routes, TopicWatch};
use crate::telemetry::{Metrics, Traces, TracesError};
use crate::visibility::{Releaser, Visibility};

/// Why the service does not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The descriptor sets do not load.
    #[error("descriptors.path: {0}")]
    Descriptors(#[from] registry::Error),
    /// The customers file does not load.
    #[error(transparent)]
    Customers(#[from] route::Error),
    /// A queue cannot be used.
    #[error(transparent)]
    Queue(#[from] Box<QueueError>),
    /// The file of Confluent schemas does not load.
    #[error(transparent)]
    Schemas(#[from] confluent::Error),
    /// The schema registry cannot be used.
    #[error(transparent)]
    SchemaRegistry(#[from] confluent::SetUpError),
    /// The S3 buckets cannot be used.
    #[error(transparent)]
    Objects(#[from] objects::SetUpError),
    /// The store of the duplicate window cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Traces cannot be exported.
    #[error(transparent)]
    Traces(#[from] TracesError),
    /// The admin endpoint cannot listen.
    #[error("cannot listen on {address}: {error}; set `admin.listen` to a free address and port")]
    Listen {
        /// The configured address.
        address: SocketAddr,
        /// Why it failed.
        error: std::io::Error,
    },
}

impl Error {
    /// Whether the configuration or a file that it names is to blame, rather than the world outside.
    pub fn is_configuration(&self) -> bool {
        match self {
            Self::Descriptors(_) | Self::Customers(_) | Self::Schemas(_) | Self::Store(_) | Self::Traces(_) => true,
            Self::SchemaRegistry(error) => matches!(error, confluent::SetUpError::Url),
            Self::Objects(error) => matches!(error, objects::SetUpError::Settings(_)),
            Self::Queue(_) | Self::Listen { .. } => false,
        }
    }
}

/// What a configuration means, before anything runs: descriptor sets and customers, loaded and checked.
#[derive(Debug)]
pub struct Parts {
    /// The descriptor sets.
    pub registry: Arc<Registry>,
    /// The customers.
    pub routes: Arc<Routes>,
    /// The schemas of `confluent.schemas_file`, where there is one.
    pub schemas: Option<confluent::File>,
    /// Suspicious things, one sentence each.
    pub warnings: Vec<String>,
}

impl Parts {
    /// Loads what the configuration names. Makes no call to AWS.
    ///
    /// # Errors
    /// When a descriptor set, the customers file or the file of Confluent schemas does not load.
    pub fn load(config: &Config) -> Result<Self, Error> {
        let profiles = Arc::new(Profiles::new(&config.profiles));
        let registry = Registry::load(&config.descriptors, &config.taps, Arc::clone(&profiles))?;
        let snapshot = registry.current();
        let types = snapshot.type_names();
        let routes = Routes::load(&config.route, Arc::clone(&profiles), types.iter().copied())?;
        let schemas = config.confluent.schemas_file.as_deref().map(confluent::File::load).transpose()?;
        let mut warnings = warnings(config, &snapshot, &routes.current(), &types);
        for name in schemas.iter().flat_map(confluent::File::type_names).filter(|name| snapshot.find(name).is_none()) {
            warnings.push(format!("confluent.schemas_file: {name} is in no descriptor set yet"));
        }
        Ok(Self { registry: Arc::new(registry), routes: Arc::new(routes), schemas, warnings })
    }
}

fn warnings(config: &Config, snapshot: &Snapshot, router: &Router, types: &[&str]) -> Vec<String> {
    // Types that are sent as events: the defaults of the queues. Of the others nobody says which are events and which
    // are parts of events.
    let defaults: Vec<&str> = config.queues.iter().filter_map(|queue| queue.default_type.as_deref()).collect();
    let mut warnings = route::warnings(router, types, &defaults);
    for unknown in defaults.iter().filter(|name| snapshot.find(name).is_none()) {
        warnings.push(format!("default_type {unknown} is in no descriptor set yet"));
    }
    for (profile, path) in snapshot.unused_profile_paths() {
        warnings.push(format!("profiles.{profile}: no message type has the field path {path}"));
    }
    for (path, why) in snapshot.unused_taps(&config.taps) {
        warnings.push(match why {
            Some(why) => format!("taps: no message type has a value at {path}: {why}"),
            None => format!("taps: no message type has the field path {path}"),
        });
    }
    warnings
}

/// How long giving messages back may take at the end of a drain that took too long. With [`telemetry::LAST_EXPORT`] it makes
/// eight seconds; the chart leaves ten between the drain timeout and the kill.
const GIVE_BACK: Duration = Duration::from_secs(5);

/// The running service.
#[derive(Debug)]
pub struct App {
    stop: CancellationToken,
    abort: CancellationToken,
    pollers: JoinSet<()>,
    /// Messages on their way.
    messages: TaskTracker,
    /// Tasks that end when the last of their handles is gone.
    ends: JoinSet<()>,
    /// Tasks that never end.
    background: JoinSet<()>,
    /// Tasks that may end by themselves; they are aborted with the service.
    _optional: JoinSet<()>,
    pipeline: Arc<Pipeline>,
    visibility: Visibility,
    backpressure: Backpressure,
    metrics: Arc<Metrics>,
    state: Arc<admin::State>,
    address: SocketAddr,
    traces: Traces,
    drain_timeout: Duration,
}

/// How a drain ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// Messages that did not finish in time and were made visible again.
    pub given_back: usize,
}

impl App {
    /// Checks the queues, and starts everything.
    ///
    /// # Errors
    /// When the admin endpoint cannot listen, or a queue cannot be used.
    pub async fn start(config: &Config, parts: Parts) -> Result<Self, Error> {
        Self::start_with(config, parts, Clients::new(&config.aws).await).await
    }

    /// As [`App::start`], with clients that are there already.
    ///
    /// # Errors
    /// As [`App::start`].
    pub async fn start_with(config: &Config, parts: Parts, clients: Clients) -> Result<Self, Error> {
        let address = config.admin.listen;
        let listener = TcpListener::bind(address).await.map_err(|error| Error::Listen { address, error })?;
        let address = listener.local_addr().map_err(|error| Error::Listen { address, error })?;
        preflight::queues(&clients, config).await?;
        for refused in parts.registry.current().refused() {
            error!(set = refused.name, "{refused}");
        }
        for warning in &parts.warnings {
            warn!("{warning}");
        }

        let metrics = Arc::new(Metrics::new(config.metrics.customer_label));
        metrics.start_at_zero(config.queues.iter().map(config::Queue::label));
        let mut ends = JoinSet::new();
        let rate = Arc::new(Rate::default());
        let (publisher, run) =
            Publisher::new(clients.data_plane.clone(), &config.publish, Arc::clone(&rate), Arc::clone(&metrics));
        ends.spawn(run);
        let backpressure = publisher.backpressure();
        let (quarantine, run) = Quarantine::new(clients.sqs.clone(), Arc::clone(&metrics));
        ends.spawn(run);
        let (releaser, run) = Releaser::new(clients.sqs.clone(), Arc::clone(&metrics));
        ends.spawn(run);
        let (deleter, run) = Deleter::new(clients.data_plane.clone(), Arc::clone(&metrics));
        ends.spawn(run);
        let Parts { registry, routes, schemas, .. } = parts;
        let outside = Outside {
            objects: Objects::new(config, &clients.shared)?,
            schemas: Schemas::new(&config.confluent, schemas)?,
        };
        let window = Window::new(&config.dedupe, config.visibility.timeout() * 2, Arc::clone(&metrics))?;
        let traces = Traces::new(&config.traces)?;
        let handles = Ends { window, publisher, quarantine, releaser, deleter, traces: traces.clone() };
        let pipeline = Arc::new(Pipeline::new(
            config,
            outside,
            Arc::clone(&registry),
            Arc::clone(&routes),
            handles,
            Arc::clone(&metrics),
        ));

        let visibility = Visibility::new(clients.sqs.clone(), Arc::clone(&metrics), config.visibility.timeout());
        let topics = TopicWatch::new(clients.sns.clone(), Arc::clone(&routes), Arc::clone(&metrics));
        let reload = Reload::new(config, Arc::clone(&registry), Arc::clone(&routes), Arc::clone(&metrics));
        let views =
            admin::Parts { registry, routes, visibility: visibility.clone(), rate, metrics: Arc::clone(&metrics) };
        let state = Arc::new(admin::State::new(config, views));
        let mut background = JoinSet::new();
        background.spawn(visibility.clone().keep());
        let mut optional = JoinSet::new();
        if config.route.check_topics {
            // It ends by itself where asking is not allowed.
            optional.spawn(topics.run());
        }
        if config.descriptors.reload {
            background.spawn(reload.run());
        }
        background.spawn(upkeep(Arc::clone(&metrics)));
        background.spawn(admin::serve(listener, Arc::clone(&state)));

        let mut app = Self {
            stop: CancellationToken::new(),
            abort: CancellationToken::new(),
            pollers: JoinSet::new(),
            messages: TaskTracker::new(),
            ends,
            background,
            _optional: optional,
            pipeline,
            visibility,
            backpressure,
            metrics,
            state,
            address,
            traces,
            drain_timeout: config.shutdown.drain_timeout(),
        };
        app.poll(config, &clients);
        app.state.set_phase(admin::Phase::Running);
        info!(admin = %format_args!("http://{address}"), queues = config.queues.len(), "running");
        Ok(app)
    }

    fn poll(&mut self, config: &Config, clients: &Clients) {
        let receive = &config.receive;
        let budget =
            Budget::new(receive.max_in_flight_messages, receive.max_in_flight_bytes, Arc::clone(&self.metrics));
        let sources: Vec<Arc<Source>> = config.queues.iter().map(|queue| Arc::new(Source::from(queue))).collect();
        for source in &sources {
            let (data_plane, budget, visibility) =
                (clients.data_plane.clone(), budget.clone(), self.visibility.clone());
            let source = Arc::clone(source);
            let poller = Poller::new(source, config, data_plane, budget, visibility, self.backpressure.clone());
            let tasks = Tasks::new(self.messages.clone(), self.abort.clone());
            let pipeline = Arc::clone(&self.pipeline);
            let deliver = move |received| pipeline.accept(&tasks, received);
            let count = receive.min_pollers..=receive.max_pollers;
            self.pollers.spawn(crew::run(poller, count, self.stop.clone(), deliver));
        }
        if receive.depth_seconds > 0 {
            let depth = Depth::new(clients.sqs.clone(), Arc::clone(&self.metrics), sources);
            self.background.spawn(depth.watch(Duration::from_secs(receive.depth_seconds)));
        }
    }

    /// Where the admin endpoint listens.
    pub fn admin_address(&self) -> SocketAddr {
        self.address
    }

    /// The service's metrics.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Returns when a task that should run for as long as the service does has ended: a defect, which it names.
    pub async fn failed(&mut self) -> String {
        let (task, ended) = tokio::select! {
            Some(ended) = self.pollers.join_next() => ("a poller", ended),
            Some(ended) = self.ends.join_next() => ("a publisher, deleter, releaser or quarantine", ended),
            Some(ended) = self.background.join_next() => ("the visibility, metrics or admin task", ended),
            else => return "no task is left".to_owned(),
        };
        match ended {
            Ok(()) => format!("{task} ended by itself"),
            Err(error) => format!("{task} failed: {error}"),
        }
    }

    /// Stops: no more receives, readiness withdrawn, what is in flight finishes within the drain timeout, and what does
    /// not is made visible again.
    pub async fn stop(self) -> Drained {
        let Self { stop, abort, mut pollers, messages, mut ends, mut background, pipeline, visibility, .. } = self;
        self.state.set_phase(admin::Phase::Draining);
        info!(in_flight = visibility.in_flight(), timeout = ?self.drain_timeout, "draining");
        stop.cancel();
        while pollers.join_next().await.is_some() {}
        messages.close();
        let finish = async {
            messages.wait().await;
            // With the pipeline goes the last handle of each end: it sends what it still has, and ends.
            drop(pipeline);
            while ends.join_next().await.is_some() {}
        };
        let finished = timeout(self.drain_timeout, finish).await.is_ok();
        let given_back = if finished {
            0
        } else {
            let unfinished = visibility.unfinished();
            abort.cancel();
            // First the messages, then what they wait for: none takes the end of a publisher for its outcome.
            messages.wait().await;
            ends.shutdown().await;
            let count = unfinished.len();
            if timeout(GIVE_BACK, visibility.give_back(unfinished)).await.is_err() {
                warn!("SQS did not answer in time; what was in flight comes back when its visibility lapses");
            }
            count
        };
        background.shutdown().await;
        self.traces.shut_down().await;
        if given_back > 0 {
            warn!(given_back, "drain timeout: messages in flight were made visible again");
        }
        info!("stopped");
        Drained { given_back }
    }
}

async fn upkeep(metrics: Arc<Metrics>) {
    let mut tick = interval(Duration::from_secs(5));
    loop {
        tick.tick().await;
        metrics.upkeep();
    }
}
