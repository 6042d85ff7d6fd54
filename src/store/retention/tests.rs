use bytes::Bytes;

use super::*;
use crate::config::{Archive, Journal};

const KEYS: [&str; 5] = [
    "journal/v1/date=2026-01-01/hour=00/a.parquet",
    "counters/v1/b.json",
    "archive/v1/date=2026-01-01/hour=00/c.parquet",
    "replays/v1/after-incident-42/000001.json",
    "other/d",
];

async fn filled(folder: &std::path::Path) -> Store {
    let store = Store::folder(folder.to_owned()).unwrap();
    for key in KEYS {
        store.put(key, Bytes::from_static(b"x")).await.unwrap();
    }
    store
}

async fn left(store: &Store) -> Vec<&'static str> {
    let mut left = Vec::new();
    for key in KEYS {
        if store.get(key).await.is_ok() {
            left.push(key);
        }
    }
    left
}

#[tokio::test]
async fn objects_are_deleted_by_their_age() {
    let folder = tempfile::tempdir().unwrap();
    let store = filled(folder.path()).await;
    assert_eq!(delete_before(&store, "journal/v1", SystemTime::now() - DAY).await.unwrap(), 0);
    assert_eq!(left(&store).await, KEYS);
    assert_eq!(delete_before(&store, "journal/v1", SystemTime::now() + DAY).await.unwrap(), 1);
    assert_eq!(left(&store).await, KEYS[1..], "only objects of this folder are deleted");
    assert_eq!(delete_before(&store, "journal/v1", SystemTime::now() + DAY).await.unwrap(), 0);
}

#[tokio::test]
async fn each_folder_has_its_own_number_of_days() {
    // An object of a folder that keeps objects for no day is old at once.
    for (folders, expected) in [
        (vec![("journal/v1", 0), ("archive/v1", 1)], vec![KEYS[1], KEYS[2], KEYS[3], KEYS[4]]),
        (vec![("journal/v1", 1), ("archive/v1", 0), ("replays/v1", 1)], vec![KEYS[0], KEYS[1], KEYS[3], KEYS[4]]),
        (vec![], KEYS.to_vec()),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let store = filled(folder.path()).await;
        delete_old(&store, &folders, &Metrics::new(false)).await;
        assert_eq!(left(&store).await, expected, "{folders:?}");
    }
}

#[test]
fn the_days_are_those_of_the_configuration() {
    let config = Config {
        journal: Journal { retention_days: 14, ..Journal::default() },
        archive: Archive { retention_days: 3, ..Archive::default() },
        ..Config::default()
    };
    let expected = [("journal/v1", 14), ("counters/v1", 14), ("archive/v1", 3), ("replays/v1", 90)];
    assert_eq!(retentions(&config), expected);
}
