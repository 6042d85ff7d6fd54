//! Checks that the service keeps its promises when SQS, SNS or the machine fail. Each of thousands of seeds decides one
//! scenario in a model of AWS, in which calls fail, answers are lost, messages arrive twice and processes crash.
//!
//! `PROTOBRIDGE_FAULT_SEEDS=N` sets the number of seeds, `PROTOBRIDGE_FAULT_FIRST_SEED=S` the first of them, and
//! `PROTOBRIDGE_FAULT_THREADS=N` the number of threads. With `--nocapture` the test prints its progress and a summary.
//! `PROTOBRIDGE_FAULT_SEED=S` runs a single seed and prints its log.

mod archive;
mod canary;
mod checks;
pub(crate) mod claims;
mod counters;
pub(crate) mod hazard;
mod history;
mod identity;
mod journal;
mod long_run;
pub(crate) mod play;
mod prometheus;
mod references;
mod repetitions;
pub(crate) mod scenario;
mod sources;

use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind};

use checks::Violation;
use long_run::LongRun;
use play::Played;
use scenario::Scenario;

/// The default number of seeds.
const SEEDS: u64 = 2_000;
/// The number of log lines that a failure prints at most.
const MOST_LINES: usize = 60;

#[test]
fn every_event_arrives_whatever_fails() {
    if let Some(seed) = number("PROTOBRIDGE_FAULT_SEED") {
        if let Err(failure) = try_seed(seed) {
            panic!("{failure}");
        }
        return;
    }
    let first = number("PROTOBRIDGE_FAULT_FIRST_SEED").unwrap_or(0);
    let seeds = number("PROTOBRIDGE_FAULT_SEEDS").unwrap_or(SEEDS);
    // Leave half of the processors to the other tests, because some of them have deadlines.
    let half = || std::thread::available_parallelism().map_or(1, NonZero::get).div_ceil(2);
    let threads = number("PROTOBRIDGE_FAULT_THREADS").map_or_else(half, |threads| threads as usize);
    let failures = LongRun::new(first, seeds).play(threads, try_seed);
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

#[test]
fn a_seed_gives_the_same_log_every_time() {
    for seed in (0..SEEDS).step_by(101) {
        let scenario = Scenario::of(seed);
        let [one, other] = [(); 2].map(|()| play::play(&scenario).log);
        let differs = one.iter().zip(&other).position(|(one, other)| one != other);
        if let Some(at) = differs.or((one.len() != other.len()).then_some(one.len().min(other.len()))) {
            let show = |log: &[_]| history::lines(&log[at.saturating_sub(3)..log.len().min(at + 3)]);
            panic!("seed {seed} differs from entry {at} on:\n{}\nand\n{}", show(&one), show(&other));
        }
    }
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} must be a number, not {text}")))
}

/// Plays the scenario of one seed and checks it. An error holds the command that replays it and the last log entries.
fn try_seed(seed: u64) -> Result<Played, String> {
    let scenario = Scenario::of(seed);
    let played = catch_unwind(AssertUnwindSafe(|| play::play(&scenario)));
    let replay = format!("PROTOBRIDGE_FAULT_SEED={seed} cargo test --test it faults::every_event");
    let Ok(played) = played else {
        return Err(format!("seed {seed} panicked, see above; to replay: {replay}\n{}", scenario.summary()));
    };
    let Played { ref log, .. } = played;
    if number("PROTOBRIDGE_FAULT_SEED").is_some() {
        // Visible with `--nocapture`.
        println!("{}\n{}", scenario.summary(), history::lines(log));
    }
    if let Err(Violation { event, what }) = checks::all(&scenario, &played) {
        let timeline = history::timeline(log, event.as_deref(), MOST_LINES);
        return Err(format!("seed {seed}: {what}\nto replay: {replay}\n{}\n{timeline}", scenario.summary()));
    }
    Ok(played)
}
