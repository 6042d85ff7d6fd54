//! The rules of the claim check.

use super::Rules;
use crate::config::names::is_bucket;
use crate::config::{Config, MAX_KEY_PREFIX_BYTES};

impl Rules {
    pub(super) fn claim_check(&mut self, config: &Config) {
        let claim_check = &config.claim_check;
        if let Some(bucket) = claim_check.bucket.as_ref().filter(|bucket| !is_bucket(bucket)) {
            self.refuse(
                "claim_check.bucket",
                format!("{bucket:?} is not a bucket name; use lower-case letters, digits, `-` and `.`, and no ARN"),
            );
        }
        if let Err(problem) = check_prefix(&claim_check.key_prefix) {
            self.refuse("claim_check.key_prefix", problem);
        }
        if let Some((bucket, store)) = config.store.bucket()
            && claim_check.bucket.as_deref() == Some(bucket)
            && shares_a_prefix(&claim_check.key_prefix, store)
        {
            self.refuse(
                "claim_check.key_prefix",
                format!(
                    "{:?} has keys of the store (`store.url`), which the lifecycle rules of claim checks would delete, or \
                     the other way round; choose another prefix, such as `claims`",
                    claim_check.key_prefix
                ),
            );
        }
        let key = claim_check.kms_key_id.as_ref();
        if key.is_some_and(|key| key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic())) {
            self.refuse("claim_check.kms_key_id", "is not the id or the ARN of a KMS key; leave it out to have none");
        }
        if claim_check.max_json_bytes < claim_check.over_bytes {
            let (most, over) = (claim_check.max_json_bytes, claim_check.over_bytes);
            self.refuse("claim_check", format!("max_json_bytes ({most}) is less than over_bytes ({over})"));
        }
    }
}

/// Whether the lifecycle rule of claim checks includes objects of a store in the same bucket, or a rule of the store
/// includes claim checks.
fn shares_a_prefix(claims: &str, store: &str) -> bool {
    /// The folders of a store.
    const FOLDERS: [&str; 5] = ["journal", "counters", "archive", "replays", "check"];
    let is_in = |inner: &str, outer: &str| format!("{inner}/").starts_with(&format!("{outer}/"));
    let folder = |name: &str| if store.is_empty() { name.to_owned() } else { format!("{store}/{name}") };
    FOLDERS.iter().map(|name| folder(name)).any(|folder| is_in(&folder, claims) || is_in(claims, &folder))
}

/// Checks the first part of the keys of objects.
///
/// # Errors
/// Returns the problem with the way out.
fn check_prefix(prefix: &str) -> Result<(), String> {
    let is_clean = |part: &str| !part.is_empty() && !matches!(part, "." | "..");
    if !prefix.split('/').all(is_clean) {
        return Err(format!(
            "{prefix:?} is empty, starts or ends with `/`, or has an empty part, `.` or `..`; use a prefix such as `claims`"
        ));
    }
    // Keys with other characters need care in some tools, and `*` is special in policies:
    // https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html
    let is_safe = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'/');
    if !prefix.bytes().all(is_safe) {
        return Err(format!("{prefix:?} has other characters than letters, digits, `-`, `_`, `.` and `/`"));
    }
    if prefix.len() > MAX_KEY_PREFIX_BYTES {
        return Err(format!("has {} bytes, and at most {MAX_KEY_PREFIX_BYTES} fit into a key", prefix.len()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ClaimCheck;

    fn problems(claim_check: ClaimCheck) -> Vec<String> {
        let config = Config { claim_check, ..Config::default() };
        let of_us = config.problems().into_iter().filter(|problem| problem.key.starts_with("claim_check"));
        of_us.map(|problem| problem.to_string()).collect()
    }

    #[test]
    fn a_prefix_is_one_that_every_tool_and_policy_takes_as_it_is() {
        for prefix in ["claims", "a/b.c/d_e-f", "...", &"p".repeat(MAX_KEY_PREFIX_BYTES)] {
            assert_eq!(check_prefix(prefix), Ok(()), "{prefix}");
        }
        for (prefix, expected) in [
            ("", "is empty"),
            ("/claims", "starts or ends"),
            ("claims/", "starts or ends"),
            ("a//b", "empty part"),
            ("a/../b", "`..`"),
            (".", "`.`"),
            ("a b", "other characters"),
            ("claims*", "other characters"),
            ("ü", "other characters"),
            (&"p".repeat(MAX_KEY_PREFIX_BYTES + 1), "has 257 bytes"),
        ] {
            let problem = check_prefix(prefix).unwrap_err();
            assert!(problem.contains(expected), "{prefix}: {problem}");
        }
    }

    #[test]
    fn a_bucket_that_is_shared_with_the_store_keeps_both_apart() {
        let refused = |prefix: &str, url: &str, bucket: &str| {
            let store = crate::config::Store { url: Some(url.into()), ..Default::default() };
            let claim_check =
                ClaimCheck { bucket: Some(bucket.into()), key_prefix: prefix.into(), ..ClaimCheck::default() };
            let config = Config { claim_check, store, ..Config::default() };
            config.problems().iter().any(|problem| problem.key == "claim_check.key_prefix")
        };
        for (prefix, url) in [
            ("prod", "s3://acme/prod"),
            ("a", "s3://acme/a/b"),
            ("journal", "s3://acme"),
            ("prod/archive/claims", "s3://acme/prod"),
        ] {
            assert!(refused(prefix, url, "acme"), "{prefix} in {url}");
            assert!(!refused(prefix, url, "other"), "{prefix} in {url}");
        }
        for (prefix, url) in [("claims", "s3://acme"), ("prod/claims", "s3://acme/prod"), ("prod2", "s3://acme/prod")] {
            assert!(!refused(prefix, url, "acme"), "{prefix} in {url}");
        }
    }

    #[test]
    fn the_bucket_the_key_and_the_sizes_are_checked() {
        let bucket = Some("acme-claims".to_owned());
        let valid =
            ClaimCheck { bucket, kms_key_id: Some("arn:aws:kms:eu-west-1:1:key/2".into()), ..Default::default() };
        assert_eq!(problems(valid.clone()), [""; 0]);
        let invalid = ClaimCheck {
            bucket: Some("arn:aws:s3:::acme".into()),
            kms_key_id: Some("a key".into()),
            over_bytes: 1_000_000,
            max_json_bytes: 999_999,
            ..valid
        };
        insta::assert_snapshot!(problems(invalid).join("\n"), @r#"
        claim_check.bucket: "arn:aws:s3:::acme" is not a bucket name; use lower-case letters, digits, `-` and `.`, and no ARN
        claim_check.kms_key_id: is not the id or the ARN of a KMS key; leave it out to have none
        claim_check: max_json_bytes (999999) is less than over_bytes (1000000)
        "#);
    }
}
