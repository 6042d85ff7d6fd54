//! The wire formats: JSON for SQS and the schema registry; form fields in requests to SNS; XML in answers of SNS and in
//! errors of S3.

use std::borrow::Cow;
use std::sync::Arc;

use aws_sdk_sqs::config::http::{HttpRequest, HttpResponse};
use serde::Deserialize;
use serde_json::{Value, json};

use super::lookups::Lookup;

/// One call.
#[derive(Debug)]
pub(super) struct Call {
    /// The name of the operation, such as `DeleteMessageBatch`.
    pub(super) operation: String,
    pub(super) input: Input,
}

#[derive(Debug)]
pub(super) enum Input {
    Sqs(SqsInput),
    Sns(Form),
    Lookup(Lookup),
}

/// The fields of a request to SQS. Which of them a request has depends on the operation.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct SqsInput {
    pub(super) queue_url: String,
    pub(super) queue_name: String,
    pub(super) attributes: Value,
    pub(super) max_number_of_messages: Option<u64>,
    pub(super) visibility_timeout: Option<u64>,
    pub(super) wait_time_seconds: Option<u64>,
    /// The entries of a batch. An operation that is not a batch has one entry.
    pub(super) entries: Vec<SqsEntry>,
}

/// The fields of an entry of a batch, or of the only entry of an operation that is not a batch.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct SqsEntry {
    pub(super) id: String,
    pub(super) receipt_handle: Option<String>,
    pub(super) visibility_timeout: u64,
    pub(super) message_body: String,
    pub(super) message_attributes: Value,
    pub(super) message_group_id: Option<String>,
    pub(super) message_deduplication_id: Option<String>,
}

/// A field of a form, with the fields whose names continue its name: `Name`, `List.member.1.Name`, `Map.entry.1.Name`.
/// The form itself is a field without a name.
#[derive(Debug, Default)]
pub(super) struct Form {
    name: String,
    value: String,
    fields: Vec<Form>,
}

/// The answer to one call.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// The value of `x-amzn-query-error`: the code that SQS used before it spoke JSON.
    query_error: Option<String>,
    is_html: bool,
    pub(super) body: String,
}

impl Call {
    pub(super) fn of(request: &HttpRequest) -> Self {
        let body = request.body().bytes().unwrap_or_default();
        match request.headers().get("x-amz-target") {
            Some(target) => {
                let operation = target.rsplit('.').next().unwrap_or_default();
                Self { operation: operation.to_owned(), input: Input::Sqs(SqsInput::parse(operation, body)) }
            }
            None if request.method() == "PUT" => {
                let sha256 = request.headers().get("x-amz-checksum-sha256");
                Self::look_up(Lookup::of_put(request.uri(), body, sha256))
            }
            None if request.method() == "GET" => Self::look_up(Lookup::of_object(request.uri())),
            None => {
                let form = Form::parse(std::str::from_utf8(body).expect("a form is ASCII"));
                Self { operation: form.text("Action").to_owned(), input: Input::Sns(form) }
            }
        }
    }

    /// Returns the call for a lookup.
    pub(super) fn look_up(lookup: Lookup) -> Self {
        Self { operation: "lookup".to_owned(), input: Input::Lookup(lookup) }
    }

    /// Returns the function that makes the error answers of the called service.
    pub(super) fn error(&self) -> fn(u16, &str, &str) -> Answer {
        match self.input {
            Input::Sqs(_) => Answer::sqs_error,
            Input::Sns(_) => Answer::sns_error,
            Input::Lookup(Lookup::Object { .. } | Lookup::Put(_)) => Answer::s3_error,
            Input::Lookup(Lookup::Schema(_)) => Answer::registry_error,
        }
    }
}

impl SqsInput {
    fn parse(operation: &str, body: &[u8]) -> Self {
        let mut input: Self = serde_json::from_slice(body).expect("the client sends JSON with the fields of SQS");
        if matches!(operation, "SendMessage" | "DeleteMessage" | "ChangeMessageVisibility") {
            input.entries = vec![serde_json::from_slice(body).expect("the client sends JSON with the fields of SQS")];
        }
        input
    }
}

impl Form {
    fn parse(body: &str) -> Self {
        let mut form = Self::default();
        for (name, value) in body.split('&').filter_map(|pair| pair.split_once('=')) {
            form.insert(&unescape(name)).value = unescape(value).into_owned();
        }
        form
    }

    /// Returns the field with this name. Creates it if it is missing.
    fn insert(&mut self, name: &str) -> &mut Self {
        name.split('.').fold(self, |form, part| {
            // A client sends the fields of an element together, so the last field is the most likely one.
            let at = form.fields.iter().rposition(|field| field.name == part).unwrap_or_else(|| {
                form.fields.push(Self { name: part.to_owned(), ..Self::default() });
                form.fields.len() - 1
            });
            &mut form.fields[at]
        })
    }

    fn find(&self, name: &str) -> Option<&Self> {
        name.split('.').try_fold(self, |form, part| form.fields.iter().find(|field| field.name == part))
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.find(name).map(|field| field.value.as_str())
    }

    /// Returns the text of a field, or the empty string if the field is missing.
    pub(super) fn text(&self, name: &str) -> &str {
        self.get(name).unwrap_or_default()
    }

    /// Returns the elements of a list. `prefix` is `List.member` or `Map.entry`.
    ///
    /// # Panics
    ///
    /// Panics if the elements are not numbered in order.
    pub(super) fn list(&self, prefix: &str) -> &[Self] {
        let elements = self.find(prefix).map_or(&[][..], |list| &list.fields);
        let is_in_order = |(index, element): (usize, &Self)| element.name.parse() == Ok(index + 1);
        assert!(elements.iter().enumerate().all(is_in_order), "the elements of {prefix} are not in order");
        elements
    }
}

/// Decodes a name or a value of a form.
fn unescape(text: &str) -> Cow<'_, str> {
    if !text.bytes().any(|byte| matches!(byte, b'%' | b'+')) {
        return text.into();
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        match (first, after) {
            (b'%', [high, low, after @ ..]) => {
                let digit = |byte: u8| (byte as char).to_digit(16).unwrap_or_default() as u8;
                bytes.push(digit(*high) << 4 | digit(*low));
                rest = after;
            }
            (b'+', _) => bytes.push(b' '),
            _ => bytes.push(*first),
        }
    }
    String::from_utf8(bytes).expect("the SDK sends UTF-8").into()
}

/// Escapes text for XML.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

impl Answer {
    /// Returns the SQS answer to a call that succeeded.
    pub(super) fn sqs(value: &Value) -> Self {
        Self::plain(value.to_string())
    }

    /// Returns the answer to a call that succeeded, with this body.
    pub(super) fn plain(body: String) -> Self {
        Self { status: 200, query_error: None, is_html: false, body }
    }

    /// Returns the SQS answer to a call that failed.
    pub(super) fn sqs_error(status: u16, code: &str, message: &str) -> Self {
        let fault = if status < 500 { "Sender" } else { "Receiver" };
        let old_code = match code {
            "QueueDoesNotExist" => "AWS.SimpleQueueService.NonExistentQueue".to_owned(),
            "EmptyBatchRequest"
            | "TooManyEntriesInBatchRequest"
            | "BatchEntryIdsNotDistinct"
            | "BatchRequestTooLong"
            | "InvalidBatchEntryId" => format!("AWS.SimpleQueueService.{code}"),
            _ => code.to_owned(),
        };
        let body = json!({"__type": format!("com.amazonaws.sqs#{code}"), "message": message}).to_string();
        Self { status, query_error: Some(format!("{old_code};{fault}")), is_html: false, body }
    }

    /// Returns the SNS answer to a call that succeeded. `result` is XML.
    pub(super) fn sns(operation: &str, result: &str) -> Self {
        let result = format!("<{operation}Result>{result}</{operation}Result>");
        Self {
            status: 200,
            query_error: None,
            is_html: false,
            body: format!("<{operation}Response>{result}</{operation}Response>"),
        }
    }

    /// Returns the SNS answer to a call that failed.
    pub(super) fn sns_error(status: u16, code: &str, message: &str) -> Self {
        let fault = if status < 500 { "Sender" } else { "Receiver" };
        let error = format!("<Type>{fault}</Type><Code>{code}</Code><Message>{message}</Message>");
        Self {
            status,
            query_error: None,
            is_html: false,
            body: format!("<ErrorResponse><Error>{error}</Error></ErrorResponse>"),
        }
    }

    /// Returns the S3 answer to a call that failed.
    pub(super) fn s3_error(status: u16, code: &str, message: &str) -> Self {
        let body = format!("<Error><Code>{code}</Code><Message>{message}</Message></Error>");
        Self { status, query_error: None, is_html: false, body }
    }

    /// Returns the answer of the schema registry to a call that failed.
    pub(super) fn registry_error(status: u16, code: &str, message: &str) -> Self {
        let body = json!({"error_code": code, "message": message}).to_string();
        Self { status, query_error: None, is_html: false, body }
    }

    /// Returns the answer of a proxy between the client and AWS: a status without an AWS error code.
    pub(super) fn gateway(status: u16) -> Self {
        Self { status, query_error: None, is_html: false, body: String::new() }
    }

    /// Returns the answer of a proxy that explains a status in HTML.
    pub(super) fn html(status: u16) -> Self {
        let page = "<html>\r\n<head><title>Error</title></head>\r\n<body>\r\n<h1>The proxy cannot help</h1>\r\n\
                    <hr>proxy/1.2 &nbsp; &copy;\r\n</body>\r\n</html>\r\n";
        Self { status, query_error: None, is_html: true, body: page.to_owned() }
    }

    pub(super) fn is_error(&self) -> bool {
        self.status >= 300
    }

    /// Returns the error codes in the answer: of the call, or of its entries in their order.
    pub(super) fn codes(&self) -> Vec<&str> {
        match &self.query_error {
            Some(code) => code.split(';').take(1).collect(),
            None => self.body.split("<Code>").skip(1).filter_map(|rest| Some(rest.split_once("</Code>")?.0)).collect(),
        }
    }

    pub(super) fn into_response(self, request_id: &str) -> HttpResponse {
        let status = self.status.try_into().expect("the number is a status code");
        let mut response = HttpResponse::new(status, self.body.into());
        if self.is_html {
            response.headers_mut().insert("content-type", "text/html");
            return response;
        }
        response.headers_mut().insert("x-amzn-requestid", request_id.to_owned());
        if let Some(code) = self.query_error {
            response.headers_mut().insert("x-amzn-query-error", code);
        }
        response
    }
}

/// The failure of one entry of a batch.
#[derive(Debug, Clone)]
pub(super) struct Failed {
    pub(super) code: &'static str,
    pub(super) sender_fault: bool,
}

/// The result of one entry of an SQS batch. An entry that sends a message returns the id of the message.
pub(super) type SqsResult = Result<Option<Arc<str>>, Failed>;

/// Returns the SQS answer to a batch. Each entry has its id, which [`batch_error`] has accepted, and its result.
pub(super) fn sqs_batch<'i>(entries: impl Iterator<Item = (&'i str, SqsResult)>) -> Answer {
    let (mut successful, mut failed) = (Vec::new(), Vec::new());
    for (id, result) in entries {
        match result {
            Ok(Some(message)) => {
                successful.push(format!("{{\"Id\":\"{id}\",\"MessageId\":\"{message}\",\"MD5OfMessageBody\":\"\"}}"));
            }
            Ok(None) => successful.push(format!("{{\"Id\":\"{id}\"}}")),
            Err(Failed { code, sender_fault }) => failed.push(format!(
                "{{\"Id\":\"{id}\",\"Code\":\"{code}\",\"SenderFault\":{sender_fault},\"Message\":\"drawn by the model\"}}"
            )),
        }
    }
    Answer::plain(format!("{{\"Successful\":[{}],\"Failed\":[{}]}}", successful.join(","), failed.join(",")))
}

/// An entry that SNS accepted: the number of its publish, and whether its topic is a FIFO topic.
#[derive(Debug, Clone, Copy)]
pub(super) struct Published {
    pub(super) number: u64,
    pub(super) fifo: bool,
}

impl Published {
    /// Returns the ids that SNS gives to the message. The sequence numbers of a FIFO topic have 20 digits and grow.
    pub(super) fn xml(self) -> String {
        const FIRST: u64 = 10_000_000_000_000_000_000;
        let Self { number, fifo } = self;
        let sequence =
            if fifo { format!("<SequenceNumber>{}</SequenceNumber>", FIRST + number) } else { String::new() };
        format!("<MessageId>sns-{number}</MessageId>{sequence}")
    }
}

/// Returns the SNS answer to PublishBatch. Each entry has its id, and what SNS says about it.
pub(super) fn sns_batch(entries: Vec<(String, Result<Published, Failed>)>) -> Answer {
    let (mut successful, mut failed) = (String::new(), String::new());
    for (id, result) in entries {
        let id = escape(&id);
        match result {
            Ok(published) => successful += &format!("<member><Id>{id}</Id>{}</member>", published.xml()),
            Err(Failed { code, sender_fault }) => {
                failed += &format!(
                    "<member><Id>{id}</Id><Code>{code}</Code><Message>drawn by the model</Message>\
                     <SenderFault>{sender_fault}</SenderFault></member>"
                );
            }
        }
    }
    Answer::sns("PublishBatch", &format!("<Successful>{successful}</Successful><Failed>{failed}</Failed>"))
}

/// Whether SQS and SNS accept this text as the body of a message.
pub(super) fn is_allowed(body: &str) -> bool {
    let allowed = |c: char| matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..='\u{10ffff}');
    !body.is_empty() && body.chars().all(allowed)
}

/// Returns the error code if a batch must be refused as a whole because of its entry ids or its total size.
pub(super) fn batch_error<'i>(
    ids: impl Iterator<Item = &'i str>,
    bytes: usize,
    max_bytes: usize,
) -> Option<&'static str> {
    let mut ids: Vec<&str> = ids.collect();
    let count = ids.len();
    let is_id = |id: &&str| {
        (1..=80).contains(&id.len())
            && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    let all_are_ids = ids.iter().all(is_id);
    ids.sort_unstable();
    ids.dedup();
    match () {
        () if count == 0 => Some("EmptyBatchRequest"),
        () if count > 10 => Some("TooManyEntriesInBatchRequest"),
        () if !all_are_ids => Some("InvalidBatchEntryId"),
        () if ids.len() < count => Some("BatchEntryIdsNotDistinct"),
        () if bytes > max_bytes => Some("BatchRequestTooLong"),
        () => None,
    }
}
