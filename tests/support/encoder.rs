//! Events as producers send them, by encoders that nobody here wrote: `wrap.py` and `send_through_s3.py`.

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
    /// What a producer would send as the payload.
    pub(crate) payload: Vec<u8>,
    /// What was registered for it: the answers of a schema registry, by id.
    pub(crate) schemas: BTreeMap<u32, Value>,
}

/// A schema registry with Confluent's API, as far as consumers ask it.
#[derive(Debug, Clone)]
pub(crate) struct SchemaRegistry {
    /// Its base URL.
    pub(crate) url: String,
    /// Whether it answers with anything but an error.
    pub(crate) is_up: Arc<AtomicBool>,
    /// How often it was asked.
    pub(crate) asked: Arc<AtomicUsize>,
    schemas: Arc<BTreeMap<u32, Value>>,
}

/// Wraps an event in these forms, the innermost first. `attributes` are those of a CloudEvent, each `NAME=VALUE`.
pub(crate) async fn wrap(event: &Sample, forms: &[&str], attributes: &[&str]) -> Wrapped {
    let mut command = python().script("wrap.py");
    let set = Path::new(env!("CARGO_MANIFEST_DIR")).join("descriptors/shop.binpb");
    command.arg("--descriptor-set").arg(set).args(["--type", &event.message_type]);
    command.args(attributes.iter().flat_map(|attribute| ["--attribute", attribute])).args(forms);
    let answer: Value = serde_json::from_str(&run(command, &event.payload).await).expect("the script prints JSON");
    let payload = answer["payload"].as_str().and_then(|text| BASE64_STANDARD.decode(text).ok());
    let schemas = answer["schemas"].as_object().expect("an object").iter();
    Wrapped {
        payload: payload.expect("base64"),
        schemas: schemas.map(|(id, schema)| (id.parse().expect("an id"), schema.clone())).collect(),
    }
}

/// Sends a body by way of a bucket.
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
    Python::get().expect("tests that wrap events run where ministack does")
}

async fn run(mut command: Command, input: &[u8]) -> String {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = tokio::process::Command::from(command).kill_on_drop(true).spawn().expect("Python runs");
    let mut stdin = child.stdin.take().expect("it is piped");
    stdin.write_all(input).await.expect("the script reads it");
    drop(stdin);
    let output = child.wait_with_output().await.expect("it is our child");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("output is text")
}

impl SchemaRegistry {
    /// A registry that has these schemas.
    pub(crate) async fn start(schemas: BTreeMap<u32, Value>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("there is a free port");
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        let is_up = Arc::new(AtomicBool::new(true));
        let registry = Self { url, is_up, asked: Arc::default(), schemas: Arc::new(schemas) };
        let router = Router::new().fallback(Self::answer).with_state(registry.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        registry
    }

    async fn answer(State(this): State<Self>, uri: Uri) -> (StatusCode, String) {
        this.asked.fetch_add(1, Ordering::Relaxed);
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
