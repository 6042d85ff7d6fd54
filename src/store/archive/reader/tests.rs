use super::super::GapKind;
use super::super::test_rows::{declared, full, kept, queue, sparse, stored};
use super::*;

const SECOND: i64 = 1_000_000;

#[tokio::test]
async fn a_message_comes_back_with_everything_that_it_had() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::folder(folder.path().into()).unwrap();
    let bodies = ["AAEC", "AAE=", "AAE", " AAEC", "", "{\"a\": \"ä\"}", "\u{0}\u{10ffff}"];
    let mut rows: Vec<_> = bodies.iter().zip(1..).map(|(body, number)| full(number, body)).collect();
    rows.push(sparse("z", 8_000, 8_001));
    stored(&store, &rows, &declared(&rows, 0, (0, 1)), &[]).await;
    let configured = queue("orders.fifo");
    let reader = Reader::new(store, vec![Arc::clone(&configured)]);
    let listing = reader.look(0..SECOND).await.unwrap();
    assert_eq!((listing.rows(), listing.segments.len()), (8, 1));
    assert!(listing.bytes() > 1_000);
    let mut read = reader.rows(&listing, 0..SECOND, None);
    for row in &rows {
        let back = read.next().await.unwrap().unwrap();
        assert_eq!(kept(&back), kept(row));
        let is_configured = Arc::ptr_eq(&back.message.queue, &configured);
        assert_eq!(is_configured, row.message.queue.label == "orders.fifo");
        assert!(is_configured || back.message.queue.url.as_str().is_empty());
    }
    assert!(read.next().await.unwrap().is_none());
}

#[tokio::test]
async fn segments_are_listed_from_the_hours_that_can_have_them_and_no_others() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::folder(folder.path().into()).unwrap();
    let hour = |hour: i64| hour * 3_600;
    let rows = [sparse("a", hour(100) * SECOND, hour(100) * SECOND)];
    // Its folder is six hours earlier, and it lasts as long as a segment can.
    stored(&store, &rows, &declared(&rows, 0, (hour(95), hour(101))), &[]).await;
    // This one would overlap, too, but no segment is so long.
    stored(&store, &rows, &declared(&rows, 1, (hour(93), hour(101))), &[]).await;
    stored(&store, &rows, &declared(&rows, 2, (hour(102), hour(103))), &[]).await;
    store.put(&format!("{}/notes.txt", hour_folder(hour(100) * SECOND)), "x".into()).await.unwrap();
    let reader = Reader::new(store, Vec::new());
    let numbers = async |from: i64, to: i64| {
        let listing = reader.look(from * SECOND..to * SECOND).await.unwrap();
        listing.segments.iter().map(|stored| stored.declaration.number).collect::<Vec<_>>()
    };
    assert_eq!(numbers(hour(100), hour(100) + 60).await, [0]);
    assert_eq!(numbers(hour(101) + 60, hour(101) + 120).await, [0; 0]);
    assert_eq!(numbers(hour(100), hour(103)).await, [0, 2]);
}

#[tokio::test]
async fn lost_messages_are_gaps_by_queue() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::folder(folder.path().into()).unwrap();
    let lost = |queue: &str, from, to, count| Lost { queue: queue.into(), from, to, count };
    let losses = [lost("events", 5, 20, 4), lost("orders", 30, 30, 1)];
    let declaration = Declaration { lost: 5, is_last: true, ..declared(&[], 0, (0, 1)) };
    stored(&store, &[], &declaration, &losses).await;
    let reader = Reader::new(store, Vec::new());
    let gaps = async |window: Range<i64>| {
        let gaps = reader.look(window).await.unwrap().gaps;
        gaps.into_iter().map(|gap| (gap.from, gap.to, gap.kind)).collect::<Vec<_>>()
    };
    let events = (5, Some(20), GapKind::Lost { queue: "events".into(), count: 4 });
    let orders = (30, Some(30), GapKind::Lost { queue: "orders".into(), count: 1 });
    assert_eq!(gaps(0..100).await, [events.clone(), orders.clone()]);
    assert_eq!(gaps(20..30).await, [events]);
    assert_eq!(gaps(30..31).await, [orders]);
    assert_eq!(gaps(21..30).await, []);
}

#[tokio::test]
async fn what_happened_before_the_window_matters_only_if_it_lasts() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::folder(folder.path().into()).unwrap();
    let of = |incarnation: &str, number, times| Declaration {
        incarnation: incarnation.into(),
        ..declared(&[], number, times)
    };
    // The process 1 dies at 100 without a successor; 2 has a break before the window, and one in it.
    let pod_b = |declaration| Declaration { replica: "pod-b".into(), ..declaration };
    let all = [
        of("1", 0, (0, 50)),
        of("1", 1, (50, 100)),
        pod_b(of("2", 0, (0, 50))),
        pod_b(of("2", 2, (60, 100))),
        pod_b(of("2", 3, (100, 210))),
        pod_b(Declaration { is_last: true, ..of("2", 5, (220, 300)) }),
    ];
    for declaration in &all {
        stored(&store, &[], declaration, &[]).await;
    }
    let reader = Reader::new(store.clone(), Vec::new());
    let gaps = async |from: i64, to: i64| {
        let gaps = reader.look(from * SECOND..to * SECOND).await.unwrap().gaps;
        gaps.into_iter().map(|gap| (gap.from / SECOND, gap.kind)).collect::<Vec<_>>()
    };
    assert_eq!(gaps(110, 400).await, [(100, GapKind::Died), (210, GapKind::Missing)]);
    assert_eq!(gaps(40, 70).await, [(50, GapKind::Missing)]);
    assert_eq!(gaps(215, 400).await, [(100, GapKind::Died), (210, GapKind::Missing)]);
    // The successor of 1 has ended before the window, too, and so has the gap.
    for (number, times) in [(0, (102, 103)), (1, (103, 104))] {
        stored(&store, &[], &of("3", number, times), &[]).await;
    }
    stored(&store, &[], &Declaration { is_last: true, ..of("3", 2, (104, 105)) }, &[]).await;
    assert_eq!(gaps(110, 400).await, [(210, GapKind::Missing)]);
    assert_eq!(gaps(101, 400).await, [(100, GapKind::Died), (210, GapKind::Missing)]);
}

#[test]
fn all_can_be_awaited_by_a_task_that_moves_among_threads() {
    fn is_send<T: Send>(_: impl FnOnce(Reader, Stored, Rows) -> T) {}
    is_send(|reader, _, _| async move { reader.look(0..1).await });
    is_send(|reader, stored, _| async move { reader.verify(&stored).await });
    is_send(|_, _, mut rows| async move { rows.next().await });
}
