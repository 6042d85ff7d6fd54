//! The operations of SNS.

use super::answer::Answer;
use super::form::{self, PublishBatch};
use super::ledger::Arrival;
use super::state::Emulator;
use crate::events;
use crate::totals::Carried;

/// The most bytes that a call can carry, bodies and attributes of all entries together.
const MAX_BYTES: u64 = 256 * 1024;

impl Emulator {
    /// Answers a call that was signed with this access key.
    pub(super) fn sns(&self, operation: &str, access_key: &str, body: &[u8]) -> Answer {
        let publish = (operation == "PublishBatch").then(|| PublishBatch::read(body));
        let mut carried = Carried::default();
        for entry in publish.iter().flat_map(|publish| &publish.entries) {
            carried.add(form::length(entry.message) + entry.attribute_bytes);
        }
        let answer = if self.state().faults.call_fails() {
            error(503, "ServiceUnavailable", "this call fails on purpose")
        } else {
            match (operation, &publish) {
                (_, Some(publish)) => self.publish(publish, access_key, carried.bytes),
                ("GetTopicAttributes", _) => self.topic_attributes(&form::field(body, "TopicArn").unwrap_or_default()),
                (other, _) => error(400, "InvalidAction", other),
            }
        };
        self.count(operation, &answer, carried);
        answer
    }

    fn publish(&self, publish: &PublishBatch<'_>, access_key: &str, bytes: u64) -> Answer {
        let customer = match events::customer_of_topic(&publish.topic) {
            Ok(customer) if customer < self.spec.customers => customer,
            _ => return error(404, "NotFound", "Topic does not exist"),
        };
        if self.spec.faults.refusing == Some(customer) {
            return error(403, "AuthorizationError", "this customer's topic refuses every publish");
        }
        if publish.entries.is_empty() || publish.entries.len() > 10 {
            return error(400, "TooManyEntriesInBatchRequest", "1 to 10 entries");
        }
        if bytes > MAX_BYTES {
            return error(400, "BatchRequestTooLong", "more than 256 KiB");
        }
        let at = self.now();
        let state = &mut *self.state();
        if state.faults.is_over_quota(customer, publish.entries.len(), at) {
            return error(429, "Throttled", "Rate exceeded");
        }
        let mut deliveries = Vec::with_capacity(publish.entries.len());
        let second = (state.queue.elapsed(at) / 1_000_000) as usize;
        let mut successful = String::with_capacity(publish.entries.len() * 100);
        for entry in &publish.entries {
            state.accepted += 1;
            let message = state.accepted;
            // An entry without a known event counts as astray. So does one with more than ten attributes, because raw
            // delivery to SQS discards it.
            let number = entry.event.filter(|number| *number < self.spec.events && entry.attributes <= 10);
            let arrival = Arrival {
                number: number.unwrap_or(u64::MAX / 2),
                customer,
                is_intact: number.is_some_and(|number| {
                    let template = self.events.template(number);
                    match (self.spec.is_large(number), self.spec.by_value) {
                        (true, _) => state.claims.leads_to(entry, customer, template),
                        (false, true) => state.renderings.is_equal(entry.message, template),
                        (false, false) => form::is(entry.message, &template.json),
                    }
                }),
                sent: number.map_or(at, |number| state.queue.sent_at(number)),
                first_received: number.and_then(|number| state.queue.first_received(number)),
                at,
                message,
            };
            deliveries.extend(number.map(|number| self.spec.slot(number, customer)));
            state.queue.published(arrival.number, at);
            state.ledger.arrived(arrival, &self.events);
            state.replicas.published(access_key, arrival.number, second);
            let (id, message) = (&entry.id, events::sns_message_id(message));
            successful += &format!("<member><Id>{id}</Id><MessageId>{message}</MessageId></member>");
        }
        let result = format!("<Failed/><Successful>{successful}</Successful>");
        ok("PublishBatch", &result).with_deliveries(deliveries)
    }

    fn topic_attributes(&self, arn: &str) -> Answer {
        match events::customer_of_topic(arn) {
            Ok(customer) if customer < self.spec.customers => {
                let entry = format!("<entry><key>TopicArn</key><value>{arn}</value></entry>");
                ok("GetTopicAttributes", &format!("<Attributes>{entry}</Attributes>"))
            }
            _ => error(404, "NotFound", "Topic does not exist"),
        }
    }
}

fn ok(operation: &str, result: &str) -> Answer {
    let metadata = "<ResponseMetadata><RequestId>2e9ae57a-0000-4000-8000-000000000000</RequestId></ResponseMetadata>";
    let body = format!(
        "<{operation}Response xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\">\
         <{operation}Result>{result}</{operation}Result>{metadata}</{operation}Response>"
    );
    Answer::xml(200, body)
}

fn error(status: u16, code: &str, message: &str) -> Answer {
    let fault = if status < 500 { "Sender" } else { "Receiver" };
    let error = format!("<Type>{fault}</Type><Code>{code}</Code><Message>{message}</Message>");
    Answer::xml(status, format!("<ErrorResponse><Error>{error}</Error></ErrorResponse>"))
}
