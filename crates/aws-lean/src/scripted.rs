//! Clients whose answers a test writes itself: what SQS and SNS say in moments that no emulator brings about.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};

/// One call, as it went over the wire.
#[derive(Debug, Clone)]
pub struct Call {
    /// Such as `DeleteMessageBatch`.
    pub operation: String,
    /// The body: JSON to SQS, form fields to SNS.
    pub body: String,
}

impl Call {
    fn of(request: &HttpRequest) -> Self {
        let body = String::from_utf8_lossy(request.body().bytes().unwrap_or_default()).into_owned();
        let operation = match request.headers().get("x-amz-target") {
            Some(target) => target.rsplit('.').next(),
            None => body.strip_prefix("Action=").and_then(|rest| rest.split('&').next()),
        };
        Self { operation: operation.unwrap_or_default().to_owned(), body }
    }

    /// How often `text` stands in the body.
    pub fn count(&self, text: &str) -> usize {
        self.body.matches(text).count()
    }
}

/// The calls made so far.
pub type Calls = Arc<Mutex<Vec<Call>>>;

/// A connector whose answers come from this function.
pub fn connector<F>(answer: F) -> SharedHttpConnector
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
pub fn sharing(connector: SharedHttpConnector) -> SharedHttpClient {
    http_client_fn(move |_, _| connector.clone())
}

/// A connector to an AWS endpoint that answers with the status and body that `answer` returns for a call and its
/// number, counted from 0. It also returns the record of the calls.
pub fn endpoint(
    answer: impl Fn(&Call, usize) -> (u16, String) + Send + Sync + 'static,
) -> (SharedHttpConnector, Calls) {
    let calls = Calls::default();
    let record = Arc::clone(&calls);
    let connector = connector(move |request| {
        let call = Call::of(request);
        let number = {
            let mut calls = record.lock().unwrap_or_else(PoisonError::into_inner);
            calls.push(call.clone());
            calls.len() - 1
        };
        let (status, body) = answer(&call, number);
        let status = status.try_into().expect("the test answers with an HTTP status");
        let mut response = HttpResponse::new(status, body.into());
        response.headers_mut().insert("x-amzn-requestid", "r-1");
        response
    });
    (connector, calls)
}

/// The answer to a PublishBatch: the entries with these ids succeeded, those failed with a code and whose fault it was.
pub fn published(successful: &[usize], failed: &[(usize, &str, bool)]) -> (u16, String) {
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
pub fn sns_error(status: u16, code: &str) -> (u16, String) {
    let error = format!("<Type>Sender</Type><Code>{code}</Code><Message>scripted</Message>");
    (status, format!("<ErrorResponse><Error>{error}</Error></ErrorResponse>"))
}

/// The answer to a batch call of SQS: all entries succeeded but those, which failed with a code and whose fault it was.
pub fn sqs_batch(call: &Call, failed: &[(usize, &str, bool)]) -> (u16, String) {
    let count = call.count("\"Id\"");
    let good = (0..count).filter(|id| failed.iter().all(|(bad, ..)| bad != id));
    let good: Vec<_> =
        good.map(|id| serde_json::json!({"Id": id.to_string(), "MessageId": "m", "MD5OfMessageBody": "x"})).collect();
    let failed = failed.iter().filter(|(id, ..)| *id < count).map(|(id, code, sender)| {
        serde_json::json!({"Id": id.to_string(), "Code": code, "SenderFault": sender, "Message": "scripted"})
    });
    (200, serde_json::json!({"Successful": good, "Failed": failed.collect::<Vec<_>>()}).to_string())
}
