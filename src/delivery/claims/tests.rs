use std::sync::Mutex;
use std::time::Duration;

use aws_smithy_runtime_api::client::http::SharedHttpConnector;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::time::Instant;

use super::*;
use crate::aws::LeanClient;
use crate::aws::scripted;
use crate::aws::sns::publish::{EntryAttributes, TopicEntry};
use crate::aws::sns::rate::Rate;
use crate::delivery::publication::{Entry, Publication};
use crate::message::{Offload, RetryCause};

const TOPIC: &str = "arn:aws:sns:eu-west-1:123456789012:acme";

/// The calls in their order: the key of each object that was stored, and `publish BODY` for each call to SNS.
type Calls = Arc<Mutex<Vec<String>>>;

struct Stage {
    claims: Arc<Claims>,
    publisher: Publisher,
    outages: Arc<Outages>,
    metrics: Arc<Metrics>,
    calls: Calls,
}

/// Creates the parts that store and publish. S3 answers a request for an object with the status and the error code that
/// `s3` returns for its key; SNS accepts every entry.
fn stage(s3: impl Fn(&str) -> Option<(u16, &'static str)> + Send + Sync + 'static) -> Stage {
    let calls = Calls::default();
    let record = Arc::clone(&calls);
    let connector = aws_lean::scripted::connector(move |request| {
        if request.method() == "PUT" {
            let key = request.uri().rsplit('/').next().unwrap().to_owned();
            record.lock().unwrap().push(key.clone());
            return match s3(&key) {
                None => answer(200, String::new()),
                Some((status, code)) => {
                    answer(status, format!("<Error><Code>{code}</Code><Message>m</Message></Error>"))
                }
            };
        }
        let body = String::from_utf8(request.body().bytes().unwrap().to_vec()).unwrap();
        let count = body.matches(".Message=").count();
        record.lock().unwrap().push(format!("publish {count}"));
        let (status, body) = scripted::published(&(0..count).collect::<Vec<_>>(), &[]);
        answer(status, body)
    });
    of_connector(connector, calls)
}

fn answer(status: u16, body: String) -> HttpResponse {
    let mut response = HttpResponse::new(status.try_into().unwrap(), body.into());
    if status == 200 {
        response.headers_mut().insert("etag", "\"1\"");
    }
    response
}

fn of_connector(connector: SharedHttpConnector, calls: Calls) -> Stage {
    let mut config = Config::default();
    config.aws.max_attempts = 1;
    config.claim_check.bucket = Some("claims".into());
    let (mut clients, _) = scripted::clients(|_, _| (200, String::new()));
    clients.lean = LeanClient::new(&clients.shared, connector, aws_lean::Auth::None, Duration::from_secs(2));
    let metrics = Arc::new(Metrics::new(false));
    let outages = Arc::new(Outages::new(Arc::clone(&metrics)));
    let claims = Arc::new(Claims::new(&config, &clients, &outages, &metrics).unwrap());
    let settings = (&config.publish, (1_000, 1 << 24));
    let (rate, of_publisher) = (Arc::<Rate>::default(), Arc::clone(&outages));
    let (publisher, run) = Publisher::new(clients.lean.clone(), settings, rate, of_publisher, Arc::clone(&metrics));
    tokio::spawn(run);
    Stage { claims, publisher, outages, metrics, calls }
}

impl Stage {
    async fn publish(&self, entries: Vec<TopicEntry>, ownership: &Ownership) -> Vec<(usize, Result<(), EntryError>)> {
        let of = |entry| Entry { entry, ownership: ownership.clone(), in_memory: None };
        let entries = entries.into_iter().map(of).collect();
        let mut publication = Publication::start(entries, &self.publisher, &self.claims).await;
        let mut ends = Vec::new();
        loop {
            let next = publication.next().await;
            if next.is_empty() {
                return ends;
            }
            for end in next {
                let is_offloaded = end.stored.is_some();
                assert!(!is_offloaded || end.result.is_ok(), "nothing failed after the JSON was stored");
                ends.push((end.index, end.result.map(drop)));
            }
        }
    }

    fn calls(&self) -> Vec<String> {
        std::mem::take(&mut *self.calls.lock().unwrap())
    }

    fn is_out(&self) -> bool {
        self.outages.is_out(&Domain::ClaimBucket("claims".into()))
    }
}

fn entry(key: Option<&str>) -> TopicEntry {
    let offload =
        |key: &str| Box::new(Offload { key: key.into(), json: Arc::new(r#"{"a":1}"#.to_owned()), sha256: [0; 32] });
    TopicEntry {
        topic: TOPIC.into(),
        customer: Some("acme".into()),
        event_type: "a.B".into(),
        body: Arc::new("pointer or JSON".to_owned()),
        offload: key.map(offload),
        attributes: EntryAttributes::default(),
        group: None,
        deduplication_id: None,
    }
}

fn owned() -> Ownership {
    Ownership::new(Instant::now(), Duration::from_secs(3_600))
}

#[tokio::test(start_paused = true)]
async fn an_entry_with_a_claim_check_is_published_after_its_json_is_stored() {
    let stage = stage(|_| None);
    let ends = stage.publish(vec![entry(Some("k1")), entry(None), entry(Some("k2")), entry(None)], &owned()).await;
    let order: Vec<usize> = ends.iter().map(|(index, result)| result.as_ref().map(|()| *index).unwrap()).collect();
    assert_eq!(order, [1, 3, 0, 2]);
    assert_eq!(stage.calls(), ["k1", "k2", "publish 4"], "the linger of the others is longer than the wait for S3");
    assert_eq!(stage.metrics.claims.stored.sum(), 2);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_published_without_its_object_and_the_others_of_the_message_are() {
    let stage = stage(|key| (key == "bad").then_some((500, "InternalError")));
    let together = vec![entry(Some("bad")), entry(Some("good")), entry(None)];
    let mut ends = stage.publish(together, &owned()).await;
    assert_eq!(ends.last().unwrap().0, 0, "the others do not wait for it");
    ends.sort_by_key(|(index, _)| *index);
    let [bad, good, plain] = &ends[..] else { panic!("each entry has one result: {ends:?}") };
    let error = bad.1.as_ref().unwrap_err();
    assert!(error.is_retryable() && error.turned_away_by().is_none() && error.trail().is_none(), "{error}");
    assert_eq!(error.cause(), RetryCause::ClaimStore);
    assert!(error.to_string().contains("s3://claims/bad: InternalError"), "{error}");
    assert!(good.1.is_ok() && plain.1.is_ok());
    let published: Vec<String> = stage.calls().into_iter().filter(|call| call.starts_with("publish")).collect();
    assert_eq!(published, ["publish 2"], "the entry with the good object, and the entry without one");
}

#[tokio::test(start_paused = true)]
async fn an_object_is_refused_for_good_only_if_the_bucket_takes_others() {
    let stage = stage(|key| (key == "bad").then_some((400, "KeyTooLongError")));
    let owned = owned();
    let bad = stage.publish(vec![entry(Some("bad"))], &owned);
    let good = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        stage.publish(vec![entry(Some("good"))], &owned).await
    };
    let (bad, good) = tokio::join!(bad, good);
    assert!(good[0].1.is_ok());
    assert!(stage.calls().iter().filter(|call| *call == "bad").count() >= 2);
    let error = bad[0].1.as_ref().unwrap_err();
    assert!(!error.is_retryable(), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_bucket_that_refuses_all_objects_is_out_and_blames_none() {
    let stage = stage(|_| Some((400, "InvalidArgument")));
    let owned = owned();
    let waiting = stage.publish((0..30).map(|_| entry(Some("k"))).collect(), &owned);
    let mut waiting = std::pin::pin!(waiting);
    let _still = tokio::time::timeout(Duration::from_secs(600), &mut waiting).await;
    assert!(stage.is_out());
    for (_, held) in stage.publish(vec![entry(Some("k")), entry(Some("k"))], &owned).await {
        let error = held.unwrap_err();
        assert_eq!(error.turned_away_by(), Some(Domain::ClaimBucket("claims".into())), "{error}");
    }
    assert!(stage.calls().iter().all(|call| !call.starts_with("publish")));
}

#[tokio::test(start_paused = true)]
async fn a_message_with_a_new_owner_is_not_stored() {
    let stage = stage(|_| None);
    let lost = owned();
    lost.give_up();
    let ends = stage.publish(vec![entry(Some("k"))], &lost).await;
    assert!(ends[0].1.as_ref().unwrap_err().is_retryable());
    assert!(stage.calls().is_empty());
}

#[tokio::test(start_paused = true)]
async fn without_a_bucket_an_entry_with_a_claim_check_is_kept_for_later() {
    let mut stage = stage(|_| None);
    let metrics = Arc::clone(&stage.metrics);
    stage.claims = Arc::new(Claims { bucket: None, metrics });
    let ends = stage.publish(vec![entry(Some("k"))], &owned()).await;
    let error = ends[0].1.as_ref().unwrap_err();
    assert!(error.is_retryable() && error.to_string().contains("`claim_check.bucket` is not set"), "{error}");
    assert!(stage.calls().is_empty());
}

#[tokio::test(start_paused = true)]
async fn while_the_bucket_is_out_one_json_waits_in_memory_and_none_is_counted() {
    let stage = stage(|_| Some((403, "AccessDenied")));
    let ownership = Ownership::new(Instant::now(), Duration::from_secs(7_200));
    let counts: Vec<Arc<()>> = (0..20).map(|_| Arc::default()).collect();
    let store = |count: &Arc<()>| {
        let entry = entry(Some("k")).ready().unwrap_err();
        stage.claims.store_and_publish(entry, ownership.clone(), Arc::clone(count), &stage.publisher)
    };
    let mut storing: FuturesUnordered<_> = counts.iter().map(store).collect();
    for _ in 1..counts.len() {
        let ended = storing.next().await.unwrap().result.unwrap().unwrap_err();
        assert!(ended.turned_away_by().is_some(), "{ended}");
    }
    assert!(stage.is_out());
    assert_eq!(storing.len(), 1, "one entry waits for its probe");
    let counted = counts.iter().filter(|count| Arc::strong_count(count) > 1).count();
    assert_eq!(counted, 0, "no other event waits for the room of this JSON");
    let last = storing.next().await.unwrap().result.unwrap().unwrap_err();
    assert!(last.turned_away_by().is_some(), "after its probe, another message gets the seat: {last}");
    let domain = Domain::ClaimBucket("claims".into());
    assert_eq!(stage.outages.room(&domain), 1, "a parked message makes the next probe");
    let lone = entry(Some("k")).ready().unwrap_err();
    let lone = stage.claims.store_and_publish(lone, ownership, (), &stage.publisher);
    assert!(tokio::time::timeout(Duration::from_secs(3_600), lone).await.is_err(), "it probes, and costs no receive");
}
