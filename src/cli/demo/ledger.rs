//! The demo's own account of the events that it sent and received. It is independent of the metrics of the service, so
//! that the two can be compared.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;
use tokio::time::Instant;

use super::stage::CUSTOMERS;
use crate::cli::embedded::samples::Sample;
use crate::schema::registry::HEARTBEAT;

/// The demo's own account of events. The producer and the customers share it.
#[derive(Debug)]
pub(super) struct Ledger(Mutex<Inner>);

#[derive(Debug)]
struct Inner {
    events: HashMap<u128, Event>,
    /// One tally per owner. `sent` counts all events; the outcomes count only forgotten events until `close` adds the
    /// rest.
    tallies: [Tally; OWNERS],
    deliveries: Vec<Delivery>,
    /// Events that the demo did not send, by id, with one bit per customer who received them.
    foreign: HashMap<String, u8>,
    forget_at: usize,
    /// The number of events that are sent twice.
    repeated: u64,
    /// The number of deliveries that came from a replay.
    replayed: u64,
    first_sent: Option<Instant>,
    last_arrived: Option<Instant>,
}

/// The number of owners of events: each customer, and one more for heartbeats, which belong to no customer.
pub(super) const OWNERS: usize = CUSTOMERS.len() + 1;
/// The owner of heartbeats.
pub(super) const HEARTBEATS: usize = CUSTOMERS.len();

/// An event that was sent.
#[derive(Debug)]
struct Event {
    owner: usize,
    sent_at: Instant,
    /// One bit per customer who is expected to receive the event.
    recipients: u8,
    /// One bit per customer who has received the event.
    arrived: u8,
    quarantined: bool,
    /// Whether the message was still on the input queue at the end.
    left: bool,
    /// The hash of the message body, by which the event is found again in quarantine.
    body_hash: u64,
}

/// The numbers of events of one owner, by outcome.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) sent: u64,
    /// The event arrived at all its recipients.
    pub(super) published: u64,
    /// The event has no recipients, and no customer received it.
    pub(super) filtered: u64,
    pub(super) quarantined: u64,
    /// The message is still on the input queue.
    pub(super) left: u64,
    /// The event has none of these outcomes, or more than one.
    pub(super) missing: u64,
}

/// The deliveries to one customer.
#[derive(Debug, Clone)]
pub(super) struct Delivery {
    /// The number of distinct events.
    pub(super) arrived: u64,
    /// The number of repeated deliveries.
    pub(super) duplicates: u64,
    /// The time between sending an event and the customer's receipt of it, in microseconds.
    pub(super) latency: Histogram<u64>,
}

/// The contents of the ledger at the end.
#[derive(Debug)]
pub(super) struct Totals {
    pub(super) tallies: [Tally; OWNERS],
    pub(super) deliveries: Vec<Delivery>,
    /// The number of events that the demo did not send.
    pub(super) foreign: u64,
    /// The number of events that the demo sent twice.
    pub(super) repeated: u64,
    /// The number of deliveries that came from a replay. No other number counts them.
    pub(super) replayed: u64,
    /// The number of messages in quarantine, by reason.
    pub(super) quarantine: BTreeMap<String, u64>,
    /// The time from the first event sent to the last event received. Heartbeats do not count.
    pub(super) duration: Duration,
}

/// A message that was found on the quarantine queue.
#[derive(Debug)]
pub(super) struct Quarantined {
    /// The payload that the producer sent, in base64.
    pub(super) body: String,
    pub(super) reason: String,
    /// The id of the quarantined SQS message on the input queue.
    pub(super) message_id: String,
}

/// How long the ledger remembers an event after it was sent, so that it recognizes a duplicate. Longer than any
/// visibility timeout of the demo.
const MEMORY: Duration = Duration::from_secs(120);
/// The number of events from which the ledger forgets those that have arrived everywhere.
const FORGET_FROM: usize = 200_000;

impl Ledger {
    pub(super) fn new() -> Self {
        let latency = Histogram::new(3).expect("a histogram with three significant digits is valid");
        let delivery = Delivery { arrived: 0, duplicates: 0, latency };
        Self(Mutex::new(Inner {
            events: HashMap::new(),
            tallies: [Tally::default(); OWNERS],
            deliveries: vec![delivery; CUSTOMERS.len()],
            foreign: HashMap::new(),
            forget_at: FORGET_FROM,
            repeated: 0,
            replayed: 0,
            first_sent: None,
            last_arrived: None,
        }))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic in another task ends the demo anyway.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records an event that is about to be sent with this message body.
    pub(super) fn record_sent(&self, sample: &Sample, body: &str) {
        let owner = CUSTOMERS.iter().position(|customer| sample.customer.as_deref() == Some(customer.id));
        let owner = owner.unwrap_or(HEARTBEATS);
        let mut recipients = 0;
        // Of the heartbeats, only the built-in ones are published, because the service broadcasts their type.
        let is_broadcast = sample.message_type == HEARTBEAT;
        for (index, customer) in CUSTOMERS.iter().enumerate() {
            if (is_broadcast || owner == index) && customer.receives(&sample.message_type) {
                recipients |= 1 << index;
            }
        }
        let (body_hash, now) = (hash(body), Instant::now());
        let event = Event { owner, sent_at: now, recipients, arrived: 0, quarantined: false, left: false, body_hash };
        let mut inner = self.lock();
        if owner != HEARTBEATS {
            inner.first_sent.get_or_insert(now);
        }
        inner.tallies[owner].sent += 1;
        if let Some(id) = parse_id(&sample.event_id) {
            inner.events.insert(id, event);
        }
        if inner.events.len() >= inner.forget_at {
            inner.forget();
        }
    }

    /// Records that an event is sent a second time, as another message.
    pub(super) fn record_repeated(&self) {
        self.lock().repeated += 1;
    }

    /// Records that a customer received an event from a replay. The service of the demo did not publish it.
    pub(super) fn record_replayed(&self) {
        self.lock().replayed += 1;
    }

    /// Records an event that a customer received.
    pub(super) fn record_arrival(&self, customer: usize, event_id: &str, at: Instant) {
        let mut inner = self.lock();
        let Inner { events, deliveries, foreign, last_arrived, .. } = &mut *inner;
        let delivery = &mut deliveries[customer];
        let event = parse_id(event_id).and_then(|id| events.get_mut(&id));
        if event.as_ref().is_none_or(|event| event.owner != HEARTBEATS) {
            *last_arrived = (*last_arrived).max(Some(at));
        }
        let latency = event.as_ref().map(|event| at.saturating_duration_since(event.sent_at));
        let arrived = match event {
            Some(event) => &mut event.arrived,
            None => foreign.entry(event_id.to_owned()).or_default(),
        };
        let first = *arrived & 1 << customer == 0;
        *arrived |= 1 << customer;
        if let Some(latency) = latency.filter(|_| first) {
            // The histogram grows with its values, so recording fails only for values close to 64 bits.
            let _recorded = delivery.latency.record(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX));
        }
        delivery.arrived += u64::from(first);
        delivery.duplicates += u64::from(!first);
    }

    /// The number of events that were sent.
    pub(super) fn sent(&self) -> u64 {
        self.lock().tallies.iter().map(|tally| tally.sent).sum()
    }

    /// The number of messages that arrived at customers, including duplicates.
    pub(super) fn deliveries(&self) -> u64 {
        self.lock().deliveries.iter().map(|delivery| delivery.arrived + delivery.duplicates).sum()
    }

    /// Closes the ledger: determines the outcome of each event from the arrivals, the messages in quarantine, and the
    /// bodies of the messages that are still on the input queue.
    pub(super) fn close(&self, quarantined: &[Quarantined], left: &[String]) -> Totals {
        let mut inner = self.lock();
        let by_body: HashMap<u64, u128> = inner.events.iter().map(|(id, event)| (event.body_hash, *id)).collect();
        let mut quarantine = BTreeMap::new();
        for message in quarantined {
            *quarantine.entry(message.reason.clone()).or_default() += 1;
            match by_body.get(&hash(&message.body)).and_then(|id| inner.events.get_mut(id)) {
                Some(event) => event.quarantined = true,
                None => _ = inner.foreign.entry(message.message_id.clone()).or_default(),
            }
        }
        for body in left {
            if let Some(event) = by_body.get(&hash(body)).and_then(|id| inner.events.get_mut(id)) {
                event.left = true;
            }
        }
        let mut tallies = inner.tallies;
        for event in inner.events.values() {
            event.count(&mut tallies[event.owner]);
        }
        let duration = match (inner.first_sent, inner.last_arrived) {
            (Some(first), Some(last)) => last.saturating_duration_since(first),
            _ => Duration::ZERO,
        };
        Totals {
            tallies,
            deliveries: inner.deliveries.clone(),
            foreign: inner.foreign.len() as u64,
            repeated: inner.repeated,
            replayed: inner.replayed,
            quarantine,
            duration,
        }
    }
}

impl Inner {
    /// Forgets old events that have arrived everywhere, so that the memory of an endless demo is bounded.
    fn forget(&mut self) {
        let Self { events, tallies, forget_at, .. } = self;
        events.retain(|_, event| {
            let done = event.recipients != 0 && event.arrived == event.recipients && event.sent_at.elapsed() > MEMORY;
            if done {
                event.count(&mut tallies[event.owner]);
            }
            !done
        });
        *forget_at = FORGET_FROM.max(2 * events.len());
    }
}

impl Event {
    /// Adds the event to the column of its outcome.
    fn count(&self, tally: &mut Tally) {
        let column = match (self.arrived, self.quarantined, self.left) {
            (0, true, false) => &mut tally.quarantined,
            (0, false, true) => &mut tally.left,
            (0, false, false) if self.recipients == 0 => &mut tally.filtered,
            (arrived, false, false) if arrived == self.recipients => &mut tally.published,
            _ => &mut tally.missing,
        };
        *column += 1;
    }
}

/// Parses an event id. The ids of samples are UUIDs; other events have no such id.
fn parse_id(text: &str) -> Option<u128> {
    let hex: String = text.chars().filter(|c| *c != '-').collect();
    u128::from_str_radix(&hex, 16).ok()
}

fn hash(body: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    body.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACME: usize = 0;
    const INITECH: usize = 2;

    fn sample(number: u8, message_type: &str, customer: Option<&str>) -> Sample {
        Sample {
            message_type: message_type.to_owned(),
            payload: vec![number],
            event_id: format!("00000000-0000-4000-8000-0000000000{number:02x}"),
            customer: customer.map(str::to_owned),
        }
    }

    fn quarantined(body: &str, reason: &str) -> Quarantined {
        Quarantined { body: body.to_owned(), reason: reason.to_owned(), message_id: format!("m-{body}") }
    }

    #[test]
    fn each_event_is_counted_in_exactly_one_column() {
        let ledger = Ledger::new();
        let order = sample(1, "shop.v1.OrderPlaced", Some("acme"));
        ledger.record_sent(&order, "1");
        ledger.record_sent(&sample(2, "shop.v1.OrderPlaced", Some("acme")), "2");
        ledger.record_sent(&sample(3, "shop.v1.OrderPlaced", Some("acme")), "3");
        ledger.record_sent(&sample(4, "shop.v1.PaymentCaptured", Some("globex")), "4");
        ledger.record_sent(&sample(5, "shop.v1.PaymentCaptured", Some("globex")), "5");
        ledger.record_arrival(ACME, &order.event_id, Instant::now());
        let totals = ledger.close(&[quarantined("2", "malformed_protobuf")], &["5".to_owned()]);
        let acme = Tally { sent: 3, published: 1, filtered: 0, quarantined: 1, left: 0, missing: 1 };
        let globex = Tally { sent: 2, filtered: 1, left: 1, ..Tally::default() };
        assert_eq!(totals.tallies[..2], [acme, globex]);
        assert_eq!(totals.quarantine, BTreeMap::from([("malformed_protobuf".to_owned(), 1)]));
        assert_eq!((totals.deliveries[ACME].arrived, totals.deliveries[ACME].latency.len()), (1, 1));
    }

    #[test]
    fn a_heartbeat_counts_as_published_when_all_its_recipients_have_it() {
        let ledger = Ledger::new();
        let heartbeat = sample(1, "protobridge.v1.Heartbeat", None);
        ledger.record_sent(&heartbeat, "1");
        ledger.record_arrival(ACME, &heartbeat.event_id, Instant::now());
        assert_eq!(ledger.close(&[], &[]).tallies[HEARTBEATS].missing, 1);
        ledger.record_arrival(INITECH, &heartbeat.event_id, Instant::now());
        let tally = Tally { sent: 1, published: 1, ..Tally::default() };
        assert_eq!(ledger.close(&[], &[]).tallies[HEARTBEATS], tally);
    }

    #[test]
    fn a_heartbeat_of_the_database_counts_as_filtered_and_heartbeats_do_not_count_in_the_duration() {
        let ledger = Ledger::new();
        let later = Instant::now() + Duration::from_secs(60);
        ledger.record_sent(&sample(1, "shop.v1.ChangeEvent", None), "1");
        let order = sample(2, "shop.v1.OrderPlaced", Some("acme"));
        ledger.record_sent(&order, "2");
        ledger.record_arrival(ACME, &order.event_id, Instant::now());
        let heartbeat = sample(3, "protobridge.v1.Heartbeat", None);
        ledger.record_sent(&heartbeat, "3");
        for customer in [ACME, INITECH] {
            ledger.record_arrival(customer, &heartbeat.event_id, later);
        }
        let totals = ledger.close(&[], &[]);
        assert_eq!(totals.tallies[HEARTBEATS], Tally { sent: 2, published: 1, filtered: 1, ..Tally::default() });
        assert!(totals.duration < Duration::from_secs(30), "{:?}", totals.duration);
    }

    #[test]
    fn duplicates_and_foreign_events_are_counted_separately() {
        let ledger = Ledger::new();
        let order = sample(1, "shop.v1.OrderPlaced", Some("acme"));
        ledger.record_sent(&order, "1");
        for id in [&order.event_id, &order.event_id, "by-hand", "by-hand"] {
            ledger.record_arrival(ACME, id, Instant::now());
        }
        ledger.record_arrival(INITECH, "by-hand", Instant::now());
        let totals = ledger.close(&[quarantined("?", "bad_envelope")], &[]);
        assert_eq!((totals.deliveries[ACME].arrived, totals.deliveries[ACME].duplicates), (2, 2));
        assert_eq!(totals.foreign, 2, "one foreign event arrived, and one is in quarantine");
    }

    #[test]
    fn an_event_that_is_both_published_and_quarantined_counts_as_missing() {
        let ledger = Ledger::new();
        let order = sample(1, "shop.v1.OrderPlaced", Some("acme"));
        ledger.record_sent(&order, "1");
        ledger.record_arrival(ACME, &order.event_id, Instant::now());
        assert_eq!(ledger.close(&[quarantined("1", "too_large")], &[]).tallies[ACME].missing, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn forgotten_events_stay_counted() {
        let ledger = Ledger::new();
        for number in 0..3 {
            let order = sample(number, "shop.v1.OrderPlaced", Some("acme"));
            ledger.record_sent(&order, "1");
            ledger.record_arrival(ACME, &order.event_id, Instant::now());
        }
        tokio::time::advance(MEMORY + Duration::from_secs(1)).await;
        ledger.lock().forget();
        assert!(ledger.lock().events.is_empty());
        assert_eq!(ledger.close(&[], &[]).tallies[ACME], Tally { sent: 3, published: 3, ..Tally::default() });
    }
}
