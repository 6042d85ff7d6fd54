//! The admin endpoint of a process that only sends canaries.

use std::sync::Arc;
use std::time::SystemTime;

use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use http::{StatusCode, header};
use serde::Serialize;
use tokio::net::TcpListener;

use super::{CanaryReport, Prober};
use crate::app::admin::server;
use crate::base::build;
use crate::base::time::rfc3339;

#[derive(Debug, Serialize)]
struct StatusReport {
    version: &'static str,
    started_at: String,
    canary: CanaryReport,
}

/// Serves the endpoint until the task is aborted.
pub(super) async fn serve(listener: TcpListener, prober: Arc<Prober>) {
    server::serve(listener, routes(prober), server::Limits::default()).await;
}

fn routes(prober: Arc<Prober>) -> Router {
    let started = SystemTime::now();
    let (ready, metrics) = (Arc::clone(&prober), Arc::clone(&prober));
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(|| async move { readiness(&ready) }))
        .route("/metrics", get(|| async move { exposition(&metrics) }))
        .route("/status", get(move || async move { Json(status(&prober, started)) }))
        .fallback(|| async { (StatusCode::NOT_FOUND, "try /livez, /readyz, /metrics or /status\n") })
}

fn readiness(prober: &Prober) -> impl IntoResponse + use<> {
    let (code, first) = match prober.is_ready() {
        true => (StatusCode::OK, "running"),
        false => {
            (StatusCode::SERVICE_UNAVAILABLE, "starting: no canary was sent, or the return queue has not answered")
        }
    };
    let lines: Vec<String> = [first.to_owned()].into_iter().chain(prober.troubles()).collect();
    (code, lines.join("\n") + "\n")
}

fn exposition(prober: &Prober) -> impl IntoResponse + use<> {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], prober.metrics.render())
}

fn status(prober: &Prober, started: SystemTime) -> StatusReport {
    StatusReport { version: build::VERSION, started_at: rfc3339(started), canary: prober.report() }
}
