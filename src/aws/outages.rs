//! The outages at this moment: which domains do not work, and how much work each domain can take.
//!
//! A domain is a part of the outside that can fail by itself. The module that calls a domain decides by a
//! [`Breaker`](crate::base::Breaker) whether it works and reports that here. Everyone else reads it: messages that depend on
//! a broken domain are held, and receives from a queue stop if its messages cannot be finished.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;
use tracing::{error, info};

use crate::message::TopicArn;
use crate::telemetry::{DomainKind, Metrics, OutageLabels};

/// A part of the outside that can fail by itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Domain {
    /// SNS as a whole, or the credentials for it.
    Account,
    /// One topic, with its KMS key and its policy.
    Topic(TopicArn),
    /// One S3 bucket.
    Bucket(Arc<str>),
    /// The bucket of claim checks, as a place to store objects. It can be one of those that objects are read from.
    ClaimBucket(Arc<str>),
    /// The schema registry.
    SchemaRegistry,
}

impl Domain {
    /// Returns the kind of the domain.
    pub fn kind(&self) -> DomainKind {
        match self {
            Self::Account => DomainKind::Account,
            Self::Topic(_) => DomainKind::Topic,
            Self::Bucket(_) => DomainKind::Bucket,
            Self::ClaimBucket(_) => DomainKind::ClaimBucket,
            Self::SchemaRegistry => DomainKind::SchemaRegistry,
        }
    }

    /// Returns the name of the domain among those of its kind. It is never empty: to Prometheus, an empty label is none.
    pub fn name(&self) -> &str {
        match self {
            Self::Topic(topic) => topic.as_str(),
            Self::Bucket(bucket) | Self::ClaimBucket(bucket) => bucket,
            Self::Account => "sns",
            Self::SchemaRegistry => "confluent",
        }
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Account => f.write_str("SNS"),
            Self::Topic(topic) => write!(f, "the topic {topic}"),
            Self::Bucket(bucket) => write!(f, "the bucket {bucket}"),
            Self::ClaimBucket(bucket) => write!(f, "the bucket {bucket} of claim checks"),
            Self::SchemaRegistry => f.write_str("the schema registry"),
        }
    }
}

/// The outage of one domain.
#[derive(Debug, Clone)]
pub struct Outage {
    /// When it was noticed.
    pub since: SystemTime,
    /// The failure that it was noticed by.
    pub reason: String,
}

/// The outages of all domains.
#[derive(Debug)]
pub struct Outages {
    state: Mutex<State>,
    changed: Notify,
    metrics: Arc<Metrics>,
}

#[derive(Debug, Default)]
struct State {
    outages: BTreeMap<Domain, Outage>,
    /// The number of messages that a domain can take now, for those domains that cannot take any number.
    room: BTreeMap<Domain, usize>,
}

impl Outages {
    /// Creates the list; every domain works.
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self { state: Mutex::default(), changed: Notify::new(), metrics }
    }

    /// Records that an outage of the domain began.
    pub fn begin(&self, domain: &Domain, reason: impl fmt::Display) {
        let reason = reason.to_string();
        error!(%domain, reason, "outage: messages that depend on it are held and will be delivered when it works again");
        self.gauge(domain, 1);
        self.state.lock().outages.insert(domain.clone(), Outage { since: SystemTime::now(), reason });
        self.notify();
    }

    /// Records that the outage of the domain ended. Has no effect if there is none.
    pub fn end(&self, domain: &Domain) {
        self.remove(domain, "outage ended");
    }

    /// Ends the outage of a domain that no message depends on any more. Has no effect if there is none.
    pub fn forget(&self, domain: &Domain) {
        self.remove(domain, "outage no longer observed: no message depends on it");
    }

    fn remove(&self, domain: &Domain, why: &str) {
        if let Some(outage) = self.state.lock().outages.remove(domain) {
            let seconds = outage.since.elapsed().unwrap_or_default().as_secs();
            info!(%domain, seconds, "{why}");
            self.gauge(domain, 0);
            self.notify();
        }
    }

    /// Wakes everyone who waits for a change.
    pub fn notify(&self) {
        self.changed.notify_waiters();
    }

    /// Waits for a change: an outage that begins or ends, or a call of [`Outages::notify`]. Changes after this call are
    /// noticed, even before the future is polled.
    pub fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }

    /// Whether the domain is out at this moment.
    pub fn is_out(&self, domain: &Domain) -> bool {
        self.state.lock().outages.contains_key(domain)
    }

    /// Returns the outages at this moment.
    pub fn current(&self) -> BTreeMap<Domain, Outage> {
        self.state.lock().outages.clone()
    }

    /// Sets the number of messages that the domain can take now; `None` if it can take any number.
    pub fn set_room(&self, domain: Domain, room: Option<usize>) {
        let rooms = &mut self.state.lock().room;
        match room {
            Some(room) => rooms.insert(domain, room),
            None => rooms.remove(&domain),
        };
    }

    /// Returns the number of messages that the domain can take now. While SNS as a whole is out, no domain takes more than
    /// SNS, unless its own number was set.
    pub fn room(&self, domain: &Domain) -> usize {
        let State { outages, room } = &*self.state.lock();
        let room_of = |domain: &Domain| {
            let full_room = if outages.contains_key(domain) { 0 } else { usize::MAX };
            room.get(domain).copied().unwrap_or(full_room)
        };
        if room.contains_key(domain) { room_of(domain) } else { room_of(domain).min(room_of(&Domain::Account)) }
    }

    fn gauge(&self, domain: &Domain, level: u64) {
        self.metrics.outages.with(&OutageLabels { domain: domain.kind(), name: domain.name() }).set(level);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_shown_until_it_ends() {
        let metrics = Arc::new(Metrics::new(false));
        let outages = Outages::new(Arc::clone(&metrics));
        let topic = Domain::Topic("arn:aws:sns:eu-west-1:1:acme".into());
        outages.end(&topic);
        outages.begin(&topic, "KMSDisabled: the key is disabled");
        let line =
            |level| format!(r#"protobridge_outage{{domain="topic",name="arn:aws:sns:eu-west-1:1:acme"}} {level}"#);
        assert!(metrics.render().contains(&line(1)), "{}", metrics.render());
        assert_eq!(outages.current()[&topic].reason, "KMSDisabled: the key is disabled");
        outages.end(&topic);
        assert!(metrics.render().contains(&line(0)), "{}", metrics.render());
        assert!(!outages.is_out(&topic) && outages.current().is_empty());
    }

    #[test]
    fn a_domain_takes_any_number_of_messages_unless_it_is_out_or_full() {
        let outages = Outages::new(Arc::new(Metrics::new(false)));
        let bucket = Domain::Bucket("events".into());
        assert_eq!(outages.room(&bucket), usize::MAX);
        outages.begin(&bucket, "no answer");
        assert_eq!(outages.room(&bucket), 0);
        outages.set_room(bucket.clone(), Some(10));
        assert_eq!(outages.room(&bucket), 10, "some messages are needed as probes");
        outages.end(&bucket);
        outages.set_room(bucket.clone(), None);
        assert_eq!(outages.room(&bucket), usize::MAX);
        outages.begin(&Domain::Account, "no answer");
        assert_eq!(outages.room(&bucket), 0);
        outages.set_room(Domain::Account, Some(10));
        assert_eq!(outages.room(&bucket), 10, "some messages are needed as probes");
    }
}
