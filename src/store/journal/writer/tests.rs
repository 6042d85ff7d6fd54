use super::super::test_rows::{borrowed, full};
use super::super::{Reader, Row, Wanted};
use super::*;
use crate::store::scripted::{Bucket, Mood};

const SECOND: i64 = 1_000_000;

/// Returns what the segments of a bucket declare, by number.
fn declarations(bucket: &Bucket) -> Vec<Declaration> {
    let mut declarations: Vec<_> =
        bucket.objects.lock().keys().map(|key| Declaration::of_key(key).expect("a segment")).collect();
    declarations.sort_by_key(|declaration| declaration.number);
    declarations
}

fn settings() -> config::Journal {
    config::Journal { segment_bytes: 64 * 1024, ..config::Journal::default() }
}

fn started(store: Store, settings: &config::Journal) -> (Arc<Journal>, tokio::task::JoinHandle<()>, Arc<Metrics>) {
    let metrics = Arc::new(Metrics::new(false));
    let (journal, writer) = Writer::new(store, settings, "pod-a".into(), &metrics);
    (journal, tokio::spawn(writer.run()), metrics)
}

fn record(journal: &Journal, count: u32) {
    for number in 0..count {
        journal.record(&borrowed(&full(number)));
    }
}

/// The sums of rows and of dropped rows that the segments declare. Their times must touch.
fn declared(declarations: &[Declaration]) -> (u64, u64) {
    assert!(declarations.windows(2).all(|pair| pair[0].to == pair[1].from), "{declarations:?}");
    assert_eq!(
        declarations.iter().map(|one| one.number).collect::<Vec<_>>(),
        (0..declarations.len() as u64).collect::<Vec<_>>()
    );
    (declarations.iter().map(|one| one.rows).sum(), declarations.iter().map(|one| one.dropped).sum())
}

#[tokio::test(start_paused = true)]
async fn segments_cover_the_life_of_the_process() {
    let bucket = Bucket::new(Mood::Works);
    let (journal, running, metrics) = started(bucket.store(), &settings());
    bucket.has(1).await;
    record(&journal, 10);
    // By age.
    bucket.has(2).await;
    // By size: one row is about 300 bytes.
    record(&journal, 300);
    bucket.has(3).await;
    record(&journal, 5);
    finish(&journal, async { running.await.unwrap() }, Duration::from_secs(5)).await;
    let declarations = declarations(&bucket);
    assert_eq!(declarations.iter().map(|one| one.rows).collect::<Vec<_>>()[..2], [0, 10]);
    let (rows, dropped) = declared(&declarations);
    assert_eq!((rows + dropped, metrics.journal_rows.sum(), metrics.journal_dropped.sum()), (315, rows, dropped));
    assert_eq!(declarations.iter().filter(|one| one.is_last).count(), 1);
    assert!(
        declarations.last().unwrap().is_last
            && bucket.objects.lock().keys().all(|key| key.starts_with("journal/v1/date="))
    );
    assert_eq!(metrics.journal_segments.sum(), declarations.len() as u64);
}

#[tokio::test(start_paused = true)]
async fn rows_that_come_until_the_writer_closes_a_full_segment_are_kept() {
    let bucket = Bucket::new(Mood::Works);
    let (journal, running, _) = started(bucket.store(), &settings());
    bucket.has(1).await;
    for segment in 0..5 {
        // A segment has its size after about 220 rows. The writer runs only after the last one.
        record(&journal, 240);
        bucket.has(segment + 2).await;
    }
    finish(&journal, async { running.await.unwrap() }, Duration::from_secs(5)).await;
    let declarations = declarations(&bucket);
    assert_eq!(declared(&declarations), (5 * 240, 0));
    assert_eq!(declarations.iter().map(|one| one.rows).collect::<Vec<_>>(), [0, 240, 240, 240, 240, 240, 0]);
}

#[tokio::test(start_paused = true)]
async fn rows_beyond_the_memory_are_dropped_and_declared() {
    for mood in [Mood::Refuses, Mood::Hangs] {
        let bucket = Bucket::new(mood);
        let (journal, running, metrics) = started(bucket.store(), &settings());
        for _ in 0..20 {
            record(&journal, 100);
            sleep(Duration::from_secs(30)).await;
        }
        assert_eq!(bucket.objects.lock().len(), 0);
        let (unstored, _) = journal.backlog();
        assert!(unstored > 300 && metrics.journal_dropped.sum() == 2_000 - unstored as u64, "{unstored}");
        assert!(*bucket.puts.lock() > 3 && metrics.store_errors.sum() > 0);
        // Rows that wait are found.
        assert!(!journal.unstored(&Wanted::Message("message-0001".into())).await.is_empty());
        *bucket.mood.lock() = Mood::Works;
        finish(&journal, async { running.await.unwrap() }, Duration::from_secs(120)).await;
        let (rows, dropped) = declared(&declarations(&bucket));
        assert_eq!((rows, dropped), (unstored as u64, 2_000 - unstored as u64), "{mood:?}");
        assert_eq!(journal.unstored(&Wanted::Message("message-0001".into())).await, []);
    }
}

#[tokio::test(start_paused = true)]
async fn a_segment_whose_answer_was_lost_is_stored_once() {
    let bucket = Bucket::new(Mood::LosesAnswers);
    let (journal, running, _) = started(bucket.store(), &settings());
    record(&journal, 10);
    bucket.has(1).await;
    *bucket.mood.lock() = Mood::Works;
    finish(&journal, async { running.await.unwrap() }, Duration::from_secs(120)).await;
    assert_eq!(declared(&declarations(&bucket)), (10, 0));
    assert!(*bucket.puts.lock() > bucket.objects.lock().len());
}

#[tokio::test(start_paused = true)]
async fn rows_that_the_store_does_not_take_at_the_end_are_counted() {
    let bucket = Bucket::new(Mood::Hangs);
    let (journal, running, metrics) = started(bucket.store(), &settings());
    record(&journal, 10);
    finish(&journal, async { running.await.unwrap() }, Duration::from_secs(5)).await;
    assert_eq!(metrics.journal_dropped.sum(), 10);
}

#[tokio::test]
async fn a_row_is_found_before_and_after_it_is_stored() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::folder(folder.path().to_owned()).unwrap();
    let (journal, running, _) = started(store.clone(), &config::Journal::default());
    record(&journal, 5_000);
    for wanted in [
        Wanted::Event("event-0003".into()),
        Wanted::Message("message-4999".into()),
        Wanted::SnsMessage("sns-4500".into()),
    ] {
        assert_eq!(journal.unstored(&wanted).await.len(), 1, "{wanted:?}");
    }
    finish(&journal, async { running.await.unwrap() }, Duration::from_secs(60)).await;
    let now = unix_micros(SystemTime::now());
    let found = Reader::new(store).find(&Wanted::Event("event-0003".into()), now - 60 * SECOND..now).await.unwrap();
    assert_eq!(found.rows, [full(3)]);
    assert!(found.looked.is_complete() && found.looked.segments >= 1, "{:?}", found.looked);
}

#[test]
fn a_sample_has_all_rows_of_an_event_or_none() {
    let metrics = Arc::new(Metrics::new(false));
    let settings = config::Journal { sample_published: 0.25, ..config::Journal::default() };
    let journal = Journal::new("pod-a".into(), settings, metrics);
    for number in 0..4_000 {
        let row = full(number);
        journal.record(&borrowed(&row));
        journal.record(&borrowed(&Row { customer: Some("other".into()), ..row.clone() }));
        journal.record(&borrowed(&Row { outcome: "filtered".into(), ..row }));
    }
    let (rows, _) = journal.backlog();
    assert_eq!(journal.metrics.journal_dropped.sum(), 0);
    let events = (rows - 4_000) / 2;
    assert!(rows % 2 == 0 && (900..1_100).contains(&events), "{events}");
}
