//! Quiet or broken: whether the sources of events and the path of the events work.
//!
//! [`Monitor`] follows the heartbeats of sources and the types that must not stop; [`canary`] follows the test events
//! that must return. This layer decides nothing about a message: it reads what others found out, and says what that
//! means.

pub mod canary;
pub mod silence;
pub mod sources;

use std::sync::Arc;
use std::time::SystemTime;

use tokio::time::Instant;

use crate::aws::sqs::receive::Receptions;
use crate::base::Redis;
use crate::config::Config;
use crate::schema::registry::Snapshot;
use crate::telemetry::Metrics;
use silence::{Silence, SilenceReport};
use sources::{Exchange, SharedGaps, SourceReport, Sources};

/// The sources and the silence rules of one service.
#[derive(Debug)]
pub struct Monitor {
    /// The sources.
    pub sources: Sources,
    silence: Silence,
    exchange: Option<Arc<Exchange>>,
}

/// The knowledge of this replica at one moment.
#[derive(Debug)]
pub struct Knowledge {
    /// The sources, sorted by name.
    pub sources: Vec<SourceReport>,
    /// The missing heartbeats, as all replicas know them; `None` if the replicas share nothing.
    pub gaps: Option<SharedGaps>,
    /// The silence rules, in the order of the configuration.
    pub silence: Vec<SilenceReport>,
}

impl Monitor {
    /// Creates the monitor of a service that starts now. With `redis`, the replicas share the heartbeats that they hear;
    /// [`Exchange::run`] must be polled.
    pub fn new(config: &Config, redis: Option<&Redis>, metrics: &Arc<Metrics>) -> Self {
        let exchange = redis.map(|redis| Exchange::new(config, redis, Arc::clone(metrics)));
        let sources = Sources::new(&config.heartbeats, exchange.clone(), Arc::clone(metrics));
        let silence = Silence::new(&config.silence, Arc::clone(metrics), Instant::now());
        Self { sources, silence, exchange }
    }

    /// Returns the exchange of heartbeats with the other replicas, if there is one.
    pub fn exchange(&self) -> Option<&Arc<Exchange>> {
        self.exchange.as_ref()
    }

    /// Returns what is known now.
    pub fn observe(&self, receptions: &Receptions, snapshot: &Snapshot) -> Knowledge {
        let now = Instant::now();
        let sources = self.sources.report(receptions, snapshot, now);
        let gaps = self.sources.shared_gaps(now);
        Knowledge { sources, gaps, silence: self.silence.report(receptions, snapshot, now) }
    }

    /// Sets the gauges to what is known now.
    pub fn show(&self, knowledge: &Knowledge) {
        let wall = SystemTime::now();
        self.sources.show(&knowledge.sources, wall);
        self.sources.show_gaps(knowledge.gaps.as_ref());
        self.silence.show(&knowledge.silence, wall);
    }
}
