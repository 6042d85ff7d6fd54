//! Checks whether what the configuration names exists and answers, before the service reports that it runs.

use std::error::Error;
use std::sync::Arc;

use aws_sdk_sqs::types::QueueAttributeName;
use tracing::warn;

use crate::aws::s3::Objects;
use crate::aws::sqs::redrive::{self, Schedule, Verdict};
use crate::aws::{Clients, Failure, FailureKind};
use crate::config::Config;
use crate::delivery::dedupe::Store;
use crate::message::TopicArn;
use crate::schema::confluent::Schemas;
use crate::telemetry::Metrics;

/// A queue that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("queue {label} ({url}): {failure}; {way_out}")]
pub struct QueueError {
    label: String,
    url: String,
    failure: Failure,
    way_out: &'static str,
}

/// Requests one attribute of every queue that the configuration names.
///
/// # Errors
/// Returns an error that names the first queue that cannot be used. If only `sqs:GetQueueAttributes` is denied, a
/// warning is logged instead, because receiving can still be allowed.
pub async fn check_queues(clients: &Clients, config: &Config) -> Result<(), Box<QueueError>> {
    for queue in &config.queues {
        check_queue(clients, queue.label(), &queue.url, "queues[].url").await?;
        if let Some(url) = &queue.quarantine_url {
            check_queue(clients, &format!("{} quarantine", queue.label()), url, "queues[].quarantine_url").await?;
        }
    }
    Ok(())
}

/// The result of a probe.
#[derive(Debug)]
pub struct Probe {
    /// The name of the probed thing, for example `topic arn:…`.
    pub subject: String,
    /// Whether it exists and answers.
    pub result: Result<(), Box<dyn Error + Send + Sync>>,
}

impl Probe {
    fn new<E: Into<Box<dyn Error + Send + Sync>>>(subject: impl Into<String>, result: Result<(), E>) -> Self {
        Self { subject: subject.into(), result: result.map_err(Into::into) }
    }
}

/// Probes every queue, topic and bucket, the store of the duplicate window and the schema registry, each by itself.
pub async fn probe(clients: &Clients, config: &Config, topics: &[TopicArn]) -> Vec<Probe> {
    let mut probes = Vec::new();
    for queue in &config.queues {
        let result = check_queue(clients, queue.label(), &queue.url, "queues[].url").await;
        probes.push(Probe::new(format!("queue {}", queue.url), result.map_err(|error| error.without_name())));
        if let Some(url) = &queue.quarantine_url {
            let result = check_queue(clients, queue.label(), url, "queues[].quarantine_url").await;
            probes.push(Probe::new(format!("quarantine queue {url}"), result.map_err(|error| error.without_name())));
        }
    }
    for topic in topics {
        let answer = clients.sns.get_topic_attributes().topic_arn(topic.as_str()).send().await;
        let result = answer.map(|_| ()).map_err(|error| Failure::of_call(&error));
        probes.push(Probe::new(format!("topic {topic}"), result));
    }
    probes.extend(probe_store(config).await);
    probes.append(&mut probe_buckets(clients, config).await);
    probes.extend(probe_registry(clients, config).await);
    probes
}

/// Judges the redrive policy of each source queue by the retry schedule. Returns the queue's name with each result.
pub async fn redrive_policies<'c>(
    clients: &Clients,
    config: &'c Config,
) -> Vec<(&'c str, Result<Verdict, redrive::Error>)> {
    let schedule = Schedule::new(&config.retry);
    let mut results = Vec::new();
    for queue in &config.queues {
        let policy = redrive::policy(&clients.sqs, &queue.url).await;
        results.push((queue.label(), policy.map(|policy| Verdict::new(policy, schedule))));
    }
    results
}

async fn probe_store(config: &Config) -> Option<Probe> {
    let url = config.dedupe.redis_url.as_ref()?;
    let subject = "the store of dedupe.redis_url";
    let metrics = Arc::new(Metrics::new(false));
    Some(match Store::new(url, &config.dedupe, config.visibility.timeout(), metrics) {
        Ok(store) => Probe::new(subject, store.ping().await),
        Err(error) => Probe::new(subject, Err(error)),
    })
}

async fn probe_buckets(clients: &Clients, config: &Config) -> Vec<Probe> {
    match Objects::new(config, clients) {
        Ok(objects) => {
            let buckets = objects.probe().await.into_iter();
            buckets.map(|(name, result)| Probe::new(format!("bucket {name}"), result)).collect()
        }
        Err(error) => vec![Probe::new("the buckets of envelope.s3_buckets", Err(error))],
    }
}

async fn probe_registry(clients: &Clients, config: &Config) -> Option<Probe> {
    let subject = "the registry of confluent.registry_url";
    match Schemas::new(&config.confluent, None, &clients.network) {
        Ok(schemas) => schemas.probe().await.map(|result| Probe::new(subject, result)),
        Err(error) => Some(Probe::new(subject, Err(error))),
    }
}

impl QueueError {
    /// Returns the error without the queue's name, for a line that names the queue already.
    fn without_name(&self) -> String {
        format!("{}; {}", self.failure, self.way_out)
    }
}

async fn check_queue(clients: &Clients, label: &str, url: &str, key: &'static str) -> Result<(), Box<QueueError>> {
    let request = clients.sqs.get_queue_attributes().queue_url(url).attribute_names(QueueAttributeName::QueueArn);
    let Err(error) = request.send().await else { return Ok(()) };
    let failure = Failure::of_call(&error);
    let way_out = match (failure.kind, &failure.code) {
        (FailureKind::Denied, Some(code)) if code.starts_with("AccessDenied") => {
            warn!(%failure, queue = label, url, "not allowed to read the queue's attributes; continuing without them");
            return Ok(());
        }
        (FailureKind::Denied, _) => {
            "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or AWS_PROFILE, or give the pod or instance a role"
        }
        (FailureKind::NotFound, _) if key == "queues[].url" => "create the queue, or correct `queues[].url`",
        (FailureKind::NotFound, _) => "create the queue, or correct `queues[].quarantine_url`",
        (FailureKind::Transient | FailureKind::Throttled, _) => {
            "check the network, `aws.region` and `aws.endpoint_url`"
        }
        (FailureKind::KeyThrottled, _) => "wait, or raise the KMS quota of the queue's key",
        (FailureKind::Broken, _) => "check the queue's KMS key, the queue's URL and `aws.endpoint_url`",
        (FailureKind::Refused, _) => "check the queue's URL and region",
    };
    Err(Box::new(QueueError { label: label.to_owned(), url: url.to_owned(), failure, way_out }))
}
