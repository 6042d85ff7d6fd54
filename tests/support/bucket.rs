//! S3 for a test: a store in this process, or that of an emulator. Tests write and read its objects with the service's own
//! client.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use aws_lean::{Bucket, NewObject, Object};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use parking_lot::Mutex;
use protobridge::aws::Clients;
use protobridge::cli::embedded::Embedded;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::emulator::{Emulator, REGION};
use crate::http;
use crate::queue::{Input, Message};
use crate::stage::Stage;
use crate::wait;

/// The bucket that has payloads of producers.
pub(crate) const PAYLOADS: &str = "large-payloads";
/// The bucket that takes the JSON of claim checks.
pub(crate) const CLAIMS: &str = "claims";

/// An object that the store in this process has. It keeps the bytes of objects up to [`KEPT_BYTES`] only.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    /// The size in bytes.
    pub(crate) size: usize,
    /// The SHA-256 of the bytes.
    pub(crate) sha256: [u8; 32],
    bytes: Option<Bytes>,
}

/// The largest object of which the store in this process keeps the bytes.
const KEPT_BYTES: usize = 4 << 20;

/// A store in this process.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    endpoint_url: String,
    objects: Arc<Mutex<HashMap<String, Stored>>>,
    /// The number of PUT requests whose objects arrived, and that were not answered yet.
    waiting: Arc<AtomicUsize>,
    is_held: watch::Sender<bool>,
}

impl Store {
    /// Starts a store that every service of the stage uses from now on, also for claim checks.
    pub(crate) async fn start(stage: &mut Stage) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let endpoint_url = format!("http://{}", listener.local_addr().expect("the listener is bound"));
        let store =
            Self { endpoint_url, objects: Arc::default(), waiting: Arc::default(), is_held: watch::channel(false).0 };
        let router = Router::new().fallback(Self::answer).layer(DefaultBodyLimit::disable()).with_state(store.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        stage.config.aws.s3_endpoint_url = Some(store.endpoint_url.clone());
        stage.config.claim_check.bucket = Some(CLAIMS.to_owned());
        store
    }

    async fn answer(State(this): State<Self>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
        let path = uri.path().to_owned();
        if method == Method::GET {
            let found = this.objects.lock().get(&path).and_then(|object| object.bytes.clone());
            let missing = "<Error><Code>NoSuchKey</Code></Error>";
            return found.map_or_else(|| (StatusCode::NOT_FOUND, missing).into_response(), IntoResponse::into_response);
        }
        if uri.path().split('/').count() == 2 {
            // A bucket.
            return StatusCode::OK.into_response();
        }
        let sha256: [u8; 32] = Sha256::digest(&body).into();
        let checksum = headers.get("x-amz-checksum-sha256").map(|value| value.as_bytes().to_owned());
        if checksum != Some(BASE64_STANDARD.encode(sha256).into_bytes()) {
            return (StatusCode::BAD_REQUEST, "<Error><Code>BadDigest</Code></Error>").into_response();
        }
        let size = body.len();
        this.objects.lock().insert(path, Stored { size, sha256, bytes: (size <= KEPT_BYTES).then_some(body) });
        this.waiting.fetch_add(1, Ordering::AcqRel);
        let mut is_held = this.is_held.subscribe();
        let is_released = is_held.wait_for(|is_held| !is_held).await.is_ok();
        assert!(is_released, "the sender is in the store");
        this.waiting.fetch_sub(1, Ordering::AcqRel);
        ([("etag", "\"1\"")], StatusCode::OK).into_response()
    }

    /// Answers no PUT request from now on.
    pub(crate) fn hold(&self) {
        self.is_held.send_replace(true);
    }

    /// Answers the PUT requests that wait, and all later ones.
    pub(crate) fn release(&self) {
        self.is_held.send_replace(false);
    }

    /// Waits until this number of PUT requests wait for their answer.
    pub(crate) async fn wait_for_puts(&self, count: usize) {
        let what = format!("{count} objects are being stored");
        wait::until(&what, async || (self.waiting.load(Ordering::Acquire) >= count).then_some(())).await;
    }

    /// Returns the object that a published message points to.
    pub(crate) fn object_of(&self, message: &Message) -> Stored {
        let path = format!("/{CLAIMS}/{}", key(message));
        self.objects.lock().get(&path).cloned().unwrap_or_else(|| panic!("there is no object {path}"))
    }
}

/// Creates a bucket in the S3 at this URL, in the region of the tests, unless another test did.
pub(crate) async fn create(endpoint_url: &str, name: &str) {
    let address = endpoint_url.trim_start_matches("http://").trim_end_matches('/').parse();
    let region = format!("<LocationConstraint>{REGION}</LocationConstraint>");
    let body = format!("<CreateBucketConfiguration>{region}</CreateBucketConfiguration>");
    let answer = http::put(address.expect("it is a loopback address"), &format!("/{name}"), &body).await;
    let answer = answer.expect("S3 answers");
    assert!(answer.status == 200 || answer.body.contains("BucketAlreadyOwnedByYou"), "{answer:?}");
}

/// Stores an object with the service's own client.
pub(crate) async fn put(clients: &Clients, bucket: &str, key: &str, bytes: impl Into<Bytes>) {
    let (bucket, bytes) = (Bucket::new(&clients.shared, bucket).expect("the bucket has an address"), bytes.into());
    let sha256 = Sha256::digest(&bytes).into();
    let object = NewObject { key, bytes, sha256, content_type: "application/octet-stream", kms_key_id: None };
    clients.lean.put_object(&bucket, object).await.expect("the object is stored");
}

/// Returns the key that a published message points to. Asserts that the message is a pointer of the extended clients into
/// the bucket of claim checks.
pub(crate) fn key(message: &Message) -> String {
    let (class, target): (String, Value) = serde_json::from_str(&message.body).expect("the message is a pointer");
    assert_eq!(
        (class.as_str(), &target["s3BucketName"]),
        ("software.amazon.payloadoffloading.PayloadS3Pointer", &CLAIMS.into())
    );
    target["s3Key"].as_str().expect("a pointer has a key").to_owned()
}

/// The objects of a stage, as the service's own client reads and writes them.
#[derive(Debug)]
pub(crate) struct Objects {
    clients: Clients,
    _store: Option<Store>,
}

impl Objects {
    /// Creates the buckets, in the emulator's S3 or in a store of this process, and allows the service to use them.
    pub(crate) async fn of(emulator: &Emulator, stage: &mut Stage) -> Self {
        let store = if emulator.has_s3() { None } else { Some(Store::start(stage).await) };
        stage.config.envelope.s3_buckets = vec![PAYLOADS.to_owned()];
        stage.config.claim_check.bucket = Some(CLAIMS.to_owned());
        let aws = &stage.config.aws;
        let endpoint_url =
            aws.s3_endpoint_url.as_ref().or(aws.endpoint_url.as_ref()).expect("the stage has an endpoint");
        for bucket in [PAYLOADS, CLAIMS] {
            create(endpoint_url, bucket).await;
        }
        Self { clients: Clients::with_credentials(aws, Embedded::credentials()).await, _store: store }
    }

    fn bucket(&self, name: &str) -> Bucket {
        Bucket::new(&self.clients.shared, name).expect("the stage has an endpoint")
    }

    /// Stores the body of a message as an extended client does. Returns the message that the client sends in its place.
    pub(crate) async fn offload(&self, key: &str, input: Input) -> Input {
        put(&self.clients, PAYLOADS, key, input.body.clone()).await;
        let pointer = format!(
            "[\"software.amazon.payloadoffloading.PayloadS3Pointer\",{{\"s3BucketName\":\"{PAYLOADS}\",\"s3Key\":\"{key}\"}}]"
        );
        Input { body: pointer, ..input }
    }

    /// Returns the content of the object that a published message points to.
    pub(crate) async fn content_of(&self, message: &Message) -> String {
        let object = self.clients.lean.get_object(&self.bucket(CLAIMS), &key(message), KEPT_BYTES).await;
        let Ok(Object::Bytes(bytes)) = object else { panic!("the object can be read: {object:?}") };
        String::from_utf8(bytes.to_vec()).expect("JSON is UTF-8")
    }
}
