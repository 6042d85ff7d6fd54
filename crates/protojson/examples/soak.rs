//! Runs the trials of `tests/differential.rs` until a given number of payloads has been compared. Each trial has its
//! own seed:
//!
//! ```sh
//! cargo run --release -p protojson --example soak -- --executions 10000000 --seed 1
//! ```
//!
//! A finding stops the program. The message names the seed, and this command repeats the trial: `PROTOJSON_SEED=…
//! PROTOJSON_CASES=1 cargo test -p protojson --test differential`.

#[path = "../tests/support/all.rs"]
mod support;

use support::random::Random;
use support::trial;

/// The number of trials between two progress lines.
const PROGRESS: u64 = 10_000;

fn main() -> Result<(), String> {
    let (mut executions, mut seed) = (1_000_000, 1);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let value = arguments.next().and_then(|value| value.parse::<u64>().ok());
        match (argument.as_str(), value) {
            ("--executions", Some(value)) => executions = value,
            ("--seed", Some(value)) => seed = value,
            _ => return Err("usage: soak [--executions NUMBER] [--seed NUMBER]".to_owned()),
        }
    }
    let first = seed;
    let mut counts = trial::Counts::default();
    let report = |counts: &trial::Counts, next: u64| {
        println!(
            "seeds {first} to {}: {} payloads compared, {} refused by both, {} known differences",
            next - 1,
            counts.executions,
            counts.refused,
            counts.known
        );
    };
    while counts.executions < executions {
        match trial::run(&mut Random::seeded(seed)) {
            Ok(more) => counts.add(more),
            Err(finding) => return Err(format!("seed {seed}: {finding}")),
        }
        seed += 1;
        if (seed - first).is_multiple_of(PROGRESS) {
            report(&counts, seed);
        }
    }
    report(&counts, seed);
    Ok(())
}
