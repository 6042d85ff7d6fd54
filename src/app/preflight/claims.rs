//! Asks whether the bucket of claim checks can be written.

use super::{Finding, Permission, Preflight, Severity};
use crate::aws::s3::claims::ClaimBucket;
use crate::config::region::partition;

const KEY: &str = "claim_check.bucket";

impl Preflight<'_> {
    /// Writes a small object below the prefix of the keys. It stays: the service must not delete there.
    pub(super) async fn claims(&mut self) {
        let bucket = match ClaimBucket::new(self.config, self.clients) {
            Ok(Some(bucket)) => bucket,
            Ok(None) => return,
            Err(error) => return self.findings.push(Finding::of_text(Severity::Error, KEY, &error.to_string())),
        };
        let partition = self.region.as_deref().map_or("aws", partition);
        let (name, checked) = (bucket.name(), bucket.checked_key());
        let prefix = checked.rsplit_once('/').map_or_else(String::new, |(prefix, _)| format!("{prefix}/"));
        let resource = format!("arn:{partition}:s3:::{name}/{prefix}*");
        let put = Permission { action: "s3:PutObject", resource, key: KEY.to_owned() };
        let encrypt = self.config.claim_check.kms_key_id.as_ref().map(|id| Permission {
            action: "kms:GenerateDataKey",
            resource: id.clone(),
            key: "claim_check.kms_key_id".to_owned(),
        });
        let written = bucket.probe().await;
        self.judge_put(&put, encrypt.as_ref(), written);
    }
}

#[cfg(test)]
mod tests {
    use crate::app::preflight::{Preflight, ProofResult, Receives};
    use crate::aws::scripted::{Call, clients};
    use crate::config::Config;

    const OBJECTS: &str = "arn:aws:s3:::large/claims/v1/*";
    const KMS_KEY: &str = "arn:aws:kms:eu-west-1:123456789012:key/1234abcd";

    /// Returns the proofs and the errors of the check, with an S3 that answers like this.
    async fn check(
        kms_key_id: Option<&str>,
        answer: fn(&Call) -> (u16, String),
    ) -> (Vec<(&'static str, String, ProofResult)>, Vec<String>) {
        let (clients, _) = clients(move |call, _| answer(call));
        let mut config = Config::default();
        config.claim_check.bucket = Some("large".into());
        config.claim_check.key_prefix = "claims/v1".into();
        config.claim_check.kms_key_id = kms_key_id.map(str::to_owned);
        let Preflight { proofs, findings, .. } = Preflight::run(&clients, &config, &[], Receives::None).await;
        let proofs = proofs.into_iter().map(|proof| (proof.action, proof.resource, proof.result)).collect();
        (proofs, findings.iter().map(ToString::to_string).collect())
    }

    fn denied(_: &Call) -> (u16, String) {
        (403, "<Error><Code>AccessDenied</Code><Message>not authorized</Message></Error>".to_owned())
    }

    #[tokio::test]
    async fn one_put_proves_that_claim_checks_can_be_stored() {
        let (proofs, errors) = check(Some(KMS_KEY), |_| (200, String::new())).await;
        assert_eq!(errors, [""; 0]);
        let proven = |action, resource: &str| (action, resource.to_owned(), ProofResult::Proven);
        assert_eq!(proofs, [proven("s3:PutObject", OBJECTS), proven("kms:GenerateDataKey", KMS_KEY)]);
    }

    #[tokio::test]
    async fn a_denied_put_is_an_error_that_names_the_permissions() {
        let (proofs, errors) = check(None, denied).await;
        assert_eq!(proofs, [("s3:PutObject", OBJECTS.to_owned(), ProofResult::Denied)]);
        let start = format!("claim_check.bucket: s3:PutObject on {OBJECTS} is denied: AccessDenied: not authorized");
        assert!(errors.len() == 1 && errors[0].starts_with(&start), "{errors:?}");
        assert!(errors[0].contains(&format!("; allow s3:PutObject on {OBJECTS}; ")), "{errors:?}");
        let (proofs, errors) = check(Some(KMS_KEY), denied).await;
        assert!(proofs.iter().all(|(.., result)| *result == ProofResult::Denied) && proofs.len() == 2, "{proofs:?}");
        assert!(errors[0].contains(&format!("also allow kms:GenerateDataKey on {KMS_KEY}")), "{errors:?}");
    }

    #[tokio::test]
    async fn a_bucket_that_does_not_exist_is_an_error_with_its_key() {
        let missing = |_: &Call| (404, "<Error><Code>NoSuchBucket</Code><Message>m</Message></Error>".to_owned());
        let (proofs, errors) = check(Some(KMS_KEY), missing).await;
        let results: Vec<ProofResult> = proofs.iter().map(|(.., result)| *result).collect();
        assert_eq!(results, [ProofResult::Failed, ProofResult::Unproven]);
        assert!(errors[0].contains("create it, or correct `claim_check.bucket`"), "{errors:?}");
    }
}
