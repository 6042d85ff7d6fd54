use std::sync::Arc;

use super::super::chunk::{CHUNK_ROWS, Chunk};
use super::super::segment;
use super::super::test_rows::{borrowed, full, sparse};
use super::*;

const SECOND: i64 = 1_000_000;

/// The segment of a process `pod-a` from one second to another.
fn declared(number: u64, (from, to): (i64, i64)) -> Declaration {
    Declaration {
        replica: "pod-a".into(),
        incarnation: "1a".into(),
        number,
        from: from * SECOND,
        to: to * SECOND,
        next_by: (to + 120) * SECOND,
        rows: 1,
        dropped: 0,
        is_last: false,
    }
}

fn of(replica: &str, declaration: Declaration) -> Declaration {
    Declaration { replica: replica.into(), incarnation: replica.into(), ..declaration }
}

fn last(declaration: Declaration) -> Declaration {
    Declaration { is_last: true, ..declaration }
}

fn holes(declarations: &[Declaration], window: Range<i64>, now: i64) -> Vec<(String, i64, Option<i64>, HoleKind)> {
    let declarations: Vec<&Declaration> = declarations.iter().collect();
    let looked = look(&declarations, &(window.start * SECOND..window.end * SECOND), now * SECOND);
    let seconds = |hole: Hole| (hole.replica, hole.from / SECOND, hole.to.map(|to| to / SECOND), hole.kind);
    looked.holes.into_iter().map(seconds).collect()
}

#[test]
fn what_no_segment_covers_is_a_hole() {
    use HoleKind::{Died, Missing, NotStoredYet};
    let pod_a = "pod-a".to_owned();
    let (first, second, third) = (declared(0, (0, 60)), declared(1, (60, 120)), declared(2, (120, 180)));
    let stopped = last(third.clone());
    // A process that stopped in order has no hole.
    assert_eq!(holes(&[first.clone(), second.clone(), stopped.clone()], 0..1_000, 1_000), []);
    // A segment between two others is gone.
    let gone = [first.clone(), stopped.clone()];
    assert_eq!(holes(&gone, 0..1_000, 1_000), [(pod_a.clone(), 60, Some(120), Missing)]);
    assert_eq!(holes(&gone, 120..1_000, 1_000), []);
    // So is the first one.
    let beginning = [second.clone(), stopped.clone()];
    assert_eq!(holes(&beginning, 10..1_000, 1_000), [(pod_a.clone(), 10, Some(60), Missing)]);
    assert_eq!(holes(&beginning, 60..1_000, 1_000), []);
    // The next segment is not due yet, or did not come.
    let unfinished = [first.clone(), second.clone()];
    assert_eq!(holes(&unfinished, 0..150, 150), [(pod_a.clone(), 120, None, NotStoredYet)]);
    assert_eq!(holes(&unfinished, 0..100, 150), []);
    assert_eq!(holes(&unfinished, 0..300, 300), [(pod_a.clone(), 120, None, Died)]);
    // What another replica stores proves nothing about this one: the store can fail for one alone.
    let survivor = of("pod-b", declared(0, (200, 260)));
    let mut survived = vec![first, second, survivor];
    let died = (pod_a.clone(), 120, None, Died);
    assert_eq!(holes(&survived, 0..300, 300), [died.clone(), ("pod-b".into(), 260, None, NotStoredYet)]);
    assert_eq!(holes(&survived, 0..250, 300), [died]);
    assert_eq!(holes(&survived, 0..100, 300), []);
    // A process that lives has stored its rows after the longest span, or has given them up.
    let end = 120 + MAX_SPAN.as_secs() as i64;
    assert_eq!(holes(&survived[..2], 0..1_000, end), [(pod_a.clone(), 120, Some(end), Died)]);
    assert_eq!(holes(&survived[..2], end..end + 9, end + 9), []);
    // The next process of the same name proves that the one before it had ended, and does not fill its hole.
    survived[2] = Declaration { incarnation: "2b".into(), ..last(declared(0, (130, 400))) };
    assert_eq!(holes(&survived, 0..1_000, 1_000), [(pod_a, 120, Some(130), Died)]);
}

#[test]
fn rows_that_were_dropped_are_declared() {
    let dropping = Declaration { dropped: 7, ..last(declared(0, (0, 60))) };
    let looked = |window: Range<i64>| look(&[&dropping], &(window.start * SECOND..window.end * SECOND), 100 * SECOND);
    let expected = Dropped { replica: "pod-a".into(), from: 0, to: 60 * SECOND, rows: 7 };
    assert_eq!(looked(10..20).dropped, [expected]);
    assert!(!looked(10..20).is_complete());
    assert!(looked(70..90).is_complete());
}

/// Puts a segment with these rows into the store.
async fn put(store: &Store, declaration: &Declaration, rows: &[Row]) {
    let mut chunks = Vec::new();
    for rows in rows.chunks(CHUNK_ROWS) {
        let mut chunk = Chunk::default();
        rows.iter().for_each(|row| chunk.push(&borrowed(row)));
        chunks.push(Arc::new(chunk.seal()));
    }
    let declaration = Declaration { rows: rows.len() as u64, ..declaration.clone() };
    store.put(&declaration.key(), segment::write(&chunks, &declaration).unwrap()).await.unwrap();
}

/// Returns an id that looks like a UUID, different for each number and in no order.
fn uuid(kind: u64, number: u64) -> String {
    let mut random = fastrand::Rng::with_seed(number * 7 + kind);
    uuid::Uuid::from_u64_pair(random.u64(..), random.u64(..)).to_string()
}

/// Returns a row of a published event with ids that look like UUIDs.
fn published(number: u64) -> Row {
    Row {
        event_id: Some(uuid(1, number)),
        message_id: uuid(2, number),
        sns_message_id: Some(uuid(3, number)),
        detail: None,
        settled_at: 30 * SECOND + number as i64,
        ..full(number as u32)
    }
}

#[tokio::test]
async fn a_lookup_reads_at_most_three_ranges_of_a_segment() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::folder(folder.path().to_owned()).unwrap();
    let count = 80_000;
    let mut rows: Vec<Row> = (0..count).map(published).collect();
    // An event with many rows, in the middle, is not split among row groups.
    let customers = (0..3_000).map(|customer| Row { customer: Some(format!("c{customer}")), ..published(7) });
    rows.extend(customers);
    rows.extend((0..20).map(|number| Row { settled_at: 31 * SECOND, ..sparse(number) }));
    put(&store, &last(declared(0, (0, 60))), &rows).await;
    let reader = Reader::new(store);
    let window = 0..60 * SECOND;
    let mut most = 0;
    for number in (0..count).step_by(997).chain([7]) {
        let row = published(number);
        for wanted in
            [Wanted::Event(uuid(1, number)), Wanted::Message(uuid(2, number)), Wanted::SnsMessage(uuid(3, number))]
        {
            let found = reader.find(&wanted, window.clone()).await.unwrap();
            assert_eq!(found.rows.len(), if number == 7 { 3_001 } else { 1 }, "{wanted:?}");
            assert!(found.rows.contains(&row), "{wanted:?}");
            assert!(found.looked.segments == 1 && found.looked.bytes < 4_000_000, "{:?}", found.looked);
            most = most.max(found.looked.ranges);
        }
        // An event that the segment does not have costs its page at most.
        let absent = reader.find(&Wanted::Event(uuid(4, number)), window.clone()).await.unwrap();
        assert!(absent.rows.is_empty() && absent.looked.ranges <= 2, "{:?}", absent.looked);
    }
    assert_eq!(most, 3);
    let unknown = reader.find(&Wanted::Message("message-0003".into()), window).await.unwrap();
    assert_eq!(unknown.rows, [Row { settled_at: 31 * SECOND, ..sparse(3) }]);
}

#[tokio::test]
async fn a_scan_returns_the_rows_of_its_window() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::folder(folder.path().to_owned()).unwrap();
    let rows = |numbers: Range<u32>| -> Vec<Row> {
        numbers.map(|number| Row { settled_at: i64::from(number) * SECOND, ..full(number) }).collect()
    };
    put(&store, &declared(0, (0, 60)), &rows(0..60)).await;
    put(&store, &last(declared(1, (60, 120))), &rows(60..120)).await;
    put(&store, &last(of("pod-b", declared(0, (0, 120)))), &[]).await;
    store.put("journal/v1/date=1970-01-01/hour=00/notes.txt", "x".into()).await.unwrap();
    let reader = Reader::new(store);
    let mut found = Vec::new();
    let looked = reader.scan(50 * SECOND..70 * SECOND, |row| found.push(row)).await.unwrap();
    found.sort_by_key(|row| row.settled_at);
    assert_eq!(found, rows(50..70));
    assert_eq!((looked.segments, looked.ranges, looked.is_complete()), (3, 2, true));
}

#[tokio::test]
async fn a_damaged_segment_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::folder(folder.path().to_owned()).unwrap();
    let key = declared(0, (0, 60)).key();
    put(&store, &declared(0, (0, 60)), &[full(1)]).await;
    let whole = store.get(&Declaration { rows: 1, ..declared(0, (0, 60)) }.key()).await.unwrap();
    for damaged in [whole.slice(..whole.len() / 2), whole.slice(..3), "not a segment".into()] {
        store.put(&key, damaged).await.unwrap();
        let reader = Reader::new(store.clone());
        let error = reader.find(&Wanted::Event("event-0001".into()), 0..SECOND).await.unwrap_err().to_string();
        assert!(error.contains(&key) && error.contains("move it away"), "{error}");
    }
}
