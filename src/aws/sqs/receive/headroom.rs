//! Whether more pollers would receive more, or would only wait for each other.
//!
//! A poll of a backlog takes as long as the network and SQS need. If most polls take several times that, they can be
//! waiting for something that they share: the CPU, the bandwidth, or SQS. More pollers then receive nothing sooner.
//! They only hold more messages, which wait longer, in more memory. For this reason the usual time of a poll is measured
//! with few pollers, and there are only as many pollers as keep polls near it. If fewer pollers do not make polls
//! faster, pollers are not the cause, and the usual time is measured anew. It also is from time to time: the other
//! pollers end and come back.
//!
//! Each queue is judged by itself. This module does no I/O and does not read the clock.

use std::time::Duration;

use tokio::time::Instant;

/// The number of pollers that are never too many, and with which the usual time is measured.
const FEW: usize = 2;
/// Polls are slow if they take this many times the usual time.
const SLOW: u32 = 3;
/// No usual time is shorter. Below it, the scheduler of the process decides more than the network.
const LEAST: Duration = Duration::from_micros(500);
/// Half of the pollers must make polls faster by this factor, or pollers are not what makes them slow.
const FASTER: f64 = 0.75;
/// The time between two measurements of the usual time. A measurement takes about five times as long as a poll.
const MEASURE_EVERY: Duration = Duration::from_secs(30);
/// The longest time of a measurement, for a queue whose polls are rarely full.
const MEASURE_WITHIN: Duration = Duration::from_secs(2);
/// The number of polls on which a decision is based. It is smaller while the pollers start, so that they start quickly.
const WINDOW: usize = 16;
const WINDOW_AT_START: usize = 4;

/// An advice about the number of pollers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Advice {
    /// This number of further pollers would receive more.
    More(usize),
    /// The number is right, or too few polls have ended since the last advice.
    Same,
    /// This poller only makes the others wait.
    Fewer,
}

/// The times of the polls of one queue that returned a full batch.
#[derive(Debug)]
pub(super) struct Headroom {
    /// The number of pollers with which the usual time is measured.
    few: usize,
    phase: Phase,
    /// The times of the polls since the last decision.
    recent: Vec<Duration>,
    /// The median with few pollers, or the first one since the last measurement.
    usual: Option<Duration>,
    /// The number of pollers and the median when polls became slow.
    slow_since: Option<(usize, Duration)>,
    measure_at: Option<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// All but a few pollers end, until this time at the latest, so that the usual time can be measured.
    Measuring(Instant),
    /// The number of pollers doubles with each decision, until polls are slow.
    Starting,
    /// The number of pollers changes by one with each decision.
    Steady,
}

impl Headroom {
    /// Creates the headroom of a queue that has at least this number of pollers.
    pub(super) fn new(min_pollers: usize) -> Self {
        Self {
            few: min_pollers.max(FEW),
            phase: Phase::Starting,
            recent: Vec::with_capacity(WINDOW),
            usual: None,
            slow_since: None,
            measure_at: None,
        }
    }

    /// Notes a poll that returned a full batch, with this number of pollers running. `took` is its time, or `None` if
    /// the poll can have waited for messages.
    pub(super) fn note(&mut self, took: Option<Duration>, running: usize, now: Instant) -> Advice {
        let Some(took) = took else {
            return if self.phase == Phase::Starting { Advice::More(1) } else { Advice::Same };
        };
        if now >= *self.measure_at.get_or_insert(now + MEASURE_EVERY) {
            self.restart();
            self.measure_at = Some(now + MEASURE_EVERY);
            if running > self.few {
                self.phase = Phase::Measuring(now + MEASURE_WITHIN);
            }
        }
        if let Phase::Measuring(until) = self.phase
            && running > self.few
            && now < until
        {
            return Advice::Fewer;
        }
        self.recent.push(took);
        let window = if self.phase == Phase::Steady { WINDOW } else { WINDOW_AT_START };
        if self.recent.len() < window { Advice::Same } else { self.decide(running) }
    }

    /// Notes a poll that returned nothing. The next backlog starts its pollers quickly.
    pub(super) fn note_empty(&mut self) {
        self.restart();
    }

    /// Forgets everything about the time of polls.
    fn restart(&mut self) {
        self.phase = Phase::Starting;
        self.recent.clear();
        (self.usual, self.slow_since) = (None, None);
    }

    fn decide(&mut self, running: usize) -> Advice {
        let middle = self.recent.len() / 2;
        let median = *self.recent.select_nth_unstable(middle).1;
        self.recent.clear();
        let usual = *self.usual.get_or_insert(median);
        if running <= self.few {
            self.usual = Some(usual.min(median));
        }
        if median > usual.max(LEAST) * SLOW {
            return self.decide_slow(running, median);
        }
        self.slow_since = None;
        if self.phase == Phase::Steady {
            return Advice::More(1);
        }
        self.phase = Phase::Starting;
        Advice::More(running.max(1))
    }

    fn decide_slow(&mut self, running: usize, median: Duration) -> Advice {
        self.phase = Phase::Steady;
        let (pollers, before) = *self.slow_since.get_or_insert((running, median));
        if running <= (pollers / 2).max(self.few) && median > before.mul_f64(FASTER) {
            self.restart();
            return Advice::More(running.max(1));
        }
        if running > self.few { Advice::Fewer } else { Advice::Same }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: usize = 16;

    /// A number of pollers from some time on.
    type Course = Vec<(Duration, usize)>;

    /// Plays polls for this number of seconds. `time` is the time of a poll by the number of pollers and the time since
    /// the start.
    fn play(min: usize, seconds: u64, mut time: impl FnMut(usize, Duration) -> Duration) -> Course {
        let (mut headroom, mut running) = (Headroom::new(min), min);
        let began = Instant::now();
        let (mut since, mut course) = (Duration::ZERO, vec![(Duration::ZERO, min)]);
        while since < Duration::from_secs(seconds) {
            let took = time(running, since);
            // In the time of one poll, each poller ends one.
            since += took / u32::try_from(running).unwrap();
            match headroom.note(Some(took), running, began + since) {
                Advice::More(more) => running = (running + more).min(MOST),
                Advice::Same => {}
                Advice::Fewer => running = (running - 1).max(min),
            }
            course.push((since, running));
        }
        course
    }

    /// The mean over the time from these seconds on.
    fn mean(course: &Course, from: f64) -> f64 {
        let spans = course.windows(2).filter(|pair| pair[0].0.as_secs_f64() >= from);
        let (sum, time) = spans.fold((0.0, 0.0), |(sum, time), pair| {
            let span = (pair[1].0 - pair[0].0).as_secs_f64();
            (sum + pair[0].1 as f64 * span, time + span)
        });
        sum / time
    }

    #[test]
    fn polls_that_take_the_same_time_with_any_number_of_pollers_get_all_pollers() {
        for (millis, min, least) in [(1, 1, 15.9), (20, 1, 15.8), (20, 4, 15.8), (20, 16, 16.0), (200, 1, 15.2)] {
            let course = play(min, 300, |_, _| Duration::from_millis(millis));
            assert!(mean(&course, 2.0) >= least, "{millis} ms, at least {min}: {}", mean(&course, 2.0));
            let all = course.iter().find(|(_, running)| *running == MOST).unwrap().0;
            assert!(all <= Duration::from_millis(9 * millis), "all pollers after {all:?}");
        }
    }

    #[test]
    fn times_that_vary_tenfold_at_random_get_nearly_all_pollers() {
        for seed in 0..20 {
            let mut random = fastrand::Rng::with_seed(seed);
            let course = play(1, 300, |_, _| Duration::from_secs_f64(0.01 * 10f64.powf(random.f64() - 0.5)));
            assert!(mean(&course, 2.0) > 15.0, "seed {seed}: {}", mean(&course, 2.0));
        }
    }

    #[test]
    fn pollers_that_share_a_resource_are_few() {
        // Two polls at a time cost nothing; each further one waits for its turn.
        for min in [1, 4] {
            let time = |running: usize, _| Duration::from_millis(1) * u32::try_from(running.div_ceil(2)).unwrap();
            let course = play(min, 120, time);
            let most = 3.5 * min.max(FEW) as f64;
            assert!((FEW as f64..=most).contains(&mean(&course, 1.0)), "{}", mean(&course, 1.0));
        }
    }

    #[test]
    fn a_network_that_becomes_slow_or_fast_has_its_pollers_back_within_seconds() {
        for (before, after) in [(1, 40), (10, 40), (20, 70), (40, 1)] {
            let change = Duration::from_secs(50);
            let time = |_, since| Duration::from_millis(if since < change { before } else { after });
            // No measurement happens from second 50 to 60.
            let course = play(1, 58, time);
            let lost = course.iter().filter(|(since, running)| since.as_secs_f64() > 53.0 && *running < MOST).count();
            assert_eq!(lost, 0, "{before} → {after} ms");
        }
    }

    #[test]
    fn the_backlog_after_an_empty_poll_starts_its_pollers_quickly_although_polls_were_slow() {
        let (mut headroom, now) = (Headroom::new(1), Instant::now());
        let polls = |headroom: &mut Headroom, count, millis| {
            (0..count).fold(Advice::Same, |_, _| headroom.note(Some(Duration::from_millis(millis)), 4, now))
        };
        assert_eq!(polls(&mut headroom, 4, 10), Advice::More(4));
        assert_eq!(polls(&mut headroom, 4, 90), Advice::Fewer);
        headroom.note_empty();
        assert_eq!(polls(&mut headroom, 4, 90), Advice::More(4));
    }

    #[test]
    fn polls_that_can_have_waited_start_pollers_and_measure_nothing() {
        let (mut headroom, now) = (Headroom::new(1), Instant::now());
        assert_eq!(headroom.note(None, 1, now), Advice::More(1));
        // Full polls are rare while the usual time is measured. The measurement ends anyway.
        let took = Some(Duration::from_millis(20));
        let later = |seconds| now + Duration::from_secs(seconds);
        assert_eq!(headroom.note(took, 16, now), Advice::Same);
        assert_eq!(headroom.note(took, 16, later(31)), Advice::Fewer);
        assert_eq!(headroom.note(None, 15, later(32)), Advice::Same);
        let advice = [33, 34, 35, 36].map(|second| headroom.note(took, 15, later(second)));
        assert_eq!(advice, [Advice::Same, Advice::Same, Advice::Same, Advice::More(15)]);
    }
}
