//! The publish rate that SNS accepts, discovered by probing.
//!
//! The quota counts messages per second over all topics of an account and region, and throttling can begin below the
//! advertised number. So all topics draw on one token bucket. There is no limit until the first throttle. From then on,
//! each throttle lowers the limit by a factor, and the limit rises in between: fast while it is well below the rate that
//! was throttled last, and slowly from there on, as TCP's CUBIC does (RFC 9438). The module keeps the last throttles and
//! the highest accepted rate as evidence for a support case.

use std::collections::VecDeque;
use std::time::{Duration, SystemTime};

use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;

use crate::aws::Failure;
use crate::message::TopicArn;

/// The factor by which a throttle lowers the limit.
const DECREASE: f64 = 0.95;
/// The factor for a throttle within a second of the one before: the limit is far too high.
const STEEP_DECREASE: f64 = 0.7;
/// The limit rises fast up to this part of the limit that was throttled last.
const FAMILIAR: f64 = 0.95;
/// The fast rise per second, as a part of the limit that was throttled last.
const FAST_INCREASE: f64 = 0.05;
/// The slow rise per second beyond that, as a part of the limit that was throttled last.
const INCREASE: f64 = 0.005;
/// The lowest limit in messages per second: one batch.
const LOWEST: f64 = 10.0;
/// The time over which tokens are saved up.
const BURST: Duration = Duration::from_millis(100);
/// The time over which the accepted rate is measured.
const WINDOW: Duration = Duration::from_secs(1);
/// The number of throttles that are kept.
const KEPT: usize = 50;

/// The rate over all topics; one per process.
#[derive(Debug)]
pub struct Rate {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// In messages per second; `None` until the first throttle.
    limit: Option<f64>,
    tokens: f64,
    refilled: Instant,
    decreased: Option<Instant>,
    /// The limit that the last throttle showed to be too high.
    throttled_at: f64,
    accepted: Accepted,
    highest: f64,
    throttles: VecDeque<Throttle>,
    throttled: u64,
}

/// One throttle, as SNS answered it.
#[derive(Debug, Clone)]
pub struct Throttle {
    /// When SNS answered.
    pub at: SystemTime,
    /// The number of messages that SNS had accepted in the second before.
    pub rate: f64,
    /// The limit that was in force, in messages per second.
    pub limit: Option<f64>,
    /// The topic.
    pub topic: TopicArn,
    /// The error code.
    pub code: String,
    /// The request's id.
    pub request_id: Option<String>,
}

/// The state of the rate at one moment.
#[derive(Debug, Clone)]
pub struct RateReport {
    /// The limit in force, in messages per second; `None` before the first throttle.
    pub limit: Option<f64>,
    /// The number of messages that SNS accepted in the last second.
    pub rate: f64,
    /// The highest number of messages that SNS accepted in any second.
    pub highest: f64,
    /// The number of throttles since the start.
    pub throttled: u64,
    /// The last throttles, oldest first.
    pub throttles: Vec<Throttle>,
}

impl Default for Rate {
    fn default() -> Self {
        let now = Instant::now();
        Self {
            state: Mutex::new(State {
                limit: None,
                tokens: 0.0,
                refilled: now,
                decreased: None,
                throttled_at: 0.0,
                accepted: Accepted::default(),
                highest: 0.0,
                throttles: VecDeque::new(),
                throttled: 0,
            }),
        }
    }
}

impl Rate {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Takes the tokens for a call with this number of messages.
    ///
    /// # Errors
    /// Returns the time at which there will be enough tokens, if there are too few.
    pub fn take(&self, messages: usize, now: Instant) -> Result<(), Instant> {
        let state = &mut *self.state();
        let Some(limit) = state.refill(now) else { return Ok(()) };
        let wanted = messages as f64;
        // A call can need more tokens than are ever saved up.
        let enough = wanted.min(burst(limit));
        if state.tokens + f64::EPSILON < enough {
            let missing = Duration::from_secs_f64((enough - state.tokens) / limit);
            return Err(now + missing.max(Duration::from_millis(1)));
        }
        state.tokens -= wanted;
        Ok(())
    }

    /// Records that SNS accepted this number of messages.
    pub fn accepted(&self, messages: usize, now: Instant) {
        let state = &mut *self.state();
        state.accepted.add(messages, now);
        state.highest = state.highest.max(state.accepted.rate(now));
    }

    /// Records that SNS throttled a call that was made at `called`. Calls that were under way when the limit last fell say
    /// nothing about the new limit.
    pub fn throttled(&self, failure: &Failure, topic: &TopicArn, called: Instant, now: Instant) {
        let state = &mut *self.state();
        let limit = state.refill(now);
        let rate = state.accepted.rate(now);
        state.throttled += 1;
        if state.throttles.len() == KEPT {
            state.throttles.pop_front();
        }
        state.throttles.push_back(Throttle {
            at: SystemTime::now(),
            rate,
            limit,
            topic: topic.clone(),
            code: failure.label().to_owned(),
            request_id: failure.request_id.clone(),
        });
        if state.decreased.is_some_and(|decreased| called <= decreased) {
            return;
        }
        let factor = match state.decreased {
            Some(decreased) if now.duration_since(decreased) < WINDOW => STEEP_DECREASE,
            _ => DECREASE,
        };
        let known = limit.map_or(rate, |limit| limit.min(rate.max(limit * STEEP_DECREASE)));
        let fallen = (known * factor).max(LOWEST);
        state.limit = Some(fallen);
        state.throttled_at = known;
        state.tokens = state.tokens.min(0.0);
        state.decreased = Some(now);
    }

    /// Returns the limit in force, in messages per second; `None` before the first throttle.
    pub fn limit(&self) -> Option<f64> {
        self.state().refill(Instant::now())
    }

    /// Returns the state of the rate at this moment.
    pub fn report(&self) -> RateReport {
        let now = Instant::now();
        let state = &mut *self.state();
        RateReport {
            limit: state.refill(now),
            rate: state.accepted.rate(now),
            highest: state.highest,
            throttled: state.throttled,
            throttles: state.throttles.iter().cloned().collect(),
        }
    }
}

impl State {
    /// Raises the limit and fills the bucket for the time since the last call. Returns the limit.
    fn refill(&mut self, now: Instant) -> Option<f64> {
        let seconds = now.saturating_duration_since(self.refilled).as_secs_f64();
        self.refilled = now;
        let limit = self.limit.as_mut()?;
        // The limit rises only while it is used: an idle hour proves nothing.
        if self.accepted.rate(now) >= *limit * STEEP_DECREASE {
            let familiar = self.throttled_at * FAMILIAR;
            if *limit < familiar {
                *limit = (*limit + self.throttled_at * FAST_INCREASE * seconds).min(familiar);
            } else {
                *limit += (self.throttled_at * INCREASE).max(1.0) * seconds;
            }
        }
        self.tokens = (self.tokens + *limit * seconds).min(burst(*limit));
        Some(*limit)
    }
}

/// Returns the largest number of saved tokens: at least enough for one batch.
fn burst(limit: f64) -> f64 {
    (limit * BURST.as_secs_f64()).max(LOWEST)
}

/// The messages accepted within the window, in slots of a twentieth of it.
#[derive(Debug, Default)]
struct Accepted {
    slots: VecDeque<(Instant, usize)>,
}

impl Accepted {
    fn add(&mut self, messages: usize, now: Instant) {
        self.forget(now);
        match self.slots.back_mut() {
            Some((begun, count)) if now.duration_since(*begun) < WINDOW / 20 => *count += messages,
            _ => self.slots.push_back((now, messages)),
        }
    }

    fn forget(&mut self, now: Instant) {
        while self.slots.pop_front_if(|(begun, _)| now.duration_since(*begun) >= WINDOW).is_some() {}
    }

    /// Returns the rate in messages per second.
    fn rate(&mut self, now: Instant) -> f64 {
        self.forget(now);
        self.slots.iter().map(|(_, count)| *count as f64).sum::<f64>() / WINDOW.as_secs_f64()
    }
}

#[cfg(test)]
mod tests;
