//! `protobridge iam-policy`: prints the minimal IAM policy of the service, or of another role that works with its
//! queues, topics and buckets.

use std::collections::BTreeSet;
use std::io::{self, Write as _};
use std::sync::Arc;

use serde_json::Value;

use super::config_file::ConfigFile;
use crate::cli::iam::{self, Keys};
use crate::config::Config;
use crate::message::TopicArn;
use crate::route::Routes;
use crate::schema::registry::{Profiles, Snapshot, is_object};

/// Arguments of `iam-policy`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Attach the policy to the role that the service runs as (IRSA, Pod Identity). A queue or topic in another account also \
needs a resource policy in that account; docs/iam.md shows one.

The service only writes to the store. Give the policy of `--for reader` to the people and jobs that run trace, \
duplicates, the reports, archive or `replay --compare`; its options are --config, --store-key and --bucket-key. Give \
the policy of `--for replay` to a job that replays messages. The job publishes, but receives from no queue, so give it \
a role of its own. `--for redrive` is for those who redrive quarantined messages, or look at them.

`--for schema-owner` is for the CI of a team that writes descriptor sets into the bucket of `descriptors.path`, and \
`--for claim-reader` for the consumers of a customer whose large events are in the bucket of `claim_check.bucket`.

Example:
  protobridge iam-policy --config protobridge.yaml > policy.json
  aws iam put-role-policy --role-name protobridge \\
    --policy-name protobridge --policy-document file://policy.json
  protobridge iam-policy --for replay --topic-pattern > replay.json
  protobridge iam-policy --for schema-owner --prefix orders > orders.json
  protobridge iam-policy --for claim-reader --customer acme > acme.json")]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigFile,
    /// The role that the policy is for
    #[arg(long = "for", value_enum, value_name = "ROLE", default_value = "service")]
    role: Role,
    /// The folder of the team below `descriptors.path`, for `--for schema-owner`. Default: everything below it
    #[arg(long)]
    prefix: Option<String>,
    /// The id of the customer, for `--for claim-reader`
    #[arg(long, value_name = "ID")]
    customer: Option<String>,
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
    /// ARN of a KMS key that encrypts a bucket of `envelope.s3_buckets`, of descriptor sets or of the customers file;
    /// repeat the option for several keys
    #[arg(long, value_name = "ARN", value_parser = key_arn)]
    bucket_key: Vec<String>,
    /// ARN of the KMS key that encrypts the objects of a claim check, if `claim_check.kms_key_id` is not that ARN or
    /// the bucket has a key of its own; repeat the option for several keys
    #[arg(long, value_name = "ARN", value_parser = key_arn)]
    claim_key: Vec<String>,
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
    /// The CI of a team that writes descriptor sets into the bucket
    SchemaOwner,
    /// The consumers of a customer whose large events leave as a claim check
    ClaimReader,
}

/// Prints the policy as JSON.
pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    args.check()?;
    let config = args.config.load()?;
    let policy = match args.role {
        Role::Service => iam::policy(&config, &topics(args, &config)?, &args.dead_letter_queue, &keys(args, &config)?)?,
        Role::Reader => iam::reader_policy(&config, &keys(args, &config)?)?.ok_or(NO_STORE)?,
        Role::Replay if config.store.url.is_none() => return Err(NOTHING_TO_REPLAY.into()),
        Role::Redrive => iam::redrive::policy(&config, &topics(args, &config)?, &keys(args, &config)?)?,
        Role::Replay => iam::replay::policy(&config, &topics(args, &config)?, &keys(args, &config)?)?,
        Role::SchemaOwner => schema_owner(args, &config)?,
        Role::ClaimReader => claim_reader(args, &config)?,
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

impl Args {
    /// # Errors
    /// Returns an error if an option of one role is given for another one, or is missing.
    fn check(&self) -> Result<(), super::Usage> {
        match self.role {
            Role::SchemaOwner => {}
            _ if self.prefix.is_some() => return Err(super::Usage("--prefix is an option of --for schema-owner")),
            _ => {}
        }
        match (self.role, &self.customer) {
            (Role::ClaimReader, None) => Err(super::Usage("--for claim-reader requires --customer ID")),
            (Role::ClaimReader, Some(_)) | (_, None) => Ok(()),
            (_, Some(_)) => Err(super::Usage("--customer is an option of --for claim-reader")),
        }
    }
}

/// Returns the policy of a team that writes descriptor sets.
fn schema_owner(args: &Args, config: &Config) -> anyhow::Result<Value> {
    let object = config.descriptors.path.in_bucket().filter(|place| is_object(place));
    if object.is_some() && args.prefix.is_some() {
        return Err(ONE_SET.into());
    }
    let policy = iam::buckets::owner_policy(config, args.prefix.as_deref(), &args.bucket_key)?;
    Ok(policy.ok_or(NO_SETS)?)
}

/// Returns the policy of the consumers of a customer.
fn claim_reader(args: &Args, config: &Config) -> anyhow::Result<Value> {
    let customer = args.customer.as_deref().unwrap_or_default();
    let policy = iam::claims::reader_policy(config, customer, &claim_keys(args, config)?)?;
    Ok(policy.ok_or(NO_CLAIMS)?)
}

const NO_SETS: super::Usage =
    super::Usage("--for schema-owner requires a bucket in `descriptors.path`, such as s3://acme-schemas/released");

const ONE_SET: super::Usage = super::Usage("--prefix requires a prefix in `descriptors.path`, and it is one set");

const NO_CLAIMS: super::Usage = super::Usage("--for claim-reader requires `claim_check.bucket`, such as acme-claims");

const NO_STORE: super::Usage = super::Usage("--for reader requires a bucket in `store.url`, such as s3://acme/prod");

const NOTHING_TO_REPLAY: super::Usage =
    super::Usage("--for replay requires `store.url`, which names the place of the archive, such as s3://acme/prod");

/// Returns the topics of the customers, without the descriptor sets. If the customers are in a bucket that does not return
/// them, there are none: the policy that is printed can be the one that allows it.
fn known_topics(config: &Config) -> anyhow::Result<Vec<TopicArn>> {
    let customers = match super::inputs::customers(config) {
        Ok(customers) => customers,
        Err(error) if config.route.customers_file.in_bucket().is_some() => {
            let error = super::with_causes(&error);
            anstream::eprintln!(
                "warning: {error}; the policy lacks the topics of the customers: print it again when they can be read, \
                 or use --topic-pattern"
            );
            return Ok(Vec::new());
        }
        Err(error) => return Err(error),
    };
    let profiles = Arc::new(Profiles::new(&config.profiles));
    let snapshot = Snapshot::built_in(&profiles);
    let routes = Routes::parse(config, &customers, profiles, snapshot).map_err(crate::app::Error::from)?;
    Ok(routes.current().topics())
}

/// Returns the topics to publish to: ARNs, or patterns of ARNs.
fn topics(args: &Args, config: &Config) -> anyhow::Result<Vec<TopicArn>> {
    let topics = known_topics(config)?;
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
        claim: claim_keys(args, config)?,
        store: store_keys(args, config)?,
    })
}

/// Returns the ARNs of the keys that encrypt the store.
///
/// # Errors
/// Returns an error if the configuration names a key by something else than its ARN, and no option names it.
fn store_keys(args: &Args, config: &Config) -> Result<Vec<String>, super::Usage> {
    let without = "a policy needs the ARN of the key in `store.kms_key_id`; add --store-key ARN";
    with_configured(&args.store_key, config.store.kms_key_id.as_deref()).ok_or(super::Usage(without))
}

/// Returns the ARNs of the keys that encrypt the objects of a claim check.
///
/// # Errors
/// Returns an error if the configuration names a key by something else than its ARN, and no option names it.
fn claim_keys(args: &Args, config: &Config) -> Result<Vec<String>, super::Usage> {
    let without = "a policy needs the ARN of the key in `claim_check.kms_key_id`; add --claim-key ARN";
    with_configured(&args.claim_key, config.claim_check.kms_key_id.as_deref()).ok_or(super::Usage(without))
}

/// Returns the ARNs that the options and the configuration name. Returns `None` if none of them is the ARN of the key
/// that the configuration names.
fn with_configured(named: &[String], configured: Option<&str>) -> Option<Vec<String>> {
    let mut keys: BTreeSet<String> = named.iter().cloned().collect();
    match configured.map(key_arn) {
        Some(Ok(key)) => drop(keys.insert(key)),
        Some(Err(_)) if keys.is_empty() => return None,
        _ => {}
    }
    Some(keys.into_iter().collect())
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
