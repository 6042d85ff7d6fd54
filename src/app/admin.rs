//! The HTTP endpoint for operators and monitoring.
//!
//! `/livez` answers 200 while the process runs. `/readyz` answers 200 from the first queue that the service could
//! receive from until the drain, and names the queues that do not work. `/metrics` answers in the Prometheus text
//! format; `/status` and `/schemas` answer in JSON, and `/schemas/sets/…` with a descriptor set in force.
//! `/json-schema/HASH` lists the types whose events carry this `schema-hash`, and `/json-schema/HASH/TYPE` and
//! `/json-schema/HASH/TYPE/PROFILE` are their JSON Schemas. `/trace/ID` has the rows of the journal that are not in the
//! store yet, by the id of an event, an SQS message or an SNS message. No page changes the service, and no page shows a
//! payload.

mod gaps;
mod json_schema;
mod knowledge;
mod schemas;
pub(super) mod server;
mod sets;
pub(super) mod starting;
mod status;
mod trace;

pub use gaps::{KnownGap, KnownGapList, KnownGaps};
pub use knowledge::{KnownSource, KnownSources};

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use axum::Router;
use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Json};
use axum::routing::get;
use tokio::net::TcpListener;

pub(super) use status::{TroubleReport, queue_state};

use crate::app::canary::Prober;
use crate::app::reload::{Places, Standing};
use crate::aws::outages::Outages;
use crate::aws::sns::rate::Rate;
use crate::aws::sqs::receive::Receptions;
use crate::aws::sqs::visibility::Visibility;
use crate::monitor::{Knowledge, Monitor};
use crate::route::Routes;
use crate::store::journal::Journal;
use crate::telemetry::{Metrics, NoLabels, TopicLabels};

/// The state that the endpoint shows.
#[derive(Debug)]
pub struct State {
    phase: AtomicU8,
    started: SystemTime,
    views: Views,
    /// The prober, with `run --canary`.
    canary: OnceLock<Arc<Prober>>,
}

/// The parts of the service that the endpoint reads.
#[derive(Debug)]
pub struct Views {
    /// The descriptor sets and the customers.
    pub routes: Arc<Routes>,
    /// The queues, and whether they can be received from.
    pub receptions: Arc<Receptions>,
    /// The messages in flight.
    pub visibility: Visibility,
    /// The publish rate.
    pub rate: Arc<Rate>,
    /// The parts of the outside that do not work.
    pub outages: Arc<Outages>,
    /// The sources and the silence rules.
    pub monitor: Arc<Monitor>,
    /// The state of the configuration file.
    pub configuration: Arc<Standing>,
    /// The places of the descriptor sets and of the customers file that are in buckets.
    pub places: Arc<Places>,
    /// The journal, if the service keeps one.
    pub journal: Option<Arc<Journal>>,
    /// The metrics.
    pub metrics: Arc<Metrics>,
}

/// The phase of the service's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// No queue could be received from since the start.
    Starting,
    /// At least one queue could be received from.
    Running,
    /// The service finishes the messages in flight and receives no others.
    Draining,
}

impl Phase {
    fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Draining => "draining",
        }
    }
}

impl State {
    /// Creates the state of a service that is starting.
    pub fn new(views: Views) -> Self {
        let phase = AtomicU8::new(Phase::Starting as u8);
        Self { phase, started: SystemTime::now(), views, canary: OnceLock::new() }
    }

    /// Adds the prober that this process runs.
    pub fn set_canary(&self, prober: Arc<Prober>) {
        // Only one prober is started.
        let _again = self.canary.set(prober);
    }

    /// Sets the phase, unless a later one was set before.
    pub fn set_phase(&self, phase: Phase) {
        self.phase.fetch_max(phase as u8, Ordering::AcqRel);
    }

    /// Returns what is known about sources and silence rules now.
    pub fn observe(&self) -> Knowledge {
        let Views { monitor, receptions, visibility, routes, .. } = &self.views;
        receptions.note_unread(visibility);
        monitor.observe(receptions, &routes.definitions().snapshot)
    }

    fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Starting,
            1 => Phase::Running,
            _ => Phase::Draining,
        }
    }
}

/// Serves the endpoint until the task is aborted.
pub async fn serve(listener: TcpListener, state: Arc<State>) {
    server::serve(listener, routes(state), server::Limits::default()).await;
}

fn routes(state: Arc<State>) -> Router {
    let (ready, metrics, status) = (Arc::clone(&state), Arc::clone(&state), Arc::clone(&state));
    let (schemas, sets, rows) = (Arc::clone(&state), Arc::clone(&state), Arc::clone(&state));
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(|| async move { readiness(&ready) }))
        .route("/metrics", get(|| async move { exposition(&metrics) }))
        .route("/status", get(|| async move { Json(status::report(&status)) }))
        .route("/schemas", get(|| async move { Json(schemas::report(&schemas.views.routes.definitions().snapshot, &schemas.views.places))
        }))
        .route("/schemas/sets/{*name}", get(|Path(name): Path<String>| async move {
            sets::answer(&sets.views.routes.definitions().snapshot, &name)
        }))
        .route("/trace/{id}", get(|Path(id): Path<String>| async move {
            trace::answer(rows.views.journal.as_deref(), &id).await
        }))
        .merge(json_schemas(state))
        .fallback(|| async { (StatusCode::NOT_FOUND, "try /livez, /readyz, /metrics, /status, /schemas, /schemas/sets/NAME, /json-schema/HASH or /trace/ID\n") })
}

/// The JSON Schemas by the `schema-hash` of events.
fn json_schemas(state: Arc<State>) -> Router {
    let (found, schema, profile) = (Arc::clone(&state), Arc::clone(&state), state);
    Router::new()
        .route(
            "/json-schema/{hash}",
            get(|Path(hash): Path<String>| async move {
                json_schema::find(&found.views.routes.definitions().snapshot, &hash)
            }),
        )
        .route(
            "/json-schema/{hash}/{type}",
            get(|Path((hash, name)): Path<(String, String)>| async move {
                json_schema::schema(&schema.views.routes.definitions().snapshot, &hash, &name, "default")
            }),
        )
        .route(
            "/json-schema/{hash}/{type}/{profile}",
            get(|Path((hash, name, chosen)): Path<(String, String, String)>| async move {
                json_schema::schema(&profile.views.routes.definitions().snapshot, &hash, &name, &chosen)
            }),
        )
}

fn readiness(state: &State) -> impl IntoResponse + use<> {
    let phase = state.phase();
    let code = if phase == Phase::Running { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let mut lines = match phase {
        Phase::Starting => vec!["starting: no queue could be received from since the start".to_owned()],
        Phase::Running | Phase::Draining => vec![phase.name().to_owned()],
    };
    if phase != Phase::Draining {
        lines.append(&mut state.views.receptions.troubles());
    }
    (code, lines.join("\n") + "\n")
}

fn exposition(state: &State) -> impl IntoResponse + use<> {
    // These gauges depend on the time or on state elsewhere, so they are set when the metrics are read.
    state.views.visibility.update_age_gauges();
    if let Some(limit) = state.views.rate.limit() {
        state.views.metrics.publish_limit.with(&NoLabels).set(limit.round() as u64);
    }
    update_topic_limits(&state.views.metrics, &state.views.rate);
    state.views.monitor.show(&state.observe());
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], state.views.metrics.render())
}

fn update_topic_limits(metrics: &Metrics, rate: &Rate) {
    let limits = rate.topic_limits();
    metrics.publish_topic_limits.set(limits.iter().map(|own| {
        let labels = TopicLabels { topic: own.topic.as_str(), customer: metrics.customer(own.customer.as_deref()) };
        (labels, own.limit.round())
    }));
}
