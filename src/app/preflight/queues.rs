//! Asks for the queues and for the permissions on them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_sqs::types::QueueAttributeName as Name;
use tokio::time::sleep;
use tracing::{error, info};

use super::{Finding, Permission, Preflight, Severity};
use crate::aws::sqs::redrive::{RedrivePolicy, Schedule, Verdict};
use crate::aws::{Clients, Failure, FailureKind, SendEntry};
use crate::base::Backoff;
use crate::config::{Config, Queue};
use crate::message::is_fifo;
use crate::telemetry::{Metrics, Operation};

/// A receipt handle that SQS never issues, so no message has it.
const NO_HANDLE: &str = "protobridge-check";
/// Why a permission stays unproven if SQS refuses a request that AWS answers.
const REFUSED: &str = "SQS refused the request before it told whether the permission is granted";
/// Why `sqs:SendMessage` cannot be proven.
const NOT_SENT: &str = "only a message can prove it; SQS did not deny a batch of no messages";
/// Why `sqs:ReceiveMessage` is not proven.
const NOT_RECEIVED: &str = "only a receive can prove it; `--receive` makes one";
/// Why a permission was not asked for.
const NOT_ASKED: &str = "the queue could not be asked for";
/// The longest time for which SQS keeps a message (Amazon SQS API reference, `SetQueueAttributes`).
const LONGEST_RETENTION: Duration = Duration::from_secs(14 * 86_400);
/// Delays between the attempts to find a quarantine queue.
const BACKOFF: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(300));

/// Whether the check receives from each queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Receives {
    /// The check receives nothing.
    None,
    /// The check receives at most one message per queue. The message stays visible, and its receive count rises by one.
    One,
}

impl Preflight<'_> {
    pub(super) async fn queues(&mut self, receives: Receives) {
        for (index, queue) in self.config.queues.iter().enumerate() {
            self.source(index, queue, receives).await;
            if let Some(url) = &queue.quarantine_url {
                self.quarantine(url, format!("queues[{index}].quarantine_url")).await;
            }
        }
    }

    async fn source(&mut self, index: usize, queue: &Queue, receives: Receives) {
        let region = self.region.as_deref();
        let receive = Permission::of_queue("sqs:ReceiveMessage", &queue.url, region, format!("queues[{index}].url"));
        let [delete, hide] = ["sqs:DeleteMessage", "sqs:ChangeMessageVisibility"].map(|name| receive.for_action(name));
        let (goes_on, attributes) = self.attributes(&queue.url, &receive, &["kms:Decrypt"]).await;
        if !goes_on {
            return [receive, delete, hide].iter().for_each(|permission| self.leave_unproven(permission, NOT_ASKED));
        }
        self.redrive(queue.label(), &receive.key, attributes.as_ref());
        self.consume(&queue.url, [&receive, &delete, &hide], receives).await;
    }

    /// Asks for the permissions to receive messages of a queue, to delete them and to hide them.
    async fn consume(&mut self, url: &str, [receive, delete, hide]: [&Permission; 3], receives: Receives) {
        let lean = &self.clients.lean;
        // SQS answers with one result per entry, and refuses the entry of a message that does not exist. The answer
        // itself proves the permission, which belongs to the call.
        let deleted = self.attempt(async || lean.delete(url, std::iter::once(NO_HANDLE)).await).await;
        self.judge(delete, of_entries(deleted), Some(REFUSED));
        let changes = || std::iter::once((NO_HANDLE, 0));
        let hidden = self.attempt(async || lean.change_visibility(url, changes()).await).await;
        self.judge(hide, of_entries(hidden), Some(REFUSED));
        match receives {
            Receives::None => self.leave_unproven(receive, NOT_RECEIVED),
            Receives::One => {
                let received = self.receive(url).await;
                self.judge(receive, received, None);
            }
        }
    }

    /// Asks for the return queue of canaries. Its redrive policy does not matter.
    pub(super) async fn return_queue(&mut self, url: &str, receives: Receives) {
        let key = "canary.return_queue_url";
        let receive = Permission::of_queue("sqs:ReceiveMessage", url, self.region.as_deref(), key);
        let [delete, hide] = ["sqs:DeleteMessage", "sqs:ChangeMessageVisibility"].map(|name| receive.for_action(name));
        let (goes_on, _) = self.attributes(url, &receive, &["kms:Decrypt"]).await;
        if !goes_on {
            return [receive, delete, hide].iter().for_each(|permission| self.leave_unproven(permission, NOT_ASKED));
        }
        self.consume(url, [&receive, &delete, &hide], receives).await;
    }

    async fn quarantine(&mut self, url: &str, key: String) {
        let send = Permission::of_queue("sqs:SendMessage", url, self.region.as_deref(), key);
        let (goes_on, attributes) = self.attributes(url, &send, &["kms:GenerateDataKey", "kms:Decrypt"]).await;
        if !goes_on {
            return self.leave_unproven(&send, NOT_ASKED);
        }
        self.findings.extend(attributes.iter().flat_map(|attributes| about_quarantine(&send.key, attributes)));
        self.send(url, &send).await;
    }

    /// Asks for the permission to send to a queue.
    pub(super) async fn send(&mut self, url: &str, send: &Permission) {
        // A batch of no messages stores nothing, whatever SQS checks first.
        let lean = &self.clients.lean;
        let sent = self.attempt(async || lean.send_messages(url, std::iter::empty::<SendEntry<'_>>()).await).await;
        self.judge(send, sent.map(drop), Some(NOT_SENT));
    }

    /// Asks for the attributes of a queue. Returns whether further calls to the queue make sense, and the attributes.
    async fn attributes(
        &mut self,
        url: &str,
        permission: &Permission,
        key_actions: &[&'static str],
    ) -> (bool, Option<HashMap<Name, String>>) {
        let ask = permission.for_action("sqs:GetQueueAttributes");
        match attributes(self.clients, url).await {
            Ok(attributes) => {
                self.judge(&ask, Ok(()), None);
                self.key_unproven(attributes.get(&Name::KmsMasterKeyId), key_actions, &permission.key);
                (true, Some(attributes))
            }
            Err(failure) => (self.judge(&ask, Err(failure), None), None),
        }
    }

    async fn receive(&self, url: &str) -> Result<(), Failure> {
        let request = self.clients.sqs.receive_message().queue_url(url);
        let request = request.max_number_of_messages(1).visibility_timeout(0).wait_time_seconds(0);
        request.send().await.map(drop).map_err(|error| Failure::of_call(&error))
    }

    /// Judges the redrive policy of a source queue by the retry schedule. `attributes` is `None` if SQS denied them.
    fn redrive(&mut self, label: &str, key: &str, attributes: Option<&HashMap<Name, String>>) {
        let unknown = |why: String| {
            Finding::new(Severity::Warning, key, format!("queue {label}: its redrive policy is unknown: {why}"))
        };
        let finding = match attributes.map(RedrivePolicy::of) {
            None => unknown("sqs:GetQueueAttributes is denied".to_owned()),
            Some(Err(error)) => unknown(format!("the attribute RedrivePolicy cannot be read: {error}")),
            Some(Ok(policy)) => {
                let verdict = Verdict::new(policy, Schedule::new(&self.config.retry));
                let severity = if verdict.is_good() { Severity::Info } else { Severity::Warning };
                Finding {
                    way_out: verdict.way_out(),
                    ..Finding::new(severity, key, format!("queue {label}: {}", verdict.meaning()))
                }
            }
        };
        self.findings.push(finding);
    }
}

/// Returns what is wrong with the attributes of a quarantine queue.
fn about_quarantine(key: &str, attributes: &HashMap<Name, String>) -> Vec<Finding> {
    let mut findings = Vec::new();
    if attributes.get(&Name::RedrivePolicy).is_some_and(|policy| !policy.is_empty()) {
        let message = "the quarantine queue has a redrive policy of its own, which counts each look at a message as a \
                       receive: `quarantine list`, `quarantine show` and each `redrive`, dry runs included, bring a message \
                       closer to the next dead-letter queue";
        findings.push(Finding::new(Severity::Warning, key, message).fix("remove the redrive policy of this queue"));
    }
    let retention = attributes.get(&Name::MessageRetentionPeriod).and_then(|seconds| seconds.parse::<u64>().ok());
    if let Some(seconds) = retention.filter(|seconds| *seconds < LONGEST_RETENTION.as_secs()) {
        let message = format!(
            "the quarantine queue keeps a message for {}, so its cause must be fixed and the message redriven within that time",
            length(seconds)
        );
        findings
            .push(Finding::new(Severity::Info, key, message).fix("set MessageRetentionPeriod to 1209600 (14 days)"));
    }
    findings
}

/// Returns a length of time for people.
fn length(seconds: u64) -> String {
    const DAY: u64 = 86_400;
    match seconds {
        ..DAY => format!("{} hours", seconds / 3_600),
        _ => format!("{} days", seconds / DAY),
    }
}

/// Returns what the answer to a batch says about the permission for the call: a failed entry denies it only if its code
/// says so.
fn of_entries(answer: Result<HashMap<usize, Failure>, Failure>) -> Result<(), Failure> {
    let denied = answer?.into_values().find(|failure| failure.kind == FailureKind::Denied);
    denied.map_or(Ok(()), Err)
}

async fn attributes(clients: &Clients, url: &str) -> Result<HashMap<Name, String>, Failure> {
    let request = clients.sqs.get_queue_attributes().queue_url(url);
    let request = request.attribute_names(Name::RedrivePolicy).attribute_names(Name::KmsMasterKeyId);
    let request = request.attribute_names(Name::MessageRetentionPeriod);
    let answer = request.send().await.map_err(|error| Failure::of_call(&error))?;
    Ok(answer.attributes.unwrap_or_default())
}

/// Looks for the quarantine queues until SQS has answered for each one. Logs each queue that does not exist, once, and
/// logs when it exists. A message that belongs in a missing queue stays on its source queue meanwhile.
pub(crate) async fn find_quarantine_queues(clients: Clients, config: Config, metrics: Arc<Metrics>) {
    let urls =
        config.queues.iter().enumerate().filter_map(|(index, queue)| Some((index, queue.quarantine_url.as_ref()?)));
    let mut sought: Vec<(Permission, &String, bool)> = urls
        .map(|(index, url)| {
            let key = format!("queues[{index}].quarantine_url");
            let region = clients.region();
            (Permission::of_queue("sqs:SendMessage", url, region.as_deref(), key), url, false)
        })
        .collect();
    for attempt in 1.. {
        for (permission, url, was_missing) in std::mem::take(&mut sought) {
            let answer = attributes(&clients, url).await;
            metrics.call(Operation::GetQueueAttributes, is_fifo(url), answer.is_ok());
            match answer {
                Err(failure) if failure.kind == FailureKind::NotFound => {
                    if !was_missing {
                        let way_out = permission.way_out(&failure);
                        error!(url, %failure, way_out, "the quarantine queue does not exist; messages that cannot be published stay on their queue");
                    }
                    sought.push((permission, url, true));
                }
                // The failure says nothing about the queue.
                Err(failure) if failure.is_passing() => sought.push((permission, url, was_missing)),
                Ok(_) if was_missing => info!(url, "the quarantine queue exists now"),
                _ => {}
            }
        }
        if sought.is_empty() {
            return;
        }
        sleep(BACKOFF.delay(attempt)).await;
    }
}
