//! The state of the configuration file, as `/status` shows it.

use parking_lot::Mutex;
use serde::Serialize;

/// Whether the configuration file is valid, and which of its keys wait for a restart.
#[derive(Debug, Default)]
pub struct Standing(Mutex<Option<StandingReport>>);

/// The state at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StandingReport {
    /// The path of the configuration file.
    pub file: String,
    /// Why the present file is refused, if it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The keys whose changed value needs a restart, sorted.
    pub restart_pending: Vec<String>,
}

impl Standing {
    /// Returns the state, unless the service does not follow its configuration file.
    pub fn report(&self) -> Option<StandingReport> {
        self.0.lock().clone()
    }

    pub(super) fn set(&self, report: StandingReport) {
        *self.0.lock() = Some(report);
    }
}
