//! Events as producers send them. `wrap.py` and `send_through_s3.py` encode them with third-party libraries.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use protobridge::cli::embedded::samples::Sample;
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;

use crate::emulator::{Emulator, REGION};
use crate::python::Python;
use crate::queue::Queue;

/// A wrapped event.
#[derive(Debug)]
pub(crate) struct Wrapped {
    /// The payload that a producer would send.
    pub(crate) payload: Vec<u8>,
    /// The schemas that the producer registered: the schema registry's answers by schema id.
    pub(crate) schemas: BTreeMap<u32, Value>,
}

/// A schema registry with the part of Confluent's API that consumers use.
#[derive(Debug, Clone)]
pub(crate) struct SchemaRegistry {
    /// The registry's base URL.
    pub(crate) url: String,
    /// Whether the registry answers requests. If not, it returns 503.
    pub(crate) is_up: Arc<AtomicBool>,
    /// The number of requests that the registry has received.
    pub(crate) requests: Arc<AtomicUsize>,
    schemas: Arc<BTreeMap<u32, Value>>,
}

/// Wraps an event in these forms, the innermost first. `attributes` holds CloudEvents attributes as `NAME=VALUE`.
pub(crate) async fn wrap(event: &Sample, forms: &[&str], attributes: &[&str]) -> Wrapped {
    let mut command = python().script("wrap.py");
    let set = Path::new(env!("CARGO_MANIFEST_DIR")).join("descriptors/shop.binpb");
    command.arg("--descriptor-set").arg(set).args(["--type", &event.message_type]);
    command.args(attributes.iter().flat_map(|attribute| ["--attribute", attribute])).args(forms);
    let answer: Value = serde_json::from_str(&run(command, &event.payload).await).expect("the script prints JSON");
    let payload = answer["payload"].as_str().and_then(|text| BASE64_STANDARD.decode(text).ok());
    let schemas = answer["schemas"].as_object().expect("the value is a JSON object").iter();
    Wrapped {
        payload: payload.expect("the payload is base64"),
        schemas: schemas.map(|(id, schema)| (id.parse().expect("the entry has an id"), schema.clone())).collect(),
    }
}

/// Sends an event through an S3 bucket with an extended client. `legacy` selects the older pointer format.
pub(crate) async fn send_through_s3(emulator: &Emulator, queue: &Queue, bucket: &str, event: &Sample, legacy: bool) {
    let mut command = python().script("send_through_s3.py");
    command.args(["--queue-url", &queue.url, "--bucket", bucket, "--message-type", &event.message_type]);
    command.args(legacy.then_some("--legacy"));
    command.env("AWS_ENDPOINT_URL", &emulator.endpoint_url).env("AWS_DEFAULT_REGION", REGION);
    command.env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "test");
    command.env("AWS_EC2_METADATA_DISABLED", "true").env("AWS_CONFIG_FILE", "/nonexistent");
    command.env("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent").env_remove("AWS_PROFILE");
    run(command, BASE64_STANDARD.encode(&event.payload).as_bytes()).await;
}

fn python() -> &'static Python {
    Python::get().expect("Python is set up, because ministack needs it, too")
}

async fn run(mut command: Command, input: &[u8]) -> String {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = tokio::process::Command::from(command).kill_on_drop(true).spawn().expect("Python can be started");
    let mut stdin = child.stdin.take().expect("the stream is piped");
    stdin.write_all(input).await.expect("the script reads its input");
    drop(stdin);
    let output = child.wait_with_output().await.expect("the child process can be waited for");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("the output is UTF-8")
}

impl SchemaRegistry {
    /// Starts a registry with these schemas.
    pub(crate) async fn start(schemas: BTreeMap<u32, Value>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let url = format!("http://{}", listener.local_addr().expect("the listener is bound"));
        let is_up = Arc::new(AtomicBool::new(true));
        let registry = Self { url, is_up, requests: Arc::default(), schemas: Arc::new(schemas) };
        let router = Router::new().fallback(Self::answer).with_state(registry.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        registry
    }

    async fn answer(State(this): State<Self>, uri: Uri) -> (StatusCode, String) {
        this.requests.fetch_add(1, Ordering::Relaxed);
        if !this.is_up.load(Ordering::Relaxed) {
            return (StatusCode::SERVICE_UNAVAILABLE, String::new());
        }
        let id = uri.path().strip_prefix("/schemas/ids/").and_then(|id| id.parse().ok());
        let schema = id.filter(|_| uri.query() == Some("format=serialized")).and_then(|id: u32| this.schemas.get(&id));
        match schema {
            Some(schema) => (StatusCode::OK, schema.to_string()),
            None => (StatusCode::NOT_FOUND, r#"{"error_code":40403,"message":"Schema not found"}"#.to_owned()),
        }
    }
}
