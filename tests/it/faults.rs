//! What the service promises, whatever SQS, SNS and the machine do to it: thousands of short lives in a model of AWS
//! where calls fail, answers get lost, messages come twice and processes die, each life decided by a seed.
//!
//! `PROTOBRIDGE_FAULT_SEEDS=N` runs more seeds, `PROTOBRIDGE_FAULT_SEED=S` one of them again.

mod checks;
mod history;
mod play;
mod scenario;

use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use checks::Violation;
use play::Played;
use scenario::Scenario;

/// How many seeds a usual run has.
const SEEDS: u64 = 2_000;
/// A failure is shown in full; after this many of them nothing new is to be expected.
const MOST_FAILURES: usize = 3;
/// Lines of the log that a failure shows.
const MOST_LINES: usize = 60;
/// Whether the service knows for a while what it has published, so that it does not do it again.
const WINDOW: bool = true;

#[test]
fn whatever_goes_wrong_every_event_arrives_and_none_is_lost() {
    if let Some(seed) = number("PROTOBRIDGE_FAULT_SEED") {
        if let Err(failure) = try_seed(seed) {
            panic!("{failure}");
        }
        return;
    }
    let seeds = number("PROTOBRIDGE_FAULT_SEEDS").unwrap_or(SEEDS);
    let (next, failures) = (AtomicU64::new(0), Mutex::new(Vec::new()));
    // Other tests run beside this one, and some of them have deadlines.
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get).div_ceil(2);
    let work = || loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= seeds || failures.lock().expect("nothing panics here").len() >= MOST_FAILURES {
            return;
        }
        if let Err(failure) = try_seed(seed) {
            failures.lock().expect("nothing panics here").push(failure);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    let failures = failures.into_inner().expect("nothing panics there");
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

#[test]
fn a_seed_gives_the_same_life_every_time() {
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
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is a number, not {text}")))
}

/// One life. A failure says how to see it again, and what has happened.
fn try_seed(seed: u64) -> Result<(), String> {
    let scenario = Scenario::of(seed);
    let played = catch_unwind(AssertUnwindSafe(|| play::play(&scenario)));
    let replay = format!("PROTOBRIDGE_FAULT_SEED={seed} cargo test --test it faults::whatever");
    let Ok(played) = played else {
        return Err(format!("seed {seed} panicked, see above; again: {replay}\n{}", scenario.summary()));
    };
    let Played { ref log, .. } = played;
    if number("PROTOBRIDGE_FAULT_SEED").is_some() {
        // For `--nocapture`.
        println!("{}\n{}", scenario.summary(), history::lines(log));
    }
    checks::all(&scenario, &played, WINDOW).map_err(|Violation { event, what }| {
        let timeline = history::timeline(log, event.as_deref(), MOST_LINES);
        format!("seed {seed}: {what}\nagain: {replay}\n{}\n{timeline}", scenario.summary())
    })
}
