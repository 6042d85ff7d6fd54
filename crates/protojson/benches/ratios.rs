//! Measures how many times faster protojson is than its rivals, and prints the Markdown table of the README: `cargo
//! bench -p protojson --bench ratios`. Set names after `--` select sets.
//!
//! The rivals take turns in many short rounds, and a ratio is the median over the rounds. Load on the machine slows
//! down all rivals alike, so the ratios stay stable.

#[path = "../corpus/corpus.rs"]
mod corpus;
mod rivals;

use std::hint::black_box;
use std::time::{Duration, Instant};

use corpus::Set;
use rivals::Rival;

const ROUNDS: usize = 101;
/// The approximate time that one rival runs in one round.
const TURN: Duration = Duration::from_millis(2);

fn main() {
    // `cargo test --benches` also runs this program, but only to compare the outputs.
    let is_bench = std::env::args().any(|argument| argument == "--bench");
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let mut is_first = true;
    for set in corpus::sets() {
        if !wanted.is_empty() && wanted.iter().all(|name| name != set.name) {
            continue;
        }
        let rivals = rivals::all(&set);
        let json_bytes = rivals::check(&set, &rivals);
        if !is_bench {
            continue;
        }
        if std::mem::take(&mut is_first) {
            heading(&rivals);
        }
        row(&set, &rivals, json_bytes);
    }
}

fn heading(rivals: &[Rival]) {
    let names: Vec<&str> = rivals.iter().map(|rival| rival.name).collect();
    println!("Nanoseconds per message, and the ratio to {}:\n", names[0]);
    println!("| set | wire bytes | JSON bytes | {} |", names.join(" | "));
    println!("|---|--:|--:|{}", "--:|".repeat(names.len()));
}

fn row(set: &Set, rivals: &[Rival], json_bytes: usize) {
    let wire_bytes = set.payloads.iter().map(|payload| payload.len()).sum::<usize>() / set.payloads.len();
    let rounds = measure(set, rivals);
    let median_of = |value: &dyn Fn(&Vec<f64>) -> f64| median(rounds.iter().map(value).collect());
    print!("| {} | {wire_bytes} | {json_bytes} | {:.0} |", set.name, median_of(&|round| round[0]));
    for rival in 1..rivals.len() {
        let (time, ratio) = (median_of(&|round| round[rival]), median_of(&|round| round[rival] / round[0]));
        print!(" {time:.0} ({ratio:.1}×) |");
    }
    println!();
}

/// Returns the nanoseconds per message, by round and rival.
fn measure(set: &Set, rivals: &[Rival]) -> Vec<Vec<f64>> {
    let mut json = Vec::new();
    let mut time = |rival: &Rival, repetitions: usize| {
        let start = now();
        for _ in 0..repetitions {
            for payload in &set.payloads {
                json.clear();
                (rival.transcode)(black_box(payload), &mut json);
                black_box(&json);
            }
        }
        start.elapsed()
    };
    let repetitions: Vec<usize> = rivals
        .iter()
        .map(|rival| {
            time(rival, 1);
            let once = time(rival, 3) / 3;
            (TURN.as_nanos() / once.as_nanos().max(1)).max(1) as usize
        })
        .collect();
    (0..ROUNDS)
        .map(|_| {
            let turns = rivals.iter().zip(&repetitions);
            let nanos = turns.map(|(rival, repetitions)| {
                time(rival, *repetitions).as_nanos() as f64 / (repetitions * set.payloads.len()) as f64
            });
            nanos.collect()
        })
        .collect()
}

#[expect(clippy::disallowed_methods, reason = "there is no tokio here, and the bench measures real time")]
fn now() -> Instant {
    Instant::now()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
