use std::sync::Mutex as StdMutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use tokio::net::TcpListener;

use super::*;
use crate::aws::scripted;

/// Creates the objects of the bucket `large` in an S3 that gives these answers in this order, and repeats the last one.
/// Returns the requests as well.
async fn objects(answers: Vec<(u16, &'static str)>) -> (Objects, Arc<StdMutex<Vec<String>>>) {
    let requests = Arc::<StdMutex<Vec<String>>>::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut config = config::Config::default();
    config.aws.endpoint_url = Some(format!("http://{}", listener.local_addr().unwrap()));
    config.aws.max_attempts = 2;
    config.aws.attempt_timeout_ms = 2_000;
    config.envelope.s3_buckets = vec!["large".into()];
    config.envelope.max_payload_bytes = 10;
    let (record, count) = (Arc::clone(&requests), AtomicUsize::new(0));
    let answer = Arc::new(move |request: Request| {
        let authorization = request.headers()["authorization"].to_str().unwrap();
        assert!(authorization.contains("/eu-west-1/s3/aws4_request"), "{authorization}");
        record.lock().unwrap().push(format!("{} {}", request.method(), request.uri()));
        let (status, body) = answers[count.fetch_add(1, Ordering::Relaxed).min(answers.len() - 1)];
        let headers = [("last-modified", "Wed, 21 Oct 2026 07:28:00 GMT"), ("etag", "\"1\"")];
        (StatusCode::from_u16(status).unwrap(), headers, body).into_response()
    });
    let handler = move |request: Request| std::future::ready::<Response>(answer(request));
    tokio::spawn(async move { axum::serve(listener, axum::Router::new().fallback(handler)).await });
    let (clients, _) = scripted::clients(|_, _| (200, String::new()));
    (Objects::new(&config, &clients.shared).unwrap(), requests)
}

fn pointer(bucket: &str, key: &str) -> Pointer {
    Pointer { bucket: bucket.to_owned(), key: key.to_owned() }
}

#[tokio::test]
async fn an_object_is_fetched_with_a_signed_request() {
    let (objects, requests) = objects(vec![(200, "CAE=")]).await;
    let object = objects.fetch(pointer("large", "events/7 a")).await.unwrap();
    assert_eq!(object.bytes, "CAE=");
    assert_eq!(*requests.lock().unwrap(), ["GET /large/events/7%20a"]);
}

#[tokio::test]
async fn a_passing_error_is_retried_and_then_reported() {
    let (flaky, requests) = objects(vec![(503, "slow down"), (200, "CAE=")]).await;
    assert_eq!(flaky.fetch(pointer("large", "k")).await.unwrap().bytes, "CAE=");
    assert_eq!(requests.lock().unwrap().len(), 2);

    for (status, expected) in [
        (503, "cannot fetch s3://large/k: "),
        (
            403,
            "cannot fetch s3://large/k: access denied; grant `s3:GetObject` (without `s3:ListBucket`, S3 also denies access to missing objects)",
        ),
    ] {
        let (failing, _) = objects(vec![(status, "")]).await;
        let error = failing.fetch(pointer("large", "k")).await.unwrap_err();
        assert!(matches!(error, Error::Failed { .. }), "{status}: {error:?}");
        assert!(error.to_string().starts_with(expected), "{status}: {error}");
    }
}

#[tokio::test]
async fn missing_too_large_and_forbidden_objects_have_distinct_errors() {
    let (objects, requests) = objects(vec![(404, "<Error><Code>NoSuchKey</Code></Error>"), (200, "eleven byte")]).await;
    let missing = objects.fetch(pointer("large", "k")).await;
    assert!(matches!(missing, Err(Error::Missing(_))), "{missing:?}");
    let too_large = objects.fetch(pointer("large", "k")).await;
    assert!(matches!(too_large, Err(Error::TooLarge { size: 11, most: 10, .. })), "{too_large:?}");
    let forbidden = objects.fetch(pointer("private", "k")).await;
    assert!(matches!(forbidden, Err(Error::Forbidden(_))), "{forbidden:?}");
    let impossible = objects.fetch(pointer("large", "a//../b")).await;
    assert!(matches!(impossible, Err(Error::Impossible { .. })), "{impossible:?}");
    assert_eq!(requests.lock().unwrap().len(), 2, "a forbidden or impossible object is not requested");
}

#[tokio::test]
async fn the_number_of_objects_in_memory_is_limited() {
    let (objects, _) = objects(vec![(200, "CAE=")]).await;
    let mut held = Vec::new();
    for _ in 0..MAX_OBJECTS {
        held.push(objects.fetch(pointer("large", "k")).await.unwrap());
    }
    let one_more = timeout(Duration::from_millis(100), objects.fetch(pointer("large", "k"))).await;
    assert!(one_more.is_err(), "the fetch must wait for a free place");
    held.pop();
    objects.fetch(pointer("large", "k")).await.unwrap();
}

#[tokio::test]
async fn a_bucket_exists_unless_s3_answers_that_it_does_not() {
    for (status, body, expected) in [
        (200, "CAE=", Ok(())),
        (404, "<Error><Code>NoSuchKey</Code></Error>", Ok(())),
        (403, "", Ok(())),
        (
            404,
            "<Error><Code>NoSuchBucket</Code></Error>",
            Err("there is no such bucket; create it, or remove it from `envelope.s3_buckets`".to_owned()),
        ),
    ] {
        let (objects, _) = objects(vec![(status, body)]).await;
        let probes = objects.probe().await.into_iter();
        let probes: Vec<_> = probes.map(|(name, result)| (name, result.map_err(|error| error.to_string()))).collect();
        assert_eq!(probes, [("large", expected)]);
    }
}
