//! The service, assembled: configuration in, running tasks out. All wiring of tasks is here.
//!
//! [`Loaded`] has the files that a configuration names, before anything runs. [`App`] starts the tasks, and stops them with
//! a drain.

pub mod admin;
mod canary;
mod error;
mod identity;
mod inputs;
mod listener;
mod loaded;
mod offline;
mod preflight;
mod redriving;
pub mod reload;
pub mod shutdown;
mod starting;
mod stored;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{interval, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::field::{DisplayValue, display};
use tracing::{info, warn};

pub use canary::{CanaryApp, NoCanary, Prober};
pub use error::Error;
pub use identity::announce;
pub use inputs::{Inputs, Sources, read_customers, read_sets};
pub use listener::Listener;
pub use loaded::Loaded;
pub use offline::{Offline, UnknownQueue};
pub use preflight::{Finding, Preflight, Proof, ProofResult, Receives, Severity};
pub use redriving::Redriving;
pub use starting::load_at_start;

use crate::aws::Clients;
use crate::aws::sqs::budget::Budget;
use crate::aws::sqs::depth::Depth;
use crate::aws::sqs::receive::{Poller, Receptions, pollers};
use crate::aws::sqs::redrive::Schedule;
use crate::aws::sqs::visibility::Visibility;
use crate::base::Backpressure;
use crate::config::{self, Config};
use crate::delivery::pipeline::{Pipeline, Tasks};
use crate::delivery::{Intake, Wired, wire};
use crate::message::Queue;
use crate::monitor::Knowledge;
use crate::monitor::sources::Exchange;
use crate::route::TopicWatch;
use crate::telemetry::{Metrics, Traces};
use reload::{Configuration, Followed, InForce, Pace, Reload, Standing};
use stored::Stored;

/// The longest time for returning messages at the end of a drain that took too long. Together with
/// [`LAST_EXPORT`](crate::telemetry::LAST_EXPORT) and the second of [`Exchange::leave`] it makes nine seconds; the chart
/// leaves ten between the drain timeout and the kill. The last rows of the journal are stored meanwhile.
const RETURN_TIMEOUT: Duration = Duration::from_secs(5);

/// The longest time for the deletes of messages that the archive has, at the end of such a drain. It passes, together with the
/// last flush of the archive, while messages are returned.
const LAST_DELETES: Duration = Duration::from_secs(1);

/// The running service.
#[derive(Debug)]
pub struct App {
    stop: CancellationToken,
    abort: CancellationToken,
    pollers: JoinSet<()>,
    /// The tasks that process messages.
    messages: TaskTracker,
    /// The pipeline's tasks, which end after the pipeline was dropped.
    downstream: JoinSet<()>,
    /// The task that returns parked messages. It has handles of the pipeline's tasks.
    parking: JoinSet<()>,
    /// Tasks that never end by themselves.
    background: JoinSet<()>,
    /// The tasks of the prober, with `run --canary`.
    canary: JoinSet<()>,
    /// The journal, the counters and the archive, if the configuration has a store.
    stored: Stored,
    /// Tasks that can end by themselves. They are aborted with the service.
    optional: JoinSet<()>,
    pipeline: Arc<Pipeline>,
    visibility: Visibility,
    backpressure: Backpressure,
    intake: Arc<Intake>,
    receptions: Arc<Receptions>,
    /// The heartbeats that replicas share, with `dedupe.redis_url`.
    exchange: Option<Arc<Exchange>>,
    metrics: Arc<Metrics>,
    state: Arc<admin::State>,
    traces: Traces,
    reload_requests: watch::Sender<()>,
    pace: Pace,
    standing: Arc<Standing>,
    drain_timeout: Duration,
}

/// How a drain ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// The number of messages that did not finish in time and were made visible again.
    pub returned: usize,
}

impl App {
    /// Starts everything with these clients. The admin endpoint answers on `admin`; without a listener there is no
    /// admin endpoint. A queue that is missing or denied is polled until it answers, and keeps no other queue from its
    /// work.
    ///
    /// Must be called in a runtime of tokio.
    ///
    /// # Errors
    /// Returns an error if a part cannot be set up.
    pub fn start_with(
        config: &Config,
        loaded: Loaded,
        clients: Clients,
        admin: Option<Listener>,
    ) -> Result<Self, Error> {
        loaded.log();

        let metrics = Arc::new(Metrics::new(config.metrics.customer_label));
        metrics.start_at_zero(config.queues.iter().map(config::Queue::label));
        let Loaded { registry, routes, schemas, sources, .. } = loaded;
        let traces = Traces::new(&config.traces, &clients.network)?;
        let definitions = (Arc::clone(&routes), schemas);
        let receptions = Arc::new(Receptions::new(config, clients.region().as_deref(), &metrics));
        let queues: Vec<Arc<Queue>> = receptions.iter().map(|reception| Arc::clone(&reception.queue)).collect();
        let mut stored = Stored::start(config, &clients, &metrics)?;
        let wired = wire(config, &clients, &queues, definitions, (traces.clone(), stored.recorders()), &metrics)?;
        let Wired { pipeline, visibility, backpressure, rate, outages, parking, intake, deleter, monitor, tasks } =
            wired;
        stored.start_archive(deleter);

        let topics = TopicWatch::new(clients.sns.clone(), Arc::clone(&routes), Arc::clone(&metrics));
        let (requests, requested) = watch::channel(());
        let pace = Pace::new(&config.descriptors, requested);
        let in_force = InForce { registry, routes: Arc::clone(&routes), sources };
        let reload = Reload::new(config, in_force, pace.clone(), Arc::clone(&metrics));
        let standing = Arc::new(Standing::default());
        let exchange = monitor.exchange().cloned();
        let views = admin::Views {
            routes,
            receptions: Arc::clone(&receptions),
            visibility: visibility.clone(),
            rate,
            outages,
            monitor,
            configuration: Arc::clone(&standing),
            places: reload.places(),
            journal: stored.journal(),
            metrics: Arc::clone(&metrics),
        };
        let state = Arc::new(admin::State::new(views));
        let mut background = JoinSet::new();
        background.spawn(visibility.clone().keep_hidden());
        if config.route.check_topics {
            background.spawn(topics.run());
        }
        background.spawn(reload.run());
        background.spawn(upkeep(Arc::clone(&metrics)));
        if let Some(exchange) = &exchange {
            background.spawn(Arc::clone(exchange).run());
        }
        let address = admin.as_ref().map(|admin| admin.address);
        if let Some(Listener { listener, .. }) = admin {
            background.spawn(admin::serve(listener, Arc::clone(&state)));
        }

        let mut app = Self {
            stop: CancellationToken::new(),
            abort: CancellationToken::new(),
            pollers: JoinSet::new(),
            messages: TaskTracker::new(),
            downstream: tasks,
            parking: JoinSet::from_iter([parking.run()]),
            background,
            canary: JoinSet::new(),
            stored,
            optional: JoinSet::new(),
            pipeline,
            visibility,
            backpressure,
            intake,
            receptions,
            exchange,
            metrics,
            state,
            traces,
            reload_requests: requests,
            pace,
            standing,
            drain_timeout: config.shutdown.drain_timeout(),
        };
        app.start_pollers(config, &clients, queues);
        info!(admin = address.map(url), queues = config.queues.len(), "started");
        app.optional.spawn(announce_running(Arc::clone(&app.receptions), Arc::clone(&app.state), address));
        app.optional.spawn(preflight::find_quarantine_queues(clients, config.clone(), Arc::clone(&app.metrics)));
        Ok(app)
    }

    fn start_pollers(&mut self, config: &Config, clients: &Clients, queues: Vec<Arc<Queue>>) {
        let receive = &config.receive;
        let urls = queues.iter().map(|queue| &queue.url);
        let budget = Budget::new(receive.max_in_flight_messages, receive.max_in_flight_bytes, urls, &self.metrics);
        for reception in self.receptions.iter() {
            let (lean, budget, visibility) = (clients.lean.clone(), budget.clone(), self.visibility.clone());
            let held_back_by = [Some(self.backpressure.clone()), self.stored.backpressure()];
            let valves = (held_back_by.into_iter().flatten().collect(), self.intake.gate(&reception.queue.url));
            let poller = Poller::new(Arc::clone(reception), config, lean, budget, visibility, valves);
            let tasks = Tasks::new(self.messages.clone(), self.abort.clone());
            let pipeline = Arc::clone(&self.pipeline);
            let deliver = move |received| pipeline.accept(&tasks, received);
            let count = receive.min_pollers..=receive.max_pollers;
            self.pollers.spawn(pollers::run(poller, count, self.stop.clone(), deliver));
        }
        let schedule = Schedule::new(&config.retry);
        let depth = Depth::new(clients.sqs.clone(), Arc::clone(&self.metrics), queues, schedule);
        if receive.depth_seconds == 0 {
            self.optional.spawn(depth.judge_once());
        } else {
            self.background.spawn(depth.watch(Duration::from_secs(receive.depth_seconds)));
        }
    }

    /// Follows the configuration file from now on.
    pub fn follow(&mut self, followed: Followed) {
        let (standing, metrics) = (Arc::clone(&self.standing), Arc::clone(&self.metrics));
        self.background.spawn(Configuration::new(followed, self.pace.clone(), standing, metrics).run());
    }

    /// Sends canaries from this process, too. A process of its own can also report that the service is down.
    ///
    /// # Errors
    /// Returns an error if the configuration has no canary.
    pub fn send_canaries(&mut self, config: &Config, clients: &Clients) -> Result<(), NoCanary> {
        let prober = Prober::new(config, clients, &self.metrics)?;
        self.canary = prober.start();
        self.state.set_canary(prober);
        Ok(())
    }

    /// Reads the descriptor sets, the customers and the configuration again, because of `signal`.
    pub fn reload(&self, signal: &str) {
        info!(signal, "reading descriptor sets, customers and the configuration again");
        self.reload_requests.send_replace(());
    }

    /// Returns the service's metrics.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Returns what the service knows about sources and silence rules now.
    pub fn observe(&self) -> Knowledge {
        self.state.observe()
    }

    /// Waits until every queue could be received from.
    ///
    /// # Errors
    /// Returns an error that names the other queues if that takes longer than `limit`.
    pub fn healthy(&self, limit: Duration) -> impl Future<Output = Result<(), Unhealthy>> + use<> {
        let receptions = Arc::clone(&self.receptions);
        async move {
            let all = timeout(limit, receptions.all_answered()).await;
            all.map_err(|_elapsed| Unhealthy { limit, troubles: receptions.troubles() })
        }
    }

    /// Waits until a task ends that must run as long as the service. Returns its description: this is a defect.
    pub async fn failed(&mut self) -> String {
        let (task, ended) = tokio::select! {
            Some(ended) = self.pollers.join_next() => ("a poller", ended),
            Some(ended) = self.downstream.join_next() => ("a publisher, deleter, releaser or quarantine", ended),
            Some(ended) = self.parking.join_next() => ("the task that returns parked messages", ended),
            Some(ended) = self.background.join_next() => ("the visibility, reload, configuration, depth, metrics, topics, heartbeats or admin task", ended),
            Some(ended) = self.canary.join_next() => ("the prober", ended),
            Some(ended) = self.stored.failed() => ("the journal, the counters or the archive", ended),
            else => return "no task is left".to_owned(),
        };
        match ended {
            Ok(()) => format!("{task} ended by itself"),
            Err(error) => format!("{task} failed: {error}"),
        }
    }

    /// Stops the service: receives end at once, `/readyz` reports it, messages in flight finish within the drain timeout,
    /// and the others are made visible again.
    pub async fn stop(self) -> Drained {
        let Self { stop, abort, mut pollers, messages, mut downstream, mut parking, mut background, .. } = self;
        let Self { pipeline, visibility, mut canary, mut stored, .. } = self;
        self.state.set_phase(admin::Phase::Draining);
        info!(in_flight = visibility.in_flight(), timeout = ?self.drain_timeout, "draining");
        stop.cancel();
        // From now on, this process publishes no further canary.
        canary.shutdown().await;
        while pollers.join_next().await.is_some() {}
        messages.close();
        pipeline.close_parking();
        let finish = async {
            messages.wait().await;
            parking.shutdown().await;
            stored.finish_archive().await;
            // The pipeline has the last handle of each downstream task. Without it they send what is left, and end.
            drop(pipeline);
            while downstream.join_next().await.is_some() {}
        };
        let is_finished = timeout(self.drain_timeout, finish).await.is_ok();
        let returned = if is_finished && visibility.in_flight() == 0 {
            0
        } else {
            let unfinished = visibility.unfinished();
            abort.cancel();
            // The messages end before the tasks that they wait for, so that no message takes the end of the publisher for
            // its own outcome.
            messages.wait().await;
            let count = unfinished.len();
            let last_deletes = async {
                if stored.finish_archive().await {
                    parking.shutdown().await;
                    // Without these, messages that the archive has would be published a second time.
                    let all = async { while downstream.join_next().await.is_some() {} };
                    let _late = timeout(LAST_DELETES, all).await;
                }
            };
            let returned = timeout(RETURN_TIMEOUT, visibility.return_to_queue(unfinished));
            let (returned, ()) = tokio::join!(returned, last_deletes);
            if returned.is_err() {
                warn!("SQS did not answer in time; messages become visible when their visibility timeout lapses");
            }
            downstream.shutdown().await;
            count
        };
        let last_rows = stored.finish();
        let last_spans = async {
            background.shutdown().await;
            if let Some(exchange) = &self.exchange {
                exchange.leave().await;
            }
            self.traces.shut_down().await;
        };
        tokio::join!(last_rows, last_spans);
        if returned > 0 {
            warn!(returned, "messages that were not finished were made visible again");
        }
        info!("stopped");
        Drained { returned }
    }
}

/// Queues that could not be received from in time.
#[derive(Debug, thiserror::Error)]
#[error("not healthy within {} s:\n  {}", limit.as_secs(), troubles.join("\n  "))]
pub struct Unhealthy {
    limit: Duration,
    troubles: Vec<String>,
}

/// Reports that the service runs once the first queue could be received from.
async fn announce_running(receptions: Arc<Receptions>, state: Arc<admin::State>, admin: Option<SocketAddr>) {
    receptions.any_answered().await;
    state.set_phase(admin::Phase::Running);
    info!(admin = admin.map(url), "running");
}

fn url(address: SocketAddr) -> DisplayValue<String> {
    display(format!("http://{address}"))
}

async fn upkeep(metrics: Arc<Metrics>) {
    let mut tick = interval(Duration::from_secs(5));
    loop {
        tick.tick().await;
        metrics.upkeep();
    }
}
