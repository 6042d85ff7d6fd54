use std::time::SystemTime;

use parking_lot::Mutex;

use super::super::{Keeper, Row};
use super::*;
use crate::base::time::unix_micros;
use crate::config::OnArchiveFailure;
use crate::message::{Message, OutcomeLabel, Queue};
use crate::store::scripted::{Bucket, Mood};

/// What waits for a message: its number, and whether it began to wait.
#[derive(Debug, PartialEq, Eq)]
struct Ticket {
    number: u32,
    waits: bool,
}

impl Waiting for Ticket {
    fn begin_to_wait(&mut self) {
        assert!(!self.waits, "it begins once");
        self.waits = true;
    }
}

/// An archive that runs.
struct Stage {
    keeper: Keeper<Ticket>,
    archive: Arc<Archive<Ticket>>,
    running: tokio::task::JoinHandle<()>,
    /// The numbers of the messages whose wait has ended.
    released: Arc<Mutex<Vec<u32>>>,
    metrics: Arc<Metrics>,
}

fn settings() -> config::Archive {
    config::Archive {
        enabled: true,
        segment_bytes: 64 * 1024,
        max_buffered_bytes: 256 * 1024,
        ..config::Archive::default()
    }
}

fn stage(bucket: &Arc<Bucket>, settings: &config::Archive) -> Stage {
    let metrics = Arc::new(Metrics::new(false));
    let (archive, writer) = Writer::new(bucket.store(), settings, "pod-a".into(), &metrics);
    let released = Arc::<Mutex<Vec<u32>>>::default();
    let list = Arc::clone(&released);
    let running = tokio::spawn(writer.run(move |ticket: Ticket, _| list.lock().push(ticket.number)));
    Stage { keeper: Keeper::On(Arc::clone(&archive)), archive, running, released, metrics }
}

fn row(queue: &Arc<Queue>, number: u32) -> Row {
    let mut message = Message::for_tests(Queue::for_tests(), &"x".repeat(500), &[], None);
    message.message_id = format!("message-{number}");
    message.queue = Arc::clone(queue);
    let now = unix_micros(SystemTime::now());
    Row {
        message: Arc::new(message),
        received_at: now,
        settled_at: now,
        outcome: OutcomeLabel::Published,
        event_id: None,
        event_type: None,
        customer: None,
        schema_hash: None,
    }
}

fn queue(url: &str) -> Arc<Queue> {
    Arc::new(Queue::from(&config::Queue { url: url.into(), ..config::Queue::default() }))
}

impl Stage {
    /// Finishes messages with these numbers. Returns those that can be deleted at once.
    fn keep(&self, queue: &Arc<Queue>, numbers: std::ops::Range<u32>) -> Vec<u32> {
        let keep = |number| self.keeper.keep(Some(row(queue, number)), Ticket { number, waits: false });
        numbers.filter_map(keep).map(|(ticket, _)| ticket.number).collect()
    }

    fn released(&self) -> Vec<u32> {
        let mut released = self.released.lock().clone();
        released.sort_unstable();
        released
    }

    /// Stops the archive. Returns the numbers of the messages that still waited and can be deleted.
    async fn finish(self, limit: Duration) -> Vec<u32> {
        let left = finish(&self.archive, async { self.running.await.unwrap() }, limit).await;
        left.into_iter().map(|(ticket, _)| ticket.number).collect()
    }
}

/// Returns what the segments of a bucket declare, by number. Their times must touch.
fn declarations(bucket: &Bucket) -> Vec<Declaration> {
    let mut declarations: Vec<_> =
        bucket.objects.lock().keys().map(|key| Declaration::of_key(key).expect("a segment")).collect();
    declarations.sort_by_key(|declaration| declaration.number);
    assert!(declarations.windows(2).all(|pair| pair[0].to == pair[1].from), "{declarations:?}");
    let numbers: Vec<u64> = declarations.iter().map(|one| one.number).collect();
    assert_eq!(numbers, (0..declarations.len() as u64).collect::<Vec<_>>());
    declarations
}

fn sums(declarations: &[Declaration]) -> (u64, u64) {
    (declarations.iter().map(|one| one.rows).sum(), declarations.iter().map(|one| one.lost).sum())
}

#[tokio::test(start_paused = true)]
async fn a_message_waits_until_its_segment_is_stored() {
    let bucket = Bucket::new(Mood::Hangs);
    let (stage, orders) = (stage(&bucket, &settings()), queue("https://x/orders"));
    let began = Instant::now();
    assert_eq!(stage.keep(&orders, 0..20), [] as [u32; 0]);
    sleep(Duration::from_secs(10)).await;
    assert_eq!((stage.released(), stage.metrics.archive_held.sum()), (vec![], 20));
    *bucket.mood.lock() = Mood::Works;
    while stage.released().len() < 20 {
        sleep(Duration::from_millis(10)).await;
    }
    assert!(began.elapsed() < Duration::from_secs(30), "before the archive gave them up");
    // By age: one more second, and a segment of its own.
    let before = bucket.objects.lock().len();
    let asked = Instant::now();
    assert_eq!(stage.keep(&orders, 20..23), [] as [u32; 0]);
    bucket.has(before + 1).await;
    assert!((900..1_200).contains(&asked.elapsed().as_millis()), "{:?}", asked.elapsed());
    // By size: at once.
    let (before, asked) = (bucket.objects.lock().len(), Instant::now());
    stage.keep(&orders, 23..123);
    bucket.has(before + 1).await;
    assert!(asked.elapsed() < Duration::from_millis(200), "{:?}", asked.elapsed());
    let (metrics, released) = (Arc::clone(&stage.metrics), Arc::clone(&stage.released));
    assert_eq!(stage.finish(Duration::from_secs(5)).await, [] as [u32; 0]);
    assert_eq!(released.lock().len(), 123);
    let declarations = declarations(&bucket);
    assert_eq!((sums(&declarations), metrics.archive_messages.sum()), ((123, 0), 123));
    assert!(declarations.iter().all(|one| one.rows <= 100) && declarations.last().unwrap().is_last);
    assert_eq!(declarations.iter().filter(|one| one.is_last).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn deliveries_win_after_a_while_and_the_loss_is_declared() {
    for mood in [Mood::Refuses, Mood::Hangs] {
        let bucket = Bucket::new(mood);
        let (stage, orders) = (stage(&bucket, &settings()), queue("https://x/orders"));
        assert_eq!(stage.keep(&orders, 0..10), [] as [u32; 0]);
        sleep(Duration::from_secs(29)).await;
        assert_eq!(stage.released(), [] as [u32; 0], "{mood:?}");
        sleep(Duration::from_secs(2)).await;
        assert_eq!(stage.released(), (0..10).collect::<Vec<_>>(), "{mood:?}");
        // From now on nothing waits, and what has room is stored later.
        assert_eq!(stage.keep(&orders, 10..110), (10..110).collect::<Vec<_>>());
        assert_eq!(stage.metrics.archive_gaps.sum(), 0);
        assert_eq!(stage.keep(&orders, 110..1_110), (110..1_110).collect::<Vec<_>>());
        let lost = stage.metrics.archive_gaps.sum();
        assert!((700..1_000).contains(&lost), "{lost}");
        *bucket.mood.lock() = Mood::Works;
        let metrics = Arc::clone(&stage.metrics);
        assert_eq!(stage.finish(Duration::from_secs(120)).await, [] as [u32; 0]);
        let declarations = declarations(&bucket);
        assert_eq!(sums(&declarations), (1_110 - lost, lost), "{mood:?}");
        assert_eq!(metrics.archive_messages.sum(), 1_110 - lost);
        // Segments keep their size also after an outage.
        assert!(declarations.iter().all(|one| one.rows <= 64), "{declarations:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn with_stop_nothing_is_given_up_and_receives_wait() {
    let bucket = Bucket::new(Mood::Refuses);
    let settings = config::Archive { on_failure: OnArchiveFailure::Stop, ..settings() };
    let (stage, orders) = (stage(&bucket, &settings), queue("https://x/orders"));
    let backpressure = stage.archive.backpressure();
    stage.keep(&orders, 0..10);
    sleep(Duration::from_secs(10)).await;
    assert!(!backpressure.is_high());
    sleep(Duration::from_secs(300)).await;
    assert!(backpressure.is_high() && stage.released().is_empty());
    // What is in flight still comes, and must have room.
    assert_eq!(stage.keep(&orders, 10..1_000), [] as [u32; 0]);
    *bucket.mood.lock() = Mood::Works;
    backpressure.released().await;
    let released = Arc::clone(&stage.released);
    stage.finish(Duration::from_secs(120)).await;
    assert_eq!(released.lock().len(), 1_000);
    assert_eq!(sums(&declarations(&bucket)), (1_000, 0));
}

#[tokio::test(start_paused = true)]
async fn what_waits_at_the_end_is_given_up_or_left() {
    for (on_failure, expected) in [(OnArchiveFailure::Deliver, 10), (OnArchiveFailure::Stop, 0)] {
        let bucket = Bucket::new(Mood::Hangs);
        let settings = config::Archive { on_failure, ..settings() };
        let stage = stage(&bucket, &settings);
        stage.keep(&queue("https://x/orders"), 0..10);
        assert_eq!(stage.finish(Duration::from_secs(3)).await.len(), expected, "{on_failure:?}");
        assert!(bucket.objects.lock().is_empty(), "nothing says that the process ended in order");
    }
}

#[tokio::test(start_paused = true)]
async fn messages_of_fifo_queues_and_excluded_ones_do_not_wait() {
    let bucket = Bucket::new(Mood::Works);
    for (hold_delete, standard, fifo) in [(None, 0, 1), (Some(true), 0, 0), (Some(false), 1, 1)] {
        let stage = stage(&bucket, &config::Archive { hold_delete, ..settings() });
        until_known(&stage).await;
        assert_eq!(stage.keep(&queue("https://x/orders"), 0..1).len(), standard, "{hold_delete:?}");
        assert_eq!(stage.keep(&queue("https://x/orders.fifo"), 1..2).len(), fifo, "{hold_delete:?}");
        assert!(stage.keeper.keep(None, Ticket { number: 2, waits: false }).is_some());
        stage.finish(Duration::from_secs(5)).await;
        assert_eq!(sums(&declarations(&bucket)), (2, 0));
        bucket.objects.lock().clear();
    }
}

/// Waits until the store has a segment of the process.
async fn until_known(stage: &Stage) {
    while !stage.archive.buffer().is_known {
        sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn no_message_is_deleted_before_readers_know_of_the_process() {
    for (hold_delete, at_once) in [(None, vec![1]), (Some(true), vec![]), (Some(false), vec![0, 1])] {
        let bucket = Bucket::new(Mood::Refuses);
        let stage = stage(&bucket, &config::Archive { hold_delete, ..settings() });
        let (standard, fifo) = (queue("https://x/orders"), queue("https://x/orders.fifo"));
        let keep = |first| [stage.keep(&standard, first..first + 1), stage.keep(&fifo, first + 1..first + 2)].concat();
        assert_eq!(keep(0), [] as [u32; 0], "{hold_delete:?}");
        sleep(Duration::from_secs(10)).await;
        assert_eq!(stage.released(), [] as [u32; 0], "{hold_delete:?}");
        *bucket.mood.lock() = Mood::Works;
        until_known(&stage).await;
        let later: Vec<u32> = at_once.iter().map(|number| number + 2).collect();
        assert_eq!(keep(2), later, "{hold_delete:?}");
        stage.finish(Duration::from_secs(5)).await;
        assert_eq!(sums(&declarations(&bucket)), (4, 0));
    }
    // Deliveries win also if the store never answers.
    let stage = stage(&Bucket::new(Mood::Hangs), &settings());
    assert_eq!(stage.keep(&queue("https://x/orders.fifo"), 0..1), [] as [u32; 0]);
    sleep(Duration::from_secs(31)).await;
    assert_eq!(stage.released(), [0]);
}

#[tokio::test(start_paused = true)]
async fn a_process_without_messages_says_every_minute_that_it_lives() {
    let bucket = Bucket::new(Mood::Works);
    let stage = stage(&bucket, &settings());
    sleep(Duration::from_secs(301)).await;
    assert_eq!(bucket.objects.lock().len(), 6);
    stage.finish(Duration::from_secs(5)).await;
    assert_eq!(sums(&declarations(&bucket)), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn after_hours_without_a_store_the_messages_in_memory_are_lost_too() {
    // The buffer goes by the clock of the system, which a test cannot turn: it is asked directly.
    let mut buffer = crate::store::archive::buffer::Buffer::<Ticket>::new(0);
    let orders = queue("https://x/orders");
    for number in 0..3 {
        buffer.push(row(&orders, number), 500, None, Instant::now());
    }
    let later = unix_micros(SystemTime::now()) + 5 * 3_600_000_000;
    assert_eq!(buffer.discard(later).len(), 3);
    assert_eq!((buffer.all_bytes(), buffer.from, buffer.age(Instant::now())), (0, later, Duration::ZERO));
    let closed = buffer.close(0, usize::MAX, |_| 1, later + 1);
    assert_eq!((closed.from, closed.rows.len(), closed.lost[0].count), (later, 0, 3));
}
