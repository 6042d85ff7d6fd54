//! The policy of the jobs that redrive quarantined messages.

use serde_json::Value;

use super::{Error, Keys, Statements, arns, partition, quarantine, sources, store_arns, texts};
use crate::config::Config;
use crate::message::TopicArn;

/// What a redrive does with the messages of a quarantine queue. It sends a copy if a message keeps a new note.
const IN_QUARANTINE: [&str; 5] = [
    "sqs:ReceiveMessage",
    "sqs:DeleteMessage",
    "sqs:ChangeMessageVisibility",
    "sqs:GetQueueAttributes",
    "sqs:SendMessage",
];

/// Returns the policy of a role that runs `protobridge redrive` and `protobridge quarantine`. The role can publish to these
/// topics, and send to the source queues. It can neither receive from a source queue nor read the store.
///
/// # Errors
/// Returns an error if the URL of a queue names no account, or if neither the URL nor `aws.region` names a region.
pub(in crate::cli) fn policy(config: &Config, topics: &[TopicArn], keys: &Keys) -> Result<Value, Error> {
    let sources = sources(config)?;
    let quarantines = arns(config, config.queues.iter().filter_map(quarantine).collect())?;
    let partition = partition(&sources);
    let mut statements = Statements::default();
    statements.allow("Redrive", &IN_QUARANTINE, texts(&quarantines));
    statements.allow("SendBack", &["sqs:SendMessage"], texts(&sources));
    statements.send_again(config, topics, keys, &partition);
    // https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-key-management.html
    let to_send = ["kms:GenerateDataKey", "kms:Decrypt"];
    statements.allow("UseQuarantineKeys", &to_send, texts(&keys.quarantine));
    statements.allow("EncryptQueues", &to_send, texts(&keys.queue));
    if let Some((_, objects)) = store_arns(config, &partition) {
        let rows = format!("{}journal/*", objects.trim_end_matches('*'));
        statements.allow("WriteJournal", &["s3:PutObject"], vec![&rows]);
        statements.allow("EncryptStore", &["kms:GenerateDataKey"], texts(&keys.store));
    }
    Ok(statements.policy())
}
