//! Asks whether the store can be written. The service only writes, so nothing is read or listed.

use std::path::Path;

use bytes::Bytes;

use super::{Finding, Permission, Preflight, ProofResult, Severity};
use crate::aws::{Failure, FailureKind};
use crate::base::error::chain;
use crate::config::region::partition;
use crate::store::{Error, Store, replica_name};

const KEY: &str = "store.url";

/// The content of the object that the check writes. Each host or pod writes one.
const PROOF: &[u8] = b"written by `protobridge check --online`\n";

impl Preflight<'_> {
    /// Writes a small object, and deletes it again from a folder. In S3 it stays: the service must not delete there.
    pub(super) async fn store(&mut self) {
        let settings = &self.config.store;
        let store = match Store::open(settings, &self.clients.shared, &self.clients.network) {
            Ok(Some(store)) => store,
            Ok(None) => return,
            Err(error) => return self.findings.push(Finding::of_text(Severity::Error, KEY, &without_key(&error))),
        };
        let key = format!("check/v1/{}", replica_name());
        let written = store.put(&key, Bytes::from_static(PROOF)).await;
        match (settings.bucket(), settings.folder()) {
            (Some((bucket, prefix)), _) => self.judge_bucket(bucket, prefix, written),
            (_, Some(folder)) => {
                let written = async { written.map(|()| store.delete(&key))?.await };
                let written = written.await;
                self.judge_folder(folder, written);
            }
            _ => {}
        }
    }

    fn judge_bucket(&mut self, bucket: &str, prefix: &str, written: Result<(), Error>) {
        let partition = self.region.as_deref().map_or("aws", partition);
        let objects = if prefix.is_empty() { format!("{bucket}/*") } else { format!("{bucket}/{prefix}/*") };
        let objects = format!("arn:{partition}:s3:::{objects}");
        let put = Permission { action: "s3:PutObject", resource: objects, key: KEY.to_owned() };
        let encrypt = self.config.store.kms_key_id.as_ref().map(|id| Permission {
            action: "kms:GenerateDataKey",
            resource: id.clone(),
            key: "store.kms_key_id".to_owned(),
        });
        self.judge_put(&put, encrypt.as_ref(), written.map_err(|error| failure(&error)));
    }

    /// Records what the answer to a write says about the permission for it, and about that for the key.
    pub(super) fn judge_put(&mut self, put: &Permission, encrypt: Option<&Permission>, answer: Result<(), Failure>) {
        match (encrypt, answer) {
            (Some(encrypt), Ok(())) => {
                self.judge(put, Ok(()), None);
                self.judge(encrypt, Ok(()), None);
            }
            // S3 answers the same code if the key denies the call; the message names the action.
            (Some(encrypt), Err(failure)) if failure.kind == FailureKind::Denied => {
                let way_out = format!("{}; also allow {encrypt}", put.way_out(&failure));
                let message = format!("{put} or {encrypt} is denied: {failure}");
                self.findings.push(Finding::new(Severity::Error, &put.key, message).fix(way_out));
                for permission in [put, encrypt] {
                    self.prove(permission, ProofResult::Denied, Some(failure.to_string()));
                }
            }
            (encrypt, answer) => {
                self.judge(put, answer, None);
                if let Some(encrypt) = encrypt {
                    self.leave_unproven(encrypt, "nothing could be written");
                }
            }
        }
    }

    fn judge_folder(&mut self, folder: &Path, written: Result<(), Error>) {
        let way_out = "let the user of the service write to it; in a container, mount a volume there";
        let written = written.map_err(|error| format!("{}; {way_out}", chain(&error)));
        self.other("write", &format!("the folder {} of store.url", folder.display()), KEY, written);
    }
}

/// Returns the text of an error without the key that it begins with.
fn without_key(error: &dyn std::error::Error) -> String {
    let text = error.to_string();
    text.strip_prefix("`store.url`: ").map(str::to_owned).unwrap_or(text)
}

/// Returns the failure that S3 answered with: its code and its message, if it answered with them.
fn failure(error: &Error) -> Failure {
    let text = chain(error);
    if let Some(code) = element(&text, "Code") {
        return Failure::of_entry(code, element(&text, "Message"), true);
    }
    let kind = match error {
        _ if error.is_missing() => FailureKind::NotFound,
        _ if error.is_denied() => FailureKind::Denied,
        _ => FailureKind::Transient,
    };
    Failure { kind, code: None, message: text, request_id: None }
}

/// Returns the text of the first XML element with this name.
fn element<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    rest.split_once(&format!("</{name}>")).map(|(value, _)| value)
}

#[cfg(test)]
mod tests;
