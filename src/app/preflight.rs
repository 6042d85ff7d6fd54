//! Whether the queues are there, before the service says that it runs.

use std::sync::Arc;

use aws_sdk_sqs::types::QueueAttributeName;
use tracing::warn;

use crate::aws::{Clients, Failure, Kind};
use crate::config::Config;
use crate::confluent::Schemas;
use crate::dedupe::Store;
use crate::objects::Objects;
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

/// Asks for one attribute of every queue that the configuration names.
///
/// # Errors
/// For the first queue that cannot be used. A queue that merely may not be asked about (`sqs:GetQueueAttributes`
/// denied) is only warned about: receiving may be allowed all the same.
pub(super) async fn queues(clients: &Clients, config: &Config) -> Result<(), Box<QueueError>> {
    for queue in &config.queues {
        check(clients, queue.label(), &queue.url, "queues[].url").await?;
        if let Some(url) = &queue.quarantine_url {
            check(clients, &format!("{} quarantine", queue.label()), url, "queues[].quarantine_url").await?;
        }
    }
    Ok(())
}

/// Asks for every queue, topic and bucket, for the store of the duplicate window and for the schema registry, each by
/// itself: what it is, and whether it is there.
pub async fn probe(clients: &Clients, config: &Config, topics: &[Arc<str>]) -> Vec<(String, Result<(), String>)> {
    let mut results = Vec::new();
    for queue in &config.queues {
        let result = check(clients, queue.label(), &queue.url, "queues[].url").await;
        results.push((format!("queue {}", queue.url), result.map_err(|error| error.cause())));
        if let Some(url) = &queue.quarantine_url {
            let result = check(clients, queue.label(), url, "queues[].quarantine_url").await;
            results.push((format!("quarantine queue {url}"), result.map_err(|error| error.cause())));
        }
    }
    for topic in topics {
        let answer = clients.sns.get_topic_attributes().topic_arn(&**topic).send().await;
        let result = answer.map(|_| ()).map_err(|error| Failure::of_call(&error).to_string());
        results.push((format!("topic {topic}"), result));
    }
    if let Some(url) = &config.dedupe.redis_url {
        let store = Store::new(url, &config.dedupe, config.visibility.timeout(), Arc::new(Metrics::new(false)));
        let result = match store {
            Ok(store) => store.ping().await,
            Err(error) => Err(error.to_string()),
        };
        results.push(("the store of dedupe.redis_url".to_owned(), result));
    }
    match Objects::new(config, &clients.shared) {
        Ok(objects) => {
            let buckets = objects.probe().await.into_iter();
            results.extend(buckets.map(|(name, result)| (format!("bucket {name}"), result)));
        }
        Err(error) => results.push(("the buckets of envelope.s3_buckets".to_owned(), Err(error.to_string()))),
    }
    let registry = match Schemas::new(&config.confluent, None) {
        Ok(schemas) => schemas.probe().await,
        Err(error) => Some(Err(error.to_string())),
    };
    results.extend(registry.map(|result| ("the registry of confluent.registry_url".to_owned(), result)));
    results
}

impl QueueError {
    fn cause(&self) -> String {
        format!("{}; {}", self.failure, self.way_out)
    }
}

async fn check(clients: &Clients, label: &str, url: &str, key: &'static str) -> Result<(), Box<QueueError>> {
    let request = clients.sqs.get_queue_attributes().queue_url(url).attribute_names(QueueAttributeName::QueueArn);
    let Err(error) = request.send().await else { return Ok(()) };
    let failure = Failure::of_call(&error);
    let way_out = match (failure.kind, &failure.code) {
        (Kind::Denied, Some(code)) if code.starts_with("AccessDenied") => {
            warn!(%failure, queue = label, url, "may not read the queue's attributes; going on without");
            return Ok(());
        }
        (Kind::Denied, _) => {
            "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or AWS_PROFILE, or give the pod or instance a role"
        }
        (Kind::NotFound, _) if key == "queues[].url" => "create the queue, or correct `queues[].url`",
        (Kind::NotFound, _) => "create the queue, or correct `queues[].quarantine_url`",
        (Kind::Transient | Kind::Throttled, _) => "check the network, `aws.region` and `aws.endpoint_url`",
        (Kind::Refused, _) => "check the queue's URL and region",
    };
    Err(Box::new(QueueError { label: label.to_owned(), url: url.to_owned(), failure, way_out }))
}
