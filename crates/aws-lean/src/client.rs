//! The client: sends each call once, and reads its answer.

use std::collections::HashMap;
use std::error::Error;
use std::mem::take;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_config::SdkConfig;
use aws_sdk_sqs::error::{ErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::connection::CaptureSmithyConnection;
use aws_smithy_runtime_api::client::http::{HttpConnector as _, SharedHttpConnector};
use aws_smithy_runtime_api::client::identity::Identity;
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use tokio::time::timeout;

use crate::answer::Answer;
use crate::clock::Clock;
use crate::endpoint::Endpoint;
use crate::signing::Unsigned;
use crate::{Auth, Failure, FailureKind, Message, PublishAttribute, PublishEntry, Published, SendEntry};
use crate::{chain, change_visibility, delete, publish, receive, send, signing, sqs_batch};

/// The limit of an answer's body, in bytes. 1 MiB of messages is smaller even in JSON that escapes every character.
pub(crate) const MAX_ANSWER_BYTES: usize = 16 * 1024 * 1024;

/// The user agent of a client that was not given one.
pub(crate) const USER_AGENT: &str = concat!("aws-lean/", env!("CARGO_PKG_VERSION"));

/// A client for ReceiveMessage, ChangeMessageVisibilityBatch, DeleteMessageBatch, SendMessageBatch, PublishBatch,
/// GetObject and PutObject. Cheap to clone.
#[derive(Debug, Clone)]
pub struct LeanClient {
    shared: Arc<Shared>,
    user_agent: &'static str,
}

#[derive(Debug)]
struct Shared {
    connector: SharedHttpConnector,
    auth: Auth,
    /// The time limit of one call.
    attempt: Duration,
    /// The endpoint of SQS, or the failure of every call to it.
    sqs: Result<Endpoint, Failure>,
    /// The endpoint of SNS, or the failure of every call to it.
    sns: Result<Endpoint, Failure>,
    clock: Clock,
}

/// The error of a call whose answer did not come in time.
#[derive(Debug, thiserror::Error)]
#[error("no answer within {0:?}")]
struct NoAnswerWithin(Duration);

/// How long a call waits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wait {
    /// The time until the answer begins.
    pub(crate) begin: Duration,
    /// The time until the answer is complete.
    pub(crate) whole: Duration,
}

impl From<Duration> for Wait {
    fn from(longest: Duration) -> Self {
        Self { begin: longest, whole: longest }
    }
}

/// The parts of a request that differ between operations.
struct Call {
    content_type: &'static str,
    /// The operation, for a protocol that names it in a header.
    target: Option<&'static str>,
    body: Vec<u8>,
}

impl Call {
    fn json(target: &'static str, body: serde_json::Result<Vec<u8>>) -> Result<Self, Failure> {
        let body = body.map_err(|error| Failure::invalid_entry(&error))?;
        Ok(Self { content_type: "application/x-amz-json-1.0", target: Some(target), body })
    }
}

impl LeanClient {
    /// Creates a client that sends its calls over `connector`, to the endpoints that the SDK's rules give for the
    /// configuration `shared`. It makes no call.
    ///
    /// `attempt` is the time limit of one call, from the end of signing to the last byte of the answer. A long poll can
    /// take its wait time in addition.
    pub fn new(shared: &SdkConfig, connector: SharedHttpConnector, auth: Auth, attempt: Duration) -> Self {
        let sqs = Endpoint::sqs(shared).map_err(|error| Failure::of_no_answer(&error));
        let sns = Endpoint::sns(shared).map_err(|error| Failure::of_no_answer(&error));
        let shared = Shared { connector, auth, attempt, sqs, sns, clock: Clock::default() };
        Self { shared: Arc::new(shared), user_agent: USER_AGENT }
    }

    /// Sets the `User-Agent` header of every call, such as `my-service/1.2.3`.
    #[must_use]
    pub fn with_user_agent(mut self, user_agent: &'static str) -> Self {
        self.user_agent = user_agent;
        self
    }

    /// Receives at most [`MAX_BATCH_ENTRIES`](crate::MAX_BATCH_ENTRIES) messages, with all message attributes. The call
    /// waits up to `wait` seconds for a message. SQS then hides the messages for `visibility_timeout` seconds.
    ///
    /// # Errors
    /// Returns an error if the call failed, or if its answer did not come or cannot be read.
    pub async fn receive(&self, queue_url: &str, wait: i32, visibility_timeout: i32) -> Result<Vec<Message>, Failure> {
        let call = Call::json("AmazonSQS.ReceiveMessage", receive::request(queue_url, wait, visibility_timeout))?;
        let longest = self.shared.attempt + Duration::from_secs(wait.unsigned_abs().into());
        receive::outcome(&self.send(&self.shared.sqs, call, longest).await?)
    }

    /// Publishes a batch to one topic. Returns the result of each entry, in the order of the entries: the ids that SNS
    /// gave to its message, or its failure with the request id of the call. An entry that the answer does not mention
    /// counts as failed.
    ///
    /// # Errors
    /// Returns an error if the whole call failed, or if its answer did not come or cannot be read.
    pub async fn publish<'e, A>(
        &self,
        topic: &str,
        entries: impl ExactSizeIterator<Item = PublishEntry<'e, A>> + Clone,
    ) -> Result<Vec<Result<Published, Failure>>, Failure>
    where
        A: Iterator<Item = PublishAttribute<'e>> + Clone,
    {
        let count = entries.len();
        let body = publish::form(topic, entries);
        let call = Call { content_type: "application/x-www-form-urlencoded", target: None, body };
        publish::outcome(&self.send(&self.shared.sns, call, self.shared.attempt).await?, count)
    }

    /// Deletes messages of one queue by their receipt handles. Returns the failed entries by index. An entry that the
    /// answer does not mention counts as failed.
    ///
    /// # Errors
    /// Returns an error if the whole call failed, or if its answer did not come or cannot be read.
    pub async fn delete<'h>(
        &self,
        queue_url: &'h str,
        handles: impl ExactSizeIterator<Item = &'h str>,
    ) -> Result<HashMap<usize, Failure>, Failure> {
        let count = handles.len();
        let call = Call::json("AmazonSQS.DeleteMessageBatch", delete::request(queue_url, handles))?;
        sqs_batch::outcome(&self.send(&self.shared.sqs, call, self.shared.attempt).await?, count)
    }

    /// Changes how long messages of one queue stay hidden from now on. `changes` are receipt handles with the new timeouts
    /// in seconds, at most 43,200; with 0 a message is visible at once. Returns the failed entries by index. An entry that
    /// the answer does not mention counts as failed.
    ///
    /// # Errors
    /// Returns an error if the whole call failed, or if its answer did not come or cannot be read.
    pub async fn change_visibility<'h>(
        &self,
        queue_url: &'h str,
        changes: impl ExactSizeIterator<Item = (&'h str, u32)>,
    ) -> Result<HashMap<usize, Failure>, Failure> {
        let count = changes.len();
        let call =
            Call::json("AmazonSQS.ChangeMessageVisibilityBatch", change_visibility::request(queue_url, changes))?;
        sqs_batch::outcome(&self.send(&self.shared.sqs, call, self.shared.attempt).await?, count)
    }

    /// Sends messages to one queue. Returns the failed entries by index. An entry that the answer does not mention counts
    /// as failed.
    ///
    /// # Errors
    /// Returns an error if the whole call failed, or if its answer did not come or cannot be read.
    pub async fn send_messages<'e>(
        &self,
        queue_url: &str,
        entries: impl ExactSizeIterator<Item = SendEntry<'e>>,
    ) -> Result<HashMap<usize, Failure>, Failure> {
        let count = entries.len();
        let call = Call::json("AmazonSQS.SendMessageBatch", send::request(queue_url, entries))?;
        sqs_batch::outcome(&self.send(&self.shared.sqs, call, self.shared.attempt).await?, count)
    }

    /// Sends a call and waits at most `longest` for the whole answer.
    async fn send(&self, to: &Result<Endpoint, Failure>, call: Call, longest: Duration) -> Result<Answer, Failure> {
        let endpoint = to.as_ref().map_err(Clone::clone)?;
        let request = self.request(endpoint, call).await?;
        self.send_request(request, longest, MAX_ANSWER_BYTES).await.map_err(Failure::from)
    }

    /// Sends a request and waits for the whole answer. The body of a successful answer can have `max_bytes` bytes.
    pub(crate) async fn send_request(
        &self,
        request: HttpRequest,
        wait: impl Into<Wait>,
        max_bytes: usize,
    ) -> Result<Answer, NoAnswer> {
        let wait = wait.into();
        // The handle by which a failed connection is taken out of the pool.
        let connection = CaptureSmithyConnection::new();
        let result = match timeout(wait.whole, self.exchange(request, &connection, wait.begin, max_bytes)).await {
            Ok(result) => result,
            Err(_) => Err(Failure::of_no_answer(&NoAnswerWithin(wait.whole)).into()),
        };
        if result.as_ref().map_or(true, |answer| answer.status >= 500)
            && let Some(connection) = connection.get()
        {
            connection.poison();
        }
        if let Ok(answer) = &result
            && matches!(answer.status, 400..=403)
            && let Some(date) = answer.headers.get("date")
        {
            self.shared.clock.learn(date, SystemTime::now());
        }
        result
    }

    async fn request(&self, endpoint: &Endpoint, call: Call) -> Result<HttpRequest, Failure> {
        let Call { content_type, target, body } = call;
        let mut request = HttpRequest::new(SdkBody::empty());
        request.set_method("POST").map_err(|error| Failure::of_no_answer(&error))?;
        let Ok(()) = request.set_uri(endpoint.uri.clone());
        request.headers_mut().insert("content-type", content_type);
        if let Some(target) = target {
            request.headers_mut().insert("x-amz-target", target);
        }
        self.sign(|identity, now| signing::add_signature(&mut request, &body, endpoint, identity, now)).await?;
        if target.is_some() {
            // Asks SQS to send the error codes of its older protocol, too. Added after signing, so it is not signed.
            request.headers_mut().insert("x-amzn-query-mode", "true");
        }
        request.headers_mut().insert("content-length", body.len().to_string());
        request.headers_mut().insert("user-agent", self.user_agent);
        *request.body_mut() = SdkBody::from(body);
        Ok(request)
    }

    /// Lets `sign` sign a request, unless calls are not signed.
    pub(crate) async fn sign(
        &self,
        sign: impl FnOnce(&Identity, SystemTime) -> Result<(), Unsigned>,
    ) -> Result<(), Failure> {
        let Auth::Signed(credentials) = &self.shared.auth else { return Ok(()) };
        let credentials = credentials.get().await.map_err(|error| Failure::of_no_answer(&error))?;
        sign(&credentials.identity, self.shared.clock.now()).map_err(|error| Failure::of_no_answer(&error))
    }

    /// Returns the value of the `User-Agent` header.
    pub(crate) fn user_agent(&self) -> &'static str {
        self.user_agent
    }

    /// Returns the time limit of one call.
    pub(crate) fn attempt(&self) -> Duration {
        self.shared.attempt
    }

    async fn exchange(
        &self,
        mut request: HttpRequest,
        connection: &CaptureSmithyConnection,
        begin: Duration,
        max_bytes: usize,
    ) -> Result<Answer, NoAnswer> {
        request.add_extension(connection.clone());
        let mut response: HttpResponse = match timeout(begin, self.shared.connector.call(request)).await {
            Ok(Ok(response)) => response,
            // The same failure as that of an SDK client's call.
            Ok(Err(error)) => {
                return Err(Failure::of_call(&SdkError::<ErrorMetadata, _>::dispatch_failure(error)).into());
            }
            Err(_) => return Err(Failure::of_no_answer(&NoAnswerWithin(begin)).into()),
        };
        let (status, headers) = (response.status().as_u16(), take(response.headers_mut()));
        let limit = if response.status().is_success() { max_bytes } else { MAX_ANSWER_BYTES };
        let size = headers.get("content-length").and_then(|size| size.parse().ok());
        if size.is_some_and(|size: u64| size > limit as u64) {
            return Err(NoAnswer::TooLarge { size });
        }
        match Limited::new(response.into_body(), limit).collect().await {
            Ok(body) => Ok(Answer { status, headers, body: body.to_bytes() }),
            Err(error) if error.is::<LengthLimitError>() => Err(NoAnswer::TooLarge { size: None }),
            Err(error) => Err(breaks_off(&*error).into()),
        }
    }
}

/// Why a request has no complete answer.
#[derive(Debug)]
pub(crate) enum NoAnswer {
    /// The body of the answer is larger than allowed.
    TooLarge {
        /// Its size in bytes, if the answer says it.
        size: Option<u64>,
    },
    /// The call failed.
    Failed(Failure),
}

impl From<Failure> for NoAnswer {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<NoAnswer> for Failure {
    fn from(no_answer: NoAnswer) -> Self {
        match no_answer {
            NoAnswer::TooLarge { .. } => breaks_off(&TooLong),
            NoAnswer::Failed(failure) => failure,
        }
    }
}

/// The error of an answer that is longer than the client reads.
#[derive(Debug, thiserror::Error)]
#[error("length limit exceeded")]
struct TooLong;

fn breaks_off(error: &(dyn Error + 'static)) -> Failure {
    let message = format!("the answer breaks off: {}", chain(error));
    Failure { kind: FailureKind::Transient, code: None, message, request_id: None }
}
