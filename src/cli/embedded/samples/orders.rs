//! Orders, and the events of their life cycle.

use std::time::Duration;

use fastrand::Rng;
use serde_json::{Value, json};

use super::catalogue::{PRODUCTS, Product, pick, ulid};
use super::event_context::{Actor, EventContext, millis};
use super::shoppers::Shopper;

const CHECKOUT: &str = "checkout@4.12.0";
const FULFILMENT: &str = "fulfilment@1.88.2";

/// An order that can still have events.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) id: String,
    pub(super) shopper: Shopper,
    lines: Vec<Line>,
    discount: i64,
    shipping: i64,
    tax: i64,
    status: Status,
    pub(super) payment: Payment,
    is_shipped: bool,
}

/// The payment of an order.
#[derive(Debug)]
pub(super) struct Payment {
    pub(super) id: String,
    /// The number of attempts, successful or not.
    pub(super) attempts: u32,
    pub(super) is_captured: bool,
}

#[derive(Debug)]
struct Line {
    product: &'static Product,
    quantity: i64,
    /// The price of one piece, in the smallest unit of the shopper's currency.
    unit_price: i64,
    /// The values that the shopper chose, in the order of the product's options.
    chosen: Vec<&'static str>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Status {
    Pending,
    Paid,
    Packing,
    Shipped,
    Delivered,
    Cancelled,
    Returned,
}

impl Status {
    fn name(self) -> &'static str {
        match self {
            Self::Pending => "ORDER_STATUS_PENDING",
            Self::Paid => "ORDER_STATUS_PAID",
            Self::Packing => "ORDER_STATUS_PACKING",
            Self::Shipped => "ORDER_STATUS_SHIPPED",
            Self::Delivered => "ORDER_STATUS_DELIVERED",
            Self::Cancelled => "ORDER_STATUS_CANCELLED",
            Self::Returned => "ORDER_STATUS_RETURNED",
        }
    }
}

impl Order {
    /// Returns a new, unpaid order of a random shopper of `tenant`.
    pub(super) fn new(random: &mut Rng, tenant: &str) -> Self {
        let shopper = Shopper::of(random, tenant);
        let currency = &shopper.place.currency;
        let lines: Vec<Line> = (0..*pick(random, &[1, 1, 1, 2, 2, 3, 4]))
            .map(|_| {
                let product = pick(random, PRODUCTS);
                Line {
                    product,
                    // Shoppers buy only one of an expensive product.
                    quantity: if product.cents > 15_000 { 1 } else { *pick(random, &[1, 1, 1, 2, 2, 3, 6]) },
                    unit_price: currency.price(product.cents),
                    chosen: product.choices.iter().map(|(_, values)| *pick(random, values)).collect(),
                }
            })
            .collect();

        let subtotal: i64 = lines.iter().map(Line::total).sum();
        let discount = if random.u8(..5) == 0 { -subtotal / 10 } else { 0 };
        let shipping = if subtotal < currency.price(5000) { currency.price(495) } else { 0 };
        let tax = ((subtotal + discount + shipping) * shopper.place.tax_percent + 50) / 100;
        Self {
            id: ulid(random, "ord_"),
            shopper,
            lines,
            discount,
            shipping,
            tax,
            status: Status::Pending,
            payment: Payment { id: ulid(random, "pay_"), attempts: 0, is_captured: false },
            is_shipped: false,
        }
    }

    /// Returns the amount that the shopper pays, in the smallest unit of their currency.
    pub(super) fn total(&self) -> i64 {
        self.subtotal() + self.discount + self.shipping + self.tax
    }

    /// Whether the order is complete, so that no more events follow.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.status, Status::Delivered | Status::Cancelled | Status::Returned)
    }

    /// Whether the order can have another event: an unpaid order waits for its payment.
    pub(super) fn can_advance(&self) -> bool {
        self.payment.is_captured && !self.is_over()
    }

    /// Returns the first event of the order: `shop.v1.OrderPlaced`.
    pub(super) fn placed(&self, random: &mut Rng, context: &EventContext<'_>) -> Value {
        let currency = &self.shopper.place.currency;
        let mut event = json!({
            "meta": context.meta(random, CHECKOUT, &Actor::Shopper(&self.shopper.id)),
            "orderId": self.id,
            "customerId": self.shopper.id,
            "status": self.status.name(),
            "items": self.lines.iter().map(|line| self.line_item(line)).collect::<Vec<_>>(),
            "subtotal": currency.money(self.subtotal()),
            "shipping": currency.money(self.shipping),
            "tax": currency.money(self.tax),
            "total": currency.money(self.total()),
            "labels": { "channel": *pick(random, &["web", "app", "marketplace"]) },
        });
        if self.discount != 0 {
            event["discount"] = currency.money(self.discount);
            event["couponCode"] = (*pick(random, &["WELCOME10", "ÉTÉ10", "FRIENDS-10"])).into();
            event["labels"]["campaign"] = "spring-sale".into();
        }
        // Some shoppers with free shipping pick up their order.
        if self.shipping == 0 && random.u8(..4) == 0 {
            event["pickup"] = json!({
                "locationId": format!("{}-{:02}", self.shopper.place.country, random.u8(1..30)),
                "code": format!("{:06}", random.u32(..1_000_000)),
                "holdFor": millis(7 * 86_400_000),
            });
        } else {
            event["delivery"] = self.delivery(random, context);
        }
        if random.u8(..6) == 0 {
            event["note"] =
                (*pick(random, &["It's a gift 🎁 no invoice please", "Bitte klingeln!", "ありがとうございます", ""]))
                    .into();
        }
        if random.bool() {
            event["newsletterConsent"] = random.bool().into();
        }
        if random.u8(..3) > 0 {
            event["loyaltyPoints"] = (self.subtotal() / currency.price(100)).into();
        }
        event
    }

    /// Advances the order, and returns the type and the content of the event. The order must be able to
    /// [advance](Self::can_advance).
    pub(super) fn advance(&mut self, random: &mut Rng, context: &EventContext<'_>) -> (&'static str, Value) {
        if self.status == Status::Packing && !self.is_shipped {
            self.is_shipped = true;
            return ("shop.v1.OrderShipped", self.shipped(random, context));
        }
        let previous = self.status;
        let unlucky = random.u8(..20) == 0;
        let (current, reason) = match previous {
            Status::Pending => (Status::Paid, None),
            Status::Paid if unlucky => (Status::Cancelled, Some("Customer changed their mind")),
            Status::Paid => (Status::Packing, None),
            Status::Packing => (Status::Shipped, None),
            Status::Shipped if unlucky => (Status::Returned, Some("Refused at the door – box damaged")),
            Status::Shipped => (Status::Delivered, None),
            Status::Delivered | Status::Cancelled | Status::Returned => (previous, None),
        };
        self.status = current;

        let actor = match current {
            Status::Packing | Status::Shipped => Actor::Staff("warehouse.ams1"),
            Status::Cancelled => Actor::Shopper(&self.shopper.id),
            Status::Delivered | Status::Returned => Actor::Integration("carrier-tracking"),
            Status::Pending | Status::Paid => Actor::Schedule,
        };
        let mut event = json!({
            "meta": context.meta(random, FULFILMENT, &actor),
            "orderId": self.id,
            "previous": previous.name(),
            "current": current.name(),
            "timeInPrevious": millis(random.u64(2_000..200_000_000)),
        });
        if let Some(reason) = reason {
            event["reason"] = reason.into();
        }
        ("shop.v1.OrderStatusChanged", event)
    }

    /// Returns the order's row in the shop's database, by column; see [`super::changes`].
    pub(super) fn row(&self, random: &mut Rng, context: &EventContext<'_>) -> Value {
        let currency = &self.shopper.place.currency;
        let total = match currency.minor_units as i64 {
            1 => self.total().to_string(),
            units => format!("{}.{:02}", self.total() / units, self.total() % units),
        };
        json!({
            "id": { "stringValue": self.id },
            "customer_id": { "stringValue": self.shopper.id },
            "status": { "stringValue": "pending" },
            "currency": { "stringValue": currency.code },
            "total": { "decimalValue": total },
            "line_count": { "int64Value": self.lines.len() },
            "version": { "int64Value": 1 },
            "shipped_at": { "nullValue": null },
            "placed_at": { "timestampValue": context.before(Duration::from_secs(random.u64(30..86_400))) },
            "cart": { "jsonValue": self.lines.iter().map(|line| line.product.sku).collect::<Vec<_>>() },
        })
    }

    fn subtotal(&self) -> i64 {
        self.lines.iter().map(Line::total).sum()
    }

    fn line_item(&self, line: &Line) -> Value {
        let currency = &self.shopper.place.currency;
        let options = line.product.choices.iter().zip(&line.chosen);
        json!({
            "sku": line.product.sku,
            "title": line.product.title,
            "quantity": line.quantity,
            "unitPrice": currency.money(line.unit_price),
            "lineTotal": currency.money(line.total()),
            "options": options.map(|((name, _), value)| json!({ "name": name, "value": value })).collect::<Vec<_>>(),
            "weightKg": line.product.weight_kg,
        })
    }

    fn delivery(&self, random: &mut Rng, context: &EventContext<'_>) -> Value {
        const HOUR: Duration = Duration::from_secs(3600);
        let (service, hours) = *pick(random, &[("standard", 48), ("standard", 72), ("express", 20)]);
        let mut delivery = json!({
            "address": self.shopper.address(),
            "service": service,
            "windowStart": context.after(HOUR * hours),
            "windowEnd": context.after(HOUR * (hours + 4)),
        });
        if random.u8(..5) == 0 {
            delivery["instructions"] =
                (*pick(random, &["Leave with the neighbours", "Sonnez 2×", "Back door → garage"])).into();
        }
        delivery
    }

    fn shipped(&self, random: &mut Rng, context: &EventContext<'_>) -> Value {
        let weight_g =
            self.lines.iter().map(|line| line.product.weight_kg * line.quantity as f64).sum::<f64>() * 1000.0;
        // Sometimes the last of several lines is out of stock and is shipped later.
        let missing = if self.lines.len() > 1 && random.u8(..5) == 0 { self.lines.last() } else { None };
        let packed = self.lines.len() - usize::from(missing.is_some());
        let mut event = json!({
            "meta": context.meta(random, FULFILMENT, &Actor::Schedule),
            "orderId": self.id,
            "carrier": *pick(random, &["PostNL", "DHL Paket", "Colissimo", "Yamato 宅急便", "Royal Mail"]),
            "parcels": [{
                "trackingNumber": format!("3S{:013}", random.u64(..10_000_000_000_000)),
                "itemPositions": (0..packed).collect::<Vec<_>>(),
                "weightG": weight_g.round() as u32 + 120,
            }],
            "expectedAt": context.after(Duration::from_secs(random.u64(20..90) * 3600)),
        });
        if let Some(line) = missing {
            event["backOrdered"] = json!({ line.product.sku: line.quantity });
        }
        event
    }
}

impl Line {
    fn total(&self) -> i64 {
        self.unit_price * self.quantity
    }
}
