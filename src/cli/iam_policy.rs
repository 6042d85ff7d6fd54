//! `protobridge iam-policy`: prints the minimal IAM policy of the service, of those who read its store, or of the jobs
//! that send messages again.

use std::collections::BTreeSet;
use std::io::{self, Write as _};

use super::config_file::ConfigFile;
use crate::cli::iam::{self, Keys};
use crate::config::Config;
use crate::message::TopicArn;

/// Arguments of `iam-policy`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Attach the policy to the role that the service runs as (IRSA, Pod Identity). A queue or topic in another account also \
needs a resource policy in that account; docs/iam.md shows one.

The service only writes to the store. Give the policy of `--for reader` to the people and jobs that run trace, \
duplicates, the reports, archive or `replay --compare`; its options are --config and --store-key. Give the policy of \
`--for replay` to a job that replays messages. The job publishes, but receives from no queue, so give it a role of its own. \
`--for redrive` is for those who redrive quarantined messages, or look at them.

Example:
  protobridge iam-policy --config protobridge.yaml > policy.json
  aws iam put-role-policy --role-name protobridge \\
    --policy-name protobridge --policy-document file://policy.json
  protobridge iam-policy --for replay --topic-pattern > replay.json")]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigFile,
    /// The role that the policy is for
    #[arg(long = "for", value_enum, value_name = "ROLE", default_value = "service")]
    role: Role,
    /// Allow every topic that matches `route.topic_template` instead of only the topics of today's customers, so that a
    /// new customer needs no new policy
    #[arg(long)]
    topic_pattern: bool,
    /// ARN of the dead-letter queue that the redrive policy of an input queue names, so that the service can count its
    /// messages; repeat the option for several queues
    #[arg(long, value_name = "ARN", value_parser = queue_arn)]
    dead_letter_queue: Vec<String>,
    /// ARN of a KMS key that encrypts an input queue; repeat the option for several keys
    #[arg(long, value_name = "ARN", value_parser = key_arn)]
    queue_key: Vec<String>,
    /// ARN of a KMS key that encrypts a quarantine queue; repeat the option for several keys
    #[arg(long, value_name = "ARN", value_parser = key_arn)]
    quarantine_key: Vec<String>,
    /// ARN of a KMS key that encrypts topics; repeat the option for several keys
    #[arg(long, value_name = "ARN", value_parser = key_arn)]
    topic_key: Vec<String>,
    /// ARN of a KMS key that encrypts a bucket of `envelope.s3_buckets`; repeat the option for several keys
    #[arg(long, value_name = "ARN", value_parser = key_arn)]
    bucket_key: Vec<String>,
    /// ARN of the KMS key that encrypts the store in S3, if `store.kms_key_id` is not that ARN or the bucket has a key
    /// of its own; repeat the option for several keys
    #[arg(long, value_name = "ARN", value_parser = key_arn)]
    store_key: Vec<String>,
}

/// A role that needs a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Role {
    /// The service: it receives, publishes, and writes to the store
    Service,
    /// The people and jobs that read the store; also for `replay --compare`
    Reader,
    /// The jobs that replay archived messages
    Replay,
    /// The people and jobs that redrive quarantined messages
    Redrive,
}

/// Prints the policy as JSON.
pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let config = args.config.load()?;
    let policy = match args.role {
        Role::Service => iam::policy(&config, &topics(args, &config)?, &args.dead_letter_queue, &keys(args, &config)?)?,
        Role::Reader => iam::reader_policy(&config, &store_keys(args, &config)?)?.ok_or(NO_STORE)?,
        Role::Replay if config.store.url.is_none() => return Err(NOTHING_TO_REPLAY.into()),
        Role::Redrive => iam::redrive::policy(&config, &topics(args, &config)?, &keys(args, &config)?)?,
        Role::Replay => iam::replay::policy(&config, &topics(args, &config)?, &keys(args, &config)?)?,
    };
    writeln!(io::stdout().lock(), "{policy:#}")?;
    let (len, max) = (iam::len(&policy), iam::MANAGED_POLICY_MAX);
    if len > max {
        anstream::eprintln!(
            "warning: the policy has {len} characters, but IAM limits a managed policy to {max}; use --topic-pattern, or split the topics among several policies"
        );
    }
    Ok(())
}

const NO_STORE: super::Usage = super::Usage("--for reader requires a bucket in `store.url`, such as s3://acme/prod");

const NOTHING_TO_REPLAY: super::Usage =
    super::Usage("--for replay requires `store.url`, which names the place of the archive, such as s3://acme/prod");

/// Returns the topics to publish to: ARNs, or patterns of ARNs.
fn topics(args: &Args, config: &Config) -> anyhow::Result<Vec<TopicArn>> {
    let topics = super::inputs::load(config)?.routes.current().topics();
    match &config.route.topic_template {
        Some(template) if args.topic_pattern => Ok(iam::topics_by_pattern(template, &topics)),
        None if args.topic_pattern => {
            Err(super::Usage("--topic-pattern requires `route.topic_template` in the configuration").into())
        }
        _ => Ok(topics),
    }
}

fn keys(args: &Args, config: &Config) -> Result<Keys, super::Usage> {
    Ok(Keys {
        queue: args.queue_key.clone(),
        quarantine: args.quarantine_key.clone(),
        topic: args.topic_key.clone(),
        bucket: args.bucket_key.clone(),
        store: store_keys(args, config)?,
    })
}

/// Returns the ARNs of the keys that encrypt the store.
///
/// # Errors
/// Returns an error if the configuration names a key by something else than its ARN, and no option names it.
fn store_keys(args: &Args, config: &Config) -> Result<Vec<String>, super::Usage> {
    let mut keys: BTreeSet<String> = args.store_key.iter().cloned().collect();
    match config.store.kms_key_id.as_deref().map(key_arn) {
        Some(Ok(key)) => drop(keys.insert(key)),
        Some(Err(_)) if keys.is_empty() => {
            return Err(super::Usage("a policy needs the ARN of the key in `store.kms_key_id`; add --store-key ARN"));
        }
        _ => {}
    }
    Ok(keys.into_iter().collect())
}

/// The value parser of the `--…-key` options.
fn key_arn(text: &str) -> Result<String, String> {
    let parts: Vec<&str> = text.split(':').collect();
    match parts.as_slice() {
        // IAM does not resolve key aliases in a policy:
        // https://docs.aws.amazon.com/kms/latest/developerguide/alias-about.html
        ["arn", _, "kms", _, _, key] if key.starts_with("key/") => Ok(text.to_owned()),
        _ => Err("not the ARN of a KMS key, such as arn:aws:kms:eu-west-1:123456789012:key/1234abcd".to_owned()),
    }
}

/// The value parser of `--dead-letter-queue`.
fn queue_arn(text: &str) -> Result<String, String> {
    match text.split(':').collect::<Vec<_>>().as_slice() {
        ["arn", _, "sqs", _, _, _] => Ok(text.to_owned()),
        _ => Err("not the ARN of a queue, such as arn:aws:sqs:eu-west-1:123456789012:dead".to_owned()),
    }
}
