//! A model of Prometheus that scrapes all replicas and evaluates the rule of `ProtobridgeSourceStale` for one source.

use std::time::Duration;

use protobridge::monitor::sources::SourceReport;
use tokio::time::Instant;

/// The window of the rule.
const WINDOW: Duration = Duration::from_secs(15 * 60);
/// The time for which the rule's expression must hold until its alert fires.
const FOR: Duration = Duration::from_secs(60);
/// The time by which a heartbeat can be late, in the rule.
const JITTER: Duration = Duration::from_secs(1);
/// The age that a proof has at most while polls succeed, in the rule.
const LONGEST_POLL: Duration = Duration::from_secs(21);
/// The age at a scrape beyond which the rule does not rely on a proof, unless the interval is longer.
const FRESH: Duration = Duration::from_secs(30);

/// The scraped samples about one source, and since when the expression of the rule holds.
pub(super) struct Prometheus {
    source: &'static str,
    samples: Vec<Sample>,
    /// The time of the last scrape.
    scraped: Option<Instant>,
    /// The latest proof that any replica showed at the last scrape.
    proven_until: Option<Instant>,
    /// When the first message reached its queue that a replica had received and not read at the last scrape.
    unread_since: Option<Instant>,
    holds_since: Option<Instant>,
}

/// The result of one evaluation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Evaluation {
    /// Whether the expression holds.
    pub(super) holds: bool,
    /// Whether the expression has held for so long that the alert fires.
    pub(super) fires: bool,
}

/// The statement of one replica about its last heartbeat.
struct Sample {
    at: Instant,
    received: Instant,
    interval: Duration,
    stale_after: Duration,
}

impl Prometheus {
    pub(super) fn new(source: &'static str) -> Self {
        Self { source, samples: Vec::new(), scraped: None, proven_until: None, unread_since: None, holds_since: None }
    }

    /// Notes what the running replicas say.
    pub(super) fn scrape(&mut self, reports: &[Vec<SourceReport>]) {
        let now = Instant::now();
        let source = self.source;
        let known = || reports.iter().flatten().filter(|report| report.source == source);
        self.scraped = Some(now);
        self.proven_until = known().filter_map(|report| now.checked_sub(report.unproven?)).max();
        self.unread_since = known().filter_map(|report| now.checked_sub(report.unread?)).min();
        self.samples.extend(known().filter_map(|report| {
            let (age, interval, stale_after) = (report.age?, report.interval?, report.stale_after?);
            Some(Sample { at: now, received: now - age, interval, stale_after })
        }));
        self.samples.retain(|sample| now - sample.at < WINDOW);
    }

    /// Evaluates the rule on the samples.
    pub(super) fn evaluate(&mut self) -> Evaluation {
        let now = Instant::now();
        let holds = self.holds(now).unwrap_or(false);
        self.holds_since = if holds { self.holds_since.or(Some(now)) } else { None };
        Evaluation { holds, fires: self.holds_since.is_some_and(|since| now - since >= FOR) }
    }

    /// Whether the expression of the rule holds. Returns `None` if samples are lacking.
    fn holds(&self, now: Instant) -> Option<bool> {
        let received = self.samples.iter().map(|sample| sample.received).max()?;
        let interval = self.samples.iter().map(|sample| sample.interval).max()?;
        let stale_after = self.samples.iter().map(|sample| sample.stale_after).max()?;
        let (scraped, proven_until) = (self.scraped?, self.proven_until?);
        let is_fresh = |at: Instant| scraped.saturating_duration_since(at) <= interval.max(FRESH);
        let is_proven = proven_until >= received + interval + JITTER
            && proven_until + LONGEST_POLL >= received + stale_after
            && is_fresh(proven_until);
        let is_read = self.unread_since.is_none_or(|unread| unread >= received + stale_after && is_fresh(unread));
        Some(now - received > stale_after && is_proven && is_read)
    }
}
