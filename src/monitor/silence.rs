//! Silence rules: event types that must not stop.
//!
//! A rule is absolute, or relative to sibling types: then it counts only while one of these flows, so that a quiet
//! night is no silence. Heartbeats and canaries are no events.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use crate::aws::sqs::receive::{Proof, Receptions};
use crate::config::SilenceRule;
use crate::route::Glob;
use crate::schema::registry::Snapshot;
use crate::telemetry::{Metrics, TypeLabels};

/// The silence rules of a configuration.
#[derive(Debug)]
pub struct Silence {
    rules: Vec<Rule>,
    started: Instant,
    metrics: Arc<Metrics>,
}

#[derive(Debug)]
struct Rule {
    types: Vec<Glob>,
    within: Duration,
    siblings: Vec<Glob>,
}

/// The proofs of the polls, and whether a message that is not read yet reached a queue within two times.
type Evidence<'e> = (Proof, &'e dyn Fn((Option<Instant>, Instant)) -> bool);

/// The state of a type under a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TypeState {
    /// No event was received since the start, and the start is not long enough ago to say more.
    Unknown,
    /// The last event is recent.
    Flowing,
    /// The last event is too long ago.
    Silent,
    /// The rule does not count, because none of the types of `while` flows.
    Idle,
    /// The type cannot be judged, because this process is behind or cannot receive.
    Late,
}

impl TypeState {
    /// Returns the name of the state.
    pub fn code(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Flowing => "flowing",
            Self::Silent => "silent",
            Self::Idle => "idle",
            Self::Late => "late",
        }
    }
}

/// The state of one rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SilenceReport {
    /// The longest time between two events of a type.
    pub within: Duration,
    /// The types of the rule, sorted by name: the state, and the time since the last event.
    pub types: Vec<(String, TypeState, Option<Duration>)>,
    /// The types that make the rule count and had an event, with the time since the last one.
    pub siblings: Vec<(String, Duration)>,
}

impl Silence {
    /// Creates the rules of a service that started at this time.
    pub fn new(rules: &[SilenceRule], metrics: Arc<Metrics>, started: Instant) -> Self {
        let globs = |list: &[String]| list.iter().map(|glob| Glob::new(glob)).collect();
        let rule = |rule: &SilenceRule| Rule {
            types: globs(&rule.types),
            within: Duration::from_secs(rule.within_seconds),
            siblings: globs(&rule.r#while),
        };
        Self { rules: rules.iter().map(rule).collect(), started, metrics }
    }

    /// Returns the state of each rule.
    pub fn report(&self, receptions: &Receptions, snapshot: &Snapshot, now: Instant) -> Vec<SilenceReport> {
        if self.rules.is_empty() {
            return Vec::new();
        }
        let proof = receptions.iter().map(|reception| reception.evidence.at(now)).reduce(Proof::and);
        let proof = proof.unwrap_or(Proof { proven_until: None, lag: Duration::ZERO });
        let types: BTreeMap<&str, Option<Instant>> =
            snapshot.event_types().map(|known| (&*known.name, known.last_event.get())).collect();
        let has_unread =
            |within| receptions.iter().any(|reception| reception.evidence.first_unread(within, None).is_some());
        self.rules.iter().map(|rule| rule.report(&types, (proof, &has_unread), (self.started, now))).collect()
    }

    /// Sets the gauges of the types that rules name.
    pub fn show(&self, reports: &[SilenceReport], wall: SystemTime) {
        let wall = wall.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let (mut last_events, mut limits) = (BTreeMap::new(), BTreeMap::<&str, Duration>::new());
        for report in reports {
            for (name, state, age) in &report.types {
                last_events.extend(age.map(|age| (name.as_str(), age)));
                if matches!(state, TypeState::Flowing | TypeState::Silent) {
                    let limit = limits.entry(name).or_insert(report.within);
                    *limit = (*limit).min(report.within);
                }
            }
            last_events.extend(report.siblings.iter().map(|(name, age)| (name.as_str(), *age)));
        }
        let labels = |event_type| TypeLabels { event_type };
        let metrics = &self.metrics.monitor;
        let last_event = |(name, age): (_, Duration)| (labels(name), wall.as_secs_f64() - age.as_secs_f64());
        metrics.last_events.set(last_events.into_iter().map(last_event));
        metrics.silence_limits.set(limits.into_iter().map(|(name, limit)| (labels(name), limit.as_secs_f64())));
    }
}

impl Rule {
    fn report(
        &self,
        types: &BTreeMap<&str, Option<Instant>>,
        evidence: Evidence<'_>,
        (started, now): (Instant, Instant),
    ) -> SilenceReport {
        let age = |at: Instant| now.saturating_duration_since(at);
        let matches = |globs: &[Glob], name: &str| globs.iter().any(|glob| glob.matches(name));
        let siblings: Vec<(String, Duration)> = types
            .iter()
            .filter(|(name, _)| matches(&self.siblings, name))
            .filter_map(|(name, last)| Some(((*name).to_owned(), age((*last)?))))
            .collect();
        let counts = self.siblings.is_empty() || siblings.iter().any(|(_, age)| *age < self.within);
        // A type that only a wildcard names can be a part of events. It must have had an event.
        let is_meant = |name: &str, last: Option<Instant>| match last {
            Some(_) => matches(&self.types, name),
            None => self.types.iter().any(|glob| glob.as_str() == name),
        };
        let judged = types.iter().filter(|(name, last)| is_meant(name, **last)).map(|(name, last)| {
            let state = self.judge(*last, counts, evidence, (started, now));
            ((*name).to_owned(), state, last.map(age))
        });
        SilenceReport { within: self.within, types: judged.collect(), siblings }
    }

    /// Returns the state of a type. `counts` says whether the rule counts.
    fn judge(
        &self,
        last: Option<Instant>,
        counts: bool,
        (proof, has_unread): Evidence<'_>,
        (started, now): (Instant, Instant),
    ) -> TypeState {
        let since = last.unwrap_or(started);
        if now.saturating_duration_since(since) < self.within {
            return if last.is_some() { TypeState::Flowing } else { TypeState::Unknown };
        }
        if !counts {
            return TypeState::Idle;
        }
        let is_proven =
            proof.lag <= self.within && proof.proven_until.is_some_and(|until| until >= since + self.within);
        let is_silent = is_proven && !has_unread((Some(since), since + self.within));
        if is_silent { TypeState::Silent } else { TypeState::Late }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_silent_only_while_its_siblings_flow_and_the_queues_prove_it() {
        let settings =
            SilenceRule { types: vec!["a.B".into(), "a.X*".into()], within_seconds: 60, r#while: vec!["a.C".into()] };
        let silence = Silence::new(&[settings], Arc::new(Metrics::new(false)), Instant::now());
        let rule = &silence.rules[0];
        let (started, second) = (silence.started, |n| silence.started + Duration::from_secs(n));
        // The last events of `a.B` and of `a.C`, the proof, and the state of `a.B`; in seconds after the start.
        for (now, last, sibling, proven, lag, expected) in [
            (59, None, Some(59), Some(59), 0, TypeState::Unknown),
            (60, None, Some(59), Some(60), 0, TypeState::Silent),
            (60, None, None, Some(60), 0, TypeState::Idle),
            (100, Some(41), None, Some(100), 0, TypeState::Flowing),
            (100, Some(40), Some(99), Some(100), 0, TypeState::Silent),
            (100, Some(40), Some(40), Some(100), 0, TypeState::Idle),
            (100, Some(40), Some(99), Some(99), 0, TypeState::Late),
            (100, Some(40), Some(99), Some(100), 61, TypeState::Late),
            (100, Some(40), Some(99), None, 0, TypeState::Late),
        ] {
            let types = BTreeMap::from([
                ("a.B", last.map(second)),
                ("a.C", sibling.map(second)),
                ("a.Xyz", None),
                ("a.Xy", Some(second(now))),
            ]);
            let proof = Proof { proven_until: proven.map(second), lag: Duration::from_secs(lag) };
            let report = rule.report(&types, (proof, &|_| false), (started, second(now)));
            let found: Vec<_> = report.types.iter().map(|(name, state, _)| (name.as_str(), *state)).collect();
            assert_eq!(
                found,
                [("a.B", expected), ("a.Xy", TypeState::Flowing)],
                "{now} {last:?} {sibling:?} {proven:?}"
            );
        }
    }

    #[test]
    fn a_type_is_late_while_a_message_that_can_be_its_event_is_not_read() {
        let settings = SilenceRule { types: vec!["a.B".into()], within_seconds: 60, ..SilenceRule::default() };
        let silence = Silence::new(&[settings], Arc::new(Metrics::new(false)), Instant::now());
        let (started, minute) = (silence.started, Duration::from_secs(60));
        let proof = Proof { proven_until: Some(started + 2 * minute), lag: Duration::ZERO };
        let state = |unread: Instant| {
            let is_within =
                move |(after, until): (Option<Instant>, Instant)| after.is_none_or(|it| it < unread) && unread < until;
            let times = (started, started + 2 * minute);
            silence.rules[0].report(&BTreeMap::from([("a.B", None)]), (proof, &is_within), times).types[0].1
        };
        assert_eq!(state(started + minute / 2), TypeState::Late);
        assert_eq!(state(started + minute), TypeState::Silent);
    }

    #[test]
    fn a_rule_without_siblings_always_counts() {
        let settings = SilenceRule { types: vec!["a.B".into()], within_seconds: 60, ..SilenceRule::default() };
        let silence = Silence::new(&[settings], Arc::new(Metrics::new(false)), Instant::now());
        let later = silence.started + Duration::from_secs(60);
        let proof = Proof { proven_until: Some(later), lag: Duration::ZERO };
        let reports =
            [silence.rules[0].report(&BTreeMap::from([("a.B", None)]), (proof, &|_| false), (silence.started, later))];
        assert_eq!(reports[0].types, [("a.B".to_owned(), TypeState::Silent, None)]);
        silence.show(&reports, SystemTime::now());
        let text = silence.metrics.render();
        assert!(text.contains("protobridge_event_type_silence_limit_seconds{event_type=\"a.B\"} 60"), "{text}");
        assert!(!text.contains("protobridge_event_type_last_received_timestamp_seconds{"), "{text}");
    }
}
