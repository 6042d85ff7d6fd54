//! The service as a process, between a producer and a consumer in Python. boto3 sends and receives the messages, and
//! Python's Protobuf library computes the expected JSON.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::emulator::{Emulator, REGION};
use crate::python::Python;
use crate::stage::Stage;
use crate::wait;

const EVENTS: u64 = 1_000;
const CUSTOMERS: [&str; 3] = ["acme", "globex", "initech"];

/// The setup of these tests: an emulator, three customers, and the Python scripts.
struct Setup {
    python: &'static Python,
    emulator: Emulator,
    stage: Stage,
    seed: &'static str,
}

impl Setup {
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

    /// Takes out and checks every event that the customers received. Returns the number of duplicates.
    async fn consume(&self) -> u64 {
        let mut command = self.script("consume.py");
        command.args(["--deadline-seconds", "90"]);
        for customer in CUSTOMERS {
            command.arg("--queue").arg(format!("{customer}={}", self.stage.queue_of(customer).url));
        }
        let report: Value = serde_json::from_str(&run(command).await).expect("the script prints JSON");
        assert_eq!(
            report["different"], 0,
            "the JSON differs from that of json_format: {:#}",
            report["first_different"]
        );
        assert_eq!(report["missing"], 0, "{report}");
        report["duplicates"].as_u64().expect("the value is a count")
    }
}

async fn run(command: Command) -> String {
    let output =
        tokio::process::Command::from(command).kill_on_drop(true).output().await.expect("Python can be started");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("the output is UTF-8")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_events_arrive_once_and_match_json_format() {
    let Some(setup) = Setup::new("straight").await else { return };
    let service = setup.stage.spawn().await;

    let ((), duplicates) = tokio::join!(setup.produce(), setup.consume());

    assert_eq!(duplicates, 0);
    setup.stage.source.wait_until_empty().await;
    assert_eq!((service.settled("published").await, setup.stage.quarantine.depth().await), (EVENTS, 0));
    service.terminate();
    assert_eq!(service.wait_for_exit().await.0.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_during_a_thousand_events_loses_no_event() {
    let Some(mut setup) = Setup::new("killed").await else { return };
    setup.stage.config.visibility.timeout_seconds = 5;
    // Slow the service down, so that the kill comes before the last event.
    setup.stage.config.receive.max_in_flight_messages = 40;
    setup.produce().await;
    let service = setup.stage.spawn().await;
    let published = async || Some(service.settled("published").await).filter(|published| *published >= 200);
    let published = wait::until("200 events are published", published).await;
    service.kill().await;
    assert!(published < EVENTS, "all {published} events were published before the kill");
    assert!(setup.stage.source.depth().await > 0, "messages are left after the kill");

    let service = setup.stage.spawn().await;

    let duplicates = setup.consume().await;
    // Events that were published but not yet deleted arrive twice: at most 40, the limit on messages in flight.
    assert!(duplicates <= 40, "{duplicates} duplicates");
    setup.stage.source.wait_until_empty().await;
    assert_eq!(setup.stage.quarantine.depth().await, 0);
    service.terminate();
    assert_eq!(service.wait_for_exit().await.0.code(), Some(0));
}
