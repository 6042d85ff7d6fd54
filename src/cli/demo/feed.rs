//! The producer of the demo: sends events to the input queue, a few of them through a topic that feeds the queue. The
//! events come from two sources, and one of these stops early. [`sources`](super::sources) sends the heartbeats of
//! both.

use std::collections::VecDeque;
use std::time::Duration;

use anyhow::Context as _;
use fastrand::Rng;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::course::Course;
use super::sources::Signals;
use super::stage::{CUSTOMERS, Stage};
use super::target::{Outgoing, Target};
use super::{Args, Books};
use crate::aws::MAX_BATCH_ENTRIES;
use crate::cli::embedded::samples::{CHANGE, Sample, Samples};

/// The producer. It decides which event is sent when.
#[derive(Debug)]
pub(super) struct Feed {
    samples: Samples,
    random: Rng,
    rate: u32,
    /// The number of events to send in total.
    events: u64,
    sent: u64,
    course: Course,
    /// The number of events since the last change of the database.
    since_change: u64,
    /// On average, one in this number of acme's events is sent twice.
    twice: Option<u64>,
    /// The events that are sent again, each with the number of events that are sent before.
    again: VecDeque<(u64, Outgoing)>,
    signals: Signals,
    target: Target,
    books: Books,
}

/// On average, one event in this number is malformed.
const MALFORMED_ONE_IN: u64 = 200;
/// On average, one event in this number is of unknown type.
const UNKNOWN_ONE_IN: u64 = 250;
/// This event, counted from 0, is always malformed, so that a short demo shows one.
const FIRST_MALFORMED: u64 = 13;
/// This event, counted from 0, is always of unknown type.
const FIRST_UNKNOWN: u64 = 17;
/// On average, one event in this number is published to the topic that feeds the queue.
const BY_TOPIC_ONE_IN: u64 = 10;
/// The maximum number of batches that are sent at the same time.
const CONCURRENT_SENDS: usize = 16;
/// The number of events without an outcome from which the producer waits for the service.
const MAX_BACKLOG: u64 = 1_000;

impl Feed {
    pub(super) fn new(args: &Args, stage: &Stage, books: Books, signals: Signals) -> Self {
        let course = Course::new(args.events, args.rate);
        Self {
            samples: Samples::new(args.seed),
            // A stream of its own: it must not depend on how many random numbers the samples take.
            random: Rng::with_seed(args.seed.rotate_left(32)),
            rate: args.rate,
            events: args.events.unwrap_or(u64::MAX),
            sent: 0,
            course,
            // The second event is a change, so that both sources send events from the start.
            since_change: course.most_between_changes.saturating_sub(1),
            twice: args.twice,
            again: VecDeque::new(),
            signals,
            target: Target::new(stage),
            books,
        }
    }

    /// Sends events until all are sent or `stop` is cancelled.
    ///
    /// # Errors
    /// Returns an error if the queue or the topic refuses an event, which only a bug can cause.
    pub(super) async fn run(mut self, stop: &CancellationToken) -> anyhow::Result<()> {
        let started = Instant::now();
        let mut sends = JoinSet::new();
        while self.sent < self.events {
            let Some(count) = stop.run_until_cancelled(self.wait_for_batch(started)).await else { break };
            let (mut direct, mut by_topic) = (Vec::new(), Vec::new());
            for _ in 0..count {
                let event = self.next_event();
                let list = if self.one_in(BY_TOPIC_ONE_IN) { &mut by_topic } else { &mut direct };
                list.push(event);
            }
            let (room, is_last) = (MAX_BATCH_ENTRIES - direct.len(), self.sent >= self.events);
            direct.extend(self.due_again(room));
            if is_last {
                // The last events are sent again at the end.
                while let Some((_, event)) = self.again.pop_front() {
                    self.target.send(vec![event]).await?;
                }
            }
            while sends.len() >= CONCURRENT_SENDS {
                check_sent(sends.join_next().await)?;
            }
            let (target, signals, have_begun) = (self.target.clone(), self.signals.clone(), self.sent >= 2);
            sends.spawn(async move {
                target.send(direct).await?;
                target.publish(by_topic).await?;
                if have_begun {
                    signals.events_began.cancel();
                }
                anyhow::Ok(())
            });
            if self.sent >= self.course.events_of_database {
                self.signals.database_fell_silent.cancel();
            }
        }
        while !sends.is_empty() {
            check_sent(sends.join_next().await)?;
        }
        Ok(())
    }

    /// Waits until events are due, and returns their number.
    async fn wait_for_batch(&self, started: Instant) -> u64 {
        while self.books.backlog() >= MAX_BACKLOG {
            sleep(Duration::from_millis(5)).await;
        }
        let left = self.events - self.sent;
        if self.rate == 0 {
            return left.min(MAX_BATCH_ENTRIES as u64);
        }
        // At most as many events as are due within 50 ms, and at most one full batch.
        let count = u64::from(self.rate / 20).clamp(1, MAX_BATCH_ENTRIES as u64).min(left);
        let due = (self.sent + count) as f64 / f64::from(self.rate);
        sleep_until(started + Duration::from_secs_f64(due)).await;
        count
    }

    fn next_event(&mut self) -> Outgoing {
        let number = self.sent;
        let sample = if number == FIRST_MALFORMED || self.one_in(MALFORMED_ONE_IN) {
            let whole = self.event_of_a_source();
            self.samples.truncated(whole)
        } else if number == FIRST_UNKNOWN || self.one_in(UNKNOWN_ONE_IN) {
            self.samples.unknown_type(&CUSTOMERS.each_ref().map(|customer| customer.id))
        } else {
            let sample = self.event_of_a_source();
            self.may_repeat(&sample);
            sample
        };
        self.sent += 1;
        let outgoing = Outgoing::new(&sample);
        self.books.ledger.record_sent(&sample, &outgoing.body);
        outgoing
    }

    /// Decides whether an event is sent again, about a second later.
    fn may_repeat(&mut self, sample: &Sample) {
        let Some(twice) = self.twice.filter(|_| sample.customer.as_deref() == Some(CUSTOMERS[0].id)) else { return };
        if self.one_in(twice) {
            self.again.push_back((self.sent + u64::from(self.rate.max(1)), Outgoing::new(sample)));
            self.books.ledger.record_repeated();
        }
    }

    /// Returns the events that are due to be sent again, at most as many as there is room for.
    fn due_again(&mut self, room: usize) -> Vec<Outgoing> {
        let mut due = Vec::new();
        while due.len() < room
            && let Some((_, event)) = self.again.pop_front_if(|(at, _)| *at <= self.sent)
        {
            due.push(event);
        }
        due
    }

    /// Returns the next event of the backend or of the database.
    fn event_of_a_source(&mut self) -> Sample {
        let customers = CUSTOMERS.each_ref().map(|customer| customer.id);
        let sample = if self.sent >= self.course.events_of_database {
            self.samples.backend_event(&customers)
        } else if self.since_change >= self.course.most_between_changes {
            self.samples.change(&customers)
        } else {
            self.samples.next_event(&customers)
        };
        self.since_change = if sample.message_type == CHANGE { 0 } else { self.since_change + 1 };
        sample
    }

    /// Returns true with a probability of one in `count`.
    fn one_in(&mut self, count: u64) -> bool {
        self.random.u64(..count) == 0
    }
}

/// Returns the result of a finished task.
fn check_sent(send: Option<Result<anyhow::Result<()>, tokio::task::JoinError>>) -> anyhow::Result<()> {
    match send {
        Some(sent) => sent.context("sending events failed")?,
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::Arc;

    use base64::prelude::{BASE64_STANDARD, Engine as _};
    use clap::Parser;

    use super::super::ledger::Ledger;
    use super::*;
    use crate::app::Loaded;
    use crate::cli::embedded::samples::UNKNOWN_TYPE;
    use crate::telemetry::Metrics;

    #[derive(Debug, Parser)]
    struct Demo {
        #[command(flatten)]
        args: Args,
    }

    #[tokio::test]
    async fn the_first_twenty_events_include_a_change_a_malformed_event_and_one_of_unknown_type() {
        let args = Demo::parse_from(["demo", "--events", "20", "--rate", "0"]).args;
        let stage = Stage::build(&args).await.unwrap();
        let books = Books { ledger: Arc::new(Ledger::new()), metrics: Arc::new(Metrics::new(true)) };
        let signals = Signals::default();
        let feed = Feed::new(&args, &stage, books.clone(), signals.clone());
        feed.run(&CancellationToken::new()).await.unwrap();
        assert_eq!(books.ledger.sent(), 20);
        assert!(signals.events_began.is_cancelled() && signals.database_fell_silent.is_cancelled());

        let events = super::super::watch::drain_input_queue(&stage, 20).await;
        assert_eq!(events.iter().collect::<HashSet<_>>().len(), 20, "each event is on the queue once");
        let loaded = Loaded::load(&stage.config).unwrap();
        assert_eq!(loaded.warnings, []);
        let mut feed = Feed::new(&args, &stage, books, signals);
        let sent: Vec<Outgoing> = (0..20).map(|_| feed.next_event()).collect();
        let is_decodable = |event: &Outgoing| {
            let payload = BASE64_STANDARD.decode(&event.body).unwrap();
            let registry = loaded.registry.current();
            let plan = registry.find(&event.message_type)?.plan(Default::default());
            Some(plan.transcode(&payload, &mut Vec::new()).is_ok())
        };
        assert_eq!(sent[1].message_type, CHANGE);
        assert!(sent[4..].iter().all(|event| event.message_type != CHANGE), "the database has fallen silent");
        assert_eq!(is_decodable(&sent[13]), Some(false));
        assert_eq!((sent[17].message_type.as_str(), is_decodable(&sent[17])), (UNKNOWN_TYPE, None));
        assert!(sent.iter().all(|event| event.event_id.is_none()), "the payload has the id");
    }
}
