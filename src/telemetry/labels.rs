//! The labels of each metric family, and the closed lists among their values.

use protojson::Rule;

use super::label_set::{LabelValue, closed_labels, closed_lists, label_sets};
use super::operation::Operation;
use crate::message::{DuplicateCause, OutcomeLabel, QuarantineKind, RetryCause};

label_sets! {
    /// The labels of families that are counted by queue only.
    QueueLabels<'v> {
        /// The name of the queue in metrics.
        queue: &'v str,
    }

    /// The labels of the build that runs.
    BuildLabels<'v> {
        /// The version.
        version: &'v str,
        /// The first digits of the commit.
        git_hash: &'v str,
        /// The hash of the configuration.
        config_hash: &'v str,
        /// The hash of the descriptor sets in force.
        sets_hash: &'v str,
    }

    /// The labels of messages whose event type was looked up.
    EventLabels<'v> {
        /// The name of the queue in metrics.
        queue: &'v str,
        /// The full name of the event's message type, or [`UNKNOWN_TYPE`](super::UNKNOWN_TYPE).
        event_type: &'v str,
    }

    /// The labels of settled messages.
    SettledLabels<'v> {
        /// The name of the queue in metrics.
        queue: &'v str,
        /// The full name of the event's message type, or [`UNKNOWN_TYPE`](super::UNKNOWN_TYPE).
        event_type: &'v str,
        /// How the message was settled.
        outcome: OutcomeLabel,
    }

    /// The labels of messages in quarantine.
    QuarantinedLabels<'v> {
        /// The name of the queue that the message was received from.
        queue: &'v str,
        /// Why the message cannot be published.
        reason: QuarantineKind,
    }

    /// The labels of messages that are retried.
    RetriedLabels<'v> {
        /// The name of the queue in metrics.
        queue: &'v str,
        /// Why the message was returned to its queue.
        cause: RetryCause,
    }

    /// The labels of long polls.
    PollLabels<'v> {
        /// The name of the queue in metrics.
        queue: &'v str,
        /// The result of the poll.
        result: PollResult,
    }

    /// The labels of the number of messages on a queue.
    QueueMessagesLabels<'v> {
        /// The name of the queue in metrics.
        queue: &'v str,
        /// The state that SQS counts these messages in.
        state: QueueState,
    }

    /// The labels of entries that SNS confirmed.
    PublishedLabels<'v> {
        /// The full name of the event's message type.
        event_type: &'v str,
        /// The customer whose topic received the entry.
        customer: CustomerLabel<'v>,
    }

    /// The labels of a topic that has a limit of its own.
    TopicLabels<'v> {
        /// The ARN of the topic.
        topic: &'v str,
        /// The customer whom the topic belongs to.
        customer: CustomerLabel<'v>,
    }

    /// The labels of objects that are stored for a customer.
    ClaimLabels<'v> {
        /// The customer whose event is stored.
        customer: CustomerLabel<'v>,
    }

    /// The labels of failures.
    FailureLabels<'v> {
        /// The error code of AWS, or protobridge's own if there was no answer.
        code: &'v str,
    }

    /// The labels of suppressed duplicates.
    DuplicateLabels<'v> {
        /// The name of the queue in metrics.
        queue: &'v str,
        /// The full name of the event's message type.
        event_type: &'v str,
        /// Why the event was there twice.
        cause: DuplicateCause,
    }

    /// The labels of failed requests to the shared window of duplicates.
    StoreLabels {
        /// The requested operation.
        operation: StoreOperation,
    }

    /// The labels of rows that are not in the journal.
    DroppedRowsLabels {
        /// Why the rows were dropped.
        reason: DropReason,
    }

    /// The labels of failed calls to the store.
    StoreErrorLabels {
        /// The call that failed.
        operation: StoreCall,
        /// Why it failed.
        code: StoreErrorCode,
    }

    /// The labels of outages.
    OutageLabels<'v> {
        /// The kind of the domain.
        domain: DomainKind,
        /// The name of the domain among those of its kind.
        name: &'v str,
    }

    /// The labels of descriptor sets.
    DescriptorSetLabels {
        /// Whether the set is in force.
        state: SetState,
    }

    /// The labels of reloads.
    ReloadLabels {
        /// The files that changed.
        what: ReloadSubject,
        /// The result of the change.
        result: ReloadResult,
    }

    /// The labels of the state that the last reload left.
    LastReloadLabels {
        /// The reloaded files.
        what: ReloadSubject,
    }

    /// The labels of a place in a bucket.
    DescriptorSourceLabels {
        /// The files at the place.
        what: ReloadSubject,
    }

    /// The labels of failed reads of a place in a bucket.
    DescriptorSourceErrorLabels {
        /// The files at the place.
        what: ReloadSubject,
        /// Why the read failed.
        code: StoreErrorCode,
    }

    /// The labels of breaking changes.
    BreakingChangeLabels {
        /// The rule that the change breaks.
        rule: Rule,
    }

    /// The labels of calls of AWS APIs.
    CallLabels {
        /// The operation that was called. It is shown as two labels: `service` and `operation`.
        operation: Operation,
        /// Whether the call succeeded.
        result: CallResult,
    }

    /// The labels of the round trip of canaries.
    CanaryLegLabels {
        /// The part of the round trip.
        leg: CanaryLeg,
    }

    /// The labels of requests as AWS bills them.
    BillableLabels<'v> {
        /// The operation that was called. It is shown as two labels: `service` and `operation`.
        operation: Operation,
        /// The customer that the call was made for.
        customer: CustomerLabel<'v>,
    }
}

closed_lists! {
    /// The result of a long poll.
    PollResult {
        /// SQS returned messages.
        Messages = "messages",
        /// SQS returned no message.
        Empty = "empty",
        /// The call failed.
        Error = "error",
    }

    /// The result of a call of an AWS API.
    CallResult {
        /// The call succeeded, even if entries of its batch failed.
        Ok = "ok",
        /// The call failed as a whole.
        Error = "error",
    }

    /// A state in which SQS counts the messages on a queue.
    QueueState {
        /// The message can be received.
        Visible = "visible",
        /// A consumer has received the message and has not deleted it.
        InFlight = "in_flight",
        /// The message becomes visible for the first time later.
        Delayed = "delayed",
    }

    /// An operation on the shared window of duplicates.
    StoreOperation {
        /// Claims deliveries before they are published.
        Claim = "claim",
        /// Renews the claims of deliveries that still wait.
        Renew = "renew",
        /// Records published deliveries.
        Note = "note",
        /// Gives up claims.
        Release = "release",
        /// Shares the heartbeats that replicas received.
        Share = "share",
    }

    /// Why a row is not in the journal.
    DropReason {
        /// The memory of the journal was full.
        Full = "full",
        /// The store did not take the closed segment of the row.
        Store = "store",
    }

    /// A call to the store.
    StoreCall {
        /// Writes an object.
        Put = "put",
        /// Lists objects.
        List = "list",
        /// Reads an object or a part of it.
        Get = "get",
        /// Deletes an object.
        Delete = "delete",
    }

    /// Why a call to the store failed.
    StoreErrorCode {
        /// The store denies the call to these credentials or this user.
        Denied = "denied",
        /// The object, or the bucket, does not exist.
        Missing = "missing",
        /// The store did not answer, or answered with any other error.
        Other = "other",
    }

    /// The kind of a part of the outside that can fail by itself.
    DomainKind {
        /// SNS as a whole, or the credentials for it.
        Account = "account",
        /// One topic.
        Topic = "topic",
        /// One S3 bucket.
        Bucket = "bucket",
        /// The S3 bucket of claim checks.
        ClaimBucket = "claim_bucket",
        /// The schema registry.
        SchemaRegistry = "schema_registry",
    }

    /// Whether a descriptor set is in force.
    SetState {
        /// Events are decoded with the set.
        InForce = "in_force",
        /// The set was refused.
        Refused = "refused",
    }

    /// The files that are reloaded.
    ReloadSubject {
        /// The descriptor sets.
        Descriptors = "descriptors",
        /// The customers file.
        Customers = "customers",
        /// The configuration file.
        Configuration = "configuration",
    }

    /// The result of a reload that found a change.
    ReloadResult {
        /// The change is in force.
        Admitted = "admitted",
        /// The change has errors; what was in force before stays in force.
        Refused = "refused",
        /// The files cannot be read.
        Unreadable = "unreadable",
        /// The file is being written. The next look decides.
        Unsettled = "unsettled",
    }

    /// A part of the round trip of a canary.
    CanaryLeg {
        /// From the prober to the topic: the input queue and the service.
        In = "in",
        /// From the topic to the return queue.
        Out = "out",
        /// From the send to the receive.
        Total = "total",
    }
}

closed_labels!(OutcomeLabel, QuarantineKind, RetryCause, DuplicateCause, Rule);

/// The value of the label `customer`, which exists only if the configuration asks for it.
///
/// It must be the last label of its family, so that the values before it keep their places without it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CustomerLabel<'v> {
    /// The configuration leaves the label out.
    Hidden,
    /// No customer is concerned. The label is `none`.
    NoCustomer,
    /// The id of the customer.
    Id(&'v str),
}

impl CustomerLabel<'_> {
    /// The name of the label.
    pub(super) const NAME: &'static str = "customer";
    const NO_CUSTOMER: &'static str = "none";

    /// Whether this is the label of the customer with this id.
    ///
    /// # Panics
    /// If the configuration leaves the label out, because then the answer is unknown.
    pub fn is(self, id: &str) -> bool {
        match self {
            Self::Hidden => panic!("the metrics have no label `{}`", Self::NAME),
            Self::NoCustomer => false,
            Self::Id(own) => own == id,
        }
    }
}

impl<'v> LabelValue<'v> for CustomerLabel<'v> {
    fn each(self, field: &'static str, each: &mut impl FnMut(&'static str, &'v str)) {
        match self {
            Self::Hidden => {}
            Self::NoCustomer => each(field, Self::NO_CUSTOMER),
            Self::Id(id) => each(field, id),
        }
    }

    fn read(values: &mut impl Iterator<Item = &'v str>) -> Self {
        match values.next() {
            None => Self::Hidden,
            Some(Self::NO_CUSTOMER) => Self::NoCustomer,
            Some(id) => Self::Id(id),
        }
    }
}

#[cfg(test)]
mod tests;
