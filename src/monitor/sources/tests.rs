use std::path::PathBuf;

use super::*;
use crate::aws::Failure;
use crate::aws::sqs::receive::{PollSpan, Receptions};
use crate::config::{Config, Descriptors, ExpectedSource, Queue, Taps};
use crate::schema::registry::{Profiles, Registry, Snapshot};
use crate::telemetry::SourceState;

const SECOND: Duration = Duration::from_secs(1);

/// Sources of two queues, `a` and `b`, at a time that the test moves.
struct Stage {
    sources: Sources,
    receptions: Receptions,
    snapshot: Arc<Snapshot>,
    metrics: Arc<Metrics>,
    now: Instant,
    /// The clock of SQS, which is wrong.
    theirs: SystemTime,
}

fn stage(heartbeats: Heartbeats) -> Stage {
    let queue = |name: &str| Queue { url: format!("https://sqs.eu-west-1.amazonaws.com/1/{name}"), ..Queue::default() };
    let config = Config { queues: vec![queue("a"), queue("b")], heartbeats, ..Config::default() };
    let metrics = Arc::new(Metrics::new(false));
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/descriptors/shop.binpb"));
    let profiles = Arc::new(Profiles::new(&Default::default()));
    let registry =
        Registry::load(&Descriptors { path: path.into(), ..Descriptors::default() }, &Taps::default(), profiles)
            .unwrap();
    Stage {
        sources: Sources::new(&config.heartbeats, None, Arc::clone(&metrics)),
        receptions: Receptions::new(&config, None, &metrics),
        snapshot: registry.current(),
        metrics,
        now: Instant::now() + 10_000 * SECOND,
        theirs: SystemTime::UNIX_EPOCH + 1_000_000 * SECOND,
    }
}

impl Stage {
    fn pass(&mut self, seconds: u32) {
        self.now += seconds * SECOND;
        self.theirs += seconds * SECOND;
    }

    /// A poll that is answered now.
    fn poll(&self) -> PollSpan {
        PollSpan { began: self.now, ended: self.now, wait: Duration::ZERO }
    }

    /// Lets all queues be found empty now.
    fn empty(&self) {
        for reception in self.receptions.iter() {
            reception.note_answer();
            reception.evidence.note_empty(self.poll());
        }
    }

    /// Lets a poll of each queue fail.
    fn fail(&self) {
        let failure = Failure::of_entry("AccessDenied", None, true);
        self.receptions.iter().for_each(|reception| reception.note_failure(&failure));
    }

    /// Receives a message now that was on the queue for `lag` seconds.
    fn message(&self, queue: usize, lag: u32, receive_count: u32) -> Message {
        let reception = self.receptions.iter().nth(queue).unwrap();
        let mut message = Message::for_tests(crate::message::Queue::for_tests(), "", &[], None);
        message.queue = Arc::clone(&reception.queue);
        (message.received, message.first_received, message.receive_count) = (self.now, self.theirs, receive_count);
        message.sent = self.theirs - lag * SECOND;
        reception.note_answer();
        reception.evidence.note_messages([&message].into_iter(), self.poll());
        message
    }

    fn hear(&self, source: &str, number: u64, lag: u32) {
        self.hear_again(source, number, lag, 1);
    }

    fn hear_again(&self, source: &str, number: u64, lag: u32, receive_count: u32) {
        let message = self.message(0, lag, receive_count);
        self.note(source, number, message.sent + 300 * SECOND, &message);
    }

    /// Receives a new message with a heartbeat that the source had sent at a time by its own clock.
    fn hear_copy(&self, source: &str, number: u64, sent_at: SystemTime) {
        self.note(source, number, sent_at, &self.message(0, 0, 1));
    }

    fn note(&self, source: &str, number: u64, sent_at: SystemTime, message: &Message) {
        let heartbeat =
            Heartbeat { source: source.into(), sequence: Some(number), sent_at: Some(sent_at), interval: 10 * SECOND };
        self.sources.note(Some(&heartbeat), self.snapshot.find("protobridge.v1.Heartbeat").unwrap(), message);
    }

    /// Receives a heartbeat without a number.
    fn hear_unnumbered(&self, source: &str, receive_count: u32) {
        let message = self.message(0, 0, receive_count);
        let heartbeat = Heartbeat { source: source.into(), sequence: None, sent_at: None, interval: 10 * SECOND };
        self.sources.note(Some(&heartbeat), self.snapshot.find("protobridge.v1.Heartbeat").unwrap(), &message);
    }

    fn receive(&self, event_type: &str, queue: usize) {
        self.sources.note(None, self.snapshot.find(event_type).unwrap(), &self.message(queue, 0, 1));
    }

    fn reports(&self) -> Vec<SourceReport> {
        let reports = self.sources.report(&self.receptions, &self.snapshot, self.now);
        self.sources.show(&reports, SystemTime::UNIX_EPOCH + 5_000_000 * SECOND);
        reports
    }

    fn states(&self) -> String {
        let state = |report: &SourceReport| format!("{} {}", report.source, report.state.code());
        self.reports().iter().map(state).collect::<Vec<_>>().join(", ")
    }
}

fn expect(source: &str, events: &[&str]) -> ExpectedSource {
    let events = events.iter().map(|glob| (*glob).to_owned()).collect();
    ExpectedSource { source: source.into(), events, ..ExpectedSource::default() }
}

#[test]
fn a_source_is_unknown_then_flows_falls_quiet_and_is_stale() {
    let mut stage = stage(Heartbeats { expect: vec![expect("eu", &[])], ..Heartbeats::default() });
    stage.empty();
    assert_eq!(stage.states(), "eu unknown");
    stage.hear("eu", 1, 0);
    assert_eq!(stage.states(), "eu quiet");
    stage.receive("shop.v1.OrderPlaced", 1);
    assert_eq!(stage.states(), "eu quiet", "the event is on another queue than the source");
    stage.receive("shop.v1.OrderPlaced", 0);
    assert_eq!(stage.states(), "eu flowing");
    stage.pass(29);
    stage.empty();
    assert_eq!(stage.states(), "eu flowing");
    stage.pass(1);
    stage.empty();
    assert_eq!(stage.states(), "eu stale");
    stage.hear("eu", 5, 0);
    assert_eq!(stage.states(), "eu quiet");
    let report = &stage.reports()[0];
    assert_eq!((report.sequence, report.gaps), (Some(5), 0));
    stage.pass(30);
    stage.empty();
    let report = &stage.reports()[0];
    assert_eq!((report.gaps, report.restarts, report.state), (3, 0, SourceState::Stale));
    let text = stage.metrics.render();
    for line in [
        "protobridge_source_heartbeats_total{source=\"eu\"} 2",
        "protobridge_source_sequence_gaps_total{source=\"eu\"} 3",
        "protobridge_source_restarts_total{source=\"eu\"} 0",
        "protobridge_source_state{source=\"eu\",state=\"stale\"} 1",
        "protobridge_source_state{source=\"eu\",state=\"late\"} 0",
        "protobridge_source_heartbeat_received_timestamp_seconds{source=\"eu\"} 4999970",
        "protobridge_source_proven_until_timestamp_seconds{source=\"eu\"} 5000000",
        "protobridge_source_interval_seconds{source=\"eu\"} 10",
        "protobridge_source_stale_after_seconds{source=\"eu\"} 30",
        "protobridge_source_sequence{source=\"eu\"} 5",
        "protobridge_source_lag_seconds{source=\"eu\",leg=\"before_queue\"} -300",
        "protobridge_source_lag_seconds{source=\"eu\",leg=\"in_queue\"} 0",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
}

#[test]
fn a_source_is_late_and_never_stale_while_its_queue_is_behind() {
    let mut stage = stage(Heartbeats::default());
    stage.hear("eu", 1, 0);
    stage.pass(600);
    assert_eq!(stage.states(), "eu late", "no poll has answered for ten minutes");
    // The backlog is received: old messages first, and the newest ones last.
    for number in 2..60 {
        stage.hear("eu", number, 600 - 10 * (number as u32 - 1));
        assert_eq!(stage.states(), "eu late", "heartbeat {number}");
        stage.pass(1);
    }
    stage.pass(10);
    stage.empty();
    assert_eq!(stage.states(), "eu stale", "the queue is empty, and the last heartbeat is old");
}

#[test]
fn events_of_a_source_are_those_of_its_globs() {
    let stage = stage(Heartbeats { expect: vec![expect("eu", &["shop.v1.Order*"])], ..Heartbeats::default() });
    stage.hear("eu", 1, 0);
    stage.receive("shop.v1.PaymentFailed", 0);
    stage.receive("protobridge.v1.Canary", 0);
    assert_eq!(stage.states(), "eu quiet");
    stage.receive("shop.v1.OrderPlaced", 1);
    assert_eq!(stage.states(), "eu flowing");
}

#[test]
fn a_message_that_was_received_before_counts_only_if_its_heartbeat_is_newer() {
    let mut stage = stage(Heartbeats::default());
    stage.hear("eu", 7, 0);
    stage.hear("eu", 9, 0);
    stage.pass(40);
    stage.empty();
    for number in [8, 6, 7, 9] {
        stage.hear_again("eu", number, 0, 2);
        assert_eq!(stage.states(), "eu stale", "heartbeat {number}");
    }
    stage.hear_again("eu", 10, 0, 2);
    assert_eq!(stage.states(), "eu quiet");
    assert_eq!(stage.metrics.monitor.heartbeats.sum(), 2, "the message of heartbeat 10 was received before");
}

#[test]
fn a_source_of_which_only_old_messages_without_a_number_came_is_not_shown() {
    let stage = stage(Heartbeats { max_sources: 1, ..Heartbeats::default() });
    stage.hear_unnumbered("eu", 2);
    assert_eq!(stage.states(), "");
    stage.hear_unnumbered("eu", 1);
    stage.hear_again("us", 1, 0, 2);
    assert_eq!(stage.states(), "eu quiet");
}

#[test]
fn a_source_is_late_while_a_message_that_can_be_its_heartbeat_is_not_read() {
    let (mut stage, clients) =
        (stage(Heartbeats::default()), crate::aws::scripted::clients(|_, _| (200, "{}".into())).0);
    let visibility =
        crate::aws::sqs::visibility::Visibility::new(clients.lean, Arc::clone(&stage.metrics), 30 * SECOND);
    stage.hear("eu", 1, 0);
    stage.pass(10);
    let hold = visibility.hold(&stage.message(0, 0, 1), &"receipt".into(), stage.now);
    stage.receptions.note_unread(&visibility);
    assert_eq!(stage.reports()[0].unread, None, "it was received just now");
    stage.pass(30);
    stage.empty();
    stage.receptions.note_unread(&visibility);
    assert_eq!(stage.states(), "eu late");
    let text = stage.metrics.render();
    assert!(text.contains("protobridge_source_unread_since_timestamp_seconds{source=\"eu\"} 4999970\n"), "{text}");
    hold.mark_read();
    stage.receptions.note_unread(&visibility);
    assert_eq!(stage.states(), "eu stale");
}

#[test]
fn a_source_that_starts_again_is_heard_and_counted() {
    let mut stage = stage(Heartbeats::default());
    stage.hear("eu", 90, 0);
    stage.pass(60);
    stage.empty();
    stage.hear("eu", 1, 0);
    stage.hear("eu", 2, 0);
    let report = &stage.reports()[0];
    assert_eq!((report.state, report.sequence, report.restarts), (SourceState::Quiet, Some(2), 1));
    assert_eq!(stage.metrics.monitor.restarts.sum(), 1);
}

#[test]
fn while_polls_fail_a_source_is_stale_only_if_it_was_stale_before() {
    let mut stage = stage(Heartbeats::default());
    stage.hear("eu", 1, 0);
    stage.pass(13);
    // The next heartbeat can be a few seconds late.
    stage.empty();
    stage.fail();
    stage.pass(18);
    assert_eq!(stage.states(), "eu late");
    assert_eq!(stage.reports()[0].unproven, None);
    stage.empty();
    assert_eq!(stage.states(), "eu stale");
    stage.fail();
    assert_eq!(stage.states(), "eu stale");
    stage.pass(31);
    assert_eq!(stage.states(), "eu late", "the proof is too old");
}

#[test]
fn a_producer_that_repeats_its_heartbeats_is_neither_alive_nor_started_again() {
    let mut stage = stage(Heartbeats { expect: vec![expect("eu", &[])], ..Heartbeats::default() });
    let mut sent = Vec::new();
    for number in 1..=40 {
        sent.push((number, stage.theirs));
        stage.hear_copy("eu", number, stage.theirs);
        stage.pass(10);
    }
    for (number, sent_at) in sent.iter().skip(10).cycle().take(90) {
        stage.hear_copy("eu", *number, *sent_at);
        stage.pass(10);
    }
    stage.empty();
    assert_eq!(stage.states(), "eu stale");
    stage.hear_copy("eu", 41, stage.theirs);
    assert_eq!(stage.states(), "eu quiet");
    let report = &stage.reports()[0];
    assert_eq!((report.sequence, report.gaps, report.restarts), (Some(41), 0, 0));
    assert_eq!(stage.metrics.monitor.heartbeats.sum(), 41);
}

#[test]
fn sources_beyond_the_limit_share_a_name_and_expected_ones_keep_theirs() {
    let expected = vec![expect("eu", &[]), expect("us", &[])];
    let stage = stage(Heartbeats { expect: expected, max_sources: 2, ..Heartbeats::default() });
    for (number, source) in (1..).zip(["x1", "x2", "x3", "x4", "eu", "x1"]) {
        stage.hear(source, number, 0);
    }
    assert_eq!(stage.states(), "eu quiet, other quiet, us unknown, x1 quiet, x2 quiet");
    assert_eq!(stage.metrics.monitor.heartbeats.sum(), 6);
}
