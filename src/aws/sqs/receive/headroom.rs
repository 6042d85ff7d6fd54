//! Whether more pollers would receive more, or would only wait for each other.
//!
//! A poll of a backlog takes as long as the network and SQS need. If most polls take several times that, they wait for
//! something that they share: the CPU, the bandwidth, or SQS. More pollers then receive nothing sooner; they only hold
//! more messages, which wait longer, in more memory. So the usual time of a poll is measured with few pollers, again and
//! again, and there are only as many pollers as keep polls near it.
//!
//! This module does no I/O and does not read the clock.

use std::time::Duration;

use tokio::time::Instant;

/// The number of pollers that are never too many, and with which the usual time is measured.
const FEW: usize = 2;
/// Polls are slow if they take this many times the usual time.
const SLOW: u32 = 3;
/// No usual time is shorter. Below it, the scheduler of the process decides more than the network.
const LEAST: Duration = Duration::from_micros(500);
/// The time between two measurements of the usual time. One takes a few polls.
const MEASURE_EVERY: Duration = Duration::from_secs(30);
/// The number of polls on which a decision is based. It is smaller while the pollers start, so that they start quickly.
const WINDOW: usize = 16;
const WINDOW_AT_START: usize = 4;

/// What the last polls say about the number of pollers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Advice {
    /// So many more pollers would receive more.
    More(usize),
    /// Not enough polls have ended since the last advice, or the number is right.
    Same,
    /// This poller only makes the others wait.
    Fewer,
}

/// The times of the polls of one queue that returned a full batch.
#[derive(Debug)]
pub(super) struct Headroom {
    phase: Phase,
    /// The times of the polls since the last decision.
    recent: Vec<Duration>,
    /// The median with at most [`FEW`] pollers, at the last measurement.
    usual: Option<Duration>,
    measure_at: Option<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The pollers above [`FEW`] end, so that the usual time can be measured.
    Measuring,
    /// The number of pollers doubles with each decision, until polls are slow.
    Starting,
    /// The number of pollers changes by one with each decision.
    Steady,
}

impl Default for Headroom {
    fn default() -> Self {
        Self { phase: Phase::Starting, recent: Vec::with_capacity(WINDOW), usual: None, measure_at: None }
    }
}

impl Headroom {
    /// Notes a poll that returned a full batch after this time, with so many pollers running.
    pub(super) fn note(&mut self, took: Duration, running: usize, now: Instant) -> Advice {
        if now >= *self.measure_at.get_or_insert(now + MEASURE_EVERY) {
            *self = Self { phase: Phase::Measuring, measure_at: Some(now + MEASURE_EVERY), ..Self::default() };
        }
        if self.phase == Phase::Measuring && running > FEW {
            return Advice::Fewer;
        }
        self.recent.push(took);
        let window = if self.phase == Phase::Starting { WINDOW_AT_START } else { WINDOW };
        if self.recent.len() < window { Advice::Same } else { self.decide(running) }
    }

    fn decide(&mut self, running: usize) -> Advice {
        let middle = self.recent.len() / 2;
        let median = *self.recent.select_nth_unstable(middle).1;
        self.recent.clear();
        if running <= FEW && self.phase != Phase::Steady {
            self.usual = Some(self.usual.map_or(median, |usual| usual.min(median)));
        }
        let usual = *self.usual.get_or_insert(median);
        match self.phase {
            _ if median > usual.max(LEAST) * SLOW => {
                self.phase = Phase::Steady;
                if running > FEW { Advice::Fewer } else { Advice::Same }
            }
            Phase::Steady => Advice::More(1),
            Phase::Measuring | Phase::Starting => {
                self.phase = Phase::Starting;
                Advice::More(running.max(1))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plays polls for so many seconds of time, with at most 16 pollers. `time` is the time of a poll by the number of
    /// pollers and the number of the poll. Returns the number of pollers at each poll, and the time of the poll.
    fn play(seconds: u64, mut time: impl FnMut(usize, Instant) -> Duration) -> Vec<(usize, Instant)> {
        let (mut headroom, mut running) = (Headroom::default(), 1);
        let began = Instant::now();
        let (mut now, mut polls) = (began, Vec::new());
        while now < began + Duration::from_secs(seconds) {
            let took = time(running, now);
            // So many polls end in the time of one.
            now += took / u32::try_from(running).unwrap();
            match headroom.note(took, running, now) {
                Advice::More(more) => running = (running + more).min(16),
                Advice::Same => {}
                Advice::Fewer => running -= 1,
            }
            polls.push((running, now));
        }
        polls
    }

    fn mean(polls: &[(usize, Instant)]) -> f64 {
        polls.iter().map(|(running, _)| *running as f64).sum::<f64>() / polls.len() as f64
    }

    #[test]
    fn polls_that_take_the_same_time_with_any_number_of_pollers_get_all_pollers() {
        for millis in [1, 20, 200] {
            let polls = play(120, |_, _| Duration::from_millis(millis));
            assert!(mean(&polls) > 15.5, "{millis} ms: {}", mean(&polls));
            let until_all = polls.iter().position(|(running, _)| *running == 16).unwrap();
            assert!(until_all <= 16, "{until_all} polls");
        }
    }

    #[test]
    fn times_that_vary_tenfold_at_random_get_nearly_all_pollers() {
        for seed in 0..20 {
            let mut random = fastrand::Rng::with_seed(seed);
            let polls = play(300, |_, _| Duration::from_secs_f64(0.01 * 10f64.powf(random.f64() - 0.5)));
            assert!(mean(&polls) > 15.0, "seed {seed}: {}", mean(&polls));
        }
    }

    #[test]
    fn pollers_that_share_a_resource_are_few() {
        // Two polls at a time cost nothing; each further one waits for its turn.
        let polls = play(120, |running, _| Duration::from_millis(1) * u32::try_from(running.div_ceil(2)).unwrap());
        let later = &polls[polls.len() / 2..];
        assert!((FEW as f64..8.0).contains(&mean(later)), "{}", mean(later));
    }

    #[test]
    fn a_network_that_becomes_slow_or_fast_gets_its_pollers_back() {
        for (before, after) in [(1, 40), (40, 1)] {
            let began = Instant::now();
            let change = Duration::from_secs(50);
            let time =
                |_: usize, now: Instant| Duration::from_millis(if now < began + change { before } else { after });
            let polls = play(150, time);
            let at =
                |second: u64| polls.iter().position(|(_, now)| *now > began + Duration::from_secs(second)).unwrap();
            assert!(mean(&polls[at(90)..]) > 15.5, "{before} → {after} ms: {}", mean(&polls[at(90)..]));
            assert!(polls[at(1)..].iter().all(|(running, _)| *running >= FEW));
        }
    }
}
