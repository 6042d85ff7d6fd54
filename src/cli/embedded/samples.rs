//! Sample events of an e-commerce platform, for `protobridge demo`, tests and load tests.
//!
//! The events and their mix are realistic: orders are placed, paid, packed and delivered; the amounts of an order add
//! up; a shopper has the same name and address in every event. A *customer* is a shop, as everywhere in protobridge.
//! The people who buy at a shop are *shoppers*.
//!
//! The same seed and the same calls give the same ids, types and values, but not the same bytes: times come from the
//! clock, and the order of map entries on the wire is random, as with real producers.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use fastrand::Rng;
use prost_reflect::prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage};
use serde_json::{Value, json};

pub use changes::DATABASE;
use changes::Log;
use event_context::{Actor, EventContext};
use orders::Order;

mod catalogue;
mod changes;
mod event_context;
mod orders;
mod payments;
mod shoppers;
#[cfg(test)]
mod tests;
mod wire;

/// The built-in descriptor sets: file name below `descriptors/`, and contents. They define the types of all samples
/// except those of [`Samples::unknown_type`].
pub const SETS: &[(&str, &[u8])] = &[
    ("protobridge.binpb", include_bytes!("../../../descriptors/protobridge.binpb")),
    ("shop.binpb", include_bytes!("../../../descriptors/shop.binpb")),
];

/// The type of [`Samples::unknown_type`]. No built-in set defines it.
pub const UNKNOWN_TYPE: &str = "shop.v1.GiftCardIssued";

/// The type of all changes of the database.
pub const CHANGE: &str = "shop.v1.ChangeEvent";

/// The default interval that heartbeats announce. [`Samples::with_heartbeat_interval`] changes it.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(5);

/// The maximum number of open orders per customer. Beyond it, the oldest order gets no more events.
const OPEN_ORDERS: usize = 8;

/// An encoded event, with the facts that its producer knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// The full name of the message type, without a leading dot.
    pub message_type: String,
    /// The message in the wire format.
    pub payload: Vec<u8>,
    /// The event id, unique per seed and position in the sequence. The payload contains it too, except in heartbeats.
    pub event_id: String,
    /// The customer that the event belongs to; `None` for heartbeats of either kind, and if there were no customers to
    /// choose from.
    /// The payload contains it too.
    pub customer: Option<String>,
}

/// A generator of sample events, which never ends.
pub struct Samples {
    pools: Vec<DescriptorPool>,
    /// The stream that decides which events happen.
    random: Rng,
    event_ids: EventIds,
    open_orders: HashMap<String, Vec<Order>>,
    log: Log,
    source: String,
    heartbeat_interval: Duration,
    heartbeats: u64,
}

impl Samples {
    /// Returns a generator whose choices and ids depend only on `seed`. The source of its [heartbeats](Self::heartbeat)
    /// is named after the seed.
    pub fn new(seed: u64) -> Self {
        let mut random = Rng::with_seed(seed);
        let pools = SETS.iter().map(|(name, set)| {
            DescriptorPool::decode(*set).unwrap_or_else(|error| panic!("the embedded {name} is not valid: {error}"))
        });
        Self {
            pools: pools.collect(),
            event_ids: EventIds::new(seed),
            open_orders: HashMap::new(),
            log: Log::new(&mut random),
            random,
            source: format!("shop-backend-{seed}"),
            heartbeat_interval: HEARTBEAT_INTERVAL,
            heartbeats: 0,
        }
    }

    /// Sets the source that heartbeats name; the default is `shop-backend-SEED`.
    pub fn with_source(mut self, source: &str) -> Self {
        source.clone_into(&mut self.source);
        self
    }

    /// Sets the interval that heartbeats announce; the default is 5 seconds. The caller must send them that often.
    pub fn with_heartbeat_interval(mut self, interval: Duration) -> Self {
        self.heartbeat_interval = interval;
        self
    }

    /// Returns the next event, for a random one of `customers`. Of 100 events, about 45 are about orders, 27 about
    /// payments, 18 about database changes and 10 about the accounts of shoppers.
    pub fn next_event(&mut self, customers: &[&str]) -> Sample {
        self.write(customers, |this, context| match this.random.u8(..100) {
            number @ 0..72 => this.backend_event_of(number, context),
            72..90 => this.change_event(context),
            number => this.backend_event_of(number - 18, context),
        })
    }

    /// Returns the next event of the backend, for a random one of `customers`: like [`Samples::next_event`], but never
    /// about a database change.
    pub fn backend_event(&mut self, customers: &[&str]) -> Sample {
        self.write(customers, |this, context| {
            let number = this.random.u8(..82);
            this.backend_event_of(number, context)
        })
    }

    /// Returns the next event of the database, for a random one of `customers`: a change of a row.
    pub fn change(&mut self, customers: &[&str]) -> Sample {
        self.write(customers, Self::change_event)
    }

    /// Returns a heartbeat of the source [`DATABASE`]: a change of a row in the table `heartbeat`, which belongs to no
    /// customer.
    pub fn heartbeat_row(&mut self) -> Sample {
        self.write(&[], |this, context| (CHANGE, this.log.heartbeat(&mut this.random, context)))
    }

    /// Returns a heartbeat of the backend, as [`Samples::with_source`] names it. The sequence starts at 1 and counts
    /// up.
    pub fn heartbeat(&mut self) -> Sample {
        self.heartbeats += 1;
        let heartbeat = json!({
            "source": self.source,
            "sequence": self.heartbeats,
            "sentAt": event_context::rfc3339(event_context::now()),
            "interval": event_context::millis(self.heartbeat_interval.as_millis() as u64),
        });
        let message_type = "protobridge.v1.Heartbeat";
        Sample {
            message_type: message_type.to_owned(),
            payload: self.encode(message_type, heartbeat),
            event_id: self.event_ids.next(),
            customer: None,
        }
    }

    /// Returns an event whose payload ends in the middle of a field, as if the producer had truncated it.
    pub fn malformed(&mut self, customers: &[&str]) -> Sample {
        let sample = self.next_event(customers);
        self.truncated(sample)
    }

    /// Returns the event with a payload that ends in the middle of a field.
    pub fn truncated(&mut self, mut sample: Sample) -> Sample {
        wire::truncate(&mut self.random, &mut sample.payload);
        sample
    }

    /// Returns an event of a type that no built-in set defines: [`UNKNOWN_TYPE`]. Its definition would be:
    ///
    /// ```text
    /// message GiftCardIssued {
    ///   EventMeta meta = 1;
    ///   string gift_card_id = 2;
    ///   Money value = 3;
    ///   string recipient_email = 4;
    ///   google.protobuf.Timestamp expires_at = 5;
    /// }
    /// ```
    pub fn unknown_type(&mut self, customers: &[&str]) -> Sample {
        let mut sample = self.write(customers, |this, context| {
            let meta = context.meta(&mut this.random, "gift-cards@0.1.0", &Actor::Schedule);
            ("shop.v1.EventMeta", meta)
        });
        let meta = std::mem::take(&mut sample.payload);
        let value = catalogue::PLACES[0].currency.money(*catalogue::pick(&mut self.random, &[1000, 2500, 5000]));
        let expires_at = event_context::rfc3339(event_context::now() + Duration::from_secs(2 * 365 * 86_400));
        let fields = [
            meta,
            catalogue::ulid(&mut self.random, "gft_").into_bytes(),
            self.encode("shop.v1.Money", value),
            catalogue::digits(&mut self.random, "lucky.friend####@example.com").into_bytes(),
            self.encode("google.protobuf.Timestamp", expires_at.into()),
        ];
        Sample { message_type: UNKNOWN_TYPE.to_owned(), payload: wire::length_delimited(&fields), ..sample }
    }

    /// Encodes the event that `event` creates for a random customer.
    fn write(
        &mut self,
        customers: &[&str],
        event: impl FnOnce(&mut Self, &EventContext<'_>) -> (&'static str, Value),
    ) -> Sample {
        let customer = self.random.choice(customers).copied();
        let event_id = self.event_ids.next();
        let context =
            EventContext { event_id: &event_id, tenant_id: customer.unwrap_or_default(), now: event_context::now() };
        let (message_type, event) = event(self, &context);
        Sample {
            message_type: message_type.to_owned(),
            payload: self.encode(message_type, event),
            event_id,
            customer: customer.map(str::to_owned),
        }
    }

    /// Returns an event of the backend. The number, which is below 82, decides about its kind.
    fn backend_event_of(&mut self, number: u8, context: &EventContext<'_>) -> (&'static str, Value) {
        match number {
            0..45 => self.order_event(context),
            45..72 => self.payment_event(context),
            72..76 => ("shop.v1.CustomerRegistered", shoppers::registered(&mut self.random, context)),
            _ => ("shop.v1.CustomerUpdated", shoppers::updated(&mut self.random, context)),
        }
    }

    fn change_event(&mut self, context: &EventContext<'_>) -> (&'static str, Value) {
        (CHANGE, self.log.next(&mut self.random, context))
    }

    fn order_event(&mut self, context: &EventContext<'_>) -> (&'static str, Value) {
        let open = self.open_orders.entry(context.tenant_id.to_owned()).or_default();
        if self.random.u8(..5) < 3
            && let Some(position) = open.iter().position(Order::can_advance)
        {
            let event = open[position].advance(&mut self.random, context);
            if open[position].is_over() {
                open.remove(position);
            }
            return event;
        }
        let order = Order::new(&mut self.random, context.tenant_id);
        let event = order.placed(&mut self.random, context);
        follow(open, order);
        ("shop.v1.OrderPlaced", event)
    }

    fn payment_event(&mut self, context: &EventContext<'_>) -> (&'static str, Value) {
        let open = self.open_orders.entry(context.tenant_id.to_owned()).or_default();
        let position = open.iter().position(|order| !order.payment.is_captured).unwrap_or_else(|| {
            // All open orders are paid: the payment is for an order that was placed before the samples began.
            follow(open, Order::new(&mut self.random, context.tenant_id));
            open.len() - 1
        });
        if self.random.u8(..6) == 0 {
            return ("shop.v1.PaymentFailed", payments::failed(&mut self.random, context, &mut open[position]));
        }
        ("shop.v1.PaymentCaptured", payments::captured(&mut self.random, context, &mut open[position]))
    }

    fn encode(&self, message_type: &str, message: Value) -> Vec<u8> {
        let descriptor = self.pools.iter().find_map(|pool| pool.get_message_by_name(message_type));
        let descriptor = descriptor.expect("the built-in sets define the types of samples");
        DynamicMessage::deserialize(descriptor, message).expect("samples fit their types").encode_to_vec()
    }
}

impl fmt::Debug for Samples {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Samples")
            .field("source", &self.source)
            .field("events", &self.event_ids.issued)
            .field("heartbeats", &self.heartbeats)
            .finish_non_exhaustive()
    }
}

/// Adds an open order. At the limit, the oldest one is dropped.
fn follow(open: &mut Vec<Order>, order: Order) {
    if open.len() == OPEN_ORDERS {
        open.remove(0);
    }
    open.push(order);
}

/// A generator of event ids: random UUIDs (RFC 9562, version 4), except that a seed never repeats an id.
#[derive(Debug)]
struct EventIds {
    random: Rng,
    start: u64,
    issued: u64,
}

impl EventIds {
    fn new(seed: u64) -> Self {
        // A stream of its own, so that the nth id of a seed does not depend on the events.
        let mut random = Rng::with_seed(!seed);
        Self { start: random.u64(..), random, issued: 0 }
    }

    fn next(&mut self) -> String {
        self.issued += 1;
        // The variant takes the two highest bits of the lower half. On the other 62 bits, multiplication by an odd
        // number and addition are bijective, so each count gives a different value.
        let unique = self.start.wrapping_add(self.issued.wrapping_mul(0x9e37_79b9_7f4a_7c15)) & (u64::MAX >> 2);
        let [version, variant] = [0x4 << 76, 0b10 << 62];
        let random = u128::from(self.random.u64(..)) << 64 & !(0xf << 76);
        let hex = format!("{:032x}", random | version | variant | u128::from(unique));
        format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
    }
}
