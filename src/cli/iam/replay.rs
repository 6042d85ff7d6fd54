//! The policy of the jobs that replay archived messages.

use serde_json::{Value, json};

use super::{Error, Keys, Statements, partition, sources, store_arns, texts};
use crate::config::Config;
use crate::message::TopicArn;

/// The folders of the store that a replay reads: the messages, what became of them, and the progress of replays.
const READ: [&str; 3] = ["archive", "journal", "replays"];

/// The folders that it writes to: the rows of its deliveries, and its progress.
const WRITTEN: [&str; 2] = ["journal", "replays"];

/// Returns the policy of a role that runs `protobridge replay`. The role can publish to these topics. It can neither
/// receive from a queue nor delete from one, and it cannot change the archive. A store in a folder has no statements.
///
/// # Errors
/// Returns an error if the URL of a queue names no account, or if neither the URL nor `aws.region` names a region.
pub(in crate::cli) fn policy(config: &Config, topics: &[TopicArn], keys: &Keys) -> Result<Value, Error> {
    let partition = partition(&sources(config)?);
    let mut statements = Statements::default();
    statements.send_again(config, topics, keys, &partition);
    if let Some((bucket, objects)) = store_arns(config, &partition) {
        let folder = |name: &str| format!("{}{name}/*", objects.trim_end_matches('*'));
        let (read, written) = (READ.map(folder), WRITTEN.map(folder));
        statements.allow("ReadStore", &["s3:GetObject"], texts(&read));
        statements.0.push(list(config, &bucket));
        statements.allow("WriteStore", &["s3:PutObject"], texts(&written));
        statements.allow("DeleteProgress", &["s3:DeleteObject"], vec![&folder("replays")]);
        // An object is read with `kms:Decrypt` and written with `kms:GenerateDataKey`:
        // https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html
        statements.allow("UseStoreKey", &["kms:GenerateDataKey", "kms:Decrypt"], texts(&keys.store));
    }
    Ok(statements.policy())
}

/// Returns the statement of listing the folders.
fn list(config: &Config, bucket: &str) -> Value {
    let prefix = config.store.bucket().map_or("", |(_, prefix)| prefix);
    let folder = |name: &str| if prefix.is_empty() { format!("{name}/*") } else { format!("{prefix}/{name}/*") };
    json!({
        "Sid": "ListStore",
        "Effect": "Allow",
        "Action": ["s3:ListBucket"],
        "Resource": [bucket],
        "Condition": {"StringLike": {"s3:prefix": READ.map(folder)}},
    })
}
