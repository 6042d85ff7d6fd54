//! AWS clients whose answers a test writes: the answers of SQS and SNS that no emulator gives.

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
pub(crate) use aws_lean::scripted::{Call, Calls, published, sns_error, sqs_batch};
use aws_lean::scripted::{endpoint, sharing};
use aws_sdk_sqs::config::{Credentials, SharedCredentialsProvider};
use aws_smithy_runtime_api::client::http::SharedHttpConnector;

use super::Clients;
use crate::base::http::Network;
use aws_lean::{Auth, LeanClient};

/// Returns clients that get the status and body that `answer` returns for a call and its number, counted from 0, and
/// the record of the calls. The SDK's clients do not retry.
pub(crate) fn clients(answer: impl Fn(&Call, usize) -> (u16, String) + Send + Sync + 'static) -> (Clients, Calls) {
    let (connector, calls) = endpoint(answer);
    (clients_of(connector), calls)
}

/// Returns clients that make their calls over this connector. The SDK's clients do not retry.
pub(crate) fn clients_of(connector: SharedHttpConnector) -> Clients {
    let shared = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-west-1"))
        .credentials_provider(SharedCredentialsProvider::new(Credentials::for_tests()))
        .retry_config(RetryConfig::disabled())
        .http_client(sharing(connector.clone()))
        .build();
    Clients {
        lean: LeanClient::new(&shared, connector, Auth::of(&shared), Duration::from_secs(10)),
        sqs: aws_sdk_sqs::Client::new(&shared),
        sns: aws_sdk_sns::Client::new(&shared),
        shared,
        network: Network::default(),
    }
}
