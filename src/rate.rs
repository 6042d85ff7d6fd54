//! The publish rate that SNS holds, found by trying.
//!
//! The quota counts messages a second over all topics of an account and region, and throttling can begin below the
//! number on paper. So all topics draw on one token bucket. There is no limit until the first throttle; from then on
//! the limit falls by a factor with each and rises in between: fast as long as it is well below where it was throttled
//! last, and slowly from there on, as TCP's CUBIC does (RFC 9438). What was throttled, and which rate held, is kept: it
//! is the evidence that a support case needs.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use crate::aws::Failure;

/// What remains of the limit after a throttle.
const DECREASE: f64 = 0.95;
/// What remains after one that follows hard upon another: the limit is far off.
const STEEP_DECREASE: f64 = 0.7;
/// Up to this part of the limit that was throttled last it rises fast.
const FAMILIAR: f64 = 0.95;
/// How much of the limit that was throttled last it rises by, a second, up to there.
const FAST_INCREASE: f64 = 0.05;
/// And beyond.
const INCREASE: f64 = 0.005;
/// The limit never falls below this, in messages a second: one batch.
const LOWEST: f64 = 10.0;
/// How long tokens may be saved up.
const BURST: Duration = Duration::from_millis(100);
/// Over how long the accepted rate is measured.
const WINDOW: Duration = Duration::from_secs(1);
/// How many throttles are kept.
const KEPT: usize = 50;

/// The rate over all topics. One a process.
#[derive(Debug)]
pub struct Rate {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// In messages a second; none until the first throttle.
    limit: Option<f64>,
    tokens: f64,
    refilled: Instant,
    decreased: Option<Instant>,
    /// The limit that was too high at the last throttle.
    throttled_at: f64,
    accepted: Accepted,
    highest: f64,
    throttles: VecDeque<Throttle>,
    throttled: u64,
}

/// One throttle, as SNS answered it.
#[derive(Debug, Clone)]
pub struct Throttle {
    /// When.
    pub at: SystemTime,
    /// What SNS had accepted in the second before, in messages.
    pub rate: f64,
    /// The limit that was in force, in messages a second.
    pub limit: Option<f64>,
    /// ARN of the topic.
    pub topic: String,
    /// The error code.
    pub code: String,
    /// The request's id.
    pub request_id: Option<String>,
}

/// The rate at one moment.
#[derive(Debug, Clone)]
pub struct Report {
    /// The limit in force, in messages a second; none before the first throttle.
    pub limit: Option<f64>,
    /// What SNS accepted in the last second, in messages.
    pub rate: f64,
    /// The most that it accepted in any second, in messages.
    pub highest: f64,
    /// Throttles so far.
    pub throttled: u64,
    /// The last of them.
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
        // Nothing in here panics while it holds the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the tokens of a call with so many messages.
    ///
    /// # Errors
    /// When there are not enough of them: the time at which there will be.
    pub fn take(&self, messages: usize, now: Instant) -> Result<(), Instant> {
        let state = &mut *self.state();
        let Some(limit) = state.refill(now) else { return Ok(()) };
        let wanted = messages as f64;
        // A call may be larger than what is ever saved up.
        let enough = wanted.min(burst(limit));
        if state.tokens + f64::EPSILON < enough {
            let missing = Duration::from_secs_f64((enough - state.tokens) / limit);
            return Err(now + missing.max(Duration::from_millis(1)));
        }
        state.tokens -= wanted;
        Ok(())
    }

    /// Notes that SNS accepted so many messages.
    pub fn accepted(&self, messages: usize, now: Instant) {
        let state = &mut *self.state();
        state.accepted.add(messages, now);
        state.highest = state.highest.max(state.accepted.rate(now));
    }

    /// Notes that SNS throttled a call that was made at `called`. Calls that were under way when the limit last fell
    /// say nothing about the new one.
    pub fn throttled(&self, failure: &Failure, topic: &str, called: Instant, now: Instant) {
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
            topic: topic.to_owned(),
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

    /// The limit in force, in messages a second; none before the first throttle.
    pub fn limit(&self) -> Option<f64> {
        self.state().refill(Instant::now())
    }

    /// The rate now.
    pub fn report(&self) -> Report {
        let now = Instant::now();
        let state = &mut *self.state();
        Report {
            limit: state.refill(now),
            rate: state.accepted.rate(now),
            highest: state.highest,
            throttled: state.throttled,
            throttles: state.throttles.iter().cloned().collect(),
        }
    }
}

impl State {
    /// Lets the limit rise and the bucket fill. Returns the limit.
    fn refill(&mut self, now: Instant) -> Option<f64> {
        let seconds = now.saturating_duration_since(self.refilled).as_secs_f64();
        self.refilled = now;
        let limit = self.limit.as_mut()?;
        // Only what is made use of may rise: an idle hour proves nothing.
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

/// How many tokens are saved up at most: enough for one batch.
fn burst(limit: f64) -> f64 {
    (limit * BURST.as_secs_f64()).max(LOWEST)
}

/// Messages accepted lately, by tenths of the window.
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

    /// In messages a second.
    fn rate(&mut self, now: Instant) -> f64 {
        self.forget(now);
        self.slots.iter().map(|(_, count)| *count as f64).sum::<f64>() / WINDOW.as_secs_f64()
    }
}

#[cfg(test)]
mod tests;
