//! `protobridge iam-policy`.

use std::io::{self, Write as _};
use std::path::PathBuf;

use crate::app::Loaded;
use crate::cli::iam::{self, Keys};
use crate::config::load;

/// Arguments of `iam-policy`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The policy belongs to the role that the service runs as (IRSA, Pod Identity). Queues and topics in other accounts need a
resource policy there as well; docs/iam.md shows them.

Example:
  protobridge iam-policy --config protobridge.yaml > policy.json
  aws iam put-role-policy --role-name protobridge --policy-name protobridge --policy-document file://policy.json")]
pub(super) struct Args {
    /// Configuration file (YAML)
    #[arg(long, value_name = "FILE", env = "PROTOBRIDGE_CONFIG")]
    config: PathBuf,
    /// Allow every topic that `route.topic_template` can make, rather than those of today's customers, so that a new
    /// customer needs no new policy
    #[arg(long)]
    topic_pattern: bool,
    /// ARN of a KMS key that encrypts a queue which is received from; may be given more than once
    #[arg(long, value_name = "ARN", value_parser = key_arn)]
    queue_key: Vec<String>,
    /// ARN of a KMS key that encrypts a quarantine queue; may be given more than once
    #[arg(long, value_name = "ARN", value_parser = key_arn)]
    quarantine_key: Vec<String>,
    /// ARN of a KMS key that encrypts topics; may be given more than once
    #[arg(long, value_name = "ARN", value_parser = key_arn)]
    topic_key: Vec<String>,
    /// ARN of a KMS key that encrypts a bucket of `envelope.s3_buckets`; may be given more than once
    #[arg(long, value_name = "ARN", value_parser = key_arn)]
    bucket_key: Vec<String>,
}

/// Prints the policy as JSON.
pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let config = load::file(&args.config, load::environment())?;
    let mut topics = Loaded::load(&config)?.routes.current().topics();
    match &config.route.topic_template {
        Some(template) if args.topic_pattern => topics = iam::by_pattern(template, &topics),
        None if args.topic_pattern => {
            return Err(super::Usage("--topic-pattern needs `route.topic_template` in the configuration").into());
        }
        _ => {}
    }
    let keys = Keys {
        queue: args.queue_key.clone(),
        quarantine: args.quarantine_key.clone(),
        topic: args.topic_key.clone(),
        bucket: args.bucket_key.clone(),
    };
    let policy = iam::policy(&config, &topics, &keys)?;
    writeln!(io::stdout().lock(), "{policy:#}")?;
    let (len, most) = (iam::len(&policy), iam::MANAGED_POLICY_MAX);
    if len > most {
        anstream::eprintln!(
            "warning: {len} characters, and a managed policy takes {most}; use --topic-pattern, or spread the topics over several policies"
        );
    }
    Ok(())
}

fn key_arn(text: &str) -> Result<String, String> {
    let loaded: Vec<&str> = text.split(':').collect();
    match loaded.as_slice() {
        // A policy does not follow aliases: https://docs.aws.amazon.com/kms/latest/developerguide/alias-about.html
        ["arn", _, "kms", _, _, key] if key.starts_with("key/") => Ok(text.to_owned()),
        _ => Err("is not the ARN of a key such as arn:aws:kms:eu-west-1:123456789012:key/1234abcd".to_owned()),
    }
}
