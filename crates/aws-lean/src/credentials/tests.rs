use std::sync::atomic::{AtomicUsize, Ordering};

use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, future};
use tokio::time::{advance, sleep};

use super::*;
use crate::{Failure, FailureKind};

/// A provider that answers after a second, each time with the next of its answers, and repeats the last one. An answer
/// is an error, or the lifetime of the credentials in seconds; `None` means that they do not expire.
#[derive(Debug, Clone)]
struct Script {
    answers: Arc<Vec<Result<Option<u64>, &'static str>>>,
    loads: Arc<AtomicUsize>,
}

impl ProvideCredentials for Script {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async {
            let number = self.loads.fetch_add(1, Ordering::Relaxed);
            sleep(Duration::from_secs(1)).await;
            let seconds = self.answers[number.min(self.answers.len() - 1)].map_err(CredentialsError::provider_error)?;
            let expiry = seconds.map(|seconds| SystemTime::now() + Duration::from_secs(seconds));
            Ok(Credentials::new(format!("key-{number}"), "secret", None, expiry, "tests"))
        })
    }
}

/// Returns a cache with a scripted provider, and the number of loads.
fn cache(answers: &[Result<Option<u64>, &'static str>]) -> (Arc<CredentialsCache>, Arc<AtomicUsize>) {
    let script = Script { answers: Arc::new(answers.to_vec()), loads: Arc::default() };
    let loads = Arc::clone(&script.loads);
    (Arc::new(CredentialsCache::new(Some(SharedCredentialsProvider::new(script)))), loads)
}

/// Makes the cached credentials older.
fn age(cache: &CredentialsCache, by: Duration) {
    let mut entry = cache.entry.write().unwrap();
    let entry = entry.as_mut().unwrap();
    entry.refresh -= by;
    let keys = &entry.credentials.keys;
    let expiry = keys.expiry().map(|expiry| expiry - by);
    entry.credentials = Arc::new(Credentials::new(keys.access_key_id(), "secret", None, expiry, "tests").into());
}

async fn key(cache: &CredentialsCache) -> String {
    cache.get().await.unwrap().keys.access_key_id().to_owned()
}

#[tokio::test(start_paused = true)]
async fn credentials_are_cached_and_replaced_before_they_expire() {
    let hour = Duration::from_secs(3_600);
    let (cache, loads) = cache(&[Ok(Some(hour.as_secs()))]);
    assert_eq!([key(&cache).await, key(&cache).await], ["key-0", "key-0"]);
    age(&cache, hour - MARGIN - Duration::from_secs(5));
    assert_eq!(key(&cache).await, "key-0");
    age(&cache, Duration::from_secs(10));
    assert_eq!([key(&cache).await, key(&cache).await], ["key-1", "key-1"]);
    assert_eq!(loads.load(Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn credentials_without_expiry_are_loaded_again_after_the_margin() {
    let (cache, _) = cache(&[Ok(None)]);
    assert_eq!(key(&cache).await, "key-0");
    age(&cache, MARGIN - Duration::from_secs(5));
    assert_eq!(key(&cache).await, "key-0");
    age(&cache, Duration::from_secs(10));
    assert_eq!(key(&cache).await, "key-1");
}

#[tokio::test(start_paused = true)]
async fn credentials_that_last_less_than_the_margin_are_cached() {
    let (cache, loads) = cache(&[Ok(Some(MARGIN.as_secs() / 2))]);
    for _ in 0..3 {
        assert_eq!(key(&cache).await, "key-0");
    }
    assert_eq!(loads.load(Ordering::Relaxed), 1);
    age(&cache, MARGIN / 2);
    assert_eq!(key(&cache).await, "key-1", "the first ones have expired");
}

#[tokio::test(start_paused = true)]
async fn concurrent_callers_share_one_load() {
    let (cache, loads) = cache(&[Ok(Some(3_600))]);
    let callers: Vec<_> = (0..20)
        .map(|_| {
            let cache = Arc::clone(&cache);
            tokio::spawn(async move { key(&cache).await })
        })
        .collect();
    for caller in callers {
        assert_eq!(caller.await.unwrap(), "key-0");
    }
    assert_eq!(loads.load(Ordering::Relaxed), 1);

    age(&cache, Duration::from_secs(3_500));
    let replacing = tokio::spawn({
        let cache = Arc::clone(&cache);
        async move { key(&cache).await }
    });
    tokio::task::yield_now().await;
    let started = Instant::now();
    assert_eq!(key(&cache).await, "key-0");
    assert_eq!(started.elapsed(), Duration::ZERO, "a caller does not wait while the old credentials are valid");
    assert_eq!(replacing.await.unwrap(), "key-1");
}

#[tokio::test(start_paused = true)]
async fn a_failed_replacement_is_repeated_only_after_a_pause() {
    let (cache, loads) = cache(&[Ok(Some(3_600)), Err("the service is away"), Ok(Some(3_600))]);
    key(&cache).await;
    age(&cache, Duration::from_secs(3_400));
    for _ in 0..3 {
        assert_eq!(key(&cache).await, "key-0");
    }
    assert_eq!(loads.load(Ordering::Relaxed), 2, "the failure is followed by a pause");
    age(&cache, PAUSE - Duration::from_secs(5));
    assert_eq!(key(&cache).await, "key-0");
    assert_eq!(loads.load(Ordering::Relaxed), 2, "the pause is not over");
    age(&cache, Duration::from_secs(5));
    assert_eq!(key(&cache).await, "key-2");
}

#[tokio::test(start_paused = true)]
async fn a_call_without_credentials_is_denied() {
    let (failing, loads) = cache(&[Err("the service is away")]);
    let both = tokio::join!(failing.get(), failing.get());
    for result in [both.0, both.1] {
        let failure = Failure::of_no_answer(&result.unwrap_err());
        assert_eq!(failure.kind, FailureKind::Denied);
        assert_eq!(failure.message, "an error occurred while loading credentials: the service is away");
    }
    assert_eq!(loads.load(Ordering::Relaxed), 1, "a caller that waited for a load gets its error");
    advance(Duration::from_secs(1)).await;
    failing.get().await.unwrap_err();
    assert_eq!(loads.load(Ordering::Relaxed), 2, "a later caller starts a new load");

    let none = Failure::of_no_answer(&CredentialsCache::new(None).get().await.unwrap_err());
    assert_eq!((none.kind, &*none.message), (FailureKind::Denied, "no AWS credentials found"));

    let (expired, _) = cache(&[Ok(Some(60)), Err("the service is away")]);
    key(&expired).await;
    age(&expired, Duration::from_secs(61));
    expired.get().await.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_does_not_answer_times_out() {
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
    let error = CredentialsCache::new(Some(SharedCredentialsProvider::new(Silent))).get().await.unwrap_err();
    assert_eq!((started.elapsed(), &*error.to_string()), (LOAD_TIMEOUT, "no AWS credentials within 5s"));
    assert_eq!(Failure::of_no_answer(&error).kind, FailureKind::Denied);
}
