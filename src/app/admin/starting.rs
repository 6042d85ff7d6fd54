//! The endpoint of a service that cannot start yet.

use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use parking_lot::Mutex;
use tokio_util::task::AbortOnDropHandle;
use tracing::warn;

use super::server;
use crate::app::Listener;

/// The reason why the service has not started yet.
#[derive(Debug, Clone, Default)]
pub(in crate::app) struct Waiting(Arc<Mutex<Option<String>>>);

impl Waiting {
    pub(in crate::app) fn set(&self, reason: String) {
        *self.0.lock() = Some(reason);
    }

    /// Answers on the listener until the handle is dropped. The service then answers on the same listener.
    pub(in crate::app) fn answer(&self, admin: &Listener) -> Option<AbortOnDropHandle<()>> {
        let listener = match admin.second() {
            Ok(listener) => listener,
            Err(error) => {
                warn!(%error, "the admin endpoint does not answer until the service has started");
                return None;
            }
        };
        let server = server::serve(listener, self.routes(), server::Limits::default());
        Some(AbortOnDropHandle::new(tokio::spawn(server)))
    }

    fn routes(&self) -> Router {
        let this = self.clone();
        Router::new()
            .route("/livez", get(|| async { "ok\n" }))
            .route("/readyz", get(|| async move { (StatusCode::SERVICE_UNAVAILABLE, this.text()) }))
            .fallback(|| async { (StatusCode::SERVICE_UNAVAILABLE, "starting: try /livez or /readyz\n") })
    }

    fn text(&self) -> String {
        match &*self.0.lock() {
            Some(reason) => format!("starting: {reason}\n"),
            None => "starting: reading the descriptor sets and the customers\n".to_owned(),
        }
    }
}
