use std::collections::BTreeSet;
use std::time::Duration;

use aws_config::BehaviorVersion;
use aws_config::meta::credentials::CredentialsProviderChain;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};
use aws_smithy_runtime_api::client::result::ConnectorError;

use super::*;
use crate::codes::{CODES, THROTTLING_PREFIX};
use crate::scripted;

/// A provider that fails with an error of this kind.
#[derive(Debug, Clone, Copy)]
enum Provider {
    /// It has no credentials.
    Empty,
    /// It has failed.
    Broken,
    /// It did not answer in time.
    Slow,
    /// Its configuration is wrong.
    Misconfigured,
}

impl Provider {
    fn error(self) -> CredentialsError {
        match self {
            Self::Empty => CredentialsError::not_loaded("no variable is set"),
            Self::Broken => CredentialsError::provider_error("STS answered 503"),
            Self::Slow => CredentialsError::provider_timed_out(Duration::from_secs(1)),
            Self::Misconfigured => CredentialsError::invalid_configuration("unknown profile"),
        }
    }
}

impl ProvideCredentials for Provider {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::ready(Err(self.error()))
    }
}

/// The failure of a call of the SDK's client with this provider.
async fn sdk_call(provider: SharedCredentialsProvider) -> Failure {
    let config = aws_sdk_sqs::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(aws_config::Region::new("eu-west-1"))
        .credentials_provider(provider)
        .retry_config(aws_config::retry::RetryConfig::disabled())
        .http_client(scripted::sharing(scripted::endpoint(|_, _| (200, "{}".into())).0))
        .build();
    let call = aws_sdk_sqs::Client::from_conf(config).receive_message().queue_url("q").send();
    Failure::of_call(&call.await.unwrap_err())
}

#[tokio::test]
async fn an_sdk_call_is_denied_if_its_provider_fails() {
    for (provider, text) in [
        (Provider::Broken, "STS answered 503"),
        (Provider::Slow, "timed out after 1 seconds"),
        (Provider::Misconfigured, "unknown profile"),
        (Provider::Empty, "no variable is set"),
    ] {
        let failure = sdk_call(SharedCredentialsProvider::new(provider)).await;
        assert_eq!(failure.kind, FailureKind::Denied, "{failure}");
        assert!(failure.message.contains(text), "{failure}");
    }
}

#[tokio::test]
async fn an_sdk_call_without_any_credentials_says_so_in_one_line() {
    let chain = CredentialsProviderChain::first_try("Environment", Provider::Empty).or_else("Profile", Provider::Empty);
    let failure = sdk_call(SharedCredentialsProvider::new(chain)).await;
    assert_eq!((failure.kind, &*failure.message), (FailureKind::Denied, "no AWS credentials found"));
}

#[test]
fn an_error_that_only_mentions_credentials_is_transient() {
    let error = ConnectorError::io("cannot connect to credentials.example: no credentials found there".into());
    let failure = Failure::of_call(&SdkError::<aws_sdk_sqs::error::ErrorMetadata, _>::dispatch_failure(error));
    assert_eq!(failure.kind, FailureKind::Transient, "{failure}");
    assert!(failure.message.contains("credentials.example"), "{failure}");
}

/// All codes of SNS, SQS, KMS and S3 that are known to mean throttling.
const THROTTLES: [&str; 12] = [
    "KMS.ThrottlingException",
    "KMSThrottling",
    "KMSThrottlingException",
    "KmsThrottled",
    "OverLimit",
    "RequestThrottled",
    "RequestThrottledException",
    "SlowDown",
    "Throttled",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
];

#[test]
fn the_table_lists_every_known_throttling_code() {
    let listed = CODES.iter().filter(|(_, kind)| *kind == FailureKind::Throttled).map(|(code, _)| *code);
    assert_eq!(listed.collect::<BTreeSet<_>>(), BTreeSet::from(THROTTLES));
}

#[test]
fn a_known_code_decides_before_the_status_and_the_sender_fault() {
    let longer = format!("{THROTTLING_PREFIX}OfANewKind");
    let codes = CODES.iter().copied().chain([(&*longer, FailureKind::Throttled)]);
    for (code, kind) in codes {
        for sender_fault in [true, false] {
            assert_eq!(Failure::of_entry(code, None, sender_fault).kind, kind, "{code}, sender fault {sender_fault}");
        }
        for status in [400, 403, 404, 429, 500] {
            assert_eq!(Failure::of_answer(status, Some(code), String::new(), None).kind, kind, "{code}, {status}");
        }
    }
}

#[test]
fn the_table_lists_every_code_once() {
    let codes: BTreeSet<_> = CODES.iter().map(|(code, _)| code).collect();
    assert_eq!(codes.len(), CODES.len());
}

#[test]
fn an_answer_without_a_known_code_is_classified_by_its_status() {
    let kind = |status, code| Failure::of_answer(status, code, String::new(), None).kind;
    for (status, code, expected) in [
        (403, None, FailureKind::Denied),
        (407, None, FailureKind::Denied),
        (400, Some("RequestExpired"), FailureKind::Denied),
        (404, None, FailureKind::NotFound),
        (302, None, FailureKind::Transient),
        (405, None, FailureKind::Transient),
        (408, None, FailureKind::Transient),
        (503, Some("New"), FailureKind::Transient),
        (429, None, FailureKind::Throttled),
        (400, Some("InvalidParameter"), FailureKind::Refused),
        (413, None, FailureKind::Refused),
        (422, Some("New"), FailureKind::Refused),
    ] {
        assert_eq!(kind(status, code), expected, "{status} {code:?}");
    }
}

#[test]
fn an_entry_with_an_unknown_code_is_classified_by_its_sender_fault() {
    assert_eq!(Failure::of_entry("InvalidParameter", Some("x"), true).kind, FailureKind::Refused);
    assert_eq!(Failure::of_entry("SomethingNew", Some("x"), false).kind, FailureKind::Transient);
    assert!(!Failure::of_entry("AuthorizationError", None, true).is_passing());
}

#[test]
fn the_chain_of_an_error_has_each_text_once() {
    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Link {
        text: &'static str,
        source: Option<Box<Self>>,
    }
    let link = |text, source: Option<Link>| Link { text, source: source.map(Box::new) };
    let error = link("outer: middle", Some(link("middle", Some(link("inner", None)))));
    assert_eq!(chain(&error), "outer: middle: inner");
}
