//! Deciding the next step of a message. A large payload waits for its turn first.

use std::sync::Arc;

use super::Pipeline;
use super::in_flight::{InFlightMessage, Progress};
use crate::delivery::archiving::only_customer;
use crate::delivery::decide::{Context, Decided, Delivery, IsLarge, Lookup, Opened, Rules};
use crate::delivery::defect;
use crate::delivery::outcome::Outcome;
use crate::message::Message;
use crate::message::envelope::Envelope;
use crate::route::Definitions;
use crate::schema::registry::EventType;
use crate::telemetry::TraceHeaders;

/// The next step of a message.
pub(super) enum Step {
    /// Publish these deliveries.
    Publish(Vec<Delivery>),
    /// Settle the message.
    Settle(Outcome),
    /// Answer this lookup, then decide again.
    Lookup(Lookup),
}

impl Pipeline {
    /// Decides the next step of a message. Waits for the message's turn if its payload is large.
    pub(super) async fn decide(&self, message: &mut InFlightMessage, object: Option<&[u8]>) -> Step {
        match self.decide_small(message, object) {
            Ok(step) => step,
            Err(IsLarge) => self.decide_large(message, object).await,
        }
    }

    /// Decides the next step of a message.
    ///
    /// # Errors
    /// Returns an error if its payload or its JSON is large.
    pub(super) fn decide_small(&self, message: &mut InFlightMessage, object: Option<&[u8]>) -> Result<Step, IsLarge> {
        let schemas = &self.lookups.schemas;
        self.decide_opened(message, |message| self.rules.open_small(message, object, schemas), Rules::decide_small)
    }

    /// Decides the next step of a message with a payload of any size, when it is the message's turn.
    pub(super) async fn decide_large(&self, message: &mut InFlightMessage, object: Option<&[u8]>) -> Step {
        let turn = self.rules.turn().await;
        // Other messages can have used up the room since the message began to wait.
        message.receipt.permit.room_to_render().await;
        let schemas = &self.lookups.schemas;
        turn.run(|| {
            let Ok(step) = self.decide_opened(
                message,
                |message| Ok(self.rules.open(message, object, schemas)),
                Rules::decide_large,
            );
            step
        })
    }

    /// Decides the next step of a message that `open` opens and `decide` decides about. A panic on the way is a retry of this message, and
    /// affects no other.
    fn decide_opened<E>(
        &self,
        message: &mut InFlightMessage,
        open: impl for<'m> FnOnce(&'m Message) -> Result<Opened<'m>, E>,
        decide: impl FnOnce(&Rules, Context<'_>, &Message, &Envelope<'_>, &TraceHeaders) -> Result<Decided, E>,
    ) -> Result<Step, E> {
        let step = defect::catch(|| {
            let InFlightMessage { message, receipt, trace, event_type, event_id, customer, progress, record, .. } =
                &mut *message;
            let trace = trace.get_or_insert_with(|| self.traces.begin(message));
            let envelope = match open(message)? {
                Opened::Ready(envelope) => envelope,
                Opened::Needs(lookup) => return Ok(Step::Lookup(lookup)),
                Opened::Refused(reason) => {
                    receipt.hold.mark_read();
                    return Ok(Step::Settle(reason.into()));
                }
            };
            trace.follow(|name| envelope.attribute(name));
            // One load, so that the type and its destinations come from the same reload.
            let Definitions { snapshot, router } = &*self.routes.definitions();
            let context = Context { snapshot, router, schemas: &self.lookups.schemas };
            let decided = decide(&self.rules, context, message, &envelope, &trace.headers())?;
            if let Some(event_type) = &decided.event_type {
                self.monitor.sources.note(decided.heartbeat.as_ref(), event_type, message);
            }
            receipt.hold.mark_read();
            *event_type = decided.event_type;
            if let Some((id, topics)) = decided.event {
                if let Some(event_type) = event_type {
                    trace.event(&event_type.name, id.as_str(), topics);
                }
                *event_id = Some(id);
            }
            if let Some(record) = record {
                record.decided(event_type.as_ref(), event_id.as_ref(), trace.id(), decided.refused);
            }
            Ok(match decided.decision {
                Ok(mut deliveries) => {
                    if self.archiving.is_on() {
                        *customer = only_customer(&deliveries.to_publish);
                    }
                    *progress = Progress::of(&mut deliveries);
                    Step::Publish(deliveries.to_publish)
                }
                Err(outcome) => Step::Settle(outcome),
            })
        });
        let step = step.unwrap_or_else(|defect| Ok(Step::Settle(defect)))?;
        match &step {
            Step::Publish(deliveries) => message.count_rendered(deliveries),
            Step::Settle(_) => {}
            Step::Lookup(_) => return Ok(step),
        }
        message.open_account();
        Ok(step)
    }

    /// Returns the event's type, if it is known without a lookup.
    pub(super) async fn event_type(&self, message: &Message) -> Option<Arc<EventType>> {
        let (definitions, schemas) = (self.routes.definitions(), &self.lookups.schemas);
        let context = Context { snapshot: &definitions.snapshot, router: &definitions.router, schemas };
        let of = |opened: Opened<'_>| {
            let Opened::Ready(envelope) = opened else { return None };
            self.rules.event_type(context, message, &envelope).ok().map(Arc::clone)
        };
        match self.rules.open_small(message, None, schemas) {
            Ok(opened) => of(opened),
            Err(IsLarge) => self.rules.turn().await.run(|| of(self.rules.open(message, None, schemas))),
        }
    }
}
