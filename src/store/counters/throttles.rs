//! The throttle report: the rates at which SNS accepted messages and throttled calls, over all replicas.
//!
//! The seconds of all replicas are added: the quota is one of the account and the region, and each replica sees a part
//! of the rate. Nothing is read here, and there is no clock.

mod highest;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use serde::Serialize;

use super::coverage::{Coverage, in_window, time};
use super::quota::Quota;
use super::{MINUTE, Minute, SECOND, Second};
use highest::highest;
pub use highest::{Highest, Rate};

/// The operation of SNS that publishes.
const API: &str = "PublishBatch";

/// Where SNS throttled in a window, and what it accepted.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The counted time.
    pub coverage: Coverage,
    /// The accounts of the throttled topics.
    pub accounts: BTreeSet<String>,
    /// The regions that SNS was called in.
    pub regions: BTreeSet<String>,
    /// The API whose calls are counted.
    pub api: &'static str,
    /// The quota on paper; `None` if the region is not known, or if there are several.
    pub quota: Option<Quota>,
    /// The sum of the throttles; `None` if SNS throttled nothing.
    pub summary: Option<Summary>,
    /// The minutes of UTC with counters.
    pub minutes: Vec<MinuteRates>,
    /// The highest accepted rates over 1, 10 and 60 seconds.
    pub highest: Vec<Highest>,
    /// The throttled calls, by time.
    pub throttles: Vec<Throttled>,
    /// The throttled calls that the counters have no details of.
    pub throttles_left_out: u64,
    /// The calls that SNS throttled as a whole, also those without details.
    pub whole_calls: u64,
    /// The throttled calls that were sent again, by topic. Those without details are missing.
    pub sent_again: BTreeMap<String, SentAgain>,
}

/// The throttles that count against the quota of SNS: those of KMS do not.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// The throttled calls.
    pub calls: u64,
    /// The calls that KMS throttled. It has a quota of its own.
    pub of_kms: u64,
    /// The time of the first throttle.
    #[serde(serialize_with = "time")]
    pub first: i64,
    /// The time of the last throttle.
    #[serde(serialize_with = "time")]
    pub last: i64,
    /// The lowest accepted rate at a throttle, in messages per second over all replicas.
    pub lowest: f64,
    /// The highest accepted rate at a throttle.
    pub highest: f64,
}

/// The rates of one minute of UTC, over all replicas.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MinuteRates {
    /// The begin of the minute.
    #[serde(serialize_with = "time")]
    pub at: i64,
    /// The seconds of the minute that were counted.
    pub seconds: f64,
    /// Whether counters of a replica are missing, so that the numbers are too low.
    pub is_incomplete: bool,
    /// The messages in calls to SNS.
    pub attempted: u64,
    /// The messages that SNS confirmed.
    pub accepted: u64,
    /// The messages that SNS throttled.
    pub throttled: u64,
    /// The calls that SNS throttled, as a whole or in part.
    pub throttled_calls: u64,
    /// The error codes of these calls, with the number of calls. Calls without details are missing.
    pub codes: BTreeMap<String, u64>,
}

/// A call that SNS throttled.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Throttled {
    /// When SNS answered.
    #[serde(serialize_with = "time")]
    pub at: i64,
    /// The replica that made the call.
    pub replica: String,
    /// The ARN of the topic.
    pub topic: String,
    /// The error code.
    pub code: String,
    /// The id of the request.
    pub request_id: Option<String>,
    /// The messages that were throttled.
    pub messages: u64,
    /// Whether the whole call was throttled.
    pub whole_call: bool,
    /// The messages per second that SNS accepted of all replicas: the highest of this second and the one before, and of
    /// the rate that the replica itself measured.
    pub rate: f64,
}

/// The calls for one topic that were throttled, and whose messages were sent again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct SentAgain {
    /// The calls that SNS throttled as a whole.
    pub whole_calls: u64,
    /// The calls of which SNS throttled a part.
    pub partial_calls: u64,
    /// The throttled messages of both.
    pub messages: u64,
}

/// Reports the throttles of the minutes that begin in the window. Without such a minute it returns `None`, which is not
/// the same as no throttles.
///
/// `quota` is the configured quota, if there is one. `region` is the configured region, for counters that name none.
pub fn report(minutes: &[Minute], window: Range<i64>, quota: Option<u32>, region: Option<&str>) -> Option<Report> {
    let (minutes, coverage) = in_window(minutes, window)?;
    let seconds = seconds(&minutes);
    let throttles = throttles(&minutes, &seconds);
    let regions = regions(&minutes, &throttles, region);
    let left_out = minutes.iter().map(|minute| minute.throttles_left_out).sum();
    let calls = minutes.iter().flat_map(|minute| &minute.calls).filter(|calls| calls.operation == API);
    let mut sent_again: BTreeMap<String, SentAgain> = BTreeMap::new();
    for throttle in &throttles {
        sent_again.entry(throttle.topic.clone()).or_default().add(throttle);
    }
    Some(Report {
        accounts: throttles.iter().filter_map(|throttle| part(&throttle.topic, 4)).collect(),
        quota: quota.map(Quota::configured).or_else(|| documented(&regions, &minutes)),
        regions,
        api: API,
        summary: Summary::of(&throttles, left_out),
        minutes: by_minute(&minutes, &seconds, &throttles, &coverage),
        highest: [1, 10, 60].map(|span| highest(span, &seconds, &throttles, &coverage)).to_vec(),
        throttles,
        throttles_left_out: left_out,
        whole_calls: calls.map(|calls| calls.throttled).sum(),
        sent_again,
        coverage,
    })
}

/// Returns the seconds with messages, each the sum over the replicas.
fn seconds(minutes: &[&Minute]) -> BTreeMap<i64, Second> {
    let mut seconds: BTreeMap<i64, Second> = BTreeMap::new();
    for (at, counted) in minutes.iter().flat_map(|minute| &minute.seconds) {
        let second = seconds.entry(*at).or_default();
        second.attempted += counted.attempted;
        second.accepted += counted.accepted;
        second.throttled += counted.throttled;
    }
    seconds
}

fn throttles(minutes: &[&Minute], seconds: &BTreeMap<i64, Second>) -> Vec<Throttled> {
    let accepted = |second: i64| seconds.get(&second).map_or(0, |second| second.accepted) as f64;
    let of_minute = |minute: &&Minute| {
        let replica = minute.replica.clone();
        let throttled = move |throttle: &super::Throttle| {
            let second = throttle.at.div_euclid(SECOND);
            Throttled {
                at: throttle.at,
                replica: replica.clone(),
                topic: throttle.topic.clone(),
                code: throttle.code.clone(),
                request_id: throttle.request_id.clone(),
                messages: throttle.messages,
                whole_call: throttle.whole_call,
                rate: throttle.rate.max(accepted(second)).max(accepted(second - 1)),
            }
        };
        minute.throttles.iter().map(throttled).collect::<Vec<_>>()
    };
    let mut throttles: Vec<Throttled> = minutes.iter().flat_map(of_minute).collect();
    throttles.sort_by_key(|throttle| throttle.at);
    throttles
}

/// Returns the regions of the counters; without any those of the throttled topics; without any the configured one.
fn regions(minutes: &[&Minute], throttles: &[Throttled], configured: Option<&str>) -> BTreeSet<String> {
    let counted: BTreeSet<String> = minutes.iter().filter_map(|minute| minute.region.clone()).collect();
    if !counted.is_empty() {
        return counted;
    }
    let of_topics: BTreeSet<String> = throttles.iter().filter_map(|throttle| part(&throttle.topic, 3)).collect();
    if of_topics.is_empty() { configured.map(str::to_owned).into_iter().collect() } else { of_topics }
}

/// Returns a part of an ARN.
fn part(arn: &str, index: usize) -> Option<String> {
    arn.split(':').nth(index).filter(|part| !part.is_empty()).map(str::to_owned)
}

/// Returns the documented quota of the only region. It is the one of FIFO topics if no message went to another topic.
fn documented(regions: &BTreeSet<String>, minutes: &[&Minute]) -> Option<Quota> {
    let mut published = minutes.iter().flat_map(|minute| &minute.calls).filter(|calls| calls.operation == API);
    let fifo = published.clone().next().is_some() && published.all(|calls| calls.fifo);
    match regions.iter().collect::<Vec<_>>().as_slice() {
        [region] => Some(Quota::documented(region, fifo)),
        _ => None,
    }
}

impl Summary {
    /// Sums the throttles up. Calls without details are taken for throttles of SNS.
    fn of(throttles: &[Throttled], left_out: u64) -> Option<Self> {
        let (of_kms, of_sns): (Vec<_>, Vec<_>) = throttles.iter().partition(|throttle| is_of_kms(&throttle.code));
        let described = if of_sns.is_empty() { &of_kms } else { &of_sns };
        let rates = || described.iter().map(|throttle| throttle.rate);
        Some(Self {
            calls: of_sns.len() as u64 + left_out,
            of_kms: of_kms.len() as u64,
            first: described.first()?.at,
            last: described.last()?.at,
            lowest: rates().fold(f64::INFINITY, f64::min),
            highest: rates().fold(0.0, f64::max),
        })
    }
}

/// Whether KMS throttled the key of the topic, not SNS the call.
fn is_of_kms(code: &str) -> bool {
    code.starts_with("KMS")
}

impl SentAgain {
    fn add(&mut self, throttle: &Throttled) {
        *(if throttle.whole_call { &mut self.whole_calls } else { &mut self.partial_calls }) += 1;
        self.messages += throttle.messages;
    }
}

/// Returns the rates of each minute of UTC that a replica counted or in which SNS answered.
fn by_minute(
    minutes: &[&Minute],
    seconds: &BTreeMap<i64, Second>,
    throttles: &[Throttled],
    coverage: &Coverage,
) -> Vec<MinuteRates> {
    let mut rates: BTreeMap<i64, MinuteRates> = BTreeMap::new();
    let mut counted: BTreeMap<i64, Range<i64>> = BTreeMap::new();
    for minute in minutes {
        let at = minute_of(minute.from);
        entry(&mut rates, at).throttled_calls += minute.throttles_left_out;
        let span = counted.entry(at).or_insert(minute.from..minute.to);
        *span = span.start.min(minute.from)..span.end.max(minute.to);
    }
    for (second, counted) in seconds {
        let minute = entry(&mut rates, minute_of(second * SECOND));
        minute.attempted += counted.attempted;
        minute.accepted += counted.accepted;
        minute.throttled += counted.throttled;
    }
    for throttle in throttles {
        let minute = entry(&mut rates, minute_of(throttle.at));
        minute.throttled_calls += 1;
        *minute.codes.entry(throttle.code.clone()).or_default() += 1;
    }
    for (at, span) in counted {
        // Shorter spans have no rate that means anything.
        let length = (span.end.min(at + MINUTE) - span.start).max(SECOND);
        entry(&mut rates, at).seconds = length as f64 / SECOND as f64;
    }
    for (at, minute) in &mut rates {
        minute.is_incomplete = coverage.inner_breaks().any(|gap| gap.from < at + MINUTE && *at < gap.to);
    }
    rates.into_values().collect()
}

fn entry(rates: &mut BTreeMap<i64, MinuteRates>, at: i64) -> &mut MinuteRates {
    rates.entry(at).or_insert_with(|| MinuteRates {
        at,
        seconds: 60.0,
        is_incomplete: false,
        attempted: 0,
        accepted: 0,
        throttled: 0,
        throttled_calls: 0,
        codes: BTreeMap::new(),
    })
}

fn minute_of(micros: i64) -> i64 {
    micros.div_euclid(MINUTE) * MINUTE
}
