//! The way out of a failed call: the change by an operator that lets the call succeed.

use std::fmt;

use aws_lean::{Failure, FailureKind};

use crate::config::region::queue_arn;

/// A call, as an operator knows it: an action of IAM on a resource that a key of the configuration names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Permission {
    /// The action of IAM, such as `sqs:ReceiveMessage`.
    pub action: &'static str,
    /// The ARN of the resource. For a queue whose URL does not determine the ARN, the URL.
    pub resource: String,
    /// The key of the configuration that names the resource.
    pub key: String,
}

impl Permission {
    /// Creates the permission for an action on the queue with this URL. `region` is the region that AWS is called in,
    /// if it is known.
    pub fn of_queue(action: &'static str, url: &str, region: Option<&str>, key: impl Into<String>) -> Self {
        let resource = queue_arn(url, region).unwrap_or_else(|_| url.to_owned());
        Self { action, resource, key: key.into() }
    }

    /// Returns the same permission for another action.
    #[must_use]
    pub fn for_action(&self, action: &'static str) -> Self {
        Self { action, ..self.clone() }
    }

    /// Returns the way out of this failure of the call.
    pub fn way_out(&self, failure: &Failure) -> String {
        let key = &self.key;
        match failure.kind {
            FailureKind::Denied => self.grant(failure.code.as_deref()),
            // SQS answers the same for a queue of another account that the role has no access to.
            FailureKind::NotFound => format!("create it, or correct `{key}`; if it exists, allow {self}"),
            FailureKind::Transient => "check the network, `aws.region` and `aws.endpoint_url`".to_owned(),
            FailureKind::Throttled => "wait, or raise the quota of the account".to_owned(),
            FailureKind::KeyThrottled => "wait, or raise the quota of the KMS key".to_owned(),
            FailureKind::Broken => format!("check its KMS key, `{key}` and `aws.endpoint_url`"),
            FailureKind::Refused => format!("check `{key}` and `aws.region`"),
        }
    }

    fn grant(&self, code: Option<&str>) -> String {
        match code {
            None => {
                "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or AWS_PROFILE, or give the pod or instance a role"
                    .to_owned()
            }
            Some(code) if ["KMS", "Kms"].iter().any(|prefix| code.starts_with(prefix)) => {
                format!("allow the role to use the KMS key of {} (docs/iam.md)", self.resource)
            }
            Some(code) if is_of_a_policy(code) => {
                format!("allow {self}; `protobridge iam-policy` prints the policy, docs/iam.md explains it")
            }
            Some(_) => format!("check the credentials and the clock of this machine, and allow {self} (docs/iam.md)"),
        }
    }
}

/// Displays `ACTION on RESOURCE`.
impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}", self.action, self.resource)
    }
}

/// Whether a policy denies the call, as opposed to credentials that are missing or not valid.
pub fn is_denied_by_a_policy(failure: &Failure) -> bool {
    failure.kind == FailureKind::Denied && failure.code.as_deref().is_some_and(is_of_a_policy)
}

/// Whether the code of a denial says that a policy does not allow the call.
fn is_of_a_policy(code: &str) -> bool {
    let name = code.rsplit('#').next().unwrap_or(code);
    ["AccessDenied", "AuthorizationError", "NotAuthorized"].iter().any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receive() -> Permission {
        let url = "https://sqs.eu-west-1.amazonaws.com/123456789012/orders";
        Permission::of_queue("sqs:ReceiveMessage", url, None, "queues[0].url")
    }

    #[test]
    fn the_way_out_of_a_denial_names_the_action_and_the_resource() {
        let way_out = |code: &str| receive().way_out(&Failure::of_entry(code, None, true));
        let permission = "allow sqs:ReceiveMessage on arn:aws:sqs:eu-west-1:123456789012:orders";
        let coral = "com.amazon.coral.service#AccessDeniedException";
        for code in ["AccessDenied", "AccessDeniedException", coral, "AuthorizationError"] {
            let found = way_out(code);
            assert!(found.starts_with(permission) && found.contains("`protobridge iam-policy`"), "{code}: {found}");
        }
        for code in ["InvalidClientTokenId", "ExpiredToken", "SignatureDoesNotMatch", "RequestTimeTooSkewed"] {
            let found = way_out(code);
            assert!(found.starts_with("check the credentials and the clock") && found.contains(permission), "{found}");
        }
        assert!(way_out("KMS.AccessDeniedException").contains("the KMS key of arn:aws:sqs:eu-west-1"));
        assert!(way_out("QueueDoesNotExist").starts_with("create it, or correct `queues[0].url`; "));
    }

    #[test]
    fn a_queue_whose_url_determines_no_arn_is_named_by_its_url() {
        let permission =
            Permission::of_queue("sqs:ReceiveMessage", "http://localhost:9324/queue", None, "queues[0].url");
        assert_eq!(permission.to_string(), "sqs:ReceiveMessage on http://localhost:9324/queue");
    }
}
