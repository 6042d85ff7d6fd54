//! Logs, metrics and traces of the service.
//!
//! Each service keeps its metrics in its own recorder instead of a global one. Several services can therefore run in
//! one process without mixing their counts, as in the tests. `/status` and the demo's table read the counters back.

mod calls;
mod canary;
mod claims;
mod exposition;
mod family;
mod fleeting;
mod label_set;
mod labels;
mod log;
mod metrics;
mod monitor;
mod operation;
mod traces;
mod usage;
mod zero;

pub use canary::CanaryMetrics;
pub use claims::ClaimMetrics;
pub use exposition::Declared;
pub use family::{Family, Level, Member, Tally, Times};
pub use fleeting::FleetingFamily;
pub use label_set::{LabelSet, LabelValue, NoLabels};
pub use labels::{
    BillableLabels, BreakingChangeLabels, BuildLabels, CallLabels, CallResult, CanaryLeg, CanaryLegLabels, ClaimLabels,
    CustomerLabel, DescriptorSetLabels, DescriptorSourceErrorLabels, DescriptorSourceLabels, DomainKind, DropReason,
    DroppedRowsLabels, DuplicateLabels, EventLabels, FailureLabels, LastReloadLabels, OutageLabels, PollLabels,
    PollResult, PublishedLabels, QuarantinedLabels, QueueLabels, QueueMessagesLabels, QueueState, ReloadLabels,
    ReloadResult, ReloadSubject, RetriedLabels, SetState, SettledLabels, StoreCall, StoreErrorCode, StoreErrorLabels,
    StoreLabels, StoreOperation, TopicLabels,
};
pub use log::{LogLevel, init as init_log};
pub use metrics::{Metrics, UNKNOWN_TYPE};
pub use monitor::{LagLeg, MonitorMetrics, SourceLabels, SourceLagLabels, SourceState, SourceStateLabels, TypeLabels};
pub use operation::Operation;
pub use traces::{LAST_EXPORT, Trace, TraceHeaders, Traces, TracesError};
pub use usage::{
    AnsweredEntry, Call, CallCounts, CallEnd, CallKey, Carried, Counts, MAX_CELLS, MAX_THROTTLES, OTHER,
    PublishedCounts, PublishedKey, SecondCounts, SettledKey, ThrottledCall, UNIT_BYTES, Usage,
};
