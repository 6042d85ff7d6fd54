//! Plays many seeds on several threads, prints the progress, and sums up what happened.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::play::Played;
use crate::model::log::What;

/// The time between two lines of progress.
const PROGRESS: Duration = Duration::from_secs(5);
/// The number of failures after which the run stops. Each is printed in full, and more of them rarely show anything
/// new.
const MOST_FAILURES: usize = 3;

/// A run over the seeds `first..first + count`.
#[derive(Debug)]
pub(super) struct LongRun {
    first: u64,
    count: u64,
    began: Instant,
    state: Mutex<State>,
    ended: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// The number of seeds that were taken, in order.
    taken: u64,
    /// The seeds that are being played.
    open: Vec<u64>,
    is_ended: bool,
    totals: Totals,
    failures: Vec<String>,
}

/// The sums over all seeds that were played.
#[derive(Debug, Default)]
struct Totals {
    seeds: u64,
    events: u64,
    published: u64,
    crashes: u64,
    /// The number of events that each fault affected.
    faults: BTreeMap<&'static str, u64>,
    simulated: Duration,
}

impl LongRun {
    pub(super) fn new(first: u64, count: u64) -> Self {
        Self { first, count, began: Instant::now(), state: Mutex::default(), ended: Condvar::new() }
    }

    /// Plays all seeds on this many threads and prints the progress and a summary. Returns the failures.
    pub(super) fn play(self, threads: usize, try_seed: impl Fn(u64) -> Result<Played, String> + Sync) -> Vec<String> {
        std::thread::scope(|scope| {
            let progress = scope.spawn(|| self.print_progress());
            let work = || {
                while let Some(seed) = self.next() {
                    self.end(seed, try_seed(seed));
                }
            };
            let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            for thread in threads {
                thread.join().expect("a failure of a seed is a result, not a panic");
            }
            self.lock().is_ended = true;
            self.ended.notify_all();
            progress.join().expect("printing does not panic");
        });
        println!("{self}");
        self.state.into_inner().unwrap_or_else(PoisonError::into_inner).failures
    }

    /// Takes the next seed, unless all seeds are taken or too many have failed.
    fn next(&self) -> Option<u64> {
        let mut state = self.lock();
        if state.taken == self.count || state.failures.len() >= MOST_FAILURES {
            return None;
        }
        let seed = self.first + state.taken;
        state.taken += 1;
        state.open.push(seed);
        Some(seed)
    }

    fn end(&self, seed: u64, result: Result<Played, String>) {
        let mut state = self.lock();
        state.open.retain(|open| *open != seed);
        state.totals.seeds += 1;
        match result {
            Ok(played) => state.totals.add(&played),
            Err(failure) => {
                // Visible at once with `--nocapture`.
                println!("{failure}\n");
                state.failures.push(failure);
            }
        }
    }

    /// Prints the progress every few seconds until the run has ended. Visible with `--nocapture`.
    fn print_progress(&self) {
        let mut state = self.lock();
        loop {
            let waited = self.ended.wait_timeout_while(state, PROGRESS, |state| !state.is_ended);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            if state.is_ended {
                return;
            }
            let resume = state.open.iter().min().copied().unwrap_or(self.first + state.taken);
            println!(
                "{} of {} seeds, {:.0} per minute, {} failures; to resume: PROTOBRIDGE_FAULT_FIRST_SEED={resume} \
                 PROTOBRIDGE_FAULT_SEEDS={}",
                state.totals.seeds,
                self.count,
                state.totals.seeds as f64 * 60.0 / self.began.elapsed().as_secs_f64(),
                state.failures.len(),
                self.first + self.count - resume,
            );
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Totals {
    fn add(&mut self, played: &Played) {
        self.simulated += played.log.last().map_or(Duration::ZERO, |entry| entry.at);
        for entry in &played.log {
            match &entry.what {
                What::Sent { .. } => self.events += 1,
                What::Published { .. } => self.published += 1,
                What::Crashed => self.crashes += 1,
                What::Fault { cause, .. } => *self.faults.entry(cause).or_default() += 1,
                _ => {}
            }
        }
    }
}

/// The summary of the run.
impl fmt::Display for LongRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        let Totals { seeds, events, published, crashes, faults, simulated } = &state.totals;
        let (first, took) = (self.first, self.began.elapsed().as_secs_f64());
        writeln!(
            f,
            "{seeds} seeds from {first}: {events} events sent, {published} published, {crashes} crashes, {} faults, \
             {} failures; {:.0} simulated hours in {took:.0} s, {:.0} seeds per minute",
            faults.values().sum::<u64>(),
            state.failures.len(),
            simulated.as_secs_f64() / 3_600.0,
            *seeds as f64 * 60.0 / took,
        )?;
        faults.iter().try_for_each(|(cause, count)| writeln!(f, "{count:>12} {cause}"))
    }
}
