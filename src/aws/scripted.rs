//! Clients whose answers a test writes itself: what SQS and SNS say in moments that no emulator brings about.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::{BehaviorVersion, Region};
use aws_sdk_sqs::config::{Credentials, SharedCredentialsProvider};
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};

use super::Clients;
use super::data_plane::{Auth, DataPlane};

/// One call, as it went over the wire.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    /// Such as `DeleteMessageBatch`.
    pub(crate) operation: String,
    /// The body: JSON to SQS, form fields to SNS.
    pub(crate) body: String,
}

impl Call {
    /// How often `text` stands in the body.
    pub(crate) fn count(&self, text: &str) -> usize {
        self.body.matches(text).count()
    }
}

/// The calls made so far.
pub(crate) type Calls = Arc<Mutex<Vec<Call>>>;

/// A connector whose answers come from this function.
pub(crate) fn connector<F>(answer: F) -> SharedHttpConnector
where
    F: Fn(&HttpRequest) -> HttpResponse + Send + Sync + 'static,
{
    struct Scripted<F>(F);

    impl<F> fmt::Debug for Scripted<F> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("Scripted")
        }
    }

    impl<F: Fn(&HttpRequest) -> HttpResponse + Send + Sync> HttpConnector for Scripted<F> {
        fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
            HttpConnectorFuture::ready(Ok((self.0)(&request)))
        }
    }

    SharedHttpConnector::new(Scripted(answer))
}

/// An HTTP client for the SDK that uses this connector, whatever it is asked for.
pub(crate) fn sharing(connector: SharedHttpConnector) -> SharedHttpClient {
    http_client_fn(move |_, _| connector.clone())
}

/// Clients that answer with the status and body that `answer` gives for a call and its number, counted from 0. No
/// retries of the SDK's own.
pub(crate) fn clients(answer: impl Fn(&Call, usize) -> (u16, String) + Send + Sync + 'static) -> (Clients, Calls) {
    let calls = Calls::default();
    let record = Arc::clone(&calls);
    let connector = connector(move |request| {
        let body = String::from_utf8(request.body().bytes().unwrap_or_default().to_vec()).unwrap();
        let operation = match request.headers().get("x-amz-target") {
            Some(target) => target.rsplit('.').next().unwrap().to_owned(),
            None => body.strip_prefix("Action=").and_then(|rest| rest.split('&').next()).unwrap().to_owned(),
        };
        let call = Call { operation, body };
        let number = {
            let mut calls = record.lock().unwrap();
            calls.push(call.clone());
            calls.len() - 1
        };
        let (status, body) = answer(&call, number);
        let mut response = HttpResponse::new(status.try_into().unwrap(), body.into());
        response.headers_mut().insert("x-amzn-requestid", "r-1");
        response
    });
    let shared = aws_config::SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-west-1"))
        .credentials_provider(SharedCredentialsProvider::new(Credentials::for_tests()))
        .retry_config(RetryConfig::disabled())
        .http_client(sharing(connector.clone()))
        .build();
    let clients = Clients {
        data_plane: DataPlane::new(&shared, connector, Auth::of(&shared), Duration::from_secs(10)),
        sqs: aws_sdk_sqs::Client::new(&shared),
        sns: aws_sdk_sns::Client::new(&shared),
        shared,
    };
    (clients, calls)
}

/// The answer to a PublishBatch: the entries with these ids succeeded, those failed with a code and whose fault it was.
pub(crate) fn published(successful: &[usize], failed: &[(usize, &str, bool)]) -> (u16, String) {
    let good: String =
        successful.iter().map(|id| format!("<member><Id>{id}</Id><MessageId>m-{id}</MessageId></member>")).collect();
    let bad: String = failed
        .iter()
        .map(|(id, code, sender)| {
            format!("<member><Id>{id}</Id><Code>{code}</Code><Message>scripted</Message><SenderFault>{sender}</SenderFault></member>")
        })
        .collect();
    let result = format!("<Successful>{good}</Successful><Failed>{bad}</Failed>");
    (200, format!("<PublishBatchResponse><PublishBatchResult>{result}</PublishBatchResult></PublishBatchResponse>"))
}

/// The answer to a call of SNS that failed as a whole.
pub(crate) fn sns_error(status: u16, code: &str) -> (u16, String) {
    let error = format!("<Type>Sender</Type><Code>{code}</Code><Message>scripted</Message>");
    (status, format!("<ErrorResponse><Error>{error}</Error></ErrorResponse>"))
}

/// The answer to a batch call of SQS: all entries succeeded but those, which failed with a code and whose fault it was.
pub(crate) fn sqs_batch(call: &Call, failed: &[(usize, &str, bool)]) -> (u16, String) {
    let count = call.count("\"Id\"");
    let good = (0..count).filter(|id| failed.iter().all(|(bad, ..)| bad != id));
    let good: Vec<_> =
        good.map(|id| serde_json::json!({"Id": id.to_string(), "MessageId": "m", "MD5OfMessageBody": "x"})).collect();
    let failed = failed.iter().filter(|(id, ..)| *id < count).map(|(id, code, sender)| {
        serde_json::json!({"Id": id.to_string(), "Code": code, "SenderFault": sender, "Message": "scripted"})
    });
    (200, serde_json::json!({"Successful": good, "Failed": failed.collect::<Vec<_>>()}).to_string())
}
