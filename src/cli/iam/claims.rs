//! The permissions of a claim check: of those who publish, and of a customer who reads its own events.

use serde_json::Value;

use super::{Error, Keys, Statements, partition, sources, texts};
use crate::config::Config;
use crate::message::claim_folder;

impl Statements {
    /// Adds the statements of storing the JSON of large events, if the configuration has a bucket for it.
    pub(super) fn store_claims(&mut self, config: &Config, keys: &Keys, partition: &str) {
        let Some(folder) = folder(config, partition) else { return };
        self.allow("StoreClaims", &["s3:PutObject"], vec![&format!("{folder}/*")]);
        // A PUT of one part needs no `kms:Decrypt`:
        // https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html
        self.allow("EncryptClaims", &["kms:GenerateDataKey"], texts(&keys.claim));
    }
}

/// Returns the policy of the consumers of a customer, who read the objects of this customer and no others. Returns
/// `None` if the configuration has no bucket for claim checks. `keys` are the ARNs of the keys of the bucket.
///
/// # Errors
/// Returns an error if the URL of a queue names no account, or if neither the URL nor `aws.region` names a region.
pub(in crate::cli) fn reader_policy(config: &Config, customer: &str, keys: &[String]) -> Result<Option<Value>, Error> {
    let partition = partition(&sources(config)?);
    let Some(bucket) = &config.claim_check.bucket else { return Ok(None) };
    let folder = claim_folder(&config.claim_check.key_prefix, customer);
    let mut statements = Statements::default();
    statements.allow("ReadClaims", &["s3:GetObject"], vec![&format!("arn:{partition}:s3:::{bucket}/{folder}/*")]);
    statements.allow("DecryptClaims", &["kms:Decrypt"], texts(keys));
    Ok(Some(statements.policy()))
}

/// Returns the ARN of the folder that has the objects of all customers.
fn folder(config: &Config, partition: &str) -> Option<String> {
    let settings = &config.claim_check;
    Some(format!("arn:{partition}:s3:::{}/{}", settings.bucket.as_deref()?, settings.key_prefix))
}
