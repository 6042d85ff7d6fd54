//! The subject of a measurement: the service or the floor.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

use crate::admin;
use crate::archive::Archive;
use crate::backend::Backend;
use crate::bucket::{self, Bucket};
use crate::emulator::stats::ArrivalStats;
use crate::events;
use crate::journal::Journal;
use crate::measure::{Outage, RunPlan};
use crate::process::{Process, Usage};
use crate::replicas::launch::Launch;
use crate::replicas::redis::Redis;
use crate::rivals::Rival;
use crate::spec::Spec;
use crate::totals::Totals;

/// The service and its configuration.
#[derive(Debug, Clone)]
pub(crate) struct Service {
    /// The path of the binary.
    pub(crate) path: PathBuf,
    /// Environment variables that override its configuration.
    pub(crate) variables: BTreeMap<String, String>,
    /// The number of processes that share the work.
    pub(crate) replicas: u32,
}

/// The process that is measured.
#[derive(Debug, Clone)]
pub(crate) enum Subject {
    Service {
        service: Service,
        linger_ms: u64,
    },
    Floor,
    /// A consumer that a user would write instead.
    Rival(Rival),
}

/// A running subject and its working folder.
#[derive(Debug)]
pub(crate) struct RunningSubject {
    /// The replicas of the service, or the floor.
    processes: Vec<Process>,
    launch: Launch,
    /// The resource usage of the replicas that were killed.
    killed: Usage,
    /// The Redis of the replicas, if the plan has one.
    _redis: Option<Redis>,
    /// The service's store, if the plan has an outage of it.
    pub(crate) bucket: Option<Bucket>,
    folder: TempDir,
}

/// The folder of the service's store in its working folder.
const STORE: &str = "store";
/// The variable that names the file of trusted certificates, for the service as for the AWS CLI.
pub(crate) const AUTHORITY_VARIABLE: &str = "AWS_CA_BUNDLE";
/// The file of all log lines in the working folder.
const LOG: &str = "log";
/// The number of loops of the floor and of a rival, unless the plan names it.
const LOOPS: u32 = 8;

impl Subject {
    /// Starts the subject against the emulator.
    ///
    /// # Errors
    /// Returns an error if the subject cannot be configured or started.
    pub(crate) async fn start(&self, plan: &RunPlan, backend: &Backend) -> anyhow::Result<RunningSubject> {
        let spec = &plan.spec;
        let folder = tempfile::Builder::new().prefix("loadtest-").tempdir()?;
        let scheme = if backend.authority.is_some() { "https" } else { "http" };
        let endpoint = format!("{scheme}://127.0.0.1:{}", backend.port);
        let authority = backend.authority.as_ref().map(|_| folder.path().join("authority.pem"));
        if let (Some(path), Some(pem)) = (&authority, &backend.authority) {
            fs::write(path, pem)?;
        }
        let (mut bucket, mut redis) = (None, None);
        if let Self::Service { linger_ms, .. } = self {
            let mut config = config(spec, &endpoint, *linger_ms);
            if spec.has_store {
                config["store"] = json!({"url": format!("file://{}", folder.path().join(STORE).display())});
            }
            if let Some(outage) = plan.outage {
                let started = Bucket::start(folder.path().join(STORE)).context("cannot start the store")?;
                set_up_outage(&mut config, outage, started.port);
                bucket = Some(started);
            }
            if spec.has_claim_check {
                config["envelope"] = json!({"s3_buckets": [events::OBJECTS_BUCKET]});
                config["claim_check"] = json!({"bucket": events::CLAIMS_BUCKET, "key_prefix": events::CLAIMS_PREFIX});
            }
            if let Some(replicas) = &plan.replicas {
                redis = Redis::start(replicas.redis).await?;
                config["dedupe"] = json!({"redis_url": redis.as_ref().map(Redis::url)});
            }
            configure(folder.path(), spec, &config).context("cannot set up the service")?;
        }
        fs::File::create(folder.path().join(LOG))?;
        let launch = Launch { subject: self.clone(), plan: plan.clone(), endpoint, authority, started: 0 };
        let mut running =
            RunningSubject { processes: Vec::new(), launch, killed: Usage::default(), _redis: redis, bucket, folder };
        for _ in 0..self.replicas(plan) {
            running.add()?;
        }
        Ok(running)
    }

    fn replicas(&self, plan: &RunPlan) -> u32 {
        match self {
            Self::Service { service, .. } => plan.replicas.as_ref().map_or(service.replicas, |replicas| replicas.count),
            Self::Floor | Self::Rival(_) => 1,
        }
    }

    /// Returns the command of one process.
    ///
    /// # Errors
    /// Returns an error if the path of this binary is unknown.
    pub(crate) fn command(&self, plan: &RunPlan, endpoint: &str, folder: &Path) -> anyhow::Result<Command> {
        let loops = plan.loops.unwrap_or(LOOPS);
        match self {
            Self::Service { service, .. } => {
                let mut command = Command::new(&service.path);
                command.args(["run", "--config"]).arg(folder.join("protobridge.yaml"));
                command.env_clear().envs(&service.variables);
                Ok(command)
            }
            Self::Floor => {
                let mut command = Command::new(std::env::current_exe()?);
                command.args(["floor", "--endpoint", endpoint, "--loops", &loops.to_string()]);
                command.args(["--spec", &serde_json::to_string(&plan.spec)?]).env_clear();
                Ok(command)
            }
            Self::Rival(rival) => {
                let set = folder.join(events::SET_NAME);
                fs::write(&set, events::DESCRIPTOR_SET)?;
                Ok(rival.command(endpoint, &set, loops))
            }
        }
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Service { .. } => "service",
            Self::Floor => "floor",
            Self::Rival(_) => "rival",
        }
    }
}

impl RunningSubject {
    /// Starts one more process.
    ///
    /// # Errors
    /// Returns an error if it cannot be started.
    pub(crate) fn add(&mut self) -> anyhow::Result<()> {
        let folder = self.folder.path();
        self.processes.push(self.launch.start(folder, &folder.join(LOG))?);
        Ok(())
    }

    /// Whether a replica was added after the start.
    pub(crate) fn has_added(&self) -> bool {
        self.launch.started > self.launch.subject.replicas(&self.launch.plan)
    }

    /// Kills the first process with SIGKILL, and waits until it is dead.
    ///
    /// # Errors
    /// Returns an error if the process has ended before.
    pub(crate) async fn kill_first(&mut self) -> anyhow::Result<()> {
        let mut process = self.processes.remove(0);
        let usage = process.usage()?;
        process.child.kill().await?;
        // A dead process has no resident memory, but its peak counts.
        let usage = Usage { rss_kib: 0, ..usage };
        self.killed = [self.killed, usage].into_iter().sum();
        Ok(())
    }

    /// Returns the resource usage of all processes since their start.
    ///
    /// # Errors
    /// Returns an error if a process has ended.
    pub(crate) fn usage(&self) -> anyhow::Result<Usage> {
        let running: Usage = self.processes.iter().map(Process::usage).sum::<anyhow::Result<_>>()?;
        Ok([self.killed, running].into_iter().sum())
    }

    /// Returns how a process ended, if one has.
    ///
    /// # Errors
    /// Returns an error if the system does not tell.
    pub(crate) fn ended(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        for process in &mut self.processes {
            if let Some(ended) = process.child.try_wait()? {
                return Ok(Some(ended));
            }
        }
        Ok(None)
    }

    /// Stops all processes, one after the other. Returns whether each of them exited with 0, and the resource usage of
    /// all of them until their exit.
    ///
    /// # Errors
    /// Returns an error if a process does not exit in time.
    pub(crate) async fn stop(&mut self, within: Duration) -> anyhow::Result<(bool, Usage)> {
        let (mut all_well, mut usages) = (true, vec![self.killed]);
        for process in &mut self.processes {
            let (ended, usage) = process.stop(within).await?;
            all_well &= ended.success();
            usages.push(usage);
        }
        Ok((all_well, usages.into_iter().sum()))
    }

    /// Returns the sum of the counters in the service's store.
    ///
    /// # Errors
    /// Returns an error if the store has none, or if they cannot be read.
    pub(crate) fn stored_totals(&self) -> anyhow::Result<Totals> {
        Totals::stored(&self.store())
    }

    /// Compares the journal in the service's store with the emulator's ledger. `ids` has the sum of the hashed SNS
    /// message ids of each delivery.
    ///
    /// # Errors
    /// Returns an error if the store has no journal, or if it cannot be read.
    pub(crate) fn compared_journal(&self, spec: &Spec, ids: &[u64], arrived: &ArrivalStats) -> anyhow::Result<Journal> {
        Journal::compared(&self.store(), spec, self.processes.len() as u64, ids, arrived)
    }

    /// Compares the archive in the service's store with the sent events.
    ///
    /// # Errors
    /// Returns an error if the store has no archive, or if it cannot be read.
    pub(crate) fn compared_archive(&self, spec: &Spec) -> anyhow::Result<Archive> {
        Archive::compared(&self.store(), spec, self.processes.len() as u64)
    }

    /// Returns the number of calls to AWS that failed, as the processes count them.
    ///
    /// # Errors
    /// Returns an error if a process does not tell.
    pub(crate) async fn failed_calls(&self) -> anyhow::Result<u64> {
        let log = fs::read_to_string(self.folder.path().join(LOG))?;
        let endpoints = admin::endpoints(&log);
        anyhow::ensure!(endpoints.len() == self.processes.len(), "the log has no address of the admin endpoint");
        let mut failed = 0;
        for endpoint in endpoints {
            failed += admin::failed_calls(&admin::metrics(endpoint).await?);
        }
        Ok(failed)
    }

    fn store(&self) -> PathBuf {
        self.folder.path().join(STORE)
    }

    /// Returns the last lines of the subject's log.
    pub(crate) fn log_tail(&self) -> String {
        let log = fs::read_to_string(self.folder.path().join(LOG)).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(8)..].join("\n")
    }
}

/// Returns the configuration. All other settings keep their defaults, so that the measured service is the one that users
/// run.
fn config(spec: &Spec, endpoint: &str, linger_ms: u64) -> Value {
    let broadcast = if spec.fan_out { vec![events::message_type(spec.size)] } else { Vec::new() };
    json!({
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
        "archive": {"enabled": spec.has_archive},
    })
}

/// Configures the store that fails during the outage. The journal is off, because it drops rows then.
fn set_up_outage(config: &mut Value, outage: Outage, port: u16) {
    config["store"] = json!({"url": bucket::URL});
    config["aws"]["s3_endpoint_url"] = json!(format!("http://127.0.0.1:{port}"));
    config["journal"] = json!({"enabled": false});
    config["archive"]["give_up_hold_after_seconds"] = json!(outage.give_up_seconds());
    config["archive"]["max_buffered_bytes"] = json!(outage.buffered_bytes());
    config["archive"]["segment_bytes"] = json!((outage.buffered_bytes() / 4).min(8 << 20));
}

/// Writes the configuration, the customers and the descriptor set.
fn configure(folder: &Path, spec: &Spec, config: &Value) -> anyhow::Result<()> {
    // YAML is a superset of JSON.
    fs::write(folder.join("protobridge.yaml"), config.to_string())?;
    let mut customers = "customers:\n".to_owned();
    for customer in 0..spec.customers {
        writeln!(customers, "  - id: {}", events::customer_id(customer))?;
        if spec.has_claim_check {
            writeln!(customers, "    claim_check: on")?;
        }
    }
    fs::write(folder.join("customers.yaml"), customers)?;
    fs::create_dir(folder.join("descriptors"))?;
    fs::write(folder.join("descriptors").join(events::SET_NAME), events::DESCRIPTOR_SET)?;
    Ok(())
}
