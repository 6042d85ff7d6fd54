//! What the service says about itself: logs, metrics and traces.
//!
//! Metrics are kept by a recorder of the service's own, not by a global one, so that several services live in one
//! process (the tests start many) without mixing their counts. Counters can be read back, for `/status` and the
//! demo's table.

mod exposition;
mod family;
mod log;
mod metrics;
mod seldom;
mod traces;
mod zero;

pub use exposition::Declared;
pub use family::{Family, Level, Member, Tally, Times};
pub use log::init as init_log;
pub use metrics::Metrics;
pub use seldom::Seldom;
pub use traces::{LAST_EXPORT, SetUpError as TracesError, Trace, Traces};
