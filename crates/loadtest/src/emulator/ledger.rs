//! Counts each event at each of its customers' queues, and when it arrived. Lost and duplicated events are found from
//! these counts.

use std::collections::{HashMap, HashSet};

use hdrhistogram::Histogram;

use super::clock::Micros;
use super::queue::DeletedEvent;
use super::stats::{ArrivalStats, Latency};
use crate::events::Events;
use crate::spec::Spec;

/// The counts, one per event and customer of the event.
#[derive(Debug)]
pub(super) struct Ledger {
    spec: Spec,
    counts: Vec<u8>,
    /// The sum of the hashed SNS message ids per delivery, if the spec wants it; see [`hashed`].
    ids: Vec<u64>,
    quarantined: HashSet<u64>,
    /// The lost answers by delivery, without those that a duplicate followed.
    lost_answers: HashMap<usize, u32>,
    started: Micros,
    summary: ArrivalStats,
    latency: LatencyHistogram,
    in_service: [LatencyHistogram; 2],
    to_delete: LatencyHistogram,
    /// The latency of the arrivals while the store answered, and while it did not.
    by_store: [LatencyHistogram; 2],
    is_store_down: bool,
    /// The latency and the time in service of the events that are not large, and of those that are.
    by_size: [[LatencyHistogram; 2]; 2],
}

/// An arrival at a customer's queue.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arrival {
    /// The number of the event, from its event id.
    pub(super) number: u64,
    /// The customer whose topic received it.
    pub(super) customer: u32,
    /// Whether the JSON is the expected one.
    pub(super) is_intact: bool,
    pub(super) sent: Micros,
    /// `None` if the event is no longer on the input queue.
    pub(super) first_received: Option<Micros>,
    pub(super) at: Micros,
    /// The number in the id that SNS gave to the message.
    pub(super) message: u64,
}

/// Returns a hash of the number in an SNS message id. The hashes of all messages of one delivery are added up, so that
/// eight bytes are enough, also for one that arrives twice.
pub(crate) fn hashed(message: u64) -> u64 {
    // The last step of SplitMix64.
    let mixed = (message ^ (message >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

impl Ledger {
    pub(super) fn new(spec: &Spec) -> Self {
        let expected = spec.events * u64::from(spec.customers_per_event());
        Self {
            spec: spec.clone(),
            counts: vec![0; expected as usize],
            ids: vec![0; if spec.has_store { expected as usize } else { 0 }],
            quarantined: HashSet::new(),
            lost_answers: HashMap::new(),
            started: 0,
            summary: ArrivalStats { expected, ..ArrivalStats::default() },
            latency: LatencyHistogram::new(),
            in_service: [LatencyHistogram::new(), LatencyHistogram::new()],
            to_delete: LatencyHistogram::new(),
            by_store: [LatencyHistogram::new(), LatencyHistogram::new()],
            is_store_down: false,
            by_size: std::array::from_fn(|_| [LatencyHistogram::new(), LatencyHistogram::new()]),
        }
    }

    pub(super) fn start(&mut self, now: Micros) {
        self.started = now;
    }

    /// Records whether the service's store answers.
    pub(super) fn set_store_down(&mut self, is_store_down: bool) {
        self.is_store_down = is_store_down;
    }

    /// Records an arrival.
    pub(super) fn arrived(&mut self, arrival: Arrival, events: &Events) {
        let Arrival { number, customer, at, .. } = arrival;
        let is_theirs = self.spec.fan_out || events.customer(number) == customer;
        let slot = self.spec.slot(number, customer);
        let count = self.counts.get_mut(slot).filter(|_| is_theirs);
        let Some(count) = count else {
            self.summary.astray += 1;
            return;
        };
        self.summary.altered += u64::from(!arrival.is_intact);
        if let Some(ids) = self.ids.get_mut(slot) {
            *ids = ids.wrapping_add(hashed(arrival.message));
        }
        *count = count.saturating_add(1);
        if *count > 1 {
            match self.lost_answers.get_mut(&slot).filter(|lost| **lost > 0) {
                Some(lost) => {
                    *lost -= 1;
                    self.summary.doubled_after_lost_answer += 1;
                }
                None => self.summary.doubled += 1,
            }
            return;
        }
        self.summary.arrived += 1;
        self.summary.last_us = at.saturating_sub(self.started);
        let is_other = customer > 0;
        self.latency.add(at.saturating_sub(arrival.sent));
        self.by_store[usize::from(self.is_store_down)].add(at.saturating_sub(arrival.sent));
        let [latency, in_service] = &mut self.by_size[usize::from(self.spec.is_large(number))];
        latency.add(at.saturating_sub(arrival.sent));
        if let Some(received) = arrival.first_received {
            in_service.add(at.saturating_sub(received));
            self.in_service[usize::from(is_other)].add(at.saturating_sub(received));
        }
        let second = (self.summary.last_us / 1_000_000) as usize;
        for (series, counts) in [(&mut self.summary.by_second, true), (&mut self.summary.others_by_second, is_other)] {
            if series.len() <= second {
                series.resize(second + 1, 0);
            }
            series[second] += u32::from(counts);
        }
    }

    /// Records that the answer of a publish was lost after its effect. The service cannot know of these deliveries, so each
    /// of them can arrive once more.
    pub(super) fn answer_lost(&mut self, deliveries: &[usize]) {
        for slot in deliveries {
            *self.lost_answers.entry(*slot).or_default() += 1;
        }
    }

    /// Records that an event went into quarantine.
    pub(super) fn quarantined(&mut self, number: u64) {
        self.quarantined.insert(number);
        self.summary.quarantined = self.quarantined.len() as u64;
    }

    /// Records that an event was deleted from the input queue.
    pub(super) fn deleted(&mut self, DeletedEvent { number, published }: DeletedEvent, at: Micros) {
        if let Some(published) = published {
            self.to_delete.add(at.saturating_sub(published));
        }
        let (from, customers) = (self.spec.slot(number, 0), self.spec.customers_per_event() as usize);
        let is_everywhere = self.counts[from..from + customers].iter().all(|count| *count > 0);
        self.summary.deleted_early += u64::from(!is_everywhere && !self.quarantined.contains(&number));
    }

    /// Returns the sum of the hashed SNS message ids of each delivery.
    pub(super) fn ids(&self) -> &[u64] {
        &self.ids
    }

    pub(super) fn summary(&self, events: &Events) -> ArrivalStats {
        let mut all = self.in_service[0].0.clone();
        // Adding fails only if the bounds differ, and they are the same.
        let _same = all.add(&self.in_service[1].0);
        let [[small, small_in_service], [large, large_in_service]] =
            [0, 1].map(|size| [0, 1].map(|which| self.by_size[size][which].latency()));
        ArrivalStats {
            small,
            small_in_service,
            large,
            large_in_service,
            latency: self.latency.latency(),
            in_service: LatencyHistogram(all).latency(),
            in_service_busiest: self.in_service[0].latency(),
            in_service_others: self.in_service[1].latency(),
            to_delete: self.to_delete.latency(),
            while_store_up: self.by_store[0].latency(),
            while_store_down: self.by_store[1].latency(),
            others_share: match self.spec.fan_out {
                true => 1.0 - 1.0 / f64::from(self.spec.customers),
                false => 1.0 - events.share(0),
            },
            ..self.summary.clone()
        }
    }
}

/// A histogram of times in microseconds, with two significant digits, up to three hours.
#[derive(Debug)]
struct LatencyHistogram(Histogram<u64>);

impl LatencyHistogram {
    fn new() -> Self {
        Self(Histogram::new_with_bounds(1, 3 * 3_600 * 1_000_000, 2).expect("the bounds are in order"))
    }

    fn add(&mut self, micros: Micros) {
        self.0.saturating_record(micros);
    }

    fn latency(&self) -> Latency {
        let at = |quantile| self.0.value_at_quantile(quantile) as f64 / 1e3;
        Latency { p50: at(0.5), p95: at(0.95), p99: at(0.99), max: self.0.max() as f64 / 1e3 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger(spec: &Spec) -> (Ledger, Events) {
        (Ledger::new(spec), Events::new(spec).unwrap())
    }

    fn arrival(number: u64, customer: u32) -> Arrival {
        Arrival { number, customer, is_intact: true, sent: 0, first_received: Some(1_000), at: 5_000, message: 7 }
    }

    fn deleted(number: u64) -> DeletedEvent {
        DeletedEvent { number, published: Some(5_000) }
    }

    #[test]
    fn a_repeated_arrival_counts_as_a_duplicate() {
        let (mut ledger, events) = ledger(&Spec { events: 3, ..Spec::default() });
        for number in [0, 1, 1, 1] {
            ledger.arrived(arrival(number, 0), &events);
        }
        let summary = ledger.summary(&events);
        assert_eq!((summary.expected, summary.arrived, summary.doubled, summary.astray), (3, 2, 2, 0));
        assert_eq!(summary.by_second, [2]);
    }

    #[test]
    fn a_lost_answer_explains_one_duplicate_of_each_of_its_deliveries() {
        let (mut ledger, events) = ledger(&Spec { events: 3, ..Spec::default() });
        (0..3).for_each(|number| ledger.arrived(arrival(number, 0), &events));
        ledger.answer_lost(&[0, 1]);
        for number in [0, 2, 1, 0] {
            ledger.arrived(arrival(number, 0), &events);
        }
        let summary = ledger.summary(&events);
        assert_eq!((summary.doubled_after_lost_answer, summary.doubled), (2, 2), "event 2, and the second of event 0");
    }

    #[test]
    fn an_event_deleted_before_it_arrived_is_counted() {
        let (mut ledger, events) = ledger(&Spec { events: 2, customers: 2, fan_out: true, ..Spec::default() });
        ledger.arrived(arrival(0, 0), &events);
        ledger.arrived(arrival(0, 1), &events);
        ledger.deleted(deleted(0), 9_000);
        assert_eq!(ledger.summary(&events).deleted_early, 0);
        ledger.arrived(arrival(1, 1), &events);
        ledger.deleted(deleted(1), 9_000);
        assert_eq!(ledger.summary(&events).deleted_early, 1, "customer 0 never got event 1");
    }

    #[test]
    fn a_quarantined_event_is_not_deleted_early() {
        let (mut ledger, events) = ledger(&Spec { events: 2, ..Spec::default() });
        ledger.quarantined(1);
        ledger.deleted(deleted(1), 9_000);
        let summary = ledger.summary(&events);
        assert_eq!((summary.quarantined, summary.deleted_early), (1, 0));
    }

    #[test]
    fn misdirected_unknown_and_altered_events_are_counted() {
        let (mut ledger, events) = ledger(&Spec { events: 10, customers: 4, ..Spec::default() });
        let owner = events.customer(3);
        ledger.arrived(arrival(3, (owner + 1) % 4), &events);
        ledger.arrived(arrival(10, 0), &events);
        ledger.arrived(Arrival { is_intact: false, ..arrival(3, owner) }, &events);
        let summary = ledger.summary(&events);
        assert_eq!((summary.arrived, summary.astray, summary.altered), (1, 2, 1));
    }

    #[test]
    fn latency_starts_at_send_and_time_in_service_at_the_first_receive() {
        let (mut ledger, events) = ledger(&Spec { events: 1, ..Spec::default() });
        ledger.arrived(arrival(0, 0), &events);
        let summary = ledger.summary(&events);
        assert!((summary.latency.p50 - 5.0).abs() < 0.1, "{:?}", summary.latency);
        assert!((summary.in_service.p50 - 4.0).abs() < 0.1, "{:?}", summary.in_service);
        assert_eq!(summary.in_service_others, Latency::default());
    }

    #[test]
    fn the_latency_of_large_events_is_told_apart() {
        let (mut ledger, events) = ledger(&Spec { events: 2, large_percent: 1, ..Spec::default() });
        ledger.arrived(Arrival { at: 50_000, ..arrival(0, 0) }, &events);
        ledger.arrived(arrival(1, 0), &events);
        let summary = ledger.summary(&events);
        let figures = [summary.small, summary.small_in_service, summary.large, summary.large_in_service];
        assert_eq!(figures.map(|latency| latency.max.round()), [5.0, 4.0, 50.0, 49.0]);
    }

    #[test]
    fn the_time_to_delete_begins_at_the_last_publish() {
        let (mut ledger, events) = ledger(&Spec { events: 2, ..Spec::default() });
        ledger.deleted(deleted(0), 9_000);
        ledger.deleted(DeletedEvent { number: 1, published: None }, 90_000);
        let to_delete = ledger.summary(&events).to_delete;
        assert!((to_delete.max - 4.0).abs() < 0.1, "{to_delete:?}");
    }

    #[test]
    fn arrivals_while_the_store_is_down_are_told_apart() {
        let (mut ledger, events) = ledger(&Spec { events: 2, ..Spec::default() });
        ledger.arrived(arrival(0, 0), &events);
        ledger.set_store_down(true);
        ledger.arrived(Arrival { at: 50_000, ..arrival(1, 0) }, &events);
        let summary = ledger.summary(&events);
        let (up, down) = (summary.while_store_up.max, summary.while_store_down.max);
        assert!((up - 5.0).abs() < 0.1 && (down - 50.0).abs() < 1.0, "{up} {down}");
    }
}
