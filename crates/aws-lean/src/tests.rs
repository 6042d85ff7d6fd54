use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_sqs::config::{Credentials as Keys, SharedCredentialsProvider};
use aws_smithy_runtime_api::client::connection::CaptureSmithyConnection;
use aws_smithy_runtime_api::client::http::SharedHttpConnector;
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;

use crate::client::{MAX_ANSWER_BYTES, USER_AGENT};
use crate::endpoint::Endpoint;
use crate::scripted::{self, sharing};
use crate::{Auth, Failure, FailureKind, LeanClient, PublishAttribute, PublishEntry, Published, signing};

mod answers;
mod calls;
mod lists;
mod objects;
mod requests;

const QUEUE: &str = "https://sqs.eu-west-1.amazonaws.com/1/orders";
const TOPIC: &str = "arn:aws:sns:eu-west-1:1:acme";
const ATTEMPT: Duration = Duration::from_secs(10);

/// A request that a connector received.
#[derive(Debug, Clone)]
struct Sent {
    uri: String,
    headers: Vec<(String, String)>,
    body: String,
}

impl Sent {
    fn of(request: &HttpRequest) -> Self {
        Self {
            uri: request.uri().to_owned(),
            headers: request.headers().iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            body: String::from_utf8(request.body().bytes().unwrap().to_vec()).unwrap(),
        }
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// The configuration and the connector of all clients in a test, of the lean client and of the SDK's.
#[derive(Clone)]
struct World {
    shared: SdkConfig,
    connector: SharedHttpConnector,
    sent: Arc<Mutex<Vec<Sent>>>,
}

impl World {
    /// Every call gets this answer.
    fn answering(status: u16, headers: &'static [(&'static str, &'static str)], body: &str) -> Self {
        let body = body.to_owned();
        Self::scripted(move || {
            let mut response = HttpResponse::new(status.try_into().unwrap(), body.clone().into());
            for (name, value) in headers {
                response.headers_mut().insert(*name, *value);
            }
            response
        })
    }

    fn scripted(answer: impl Fn() -> HttpResponse + Send + Sync + 'static) -> Self {
        let sent = Arc::<Mutex<Vec<Sent>>>::default();
        let record = Arc::clone(&sent);
        let connector = scripted::connector(move |request| {
            record.lock().unwrap().push(Sent::of(request));
            answer()
        });
        let credentials = Keys::new("key", "secret", Some("token/+=".into()), None, "tests");
        let shared = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-west-1"))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .retry_config(aws_config::retry::RetryConfig::disabled())
            .http_client(sharing(connector.clone()))
            .build();
        Self { shared, connector, sent }
    }

    fn client(&self) -> LeanClient {
        LeanClient::new(&self.shared, self.connector.clone(), Auth::of(&self.shared), ATTEMPT)
    }

    fn sqs(&self) -> aws_sdk_sqs::Client {
        aws_sdk_sqs::Client::new(&self.shared)
    }

    fn sns(&self) -> aws_sdk_sns::Client {
        aws_sdk_sns::Client::new(&self.shared)
    }

    /// Takes the requests that were sent since the last call of this method.
    fn sent(&self) -> Vec<Sent> {
        std::mem::take(&mut *self.sent.lock().unwrap())
    }
}

type Entry<'e> = PublishEntry<
    'e,
    std::iter::Map<std::slice::Iter<'e, (&'e str, &'e str)>, fn(&'e (&'e str, &'e str)) -> PublishAttribute<'e>>,
>;

/// Builds an entry. The attributes are pairs of name and value, of which those of digits are numbers; `fifo` is the group
/// and the deduplication id.
fn entry<'e>(body: &'e str, attributes: &'e [(&'e str, &'e str)], fifo: Option<(&'e str, &'e str)>) -> Entry<'e> {
    PublishEntry {
        body,
        attributes: attributes.iter().map(attribute),
        group: fifo.map(|(group, _)| group),
        deduplication_id: fifo.map(|(_, id)| id),
    }
}

fn attribute<'e>((name, value): &'e (&'e str, &'e str)) -> PublishAttribute<'e> {
    let is_number = value.bytes().all(|byte| byte.is_ascii_digit());
    PublishAttribute { name, data_type: if is_number { "Number" } else { "String" }, value }
}
