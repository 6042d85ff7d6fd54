//! A replay that is killed at any moment, again and again.

use std::collections::{BTreeMap, BTreeSet};

use tokio::time::timeout;

use super::*;

/// Kills a replay this often, resumes it each time, and checks what was delivered.
async fn killed(seed: u64, kills: usize) {
    let mut rng = Rng::with_seed(seed);
    fastrand::seed(seed);
    let (rows, step) = (rng.u64(0..200), rng.usize(1..40));
    let archive = archive(rows, &mut rng);
    let delivered = Delivered::default();
    let replays = Replays::new(Store::slow(Duration::from_millis(rng.u64(0..30))));
    let name: Name = "x".parse().unwrap();
    let mut processes = 0;
    loop {
        let begun = async {
            match processes {
                0 => replays.begin(name.clone(), Request::default(), owner(0)).await,
                process => replays.resume(name.clone(), owner(process), later(process)).await,
            }
        };
        // The first object is there before anything is sent, so that a process can be killed from then on.
        let mut cursor = begun.await.unwrap();
        if cursor.state().status == Status::Done {
            break;
        }
        let mut source = archive.after(cursor.state().position.as_ref());
        let failures = if rng.bool() { 0.0 } else { 0.1 };
        let world = World { process: processes, delivered: &delivered, rng: Mutex::new(rng.fork()), failures };
        let pace = Pace::new(*rng.choice(&[100.0, 10_000.0]).unwrap());
        let replay = Replay {
            name: name.clone(),
            choice: choice(),
            step,
            sender: &world,
            pace: Some(&pace),
            progress: &Progress::default(),
            stop: CancellationToken::new(),
        };
        let life = if processes < kills { Duration::from_millis(rng.u64(0..3_000)) } else { Duration::MAX };
        let run = Box::pin(replay.run(&mut source, Some(&mut cursor)));
        if let Ok((tally, ended)) = timeout(life, run).await {
            assert_eq!(ended.unwrap(), Ended::Done);
            assert_eq!(tally.counts, tally_of(&tally), "seed {seed}");
        }
        processes += 1;
    }
    let state = replays.list().await.unwrap().remove(0);
    let counts = &state.counts;
    assert_eq!((counts.rows, counts.messages, counts.published), (rows, rows, 2 * rows), "seed {seed}");
    check(seed, &archive, step, &delivered.into_inner());
}

/// Returns the counts again, from the cells.
fn tally_of(tally: &Tally) -> Counts {
    let sum = |of: fn(&Cell) -> u64| tally.cells.values().map(of).sum::<u64>();
    let (published, bytes) = (sum(|cell| cell.count), sum(|cell| cell.bytes));
    Counts { published, bytes, messages: published / 2, rows: published / 2, ..Counts::default() }
}

fn check(seed: u64, archive: &Archive, step: usize, delivered: &[(usize, &'static str, String)]) {
    let numbers: BTreeMap<&str, usize> =
        archive.0.iter().enumerate().map(|(number, row)| (&*row.message.message_id, number)).collect();
    for topic in TOPICS {
        let mut before: BTreeSet<usize> = BTreeSet::new();
        let mut last_new: BTreeMap<&str, usize> = BTreeMap::new();
        let processes: BTreeSet<usize> = delivered.iter().map(|(process, ..)| *process).collect();
        for process in processes {
            let of_process = delivered.iter().filter(|(by, to, _)| (*by, *to) == (process, topic));
            let sent: Vec<usize> = of_process.map(|(_, _, message)| numbers[&**message]).collect();
            let distinct: BTreeSet<usize> = sent.iter().copied().collect();
            assert_eq!(distinct.len(), sent.len(), "seed {seed}: process {process} sent a message twice");
            let repeated = distinct.intersection(&before).count();
            assert!(repeated <= step, "seed {seed}: process {process} repeated {repeated} messages, a step is {step}");
            let mut last: BTreeMap<&str, usize> = BTreeMap::new();
            for number in sent {
                let Some(group) = archive.0[number].message.group.as_deref() else { continue };
                let is_in_order = last.insert(group, number).is_none_or(|before| before < number);
                assert!(is_in_order, "seed {seed}: process {process} sent {number} late");
                if !before.contains(&number) {
                    let is_in_order = last_new.insert(group, number).is_none_or(|before| before < number);
                    assert!(is_in_order, "seed {seed}: {number} came late");
                }
            }
            before.extend(distinct);
        }
        assert_eq!(before.len(), archive.0.len(), "seed {seed}: not all messages were sent");
    }
}

#[tokio::test(start_paused = true)]
async fn a_replay_that_is_killed_sends_everything_and_repeats_at_most_a_step() {
    for seed in 0..1_000 {
        killed(seed, 20).await;
    }
}
