//! Deleting old objects from a folder. A bucket deletes its objects itself, by its lifecycle rules.

use std::time::{Duration, SystemTime};

use tokio::time::interval;
use tracing::{info, warn};

use super::{Error, Store};
use crate::telemetry::Metrics;

/// The time between two sweeps.
const SWEEP: Duration = Duration::from_secs(3_600);

const DAY: Duration = Duration::from_secs(24 * 3_600);

/// The folders whose objects have a retention.
const FOLDERS: [&str; 2] = [super::journal::FOLDER, super::counters::FOLDER];

/// Deletes the objects of a folder that are older than this number of days, every hour. Never ends. Several replicas can
/// do so at the same time. Does nothing for a bucket.
pub(super) async fn sweep(store: &Store, days: u32, metrics: &Metrics) {
    if !store.is_folder() {
        return std::future::pending().await;
    }
    let mut tick = interval(SWEEP);
    loop {
        tick.tick().await;
        let Some(oldest) = SystemTime::now().checked_sub(DAY * days) else { continue };
        match delete_before(store, oldest).await {
            Ok(0) => {}
            Ok(deleted) => info!(deleted, days, "deleted old objects of the store"),
            Err(error) => {
                metrics.store_errors.with(&error.labels()).add(1);
                warn!(%error, "cannot delete old objects of the store");
            }
        }
    }
}

/// Deletes the objects that were written before this time, and returns their number.
async fn delete_before(store: &Store, oldest: SystemTime) -> Result<usize, Error> {
    let mut deleted = 0;
    for folder in FOLDERS {
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
    }
    Ok(deleted)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[tokio::test]
    async fn objects_are_deleted_by_their_age() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::folder(folder.path().to_owned()).unwrap();
        let keys = ["journal/v1/date=2026-01-01/hour=00/a.parquet", "counters/v1/b.json", "other/c"];
        for key in keys {
            store.put(key, Bytes::from_static(b"x")).await.unwrap();
        }
        assert_eq!(delete_before(&store, SystemTime::now() - DAY).await.unwrap(), 0);
        assert_eq!(delete_before(&store, SystemTime::now() + DAY).await.unwrap(), 2);
        assert!(store.get(keys[0]).await.unwrap_err().is_missing() && store.get(keys[2]).await.is_ok());
    }
}
