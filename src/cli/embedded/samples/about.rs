//! What every event says about itself, and how its times are written.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fastrand::Rng;
use prost_reflect::prost_types::Timestamp;
use serde_json::{Value, json};

/// The event that is being written.
#[derive(Debug)]
pub(super) struct About<'a> {
    pub(super) event_id: &'a str,
    /// Empty if there is none.
    pub(super) tenant_id: &'a str,
    pub(super) now: SystemTime,
}

/// Who made an event happen, as `shop.v1.Actor` has it.
#[derive(Debug)]
pub(super) enum Actor<'a> {
    Shopper(&'a str),
    Staff(&'a str),
    Integration(&'a str),
    /// The platform's own schedule: no actor and no trace.
    Schedule,
}

impl About<'_> {
    /// `shop.v1.EventMeta` of this event.
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

    /// The time of the event.
    pub(super) fn now(&self) -> String {
        rfc3339(self.now)
    }

    /// A time before the event.
    pub(super) fn before(&self, by: Duration) -> String {
        rfc3339(self.now - by)
    }

    /// A time after the event.
    pub(super) fn after(&self, by: Duration) -> String {
        rfc3339(self.now + by)
    }
}

/// The present, as exact as the clocks of shops are: to the microsecond.
pub(super) fn now() -> SystemTime {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UNIX_EPOCH + Duration::from_micros(since_epoch.as_micros() as u64)
}

/// A time as ProtoJSON writes a `google.protobuf.Timestamp`. What lies before 1970 becomes 1970.
pub(super) fn rfc3339(time: SystemTime) -> String {
    let since_epoch = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp { seconds: since_epoch.as_secs() as i64, nanos: since_epoch.subsec_nanos() as i32 }.to_string()
}

/// `millis` milliseconds as ProtoJSON writes a `google.protobuf.Duration`.
pub(super) fn millis(millis: u64) -> String {
    format!("{}.{:03}s", millis / 1000, millis % 1000)
}
