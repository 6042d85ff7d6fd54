//! Test support: a connector and an AWS endpoint whose answers a test writes, for answers of SQS and SNS that no
//! emulator gives.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};

/// A recorded call.
#[derive(Debug, Clone)]
pub struct Call {
    /// The operation, such as `DeleteMessageBatch`. It is empty for GetObject.
    pub operation: String,
    /// The URI.
    pub uri: String,
    /// The body: JSON for SQS, form fields for SNS, the content of an object for S3.
    pub body: String,
}

impl Call {
    fn of(request: &HttpRequest) -> Self {
        let body = String::from_utf8_lossy(request.body().bytes().unwrap_or_default()).into_owned();
        let operation = match request.headers().get("x-amz-target") {
            Some(target) => target.rsplit('.').next(),
            None if request.method() == "PUT" => Some("PutObject"),
            None => body.strip_prefix("Action=").and_then(|rest| rest.split('&').next()),
        };
        Self { operation: operation.unwrap_or_default().to_owned(), uri: request.uri().to_owned(), body }
    }

    /// Returns how often `text` occurs in the body.
    pub fn count(&self, text: &str) -> usize {
        self.body.matches(text).count()
    }
}

/// The calls so far, in order.
pub type Calls = Arc<Mutex<Vec<Call>>>;

/// Returns a connector that answers each request with the result of `answer`.
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

/// Returns an HTTP client for the SDK that uses this connector whatever timeouts the SDK asks for.
pub fn sharing(connector: SharedHttpConnector) -> SharedHttpClient {
    http_client_fn(move |_, _| connector.clone())
}

/// Returns a connector to an AWS endpoint, and the record of its calls. `answer` gets a call and its number, counted
/// from 0, and returns the status and the body of the answer. The request id of the first call is `r-1`, that of the
/// second `r-2`.
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
        response.headers_mut().insert("x-amzn-requestid", format!("r-{}", number + 1));
        if call.operation == "PutObject" && response.status().is_success() {
            // S3 has the object.
            response.headers_mut().insert("etag", "\"1\"");
        }
        response
    });
    (connector, calls)
}

/// Returns the answer to a PublishBatch. `successful` lists entry ids, `failed` lists id, code and sender fault.
pub fn published(successful: &[usize], failed: &[(usize, &str, bool)]) -> (u16, String) {
    let good: String =
        successful.iter().map(|id| format!("<member><Id>{id}</Id><MessageId>m-{id}</MessageId></member>")).collect();
    let bad: String = failed
        .iter()
        .map(|(id, code, sender)| {
            format!(
                "<member><Id>{id}</Id><Code>{code}</Code><Message>scripted</Message>\
                 <SenderFault>{sender}</SenderFault></member>"
            )
        })
        .collect();
    let result = format!("<Successful>{good}</Successful><Failed>{bad}</Failed>");
    (200, format!("<PublishBatchResponse><PublishBatchResult>{result}</PublishBatchResult></PublishBatchResponse>"))
}

/// Returns the answer to a call to SNS that failed as a whole.
pub fn sns_error(status: u16, code: &str) -> (u16, String) {
    let error = format!("<Type>Sender</Type><Code>{code}</Code><Message>scripted</Message>");
    (status, format!("<ErrorResponse><Error>{error}</Error></ErrorResponse>"))
}

/// Returns the answer to a batch call to SQS. `failed` lists id, code and sender fault; all other entries succeeded.
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
