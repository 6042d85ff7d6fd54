//! Derives the minimal IAM policies from a configuration: of the service, of those who read its store, of the jobs that
//! send messages again, of the schema owners, and of the customers who read their large events.
//!
//! The policy of the service is an identity policy for the role that it runs as. A queue or topic in another account also needs a
//! resource policy in that account; docs/iam.md shows both kinds.

pub(super) mod buckets;
pub(super) mod claims;
pub(super) mod redrive;
pub(super) mod replay;

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::config::region::{ArnError, queue_arn};
use crate::config::{Config, Queue};
use crate::message::TopicArn;

/// The maximum number of characters of a managed policy, without white space.
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html>
pub(super) const MANAGED_POLICY_MAX: usize = 6_144;

/// The ARNs of KMS keys, grouped by the kind of resource that they encrypt. The configuration contains only
/// `store.kms_key_id` and `claim_check.kms_key_id`, because the service names no other key in a call.
#[derive(Debug, Clone, Default)]
pub(super) struct Keys {
    /// Keys of input queues.
    pub(super) queue: Vec<String>,
    /// Keys of quarantine queues.
    pub(super) quarantine: Vec<String>,
    /// Keys of topics.
    pub(super) topic: Vec<String>,
    /// Keys of the buckets that protobridge reads: of large events, descriptor sets and the customers file.
    pub(super) bucket: Vec<String>,
    /// Keys of the bucket of claim checks.
    pub(super) claim: Vec<String>,
    /// Keys of the store.
    pub(super) store: Vec<String>,
}

/// The ARN of a queue cannot be derived from its URL.
#[derive(Debug, thiserror::Error)]
#[error("cannot derive the ARN of queue {url}: {reason}")]
pub(super) struct Error {
    url: String,
    reason: ArnError,
}

/// Returns the policy document. `topics` are the resources to publish to: ARNs, or patterns of ARNs.
/// `dead_letter_queues` are the ARNs of the dead-letter queues, which the redrive policies name and the configuration
/// does not. Each list is sorted, so that the same configuration gives the same text.
///
/// # Errors
/// Returns an error if the URL of a queue names no account, or if neither the URL nor `aws.region` names a region.
pub(super) fn policy(
    config: &Config,
    topics: &[TopicArn],
    dead_letter_queues: &[String],
    keys: &Keys,
) -> Result<Value, Error> {
    let arns = |urls: Vec<&str>| arns(config, urls);
    let sources = sources(config)?;
    let quarantines = arns(config.queues.iter().filter_map(quarantine).collect())?;
    let partition = partition(&sources);
    let (buckets, objects) = large_events(config, &partition);

    let mut statements = Statements::default();
    let mut allow = |sid: &str, actions: &[&str], resources: Vec<&str>| statements.allow(sid, actions, resources);
    let receive = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility", "sqs:GetQueueAttributes"];
    allow("Receive", &receive, texts(&sources));
    // For the number of messages that SQS moved there.
    let dead_letter_queues: BTreeSet<String> = dead_letter_queues.iter().cloned().collect();
    allow("CountDeadLetters", &["sqs:GetQueueAttributes"], texts(&dead_letter_queues));
    // `protobridge canary` needs these two; it can have a role of its own.
    if let Some(path) = config.canary_path() {
        let (input, back) = (arns(vec![path.queue.url.as_str()])?, arns(vec![path.return_queue_url])?);
        allow("SendCanaries", &["sqs:SendMessage"], texts(&input));
        allow("ReceiveCanaries", &receive, texts(&back));
    }
    allow("Quarantine", &["sqs:SendMessage", "sqs:GetQueueAttributes"], texts(&quarantines));
    let publish: &[&str] =
        if config.route.check_topics { &["sns:Publish", "sns:GetTopicAttributes"] } else { &["sns:Publish"] };
    allow("Publish", publish, topics.iter().map(TopicArn::as_str).collect());
    allow("FetchLargeEvents", &["s3:GetObject"], texts(&objects));
    // Without it, S3 answers 403 for an object that does not exist, and the message is retried instead of quarantined:
    // https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
    allow("FindLargeEvents", &["s3:ListBucket"], texts(&buckets));
    statements.read_sources(config, &partition);
    statements.store_claims(config, keys, &partition);
    let mut allow = |sid: &str, actions: &[&str], resources: Vec<&str>| statements.allow(sid, actions, resources);
    // https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-key-management.html and
    // https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html
    allow("DecryptQueues", &["kms:Decrypt"], texts(&keys.queue));
    allow("EncryptQuarantine", &["kms:GenerateDataKey", "kms:Decrypt"], texts(&keys.quarantine));
    allow("EncryptTopics", &["kms:GenerateDataKey*", "kms:Decrypt"], texts(&keys.topic));
    allow("DecryptBuckets", &["kms:Decrypt"], texts(&keys.bucket));
    // The service reads nothing that it stored. A PUT of one part needs no `kms:Decrypt`:
    // https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html
    if let Some((_, objects)) = store_arns(config, &partition) {
        allow("WriteStore", &["s3:PutObject"], vec![&objects]);
        allow("EncryptStore", &["kms:GenerateDataKey"], texts(&keys.store));
    }
    Ok(statements.policy())
}

/// The statements of a policy.
#[derive(Debug, Default)]
struct Statements(Vec<Value>);

impl Statements {
    /// Adds a statement, unless there are no resources for it.
    fn allow(&mut self, sid: &str, actions: &[&str], resources: Vec<&str>) {
        if !resources.is_empty() {
            self.0.push(json!({"Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resources}));
        }
    }

    /// Adds the statements of reading descriptor sets and customers, of publishing to topics, and of large events in
    /// both directions, with their keys. Every role that sends messages again needs them.
    fn send_again(&mut self, config: &Config, topics: &[TopicArn], keys: &Keys, partition: &str) {
        let (buckets, objects) = large_events(config, partition);
        self.allow("Publish", &["sns:Publish"], topics.iter().map(TopicArn::as_str).collect());
        self.allow("FetchLargeEvents", &["s3:GetObject"], texts(&objects));
        self.allow("FindLargeEvents", &["s3:ListBucket"], texts(&buckets));
        self.read_sources(config, partition);
        self.store_claims(config, keys, partition);
        self.allow("EncryptTopics", &["kms:GenerateDataKey*", "kms:Decrypt"], texts(&keys.topic));
        self.allow("DecryptBuckets", &["kms:Decrypt"], texts(&keys.bucket));
    }

    fn policy(self) -> Value {
        json!({"Version": "2012-10-17", "Statement": self.0})
    }
}

/// Returns the ARNs of the buckets that large events can be in, and of their objects.
fn large_events(config: &Config, partition: &str) -> (BTreeSet<String>, BTreeSet<String>) {
    let buckets: BTreeSet<String> =
        config.envelope.s3_buckets.iter().map(|bucket| format!("arn:{partition}:s3:::{bucket}")).collect();
    let objects = buckets.iter().map(|bucket| format!("{bucket}/*")).collect();
    (buckets, objects)
}

/// Returns the policy of the people and jobs that read the store: `trace`, `duplicates`, the reports, `archive`,
/// `replay --compare`, and tools such as Athena. `replay --compare` also reads the descriptor sets and the customers.
/// Returns `None` if the store is not in S3.
///
/// # Errors
/// Returns an error if the URL of a queue names no account, or if neither the URL nor `aws.region` names a region.
pub(super) fn reader_policy(config: &Config, keys: &Keys) -> Result<Option<Value>, Error> {
    let partition = partition(&sources(config)?);
    let Some((bucket, objects)) = store_arns(config, &partition) else { return Ok(None) };
    let allow =
        |sid, action, resource| json!({"Sid": sid, "Effect": "Allow", "Action": [action], "Resource": resource});
    let mut list = allow("ListStore", "s3:ListBucket", json!([bucket]));
    if let Some((_, prefix)) = config.store.bucket().filter(|(_, prefix)| !prefix.is_empty()) {
        list["Condition"] = json!({"StringLike": {"s3:prefix": [format!("{prefix}/*")]}});
    }
    let mut statements = Statements(vec![allow("ReadStore", "s3:GetObject", json!([objects])), list]);
    statements.allow("DecryptStore", &["kms:Decrypt"], texts(&keys.store));
    statements.read_sources(config, &partition);
    statements.allow("DecryptBuckets", &["kms:Decrypt"], texts(&keys.bucket));
    Ok(Some(statements.policy()))
}

/// Returns the ARNs of the store's bucket and of its objects, if the store is in S3.
fn store_arns(config: &Config, partition: &str) -> Option<(String, String)> {
    let (bucket, prefix) = config.store.bucket()?;
    let bucket = format!("arn:{partition}:s3:::{bucket}");
    let objects = if prefix.is_empty() { format!("{bucket}/*") } else { format!("{bucket}/{prefix}/*") };
    Some((bucket, objects))
}

/// Returns the ARNs of the input queues.
fn sources(config: &Config) -> Result<BTreeSet<String>, Error> {
    arns(config, config.queues.iter().map(|queue| queue.url.as_str()).collect())
}

fn arns(config: &Config, urls: Vec<&str>) -> Result<BTreeSet<String>, Error> {
    let region = config.aws.region.as_deref();
    urls.into_iter().map(|url| queue_arn(url, region).map_err(|reason| Error { url: url.to_owned(), reason })).collect()
}

/// Returns the partition of the input queues. All resources of a deployment are in one.
fn partition(sources: &BTreeSet<String>) -> String {
    sources.first().and_then(|arn| arn.split(':').nth(1)).unwrap_or("aws").to_owned()
}

fn quarantine(queue: &Queue) -> Option<&str> {
    queue.quarantine_url.as_deref()
}

fn texts<'a>(list: impl IntoIterator<Item = &'a String>) -> Vec<&'a str> {
    list.into_iter().map(String::as_str).collect()
}

/// Returns the ARN pattern that covers the topics of a template, followed by those of `topics` that the pattern does
/// not cover.
pub(super) fn topics_by_pattern(template: &str, topics: &[TopicArn]) -> Vec<TopicArn> {
    let (before, after) = template.split_once("{customer}").unwrap_or((template, ""));
    let is_covered = |topic: &str| {
        let middle = topic.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
        middle.is_some_and(|customer| !customer.is_empty())
    };
    let others = topics.iter().filter(|topic| !is_covered(topic.as_str())).cloned();
    std::iter::once(format!("{before}*{after}").into()).chain(others).collect()
}

/// The length of the policy as IAM counts it: in characters, without white space.
pub(super) fn len(policy: &Value) -> usize {
    policy.to_string().chars().filter(|c| !c.is_whitespace()).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_that_match_the_template_become_one_pattern() {
        let topics = ["arn:x:json-acme", "arn:x:json-", "arn:x:own", "arn:x:json-globex"].map(TopicArn::from);
        let found = topics_by_pattern("arn:x:json-{customer}", &topics);
        assert_eq!(
            found.iter().map(TopicArn::as_str).collect::<Vec<_>>(),
            ["arn:x:json-*", "arn:x:json-", "arn:x:own"]
        );
    }
}
