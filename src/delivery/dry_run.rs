//! A dry run: the outcome of a message, and the steps to it, without AWS.
//!
//! A dry run calls the functions of [`decide`](super::decide) that the pipeline calls, and keeps the steps that they
//! note. It assumes that SNS accepts every entry and that the window of duplicates is empty. The caller's [`Answers`]
//! have the objects and schemas that a message refers to.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::decide::{Context, Decided, Deliveries, Lookup, Opened, Refused, Rules};
use super::outcome::{Outcome, quarantine_queue};
use crate::aws::s3;
use crate::aws::sns::publish::TopicEntry;
use crate::message::envelope::Pointer;
use crate::message::steps::{About, Step};
use crate::message::{
    EventId, Message, OutcomeLabel, QuarantineKind, QuarantineReason, Queue, Recipient, Retry, RetryCause,
};
use crate::schema::registry::EventType;
use crate::telemetry::Traces;

/// The answers to the lookups of a message.
#[derive(Debug, Clone, Default)]
pub struct Answers {
    /// The content of S3 objects by their address, such as `s3://bucket/key`. `None`: the object does not exist.
    pub objects: BTreeMap<String, Option<Vec<u8>>>,
    /// The content of every other S3 object.
    pub any_object: Option<Vec<u8>>,
}

/// A lookup that the caller has no answer for.
#[derive(Debug, thiserror::Error)]
pub enum Unanswered {
    /// The message points to an object.
    #[error("the message points to {0}, and a dry run does not read from S3")]
    Object(Pointer),
    /// The schema registry would be asked for this schema.
    #[error("the message has Confluent schema {0}, and a dry run does not ask the schema registry")]
    Schema(u32),
}

/// The outcome of a message, and what was found out on the way.
#[derive(Debug)]
pub struct Forecast {
    /// The steps, in the order in which they were made.
    pub steps: Vec<Step>,
    /// The event's type, if it is known.
    pub event_type: Option<Arc<EventType>>,
    /// The event's id, if the event has destinations.
    pub event_id: Option<EventId>,
    /// The entries that are published.
    pub entries: Vec<TopicEntry>,
    /// The destinations that have the event already, according to the quarantine note of the message.
    pub noted: Vec<Recipient>,
    /// The destinations that cannot get the event, each with its reason.
    pub refused: Vec<Refused>,
    /// The outcome.
    pub outcome: Predicted,
}

/// The outcome that a message has if SNS and SQS accept everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Predicted {
    /// Every destination gets the event.
    Published,
    /// Every destination has the event already.
    Duplicate,
    /// This rule drops the event.
    Filtered(&'static str),
    /// The message goes into quarantine, after the destinations that can have the event have it.
    Quarantined(QuarantineReason),
    /// The message returns to its queue.
    Retried(Retry),
}

impl Predicted {
    /// Returns the label of the outcome, as metrics and traces name it.
    pub fn label(&self) -> OutcomeLabel {
        match self {
            Self::Published => OutcomeLabel::Published,
            Self::Duplicate => OutcomeLabel::Duplicate,
            Self::Filtered(_) => OutcomeLabel::Filtered,
            Self::Quarantined(_) => OutcomeLabel::Quarantined,
            Self::Retried(_) => OutcomeLabel::Retried,
        }
    }

    /// Returns the code of the reason or the cause, if the outcome has one.
    pub fn code(&self) -> Option<&'static str> {
        match self {
            Self::Quarantined(reason) => Some(reason.kind.code()),
            Self::Retried(retry) => Some(retry.cause.code()),
            Self::Published | Self::Duplicate | Self::Filtered(_) => None,
        }
    }

    /// Returns the explanation of the outcome for people.
    pub fn detail(&self) -> &str {
        match self {
            Self::Published => "every destination can have the event",
            Self::Duplicate => "every destination has the event already",
            Self::Filtered(rule) => rule,
            Self::Quarantined(reason) => &reason.detail,
            Self::Retried(retry) => &retry.detail,
        }
    }
}

/// Decides about a message as the pipeline does.
///
/// # Errors
/// Returns an error if a lookup has no answer.
pub fn forecast(
    rules: &Rules,
    context: Context<'_>,
    buckets: &[String],
    message: &Message,
    answers: &Answers,
) -> Result<Forecast, Unanswered> {
    let mut steps = vec![queue(&message.queue)];
    let mut object = None;
    if let Opened::Needs(Lookup::Object(pointer)) = rules.open_noting(message, None, context.schemas, &mut steps) {
        match answers.object(&pointer, buckets, rules, message)? {
            Ok(found) => object = Some(found),
            Err(outcome) => return Ok(Forecast::without_event(steps, outcome, message)),
        }
    }
    // The envelope is opened again with the object.
    steps = vec![queue(&message.queue)];
    let envelope = match rules.open_noting(message, object, context.schemas, &mut steps) {
        Opened::Ready(envelope) => envelope,
        Opened::Needs(Lookup::Object(pointer)) => return Err(Unanswered::Object(pointer)),
        Opened::Needs(Lookup::Schema(id)) => return Err(Unanswered::Schema(id)),
        Opened::Refused(reason) => return Ok(Forecast::without_event(steps, reason.into(), message)),
    };
    let mut trace = Traces::default().begin(message);
    trace.follow(|name| envelope.attribute(name));
    let decided = rules.decide_noting(context, message, &envelope, &trace.headers(), &mut steps);
    Ok(Forecast::of(steps, decided, message))
}

/// Returns the step that names the queue and its settings.
fn queue(queue: &Queue) -> Step {
    let framing = format!("{:?}", queue.framing).to_lowercase();
    let default_type = queue.default_type.as_deref().unwrap_or("unset");
    let settings = format!("its `framing` is {framing}, its `default_type` is {default_type}");
    Step::new(About::Queue, &queue.label, settings)
}

impl Answers {
    /// Returns the content of an object, or the outcome of a message whose object cannot be had.
    fn object(
        &self,
        pointer: &Pointer,
        buckets: &[String],
        rules: &Rules,
        message: &Message,
    ) -> Result<Result<&[u8], Outcome>, Unanswered> {
        if !buckets.contains(&pointer.bucket) {
            let reason = QuarantineKind::BadEnvelope.because(s3::Error::Forbidden(pointer.clone()));
            return Ok(Err(reason.into()));
        }
        match self.objects.get(&pointer.to_string()) {
            Some(Some(object)) => Ok(Ok(object)),
            Some(None) => {
                let missing = s3::Error::Missing(pointer.clone()).to_string();
                Ok(Err(rules.missing_object(message, missing)))
            }
            None => self.any_object.as_deref().map(Ok).ok_or_else(|| Unanswered::Object(pointer.clone())),
        }
    }
}

impl Forecast {
    fn without_event(steps: Vec<Step>, outcome: Outcome, message: &Message) -> Self {
        let decided = Decided { decision: Err(outcome), ..Decided::default() };
        Self::of(steps, decided, message)
    }

    fn of(mut steps: Vec<Step>, decided: Decided, message: &Message) -> Self {
        let Decided { event_type, event, refused, decision, .. } = decided;
        let (outcome, deliveries) = predict(decision);
        let outcome = match outcome {
            Predicted::Quarantined(reason) => match quarantine_queue(&message.queue, &reason) {
                Ok(_) => Predicted::Quarantined(reason),
                Err(retry) => Predicted::Retried(retry),
            },
            outcome => outcome,
        };
        let found = match outcome.code() {
            Some(code) => format!("{}: {code}", outcome.label().code()),
            None => outcome.label().code().to_owned(),
        };
        steps.push(Step::new(About::Outcome, found, outcome.detail()));
        let Deliveries { to_publish, noted, .. } = deliveries;
        Self {
            steps,
            event_type,
            event_id: event.map(|(id, _)| id),
            entries: to_publish.into_iter().map(|delivery| delivery.entry).collect(),
            noted: noted.into_iter().map(|delivery| delivery.recipient).collect(),
            refused,
            outcome,
        }
    }
}

/// Returns the outcome of a decision if SNS accepts every entry, and the deliveries.
fn predict(decision: Result<Deliveries, Outcome>) -> (Predicted, Deliveries) {
    let outcome = match decision {
        Ok(mut deliveries) => {
            let outcome = match (deliveries.refused.take(), deliveries.to_publish.is_empty()) {
                (Some(reason), _) => Predicted::Quarantined(reason),
                (None, false) => Predicted::Published,
                (None, true) => Predicted::Duplicate,
            };
            return (outcome, deliveries);
        }
        Err(Outcome::Published(_)) => Predicted::Published,
        Err(Outcome::Duplicate(_)) => Predicted::Duplicate,
        Err(Outcome::Filtered(filtered)) => Predicted::Filtered(filtered.rule()),
        Err(Outcome::Quarantine(reason)) => Predicted::Quarantined(reason),
        Err(Outcome::Retry(retry)) => Predicted::Retried(retry),
        Err(Outcome::Held { detail, .. }) => Predicted::Retried(RetryCause::Held.because(detail)),
    };
    (outcome, Deliveries::default())
}
