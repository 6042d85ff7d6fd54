//! Random schemas and payloads against a second implementation, against themselves in another order, and against the JSON
//! Schema of their type.
//!
//! `PROTOJSON_SEED` chooses the first seed and `PROTOJSON_CASES` how many schemas; a failure names the seed of its own.
//! The example `soak` runs the same without end in sight.

#[path = "support/judge.rs"]
mod judge;
#[path = "support/all.rs"]
mod support;

use std::cell::Cell;

use judge::Judge;
use support::random::Random;
use support::trial;

/// Seeds that once found something. What they found is also among the named cases, which stay when the generator changes
/// and a seed comes to mean something else.
const REGRESSIONS: &[u64] = &[
    // A field that is hidden and comes twice, the second time with zero.
    966, // A value in a map in two parts, the first cut off inside a record.
    2_002_485,
];

fn from_environment(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(value) => value.parse().unwrap_or_else(|_| panic!("{name} is not a number: {value}")),
        Err(_) => default,
    }
}

fn run(seed: u64) -> trial::Counts {
    let judges = |schema: &protojson::Schema, message_type: &str, options: &protojson::Options| -> trial::Judge {
        let judge = Judge::new(schema, message_type, options);
        // Mutants are many, and two payloads have about all that there is to mutate.
        let tried = Cell::new(0);
        Box::new(move |json| {
            judge.accepts(json)?;
            tried.set(tried.get() + 1);
            if tried.get() <= 2 { judge.refuses_mutants(json).map(drop) } else { Ok(()) }
        })
    };
    match trial::judged(&mut Random::seeded(seed), &judges) {
        Ok(counts) => counts,
        Err(finding) => panic!("PROTOJSON_SEED={seed} PROTOJSON_CASES=1: {finding}"),
    }
}

#[test]
fn random_payloads_mean_the_same_here_and_elsewhere_and_in_any_order() {
    let first = from_environment("PROTOJSON_SEED", 1);
    let cases = from_environment("PROTOJSON_CASES", 400);
    let mut counts = trial::Counts::default();
    for seed in first..first + cases {
        counts.add(run(seed));
    }
    println!("{cases} schemas: {counts:?}");
    assert!(counts.executions >= cases, "{counts:?}");
}

#[test]
fn seeds_that_once_found_something_stay_quiet() {
    for seed in REGRESSIONS {
        run(*seed);
    }
}
