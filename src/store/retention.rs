//! Deleting old objects from a folder. A bucket deletes its objects itself, by its lifecycle rules.

use std::time::{Duration, SystemTime};

use tokio::time::interval;
use tracing::{info, warn};

use super::{Error, Store};
use crate::config::Config;
use crate::telemetry::Metrics;

/// The time between two sweeps.
const SWEEP: Duration = Duration::from_secs(3_600);

const DAY: Duration = Duration::from_secs(24 * 3_600);

/// The number of days for which the progress of a replay is kept.
pub const REPLAY_DAYS: u32 = 90;

/// The number of days for which the JSON of a claim check is kept in its bucket: SQS keeps a message for at most 14 days
/// (Amazon SQS API reference, `MessageRetentionPeriod`), and one day is left for its reader.
pub const CLAIM_DAYS: u32 = 15;

/// A folder of the store, and the number of days for which its objects are kept.
pub type Retention = (&'static str, u32);

/// Returns the folders whose objects have a retention. They include those that the service does not write to now,
/// because an earlier configuration can have filled them.
pub fn retentions(config: &Config) -> [Retention; 4] {
    let (journal, archive) = (config.journal.retention_days, config.archive.retention_days);
    [
        (super::journal::FOLDER, journal),
        (super::counters::FOLDER, journal),
        (super::archive::FOLDER, archive),
        (super::replays::FOLDER, REPLAY_DAYS),
    ]
}

/// Deletes the objects of these folders that are older than their number of days, every hour. Never ends. Several
/// replicas can do so at the same time. Does nothing for a bucket.
pub async fn sweep(store: &Store, folders: &[Retention], metrics: &Metrics) {
    if !store.is_folder() {
        return std::future::pending().await;
    }
    let mut tick = interval(SWEEP);
    loop {
        tick.tick().await;
        delete_old(store, folders, metrics).await;
    }
}

/// Deletes the old objects of each folder. A folder that cannot be swept does not stop the others.
async fn delete_old(store: &Store, folders: &[Retention], metrics: &Metrics) {
    for &(folder, days) in folders {
        let Some(oldest) = SystemTime::now().checked_sub(DAY * days) else { continue };
        match delete_before(store, folder, oldest).await {
            Ok(0) => {}
            Ok(deleted) => info!(folder, deleted, days, "deleted old objects of the store"),
            Err(error) => {
                metrics.store_errors.with(&error.labels()).add(1);
                warn!(%error, "cannot delete old objects of the store");
            }
        }
    }
}

/// Deletes the objects of a folder that were written before this time, and returns their number.
async fn delete_before(store: &Store, folder: &str, oldest: SystemTime) -> Result<usize, Error> {
    let mut deleted = 0;
    for object in store.list(folder).await? {
        if object.modified >= oldest {
            continue;
        }
        match store.delete(&object.key).await {
            Ok(()) => deleted += 1,
            Err(error) if error.is_missing() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(deleted)
}

#[cfg(test)]
mod tests;
