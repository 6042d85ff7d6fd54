mod cases;
mod gaps;
mod snapshots;

use super::*;
use crate::store::journal::{Dropped, Hole, HoleKind};

const EVENT: &str = "9b4eee34-0c3b-4c1a-9d53-2d1b7d8a2c11";
const TYPE: &str = "shop.v1.OrderPlaced";
const FIRST: &str = "5f0c0001-aaaa-4bbb-8ccc-000000000001";
const SECOND: &str = "77ab0002-aaaa-4bbb-8ccc-000000000002";
const SNS_FIRST: &str = "1d2e0001-dddd-4eee-8fff-000000000001";
const SNS_SECOND: &str = "9f000002-dddd-4eee-8fff-000000000002";

/// 2026-11-28T12:03:07Z.
const START: i64 = 1_795_867_387_000_000;
const MS: i64 = 1_000;
const HOUR: i64 = 3_600_000_000;

/// Returns a row without an outcome: `message` was sent at this time after [`START`], in milliseconds, and received 17 ms
/// later.
fn received(message: &str, replica: &str, at: i64) -> Row {
    Row {
        event_id: Some(EVENT.into()),
        event_type: Some(TYPE.into()),
        queue: "events".into(),
        message_id: message.into(),
        receive_count: 1,
        sent_at: START + at * MS,
        received_at: START + (at + 17) * MS,
        settled_at: START + (at + 40) * MS,
        replica: replica.into(),
        ..Row::default()
    }
}

/// Returns the row for a customer.
fn to(customer: &str, row: Row) -> Row {
    let topic = format!("arn:aws:sns:eu-west-1:123456789012:json-events-{customer}");
    Row { customer: Some(customer.into()), topic: Some(topic), ..row }
}

fn published(sns: &str, row: Row) -> Row {
    Row {
        outcome: "published".into(),
        published_at: Some(row.received_at + 18 * MS),
        attempts: Some(1),
        throttles: Some(0),
        sns_message_id: Some(sns.into()),
        ..row
    }
}

fn duplicate(first: &str, cause: &str, row: Row) -> Row {
    Row {
        outcome: "duplicate".into(),
        duplicate_cause: Some(cause.into()),
        first_message_id: Some(first.into()),
        ..row
    }
}

fn ended(outcome: &str, reason: &str, row: Row) -> Row {
    Row { outcome: outcome.into(), reason: Some(reason.into()), ..row }
}

/// Returns the row of a later receive of the same message.
fn again(count: u32, at: i64, row: Row) -> Row {
    Row {
        receive_count: count,
        received_at: START + at * MS,
        settled_at: START + (at + 23) * MS,
        published_at: row.published_at.map(|_| START + (at + 18) * MS),
        ..row
    }
}

fn complete() -> Looked {
    Looked { segments: 120, ranges: 360, bytes: 1_000_000, ..Looked::default() }
}

fn died() -> Hole {
    Hole {
        replica: "pod-b".into(),
        incarnation: "cafe".into(),
        from: START + 3_000 * MS,
        to: Some(START + 34_000 * MS),
        kind: HoleKind::Died,
    }
}

fn not_stored_yet() -> Hole {
    Hole { replica: "pod-a".into(), to: None, kind: HoleKind::NotStoredYet, ..died() }
}

fn dropped() -> Dropped {
    Dropped { replica: "pod-a".into(), from: START, to: START + 60_000 * MS, rows: 12 }
}

/// The ways in which rows can be missing.
fn gaps() -> Vec<(&'static str, Looked)> {
    let hole = |kind| Looked { holes: vec![Hole { kind, ..died() }], ..complete() };
    vec![
        ("a process died", hole(HoleKind::Died)),
        ("a segment is gone", hole(HoleKind::Missing)),
        ("rows are not stored yet", Looked { holes: vec![not_stored_yet()], ..complete() }),
        ("rows were dropped", Looked { dropped: vec![dropped()], ..complete() }),
        ("there is no segment", Looked { segments: 0, ..complete() }),
    ]
}

/// What a story is told from; the default is complete.
struct Told {
    wanted: Wanted,
    customer: Option<&'static str>,
    looked: Looked,
    sample_published: f64,
    kept_since: i64,
}

impl Default for Told {
    fn default() -> Self {
        Self {
            wanted: Wanted::Event(EVENT.into()),
            customer: None,
            looked: complete(),
            sample_published: 1.0,
            kept_since: START - 48 * HOUR,
        }
    }
}

impl Told {
    fn of(&self, rows: &[Row]) -> Story {
        Story::tell(&Evidence {
            wanted: &self.wanted,
            customer: self.customer,
            rows,
            looked: &self.looked,
            window: START - HOUR / 2..START + HOUR / 2,
            sample_published: self.sample_published,
            kept_since: self.kept_since,
        })
    }
}

fn verdict(rows: &[Row]) -> String {
    Told::default().of(rows).verdict.join(" ")
}

/// The rows of the main stories.
fn stories() -> Vec<(&'static str, Vec<Row>)> {
    let one = || received(FIRST, "pod-a", 114);
    let two = || received(SECOND, "pod-b", 2_480);
    vec![
        ("nothing", Vec::new()),
        ("once", vec![published(SNS_FIRST, to("acme", one()))]),
        (
            "once, and a duplicate",
            vec![published(SNS_FIRST, to("acme", one())), duplicate(FIRST, "producer", to("acme", two()))],
        ),
        ("twice", vec![published(SNS_FIRST, to("acme", one())), published(SNS_SECOND, to("acme", two()))]),
        ("filtered", vec![ended("filtered", "types[3]", one())]),
        ("quarantined", vec![ended("quarantined", "no_customer", one())]),
        ("retried", vec![ended("retried", "publish", to("acme", one()))]),
        ("abandoned", vec![Row { outcome: "abandoned".into(), ..one() }]),
        ("a duplicate of something before", vec![duplicate(SECOND, "producer", to("acme", one()))]),
        (
            "two customers",
            vec![published(SNS_FIRST, to("acme", one())), ended("quarantined", "publish_refused", to("initech", one()))],
        ),
    ]
}
