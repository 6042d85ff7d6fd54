//! Why an entry did not reach its topic: its JSON was not stored, or SNS did not accept it.

use crate::aws::outages::Domain;
use crate::aws::sns::publish::{self, Trail};
use crate::message::{RetryCause, TopicArn};

/// Why an entry did not reach its topic.
#[derive(Debug, thiserror::Error)]
pub enum EntryError {
    /// The JSON of its claim check was not stored, so nothing was published.
    #[error(transparent)]
    NotStored(#[from] NotStored),
    /// SNS did not accept it.
    #[error(transparent)]
    Publish(#[from] publish::Error),
}

/// Why the JSON of an entry was not stored.
#[derive(Debug, thiserror::Error)]
#[error("the JSON for {topic} is not stored: {why}")]
pub struct NotStored {
    topic: TopicArn,
    why: Why,
}

#[derive(Debug, thiserror::Error)]
enum Why {
    /// S3 refused the object, and accepted others.
    #[error("{0}")]
    Refused(String),
    /// S3 did not store the object, and stored others.
    #[error("{0}")]
    Failed(String),
    /// The bucket is out.
    #[error("{0} does not take objects now")]
    Out(Domain),
    /// The message has, or can have, a new owner.
    #[error("its message's receipt went stale, or another replica took it over")]
    Lost,
}

impl NotStored {
    pub(super) fn refused(topic: TopicArn, reason: String) -> Self {
        Self { topic, why: Why::Refused(reason) }
    }

    pub(super) fn failed(topic: TopicArn, reason: String) -> Self {
        Self { topic, why: Why::Failed(reason) }
    }

    pub(super) fn out(topic: TopicArn, domain: Domain) -> Self {
        Self { topic, why: Why::Out(domain) }
    }

    pub(super) fn lost(topic: TopicArn) -> Self {
        Self { topic, why: Why::Lost }
    }
}

/// What can be done about an entry, from the least to the most that can pass by itself.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Prospect {
    Never,
    Later,
    WithItsDomain,
}

impl EntryError {
    /// Whether the message can be published later as it is. It cannot only if S3 or SNS refused the entry itself.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::NotStored(error) => !matches!(error.why, Why::Refused(_)),
            Self::Publish(error) => error.is_retryable(),
        }
    }

    /// Returns the topic that the entry was for.
    pub fn topic(&self) -> &TopicArn {
        match self {
            Self::NotStored(error) => &error.topic,
            Self::Publish(error) => error.topic(),
        }
    }

    /// Returns the calls of SNS that the entry was part of; `None` if it was not passed to SNS.
    pub fn trail(&self) -> Option<&Trail> {
        match self {
            Self::NotStored(_) => None,
            Self::Publish(error) => Some(error.trail()),
        }
    }

    /// Returns the domain that does not take the entry now, if that is why it was not published.
    pub fn turned_away_by(&self) -> Option<Domain> {
        match self {
            Self::NotStored(NotStored { why: Why::Out(domain), .. }) => Some(domain.clone()),
            Self::NotStored(_) => None,
            Self::Publish(error) => error.turned_away_by().cloned().map(Domain::Topic),
        }
    }

    /// Returns the cause of a retry for this error.
    pub(super) fn cause(&self) -> RetryCause {
        match self {
            Self::NotStored(_) => RetryCause::ClaimStore,
            Self::Publish(_) => RetryCause::Publish,
        }
    }

    /// Returns which of two errors of one event decides: the one after which the event is published again, and of those
    /// the one that waits for a domain.
    #[must_use]
    pub(super) fn or_later(self, other: Self) -> Self {
        if other.prospect() > self.prospect() { other } else { self }
    }

    fn prospect(&self) -> Prospect {
        match self.turned_away_by() {
            Some(_) => Prospect::WithItsDomain,
            None if self.is_retryable() => Prospect::Later,
            None => Prospect::Never,
        }
    }
}
