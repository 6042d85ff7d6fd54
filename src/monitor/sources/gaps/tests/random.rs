//! Random sources and replicas against a naive model.

use std::collections::BTreeSet;
use std::iter::Peekable;
use std::ops::Range;
use std::time::Duration;
use std::vec::IntoIter;

use fastrand::Rng;
use tokio::time::Instant;

use super::*;
use crate::monitor::sources::heard::HeardNumbers;

/// A heartbeat of a random source.
#[derive(Clone, Copy, Debug)]
struct Sent {
    number: u64,
    sent: u64,
    /// When a replica receives it; `None` if it is lost.
    arrives: Option<u64>,
    /// Whether the source was restarted before it.
    is_after_restart: bool,
}

fn random_source(random: &mut Rng) -> Vec<Sent> {
    let mut number = random.u64(1..1_000);
    let restart = if random.bool() { random.usize(80..100) } else { usize::MAX };
    let mut sent = 1_000 * SECOND;
    let mut heartbeats = Vec::new();
    for at in 0..160 {
        sent += INTERVAL;
        if at == restart {
            (number, sent) = (random.u64(..3), sent + random.u64(..200) * SECOND);
        }
        let delay = match random.u8(..20) {
            0 => random.u64(100..300) * SECOND,
            1..4 => random.u64(10..25) * SECOND,
            _ => random.u64(..SECOND),
        };
        // The first numbers after a start are kept, so that the list has a known beginning.
        let is_kept = at < 6 || (restart..restart.saturating_add(6)).contains(&at);
        let is_lost = !is_kept && random.u8(..12) == 0;
        let arrives = (!is_lost).then_some(sent + if is_kept { 0 } else { delay });
        heartbeats.push(Sent { number, sent, arrives, is_after_restart: at >= restart });
        number += 1;
    }
    heartbeats
}

/// Replicas that hear a random source, and their store.
struct Stage {
    random: Rng,
    pending: Peekable<IntoIter<Sent>>,
    replicas: Vec<HeardNumbers>,
    /// When each replica shared all its numbers last.
    seen: Vec<u64>,
    clock: Instant,
    /// When the store does not answer.
    outage: Range<u64>,
    /// Whether the store then loses its last writes, because it fails over to a copy.
    is_lossy: bool,
    copy: Option<GapList>,
    list: Option<GapList>,
}

impl Stage {
    fn new(mut random: Rng, heartbeats: &[Sent]) -> Self {
        let mut pending: Vec<Sent> = heartbeats.iter().copied().filter(|sent| sent.arrives.is_some()).collect();
        pending.sort_by_key(|sent| sent.arrives);
        let replicas: Vec<_> = (0..random.usize(1..5)).map(|_| HeardNumbers::default()).collect();
        let seen = vec![0; replicas.len()];
        let outage = random.u64(1_200..2_000) * SECOND;
        let outage = outage..outage + random.u64(..200) * SECOND;
        let (is_lossy, pending) = (random.bool(), pending.into_iter().peekable());
        Self { random, pending, replicas, seen, clock: Instant::now(), outage, is_lossy, copy: None, list: None }
    }

    fn second(&mut self, now: u64) {
        while let Some(heartbeat) = self.pending.next_if(|sent| sent.arrives.is_some_and(|arrives| arrives <= now)) {
            let lag = now - heartbeat.sent;
            let heard = Heard { grace: GRACE + lag, ..heard(heartbeat.number, heartbeat.sent) };
            for _ in 0..self.random.usize(1..3) {
                let replica = self.random.usize(..self.replicas.len());
                self.replicas[replica].note("eu", heard, self.clock + Duration::from_millis(now));
            }
        }
        if now + 20 * SECOND == self.outage.start {
            self.copy = self.list.clone();
        }
        if self.is_lossy && now == self.outage.end {
            self.list = self.copy.take();
        }
        if !self.outage.contains(&now) {
            self.share(now);
        }
    }

    fn share(&mut self, now: u64) {
        let mut order: Vec<usize> = (0..self.replicas.len()).collect();
        self.random.shuffle(&mut order);
        for replica in order {
            if self.random.u8(..3) == 0 {
                continue;
            }
            let (at, all) = (self.clock + Duration::from_millis(now), now >= self.seen[replica] + 10 * SECOND);
            if all {
                self.seen[replica] = now;
            }
            for share in self.replicas[replica].to_share(all, at) {
                self.list = GapList::after(self.list.as_ref(), &share.contribution, now);
                // An answer that does not arrive changes nothing: the numbers are added again.
                if self.random.u8(..5) > 0 {
                    self.replicas[replica].shared(&share, at);
                }
            }
        }
    }

    /// Returns the numbers that are listed now.
    fn listed(&self) -> Vec<u64> {
        let judged_until = self.seen.iter().min().copied().unwrap_or(0);
        let runs = self.list.iter().map(GapList::run);
        runs.flat_map(|run| run.gaps(judged_until).flat_map(|gap| gap.first..=gap.last)).collect()
    }
}

/// Replicas share a random source, in any order and with outages of the store. In the end the list has exactly the numbers
/// that the naive model has.
#[test]
fn replicas_that_hear_parts_of_a_random_source_know_exactly_what_is_missing() {
    for seed in 0..150 {
        let mut random = Rng::with_seed(seed);
        let heartbeats = random_source(&mut random);
        let is_restarted = heartbeats.iter().any(|heartbeat| heartbeat.is_after_restart);
        let is_in_time = |sent: &&Sent| sent.arrives.is_some_and(|arrives| arrives < sent.sent + 25 * SECOND);
        let in_time: BTreeSet<u64> = heartbeats.iter().filter(is_in_time).map(|sent| sent.number).collect();
        let mut stage = Stage::new(random, &heartbeats);
        for now in (1_000 * SECOND..3_200 * SECOND).step_by(SECOND as usize) {
            stage.second(now);
            // The numbers of the run before a restart can be those of the run after it.
            let wrong = stage.listed().into_iter().find(|number| !is_restarted && in_time.contains(number));
            assert_eq!(wrong, None, "seed {seed}, second {}: it is listed: {:?}", now / SECOND, stage.list);
        }
        let list = stage.list.expect("there is a list");
        check_against_the_naive_model(&heartbeats, &list, &format!("seed {seed}: {list:?}"));
    }
}

fn check_against_the_naive_model(heartbeats: &[Sent], list: &GapList, context: &str) {
    let is_restarted = heartbeats.iter().any(|heartbeat| heartbeat.is_after_restart);
    let of_run = || heartbeats.iter().filter(|sent| sent.is_after_restart == is_restarted);
    let arrived: BTreeSet<u64> = of_run().filter(|sent| sent.arrives.is_some()).map(|sent| sent.number).collect();
    let (run, end) = (list.run(), 5_000 * SECOND);
    let first = of_run().next().expect("a source sends heartbeats").number;
    assert!((first..first + 4).contains(&run.lowest()), "{context}");
    assert_eq!(Some(&run.highest()), arrived.last(), "{context}");
    let missing: Vec<u64> = (run.lowest()..run.highest()).filter(|number| !arrived.contains(number)).collect();
    let listed: Vec<u64> = run.gaps(end).flat_map(|gap| gap.first..=gap.last).collect();
    assert_eq!(run.unlisted(end), (0, 0), "{context}");
    assert_eq!(listed, missing, "{context}");
}
