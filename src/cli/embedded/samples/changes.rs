//! Change events of rows in the databases of the shops.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use fastrand::Rng;
use serde_json::{Value, json};

use super::catalogue::{PRODUCTS, pick};
use super::event_context::{EventContext, millis};
use super::orders::Order;
use super::shoppers;

/// The cluster of the databases, and the name of the source of all changes.
pub const DATABASE: &str = "shop-db-eu-1";

/// The database log that the changes are read from.
#[derive(Debug)]
pub(super) struct Log {
    position: u64,
    transaction: u64,
}

impl Log {
    /// Returns a log that already has a random number of entries.
    pub(super) fn new(random: &mut Rng) -> Self {
        Self { position: random.u64(1 << 40..1 << 44), transaction: random.u64(800_000..90_000_000) }
    }

    /// Returns the next change as a `shop.v1.ChangeEvent`.
    pub(super) fn next(&mut self, random: &mut Rng, context: &EventContext<'_>) -> Value {
        self.advance(random);
        let (table, key, row) = match random.u8(..10) {
            0..=4 => inventory(random, context),
            5..=7 => {
                let order = Order::new(random, context.tenant_id);
                let row = order.row(random, context);
                ("orders", order.id, row)
            }
            _ => {
                let (key, row) = shoppers::row(random, context);
                ("customers", key, row)
            }
        };
        let mut event = self.change_of(table, &key, random, context);
        let (op, before, after) = match random.u8(..20) {
            0..=4 => ("OPERATION_INSERT", None, Some(row)),
            5..=16 => {
                let after = updated(&row, random, context);
                ("OPERATION_UPDATE", Some(row), Some(after))
            }
            17..=18 => ("OPERATION_DELETE", Some(row), None),
            _ => ("OPERATION_SNAPSHOT", None, Some(row)),
        };
        event["op"] = op.into();
        if let Some(before) = before {
            event["before"] = json!({ "columns": before });
        }
        if let Some(after) = after {
            event["after"] = json!({ "columns": after });
        }
        event
    }

    /// Returns the update of the row in the table `heartbeat`, by which a database shows that it works.
    pub(super) fn heartbeat(&mut self, random: &mut Rng, context: &EventContext<'_>) -> Value {
        self.advance(random);
        let mut event = self.change_of("heartbeat", "1", random, context);
        event["op"] = "OPERATION_UPDATE".into();
        event["after"] = json!({ "columns": {
            "id": { "int64Value": 1 },
            "beat_at": { "timestampValue": context.now() },
        } });
        event
    }

    fn advance(&mut self, random: &mut Rng) {
        self.position += random.u64(8..4096) * 8;
        // Some transactions change several rows.
        if random.u8(..4) > 0 {
            self.transaction += 1;
        }
    }

    /// Returns a change of a row, without the operation and the values of the row.
    fn change_of(&self, table: &str, key: &str, random: &mut Rng, context: &EventContext<'_>) -> Value {
        json!({
            "eventId": context.event_id,
            "tenantId": context.tenant_id,
            "source": { "cluster": DATABASE, "database": "shop", "schema": "public", "table": table },
            "rowKey": format!("{table}/{key}"),
            "commitTime": context.now(),
            "logSequenceNumber": self.position,
            "transactionId": self.transaction,
            "replicationLag": millis(random.u64(3..900)),
        })
    }
}

/// Returns a row of the inventory: its table, key, and values by column.
fn inventory(random: &mut Rng, context: &EventContext<'_>) -> (&'static str, String, Value) {
    let product = pick(random, PRODUCTS);
    let warehouse = *pick(random, &["AMS1", "LYS2", "OSA1"]);
    let mut checksum = [0; 8];
    random.fill(&mut checksum);
    let columns = json!({
        "sku": { "stringValue": product.sku },
        "warehouse": { "stringValue": warehouse },
        "title": { "stringValue": product.title },
        "on_hand": { "int64Value": random.u32(1..400) },
        "reserved": { "int64Value": random.u32(..20) },
        "unit_cost": { "decimalValue": format!("{}.{:02}00", product.cents / 300, product.cents / 3 % 100) },
        "turnover_rate": { "doubleValue": (random.f64() * 12_000.0).round() / 1000.0 },
        "is_fragile": { "boolValue": product.sku.starts_with("MUG") },
        "lead_time": { "intervalValue": millis(random.u64(1..15) * 86_400_000) },
        "row_checksum": { "bytesValue": BASE64_STANDARD.encode(checksum) },
        "counted_by": { "nullValue": null },
        "attributes": { "jsonValue": { "shelf": format!("{}-{:02}", random.uppercase(), random.u8(1..40)), "fifo": true } },
        "updated_at": { "timestampValue": context.before(Duration::from_secs(random.u64(60..864_000))) },
    });
    ("inventory", format!("{warehouse}/{}", product.sku), columns)
}

/// Returns `row`, which can be of any table, with some of its columns updated.
fn updated(row: &Value, random: &mut Rng, context: &EventContext<'_>) -> Value {
    let mut after = row.clone();
    let now = json!({ "timestampValue": context.now() });
    if row.get("on_hand").is_some() {
        after["on_hand"] = json!({ "int64Value": random.u32(..400) });
        after["updated_at"] = now;
    } else if row.get("placed_at").is_some() {
        after["status"] = json!({ "stringValue": "shipped" });
        after["version"] = json!({ "int64Value": 2 });
        after["shipped_at"] = now;
    } else {
        after["last_seen_at"] = now;
    }
    after
}
