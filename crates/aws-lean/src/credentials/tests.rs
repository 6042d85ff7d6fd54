use std::sync::atomic::{AtomicUsize, Ordering};

use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, future};
use tokio::time::{advance, sleep};

use super::*;
use crate::{Failure, FailureKind};

/// Answers after a second, the first time with the first of these, and so on; the last is its answer for ever. What it
/// finds lasts so many seconds, or for ever.
#[derive(Debug, Clone)]
struct Script {
    answers: Arc<Vec<Result<Option<u64>, &'static str>>>,
    asked: Arc<AtomicUsize>,
}

impl ProvideCredentials for Script {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async {
            let number = self.asked.fetch_add(1, Ordering::Relaxed);
            sleep(Duration::from_secs(1)).await;
            let seconds = self.answers[number.min(self.answers.len() - 1)].map_err(CredentialsError::provider_error)?;
            let expiry = seconds.map(|seconds| SystemTime::now() + Duration::from_secs(seconds));
            Ok(Keys::new(format!("key-{number}"), "secret", None, expiry, "tests"))
        })
    }
}

fn credentials(answers: &[Result<Option<u64>, &'static str>]) -> (Arc<Credentials>, Arc<AtomicUsize>) {
    let script = Script { answers: Arc::new(answers.to_vec()), asked: Arc::default() };
    let asked = Arc::clone(&script.asked);
    (Arc::new(Credentials::new(Some(SharedCredentialsProvider::new(script)))), asked)
}

/// As if so much time had passed since the credentials were loaded.
fn age(credentials: &Credentials, by: Duration) {
    let mut known = credentials.known.write().unwrap();
    let known = known.as_mut().unwrap();
    known.refresh -= by;
    let keys = &known.found.keys;
    let expiry = keys.expiry().map(|expiry| expiry - by);
    known.found = Arc::new(Keys::new(keys.access_key_id(), "secret", None, expiry, "tests").into());
}

async fn key(credentials: &Credentials) -> String {
    credentials.get().await.unwrap().keys.access_key_id().to_owned()
}

#[tokio::test(start_paused = true)]
async fn they_are_kept_and_replaced_before_they_expire() {
    let hour = Duration::from_secs(3_600);
    let (credentials, asked) = credentials(&[Ok(Some(hour.as_secs()))]);
    assert_eq!([key(&credentials).await, key(&credentials).await], ["key-0", "key-0"]);
    age(&credentials, hour - MARGIN - Duration::from_secs(5));
    assert_eq!(key(&credentials).await, "key-0");
    age(&credentials, Duration::from_secs(10));
    assert_eq!([key(&credentials).await, key(&credentials).await], ["key-1", "key-1"]);
    assert_eq!(asked.load(Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn those_that_do_not_expire_are_asked_for_anew_now_and_then() {
    let (credentials, _) = credentials(&[Ok(None)]);
    assert_eq!(key(&credentials).await, "key-0");
    age(&credentials, MARGIN - Duration::from_secs(5));
    assert_eq!(key(&credentials).await, "key-0");
    age(&credentials, Duration::from_secs(10));
    assert_eq!(key(&credentials).await, "key-1");
}

#[tokio::test(start_paused = true)]
async fn those_that_last_less_than_the_margin_are_not_asked_for_at_every_call() {
    let (credentials, asked) = credentials(&[Ok(Some(MARGIN.as_secs() / 2))]);
    for _ in 0..3 {
        assert_eq!(key(&credentials).await, "key-0");
    }
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    age(&credentials, MARGIN / 2);
    assert_eq!(key(&credentials).await, "key-1", "they have expired");
}

#[tokio::test(start_paused = true)]
async fn many_that_ask_at_once_are_one_load() {
    let (credentials, asked) = credentials(&[Ok(Some(3_600))]);
    let callers: Vec<_> = (0..20)
        .map(|_| {
            let credentials = Arc::clone(&credentials);
            tokio::spawn(async move { key(&credentials).await })
        })
        .collect();
    for caller in callers {
        assert_eq!(caller.await.unwrap(), "key-0");
    }
    assert_eq!(asked.load(Ordering::Relaxed), 1);

    age(&credentials, Duration::from_secs(3_500));
    let replacing = tokio::spawn({
        let credentials = Arc::clone(&credentials);
        async move { key(&credentials).await }
    });
    tokio::task::yield_now().await;
    let started = Instant::now();
    assert_eq!(key(&credentials).await, "key-0", "nobody waits who has good ones");
    assert_eq!(started.elapsed(), Duration::ZERO);
    assert_eq!(replacing.await.unwrap(), "key-1");
}

#[tokio::test(start_paused = true)]
async fn the_old_are_used_until_they_expire_when_there_are_no_new_ones() {
    let (credentials, asked) = credentials(&[Ok(Some(3_600)), Err("the service is away"), Ok(Some(3_600))]);
    key(&credentials).await;
    age(&credentials, Duration::from_secs(3_400));
    for _ in 0..3 {
        assert_eq!(key(&credentials).await, "key-0");
    }
    assert_eq!(asked.load(Ordering::Relaxed), 2, "the next attempt is later");
    age(&credentials, PAUSE);
    assert_eq!(key(&credentials).await, "key-2");
}

#[tokio::test(start_paused = true)]
async fn without_any_the_call_is_denied() {
    let (failing, asked) = credentials(&[Err("the service is away")]);
    let both = tokio::join!(failing.get(), failing.get());
    for result in [both.0, both.1] {
        let failure = Failure::of_no_answer(&result.unwrap_err().to_string());
        assert_eq!(failure.kind, FailureKind::Denied);
        assert!(failure.message.contains("the service is away"), "{failure}");
    }
    assert_eq!(asked.load(Ordering::Relaxed), 1, "who waited for a load gets its error");
    advance(Duration::from_secs(1)).await;
    failing.get().await.unwrap_err();
    assert_eq!(asked.load(Ordering::Relaxed), 2, "who comes later has it tried again");

    let none = Failure::of_no_answer(&Credentials::new(None).get().await.unwrap_err().to_string());
    assert_eq!((none.kind, &*none.message), (FailureKind::Denied, "no AWS credentials found"));

    let (expired, _) = credentials(&[Ok(Some(60)), Err("the service is away")]);
    key(&expired).await;
    age(&expired, Duration::from_secs(61));
    expired.get().await.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_does_not_answer_is_not_waited_for() {
    #[derive(Debug)]
    struct Silent;

    impl ProvideCredentials for Silent {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            future::ProvideCredentials::new(std::future::pending())
        }
    }

    let started = Instant::now();
    let error = Credentials::new(Some(SharedCredentialsProvider::new(Silent))).get().await.unwrap_err();
    assert_eq!((started.elapsed(), &*error.to_string()), (LOAD_TIMEOUT, "no AWS credentials within 5s"));
    assert_eq!(Failure::of_no_answer(&error.to_string()).kind, FailureKind::Denied);
}
