//! Delivery: from a received message to its outcome.
//!
//! [`decide`] is the pure half: it turns a message into deliveries or into an outcome, without I/O. [`pipeline`] is the
//! other half: it looks up what a message refers to, suppresses duplicates, publishes, and settles. [`wire`] connects the
//! pipeline with everything that it works on. [`dry_run`] decides about a message without the other half, and says why;
//! [`compare`] says what differs between two of these decisions.

pub mod account;
pub mod archiving;
pub mod claims;
pub mod compare;
pub mod confirmed;
pub mod decide;
pub mod dedupe;
mod defect;
mod dependency;
pub mod dry_run;
mod intake;
pub mod lookups;
pub mod outcome;
mod parking;
pub mod pipeline;
mod publication;
mod record;
pub mod redrive;
pub mod replay;
pub mod resend;
mod undelivered;
mod wiring;

pub use intake::Intake;
pub use parking::Parking;
pub use undelivered::{EntryError, NotStored};
pub use wiring::{Recorders, SetupError, Wired, wire};
