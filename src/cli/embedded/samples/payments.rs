//! Events of payments for orders.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use fastrand::Rng;
use serde_json::{Value, json};

use super::catalogue::{digits, pick};
use super::event_context::{Actor, EventContext, millis};
use super::orders::Order;

const PRODUCER: &str = "payments@7.3.1";

/// Marks `order` as paid in full, and returns the `shop.v1.PaymentCaptured` event.
pub(super) fn captured(random: &mut Rng, context: &EventContext<'_>, order: &mut Order) -> Value {
    order.payment.is_captured = true;
    let mut event = attempted(random, context, order);
    let currency = &order.shopper.place.currency;
    event["capturedAt"] = context.now().into();
    event["fxRate"] = if currency.per_euro == 1.0 {
        1.0.into()
    } else {
        // Vary the rate by up to half a percent.
        ((0.995 + random.f64() * 0.01) / currency.per_euro).into()
    };
    event["feeMinor"] = (order.total() * 14 / 1000 + currency.price(25)).into();
    let score = random.f64() * 0.4;
    event["riskDetails"] = risk(random, score);
    event
}

/// Returns a `shop.v1.PaymentFailed` event for a failed attempt to charge for `order`.
pub(super) fn failed(random: &mut Rng, context: &EventContext<'_>, order: &mut Order) -> Value {
    let (reason, message, retry_after, score) = *pick(
        random,
        &[
            ("REASON_INSUFFICIENT_FUNDS", "51: insufficient funds", Some(86_400_000), 0.2),
            ("REASON_DECLINED", "05: do not honour", None, 0.5),
            ("REASON_EXPIRED", "54: expired card", None, 0.1),
            ("REASON_RISK", "blocked by rule velocity-24h", None, 0.93),
            ("REASON_TIMEOUT", "no answer from issuer after 9500 ms", Some(1_500), 0.15),
        ],
    );
    let mut event = attempted(random, context, order);
    event["reason"] = reason.into();
    event["processorMessage"] = message.into();
    event["attempt"] = order.payment.attempts.into();
    if let Some(retry_after) = retry_after {
        event["retryAfter"] = millis(retry_after).into();
    }
    event["riskDetails"] = risk(random, score);
    event
}

/// Counts an attempt, and returns the fields that both events have in common.
fn attempted(random: &mut Rng, context: &EventContext<'_>, order: &mut Order) -> Value {
    order.payment.attempts += 1;
    let mut event = json!({
        "meta": context.meta(random, PRODUCER, &Actor::Shopper(&order.shopper.id)),
        "paymentId": order.payment.id,
        "orderId": order.id,
        "amountMinor": order.total(),
        "currency": order.shopper.place.currency.code,
    });
    match random.u8(..10) {
        0..=5 => event["card"] = card(random),
        6..=7 => event["bankTransfer"] = bank_transfer(random, order),
        _ => {
            event["wallet"] = json!({
                "provider": *pick(random, &["paypal", "apple-pay", "google-pay", "swish"]),
                "accountId": digits(random, "wa-####-####-####"),
            });
        }
    }
    event
}

fn card(random: &mut Rng) -> Value {
    let mut fingerprint = [0; 32];
    random.fill(&mut fingerprint);
    let brands = ["BRAND_VISA", "BRAND_VISA", "BRAND_MASTERCARD", "BRAND_AMEX", "BRAND_CARTES_BANCAIRES", "BRAND_JCB"];
    let mut card = json!({
        "brand": *pick(random, &brands),
        "last4": digits(random, "####"),
        "expiryMonth": random.u32(1..=12),
        "expiryYear": random.u32(2027..2033),
        "fingerprint": BASE64_STANDARD.encode(fingerprint),
    });
    if random.u8(..10) < 7 {
        card["authenticated"] = random.bool().into();
    }
    card
}

fn bank_transfer(random: &mut Rng, order: &Order) -> Value {
    let country = order.shopper.place.country;
    json!({
        "maskedIban": format!("{country}{}**********{}", digits(random, "##"), digits(random, "####")),
        "bic": format!("EXMP{country}2A"),
        "reference": format!("Order {}", order.id),
    })
}

/// Returns the answer of a risk engine. It contains values of every JSON type.
fn risk(random: &mut Rng, score: f64) -> Value {
    json!({
        "score": (score * 1000.0).round() / 1000.0,
        "engine": "kestrel-3",
        "isNewDevice": random.bool(),
        "ipCountry": *pick(random, &["NL", "DE", "FR", "GB", "US", "JP"]),
        "rulesHit": if score > 0.4 { json!(["velocity-24h", "bin-mismatch"]) } else { json!([]) },
        "device": { "os": *pick(random, &["iOS 19", "Android 16", "Windows"]), "sessionSeconds": random.u32(8..2400) },
        "reviewer": null,
    })
}
