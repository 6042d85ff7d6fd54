use std::sync::Arc;
use std::sync::Mutex as StdMutex;

use aws_lean::{Auth, EndpointUrls};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;

use super::*;
use crate::aws::scripted;
use crate::telemetry::CallResult;

/// Creates the objects of the bucket `large` in an S3 that gives these answers in this order, and repeats the last one.
/// Returns the requests as well.
fn objects(answers: Vec<(u16, &'static str)>) -> (Objects, Arc<StdMutex<Vec<String>>>) {
    objects_at(None, answers)
}

/// Like [`objects`], at this endpoint.
fn objects_at(url: Option<&str>, answers: Vec<(u16, &'static str)>) -> (Objects, Arc<StdMutex<Vec<String>>>) {
    let requests = Arc::<StdMutex<Vec<String>>>::default();
    let mut config = config::Config::default();
    config.aws.max_attempts = 2;
    config.aws.attempt_timeout_ms = 2_000;
    config.envelope.s3_buckets = vec!["large".into()];
    config.envelope.max_payload_bytes = 10;
    let record = Arc::clone(&requests);
    let connector = aws_lean::scripted::connector(move |request| {
        let authorization = request.headers().get("authorization").unwrap();
        assert!(authorization.contains("/eu-west-1/s3/aws4_request"), "{authorization}");
        let mut requests = record.lock().unwrap();
        let (status, body) = answers[requests.len().min(answers.len() - 1)];
        requests.push(format!("{} {}", request.method(), request.uri()));
        HttpResponse::new(status.try_into().unwrap(), body.into())
    });
    let (mut clients, _) = scripted::clients(|_, _| (200, String::new()));
    clients.shared = EndpointUrls { s3: url.map(str::to_owned), ..Default::default() }.apply(&clients.shared);
    clients.lean = LeanClient::new(&clients.shared, connector, Auth::of(&clients.shared), Duration::from_secs(2));
    (Objects::new(&config, &clients).unwrap(), requests)
}

async fn fetch<'o>(objects: &'o Objects, pointer: Pointer) -> Result<Object<'o>, Error> {
    objects.fetch(pointer, &Metrics::new(false)).await
}

fn pointer(bucket: &str, key: &str) -> Pointer {
    Pointer { bucket: bucket.to_owned(), key: key.to_owned() }
}

fn error(code: &str) -> &'static str {
    format!("<Error><Code>{code}</Code><Message>m</Message></Error>").leak()
}

#[tokio::test]
async fn an_object_is_fetched_with_a_signed_request() {
    let (public, requests) = objects(vec![(200, "CAE=")]);
    let object = fetch(&public, pointer("large", "/events/7 a")).await.unwrap();
    assert_eq!(object.bytes, "CAE=");
    assert_eq!(*requests.lock().unwrap(), ["GET https://large.s3.eu-west-1.amazonaws.com//events/7%20a"]);
    let (custom, requests) = objects_at(Some("http://s3:9000"), vec![(200, "CAE=")]);
    fetch(&custom, pointer("large", "k")).await.unwrap();
    assert_eq!(*requests.lock().unwrap(), ["GET http://s3:9000/large/k"]);
}

#[tokio::test(start_paused = true)]
async fn a_passing_error_is_retried_and_then_reported() {
    let (flaky, requests) = objects(vec![(503, error("SlowDown")), (200, "CAE=")]);
    let metrics = Metrics::new(false);
    assert_eq!(flaky.fetch(pointer("large", "k"), &metrics).await.unwrap().bytes, "CAE=");
    assert_eq!(requests.lock().unwrap().len(), 2);
    let counted = |result| metrics.calls.sum_where(|labels| labels.result == result);
    assert_eq!((counted(CallResult::Error), counted(CallResult::Ok)), (1, 1));

    for (status, body, attempts, expected) in [
        (503, error("ServiceUnavailable"), 2, "cannot fetch s3://large/k: ServiceUnavailable: m"),
        (404, "<html>no such site</html>", 2, "cannot fetch s3://large/k: answered with HTTP status 404"),
        (
            403,
            error("AccessDenied"),
            1,
            "cannot fetch s3://large/k: AccessDenied: m; grant `s3:GetObject` and, on the bucket, `s3:ListBucket`: \
             without it, S3 also denies access to missing objects",
        ),
        (
            404,
            error("NoSuchBucket"),
            1,
            "cannot fetch s3://large/k: NoSuchBucket: m; create the bucket, or correct the producer",
        ),
        (403, error("InvalidObjectState"), 1, "cannot fetch s3://large/k: InvalidObjectState: m"),
    ] {
        let (failing, requests) = objects(vec![(status, body)]);
        let error = fetch(&failing, pointer("large", "k")).await.unwrap_err();
        assert!(matches!(error, Error::Failed { .. }), "{status}: {error:?}");
        assert_eq!((error.to_string().as_str(), requests.lock().unwrap().len()), (expected, attempts));
    }
}

#[tokio::test]
async fn missing_too_large_forbidden_and_refused_objects_have_distinct_errors() {
    let answers = vec![(404, error("NoSuchKey")), (200, "eleven byte"), (400, error("InvalidURI"))];
    let (objects, requests) = objects_at(Some("http://s3:9000"), answers);
    let missing = fetch(&objects, pointer("large", "k")).await;
    assert!(matches!(missing, Err(Error::Missing(_))), "{missing:?}");
    let too_large = fetch(&objects, pointer("large", "k")).await;
    assert!(matches!(too_large, Err(Error::TooLarge { most: 10, .. })), "{too_large:?}");
    let refused = fetch(&objects, pointer("large", "k")).await;
    assert!(matches!(refused, Err(Error::Refused { .. })), "{refused:?}");
    let forbidden = fetch(&objects, pointer("private", "k")).await;
    assert!(matches!(forbidden, Err(Error::Forbidden(_))), "{forbidden:?}");
    let impossible = fetch(&objects, pointer("large", "../private/k")).await;
    assert!(matches!(impossible, Err(Error::Impossible { .. })), "{impossible:?}");
    assert_eq!(requests.lock().unwrap().len(), 3, "a forbidden or impossible object is not requested");
}

#[test]
fn the_error_of_a_large_object_names_both_sizes() {
    let error = |size| Error::TooLarge { pointer: pointer("large", "k"), size, most: 10 }.to_string();
    let end = ", more than 10; to allow this size, raise `envelope.max_payload_bytes`";
    assert_eq!(error(Some(11)), format!("s3://large/k has 11 bytes{end}"));
    assert_eq!(error(None), format!("s3://large/k has an unknown number of bytes{end}"));
}

#[tokio::test(start_paused = true)]
async fn the_number_of_objects_in_memory_is_limited() {
    let (objects, _) = objects(vec![(200, "CAE=")]);
    let mut held = Vec::new();
    for _ in 0..MAX_OBJECTS {
        held.push(fetch(&objects, pointer("large", "k")).await.unwrap());
    }
    let one_more = timeout(Duration::from_millis(100), fetch(&objects, pointer("large", "k"))).await;
    assert!(one_more.is_err(), "the fetch must wait for a free place");
    held.pop();
    fetch(&objects, pointer("large", "k")).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_bucket_can_be_read_if_s3_answers_with_an_object_or_says_that_there_is_none() {
    for (status, body, expected) in [
        (200, "CAE=", Ok(Readable::Object)),
        (200, "eleven byte", Ok(Readable::Object)),
        (404, error("NoSuchKey"), Ok(Readable::NoObject)),
        (403, error("AccessDenied"), Err("AccessDenied: m".to_owned())),
        (
            404,
            error("NoSuchBucket"),
            Err("there is no such bucket; create it, or remove it from `envelope.s3_buckets`".to_owned()),
        ),
        (301, error("PermanentRedirect"), Err("PermanentRedirect: m".to_owned())),
        (404, "NoSuchBucket, says the proxy", Err("answered with HTTP status 404".to_owned())),
    ] {
        let (objects, _) = objects(vec![(status, body)]);
        let probes = objects.probe().await.into_iter();
        let probes: Vec<_> = probes.map(|(name, result)| (name, result.map_err(|error| error.to_string()))).collect();
        assert_eq!(probes, [("large", expected)]);
    }
}
