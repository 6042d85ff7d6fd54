use super::*;
use crate::config::Queue;
use crate::monitor::sources::gaps::Contribution;

const GRACE: u64 = 33_000;

/// Returns an exchange of one queue that has read a list in which the heartbeat 2 is missing since 0. The replicas have
/// shared their numbers at these times.
fn exchange(now: Instant, replicas: &[(&str, u64)]) -> Arc<Exchange> {
    let queue = Queue { url: "https://sqs.eu-west-1.amazonaws.com/1/events".into(), ..Queue::default() };
    let config = Config { queues: vec![queue], ..Config::default() };
    let redis = Redis::new("redis://127.0.0.1:1", Duration::from_secs(1)).unwrap();
    let exchange = Exchange::new(&config, &redis, Arc::new(Metrics::new(false)));
    assert_eq!(exchange.report(now).reach, Reach::NotKnown(UNREAD.to_owned()));
    *exchange.failure.lock() = None;
    assert_eq!(exchange.report(now).reach, Reach::NotKnown(UNREAD.to_owned()));
    let heard = |number| Heard { number, sent: number, grace: GRACE, patience: 30_000 };
    let contribution = Contribution { recent: vec![heard(1), heard(3)], ..Contribution::default() };
    let list = GapList::after(None, &contribution, 0).unwrap();
    *exchange.queues.values().next().unwrap().view.lock() = View {
        lists: BTreeMap::from([("eu".to_owned(), list)]),
        replicas: replicas.iter().map(|(replica, seen)| ((*replica).to_owned(), *seen)).collect(),
        refused: BTreeSet::from([Arc::from("us")]),
        read: Some((40_000, now)),
    };
    exchange
}

#[tokio::test]
async fn a_number_is_no_gap_until_every_replica_has_shared_what_it_heard_within_the_grace() {
    let now = Instant::now();
    for (other, gaps) in [(GRACE - 1, 0), (GRACE, 1)] {
        let shared = exchange(now, &[("a", 40_000), ("b", other)]).report(now);
        assert_eq!((&shared.reach, shared.left_out), (&Reach::AllReplicas(2), 1));
        let list = &shared.lists[0];
        assert_eq!((&*list.source, &*list.queue, list.first, list.last), ("eu", "events", 1, 3));
        assert_eq!((list.gaps.len(), list.missing), (gaps, gaps as u64), "the other replica shared at {other}");
    }
}

#[tokio::test]
async fn lists_that_can_lack_numbers_of_a_replica_are_unknown() {
    let now = Instant::now();
    let reach = |exchange: Arc<Exchange>, seconds| exchange.report(now + Duration::from_secs(seconds)).reach;
    let fresh = || exchange(now, &[("a", 40_000), ("b", 20_000)]);
    assert_eq!(reach(fresh(), 10), Reach::AllReplicas(2));
    let silent = "1 of 2 replicas have not shared their heartbeats";
    assert_eq!(reach(fresh(), 11), Reach::NotKnown(silent.to_owned()));
    let mine = fresh();
    mine.queues.values().next().unwrap().view.lock().replicas = BTreeMap::from([(mine.id.clone(), 0)]);
    assert_eq!(reach(Arc::clone(&mine), 30), Reach::AllReplicas(1));
    assert_eq!(reach(mine, 31), Reach::NotKnown("the lists were not read for 30s".to_owned()));
    let failed = fresh();
    *failed.failure.lock() = Some("no answer within 250ms".to_owned());
    let shared = failed.report(now);
    assert_eq!(shared.reach, Reach::NotKnown("no answer within 250ms".to_owned()));
    assert!(shared.lists.is_empty(), "a list that is out of date is not shown");
}

#[test]
fn a_long_name_of_a_source_is_shortened_and_keeps_a_hash() {
    assert_eq!(store::name("orders-eu-1"), "orders-eu-1");
    let long = |end: &str| store::name(&format!("{}{end}", "ü".repeat(1_000))).into_owned();
    assert!(long("1").len() < 230, "{}", long("1"));
    assert_ne!(long("1"), long("2"));
}

#[test]
fn a_replica_that_crashed_and_a_source_that_is_silent_for_long_are_forgotten() {
    let list = |written| {
        let text = format!(r#"{{"run":{{"begun":0,"lowest":1,"highest":1,"highest_sent":0}},"written":{written}}}"#);
        Value { list: GapList::read(text.as_bytes()), raw: text.into_bytes() }
    };
    let now = 2 * store::KEPT;
    let unknown = Value { raw: b"of a later version".to_vec(), list: None };
    let lists = [("old", list(now - store::KEPT - 1)), ("kept", list(now - store::KEPT)), ("unknown", unknown)];
    let replicas = [("crashed", now - 300_001), ("silent", now - 300_000)];
    let mut page = Page {
        now,
        lists: lists.into_iter().map(|(source, value)| (source.to_owned(), value)).collect(),
        replicas: replicas.into_iter().map(|(replica, seen)| (replica.to_owned(), seen)).collect(),
    };
    let gone = page.take_gone();
    assert_eq!(gone.replicas, ["crashed"]);
    assert_eq!(gone.lists.iter().map(|(source, _)| &**source).collect::<Vec<_>>(), ["old"]);
    assert_eq!((page.lists.len(), page.replicas.len()), (2, 1));
}
