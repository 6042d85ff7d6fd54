use std::time::Duration;

use aws_config::BehaviorVersion;
use aws_config::meta::credentials::CredentialsProviderChain;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};
use aws_smithy_runtime_api::client::result::ConnectorError;

use super::*;
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
