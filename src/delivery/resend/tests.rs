use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Mutex;
use std::time::{Duration, UNIX_EPOCH};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::aws::scripted::{Call, Calls, clients, published, sns_error};
use crate::delivery::confirmed::ConfirmedDeliveries;
use crate::delivery::dedupe::DeliveryKey;
use crate::delivery::replay::{Choice, Ended, Pace, Progress, Replay, Source};
use crate::message::Queue;
use crate::route::{ClaimCheckMode, Customer, Glob, Router};
use crate::schema::registry::{Profiles, Registry};
use crate::store::archive::Row;
use crate::store::replays::{Counts, Request};

const ORDER: &str = "shop.v1.OrderPlaced";

/// Creates a resender with the sample descriptors. Orders and heartbeats are broadcast to acme and bolt.
fn resender(
    is_preview: bool,
    answer: impl Fn(&Call, usize) -> (u16, String) + Send + Sync + 'static,
) -> (Resender, Calls) {
    let (clients, calls) = clients(answer);
    let mut config = Config::default();
    config.route.broadcast.push(ORDER.to_owned());
    config.publish.max_attempts = 1;
    config.claim_check.bucket = Some("claims".into());
    config.descriptors.path = concat!(env!("CARGO_MANIFEST_DIR"), "/descriptors").into();
    let profiles = Arc::new(Profiles::new(&config.profiles));
    let registry = Registry::load(&config.descriptors, &config.taps, Arc::clone(&profiles)).unwrap();
    let snapshot = registry.current();
    let customer = |id: &str| {
        Arc::new(Customer {
            id: id.into(),
            topic: topic(id),
            events: vec![Glob::new("*")],
            profile: profiles.find("default").unwrap(),
            enabled: true,
            canary: false,
            claim_check: ClaimCheckMode::On,
        })
    };
    let router = Router::new(&config.route, vec![customer("acme"), customer("bolt")], snapshot.type_names());
    let routes = Arc::new(Routes::of(&config.route, router, snapshot));
    let (files, metrics) = (SchemaFiles::default(), Arc::new(Metrics::new(false)));
    let resender = Resender::new(&config, &clients, (routes, files), None, is_preview, &metrics).unwrap();
    (resender, calls)
}

fn topic(customer: &str) -> crate::message::TopicArn {
    format!("arn:aws:sns:eu-west-1:123456789012:{customer}").into()
}

fn recipient_of(customer: &str) -> Recipient {
    Recipient { topic: topic(customer), customer: Some(customer.into()) }
}

fn message(number: usize, event_type: &str) -> Arc<Message> {
    Arc::new(Message {
        message_id: format!("m-{number}"),
        sent: UNIX_EPOCH + Duration::from_secs(number as u64),
        // Longer ago than an unknown type is waited for.
        first_received: UNIX_EPOCH,
        ..Message::for_tests(Queue::for_tests(), "CgA=", &[("message-type", event_type)], None)
    })
}

fn owned() -> Ownership {
    Ownership::new(Instant::now(), Duration::from_secs(3_600))
}

#[tokio::test]
async fn only_the_selected_deliveries_are_sent() {
    let (resender, calls) = resender(true, |_, _| panic!("a preview calls nothing"));
    let all = Selection { replay: Some("x".into()), ..Selection::default() };
    let of = |customer: &str| Selection { customer: Some(customer.into()), ..all.clone() };
    let types = |globs: &[&str]| Selection { types: globs.iter().map(|glob| Glob::new(glob)).collect(), ..all.clone() };
    let key = DeliveryKey::new(ORDER, "m-1", Some(&"acme".into()), &topic("acme"));
    let confirmed = Some(Arc::new(ConfirmedDeliveries::from_iter([key])));
    let unconfirmed = Selection { confirmed: confirmed.clone(), ..all.clone() };
    let unconfirmed_of = |customer: &str| Selection { confirmed: confirmed.clone(), ..of(customer) };
    for (what, selection, event_type, expected) in [
        ("all", all.clone(), ORDER, "acme would, bolt would"),
        ("one customer", of("bolt"), ORDER, "bolt would"),
        ("a customer without the event", of("cyan"), ORDER, ""),
        ("a type", types(&["x.*", "shop.v1.*"]), ORDER, "acme would, bolt would"),
        ("other types", types(&["x.*"]), ORDER, ""),
        ("reached before", Selection { reached: vec![recipient_of("acme")], ..all.clone() }, ORDER, "bolt would"),
        ("unconfirmed", unconfirmed.clone(), ORDER, "acme had, bolt would"),
        ("unconfirmed of the one", unconfirmed_of("acme"), ORDER, "acme had"),
        ("unconfirmed of the other", unconfirmed_of("bolt"), ORDER, "bolt would"),
        ("a heartbeat in a replay", all.clone(), "protobridge.v1.Heartbeat", ""),
        ("a heartbeat in a redrive", Selection::default(), "protobridge.v1.Heartbeat", "acme would, bolt would"),
        ("an unknown type", all.clone(), "x.Y", "quarantine"),
        ("an unknown type among types", types(&["shop.*"]), "x.Y", ""),
    ] {
        let resent = resender.resend(&message(1, event_type), &selection, &owned()).await;
        let mut found: Vec<String> = resent.destinations.iter().map(found).collect();
        found.extend(resent.without_deliveries.iter().map(|why| match why {
            Undelivered::Quarantine(_) => "quarantine".to_owned(),
            other => format!("{other:?}"),
        }));
        found.sort();
        assert_eq!(found.join(", "), expected, "{what}");
    }
    // A message that is younger than the grace period of an unknown type does not wait for its type either.
    let Ok(mut young) = Arc::try_unwrap(message(1, "x.Y")) else { panic!("there is one handle") };
    young.first_received = std::time::SystemTime::now();
    let young = Arc::new(young);
    let resent = resender.resend(&young, &all, &owned()).await;
    assert!(matches!(resent.without_deliveries, Some(Undelivered::Quarantine(_))), "{resent:?}");
    let resent = resender.resend(&young, &types(&["shop.*"]), &owned()).await;
    assert!(resent.without_deliveries.is_none() && resent.destinations.is_empty(), "{resent:?}");
    assert!(calls.lock().unwrap().is_empty());
}

fn found(destination: &Destination) -> String {
    let fate = match destination.fate {
        Fate::WouldPublish { .. } => "would",
        Fate::Had(_) => "had",
        _ => "other",
    };
    format!("{} {fate}", destination.customer.as_deref().unwrap_or("-"))
}

#[tokio::test(start_paused = true)]
async fn the_json_of_claim_checks_of_two_messages_at_most_is_in_memory() {
    let (resender, _calls) = resender(false, |_, _| (503, String::new()));
    let mut payload = Vec::new();
    prost::encoding::string::encode(1, &"\u{1}".repeat(50_000), &mut payload);
    let large = |number: usize| {
        let Ok(message) = Arc::try_unwrap(message(number, "protobridge.v1.Heartbeat")) else {
            panic!("there is one handle")
        };
        Arc::new(Message { body: BASE64_STANDARD.encode(&payload), ..message })
    };
    let has_turn = async || tokio::time::timeout(Duration::from_millis(1), resender.rules.turn()).await.is_ok();
    let (messages, selection, ownership) = ([large(1), large(2)], Selection::default(), owned());
    let [first, second] = messages.each_ref().map(|message| resender.resend(message, &selection, &ownership));
    let meanwhile = async {
        tokio::time::sleep(Duration::from_millis(1)).await;
        has_turn().await
    };
    let (first, second, has_turn_meanwhile) = tokio::join!(first, second, meanwhile);
    assert!(!has_turn_meanwhile, "two messages wait for S3");
    for resent in [first, second] {
        assert!(matches!(&resent.destinations[..], [Destination { fate: Fate::Failed(_), .. }, _]), "{resent:?}");
    }
    assert!(has_turn().await);
}

/// Messages as an archive has them.
struct Rows(VecDeque<Row>);

impl Source for Rows {
    type Error = Infallible;

    async fn next(&mut self) -> Result<Option<Row>, Infallible> {
        Ok(self.0.pop_front())
    }
}

fn row(number: usize) -> Row {
    Row {
        message: message(number, ORDER),
        received_at: 0,
        settled_at: 0,
        outcome: OutcomeLabel::Published,
        event_id: None,
        event_type: Some(ORDER.into()),
        customer: None,
        schema_hash: None,
    }
}

/// What SNS does with a call.
enum Answer {
    Accepts,
    /// It accepts every other entry.
    AcceptsHalf,
    Throttles,
    Fails,
}

#[tokio::test(start_paused = true)]
async fn a_replay_sends_each_event_to_each_topic_once_although_sns_fails_and_throttles() {
    for seed in 0..20 {
        fastrand::seed(seed);
        let accepted = Arc::new(Mutex::new([0, 0]));
        let (counts, rng) = (Arc::clone(&accepted), Mutex::new(fastrand::Rng::with_seed(seed)));
        let (resender, _) = resender(false, move |call, _| {
            let entries = call.count(".Message=");
            let answer = match rng.lock().unwrap().u8(0..10) {
                0..6 => Answer::Accepts,
                6 | 7 => Answer::AcceptsHalf,
                8 => Answer::Throttles,
                _ => Answer::Fails,
            };
            let (good, bad): (Vec<usize>, Vec<usize>) = match answer {
                Answer::Accepts => ((0..entries).collect(), vec![]),
                Answer::AcceptsHalf => (0..entries).partition(|entry| entry & 1 == 0),
                Answer::Throttles => return sns_error(400, "ThrottledException"),
                Answer::Fails => return sns_error(500, "InternalFailure"),
            };
            counts.lock().unwrap()[usize::from(call.body.contains("%3Abolt"))] += good.len();
            let bad: Vec<_> = bad.into_iter().map(|entry| (entry, "InternalError", false)).collect();
            published(&good, &bad)
        });
        let (pace, progress) = (Pace::new(100.0), Progress::default());
        let replay = Replay {
            name: "x".parse().unwrap(),
            choice: Choice::new(&Request::default(), None),
            step: 25,
            sender: &resender,
            pace: Some(&pace),
            progress: &progress,
            stop: CancellationToken::new(),
        };
        let begun = Instant::now();
        let (tally, ended) = replay.run(&mut Rows((0..100).map(row).collect()), None).await;
        assert_eq!(ended.unwrap(), Ended::Done);
        assert_eq!(*accepted.lock().unwrap(), [100, 100], "seed {seed}");
        let Counts { messages, published, had, .. } = tally.counts;
        assert_eq!((messages, published, had, tally.counts.refused.len()), (100, 200, 0, 0), "seed {seed}");
        assert!(begun.elapsed() >= Duration::from_secs(1), "seed {seed}: 200 entries in {:?}", begun.elapsed());
        resender.finish().await;
    }
}
