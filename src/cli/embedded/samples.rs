//! Sample events of a platform for shops: what `protobridge demo` sends, and what tests and load runs are fed with.
//!
//! They are what the real ones would look like, in a realistic mix: orders are placed, paid, packed and delivered;
//! amounts add up; the same shopper of a shop has the same name and address in every event. A *customer* is the shop,
//! as everywhere in protobridge; those who buy there are *shoppers*.
//!
//! The same seed and the same calls give the same ids, types and values, but not the same bytes: times are those of
//! the clock, and the order of map entries on the wire is left to chance, as it is with real producers.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use fastrand::Rng;
use prost_reflect::prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage};
use serde_json::{Value, json};

use about::{About, Actor};
use changes::Log;
use orders::Order;

mod about;
mod catalogue;
mod changes;
mod orders;
mod payments;
mod shoppers;
#[cfg(test)]
mod tests;
mod wire;

/// The committed descriptor sets: file name below `descriptors/`, and contents. All samples but those of
/// [`Samples::unknown_type`] are of types in here.
pub const SETS: &[(&str, &[u8])] = &[
    ("protobridge.binpb", include_bytes!("../../../descriptors/protobridge.binpb")),
    ("shop.binpb", include_bytes!("../../../descriptors/shop.binpb")),
];

/// The type of [`Samples::unknown_type`], which no committed set has.
pub const UNKNOWN_TYPE: &str = "shop.v1.GiftCardIssued";

/// How often a source says that it sends heartbeats, unless [`Samples::with_heartbeat_interval`] says otherwise.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(5);

/// How many orders of a customer are followed at a time; older ones get no more events.
const OPEN_ORDERS: usize = 8;

/// An encoded event, with what a producer knows about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// The full name of the message type, without a leading dot.
    pub message_type: String,
    /// The message on the wire.
    pub payload: Vec<u8>,
    /// Unique for seed and sequence. Also inside the payload, except for heartbeats.
    pub event_id: String,
    /// Whose event it is; `None` for heartbeats, and where there were no customers to choose from. Also inside the
    /// payload.
    pub customer: Option<String>,
}

/// An endless supply of sample events.
pub struct Samples {
    pools: Vec<DescriptorPool>,
    /// Decides what happens.
    random: Rng,
    event_ids: EventIds,
    open_orders: HashMap<String, Vec<Order>>,
    log: Log,
    source: String,
    heartbeat_interval: Duration,
    heartbeats: u64,
}

impl Samples {
    /// A supply whose choices and ids depend on `seed` alone. The seed also names the source of its
    /// [heartbeats](Self::heartbeat).
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

    /// Announces another `interval` in heartbeats than 5 seconds. Sending them that often is up to the caller.
    pub fn with_heartbeat_interval(mut self, interval: Duration) -> Self {
        self.heartbeat_interval = interval;
        self
    }

    /// The next event, for one of `customers`, each as likely as the other: of a hundred events about 45 are of
    /// orders, 27 of payments, 18 of database changes and 10 of shoppers' accounts.
    pub fn next_event(&mut self, customers: &[&str]) -> Sample {
        self.write(customers, |this, about| match this.random.u8(..100) {
            0..45 => this.order_event(about),
            45..72 => this.payment_event(about),
            72..90 => ("shop.v1.ChangeEvent", this.log.next(&mut this.random, about)),
            90..94 => ("shop.v1.CustomerRegistered", shoppers::registered(&mut this.random, about)),
            _ => ("shop.v1.CustomerUpdated", shoppers::updated(&mut this.random, about)),
        })
    }

    /// A heartbeat of this supply's source, `shop-backend-` and the seed. The sequence starts at 1 and counts up.
    pub fn heartbeat(&mut self) -> Sample {
        self.heartbeats += 1;
        let heartbeat = json!({
            "source": self.source,
            "sequence": self.heartbeats,
            "sentAt": about::rfc3339(about::now()),
            "interval": about::millis(self.heartbeat_interval.as_millis() as u64),
        });
        let message_type = "protobridge.v1.Heartbeat";
        Sample {
            message_type: message_type.to_owned(),
            payload: self.encode(message_type, heartbeat),
            event_id: self.event_ids.next(),
            customer: None,
        }
    }

    /// An event whose payload ends in the middle of a field, as if the producer had cut it off.
    pub fn malformed(&mut self, customers: &[&str]) -> Sample {
        let mut sample = self.next_event(customers);
        wire::cut(&mut self.random, &mut sample.payload);
        sample
    }

    /// An event of a type that no committed set has: [`UNKNOWN_TYPE`]. As somebody's set would define it:
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
        let mut sample = self.write(customers, |this, about| {
            let meta = about.meta(&mut this.random, "gift-cards@0.1.0", &Actor::Schedule);
            ("shop.v1.EventMeta", meta)
        });
        let meta = std::mem::take(&mut sample.payload);
        let value = catalogue::PLACES[0].currency.money(*catalogue::pick(&mut self.random, &[1000, 2500, 5000]));
        let expires_at = about::rfc3339(about::now() + Duration::from_secs(2 * 365 * 86_400));
        let fields = [
            meta,
            catalogue::ulid(&mut self.random, "gft_").into_bytes(),
            self.encode("shop.v1.Money", value),
            catalogue::digits(&mut self.random, "lucky.friend####@example.com").into_bytes(),
            self.encode("google.protobuf.Timestamp", expires_at.into()),
        ];
        Sample { message_type: UNKNOWN_TYPE.to_owned(), payload: wire::length_delimited(&fields), ..sample }
    }

    fn write(
        &mut self,
        customers: &[&str],
        event: impl FnOnce(&mut Self, &About<'_>) -> (&'static str, Value),
    ) -> Sample {
        let customer = self.random.choice(customers).copied();
        let event_id = self.event_ids.next();
        let about = About { event_id: &event_id, tenant_id: customer.unwrap_or_default(), now: about::now() };
        let (message_type, event) = event(self, &about);
        Sample {
            message_type: message_type.to_owned(),
            payload: self.encode(message_type, event),
            event_id,
            customer: customer.map(str::to_owned),
        }
    }

    fn order_event(&mut self, about: &About<'_>) -> (&'static str, Value) {
        let open = self.open_orders.entry(about.tenant_id.to_owned()).or_default();
        if self.random.u8(..5) < 3
            && let Some(position) = open.iter().position(Order::can_advance)
        {
            let event = open[position].advance(&mut self.random, about);
            if open[position].is_over() {
                open.remove(position);
            }
            return event;
        }
        let order = Order::new(&mut self.random, about.tenant_id);
        let event = order.placed(&mut self.random, about);
        follow(open, order);
        ("shop.v1.OrderPlaced", event)
    }

    fn payment_event(&mut self, about: &About<'_>) -> (&'static str, Value) {
        let open = self.open_orders.entry(about.tenant_id.to_owned()).or_default();
        let position = open.iter().position(|order| !order.payment.is_captured).unwrap_or_else(|| {
            // Then it is for one that was placed before this supply began.
            follow(open, Order::new(&mut self.random, about.tenant_id));
            open.len() - 1
        });
        if self.random.u8(..6) == 0 {
            return ("shop.v1.PaymentFailed", payments::failed(&mut self.random, about, &mut open[position]));
        }
        ("shop.v1.PaymentCaptured", payments::captured(&mut self.random, about, &mut open[position]))
    }

    fn encode(&self, message_type: &str, message: Value) -> Vec<u8> {
        let descriptor = self.pools.iter().find_map(|pool| pool.get_message_by_name(message_type));
        let descriptor = descriptor.expect("samples are of types in the committed sets");
        DynamicMessage::deserialize(descriptor, message)
            .expect("samples are written to fit their types")
            .encode_to_vec()
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

fn follow(open: &mut Vec<Order>, order: Order) {
    if open.len() == OPEN_ORDERS {
        open.remove(0);
    }
    open.push(order);
}

/// Event ids as random UUIDs (RFC 9562, version 4), except that one seed never gives the same twice.
#[derive(Debug)]
struct EventIds {
    random: Rng,
    start: u64,
    issued: u64,
}

impl EventIds {
    fn new(seed: u64) -> Self {
        // Not the stream that decides what happens: the nth id of a seed is the same whatever the events are.
        let mut random = Rng::with_seed(!seed);
        Self { start: random.u64(..), random, issued: 0 }
    }

    fn next(&mut self) -> String {
        self.issued += 1;
        // The variant takes the two highest bits of the lower half. Multiplying by an odd number and adding are one to
        // one on the 62 bits that are left, so no two counts give the same.
        let unique = self.start.wrapping_add(self.issued.wrapping_mul(0x9e37_79b9_7f4a_7c15)) & (u64::MAX >> 2);
        let [version, variant] = [0x4 << 76, 0b10 << 62];
        let random = u128::from(self.random.u64(..)) << 64 & !(0xf << 76);
        let hex = format!("{:032x}", random | version | variant | u128::from(unique));
        format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
    }
}
