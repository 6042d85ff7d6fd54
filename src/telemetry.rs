//! What the service reports about itself: logs, metrics and traces.
//!
//! Each service keeps its metrics in a recorder of its own, not in a global one, so that several services can run in one
//! process without mixing their counts, as in the tests. Counters can be read back, for `/status` and the demo's table.

mod exposition;
mod family;
mod log;
mod metrics;
mod traces;
mod zero;

pub use exposition::Declared;
pub use family::{Family, Level, Member, Tally, Times};
pub use log::init as init_log;
pub use metrics::{Metrics, UNKNOWN_TYPE};
pub use traces::{LAST_EXPORT, Trace, TraceHeaders, Traces, TracesError};
