//! Trouble that lasts: of one topic, of one bucket, or of a whole service. [`Faults`](super::Faults) are drawn for each call instead.

use tokio::time::Instant;

use super::fate::Ending;
use super::log::What;
use super::wire::{Answer, Call, Input};
use super::world::{State, World};

/// A topic, a bucket or a service that can be in trouble.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Target {
    /// The topic with this ARN.
    Topic(String),
    /// All of SNS.
    Sns,
    /// All of SQS.
    Sqs,
    /// The S3 bucket with this name.
    Bucket(String),
    /// The schema registry.
    SchemaRegistry,
}

/// The fate of every call to a target that is in trouble.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Trouble {
    /// SNS accepts this number of messages per second and throttles the calls beyond it.
    Quota(f64),
    /// AWS throttles the call, with this code.
    Throttled(&'static str),
    /// AWS answers with the status 400 and this code, whatever the call contains.
    Refused(&'static str),
    /// A proxy answers with this status and a page of HTML.
    Html(u16),
    /// AWS answers with the status 503.
    Unavailable,
    /// The connection is reset before the call takes effect.
    Disconnected,
    /// The call has no effect and is never answered.
    Hangs,
}

impl Trouble {
    /// Returns the cause that the log names for each event of a call.
    fn cause(self) -> &'static str {
        match self {
            Self::Quota(_) | Self::Throttled(_) => "its destination is throttled",
            Self::Refused(_) => "its destination refuses all calls",
            Self::Html(_) => "a proxy answered its call",
            Self::Unavailable | Self::Disconnected | Self::Hangs => "its destination is down",
        }
    }

    /// Whether the log names this cause for trouble that lasts, as opposed to a fault of a single call.
    pub(crate) fn is_cause(cause: &str) -> bool {
        let one_of_each = [Self::Throttled(""), Self::Refused(""), Self::Html(502), Self::Hangs];
        one_of_each.iter().any(|trouble| trouble.cause() == cause)
    }
}

/// A number of messages that may be published now. It grows with time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Balance {
    left: f64,
    counted: Instant,
}

impl Balance {
    pub(super) fn empty() -> Self {
        Self { left: 0.0, counted: Instant::now() }
    }

    /// Takes this number of messages. Returns whether there were enough; if not, takes none. `rate` is the growth per
    /// second.
    pub(super) fn take(&mut self, rate: f64, messages: f64) -> bool {
        let now = Instant::now();
        // Let the balance reach ten even if the rate is lower: the service never splits a batch of ten entries.
        let left = (self.left + (now - self.counted).as_secs_f64() * rate).min(rate.max(10.0));
        let is_enough = messages <= left;
        *self = Self { left: if is_enough { left - messages } else { left }, counted: now };
        is_enough
    }
}

impl World {
    /// Puts one topic in trouble until it is healed. Trouble of its own hides trouble of all of SNS.
    pub(crate) fn break_topic(&self, arn: &str, trouble: Trouble) {
        self.break_target(Target::Topic(arn.to_owned()), trouble);
    }

    /// Ends the trouble of one topic.
    pub(crate) fn heal_topic(&self, arn: &str) {
        self.heal_target(&Target::Topic(arn.to_owned()));
    }

    /// Puts a target in trouble until it is healed, in place of the trouble that it has already.
    pub(crate) fn break_target(&self, target: Target, trouble: Trouble) {
        let mut state = self.lock();
        state.troubles.insert(target.clone(), (trouble, Balance::empty()));
        state.note(None, What::Broken { target, trouble });
    }

    /// Ends the trouble of a target.
    pub(crate) fn heal_target(&self, target: &Target) {
        let mut state = self.lock();
        if state.troubles.remove(target).is_some() {
            state.note(None, What::Repaired { target: target.clone() });
        }
    }
}

impl State {
    /// Returns how a call ends whose target is in trouble, and the cause for the log.
    pub(super) fn trouble_of(&mut self, call: &Call) -> Option<(Ending, &'static str)> {
        if self.troubles.is_empty() {
            return None;
        }
        let (target, messages) = match &call.input {
            Input::Sqs(_) => (Target::Sqs, 0),
            Input::Lookup(lookup) => (lookup.target(), 0),
            Input::Sns(form) => {
                let topic = Target::Topic(form.text("TopicArn").to_owned());
                let target = if self.troubles.contains_key(&topic) { topic } else { Target::Sns };
                (target, form.list("PublishBatchRequestEntries.member").len())
            }
        };
        let (trouble, balance) = self.troubles.get_mut(&target)?;
        let error = call.error();
        let ending = match *trouble {
            Trouble::Quota(rate) if balance.take(rate, messages as f64) => return None,
            Trouble::Quota(_) => Ending::Error(error(429, "Throttled", "Rate exceeded")),
            Trouble::Throttled(code) => Ending::Error(error(400, code, "Rate exceeded")),
            Trouble::Refused(code) => Ending::Error(error(400, code, "The destination refuses all calls")),
            Trouble::Html(status) => Ending::Error(Answer::html(status)),
            Trouble::Unavailable => Ending::Error(error(503, "ServiceUnavailable", "The service is unavailable")),
            Trouble::Disconnected => Ending::ResetBefore,
            Trouble::Hangs => Ending::LostRequest,
        };
        Some((ending, trouble.cause()))
    }
}
