//! The facts that every event contains, and the ProtoJSON form of its times.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fastrand::Rng;
use prost_reflect::prost_types::Timestamp;
use serde_json::{Value, json};

/// The facts about the event that is being created.
#[derive(Debug)]
pub(super) struct EventContext<'a> {
    pub(super) event_id: &'a str,
    /// The customer, or an empty string if there is none.
    pub(super) tenant_id: &'a str,
    pub(super) now: SystemTime,
}

/// The cause of an event, as in `shop.v1.Actor`.
#[derive(Debug)]
pub(super) enum Actor<'a> {
    Shopper(&'a str),
    Staff(&'a str),
    Integration(&'a str),
    /// A schedule of the platform. The event then has no actor and no trace id.
    Schedule,
}

impl EventContext<'_> {
    /// Returns the `shop.v1.EventMeta` of this event.
    pub(super) fn meta(&self, random: &mut Rng, producer: &str, actor: &Actor<'_>) -> Value {
        let mut meta = json!({
            "eventId": self.event_id,
            "tenantId": self.tenant_id,
            "occurredAt": self.now(),
            "producer": producer,
        });
        let (kind, id) = match actor {
            Actor::Shopper(id) => ("KIND_SHOPPER", id),
            Actor::Staff(id) => ("KIND_STAFF", id),
            Actor::Integration(id) => ("KIND_INTEGRATION", id),
            Actor::Schedule => return meta,
        };
        meta["traceId"] = format!("{:032x}", random.u128(1..)).into();
        meta["actor"] = json!({ "kind": kind, "id": id });
        meta
    }

    /// Returns the time of the event.
    pub(super) fn now(&self) -> String {
        rfc3339(self.now)
    }

    /// Returns the time that lies `by` before the event.
    pub(super) fn before(&self, by: Duration) -> String {
        rfc3339(self.now - by)
    }

    /// Returns the time that lies `by` after the event.
    pub(super) fn after(&self, by: Duration) -> String {
        rfc3339(self.now + by)
    }
}

/// Returns the current time, rounded down to a microsecond.
pub(super) fn now() -> SystemTime {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UNIX_EPOCH + Duration::from_micros(since_epoch.as_micros() as u64)
}

/// Formats a time as the ProtoJSON of a `google.protobuf.Timestamp`. A time before 1970 becomes the start of 1970.
pub(super) fn rfc3339(time: SystemTime) -> String {
    let since_epoch = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp { seconds: since_epoch.as_secs() as i64, nanos: since_epoch.subsec_nanos() as i32 }.to_string()
}

/// Formats a number of milliseconds as the ProtoJSON of a `google.protobuf.Duration`.
pub(super) fn millis(millis: u64) -> String {
    format!("{}.{:03}s", millis / 1000, millis % 1000)
}
