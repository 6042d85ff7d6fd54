//! Checks that what is counted is what is read, with a store that works, one that does not, and one with other objects.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

use super::*;
use crate::base::time::unix_micros;
use crate::message::OutcomeLabel;
use crate::store::Store;
use crate::telemetry::{Call, CallEnd, Carried, Metrics, NoLabels, Operation, SettledLabels};

/// A time in the first second of an hour, in microseconds.
const NOON: i64 = 1_795_867_200 * SECOND;

fn store(folder: &Path) -> Store {
    Store::folder(folder.join("store")).unwrap()
}

/// Makes the store refuse every write, until it is [opened](open).
fn shut(folder: &Path) {
    std::fs::rename(folder.join("store"), folder.join("away")).unwrap();
    std::fs::write(folder.join("store"), "no folder").unwrap();
}

fn open(folder: &Path) {
    std::fs::remove_file(folder.join("store")).unwrap();
    std::fs::rename(folder.join("away"), folder.join("store")).unwrap();
}

fn writer(folder: &Path) -> (Arc<Writer>, Arc<Metrics>) {
    let metrics = Arc::new(Metrics::new(false));
    let writer = Writer::new(store(folder), "pod-b".to_owned(), Some("eu-west-1".to_owned()), &metrics);
    (writer, metrics)
}

fn receive(metrics: &Metrics, sizes: &[usize]) {
    let end = CallEnd::Answered(Carried::sizes(sizes.iter().copied()));
    metrics.transfer(&Call::new(Operation::ReceiveMessage, false), end);
}

/// Reads all minutes of the last hours.
async fn read(folder: &Path) -> Vec<Minute> {
    let now = unix_micros(SystemTime::now());
    Reader::new(store(folder)).minutes(now - 2 * HOUR..now + HOUR).await.unwrap()
}

fn entries(minutes: &[Minute]) -> u64 {
    minutes.iter().flat_map(|minute| &minute.calls).map(|calls| calls.entries).sum()
}

#[tokio::test(start_paused = true)]
async fn each_minute_is_stored_once_and_the_last_one_at_the_stop() {
    let folder = TempDir::new().unwrap();
    let (writer, metrics) = writer(folder.path());
    let task = tokio::spawn(Arc::clone(&writer).run());
    receive(&metrics, &[10, 20]);
    let labels = SettledLabels { queue: "orders", event_type: "a.B", outcome: OutcomeLabel::Published };
    metrics.settled.with(&labels).add(2);
    // A little more than a minute is sure to contain a full minute.
    while read(folder.path()).await.is_empty() {
        sleep(Duration::from_secs(1)).await;
    }
    receive(&metrics, &[30]);
    task.abort();
    writer.finish(Duration::from_secs(5)).await;

    let minutes = read(folder.path()).await;
    let number_of = |minute: &Minute| (minute.number, minute.is_last, minute.calls.first().map(|calls| calls.entries));
    let last = minutes.len() as u64 - 1;
    assert_eq!(number_of(&minutes[0]), (0, false, Some(2)));
    assert_eq!(number_of(minutes.last().unwrap()), (last, true, Some(1)));
    assert!(minutes.windows(2).all(|pair| pair[0].to == pair[1].from), "the minutes cover the life of the process");
    assert!(minutes.iter().all(|minute| minute.region.as_deref() == Some("eu-west-1") && minute.replica == "pod-b"));
    let settled = Settled {
        queue: "orders".to_owned(),
        event_type: "a.B".to_owned(),
        outcome: "published".to_owned(),
        messages: 2,
    };
    assert_eq!(minutes.iter().flat_map(|minute| minute.settled.clone()).collect::<Vec<_>>(), [settled]);
    assert_eq!(metrics.counters_dropped.with(&NoLabels).get(), 0);
}

#[tokio::test(start_paused = true)]
async fn minutes_of_an_outage_are_stored_after_it() {
    let folder = TempDir::new().unwrap();
    let (writer, metrics) = writer(folder.path());
    shut(folder.path());
    let task = tokio::spawn(Arc::clone(&writer).run());
    for _ in 0..30 {
        receive(&metrics, &[1; 10]);
        sleep(Duration::from_secs(60)).await;
    }
    assert!(metrics.store_errors.sum() > 0);
    open(folder.path());
    let all = async {
        while entries(&read(folder.path()).await) < 300 {
            sleep(Duration::from_secs(1)).await;
        }
    };
    timeout(Duration::from_secs(300), all).await.expect("the minutes are stored once the store answers");
    task.abort();
    assert_eq!(metrics.counters_dropped.with(&NoLabels).get(), 0);
}

#[tokio::test(start_paused = true)]
async fn beyond_sixty_minutes_the_oldest_are_dropped_and_counted() {
    let folder = TempDir::new().unwrap();
    let (writer, metrics) = writer(folder.path());
    shut(folder.path());
    let task = tokio::spawn(Arc::clone(&writer).run());
    let dropped = || metrics.counters_dropped.with(&NoLabels).get();
    while dropped() < 5 {
        sleep(Duration::from_secs(1)).await;
    }
    task.abort();
    let _aborted = task.await;
    open(folder.path());
    writer.finish(Duration::from_secs(5)).await;
    let minutes = read(folder.path()).await;
    let numbers: Vec<_> = minutes.iter().map(|minute| minute.number).collect();
    // The last minute, too, needs room.
    assert_eq!(numbers, (6..66).collect::<Vec<_>>());
    assert_eq!(dropped(), 6);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_does_not_answer_at_the_stop_costs_the_limit_and_is_counted() {
    let folder = TempDir::new().unwrap();
    let (writer, metrics) = writer(folder.path());
    shut(folder.path());
    writer.finish(Duration::from_secs(5)).await;
    assert_eq!(metrics.counters_dropped.with(&NoLabels).get(), 1);
}

/// Stores a minute of these times.
async fn put(store: &Store, name: &str, times: std::ops::Range<i64>) {
    let minute = Minute { replica: name.to_owned(), from: times.start, to: times.end, ..Minute::default() };
    let begin = timestamp(times.start).strftime("%M%S");
    let key = format!("{}/{begin}-{name}-1-0.json", hour_folder(times.start));
    store.put(&key, Bytes::from(serde_json::to_vec(&minute).unwrap())).await.unwrap();
}

#[tokio::test]
async fn a_window_returns_the_minutes_that_overlap_it() {
    let folder = TempDir::new().unwrap();
    let store = store(folder.path());
    put(&store, "long-before", NOON - 3 * MINUTE..NOON - 2 * MINUTE).await;
    put(&store, "before", NOON - MINUTE..NOON).await;
    put(&store, "across", NOON - MINUTE - SECOND / 2..NOON + 1).await;
    put(&store, "first", NOON..NOON + MINUTE).await;
    put(&store, "empty", NOON..NOON).await;
    put(&store, "last", NOON + HOUR - MINUTE..NOON + HOUR).await;
    put(&store, "after", NOON + HOUR..NOON + HOUR + MINUTE).await;
    let other = format!("{}/0000-readme.txt", hour_folder(NOON));
    store.put(&other, Bytes::from_static(b"not a minute")).await.unwrap();
    let names = async |window| {
        let minutes = Reader::new(store.clone()).minutes(window).await.unwrap();
        minutes.into_iter().map(|minute| minute.replica).collect::<Vec<_>>()
    };
    assert_eq!(names(NOON..NOON + HOUR).await, ["across", "empty", "first", "last"]);
    assert_eq!(names(NOON + HOUR..NOON + HOUR + 1).await, ["after"]);
    assert_eq!(names(NOON + 2 * HOUR..NOON + 3 * HOUR).await, Vec::<String>::new());
    assert_eq!(names(NOON - MINUTE..NOON - MINUTE + 1).await, ["across", "before"]);
}

#[tokio::test]
async fn a_damaged_object_is_an_error_that_names_it() {
    let folder = TempDir::new().unwrap();
    let store = store(folder.path());
    let key = format!("{}/0000-a-1-0.json", hour_folder(NOON));
    store.put(&key, Bytes::from_static(b"{\"replica\": \"a\"")).await.unwrap();
    let error = Reader::new(store).minutes(NOON..NOON + MINUTE).await.unwrap_err().to_string();
    assert!(error.contains(&key) && error.contains("damaged") && error.contains("delete it"), "{error}");
}
