//! Compares the archive with the log of the model: a message that the service deleted is in a stored segment, or the
//! archive declares a gap that has room for it. The store fails at times that the seed chooses, and processes crash.
//!
//! `PROTOBRIDGE_FAULT_SEEDS=N` sets the number of seeds, `PROTOBRIDGE_FAULT_FIRST_SEED=S` the first of them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, SystemTime};

use fastrand::Rng;
use protobridge::base::time::unix_micros;
use protobridge::config;
use protobridge::store::Store;
use protobridge::store::archive::{GapKind, Listing, Reader, Row};
use tempfile::TempDir;

use super::checks::{self, CheckResult, Violation, violated};
use super::play::{self, Played};
use super::scenario::{Planned, Scenario};
use super::{history, number};
use crate::model::log::What;

/// The default number of seeds.
const SEEDS: u64 = 150;
/// The number of log lines that a failure prints at most.
const MOST_LINES: usize = 60;
const HOUR: i64 = 3_600_000_000;

/// A buffer that is full after a few messages, even if the store works.
const SMALL_BUFFER: usize = 10_000;

/// How the archive of a scenario is set up, and when its store fails.
#[derive(Debug, Clone)]
pub(super) struct Setup {
    pub(super) settings: config::Archive,
    /// The times from the start between which the store fails.
    pub(super) outages: Vec<(Duration, Duration)>,
}

impl Setup {
    /// Returns the setup of a seed.
    fn of(scenario: &Scenario) -> Self {
        let mut random = Rng::with_seed(scenario.seed ^ 0xa4c8_17e5);
        let tiny = random.u8(..3) == 0;
        let settings = config::Archive {
            enabled: true,
            flush_ms: *random.choice(&[50, 1_000, 1_000, 5_000]).expect("the list is not empty"),
            segment_bytes: if tiny { 2_000 } else { 8 * 1024 * 1024 },
            max_buffered_bytes: if tiny { SMALL_BUFFER } else { 128 * 1024 * 1024 },
            hold_delete: *random.choice(&[None, None, Some(true), Some(false)]).expect("the list is not empty"),
            give_up_hold_after_seconds: random.u64(5..=30),
            exclude: Vec::new(),
            ..config::Archive::default()
        };
        let seconds = |random: &mut Rng, range: std::ops::Range<u64>| Duration::from_secs(random.u64(range));
        let outage = |random: &mut Rng| {
            let from = seconds(random, 0..100);
            (from, from + seconds(random, 1..120))
        };
        let outages = match random.u8(..3) {
            0 => Vec::new(),
            _ => vec![outage(&mut random)],
        };
        Self { settings, outages }
    }
}

/// What the seeds have shown. A test that never meets a case says nothing about it.
#[derive(Debug, Default)]
struct Seen {
    archived: usize,
    deleted_by_a_process_that_crashed: usize,
    lost_and_declared: usize,
    missing_after_a_crash: usize,
}

#[test]
fn a_deleted_message_is_in_a_stored_segment_or_in_a_declared_gap() {
    let first = number("PROTOBRIDGE_FAULT_FIRST_SEED").unwrap_or(0);
    let seeds = number("PROTOBRIDGE_FAULT_SEEDS").unwrap_or(SEEDS);
    let mut seen = Seen::default();
    for seed in first..first + seeds {
        let scenario = Scenario::of(seed);
        let setup = Setup::of(&scenario);
        let stores = TempDir::new().expect("a temporary folder can be created");
        let played = play::play_with_archives(&scenario, stores.path(), &setup);
        if let Err(Violation { event, what }) = check(&scenario, &setup, &played, stores.path(), &mut seen) {
            let replay = format!(
                "PROTOBRIDGE_FAULT_FIRST_SEED={seed} PROTOBRIDGE_FAULT_SEEDS=1 cargo test --test it faults::archive"
            );
            let timeline = history::timeline(&played.log, event.as_deref(), MOST_LINES);
            panic!("seed {seed}: {what}\nto replay: {replay}\n{setup:?}\n{}\n{timeline}", scenario.summary());
        }
    }
    println!("{seen:#?}");
    let Seen { archived, deleted_by_a_process_that_crashed, lost_and_declared, missing_after_a_crash } = seen;
    let counts = [archived, deleted_by_a_process_that_crashed, lost_and_declared, missing_after_a_crash];
    assert!(seeds < SEEDS || counts.iter().all(|count| *count > 0), "the seeds do not show everything: {seen:#?}");
}

/// Checks the archives of a played scenario.
fn check(scenario: &Scenario, setup: &Setup, played: &Played, stores: &Path, seen: &mut Seen) -> CheckResult {
    let holds = setup.settings.holds(scenario.fifo);
    // The store's trouble is nobody else's: every promise about deliveries still holds. Only a message of a FIFO queue that
    // waits for the archive blocks its group, which is why it does not wait by default.
    if !(scenario.fifo && holds) {
        checks::all(scenario, played)?;
    }
    let messages: BTreeMap<&str, &Planned> = played.ids.iter().map(|id| &**id).zip(&scenario.messages).collect();
    let (mut handed, mut deleted) = (BTreeMap::new(), BTreeMap::<u32, BTreeSet<&str>>::new());
    let mut instances = BTreeSet::new();
    for entry in &played.log {
        let instance = entry.instance.unwrap_or_default();
        match &entry.what {
            What::Started => _ = instances.insert(instance),
            What::Handed { message, receives, .. } => _ = handed.insert((&**message, *receives), instance),
            What::Deleted { message, receives, .. } => {
                let by = handed.get(&(&**message, *receives)).copied().unwrap_or_default();
                deleted.entry(by).or_default().insert(message);
            }
            _ => {}
        }
    }
    for instance in instances {
        play::repair_folder(&stores.join(format!("{instance}/archive")));
        let (rows, listing) = read(&stores.join(instance.to_string()));
        for row in &rows {
            let receive = (&*row.message.message_id, row.message.receive_count);
            if handed.get(&receive) != Some(&instance) {
                return violated(
                    "",
                    format!("run {instance} archived the receive {receive:?}, which did not reach it"),
                );
            }
            let sent = &messages[receive.0].message;
            if row.message.body != sent.body
                || row.message.attributes.len() != sent.attributes.as_object().map_or(0, serde_json::Map::len)
            {
                return violated(&sent.name, format!("run {instance} archived something else than was sent"));
            }
        }
        let archived: BTreeSet<&str> = rows.iter().map(|row| &*row.message.message_id).collect();
        let deleted = deleted.get(&instance).cloned().unwrap_or_default();
        seen.archived += archived.len();
        let missing: Vec<&str> = deleted.difference(&archived).copied().collect();
        let has_ended = played.ended.iter().any(|ended| ended.instance == instance);
        let lost: u64 = listing.gaps.iter().map(lost).sum();
        seen.lost_and_declared += lost as usize;
        let is_over = |kind: &GapKind| matches!(kind, GapKind::Died | GapKind::NotStoredYet | GapKind::Missing);
        let has_hole = listing.segments.is_empty() || listing.gaps.iter().any(|gap| is_over(&gap.kind));
        if !has_ended {
            seen.deleted_by_a_process_that_crashed += deleted.len();
            seen.missing_after_a_crash += missing.len();
        }
        if missing.is_empty() {
            continue;
        }
        let is_declared = has_hole || missing.len() as u64 <= lost;
        let event = &messages[missing[0]].message.name;
        if !is_declared {
            let gaps = &listing.gaps;
            let what = format!("run {instance} deleted {missing:?}, which it neither archived nor declared: {gaps:?}");
            return violated(event, what);
        }
        let has_room = setup.settings.max_buffered_bytes > SMALL_BUFFER;
        if holds && has_room && setup.outages.is_empty() {
            return violated(event, format!("run {instance} deleted {missing:?} before the archive had them"));
        }
    }
    Ok(())
}

fn lost(gap: &protobridge::store::archive::Gap) -> u64 {
    if let GapKind::Lost { count, .. } = gap.kind { count } else { 0 }
}

/// Reads everything that a store has.
fn read(store: &Path) -> (Vec<Row>, Listing) {
    let reader = Reader::new(Store::folder(store.to_owned()).expect("the folder can be read"), Vec::new());
    let now = unix_micros(SystemTime::now());
    let window = now - HOUR..now + HOUR;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().build().expect("the runtime can be built");
    runtime.block_on(async {
        let listing = reader.look(window.clone()).await.expect("the store can be listed");
        let (mut rows, mut found) = (reader.rows(&listing, window, None), Vec::new());
        while let Some(row) = rows.next().await.expect("the store can be read") {
            found.push(row);
        }
        (found, listing)
    })
}
