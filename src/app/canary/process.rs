//! The prober as a process of its own.

use std::sync::Arc;

use tokio::task::JoinSet;
use tracing::info;

use super::{NoCanary, Prober, admin};
use crate::app::{Listener, upkeep, url};
use crate::aws::Clients;
use crate::config::Config;
use crate::telemetry::Metrics;

/// A running prober with its admin endpoint. Dropping it ends it at once; it leaves nothing to finish.
#[derive(Debug)]
pub struct CanaryApp {
    tasks: JoinSet<()>,
    metrics: Arc<Metrics>,
}

impl CanaryApp {
    /// Starts the prober. The admin endpoint answers on `admin`. Must be called in a runtime of tokio.
    ///
    /// # Errors
    /// Returns an error if the configuration has no canary.
    pub fn start(config: &Config, clients: &Clients, admin: Listener) -> Result<Self, NoCanary> {
        let metrics = Arc::new(Metrics::new(false));
        let prober = Prober::new(config, clients, &metrics)?;
        let mut tasks = prober.start();
        tasks.spawn(upkeep(Arc::clone(&metrics)));
        info!(
            admin = url(admin.address),
            instance = prober.instance().as_str(),
            queue = prober.input.label,
            topic = prober.topic,
            return_queue = %prober.returns.reception.queue.url,
            "sending canaries"
        );
        tasks.spawn(admin::serve(admin.listener, prober));
        Ok(Self { tasks, metrics })
    }

    /// Returns the prober's metrics.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Waits until a task ends, and returns a description: this is a defect.
    pub async fn failed(&mut self) -> String {
        match self.tasks.join_next().await {
            Some(Err(error)) => format!("the sender, the receiver or the admin task failed: {error}"),
            Some(Ok(())) | None => "the sender, the receiver or the admin task ended by itself".to_owned(),
        }
    }
}
