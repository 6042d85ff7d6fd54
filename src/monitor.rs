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
use crate::config::Config;
use crate::schema::registry::Snapshot;
use crate::telemetry::Metrics;
use silence::{Silence, SilenceReport};
use sources::{SourceReport, Sources};

/// The sources and the silence rules of one service.
#[derive(Debug)]
pub struct Monitor {
    /// The sources.
    pub sources: Sources,
    silence: Silence,
}

/// The knowledge of this replica at one moment.
#[derive(Debug)]
pub struct Knowledge {
    /// The sources, sorted by name.
    pub sources: Vec<SourceReport>,
    /// The silence rules, in the order of the configuration.
    pub silence: Vec<SilenceReport>,
}

impl Monitor {
    /// Creates the monitor of a service that starts now.
    pub fn new(config: &Config, metrics: &Arc<Metrics>) -> Self {
        let sources = Sources::new(&config.heartbeats, Arc::clone(metrics));
        Self { sources, silence: Silence::new(&config.silence, Arc::clone(metrics), Instant::now()) }
    }

    /// Returns what is known now.
    pub fn observe(&self, receptions: &Receptions, snapshot: &Snapshot) -> Knowledge {
        let now = Instant::now();
        let sources = self.sources.report(receptions, snapshot, now);
        Knowledge { sources, silence: self.silence.report(receptions, snapshot, now) }
    }

    /// Sets the gauges to what is known now.
    pub fn show(&self, knowledge: &Knowledge) {
        let wall = SystemTime::now();
        self.sources.show(&knowledge.sources, wall);
        self.silence.show(&knowledge.silence, wall);
    }
}
