use super::*;
use crate::store::Store;
use crate::store::archive::test_rows::{declared, full, sparse, stored};
use crate::store::archive::{Lost, Row};

const NOON: i64 = 1_795_867_200;

fn at(row: Row, second: i64) -> Row {
    Row { settled_at: (NOON + second) * 1_000_000, ..row }
}

fn text(report: &impl Report) -> String {
    let mut out = Vec::new();
    write(&mut out, false, report).unwrap();
    String::from_utf8(out).unwrap()
}

/// An archive of one process with a gap, one message of which was received twice, and the window of all of it.
async fn archive(folder: &tempfile::TempDir) -> (Store, Range<i64>) {
    let store = Store::folder(folder.path().into()).unwrap();
    let received_twice = || sparse("twice", 7, 0);
    let first = [at(full(1, "AAEC"), 0), at(full(2, "AAECAw=="), 0), at(received_twice(), 0)];
    let second = [at(received_twice(), 2)];
    let lost = Lost { queue: "events".into(), from: NOON * 1_000_000, to: NOON * 1_000_000, count: 2 };
    let lossy = Declaration { lost: 2, ..declared(&first, 0, (NOON, NOON + 1)) };
    stored(&store, &first, &lossy, &[lost]).await;
    let last = Declaration { is_last: true, ..declared(&second, 2, (NOON + 2, NOON + 3)) };
    stored(&store, &second, &last, &[]).await;
    (store, NOON * 1_000_000..(NOON + 60) * 1_000_000)
}

#[tokio::test]
async fn segments_are_listed_with_their_keys() {
    let folder = tempfile::tempdir().unwrap();
    let (store, window) = archive(&folder).await;
    let listing = Reader::new(store, Vec::new()).look(window.clone()).await.unwrap();
    let listed = Listed { window: &window, listing: &listing };
    let text = text(&listed);
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("TIME                     REPLICA  MESSAGES  LOST  BYTES  KEY"), "{text}");
    let begins =
        ["2026-11-28 12:00:00.000  pod-a           3     2  ", "2026-11-28 12:00:02.000  pod-a           1     0  "];
    for ((line, begin), stored) in lines[1..].iter().zip(begins).zip(&listing.segments) {
        assert!(line.starts_with(begin) && line.ends_with(&stored.object.key), "{text}");
    }
    let json = listed.json();
    assert_eq!((json["segments"][0]["lost"].as_u64(), json["segments"][1]["is_last"].as_bool()), (Some(2), Some(true)));
    assert_eq!(json["gaps"].as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn messages_are_counted_once_and_with_the_bytes_that_sqs_counts() {
    let folder = tempfile::tempdir().unwrap();
    let (store, window) = archive(&folder).await;
    let reader = Reader::new(store, Vec::new());
    let listing = reader.look(window.clone()).await.unwrap();
    let stat = Stat::count(&reader, &listing, &window).await.unwrap();
    let size = |row: Row| row.message.size();
    let bytes = size(full(1, "AAEC")) + size(full(2, "AAECAw=="));
    let text = text(&stat);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "Messages that were finished from 2026-11-28 12:00:00 to 2026-11-28 12:01:00 UTC:");
    let cells = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(cells(lines[2]), ["orders", "-", "2026-11-28", "1", "5"]);
    assert_eq!(cells(lines[3]), ["orders.fifo", "shop.v1.OrderPlaced", "2026-11-28", "2", &bytes.to_string()]);
    assert_eq!(cells(lines[4]), ["all", "3", &(bytes + 5).to_string()]);
    assert_eq!(lines[5..].iter().filter(|line| line.starts_with("gap: pod-a: ")).count(), 2, "{text}");
    assert_eq!(stat.json()["messages"], 3);
}

#[tokio::test]
async fn verify_names_what_is_damaged_and_the_gaps() {
    let folder = tempfile::tempdir().unwrap();
    let (store, window) = archive(&folder).await;
    let reader = Reader::new(store.clone(), Vec::new());
    let listing = reader.look(window.clone()).await.unwrap();
    let verified = Verified::read(&reader, &listing, &window).await.unwrap();
    assert!(verified.damaged.is_empty());
    assert!(text(&verified).contains("UTC: 2 segments, 4 messages, "), "{}", text(&verified));
    let key = &listing.segments[1].object.key;
    store.put(key, "half of a segm".into()).await.unwrap();
    let verified = Verified::read(&reader, &listing, &window).await.unwrap();
    let lines = text(&verified);
    assert!(!verified.is_good());
    assert!(lines.contains(&format!("damaged: {key}: ")) && lines.matches("gap: ").count() == 2, "{lines}");
    assert_eq!(verified.json()["damaged"][0]["key"], **key);
}

#[test]
fn a_window_without_anything_says_so() {
    let listing = Listing::default();
    let window = 0..1_000_000;
    let listed = text(&Listed { window: &window, listing: &listing });
    assert_eq!(listed, "The archive has no segment from 1970-01-01 00:00:00 to 1970-01-01 00:00:01 UTC.\n");
    let verified = Verified { window: &window, listing: &listing, damaged: Vec::new() };
    assert!(!verified.is_good() && text(&verified).contains("\nNo segment is of this time: "), "{}", text(&verified));
}

#[tokio::test]
async fn a_window_without_damage_and_gaps_is_good() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = archive(&folder).await;
    let window = (NOON + 2) * 1_000_000..(NOON + 60) * 1_000_000;
    let reader = Reader::new(store.clone(), Vec::new());
    let listing = reader.look(window.clone()).await.unwrap();
    let verified = Verified::read(&reader, &listing, &window).await.unwrap();
    assert!(verified.is_good());
    assert!(
        text(&verified).ends_with("\nNo gaps: the archive has every message of the processes that it knows.\n"),
        "{}",
        text(&verified)
    );
}
