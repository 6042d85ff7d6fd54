//! Asks AWS whether the service can do its work: which resources exist, and which permissions are granted.
//!
//! A permission is proven by a call that needs it. Only calls without an effect are made, so some permissions cannot be
//! proven, and the report names them with the reason. A denial is always proven, because AWS answers with it. The object
//! store and the bucket of claim checks are exceptions: a small object is written there.

mod canary;
mod claims;
mod finding;
mod places;
mod queues;
mod sizes;
mod store;
mod topics;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

pub use finding::{Finding, Proof, ProofResult, Severity};
pub use queues::Receives;
pub(super) use queues::find_quarantine_queues;
use sizes::TopicSize;

use crate::aws::s3::{Objects, ProbeError, Readable};
use crate::aws::{Clients, Failure, FailureKind, Permission, is_denied_by_a_policy};
use crate::base::Backoff;
use crate::config::Config;
use crate::config::region::partition;
use crate::delivery::dedupe::Store;
use crate::message::TopicArn;
use crate::schema::confluent::Schemas;
use crate::telemetry::Metrics;

/// Delays between the attempts at a call.
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(2));

/// The answers of AWS about the resources of a configuration.
#[derive(Debug)]
pub struct Preflight<'c> {
    clients: &'c Clients,
    config: &'c Config,
    region: Option<String>,
    /// The permissions, in the order in which they were asked for.
    pub proofs: Vec<Proof>,
    /// The problems, in the order in which they were found.
    pub findings: Vec<Finding>,
    /// The largest messages of the topics, for [`Preflight::judge_sizes`].
    sizes: Vec<TopicSize>,
}

impl<'c> Preflight<'c> {
    /// Asks for every queue, topic and bucket, for the bucket of claim checks, for the object store, for the store of the duplicate window and for the
    /// schema registry.
    pub async fn run(clients: &'c Clients, config: &'c Config, topics: &[TopicArn], receives: Receives) -> Self {
        let region = clients.region();
        let mut this = Self { clients, config, region, proofs: Vec::new(), findings: Vec::new(), sizes: Vec::new() };
        this.queues(receives).await;
        this.canary(receives).await;
        for topic in topics {
            this.topic(topic).await;
        }
        this.buckets().await;
        this.claims().await;
        this.store().await;
        this.places();
        this.dedupe_store().await;
        this.schema_registry().await;
        this
    }

    /// Makes a call, with further attempts if a failure can pass.
    async fn attempt<T>(&self, mut call: impl AsyncFnMut() -> Result<T, Failure>) -> Result<T, Failure> {
        let mut attempt = 1;
        loop {
            match call().await {
                Err(failure) if failure.is_passing() && attempt < self.config.aws.max_attempts => {
                    sleep(BACKOFF.delay(attempt)).await;
                    attempt += 1;
                }
                result => return result,
            }
        }
    }

    /// Records what the answer to a call says about the permission for it. `if_refused` says why the permission stays
    /// unproven if AWS refuses the request itself; without it, that is a failure. Returns whether further calls to the
    /// resource make sense.
    fn judge(&mut self, permission: &Permission, answer: Result<(), Failure>, if_refused: Option<&str>) -> bool {
        let failure = match answer {
            Ok(()) => {
                self.prove(permission, ProofResult::Proven, None);
                return true;
            }
            Err(failure) => failure,
        };
        if let Some(why) = if_refused
            && failure.kind == FailureKind::Refused
        {
            self.leave_unproven(permission, why);
            return true;
        }
        // Credentials that are missing or not valid concern every call alike.
        let goes_on = is_denied_by_a_policy(&failure);
        let (result, message) = match failure.kind {
            FailureKind::Denied => (ProofResult::Denied, format!("{permission} is denied: {failure}")),
            _ => (ProofResult::Failed, format!("{}: {failure}", permission.resource)),
        };
        self.prove(permission, result, Some(failure.to_string()));
        let finding = Finding::new(Severity::Error, &permission.key, message);
        self.findings.push(finding.fix(permission.way_out(&failure)));
        goes_on
    }

    fn prove(&mut self, permission: &Permission, result: ProofResult, detail: Option<String>) {
        self.proofs.push(Proof::new(permission, result, detail));
    }

    fn leave_unproven(&mut self, permission: &Permission, why: &str) {
        self.prove(permission, ProofResult::Unproven, Some(why.to_owned()));
    }

    /// Records the permissions for the KMS key of a queue or a topic. AWS uses the key only for a message.
    fn key_unproven(&mut self, key_id: Option<&String>, actions: &[&'static str], key: &str) {
        let Some(key_id) = key_id.filter(|id| !id.is_empty()) else { return };
        for action in actions {
            let permission = Permission { action, resource: key_id.clone(), key: key.to_owned() };
            self.leave_unproven(&permission, "AWS uses the key only for a message");
        }
    }

    async fn buckets(&mut self) {
        const KEY: &str = "envelope.s3_buckets";
        let objects = match Objects::new(self.config, self.clients) {
            Ok(objects) => objects,
            Err(error) => return self.findings.push(Finding::new(Severity::Error, KEY, error.to_string())),
        };
        let partition = self.region.as_deref().map_or("aws", partition);
        for (name, result) in objects.probe().await {
            let bucket = format!("arn:{partition}:s3:::{name}");
            let get = Permission { action: "s3:GetObject", resource: format!("{bucket}/*"), key: KEY.to_owned() };
            let list = Permission { action: "s3:ListBucket", resource: bucket, key: KEY.to_owned() };
            match result {
                Ok(Readable::Object) => {
                    self.prove(&get, ProofResult::Proven, None);
                    self.leave_unproven(&list, "S3 needs it only for an object that does not exist");
                }
                Ok(Readable::NoObject) => {
                    self.prove(&get, ProofResult::Proven, None);
                    self.prove(&list, ProofResult::Proven, None);
                }
                Err(error) => self.bucket_failed([&get, &list], &error),
            }
        }
    }

    fn bucket_failed(&mut self, [get, list]: [&Permission; 2], error: &ProbeError) {
        let (result, finding) = match error {
            ProbeError::Denied(failure) => {
                let message = format!("{get} or {list} is denied: {failure}");
                let way_out =
                    format!("{}; also allow {list}: without it, S3 denies missing objects", get.way_out(failure));
                (ProofResult::Denied, Finding::new(Severity::Error, &get.key, message).fix(way_out))
            }
            _ => {
                let text = format!("bucket {}: {error}", list.resource);
                (ProofResult::Failed, Finding::of_text(Severity::Error, &get.key, &text))
            }
        };
        self.prove(get, result, Some(error.to_string()));
        self.prove(list, result, Some(error.to_string()));
        self.findings.push(finding);
    }

    async fn dedupe_store(&mut self) {
        let Some(url) = &self.config.dedupe.redis_url else { return };
        let metrics = Arc::new(Metrics::new(false));
        let result = match Store::new(url, &self.config.dedupe, self.config.visibility.timeout(), metrics) {
            Ok(store) => store.ping().await.map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        self.other("PING", "the store of dedupe.redis_url", "dedupe.redis_url", result);
    }

    async fn schema_registry(&mut self) {
        let result = match Schemas::new(&self.config.confluent, None, &self.clients.network) {
            Ok(schemas) => match schemas.probe().await {
                Some(result) => result.map_err(|error| error.to_string()),
                None => return,
            },
            Err(error) => Err(error.to_string()),
        };
        self.other("GET", "the registry of confluent.registry_url", "confluent.registry_url", result);
    }

    /// Records whether a resource that is not of AWS answers.
    fn other(&mut self, action: &'static str, resource: &str, key: &str, result: Result<(), String>) {
        let permission = Permission { action, resource: resource.to_owned(), key: key.to_owned() };
        match result {
            Ok(()) => self.prove(&permission, ProofResult::Proven, None),
            Err(error) => {
                self.findings.push(Finding::of_text(Severity::Error, key, &format!("{resource}: {error}")));
                self.prove(&permission, ProofResult::Failed, Some(error));
            }
        }
    }
}

#[cfg(test)]
mod tests;
