//! The service as a process, between a producer and a consumer in Python: boto3 sends and receives, and Python's own
//! Protobuf says what the JSON should be.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::emulator::{Emulator, REGION};
use crate::python::Python;
use crate::stage::Stage;
use crate::wait;

const EVENTS: u64 = 1_000;
const CUSTOMERS: [&str; 3] = ["acme", "globex", "initech"];

/// The stage of these tests: an emulator, three customers, and scripts to go with it.
struct Play {
    python: &'static Python,
    emulator: Emulator,
    stage: Stage,
    seed: &'static str,
}

impl Play {
    async fn new(seed: &'static str) -> Option<Self> {
        let emulator = Emulator::ministack().await?;
        let mut stage = Stage::new(&emulator).await;
        for customer in CUSTOMERS {
            stage = stage.customer(customer, "").await;
        }
        Some(Self { python: Python::get()?, emulator, stage, seed })
    }

    fn script(&self, name: &str) -> Command {
        let mut command = self.python.script(name);
        let set = Path::new(env!("CARGO_MANIFEST_DIR")).join("descriptors/shop.binpb");
        command.arg("--descriptor-set").arg(set);
        command.args(["--endpoint-url", &self.emulator.endpoint_url, "--region", REGION, "--seed", self.seed]);
        command.args(["--count", &EVENTS.to_string()]);
        command.env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "test");
        command.env("AWS_EC2_METADATA_DISABLED", "true").env("AWS_CONFIG_FILE", "/nonexistent");
        command.env("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent").env_remove("AWS_PROFILE");
        command
    }

    async fn produce(&self) {
        let mut command = self.script("produce.py");
        command.args(["--queue-url", &self.stage.source.url]);
        command.args(CUSTOMERS.iter().flat_map(|customer| ["--customer", customer]));
        run(command).await;
    }

    /// Takes out what has arrived. Returns how many duplicates were among it.
    async fn consume(&self) -> u64 {
        let mut command = self.script("consume.py");
        command.args(["--deadline-seconds", "90"]);
        for customer in CUSTOMERS {
            command.arg("--queue").arg(format!("{customer}={}", self.stage.queue_of(customer).url));
        }
        let report: Value = serde_json::from_str(&run(command).await).expect("the script prints JSON");
        assert_eq!(report["different"], 0, "not what json_format makes of it: {:#}", report["first_different"]);
        assert_eq!(report["missing"], 0, "{report}");
        report["duplicates"].as_u64().expect("a count")
    }
}

async fn run(command: Command) -> String {
    let output = tokio::process::Command::from(command).kill_on_drop(true).output().await.expect("Python runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("output is text")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_events_arrive_once_and_as_json_format_has_them() {
    let Some(play) = Play::new("straight").await else { return };
    let service = play.stage.spawn().await;

    let ((), duplicates) = tokio::join!(play.produce(), play.consume());

    assert_eq!(duplicates, 0);
    play.stage.source.is_empty().await;
    assert_eq!((service.settled("published").await, play.stage.quarantine.depth().await), (EVENTS, 0));
    service.terminate();
    assert_eq!(service.ended().await.0.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_amid_a_thousand_events_loses_none() {
    let Some(mut play) = Play::new("killed").await else { return };
    play.stage.config.visibility.timeout_seconds = 5;
    // So that it is not over in a moment.
    play.stage.config.receive.max_in_flight_messages = 40;
    play.produce().await;
    let service = play.stage.spawn().await;
    let published = async || Some(service.settled("published").await).filter(|published| *published >= 200);
    let published = wait::until("200 events are published", published).await;
    service.kill().await;
    assert!(published < EVENTS, "{published} events were published before the kill");
    assert!(play.stage.source.depth().await > 0, "the kill came amid the events");

    let service = play.stage.spawn().await;

    let duplicates = play.consume().await;
    // Those that were published and not yet deleted; with 40 in flight there cannot be more.
    assert!(duplicates <= 40, "{duplicates} duplicates");
    play.stage.source.is_empty().await;
    assert_eq!(play.stage.quarantine.depth().await, 0);
    service.terminate();
    assert_eq!(service.ended().await.0.code(), Some(0));
}
