//! How far a replay is: a line that is drawn again on a terminal, a line every ten seconds elsewhere.

use std::collections::VecDeque;
use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::cli::columns::{grouped, rate};
use crate::delivery::replay::{Pace, Progress, Shown};
use crate::store::journal::stamp;
use crate::store::replays::Name;

const ON_TERMINAL: Duration = Duration::from_millis(250);
const ELSEWHERE: Duration = Duration::from_secs(10);

/// The time over which the rate is measured.
const MEASURED: Duration = Duration::from_secs(15);

/// The characters of the bar.
const BAR: usize = 24;

/// Waits for a run, and shows how far it is of `total` rows on standard error.
pub(super) async fn watch<T>(
    name: &Name,
    (progress, total): (&Progress, u64),
    pace: Option<&Pace>,
    run: impl Future<Output = T>,
) -> T {
    let is_terminal = std::io::stderr().is_terminal();
    let period = if is_terminal { ON_TERMINAL } else { ELSEWHERE };
    let mut ticks = interval_at(Instant::now() + period, period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut speed = Speed::new(progress.shown(), Instant::now());
    tokio::pin!(run);
    loop {
        tokio::select! {
            biased;
            done = &mut run => {
                if is_terminal {
                    // Clears the line.
                    eprint!("\r\x1b[K");
                }
                return done;
            }
            _ = ticks.tick() => {
                let shown = progress.shown();
                speed.add(&shown, Instant::now());
                let text = line(&shown, total, speed.rates(), pace.map(Pace::rate), is_terminal);
                if is_terminal {
                    eprint!("\r\x1b[K{text}");
                } else {
                    eprintln!("replay {name}: {text}");
                }
                // A line that is not shown is no reason to stop.
                let _hidden = std::io::stderr().flush();
            }
        }
    }
}

/// The rates of the last seconds.
struct Speed(VecDeque<(Instant, u64, u64)>);

impl Speed {
    fn new(shown: Shown, now: Instant) -> Self {
        Self([(now, shown.rows, shown.published)].into())
    }

    fn add(&mut self, shown: &Shown, now: Instant) {
        self.0.push_back((now, shown.rows, shown.published));
        while self.0.len() > 2 && self.0.get(1).is_some_and(|(at, ..)| now - *at >= MEASURED) {
            self.0.pop_front();
        }
    }

    /// Returns rows per second and deliveries per second.
    fn rates(&self) -> (f64, f64) {
        let (Some(first), Some(last)) = (self.0.front(), self.0.back()) else { return (0.0, 0.0) };
        let seconds = (last.0 - first.0).as_secs_f64().max(0.001);
        ((last.1 - first.1) as f64 / seconds, (last.2 - first.2) as f64 / seconds)
    }
}

/// Returns the line. `limit` is the rate that the run keeps at this moment.
fn line(shown: &Shown, total: u64, (rows, published): (f64, f64), limit: Option<f64>, has_bar: bool) -> String {
    // The archive lists the messages that were received twice, and those of segments at the edges of the window, too.
    let total = total.max(shown.rows);
    let share = if total == 0 { 1.0 } else { shown.rows as f64 / total as f64 };
    let mut text = String::new();
    if has_bar {
        let full = (share * BAR as f64) as usize;
        text.push_str(&format!("[{}{}] ", "#".repeat(full), ".".repeat(BAR - full)));
    }
    text.push_str(&format!("{} of {} messages", grouped(shown.rows as f64), grouped(total as f64)));
    text.push_str(&format!(", {} deliveries/s", rate(published)));
    if let Some(limit) = limit {
        text.push_str(&format!(" of {}", rate(limit)));
    }
    if rows > 0.0 {
        let left = (total - shown.rows) as f64 / rows;
        text.push_str(&format!(", about {} left", stamp::length((left * 1e6) as i64)));
    }
    if let Some((message, problem)) = &shown.waiting {
        text.push_str(&format!("; trying {message} again: {problem}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_how_far_the_replay_is() {
        let shown = Shown { rows: 250, published: 240, waiting: None };
        let text = line(&shown, 1_000, (50.0, 48.0), Some(100.0), true);
        assert_eq!(
            text,
            "[######..................] 250 of 1,000 messages, 48.0 deliveries/s of 100, about 15.0 s left"
        );
        let waiting = Some(("m-1".into(), "SNS does not answer".into()));
        let text = line(&Shown { waiting, ..shown }, 100, (0.0, 0.0), None, false);
        assert_eq!(text, "250 of 250 messages, 0.0 deliveries/s; trying m-1 again: SNS does not answer");
        assert!(line(&Shown::default(), 0, (0.0, 0.0), None, true).starts_with("[########################] 0 of 0"));
    }

    #[tokio::test(start_paused = true)]
    async fn the_rates_are_those_of_the_last_seconds() {
        let mut speed = Speed::new(Shown::default(), Instant::now());
        let mut shown = Shown::default();
        for second in 0..60 {
            tokio::time::advance(Duration::from_secs(1)).await;
            shown.rows += if second < 30 { 10 } else { 100 };
            speed.add(&shown, Instant::now());
        }
        assert_eq!(speed.rates(), (100.0, 0.0));
    }
}
