//! The HTTP endpoint for operators and monitoring.
//!
//! `/livez` answers 200 while the process runs, and `/readyz` while the service receives. `/metrics` answers in the
//! Prometheus text format; `/status` and `/schemas` answer in JSON. `/json-schema/HASH` lists the types whose events
//! carry this `schema-hash`, and `/json-schema/HASH/TYPE` and `/json-schema/HASH/TYPE/PROFILE` are their JSON Schemas. No
//! page changes the service, and no page shows a payload.

mod json_schema;
mod schemas;
mod server;
mod status;

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::SystemTime;

use axum::Router;
use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Json};
use axum::routing::get;
use tokio::net::TcpListener;

use crate::aws::outages::Outages;
use crate::aws::sns::rate::Rate;
use crate::aws::sqs::visibility::Visibility;
use crate::config::Config;
use crate::message::Queue;
use crate::route::Routes;
use crate::telemetry::{Metrics, NoLabels, TopicLabels};

/// The state that the endpoint shows.
#[derive(Debug)]
pub struct State {
    phase: AtomicU8,
    started: SystemTime,
    queues: Vec<Queue>,
    views: Views,
}

/// The parts of the service that the endpoint reads.
#[derive(Debug)]
pub struct Views {
    /// The descriptor sets and the customers.
    pub routes: Arc<Routes>,
    /// The messages in flight.
    pub visibility: Visibility,
    /// The publish rate.
    pub rate: Arc<Rate>,
    /// The parts of the outside that do not work.
    pub outages: Arc<Outages>,
    /// The metrics.
    pub metrics: Arc<Metrics>,
}

/// The phase of the service's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The service does not receive yet.
    Starting,
    /// The service receives.
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
    pub fn new(config: &Config, views: Views) -> Self {
        let queues = config.queues.iter().map(Queue::from).collect();
        let phase = AtomicU8::new(Phase::Starting as u8);
        Self { phase, started: SystemTime::now(), queues, views }
    }

    /// Sets the phase.
    pub fn set_phase(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Release);
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
    let (ready, metrics, status, schemas) =
        (Arc::clone(&state), Arc::clone(&state), Arc::clone(&state), Arc::clone(&state));
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(|| async move { readiness(&ready) }))
        .route("/metrics", get(|| async move { exposition(&metrics) }))
        .route("/status", get(|| async move { Json(status::report(&status)) }))
        .route("/schemas", get(|| async move { Json(schemas::report(&schemas.views.routes.definitions().snapshot)) }))
        .merge(json_schemas(state))
        .fallback(|| async { (StatusCode::NOT_FOUND, "try /livez, /readyz, /metrics, /status or /schemas\n") })
}

/// The JSON Schemas by the `schema-hash` of events.
fn json_schemas(state: Arc<State>) -> Router {
    let (types, schema, profile) = (Arc::clone(&state), Arc::clone(&state), state);
    Router::new()
        .route(
            "/json-schema/{hash}",
            get(|Path(hash): Path<String>| async move {
                json_schema::types(&types.views.routes.definitions().snapshot, &hash)
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
    (code, format!("{}\n", phase.name()))
}

fn exposition(state: &State) -> impl IntoResponse + use<> {
    // These gauges depend on the time or on state elsewhere, so they are set when the metrics are read.
    state.views.visibility.update_age_gauges();
    if let Some(limit) = state.views.rate.limit() {
        state.views.metrics.publish_limit.with(&NoLabels).set(limit.round() as u64);
    }
    update_topic_limits(&state.views.metrics, &state.views.rate);
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], state.views.metrics.render())
}

fn update_topic_limits(metrics: &Metrics, rate: &Rate) {
    let limits = rate.topic_limits();
    metrics.publish_topic_limits.set(limits.iter().map(|own| {
        let labels = TopicLabels { topic: own.topic.as_str(), customer: metrics.customer(own.customer.as_deref()) };
        (labels, own.limit.round())
    }));
}
