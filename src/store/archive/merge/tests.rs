use fastrand::Rng;

use super::super::test_rows::{declared, full, kept, sparse, stored};
use super::super::{Reader, Stored};
use super::*;
use crate::store::Object;

const SECOND: i64 = 1_000_000;

/// A message that a random segment can have. The same number always gives the same message, which is received at
/// various times.
fn message(random: &mut Rng, number: u32) -> Row {
    let size = if random.u8(..8) == 0 { random.usize(..90_000) } else { random.usize(1..300) };
    let body: String = std::iter::repeat_with(|| random.alphanumeric()).take(size).collect();
    if number.is_multiple_of(3) {
        return full(number, &body);
    }
    // Many messages have the same time.
    sparse(&format!("m-{number}"), i64::from(number / 7) * 1_000, 0)
}

/// Segments with random rows of two replicas, as a listing, and the rows of each.
async fn random_segments(random: &mut Rng, store: &Store) -> (Listing, Vec<Vec<Row>>) {
    let mut segments = Vec::new();
    for number in 0..random.u64(1..9) {
        let from = random.i64(0..60);
        let count = random.usize(..80);
        let mut rows = Vec::new();
        for _ in 0..count {
            let number = random.u32(..300);
            let settled_at = from * SECOND + random.i64(0..SECOND);
            rows.push(Row { settled_at, ..message(random, number) });
        }
        let declaration = declared(&rows, number, (from, from + 1));
        segments.push((stored(store, &rows, &declaration, &[]).await, rows));
    }
    segments.sort_by(|(one, _), (other, _)| one.object.key.cmp(&other.object.key));
    let (segments, rows) = segments.into_iter().unzip();
    (Listing { segments, gaps: Vec::new() }, rows)
}

/// What the merge must return: the copy of each message that was finished last, sorted.
fn model(segments: &[Vec<Row>], window: &Range<i64>) -> Vec<(Position, String)> {
    let mut last = BTreeMap::<Position, &Row>::new();
    for row in segments.iter().flatten().filter(|row| window.contains(&row.settled_at)) {
        let known = last.entry(row.position()).or_insert(row);
        if row.settled_at > known.settled_at {
            *known = row;
        }
    }
    last.into_iter().map(|(position, row)| (position, kept(row))).collect()
}

async fn read(mut rows: Rows, most: usize) -> Vec<(Position, String)> {
    let mut read = Vec::new();
    while read.len() < most {
        let Some(row) = rows.next().await.unwrap() else {
            assert_eq!((rows.bytes, rows.loaded.len(), rows.open.len()), (0, 0, 0));
            break;
        };
        let bytes: usize = rows.cursors.values().map(Cursor::bytes).sum();
        assert_eq!(rows.bytes, bytes, "the memory is counted");
        assert!(bytes <= rows.memory || rows.loaded.len() <= 1, "{bytes} bytes of {} segments", rows.loaded.len());
        read.push((row.position(), kept(&row)));
    }
    read
}

#[tokio::test]
async fn random_segments_come_back_complete_in_order_and_once() {
    let (mut most, mut copies) = (0, 0);
    for seed in 0..60 {
        let mut random = Rng::with_seed(seed);
        let folder = tempfile::tempdir().unwrap();
        let store = Store::folder(folder.path().into()).unwrap();
        let (listing, segments) = random_segments(&mut random, &store).await;
        let begin = random.i64(0..40) * SECOND;
        let window = if random.bool() { 0..100 * SECOND } else { begin..begin + random.i64(1..40) * SECOND };
        let expected = model(&segments, &window);
        let reader = Reader::new(store, Vec::new());
        let memory = [1, 300_000, MEMORY][random.usize(..3)];
        let rows = |after| Rows { memory, ..reader.rows(&listing, window.clone(), after) };
        let all = read(rows(None), usize::MAX).await;
        assert_eq!(all, expected, "seed {seed}");
        // A reader that stopped anywhere continues behind the last row that it had.
        let stop = random.usize(..=all.len());
        let mut parts = read(rows(None), stop).await;
        let rest = read(rows(parts.last().map(|(position, _)| position.clone())), usize::MAX).await;
        parts.extend(rest);
        assert_eq!(parts, expected, "seed {seed}, stopped after {stop}");
        most = most.max(expected.len());
        copies += segments.iter().flatten().filter(|row| window.contains(&row.settled_at)).count() - expected.len();
    }
    assert!(most > 100 && copies > 1_000, "{most} rows at most, {copies} copies");
}

#[tokio::test]
async fn a_segment_of_many_groups_is_read_in_pages_if_many_segments_overlap() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::folder(folder.path().into()).unwrap();
    let body = |number: u32| format!("{number} ").repeat(2_000);
    let mut listing = Listing::default();
    for segment in 0..3 {
        let rows: Vec<Row> = (0..700).map(|row| full(row * 3 + segment, &body(row))).collect();
        listing.segments.push(stored(&store, &rows, &declared(&rows, segment.into(), (0, 10)), &[]).await);
    }
    let reader = Reader::new(store, Vec::new());
    let mut rows = Rows { memory: 2_000_000, ..reader.rows(&listing, 0..100 * SECOND, None) };
    for number in 0..2_100 {
        let row = rows.next().await.unwrap().unwrap();
        assert_eq!(kept(&row), kept(&full(number, &body(number / 3))));
        assert!(rows.bytes <= 2_000_000, "{} bytes", rows.bytes);
    }
    assert!(rows.next().await.unwrap().is_none());
}

#[tokio::test]
async fn a_segment_is_opened_when_its_oldest_message_can_be_next() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::folder(folder.path().into()).unwrap();
    let mut listing = Listing::default();
    for number in 0..100_u32 {
        let time = i64::from(number) * SECOND;
        let rows = [sparse(&format!("m-{number}"), time, time)];
        let declaration = declared(&rows, number.into(), (number.into(), i64::from(number) + 1));
        listing.segments.push(stored(&store, &rows, &declaration, &[]).await);
    }
    // One that does not exist is no problem before its turn, and can be tried again.
    let gone = &mut listing.segments[50].object;
    *gone = Object { key: format!("{}x", gone.key), ..gone.clone() };
    let reader = Reader::new(store, Vec::new());
    let mut rows = reader.rows(&listing, 0..1_000 * SECOND, None);
    for _ in 0..30 {
        rows.next().await.unwrap().unwrap();
    }
    assert!(rows.cursors.len() > 60);
    let mut read = 30;
    let error = loop {
        match rows.next().await {
            Ok(row) => read += row.iter().count(),
            Err(error) => break error,
        }
    };
    assert!(read <= 50 && matches!(&error, Error::Store(error) if error.is_missing()), "{read}: {error}");
    assert!(rows.next().await.is_err());
    // A reader that continues after it does not open what is long before.
    let after = Position { sent_at: 60 * SECOND + SKEW + 1, ..Position::default() };
    assert_eq!(reader.rows(&listing, 0..1_000 * SECOND, Some(after)).cursors.len(), 40);
}

#[tokio::test]
async fn a_segment_that_is_not_sorted_or_older_than_it_says_is_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::folder(folder.path().into()).unwrap();
    let rows = [sparse("a", 5, 10), sparse("b", 7, 10)];
    let mut listing = Listing::default();
    let declaration = Declaration { oldest: 6, ..declared(&rows, 0, (0, 1)) };
    listing.segments.push(stored(&store, &rows, &declaration, &[]).await);
    let reader = Reader::new(store.clone(), Vec::new());
    let error = reader.rows(&listing, 0..100, None).next().await.unwrap_err();
    assert!(error.to_string().contains("its rows are not in order"), "{error}");
    let key = &listing.segments[0].object.key;
    store.put(key, "no Parquet, though long enough".into()).await.unwrap();
    let segments = vec![Stored { object: Object { size: 30, ..listing.segments[0].object.clone() }, declaration }];
    let error = reader.rows(&Listing { segments, gaps: vec![] }, 0..100, None).next().await.unwrap_err();
    assert!(matches!(error, Error::Damaged { .. }), "{error}");
}
