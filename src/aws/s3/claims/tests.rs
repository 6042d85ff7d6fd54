use std::sync::Mutex;

use aws_lean::Auth;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;

use super::*;
use crate::aws::scripted;
use crate::telemetry::CustomerLabel;

/// What S3 received: method, URI, content and the KMS key.
type Requests = Arc<Mutex<Vec<(String, String, Option<String>)>>>;

/// Creates the bucket `claims` in an S3 that gives these answers in this order, and repeats the last one.
fn bucket(kms_key_id: Option<&str>, answers: Vec<(u16, &'static str)>) -> (ClaimBucket, Requests) {
    let requests = Requests::default();
    let mut config = config::Config::default();
    config.aws.max_attempts = 2;
    config.claim_check.bucket = Some("claims".into());
    config.claim_check.key_prefix = "large/json".into();
    config.claim_check.kms_key_id = kms_key_id.map(str::to_owned);
    let record = Arc::clone(&requests);
    let connector = aws_lean::scripted::connector(move |request| {
        let mut requests = record.lock().unwrap();
        let (status, body) = answers[requests.len().min(answers.len() - 1)];
        let content = String::from_utf8(request.body().bytes().unwrap().to_vec()).unwrap();
        let kms = request.headers().get("x-amz-server-side-encryption-aws-kms-key-id").map(str::to_owned);
        requests.push((format!("{} {}", request.method(), request.uri()), content, kms));
        let mut response = HttpResponse::new(status.try_into().unwrap(), body.into());
        if status == 200 {
            response.headers_mut().insert("etag", "\"1\"");
        }
        response
    });
    let (mut clients, _) = scripted::clients(|_, _| (200, String::new()));
    clients.lean = LeanClient::new(&clients.shared, connector, Auth::of(&clients.shared), Duration::from_secs(2));
    (ClaimBucket::new(&config, &clients).unwrap().unwrap(), requests)
}

fn offload(json: &str) -> Offload {
    Offload { key: "large/json/acme/2026-01-02/ab.json".into(), json: Arc::new(json.to_owned()), sha256: [7; 32] }
}

fn error(code: &str) -> &'static str {
    format!("<Error><Code>{code}</Code><Message>m</Message></Error>").leak()
}

#[tokio::test]
async fn the_json_is_stored_under_its_key_and_counted_for_its_customer() {
    let (bucket, requests) = bucket(Some("key-1"), vec![(200, "")]);
    let metrics = Metrics::new(true);
    let before = SystemTime::now();
    let stored = bucket.store(&offload(r#"{"a":1}"#), Some(&"acme".into()), &metrics).await.unwrap();
    assert_eq!((stored.key(), stored.bytes()), ("large/json/acme/2026-01-02/ab.json", 7));
    let (began, ended) = stored.span();
    assert!(before <= began && began <= ended && ended <= SystemTime::now());
    let put = "PUT https://claims.s3.eu-west-1.amazonaws.com/large/json/acme/2026-01-02/ab.json";
    assert_eq!(*requests.lock().unwrap(), [(put.to_owned(), r#"{"a":1}"#.to_owned(), Some("key-1".to_owned()))]);
    assert_eq!(metrics.claims.stored.sum_where(|labels| labels.customer == CustomerLabel::Id("acme")), 1);
    assert_eq!((metrics.claims.bytes.sum(), metrics.claims.store_errors.sum()), (7, 0));
    let calls = metrics
        .billable
        .sum_where(|labels| labels.operation == Operation::PutObject && labels.customer == CustomerLabel::Id("acme"));
    assert_eq!(calls, 1);
}

#[tokio::test(start_paused = true)]
async fn a_passing_failure_is_tried_again_and_each_failure_is_counted() {
    let (flaky, requests) = bucket(None, vec![(503, error("SlowDown")), (200, "")]);
    let metrics = Metrics::new(false);
    flaky.store(&offload("{}"), None, &metrics).await.unwrap();
    assert_eq!(requests.lock().unwrap().len(), 2);
    assert_eq!(metrics.claims.store_errors.sum_where(|labels| labels.code == "SlowDown"), 1);
    assert_eq!(metrics.claims.stored.sum(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_error_says_what_to_do() {
    let key = "s3://claims/large/json/acme/2026-01-02/ab.json";
    for (kms, status, code, attempts, expected) in [
        (None, 403, "AccessDenied", 1, "; grant `s3:PutObject` on the bucket"),
        (
            Some("key-1"),
            403,
            "AccessDenied",
            1,
            "; grant `s3:PutObject` on the bucket, and `kms:GenerateDataKey` on `claim_check.kms_key_id`",
        ),
        (None, 404, "NoSuchBucket", 1, "; create the bucket, or correct `claim_check.bucket`"),
        (
            None,
            400,
            "KMS.DisabledException",
            1,
            "; check `claim_check.bucket`, `claim_check.kms_key_id` and `aws.region`",
        ),
        (None, 500, "InternalError", 2, ""),
    ] {
        let (bucket, requests) = bucket(kms, vec![(status, error(code))]);
        let error = bucket.store(&offload("{}"), None, &Metrics::new(false)).await.unwrap_err();
        assert!(matches!(error, StoreError::Failed { .. }), "{code}: {error:?}");
        assert_eq!(error.to_string(), format!("cannot store {key}: {code}: m{expected}"));
        assert_eq!(requests.lock().unwrap().len(), attempts, "{code}");
    }
    let (bucket, _) = bucket(None, vec![(400, error("KeyTooLongError"))]);
    let error = bucket.store(&offload("{}"), None, &Metrics::new(false)).await.unwrap_err();
    assert!(matches!(error, StoreError::Refused { .. }), "{error:?}");
    assert_eq!(error.to_string(), format!("S3 refuses {key}: KeyTooLongError: m"));
}

#[tokio::test(start_paused = true)]
async fn only_so_many_objects_are_stored_at_the_same_time() {
    let (bucket, requests) = bucket(None, vec![(200, "")]);
    let metrics = Metrics::new(false);
    let _all = bucket.room.acquire_many(MAX_PUTS as u32).await.unwrap();
    let busy = bucket.store(&offload("{}"), None, &metrics).await.unwrap_err();
    assert!(matches!(busy, StoreError::Busy(_)), "{busy:?}");
    assert!(requests.lock().unwrap().is_empty());
    assert_eq!(metrics.claims.store_errors.sum(), 0, "no call was made");
}

#[tokio::test]
async fn the_probe_stores_a_small_object_of_its_own() {
    let (bucket, requests) = bucket(None, vec![(200, "")]);
    bucket.probe().await.unwrap();
    let expected = "PUT https://claims.s3.eu-west-1.amazonaws.com/large/json/protobridge-check";
    assert_eq!(requests.lock().unwrap()[0], (expected.to_owned(), "{}".to_owned(), None));
}
