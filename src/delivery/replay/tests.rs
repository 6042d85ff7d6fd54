mod killed;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::{SystemTime, UNIX_EPOCH};

use fastrand::Rng;
use parking_lot::Mutex;
use tokio::time::sleep;

use super::*;
use crate::base::time::unix_micros;
use crate::delivery::resend::{Destination, Fate, Undelivered};
use crate::message::{QuarantineKind, Queue, Recipient};
use crate::store::Store;
use crate::store::replays::{Owner, Replays};

const TOPICS: [&str; 2] = ["arn:aws:sns:eu-west-1:1:acme", "arn:aws:sns:eu-west-1:1:globex"];

/// The archive of a test.
#[derive(Debug, Clone)]
struct Archive(VecDeque<Row>);

impl Archive {
    /// Returns the rows after a place.
    fn after(&self, position: Option<&Position>) -> Self {
        let is_after = |row: &&Row| position.is_none_or(|position| row.position() > *position);
        Self(self.0.iter().filter(is_after).cloned().collect())
    }
}

impl Source for Archive {
    type Error = Infallible;

    async fn next(&mut self) -> Result<Option<Row>, Infallible> {
        Ok(self.0.pop_front())
    }
}

fn row(number: u64, group: Option<&str>) -> Row {
    let message = Message {
        message_id: format!("m-{number}"),
        sent: UNIX_EPOCH + Duration::from_micros(number),
        ..Message::for_tests(Queue::for_tests(), "body", &[], group)
    };
    Row {
        message: Arc::new(message),
        received_at: 0,
        settled_at: 0,
        outcome: OutcomeLabel::Published,
        event_id: None,
        event_type: Some("shop.v1.OrderPlaced".into()),
        customer: None,
        schema_hash: None,
    }
}

fn archive(rows: u64, rng: &mut Rng) -> Archive {
    let groups = [None, None, Some("a"), Some("b"), Some("c")];
    Archive((0..rows).map(|number| row(number, *rng.choice(&groups).unwrap())).collect())
}

/// What was delivered, in its order: the number of the process, the topic, the message.
type Delivered = Mutex<Vec<(usize, &'static str, String)>>;

/// SNS, and a process that sends to it.
#[derive(Debug)]
struct World<'w> {
    process: usize,
    delivered: &'w Delivered,
    rng: Mutex<Rng>,
    /// The share of attempts that fail for a while.
    failures: f64,
}

/// A delivery whose answer is on its way. If the process is killed, SNS has the message nevertheless, or has not.
struct OnItsWay<'w>(&'w World<'w>, &'static str, String, bool);

impl Drop for OnItsWay<'_> {
    fn drop(&mut self) {
        let Self(world, topic, message, is_answered) = self;
        if *is_answered || world.rng.lock().bool() {
            world.delivered.lock().push((world.process, topic, std::mem::take(message)));
        }
    }
}

impl Sender for World<'_> {
    async fn send(&self, message: &Arc<Message>, selection: &Selection) -> Resent {
        let mut destinations = Vec::new();
        if self.rng.lock().f64() < self.failures {
            sleep(self.some_time()).await;
            let why = Undelivered::Later("the registry does not answer".into());
            return Resent { event_type: None, event_id: None, destinations, without_deliveries: Some(why) };
        }
        for topic in TOPICS {
            let recipient = Recipient { topic: topic.into(), customer: None };
            if selection.reached.contains(&recipient) {
                continue;
            }
            let fails = self.rng.lock().f64() < self.failures;
            let fate = if fails {
                sleep(self.some_time()).await;
                Fate::Elsewhere
            } else {
                let mut delivery = OnItsWay(self, topic, message.message_id.clone(), false);
                sleep(self.some_time()).await;
                delivery.3 = true;
                Fate::WouldPublish { body: Arc::default(), bytes: 10, is_offloaded: false }
            };
            destinations.push(Destination { recipient, customer: None, fate });
        }
        Resent { event_type: None, event_id: None, destinations, without_deliveries: None }
    }
}

impl World<'_> {
    fn some_time(&self) -> Duration {
        Duration::from_millis(self.rng.lock().u64(0..50))
    }
}

fn choice() -> Choice {
    Choice::new(&Request::default(), None)
}

fn owner(process: usize) -> Owner {
    Owner { id: process.to_string(), host: "host".into() }
}

/// A time at which this process can take over a replay whose process was killed.
fn later(process: usize) -> i64 {
    unix_micros(SystemTime::now()) + process as i64 * 120_000_000
}

#[tokio::test(start_paused = true)]
async fn a_replay_that_another_process_takes_over_stops() {
    let mut rng = Rng::with_seed(7);
    let archive = archive(500, &mut rng);
    for is_canceled in [false, true] {
        let replays = Replays::new(Store::in_memory());
        let name: Name = "x".parse().unwrap();
        let mut cursor = replays.begin(name.clone(), Request::default(), owner(0)).await.unwrap();
        let delivered = Delivered::default();
        let world = World { process: 0, delivered: &delivered, rng: Mutex::new(rng.fork()), failures: 0.0 };
        let pace = Pace::new(100.0);
        let (progress, stop) = (Progress::default(), CancellationToken::new());
        let (sender, pace, progress) = (&world, Some(&pace), &progress);
        let replay = Replay { name: name.clone(), choice: choice(), step: 50, sender, pace, progress, stop };
        let mut source = archive.clone();
        let run = replay.run(&mut source, Some(&mut cursor));
        let other = async {
            sleep(Duration::from_millis(2_100)).await;
            if is_canceled {
                replays.cancel(&name, &owner(1)).await.unwrap();
            } else {
                replays.resume(name.clone(), owner(1), later(1)).await.unwrap();
            }
        };
        let ((_, ended), ()) = tokio::join!(run, other);
        let error = ended.unwrap_err().to_string();
        assert!(error.contains(if is_canceled { "was canceled" } else { "taken over" }), "{error}");
        let sent = delivered.lock().len();
        assert!((100..=400).contains(&sent), "{sent} deliveries of 1000");
        // The other process, or the operator, has the last word.
        let state = replays.list().await.unwrap().remove(0);
        assert_eq!(state.status, if is_canceled { Status::Canceled } else { Status::Running });
    }
}

/// A sender that does not answer.
#[derive(Debug)]
struct Silent;

impl Sender for Silent {
    async fn send(&self, _: &Arc<Message>, _: &Selection) -> Resent {
        std::future::pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn a_step_that_takes_long_keeps_its_cursor_and_learns_that_it_is_canceled() {
    let replays = Replays::new(Store::in_memory());
    let name: Name = "x".parse().unwrap();
    let mut cursor = replays.begin(name.clone(), Request::default(), owner(0)).await.unwrap();
    let (pace, progress, stop) = (Pace::new(100.0), Progress::default(), CancellationToken::new());
    let (sender, pace, progress) = (&Silent, Some(&pace), &progress);
    let replay = Replay { name: name.clone(), choice: choice(), step: 50, sender, pace, progress, stop };
    let mut source = archive(10, &mut Rng::with_seed(1));
    let first = cursor.state().updated_at;
    let cancel = async {
        sleep(TOUCH * 10).await;
        let state = replays.list().await.unwrap().remove(0);
        assert!(state.updated_at > first && state.position.is_none());
        replays.cancel(&name, &owner(1)).await.unwrap();
    };
    let ((tally, ended), ()) = tokio::join!(replay.run(&mut source, Some(&mut cursor)), cancel);
    let error = ended.unwrap_err();
    assert!(matches!(&error, Error::Cursor(error) if error.is_lost()), "{error}");
    assert_eq!(tally.counts, Counts::default());
}

#[tokio::test(start_paused = true)]
async fn a_stopped_replay_ends_after_its_step_and_can_be_resumed_at_once() {
    let replays = Replays::new(Store::in_memory());
    let name: Name = "x".parse().unwrap();
    let mut rng = Rng::with_seed(3);
    let archive = archive(200, &mut rng);
    let delivered = Delivered::default();
    let mut cursor = replays.begin(name.clone(), Request::default(), owner(0)).await.unwrap();
    for process in 0..2 {
        let world = World { process, delivered: &delivered, rng: Mutex::new(rng.fork()), failures: 0.0 };
        let pace = Pace::new(100.0);
        let (progress, stop) = (Progress::default(), CancellationToken::new());
        let (sender, pace, progress) = (&world, Some(&pace), &progress);
        let replay =
            Replay { name: name.clone(), choice: choice(), step: 50, sender, pace, progress, stop: stop.clone() };
        let mut source = archive.after(cursor.state().position.as_ref());
        let run = replay.run(&mut source, Some(&mut cursor));
        let interrupt = async {
            sleep(Duration::from_millis(1_500)).await;
            if process == 0 {
                stop.cancel();
            }
        };
        let ((_, ended), ()) = tokio::join!(run, interrupt);
        assert_eq!(ended.unwrap(), if process == 0 { Ended::Stopped } else { Ended::Done });
        if process == 0 {
            assert_eq!(cursor.state().counts.rows % 50, 0, "whole steps");
            assert!((50..200).contains(&cursor.state().counts.rows));
            cursor = replays.resume(name.clone(), owner(1), unix_micros(SystemTime::now())).await.unwrap();
        }
    }
    assert_eq!(delivered.lock().len(), 400, "nothing is repeated");
}

#[tokio::test]
async fn a_message_is_sent_if_the_request_selects_it() {
    let queue = |label: &str, row: Row| {
        let message = Arc::into_inner(row.message).unwrap();
        let queue = Queue { label: label.into(), ..Queue::for_tests() };
        Row { message: Arc::new(Message { queue: Arc::new(queue), ..message }), ..row }
    };
    let of_type = |name: Option<&str>| Row { event_type: name.map(Into::into), ..row(1, None) };
    let order = || of_type(Some("shop.v1.OrderPlaced"));
    let quarantined = || Row { outcome: OutcomeLabel::Quarantined, ..order() };
    let all = Request::default();
    let types = Request { types: vec!["shop.v2.*".into(), "*.Order*".into()], ..all.clone() };
    let queues = Request { queues: vec!["a".into()], ..all.clone() };
    let with_quarantined = Request { quarantined: true, ..all.clone() };
    let unconfirmed = Request { unconfirmed: true, customer: Some("acme".into()), ..all.clone() };
    for (what, request, row, expected) in [
        ("any", &all, order(), "yes"),
        ("an unknown type", &all, of_type(None), "yes"),
        ("a canary", &all, of_type(Some("protobridge.v1.Canary")), "no"),
        ("a type", &types, order(), "yes"),
        ("another type", &types, of_type(Some("shop.v1.Refund")), "no"),
        ("an unknown type, perhaps known today", &types, of_type(None), "yes"),
        ("a queue", &queues, queue("a", order()), "yes"),
        ("another queue", &queues, queue("b", order()), "no"),
        ("quarantined", &all, quarantined(), "quarantined"),
        ("quarantined and of another type", &types, Row { event_type: Some("x.Y".into()), ..quarantined() }, "no"),
        ("quarantined and wanted", &with_quarantined, quarantined(), "yes"),
        ("unconfirmed", &unconfirmed, quarantined(), "yes"),
    ] {
        let chosen = match Choice::new(request, None).of(&row, &"x".into()) {
            Chosen::Yes(selection) => {
                assert_eq!(selection.types.is_empty(), row.event_type.is_some() || request.types.is_empty(), "{what}");
                assert_eq!(selection.customer.as_deref(), request.customer.as_deref(), "{what}");
                "yes"
            }
            Chosen::Quarantined => "quarantined",
            Chosen::No => "no",
        };
        assert_eq!(chosen, expected, "{what}");
    }
}

#[tokio::test]
async fn a_preview_tries_nothing_again_and_names_what_cannot_be_sent() {
    /// Answers by the number of the message.
    #[derive(Debug)]
    struct Preview;
    impl Sender for Preview {
        async fn send(&self, message: &Arc<Message>, _: &Selection) -> Resent {
            let number: u64 = message.message_id[2..].parse().unwrap();
            let to = |topic: &str, fate| Destination {
                recipient: Recipient { topic: topic.into(), customer: Some("acme".into()) },
                customer: Some("acme".into()),
                fate,
            };
            let published = |bytes| Fate::WouldPublish { body: Arc::new("{}".into()), bytes, is_offloaded: false };
            let (destinations, without_deliveries) = match number % 6 {
                0 => (vec![to("t", published(1)), to("t.fifo", published(64 * 1024 + 1))], None),
                1 => (vec![], None),
                2 => (vec![], Some(Undelivered::Filtered("disabled"))),
                3 => (vec![], Some(Undelivered::Quarantine(QuarantineKind::UnknownType.because("x.Y")))),
                4 => (vec![], Some(Undelivered::Later("not yet".into()))),
                _ => (vec![to("t", Fate::Refused(QuarantineKind::TooLarge.because("long")))], None),
            };
            Resent { event_type: None, event_id: None, destinations, without_deliveries }
        }
    }
    let progress = Progress::new(5);
    let replay = Replay {
        name: "x".parse().unwrap(),
        choice: choice(),
        step: 7,
        sender: &Preview,
        pace: None,
        progress: &progress,
        stop: CancellationToken::new(),
    };
    let (tally, ended) = replay.run(&mut archive(60, &mut Rng::with_seed(1)), None).await;
    assert_eq!(ended.unwrap(), Ended::Done);
    let Counts { rows, messages, filtered, published, bytes, had, .. } = tally.counts;
    assert_eq!((rows, messages, filtered, published, had), (60, 50, 10, 20, 0));
    assert_eq!(bytes, 10 * (1 + 64 * 1024 + 1));
    let refused: Vec<_> =
        tally.counts.refused.iter().map(|(why, of)| (&**why, of.count, &*of.first_message_id)).collect();
    assert_eq!(refused, [("retried", 10, "m-4"), ("too_large", 10, "m-5"), ("unknown_type", 10, "m-3")]);
    assert_eq!((tally.standard.entries, tally.standard.units, tally.standard.least_units()), (10, 10, 1));
    assert_eq!((tally.fifo.entries, tally.fifo.units, tally.fifo.least_units()), (10, 20, 11));
    assert_eq!(tally.example.unwrap().message_id, "m-0");
    assert_eq!(progress.shown(), Shown { rows: 65, published: 20, waiting: None });
}

/// A sender for which every third message shows a defect.
struct Defective;

impl Sender for Defective {
    async fn send(&self, message: &Arc<Message>, _: &Selection) -> Resent {
        let number: u64 = message.message_id[2..].parse().unwrap();
        let defect = number.is_multiple_of(3).then(|| Undelivered::Defect("a panic".into()));
        Resent { event_type: None, event_id: None, destinations: Vec::new(), without_deliveries: defect }
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_that_shows_a_defect_is_reported_and_does_not_stop_the_others() {
    let (pace, progress, stop) = (Pace::new(100.0), Progress::new(30), CancellationToken::new());
    let (sender, pace, progress) = (&Defective, Some(&pace), &progress);
    let replay = Replay { name: "x".parse().unwrap(), choice: choice(), step: 7, sender, pace, progress, stop };
    let mut rows = archive(30, &mut Rng::with_seed(1));
    let run = replay.run(&mut rows, None);
    let (tally, ended) = tokio::time::timeout(Duration::from_secs(60), run).await.expect("it is not tried forever");
    assert_eq!(ended.unwrap(), Ended::Done);
    let refused: Vec<_> = tally.counts.refused.iter().map(|(why, of)| (&**why, of.count)).collect();
    assert_eq!(refused, [("defect", 10)]);
}
