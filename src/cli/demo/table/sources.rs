//! The table of the sources.

use std::time::Duration;

use comfy_table::{CellAlignment, Table};

use super::{row, table};
use crate::cli::demo::states::States;
use crate::cli::embedded::samples::DATABASE;
use crate::telemetry::{Metrics, SourceState};

/// A source at the end of the demo, as the service shows it.
#[derive(Debug)]
pub(super) struct SourceAccount {
    pub(super) name: String,
    /// The code of its state.
    pub(super) state: String,
    /// The number of its heartbeats that the service counts.
    pub(super) heartbeats: u64,
    /// The time since its last heartbeat, in seconds.
    pub(super) age: Option<f64>,
    /// The time from the start of the demo to the last change to each of [`STATES`].
    pub(super) since: [Option<Duration>; STATES.len()],
}

/// The states that have a column.
pub(super) const STATES: [SourceState; 3] = [SourceState::Flowing, SourceState::Quiet, SourceState::Stale];

/// Returns all sources that the service knows, sorted by name.
pub(super) fn sources(metrics: &Metrics, states: &States) -> Vec<SourceAccount> {
    let account = |(name, history)| SourceAccount {
        heartbeats: metrics.monitor.heartbeats.sum_where(|labels| labels.source == name),
        since: STATES.map(|state| states.time_of(&history, state)),
        state: history.now.state,
        age: history.now.age_seconds,
        name,
    };
    states.all().into_iter().map(account).collect()
}

/// Returns the table: the times of the changes are seconds since the start of the demo.
pub(super) fn render(sources: &[SourceAccount], preset: &str) -> Table {
    let header = ["source", "state", "heartbeats", "age s", "flowing at s", "quiet at s", "stale at s"];
    let mut table = table(preset, &header);
    if let Some(state) = table.column_mut(1) {
        state.set_cell_alignment(CellAlignment::Left);
    }
    let seconds = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.1}"));
    for SourceAccount { name, state, heartbeats, age, since } in sources {
        let [flowing, quiet, stale] = since.map(|at| seconds(at.map(|at| at.as_secs_f64())));
        table.add_row(row(name, [state.clone(), heartbeats.to_string(), seconds(*age), flowing, quiet, stale]));
    }
    table
}

/// Returns a remark if the service heard the database, and the demo was too short for it to become stale.
pub(super) fn remark(sources: &[SourceAccount]) -> Option<String> {
    let database = sources.iter().find(|source| source.name == DATABASE)?;
    let is_remarkable = database.heartbeats > 0 && database.state != SourceState::Stale.code();
    is_remarkable.then(|| {
        format!("The demo ended while {DATABASE} was {}; it shows a stale source with --events 2000", database.state)
    })
}
