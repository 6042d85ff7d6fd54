//! Shoppers, and the events of their accounts.

use std::time::Duration;

use fastrand::Rng;
use serde_json::{Value, json};

use super::catalogue::{PLACES, Place, digits, pick};
use super::event_context::{Actor, EventContext};

const PRODUCER: &str = "accounts@2.31.4";

/// The number of shoppers that each shop has at the start.
const REGULARS: u64 = 2_000;

/// A person who buys at a shop. A shopper has the same data in every event.
#[derive(Debug)]
pub(super) struct Shopper {
    pub(super) id: String,
    pub(super) name: &'static str,
    pub(super) place: &'static Place,
    street: String,
    email: String,
    phone: Option<String>,
}

impl Shopper {
    /// Returns a random shopper of `tenant`.
    pub(super) fn of(random: &mut Rng, tenant: &str) -> Self {
        Self::numbered(random.u64(..REGULARS), tenant)
    }

    fn numbered(number: u64, tenant: &str) -> Self {
        let traits = &mut Rng::with_seed(fnv1a(tenant).wrapping_add(number));

        let place = pick(traits, PLACES);
        let (name, mailbox) = *pick(traits, place.people);
        let street = pick(traits, place.streets).replace('#', &traits.u32(1..240).to_string());
        Self {
            id: format!("cus_{:012x}", traits.u64(..1 << 48)),
            name,
            place,
            street,
            email: format!("{mailbox}{number}@example.com"),
            phone: traits.bool().then(|| digits(traits, place.phone)),
        }
    }

    /// Returns the shopper's address as `shop.v1.Address`.
    pub(super) fn address(&self) -> Value {
        json!({
            "recipient": self.name,
            "lines": [self.street],
            "city": self.place.city,
            "postalCode": self.place.postal_code,
            "countryCode": self.place.country,
            "location": { "latitude": self.place.latitude, "longitude": self.place.longitude },
        })
    }
}

/// Returns a `shop.v1.CustomerRegistered` event of a new shopper.
pub(super) fn registered(random: &mut Rng, context: &EventContext<'_>) -> Value {
    let shopper = Shopper::numbered(random.u64(REGULARS..1_000_000), context.tenant_id);
    let mut profile = json!({
        "displayName": shopper.name,
        "email": shopper.email,
        "language": shopper.place.language,
        "registeredAt": context.now(),
        "subscriptions": { "newsletter": random.bool(), "order-updates": true },
    });
    if let Some(phone) = &shopper.phone {
        profile["phone"] = phone.as_str().into();
    }
    if random.u8(..10) < 6 {
        profile["defaultAddress"] = shopper.address();
    }
    json!({
        "meta": context.meta(random, PRODUCER, &Actor::Shopper(&shopper.id)),
        "customerId": shopper.id,
        "profile": profile,
        "origin": *pick(random, &["checkout", "newsletter", "storefront", "app"]),
    })
}

/// Returns a `shop.v1.CustomerUpdated` event of an existing shopper.
pub(super) fn updated(random: &mut Rng, context: &EventContext<'_>) -> Value {
    let shopper = Shopper::of(random, context.tenant_id);
    let by_shopper = Actor::Shopper(&shopper.id);
    let (changed, profile, actor) = match random.u8(..10) {
        0..=2 => ("defaultAddress", json!({ "defaultAddress": shopper.address() }), by_shopper),
        3..=4 => ("email,language", json!({ "email": shopper.email, "language": shopper.place.language }), by_shopper),
        5..=6 => {
            ("subscriptions", json!({ "subscriptions": { "newsletter": false, "order-updates": true } }), by_shopper)
        }
        // The field is named as changed but not set: the shopper deleted the number.
        7 => ("phone", json!({}), Actor::Staff("support.team")),
        _ => ("tier", json!({ "tier": *pick(random, &["TIER_BRONZE", "TIER_SILVER", "TIER_GOLD"]) }), Actor::Schedule),
    };
    json!({
        "meta": context.meta(random, PRODUCER, &actor),
        "customerId": shopper.id,
        "changed": changed,
        "profile": profile,
        "revision": random.u32(2..60),
    })
}

/// Returns the key and the row of a shopper in the shop's database, by column; see [`super::changes`].
pub(super) fn row(random: &mut Rng, context: &EventContext<'_>) -> (String, Value) {
    let shopper = Shopper::of(random, context.tenant_id);
    let seen = Duration::from_secs(random.u64(60..86_400 * 30));
    let columns = json!({
        "id": { "stringValue": shopper.id },
        "display_name": { "stringValue": shopper.name },
        "email": { "stringValue": shopper.email },
        "phone": match &shopper.phone {
            Some(phone) => json!({ "stringValue": phone }),
            None => json!({ "nullValue": null }),
        },
        "is_verified": { "boolValue": random.u8(..10) > 0 },
        "tags": { "textArrayValue": { "elements": ["b2c", shopper.place.language] } },
        "lifetime_value": { "decimalValue": format!("{}.{:02}", random.u32(..5000), random.u32(..100)) },
        "last_seen_at": { "timestampValue": context.before(seen) },
    });
    (shopper.id, columns)
}

/// FNV-1a: hashes a name to a seed, with the same result on every platform and with every compiler.
fn fnv1a(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
