//! The SNS operations of the model.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::calls::Caller;
use super::log::{REFUSED, What};
use super::queue::Incoming;
use super::topic::Topic;
use super::wire::{Answer, Failed, Form, Published, batch_error, is_allowed, sns_batch};
use super::world::{State, queue_arn, topic_arn};

const MAX_BYTES: usize = 256 * 1024;

/// The start of the ids that several events share.
pub(crate) const SHARED_ID: &str = "shared-";

/// Returns the name of an event that shares its id with others.
pub(crate) fn name_of(id: &str, event_type: &str, customer: &str) -> Arc<str> {
    format!("{id}/{event_type}/{customer}").into()
}

/// Returns the name of the event that an entry publishes: its id, and more if several events share the id.
pub(super) fn event_of(entry: &Form) -> Arc<str> {
    let text = |name| attribute(entry, name).unwrap_or_default();
    match attribute(entry, "event-id") {
        Some(id) if id.starts_with(SHARED_ID) => name_of(id, text("event-type"), text("customer-id")),
        id => id.unwrap_or("an event").into(),
    }
}

fn attribute<'e>(entry: &'e Form, name: &str) -> Option<&'e str> {
    let attributes = entry.list("MessageAttributes.entry");
    let found = attributes.iter().find(|attribute| attribute.text("Name") == name)?;
    Some(found.text("Value.StringValue"))
}

impl State {
    /// Runs an operation. Returns the answer and the facts that it carries.
    pub(super) fn sns(&mut self, caller: Caller, operation: &str, form: &Form) -> (Answer, Vec<What>) {
        let arn = form.text("TopicArn").to_owned();
        let mut facts = Vec::new();
        let answer = match operation {
            "CreateTopic" => self.create_topic_of(form),
            _ if !self.topics.contains_key(&arn) => Answer::sns_error(404, "NotFound", "Topic does not exist"),
            "GetTopicAttributes" => {
                let entry = format!("<entry><key>TopicArn</key><value>{arn}</value></entry>");
                Answer::sns(operation, &format!("<Attributes>{entry}</Attributes>"))
            }
            "Subscribe" => self.subscribe(&arn, form.text("Endpoint")),
            "Publish" => match self.publish(caller, &arn, form, &mut facts) {
                Ok(published) => Answer::sns(operation, &published.xml()),
                Err(failed) => {
                    Answer::sns_error(if failed.sender_fault { 400 } else { 500 }, failed.code, "the publish failed")
                }
            },
            "PublishBatch" => self.publish_batch(caller, &arn, form, &mut facts),
            other => Answer::sns_error(400, "InvalidAction", other),
        };
        debug_assert!(!answer.is_error() || facts.is_empty(), "an error answer carries no facts");
        (answer, facts)
    }

    fn create_topic_of(&mut self, form: &Form) -> Answer {
        let name = form.text("Name");
        let topic = self.topics.entry(topic_arn(name)).or_insert_with(|| Topic::new(name));
        let by_content = |attribute: &Form| {
            attribute.text("key") == "ContentBasedDeduplication" && attribute.text("value") == "true"
        };
        topic.by_content = form.list("Attributes.entry").iter().any(by_content);
        Answer::sns("CreateTopic", &format!("<TopicArn>{}</TopicArn>", topic_arn(name)))
    }

    fn subscribe(&mut self, arn: &str, endpoint: &str) -> Answer {
        let found = self.queues.iter().find(|(_, queue)| queue_arn(&queue.name) == endpoint);
        let Some(url) = found.map(|(url, _)| url.clone()) else {
            return Answer::sns_error(400, "InvalidParameter", "no such queue");
        };
        self.topics.get_mut(arn).expect("the topic exists").queues.push(url);
        Answer::sns("Subscribe", &format!("<SubscriptionArn>{arn}:1</SubscriptionArn>"))
    }

    fn publish_batch(&mut self, caller: Caller, arn: &str, form: &Form, facts: &mut Vec<What>) -> Answer {
        let entries = form.list("PublishBatchRequestEntries.member");
        let bytes = entries.iter().map(size).sum();
        if let Some(code) = batch_error(entries.iter().map(|entry| entry.text("Id")), bytes, MAX_BYTES) {
            return Answer::sns_error(400, code, "the whole batch is refused");
        }
        let mut results = Vec::with_capacity(entries.len());
        for entry in entries {
            results.push((entry.text("Id").to_owned(), self.publish(caller, arn, entry, facts)));
        }
        sns_batch(results)
    }

    fn publish(&mut self, caller: Caller, arn: &str, entry: &Form, facts: &mut Vec<What>) -> Result<Published, Failed> {
        let (fifo, by_content) = (self.topics[arn].fifo, self.topics[arn].by_content);
        let invalid = Failed { code: "InvalidParameter", sender_fault: true };
        let (group, deduplication_id) = (entry.get("MessageGroupId"), entry.get("MessageDeduplicationId"));
        if !is_allowed(entry.text("Message")) || size(entry) > MAX_BYTES {
            return Err(invalid);
        }
        if fifo && (group.is_none() || deduplication_id.is_none() && !by_content) || !fifo && deduplication_id.is_some()
        {
            return Err(invalid);
        }
        let event = event_of(entry);
        if self.happens(|faults| faults.publish_refused) {
            self.onward_fault(&event, REFUSED);
            return Err(invalid);
        }
        if self.happens(|faults| faults.publish_fails) {
            self.onward_fault(&event, "SNS did not accept it");
            return Err(self.transient_publish_failure());
        }
        let content = format!("content {}", entry.text("Message"));
        let number = self.deliver(caller, arn, entry, &event, deduplication_id.unwrap_or(&content));
        if self.happens(|faults| faults.publish_fails_late) {
            self.onward_fault(&event, "published, but reported as failed");
            return Err(self.transient_publish_failure());
        }
        facts.push(What::Confirmed { event, number, topic: Arc::clone(&self.topics[arn].arn) });
        Ok(Published { number, fifo })
    }

    /// Accepts an event and delivers it to the subscribed queues. Returns the number of this publish.
    fn deliver(&mut self, caller: Caller, arn: &str, entry: &Form, event: &Arc<str>, deduplication_id: &str) -> u64 {
        self.published += 1;
        let followed = self.follow(entry);
        let (number, now) = (self.published, Instant::now());
        let topic = self.topics.get_mut(arn).expect("the topic exists");
        let suppressed = topic.take(Some(deduplication_id), &number.to_string(), now).is_some();
        let arn_of_topic = Arc::clone(&topic.arn);
        let (fifo, queues) = (topic.fifo, if suppressed { Vec::new() } else { topic.queues.clone() });
        let (body, group) = (entry.text("Message").to_owned(), entry.get("MessageGroupId").map(str::to_owned));
        for url in queues {
            let message = Incoming {
                body: body.clone(),
                attributes: attributes(entry),
                group: group.clone(),
                deduplication_id: fifo.then(|| deduplication_id.to_owned()),
                name: Arc::clone(event),
            };
            self.queue(&url).send(message, now, now);
        }
        let (claim, read) = followed.map_or((None, body), |(key, content)| (Some(key), content));
        let what = What::Published {
            event: Arc::clone(event),
            number,
            log_length: caller.log_length,
            topic: arn_of_topic,
            group,
            body: read,
            claim,
            suppressed,
        };
        self.note(Some(caller.instance), what);
        number
    }

    /// Draws a transient failure of an entry: one of the known error codes or an unknown one.
    fn transient_publish_failure(&mut self) -> Failed {
        let known = [
            ("InternalError", false),
            ("InternalFailure", false),
            ("SomethingNew", false),
            ("Throttled", true),
            ("Throttling", false),
            ("ThrottlingException", true),
            ("KMSThrottling", true),
        ];
        let (code, sender_fault) = self.random.choice(known).expect("the list is not empty");
        Failed { code, sender_fault }
    }
}

/// Converts the attributes of an entry to the JSON that SQS uses.
fn attributes(entry: &Form) -> Value {
    let attribute = |attribute: &Form| {
        let mut value = json!({"DataType": attribute.text("Value.DataType")});
        for kind in ["StringValue", "BinaryValue"] {
            if let Some(text) = attribute.get(&format!("Value.{kind}")) {
                value[kind] = text.into();
            }
        }
        (attribute.text("Name").to_owned(), value)
    };
    let attributes = entry.list("MessageAttributes.entry");
    Value::Object(attributes.iter().map(attribute).collect::<Map<_, _>>())
}

/// Returns the size of an entry in bytes as SNS counts it, with Binary attributes as base64.
pub(super) fn size(entry: &Form) -> usize {
    let attributes = entry.list("MessageAttributes.entry");
    let attributes = attributes.iter().map(|attribute| {
        let fields = ["Name", "Value.DataType", "Value.StringValue", "Value.BinaryValue"];
        fields.iter().map(|field| attribute.text(field).len()).sum::<usize>()
    });
    entry.text("Message").len() + attributes.sum::<usize>()
}
