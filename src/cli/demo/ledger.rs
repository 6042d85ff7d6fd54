//! What the demo sent, and what it saw of it again: kept apart from the service's own metrics, to be held against them.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;
use tokio::time::Instant;

use super::stage::CUSTOMERS;
use crate::cli::embedded::samples::Sample;

/// The demo's own books. Shared by those who send and those who receive.
#[derive(Debug)]
pub(super) struct Ledger(Mutex<Inner>);

#[derive(Debug)]
struct Inner {
    events: HashMap<u128, Event>,
    /// Events of each owner: the customers, then those that are everybody's.
    tallies: [Tally; OWNERS],
    deliveries: Vec<Delivery>,
    /// Events that the demo did not send, and the customers who have them, a bit each.
    strangers: HashMap<String, u8>,
    forget_at: usize,
    first_sent: Option<Instant>,
    last_arrived: Option<Instant>,
}

/// The customers, and the heartbeats, which are nobody's.
pub(super) const OWNERS: usize = CUSTOMERS.len() + 1;
const HEARTBEATS: usize = CUSTOMERS.len();

/// An event on its way.
#[derive(Debug)]
struct Event {
    owner: usize,
    sent: Instant,
    /// The customers who should receive it, and those who have, a bit each.
    wanted: u8,
    arrived: u8,
    quarantined: bool,
    left: bool,
    body: u64,
}

/// Events of one owner, by what became of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) sent: u64,
    /// Arrived at every customer who asks for it.
    pub(super) published: u64,
    /// Nobody who could have it asks for it, and nobody got it.
    pub(super) filtered: u64,
    pub(super) quarantined: u64,
    /// Still on the input queue.
    pub(super) left: u64,
    /// None of these, or more than one.
    pub(super) missing: u64,
}

/// What arrived at one customer.
#[derive(Debug, Clone)]
pub(super) struct Delivery {
    /// Events, each counted once.
    pub(super) arrived: u64,
    /// Events that had arrived before.
    pub(super) again: u64,
    /// From the demo's sending to the customer's receiving, in microseconds.
    pub(super) latency: Histogram<u64>,
}

/// The ledger at the end.
#[derive(Debug)]
pub(super) struct Totals {
    pub(super) tallies: [Tally; OWNERS],
    pub(super) deliveries: Vec<Delivery>,
    /// Events that the demo did not send.
    pub(super) strangers: u64,
    /// Messages in quarantine, by reason.
    pub(super) quarantine: BTreeMap<String, u64>,
    /// From the first sending to the last arrival at a customer.
    pub(super) took: Duration,
}

/// A message that was found in quarantine.
#[derive(Debug)]
pub(super) struct Quarantined {
    /// The payload as it was sent, in base64.
    pub(super) body: String,
    pub(super) reason: String,
    /// Its SQS message id.
    pub(super) message_id: String,
}

/// An event that has arrived everywhere is remembered for this long, to recognise it if it comes again: longer than any
/// visibility timeout here.
const REMEMBERED: Duration = Duration::from_secs(120);
/// From this many events on, those that are done are forgotten.
const FORGET_FROM: usize = 200_000;

impl Ledger {
    pub(super) fn new() -> Self {
        let latency = Histogram::new(3).expect("three digits are within its bounds");
        let delivery = Delivery { arrived: 0, again: 0, latency };
        Self(Mutex::new(Inner {
            events: HashMap::new(),
            tallies: [Tally::default(); OWNERS],
            deliveries: vec![delivery; CUSTOMERS.len()],
            strangers: HashMap::new(),
            forget_at: FORGET_FROM,
            first_sent: None,
            last_arrived: None,
        }))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic elsewhere ends the demo anyway.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes an event that is about to be sent, with the body it is sent in.
    pub(super) fn sends(&self, sample: &Sample, body: &str) {
        let owner = CUSTOMERS.iter().position(|customer| sample.customer.as_deref() == Some(customer.id));
        let owner = owner.unwrap_or(HEARTBEATS);
        let mut wanted = 0;
        for (index, customer) in CUSTOMERS.iter().enumerate() {
            if (owner == HEARTBEATS || owner == index) && customer.wants(&sample.message_type) {
                wanted |= 1 << index;
            }
        }
        let (body, now) = (hash(body), Instant::now());
        let event = Event { owner, sent: now, wanted, arrived: 0, quarantined: false, left: false, body };
        let mut inner = self.lock();
        inner.first_sent.get_or_insert(now);
        inner.tallies[owner].sent += 1;
        if let Some(id) = parse_id(&sample.event_id) {
            inner.events.insert(id, event);
        }
        if inner.events.len() >= inner.forget_at {
            inner.forget();
        }
    }

    /// Notes an event that arrived at a customer.
    pub(super) fn arrived(&self, customer: usize, event_id: &str, at: Instant) {
        let mut inner = self.lock();
        inner.last_arrived = inner.last_arrived.max(Some(at));
        let Inner { events, deliveries, strangers, .. } = &mut *inner;
        let delivery = &mut deliveries[customer];
        let event = parse_id(event_id).and_then(|id| events.get_mut(&id));
        let latency = event.as_ref().map(|event| at.saturating_duration_since(event.sent));
        let arrived = match event {
            Some(event) => &mut event.arrived,
            None => strangers.entry(event_id.to_owned()).or_default(),
        };
        let first = *arrived & 1 << customer == 0;
        *arrived |= 1 << customer;
        if let Some(latency) = latency.filter(|_| first) {
            // The histogram grows with its values; only 64 bits are too few for some, and no wait is that long.
            let _fits = delivery.latency.record(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX));
        }
        delivery.arrived += u64::from(first);
        delivery.again += u64::from(!first);
    }

    /// How many events were sent.
    pub(super) fn sent(&self) -> u64 {
        self.lock().tallies.iter().map(|tally| tally.sent).sum()
    }

    /// How many messages arrived at customers, whatever they were.
    pub(super) fn deliveries(&self) -> u64 {
        self.lock().deliveries.iter().map(|delivery| delivery.arrived + delivery.again).sum()
    }

    /// Closes the books: what became of each event, given the messages in quarantine, and the bodies of those that are
    /// still on the input queue.
    pub(super) fn close(&self, quarantined: &[Quarantined], left: &[String]) -> Totals {
        let mut inner = self.lock();
        let by_body: HashMap<u64, u128> = inner.events.iter().map(|(id, event)| (event.body, *id)).collect();
        let mut quarantine = BTreeMap::new();
        for message in quarantined {
            *quarantine.entry(message.reason.clone()).or_default() += 1;
            match by_body.get(&hash(&message.body)).and_then(|id| inner.events.get_mut(id)) {
                Some(event) => event.quarantined = true,
                None => _ = inner.strangers.entry(message.message_id.clone()).or_default(),
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
        let took = match (inner.first_sent, inner.last_arrived) {
            (Some(first), Some(last)) => last.saturating_duration_since(first),
            _ => Duration::ZERO,
        };
        Totals {
            tallies,
            deliveries: inner.deliveries.clone(),
            strangers: inner.strangers.len() as u64,
            quarantine,
            took,
        }
    }
}

impl Inner {
    /// Forgets events that arrived everywhere a while ago, so that an endless demo does not grow for ever.
    fn forget(&mut self) {
        let Self { events, tallies, forget_at, .. } = self;
        events.retain(|_, event| {
            let done = event.wanted != 0 && event.arrived == event.wanted && event.sent.elapsed() > REMEMBERED;
            if done {
                event.count(&mut tallies[event.owner]);
            }
            !done
        });
        *forget_at = FORGET_FROM.max(2 * events.len());
    }
}

impl Event {
    fn count(&self, tally: &mut Tally) {
        let column = match (self.arrived, self.quarantined, self.left) {
            (0, true, false) => &mut tally.quarantined,
            (0, false, true) => &mut tally.left,
            (0, false, false) if self.wanted == 0 => &mut tally.filtered,
            (arrived, false, false) if arrived == self.wanted => &mut tally.published,
            _ => &mut tally.missing,
        };
        *column += 1;
    }
}

/// The ids of samples are UUIDs.
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
    fn each_event_ends_up_in_one_column() {
        let ledger = Ledger::new();
        let order = sample(1, "shop.v1.OrderPlaced", Some("acme"));
        ledger.sends(&order, "1");
        ledger.sends(&sample(2, "shop.v1.OrderPlaced", Some("acme")), "2");
        ledger.sends(&sample(3, "shop.v1.OrderPlaced", Some("acme")), "3");
        ledger.sends(&sample(4, "shop.v1.PaymentCaptured", Some("globex")), "4");
        ledger.sends(&sample(5, "shop.v1.PaymentCaptured", Some("globex")), "5");
        ledger.arrived(ACME, &order.event_id, Instant::now());
        let totals = ledger.close(&[quarantined("2", "malformed_protobuf")], &["5".to_owned()]);
        let acme = Tally { sent: 3, published: 1, filtered: 0, quarantined: 1, left: 0, missing: 1 };
        let globex = Tally { sent: 2, filtered: 1, left: 1, ..Tally::default() };
        assert_eq!(totals.tallies[..2], [acme, globex]);
        assert_eq!(totals.quarantine, BTreeMap::from([("malformed_protobuf".to_owned(), 1)]));
        assert_eq!((totals.deliveries[ACME].arrived, totals.deliveries[ACME].latency.len()), (1, 1));
    }

    #[test]
    fn a_heartbeat_is_published_once_everyone_who_asks_has_it() {
        let ledger = Ledger::new();
        let heartbeat = sample(1, "protobridge.v1.Heartbeat", None);
        ledger.sends(&heartbeat, "1");
        ledger.arrived(ACME, &heartbeat.event_id, Instant::now());
        assert_eq!(ledger.close(&[], &[]).tallies[HEARTBEATS].missing, 1);
        ledger.arrived(INITECH, &heartbeat.event_id, Instant::now());
        let tally = Tally { sent: 1, published: 1, ..Tally::default() };
        assert_eq!(ledger.close(&[], &[]).tallies[HEARTBEATS], tally);
    }

    #[test]
    fn what_comes_again_counts_apart_and_so_does_what_was_never_sent() {
        let ledger = Ledger::new();
        let order = sample(1, "shop.v1.OrderPlaced", Some("acme"));
        ledger.sends(&order, "1");
        for id in [&order.event_id, &order.event_id, "by-hand", "by-hand"] {
            ledger.arrived(ACME, id, Instant::now());
        }
        ledger.arrived(INITECH, "by-hand", Instant::now());
        let totals = ledger.close(&[quarantined("?", "bad_envelope")], &[]);
        assert_eq!((totals.deliveries[ACME].arrived, totals.deliveries[ACME].again), (2, 2));
        assert_eq!(totals.strangers, 2, "one that arrived, one in quarantine");
    }

    #[test]
    fn an_event_that_is_both_published_and_quarantined_is_missing() {
        let ledger = Ledger::new();
        let order = sample(1, "shop.v1.OrderPlaced", Some("acme"));
        ledger.sends(&order, "1");
        ledger.arrived(ACME, &order.event_id, Instant::now());
        assert_eq!(ledger.close(&[quarantined("1", "too_large")], &[]).tallies[ACME].missing, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_forgotten_stays_counted() {
        let ledger = Ledger::new();
        for number in 0..3 {
            let order = sample(number, "shop.v1.OrderPlaced", Some("acme"));
            ledger.sends(&order, "1");
            ledger.arrived(ACME, &order.event_id, Instant::now());
        }
        tokio::time::advance(REMEMBERED + Duration::from_secs(1)).await;
        ledger.lock().forget();
        assert!(ledger.lock().events.is_empty());
        assert_eq!(ledger.close(&[], &[]).tallies[ACME], Tally { sent: 3, published: 3, ..Tally::default() });
    }
}
