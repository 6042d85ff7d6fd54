//! The subject of a measurement: the service or the floor.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::Context as _;
use serde_json::json;
use tempfile::TempDir;
use tokio::process::Command;

use crate::events;
use crate::process::Process;
use crate::spec::Spec;

/// The service and its configuration.
#[derive(Debug, Clone)]
pub(crate) struct Service {
    /// The path of the binary.
    pub(crate) path: PathBuf,
    /// Environment variables that override its configuration.
    pub(crate) variables: BTreeMap<String, String>,
}

/// The process that is measured.
#[derive(Debug, Clone)]
pub(crate) enum Subject {
    Service { service: Service, linger_ms: u64 },
    Floor,
}

/// A running subject and its working folder.
#[derive(Debug)]
pub(crate) struct RunningSubject {
    pub(crate) process: Process,
    folder: TempDir,
}

/// The folder of the service's store in its working folder.
const STORE: &str = "store";
/// The number of loops of the floor.
const FLOOR_LOOPS: usize = 8;

impl Subject {
    /// Starts the subject against the emulator on the given port.
    ///
    /// # Errors
    /// Returns an error if the subject cannot be configured or started.
    pub(crate) fn start(&self, spec: &Spec, port: u16) -> anyhow::Result<RunningSubject> {
        let folder = tempfile::Builder::new().prefix("loadtest-").tempdir()?;
        let endpoint = format!("http://127.0.0.1:{port}");
        let mut command = match self {
            Self::Service { service, linger_ms } => {
                configure(folder.path(), spec, &endpoint, *linger_ms).context("cannot set up the service")?;
                let mut command = Command::new(&service.path);
                command.args(["run", "--config"]).arg(folder.path().join("protobridge.yaml"));
                command.env_clear().envs(&service.variables);
                command
            }
            Self::Floor => {
                let mut command = Command::new(std::env::current_exe()?);
                command.args(["floor", "--endpoint", &endpoint, "--loops", &FLOOR_LOOPS.to_string()]);
                command.args(["--spec", &serde_json::to_string(spec)?]).env_clear();
                command
            }
        };
        let log = fs::File::create(folder.path().join("log"))?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        command.env("AWS_ACCESS_KEY_ID", "loadtest").env("AWS_SECRET_ACCESS_KEY", "loadtest");
        command.env("AWS_EC2_METADATA_DISABLED", "true").env("HOME", folder.path());
        Ok(RunningSubject { process: Process::start(&mut command)?, folder })
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Service { .. } => "service",
            Self::Floor => "floor",
        }
    }
}

impl RunningSubject {
    /// Returns the folder of the service's store.
    pub(crate) fn store(&self) -> PathBuf {
        self.folder.path().join(STORE)
    }

    /// Returns the last lines of the subject's log.
    pub(crate) fn log_tail(&self) -> String {
        let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(8)..].join("\n")
    }
}

/// Writes the configuration, the customers and the descriptor set. All other settings keep their defaults, so that the
/// measured service is the one that users run.
fn configure(folder: &Path, spec: &Spec, endpoint: &str, linger_ms: u64) -> anyhow::Result<()> {
    let broadcast = if spec.fan_out { vec![events::message_type(spec.size)] } else { Vec::new() };
    // YAML is a superset of JSON.
    let mut config = json!({
        "aws": {"region": "eu-west-1", "endpoint_url": endpoint},
        "queues": [{
            "url": format!("{endpoint}/000000000000/events"),
            "quarantine_url": format!("{endpoint}/000000000000/quarantine"),
        }],
        "descriptors": {"path": "descriptors"},
        "taps": {"event_time": ["event_time", "sent_at"]},
        "route": {"topic_template": events::TOPIC_TEMPLATE, "broadcast": broadcast},
        "publish": {"linger_ms": linger_ms},
        "admin": {"listen": "127.0.0.1:0"},
        "log": {"format": "json"},
    });
    if spec.has_store {
        config["store"] = json!({"url": format!("file://{}", folder.join(STORE).display())});
    }
    fs::write(folder.join("protobridge.yaml"), config.to_string())?;
    let mut customers = "customers:\n".to_owned();
    for customer in 0..spec.customers {
        writeln!(customers, "  - id: {}", events::customer_id(customer))?;
    }
    fs::write(folder.join("customers.yaml"), customers)?;
    fs::create_dir(folder.join("descriptors"))?;
    fs::write(folder.join("descriptors").join(events::SET_NAME), events::DESCRIPTOR_SET)?;
    Ok(())
}
