//! The configuration of the claim check: large events leave as objects of S3.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The most bytes of `claim_check.key_prefix`. With the parts that follow it, a key has at most the 1,024 bytes that S3 allows.
pub const MAX_KEY_PREFIX_BYTES: usize = 256;

/// The claim check: the JSON of an event that outgrows its topic is stored in S3, and the topic carries a pointer to it,
/// in the format of the extended clients of SNS and SQS. Each customer chooses by `claim_check` in the customers file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ClaimCheck {
    /// The bucket that stores the JSON. Default: none, so that no customer can have a claim check.
    pub bucket: Option<String>,
    /// The first part of the key of each object. The id of the customer follows, so that a policy of the bucket can
    /// give each customer its own objects only.
    pub key_prefix: String,
    /// The size of an event in bytes, JSON and attributes together, above which the JSON of a customer with
    /// `claim_check: on` is stored in the bucket. Events that a topic cannot take are always stored.
    #[schemars(range(min = 1_024, max = 1_048_576))]
    pub over_bytes: usize,
    /// The most bytes of the JSON of an event with a claim check. An event with more is quarantined as `too_large`. Each
    /// such event takes this memory while it is published.
    #[schemars(range(min = 262_144, max = 268_435_456))]
    pub max_json_bytes: usize,
    /// The id or the ARN of the KMS key with which S3 encrypts the objects. Default: the encryption of the bucket.
    pub kms_key_id: Option<String>,
}

impl Default for ClaimCheck {
    fn default() -> Self {
        Self {
            bucket: None,
            key_prefix: "claims".into(),
            over_bytes: 256 * 1024,
            max_json_bytes: 16 * 1024 * 1024,
            kms_key_id: None,
        }
    }
}
