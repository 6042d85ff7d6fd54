//! The HTTP client that passes calls to a world instead of sending them over a connection.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region};
use aws_lean::Auth;
use aws_sdk_sqs::config::http::HttpRequest;
use aws_sdk_sqs::config::{Credentials, RuntimeComponents, SharedCredentialsProvider};
use aws_smithy_runtime::client::retries::RetryPartition;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::result::ConnectorError;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use protobridge::aws::{Clients, LeanClient};
use protobridge::base::http::{AnswerBody, BoxError, Network, Transport};
use protobridge::config;
use tokio::sync::oneshot;

use super::bill;
use super::calls::{self, Reply};
use super::lookups::Lookup;
use super::wire::{Answer, Call, Input};
use super::world::World;

/// Returns the clients that the service would build from its default configuration, except that they do not sign.
pub(super) fn clients(world: &World, instance: u32) -> Clients {
    let settings = config::Aws::default();
    let attempt = Duration::from_millis(settings.attempt_timeout_ms);
    let timeout = TimeoutConfig::builder().operation_attempt_timeout(attempt).build();
    let connection = Connection { world: world.clone(), instance };
    // Without partitions of its own, each world would share the SDK's retry budget with the whole process.
    let (sqs, sns) = (RetryPartition::custom("sqs").build(), RetryPartition::custom("sns").build());
    let sqs = aws_sdk_sqs::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-west-1"))
        .allow_no_auth()
        .retry_config(RetryConfig::standard().with_max_attempts(settings.max_attempts))
        .retry_partition(sqs)
        .timeout_config(timeout.clone())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .http_client(connection.clone());
    let sns = aws_sdk_sns::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-west-1"))
        .allow_no_auth()
        .retry_config(RetryConfig::disabled())
        .retry_partition(sns)
        .timeout_config(timeout)
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .http_client(connection.clone());
    let region = Region::new("eu-west-1");
    let shared = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(region)
        // Without credentials the client of S3 asks for them over the network.
        .credentials_provider(SharedCredentialsProvider::new(Credentials::for_tests()))
        .build();
    Clients {
        lean: LeanClient::new(&shared, SharedHttpConnector::new(connection.clone()), Auth::None, attempt),
        sqs: aws_sdk_sqs::Client::from_conf(sqs.build()),
        sns: aws_sdk_sns::Client::from_conf(sns.build()),
        shared,
        network: Network::of(Arc::new(connection)),
    }
}

/// The connection between one run of the service and the world.
#[derive(Debug, Clone)]
struct Connection {
    world: World,
    instance: u32,
}

impl HttpClient for Connection {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Connection {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (this, call) = (self.clone(), Call::of(&request));
        HttpConnectorFuture::new(async move {
            let (world, instance, billed) = (this.world.clone(), this.instance, bill::Request::of(&call));
            let is_put = matches!(call.input, Input::Lookup(Lookup::Put(_)));
            let attempted = world.lock().begin_attempts(instance, &call);
            let answer = this.answer(call).await;
            let mut state = world.lock();
            if let (Ok(answer), Some(attempted)) = (&answer, attempted) {
                state.end_attempts(&attempted, answer);
            }
            let number = state.next_request();
            match (answer, billed) {
                (Ok(answer), billed) => {
                    let id = format!("request-{number}");
                    if let Some(billed) = billed {
                        state.bill(instance).answered(billed, &answer, Some(&id));
                    }
                    let is_stored = is_put && !answer.is_error();
                    let mut response = answer.into_response(&id);
                    if is_stored {
                        response.headers_mut().insert("etag", "\"1\"");
                    }
                    Ok(response)
                }
                (Err(Reset), billed) => {
                    if let Some(billed) = billed {
                        state.bill(instance).reset(&billed);
                    }
                    Err(ConnectorError::io(Reset.into()))
                }
            }
        })
    }
}

/// All plain HTTP is for the schema registry.
#[async_trait]
impl Transport for Connection {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<AnswerBody>, BoxError> {
        let call = Call::look_up(Lookup::of_schema(request.uri().path()));
        let answer = self.clone().answer(call).await?;
        let body = Full::new(Bytes::from(answer.body)).map_err(|never| match never {}).boxed_unsync();
        Ok(Response::builder().status(answer.status).body(body)?)
    }
}

/// The connection was reset.
#[derive(Debug, thiserror::Error)]
#[error("connection reset by peer")]
struct Reset;

impl Connection {
    async fn answer(self, call: Call) -> Result<Answer, Reset> {
        if self.world.is_crashed(self.instance) {
            return pending().await;
        }
        let (reply, answered) = oneshot::channel();
        // The call takes effect even if this future is dropped.
        tokio::spawn(calls::serve(self.world.clone(), self.instance, call, reply));
        match answered.await {
            Ok(_) if self.world.is_crashed(self.instance) => pending().await,
            Ok(Reply::Answer(answer, facts)) => {
                facts.confirm();
                Ok(answer)
            }
            Ok(Reply::Reset) => Err(Reset),
            Err(_) => pending().await,
        }
    }
}
