//! The canary: a test event that travels the whole path of events and must return in time, unaltered.
//!
//! A prober sends canaries to an input queue, and the service publishes them to the canary topic. They return in a
//! queue that is subscribed to that topic. Everything here is pure: [`Composer`] makes the messages that are sent,
//! [`Returned`] reads those that return, and [`Ledger`] knows which canaries are outstanding. The tasks that call SQS
//! are in the layer `app`.
//!
//! **Clocks.** The whole round trip is measured by the prober's monotonic clock, so no other clock changes it. The leg
//! `in` runs from `sent_at`, by the prober's wall clock, to the time at which SNS took the message, by the clock of
//! SNS. The leg `out` runs from there to the time at which the return queue got the message, by the clock of SQS.
//! [`Legs`] treats the skew between these clocks.

mod composer;
mod framing;
mod identity;
mod ledger;
mod legs;
mod returned;

pub use composer::{Canary, Composer, Outgoing};
pub use identity::{CanaryId, Instance};
pub use ledger::{Fate, Ledger, Poll, Return};
pub use legs::{Legs, Skew};
pub use returned::{Form, Origin, Returned};
