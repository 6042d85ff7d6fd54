//! Compares the journal with the log of the model: which rows there must be, what they must say, and that rows are missing
//! only where the journal declares a hole.
//!
//! `PROTOBRIDGE_FAULT_SEEDS=N` sets the number of seeds, `PROTOBRIDGE_FAULT_FIRST_SEED=S` the first of them.

mod facts;
mod rules;

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use protobridge::base::time::unix_micros;
use protobridge::store::Store;
use protobridge::store::journal::{Looked, Reader, Row};
use tempfile::TempDir;

use super::checks::{CheckResult, Violation, violated};
use super::play::{self, Played};
use super::scenario::Scenario;
use super::{history, number};
use facts::Facts;
use rules::Seen;

/// The default number of seeds.
const SEEDS: u64 = 150;
/// One seed in so many is also read as the one store that its runs would share.
const SHARED: u64 = 5;
/// The number of log lines that a failure prints at most.
const MOST_LINES: usize = 60;
const HOUR: i64 = 3_600_000_000;

/// The journal of one run of the service.
struct Journal {
    instance: u32,
    rows: Vec<Row>,
    looked: Looked,
}

#[test]
fn the_journal_says_what_happened_or_that_it_does_not_know() {
    let first = number("PROTOBRIDGE_FAULT_FIRST_SEED").unwrap_or(0);
    let seeds = number("PROTOBRIDGE_FAULT_SEEDS").unwrap_or(SEEDS);
    let mut seen = Seen::default();
    for seed in first..first + seeds {
        let scenario = Scenario::of(seed);
        let stores = TempDir::new().expect("a temporary folder can be created");
        let played = play::play_with_stores(&scenario, stores.path());
        if let Err(Violation { event, what }) = check(&scenario, &played, stores.path(), &mut seen) {
            let replay = format!(
                "PROTOBRIDGE_FAULT_FIRST_SEED={seed} PROTOBRIDGE_FAULT_SEEDS=1 cargo test --test it faults::journal"
            );
            let timeline = history::timeline(&played.log, event.as_deref(), MOST_LINES);
            panic!("seed {seed}: {what}\nto replay: {replay}\n{}\n{timeline}", scenario.summary());
        }
    }
    println!("{seen:#?}");
    assert!(seeds < SEEDS || seen.is_everything(), "the seeds do not show everything: {seen:#?}");
}

/// Checks the journals of a played scenario.
fn check(scenario: &Scenario, played: &Played, stores: &Path, seen: &mut Seen) -> CheckResult {
    let facts = Facts::of(scenario, played);
    let journals: Vec<Journal> = facts.instances.iter().map(|instance| Journal::read(*instance, stores)).collect();
    for journal in &journals {
        rules::every_row_is_true(&facts, journal)?;
        rules::rows_are_missing_only_in_holes(&facts, journal, seen)?;
        if facts.stopped(journal.instance).is_some() {
            rules::every_receive_has_its_rows(&facts, journal, seen)?;
            rules::every_attempt_is_counted(&facts, journal, seen)?;
        }
    }
    rules::every_confirmed_publish_has_one_row(&facts, &journals)?;
    if scenario.seed.is_multiple_of(SHARED) {
        a_shared_store_has_the_rows_and_holes_of_all_runs(&journals, stores)?;
    }
    Ok(())
}

/// Moves all segments into one store, and checks that a reader finds the same in it.
fn a_shared_store_has_the_rows_and_holes_of_all_runs(journals: &[Journal], stores: &Path) -> CheckResult {
    let shared = stores.join("shared");
    for journal in journals {
        move_files(&stores.join(journal.instance.to_string()).join("journal"), &shared.join("journal"));
    }
    let (rows, looked) = read(&shared);
    let all_rows: usize = journals.iter().map(|journal| journal.rows.len()).sum();
    let all_holes: usize = journals.iter().map(|journal| journal.looked.holes.len()).sum();
    if (rows.len(), looked.holes.len()) != (all_rows, all_holes) {
        let (rows, holes) = (rows.len(), looked.holes);
        return violated(
            "",
            format!("a shared store has {rows} of {all_rows} rows, and of {all_holes} holes {holes:?}"),
        );
    }
    Ok(())
}

fn move_files(from: &Path, to: &Path) {
    let Ok(entries) = fs::read_dir(from) else { return };
    fs::create_dir_all(to).expect("the folder can be created");
    for entry in entries {
        let entry = entry.expect("the folder can be read");
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            move_files(&entry.path(), &to);
        } else {
            fs::rename(entry.path(), to).expect("the file can be moved");
        }
    }
}

impl Journal {
    fn read(instance: u32, stores: &Path) -> Self {
        let (rows, looked) = read(&stores.join(instance.to_string()));
        Self { instance, rows, looked }
    }
}

/// Reads everything that a store has.
fn read(store: &Path) -> (Vec<Row>, Looked) {
    let reader = Reader::new(Store::folder(store.to_owned()).expect("the folder can be read"));
    let now = unix_micros(SystemTime::now());
    let mut rows = Vec::new();
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("the runtime can be built");
    let looked = runtime.block_on(reader.scan(now - HOUR..now + HOUR, |row| rows.push(row)));
    rows.sort_by_key(|row| row.settled_at);
    (rows, looked.expect("the store can be read"))
}

/// Returns the most time between the last stored row and the end of a process that is killed.
fn longest_hole() -> Duration {
    Duration::from_secs(play::SEGMENT_SECONDS)
}
