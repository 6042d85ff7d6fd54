//! The permissions on descriptor sets and on the customers file in a bucket: of those who read them, and of the schema
//! owners who write the sets.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Error, Statements, partition, sources, texts};
use crate::config::{Config, InBucket};
use crate::schema::registry::is_object;

/// What a schema owner does with the objects of a prefix: write them, delete them, and return to an older version.
const OF_AN_OWNER: [&str; 4] = ["s3:PutObject", "s3:DeleteObject", "s3:GetObject", "s3:GetObjectVersion"];

impl Statements {
    /// Adds the statements of reading the descriptor sets and the customers file, if they are in a bucket. One object
    /// needs no permission to list its bucket.
    pub(super) fn read_sources(&mut self, config: &Config, partition: &str) {
        let sets = config.descriptors.path.in_bucket();
        let customers = config.route.customers_file.in_bucket();
        if let Some(prefix) = sets.filter(|place| !is_object(place)) {
            self.list("ListSets", &["s3:ListBucket"], partition, prefix);
        }
        if let Some(place) = sets {
            self.allow("ReadSets", &["s3:GetObject"], vec![&objects(partition, place, is_object(place))]);
        }
        if let Some(file) = customers {
            self.allow("ReadCustomers", &["s3:GetObject"], vec![&objects(partition, file, true)]);
        }
    }

    /// Adds a statement of listing the objects of a prefix.
    fn list(&mut self, sid: &str, actions: &[&str], partition: &str, place: &InBucket) {
        let mut statement = json!({
            "Sid": sid,
            "Effect": "Allow",
            "Action": actions,
            "Resource": [format!("arn:{partition}:s3:::{}", place.bucket)],
        });
        if !place.key.is_empty() {
            statement["Condition"] = json!({"StringLike": {"s3:prefix": [format!("{}/*", place.key)]}});
        }
        self.0.push(statement);
    }
}

/// Returns the policy of the CI of a schema owner who writes sets below this prefix of `descriptors.path`, or
/// everywhere below it. Returns `None` if the sets are not in a bucket. `keys` are the ARNs of the keys of the bucket.
///
/// # Errors
/// Returns an error if the URL of a queue names no account, or if neither the URL nor `aws.region` names a region.
pub(in crate::cli) fn owner_policy(
    config: &Config,
    prefix: Option<&str>,
    keys: &[String],
) -> Result<Option<Value>, Error> {
    let partition = partition(&sources(config)?);
    let Some(place) = config.descriptors.path.in_bucket() else { return Ok(None) };
    let place = below(place, prefix);
    let mut statements = Statements::default();
    statements.allow("WriteSets", &OF_AN_OWNER, vec![&objects(&partition, &place, is_object(&place))]);
    // The versions of one object are listed with its key as the prefix.
    let actions = ["s3:ListBucket", "s3:ListBucketVersions"];
    match is_object(&place) {
        true => statements.list_versions_of(&partition, &place),
        false => statements.list("ListSets", &actions, &partition, &place),
    }
    // An object is read with `kms:Decrypt` and written with `kms:GenerateDataKey`; an upload in parts needs both:
    // https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html
    let keys: BTreeSet<String> = keys.iter().cloned().collect();
    statements.allow("UseBucketKey", &["kms:GenerateDataKey", "kms:Decrypt"], texts(&keys));
    Ok(Some(statements.policy()))
}

impl Statements {
    fn list_versions_of(&mut self, partition: &str, object: &InBucket) {
        self.0.push(json!({
            "Sid": "ListSets",
            "Effect": "Allow",
            "Action": ["s3:ListBucketVersions"],
            "Resource": [format!("arn:{partition}:s3:::{}", object.bucket)],
            "Condition": {"StringEquals": {"s3:prefix": [object.key]}},
        }));
    }
}

/// Returns the place below a place, with one slash between its parts.
fn below(place: &InBucket, prefix: Option<&str>) -> InBucket {
    let parts = [place.key.as_str(), prefix.unwrap_or_default().trim_matches('/')];
    let key = parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/");
    InBucket { bucket: place.bucket.clone(), key }
}

/// Returns the ARN of an object, or the pattern of the ARNs of the objects of a prefix.
fn objects(partition: &str, place: &InBucket, is_object: bool) -> String {
    let InBucket { bucket, key } = place;
    match key.as_str() {
        "" => format!("arn:{partition}:s3:::{bucket}/*"),
        key if is_object => format!("arn:{partition}:s3:::{bucket}/{key}"),
        key => format!("arn:{partition}:s3:::{bucket}/{key}/*"),
    }
}
