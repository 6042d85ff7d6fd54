//! What another setting would have cost, estimated from the counters only.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde::Serialize;

use super::shares::{all_calls, empty_receives};
use super::{Basis, Readings, is_publish, sns_money, sns_price};
use crate::store::counters::{Calls, Minute};

/// The linger of the estimate, in milliseconds.
const LONGER_LINGER_MS: u64 = 200;
/// The most entries of a call to PublishBatch.
const MAX_ENTRIES: f64 = 10.0;
/// The bytes of one unit.
const UNIT_BYTES: f64 = 65_536.0;

/// The estimates. Shares are of the whole cost, from 0 to 1.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WhatIfs {
    /// A longer `publish.linger_ms`.
    pub linger: Estimate<Linger>,
    /// Smaller payloads, by customer, sorted by the saved units.
    pub just_over: Vec<JustOver>,
    /// Receives that returned no message.
    pub empty_receives: EmptyReceives,
}

/// An estimate, or the reason why there is none.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Estimate<T> {
    /// The estimate.
    Known(T),
    /// There is none.
    Unknown {
        /// The reason.
        why: String,
    },
}

/// The effect of a longer linger.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Linger {
    /// `publish.linger_ms`.
    pub now_ms: u64,
    /// The linger of the estimate.
    pub then_ms: u64,
    /// The calls to PublishBatch.
    pub calls_now: u64,
    /// The estimated calls.
    pub calls_then: f64,
    /// The money that would be saved.
    pub saved: Readings,
    /// The same, as a share of the whole cost.
    pub share: Readings,
}

/// The payloads of one customer that are just over a multiple of 64 KiB.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct JustOver {
    /// The customer.
    pub customer: String,
    /// The payloads. Each would save one unit if entries are rounded up; if calls are, the counters cannot tell.
    pub payloads: u64,
    /// The money that would be saved if entries are rounded up.
    pub saved_per_entry: f64,
    /// The same, as a share of what SNS costs for the customer.
    pub share_per_entry: f64,
}

/// The receives that returned no message.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EmptyReceives {
    /// The receives.
    pub calls: u64,
    /// Their money.
    pub money: Readings,
    /// The same, as a share of the whole cost.
    pub share: Readings,
}

impl WhatIfs {
    pub(super) fn of(minutes: &[&Minute], basis: &Basis<'_>, total: Readings) -> Self {
        Self {
            linger: linger(minutes, basis, total),
            just_over: just_over(minutes, basis),
            empty_receives: empty(minutes, basis, total),
        }
    }
}

/// Estimates the effect of a linger of [`LONGER_LINGER_MS`], for each replica, minute and customer on its own:
///
/// - rate `r` = entries / seconds; bytes per entry `b` = bytes / entries; fill `f` = entries / calls
/// - the first entry of a batch waits, and the others join it: `f'` = the larger of `f` and
///   min(1 + `r` × 0.2 s, 10, `publish.max_batch_bytes` / `b`)
/// - calls' = entries / `f'`; units' = the larger of calls' and bytes / 64 KiB, at most the units of now
///
/// So events are taken to arrive evenly within a minute. If entries are rounded up, the number of calls is irrelevant,
/// and nothing is saved.
fn linger(minutes: &[&Minute], basis: &Basis<'_>, total: Readings) -> Estimate<Linger> {
    let unknown = |why: String| Estimate::Unknown { why };
    if basis.linger_ms >= LONGER_LINGER_MS {
        return unknown(format!("publish.linger_ms is {} already", basis.linger_ms));
    }
    let (mut calls_now, mut calls_then, mut saved) = (0, 0.0, 0.0);
    for minute in minutes {
        let seconds = (minute.to - minute.from) as f64 / 1e6;
        let published = minute.calls.iter().filter(|calls| is_publish(calls) && calls.calls > 0);
        for calls in published.filter(|_| seconds > 0.0) {
            let then = longer(calls, seconds, basis.max_batch_bytes);
            let units = then.max(calls.bytes as f64 / UNIT_BYTES).min(calls.units_per_call as f64);
            calls_now += calls.calls;
            calls_then += then;
            saved += (calls.units_per_call as f64 - units) * sns_price(calls.fifo, basis.prices);
        }
    }
    if calls_now == 0 {
        return unknown("no call to PublishBatch was counted".into());
    }
    let saved = Readings { per_call: saved, per_entry: 0.0 };
    let share = saved.share_of(total);
    let (now_ms, then_ms) = (basis.linger_ms, LONGER_LINGER_MS);
    Estimate::Known(Linger { now_ms, then_ms, calls_now, calls_then, saved, share })
}

/// Returns the number of calls with the longer linger.
fn longer(calls: &Calls, seconds: f64, max_batch_bytes: usize) -> f64 {
    let (entries, answered) = (calls.entries as f64, calls.calls as f64);
    if entries == 0.0 {
        return answered;
    }
    let fits = max_batch_bytes as f64 / (calls.bytes as f64 / entries).max(1.0);
    let arrive = 1.0 + entries / seconds * LONGER_LINGER_MS as f64 / 1e3;
    entries / arrive.min(MAX_ENTRIES).min(fits).max(entries / answered)
}

/// Counts the payloads that would save a unit if they were up to a tenth smaller, for example without the default values
/// that `emit_defaults` writes: one unit each, if entries are rounded up. How many bytes the default values take is not
/// counted, and neither is which entries shared a call.
fn just_over(minutes: &[&Minute], basis: &Basis<'_>) -> Vec<JustOver> {
    // The payloads, the saved money, and the money for all entries.
    let mut customers: BTreeMap<&str, (u64, f64, f64)> = BTreeMap::new();
    for published in minutes.iter().flat_map(|minute| &minute.published) {
        let name = published.customer.as_deref().unwrap_or("(topics of no customer)");
        let units = Readings::both(published.units_per_entry as f64);
        let (payloads, saved, all) = customers.entry(name).or_default();
        *payloads += published.just_over;
        *saved += published.just_over as f64 * sns_price(published.fifo, basis.prices);
        *all += sns_money(units, published.bytes, published.fifo, basis.prices).per_entry;
    }
    let found = customers.into_iter().filter(|(_, (payloads, ..))| *payloads > 0);
    let mut found: Vec<JustOver> = found
        .map(|(name, (payloads, saved, all))| JustOver {
            customer: name.to_owned(),
            payloads,
            saved_per_entry: saved,
            share_per_entry: if all > 0.0 { saved / all } else { 0.0 },
        })
        .collect();
    found.sort_by_key(|over| Reverse(over.payloads));
    found
}

/// Counts the receives that returned no message: one unit each.
fn empty(minutes: &[&Minute], basis: &Basis<'_>, total: Readings) -> EmptyReceives {
    let receives = || all_calls(minutes).filter(|calls| calls.operation == "ReceiveMessage");
    let money: Readings = receives().map(|calls| empty_receives(calls, basis.prices)).sum();
    EmptyReceives { calls: receives().map(|calls| calls.empty).sum(), money, share: money.share_of(total) }
}
