//! The HTTP answer to a call.

use bytes::Bytes;
use http_body_util::Full;

/// The answer to a call.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    body: Bytes,
    content_type: &'static str,
    /// The deliveries that the call made, as slots of the ledger.
    pub(super) deliveries: Vec<usize>,
}

impl Answer {
    /// Makes an answer of SQS.
    pub(super) fn json(status: u16, body: String) -> Self {
        Self { status, body: body.into(), content_type: "application/x-amz-json-1.0", deliveries: Vec::new() }
    }

    /// Makes an answer of SNS.
    pub(super) fn xml(status: u16, body: String) -> Self {
        Self { status, body: body.into(), content_type: "text/xml", deliveries: Vec::new() }
    }

    /// Makes an answer of S3 that has an object, or confirms one.
    pub(super) fn object(body: Bytes) -> Self {
        Self { status: 200, body, content_type: "application/octet-stream", deliveries: Vec::new() }
    }

    /// Adds the deliveries that the call made.
    pub(super) fn with_deliveries(self, deliveries: Vec<usize>) -> Self {
        Self { deliveries, ..self }
    }

    pub(super) fn is_ok(&self) -> bool {
        self.status < 300
    }

    pub(super) fn is_throttle(&self) -> bool {
        self.status == 429
    }

    /// Whether the call failed on purpose, before it was looked at.
    pub(super) fn is_unavailable(&self) -> bool {
        self.status == 503
    }

    pub(super) fn into_response(self, id: u64) -> http::Response<Full<Bytes>> {
        let response = http::Response::builder()
            .status(self.status)
            .header("content-type", self.content_type)
            .header("etag", "\"1\"")
            .header("x-amzn-requestid", format!("2e9ae57a-0000-4000-8000-{id:012x}"));
        response.body(Full::new(self.body)).expect("the headers are valid")
    }
}
