//! The SQS operations of the model.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

use super::calls::Reply;
use super::log::What;
use super::queue::{Content, Handle, Incoming, Redrive, Stored};
use super::wire::{Answer, Failed, SqsEntry, SqsInput, SqsResult, batch_error, is_allowed, sqs_batch};
use super::world::{State, World, queue_arn, queue_url};

const MAX_BYTES: usize = 1024 * 1024;

impl State {
    /// Runs any operation except ReceiveMessage. Returns the answer and the facts that it carries.
    pub(super) fn sqs(&mut self, instance: u32, operation: &str, input: SqsInput) -> (Answer, Vec<What>) {
        if operation == "CreateQueue" {
            return (self.create(&input.queue_name, &input.attributes), Vec::new());
        }
        let url = match operation {
            "GetQueueUrl" => queue_url(&input.queue_name),
            _ => input.queue_url,
        };
        if !self.queues.contains_key(&url) {
            return (no_such_queue(), Vec::new());
        }
        let answer = match operation {
            "GetQueueUrl" => Answer::sqs(&json!({"QueueUrl": url})),
            "GetQueueAttributes" => self.attributes(&url),
            "SendMessage" | "DeleteMessage" | "ChangeMessageVisibility" => {
                let mut results = input.entries.into_iter().map(|entry| self.entry(instance, operation, &url, entry));
                single(results.next().expect("an operation that is not a batch has one entry"))
            }
            "SendMessageBatch" | "DeleteMessageBatch" | "ChangeMessageVisibilityBatch" => {
                self.batch(instance, operation, &url, input.entries)
            }
            other => Answer::sqs_error(400, "InvalidAction", other),
        };
        (answer, Vec::new())
    }

    fn create(&mut self, name: &str, attributes: &Value) -> Answer {
        let queue = self.queues.entry(queue_url(name)).or_insert_with(|| super::queue::Queue::new(name));
        queue.by_content = attributes["ContentBasedDeduplication"] == "true";
        if let Some(seconds) = attributes["VisibilityTimeout"].as_str().and_then(|seconds| seconds.parse().ok()) {
            queue.visibility = Duration::from_secs(seconds);
        }
        Answer::sqs(&json!({"QueueUrl": queue_url(name)}))
    }

    fn attributes(&mut self, url: &str) -> Answer {
        let (queue, now) = (self.queue(url), Instant::now());
        let redrive = queue.redrive.as_ref().map(|Redrive { dead_letter, max_receives }| {
            let name = dead_letter.rsplit('/').next().unwrap_or_default();
            json!({"deadLetterTargetArn": queue_arn(name), "maxReceiveCount": max_receives}).to_string()
        });
        let (all, in_flight) = (queue.messages().count(), queue.in_flight(now).len());
        let hidden = queue.messages().filter(|message| message.visible_at > now).count();
        let mut attributes = json!({
            "QueueArn": queue_arn(&queue.name),
            "VisibilityTimeout": queue.visibility.as_secs().to_string(),
            "ApproximateNumberOfMessages": (all - hidden).to_string(),
            "ApproximateNumberOfMessagesNotVisible": in_flight.to_string(),
            "ApproximateNumberOfMessagesDelayed": (hidden - in_flight).to_string(),
        });
        if let Some(redrive) = redrive {
            attributes["RedrivePolicy"] = redrive.into();
        }
        Answer::sqs(&json!({"Attributes": attributes}))
    }

    fn batch(&mut self, instance: u32, operation: &str, url: &str, mut entries: Vec<SqsEntry>) -> Answer {
        let bytes = entries.iter().map(|entry| size(&entry.message_body, &entry.message_attributes)).sum();
        if let Some(code) = batch_error(entries.iter().map(|entry| &*entry.id), bytes, MAX_BYTES) {
            return Answer::sqs_error(400, code, "the whole batch is refused");
        }
        let ids: Vec<String> = entries.iter_mut().map(|entry| std::mem::take(&mut entry.id)).collect();
        let results = entries.into_iter().map(|entry| self.entry(instance, operation, url, entry));
        sqs_batch(ids.iter().map(String::as_str).zip(results))
    }

    /// Runs an operation for one entry.
    fn entry(&mut self, instance: u32, operation: &str, url: &str, entry: SqsEntry) -> SqsResult {
        let handle = entry.receipt_handle.as_deref().unwrap_or_default();
        match operation {
            "DeleteMessage" | "DeleteMessageBatch" => self.delete(instance, url, handle),
            "ChangeMessageVisibility" | "ChangeMessageVisibilityBatch" => {
                self.change(instance, url, handle, entry.visibility_timeout)
            }
            _ => self.send_entry(instance, url, entry),
        }
    }

    fn send_entry(&mut self, instance: u32, url: &str, entry: SqsEntry) -> SqsResult {
        let (fifo, by_content) = (self.queue(url).fifo, self.queue(url).by_content);
        let noted = quarantined(&entry);
        let SqsEntry { message_body: body, message_attributes: attributes, .. } = entry;
        let (group, deduplication_id) = (entry.message_group_id, entry.message_deduplication_id);
        if !is_allowed(&body) {
            return Err(Failed { code: "InvalidMessageContents", sender_fault: true });
        }
        if fifo && group.is_none() {
            return Err(Failed { code: "MissingParameter", sender_fault: true });
        }
        if fifo && deduplication_id.is_none() && !by_content || !fifo && deduplication_id.is_some() {
            return Err(Failed { code: "InvalidParameterValue", sender_fault: true });
        }
        if size(&body, &attributes) > MAX_BYTES {
            return Err(Failed { code: "InvalidParameterValue", sender_fault: true });
        }
        let name = noted.as_ref().map_or_else(|| "a message".into(), |noted| self.name_of(&noted.message));
        if self.happens(|faults| faults.send_fails) {
            self.onward_fault(&name, "SQS did not accept it");
            return Err(self.transient_failure());
        }
        let (id, known) =
            self.queue_send(url, Incoming { body, attributes, group, deduplication_id, name: Arc::clone(&name) });
        if let (Some(Noted { message, reason, delivered }), false) = (noted, known) {
            self.note(Some(instance), What::Quarantined { event: name, message: message.into(), reason, delivered });
        }
        Ok(Some(id))
    }

    /// Sends like [`State::send`], but for a message of the service: it is never late and not logged as sent.
    fn queue_send(&mut self, url: &str, message: Incoming) -> (Arc<str>, bool) {
        let now = Instant::now();
        self.queue(url).send(message, now, now)
    }

    fn delete(&mut self, instance: u32, url: &str, handle: &str) -> SqsResult {
        let (now, fifo) = (Instant::now(), self.queue(url).fifo);
        let number = match self.queue(url).find(handle, now) {
            Handle::InFlight(number) => number,
            Handle::Lapsed(number) if !fifo => number,
            Handle::Lapsed(_) | Handle::Stale(_) if fifo => {
                return Err(Failed { code: "InvalidParameterValue", sender_fault: true });
            }
            // API reference, DeleteMessage: "the request succeeds, but the message will not be deleted".
            Handle::Lapsed(_) | Handle::Stale(_) | Handle::Gone => return Ok(None),
            Handle::Malformed => return Err(Failed { code: "ReceiptHandleIsInvalid", sender_fault: true }),
        };
        let Stored { content, ghost, receives, .. } = self.queue(url).get(number).clone();
        let (id, name) = (Arc::clone(&content.id), Arc::clone(&content.name));
        if self.happens(|faults| faults.delete_fails) {
            self.onward_fault(&name, "not deleted");
            return Err(self.transient_failure());
        }
        self.note(Some(instance), What::Deleted { event: Arc::clone(&name), message: id, receives });
        if !fifo && !ghost && self.happens(|faults| faults.ghost) {
            let again = now + Duration::from_millis(self.random.u64(100..20_000));
            let message = self.queue(url).get_mut(number);
            (message.ghost, message.visible_at) = (true, again);
            self.fault(&name, "handed out once more after its delete");
        } else {
            let _deleted = self.queue(url).remove(number);
        }
        if self.happens(|faults| faults.delete_fails_late) {
            self.onward_fault(&name, "deleted, but reported as failed");
            return Err(self.transient_failure());
        }
        Ok(None)
    }

    fn change(&mut self, instance: u32, url: &str, handle: &str, seconds: u64) -> SqsResult {
        let now = Instant::now();
        let Handle::InFlight(number) = self.queue(url).find(handle, now) else {
            let codes = ["InvalidParameterValue", "MessageNotInflight", "ReceiptHandleIsInvalid"];
            let code = match self.queue(url).find(handle, now) {
                Handle::Malformed => "ReceiptHandleIsInvalid",
                _ => self.random.choice(codes).expect("the list is not empty"),
            };
            return Err(Failed { code, sender_fault: true });
        };
        let name = Arc::clone(self.queue(url).get(number).name());
        if self.happens(|faults| faults.visibility_fails) {
            self.fault(&name, "its visibility was not changed");
            return Err(self.transient_failure());
        }
        let visible_at = now + self.actual_timeout(&name, Duration::from_secs(seconds));
        self.queue(url).get_mut(number).visible_at = visible_at;
        self.note(Some(instance), What::Hidden { event: name, seconds });
        Ok(None)
    }

    /// Returns the actual length of a visibility timeout: shorter than requested if the draw says so.
    fn actual_timeout(&mut self, name: &Arc<str>, timeout: Duration) -> Duration {
        if self.happens(|faults| faults.lapses_early) {
            self.fault(name, "its visibility timeout ends early");
            return timeout.mul_f64(self.random.f64());
        }
        timeout
    }

    /// Draws a transient failure of an entry: one of the known error codes or an unknown one.
    fn transient_failure(&mut self) -> Failed {
        let known = [
            ("InternalError", false),
            ("ServiceUnavailable", false),
            ("RequestThrottled", true),
            ("ThrottlingException", true),
            ("OverLimit", true),
            ("SomethingNew", false),
        ];
        let (code, sender_fault) = self.random.choice(known).expect("the list is not empty");
        Failed { code, sender_fault }
    }

    /// Moves each message that a receive would return once too often to the dead-letter queue, if the queue has one.
    pub(super) fn redrive(&mut self, url: &str) {
        let Some(Redrive { dead_letter, max_receives }) = self.queue(url).redrive.clone() else { return };
        let now = Instant::now();
        loop {
            let queue = self.queue(url);
            let is_spent = |number: &u64| queue.get(*number).receives >= max_receives;
            // The next message of a group can be received only after this one has moved.
            let Some(number) = queue.receivable(now).into_iter().find(is_spent) else { return };
            let Some(message) = queue.remove(number) else { return };
            let (event, id) = (Arc::clone(message.name()), Arc::clone(&message.content.id));
            self.queue(&dead_letter).add(message, now);
            self.note(None, What::DeadLettered { event, message: id });
        }
    }

    /// Receives messages without waiting. Returns each with its receipt handle.
    fn receive_now(&mut self, url: &str, most: usize, visibility: Option<Duration>) -> Vec<(String, Stored)> {
        self.redrive(url);
        let now = Instant::now();
        let visibility = visibility.unwrap_or(self.queue(url).visibility);
        let mut numbers = self.queue(url).receivable(now);
        if !self.queue(url).fifo {
            // A standard queue guarantees neither the order nor that a receive returns all visible messages. The model
            // varies both if it has faults at all.
            if self.faults != super::Faults::none() {
                self.random.shuffle(&mut numbers);
                let found = numbers.len();
                numbers.truncate(if self.random.bool() { most } else { self.random.usize(1..=found.max(1)) });
            }
            if self.happens(|faults| faults.twice)
                && let Some(number) = {
                    let held = self.queue(url).in_flight(now);
                    self.random.choice(held)
                }
            {
                let name = Arc::clone(self.queue(url).get(number).name());
                self.fault(&name, "handed out a second time while in flight");
                numbers.insert(0, number);
            }
        }
        numbers.truncate(most);
        let mut received = Vec::with_capacity(numbers.len());
        for number in numbers {
            let name = Arc::clone(self.queue(url).get(number).name());
            let visible_at = now + self.actual_timeout(&name, visibility);
            received.push(self.queue(url).receive(number, now, visible_at));
        }
        received
    }
}

/// Runs ReceiveMessage: waits for messages up to the wait time. Returns the answer and the facts that it carries.
pub(super) async fn receive(
    world: &World,
    input: &SqsInput,
    reply: &mut oneshot::Sender<Reply>,
) -> (Answer, Vec<What>) {
    let url = &*input.queue_url;
    if !world.lock().queues.contains_key(url) {
        return (no_such_queue(), Vec::new());
    }
    let most = input.max_number_of_messages.unwrap_or(1) as usize;
    if !(1..=10).contains(&most) {
        return (Answer::sqs_error(400, "InvalidParameterValue", "MaxNumberOfMessages is from 1 to 10"), Vec::new());
    }
    let visibility = input.visibility_timeout.map(Duration::from_secs);
    let deadline = Instant::now() + Duration::from_secs(input.wait_time_seconds.unwrap_or_default());
    loop {
        let mut changed = std::pin::pin!(world.changed().notified());
        changed.as_mut().enable();
        let next = {
            let mut state = world.lock();
            // Sometimes SQS hands out messages to a client that has disconnected.
            if reply.is_closed() && !(state.faults.lost_answer > 0.0 && state.random.bool()) {
                return (Answer::sqs(&json!({})), Vec::new());
            }
            let received = state.receive_now(url, most, visibility);
            if !received.is_empty() {
                return hand_out(&received, state.clock_skew);
            }
            state.queue(url).next_visible(Instant::now())
        };
        if Instant::now() >= deadline {
            return (Answer::sqs(&json!({})), Vec::new());
        }
        tokio::select! {
            biased;
            () = changed => {}
            () = reply.closed() => {}
            () = sleep_until(next.map_or(deadline, |next| next.min(deadline))) => {}
        }
    }
}

fn hand_out(received: &[(String, Stored)], clock_skew: i64) -> (Answer, Vec<What>) {
    let fact = |(_, message): &(String, Stored)| What::Handed {
        event: Arc::clone(message.name()),
        message: Arc::clone(&message.content.id),
        receives: message.receives,
    };
    let messages: Vec<String> = received.iter().map(|(handle, message)| to_json(handle, message, clock_skew)).collect();
    (Answer::plain(format!("{{\"Messages\":[{}]}}", messages.join(","))), received.iter().map(fact).collect())
}

fn to_json(handle: &str, message: &Stored, clock_skew: i64) -> String {
    let mut system = format!(
        "\"SentTimestamp\":\"{}\",\"ApproximateFirstReceiveTimestamp\":\"{}\",\"ApproximateReceiveCount\":\"{}\"",
        wall_clock(message.sent, clock_skew),
        wall_clock(message.first_received.unwrap_or(message.sent), clock_skew),
        message.receives,
    );
    let Content { id, group, deduplication_id, body, attributes, .. } = &*message.content;
    for (name, value) in [("MessageGroupId", group), ("MessageDeduplicationId", deduplication_id)] {
        if let Some(value) = value {
            system += &format!(",\"{name}\":{}", Value::from(value.as_str()));
        }
    }
    format!(
        "{{\"MessageId\":\"{id}\",\"ReceiptHandle\":\"{handle}\",\"Body\":{body},\"Attributes\":{{{system}}},\
         \"MessageAttributes\":{attributes}}}"
    )
}

/// Converts a moment of tokio's time to the clock of SQS, in milliseconds since the epoch. The clock of SQS is ahead of
/// the one that the service reads by `clock_skew` seconds. The age is rounded to half a second, so that the result does
/// not depend on the speed of the machine.
fn wall_clock(moment: Instant, clock_skew: i64) -> String {
    let ago = Duration::from_secs(moment.elapsed().as_secs()) + Duration::from_millis(500);
    let since_epoch = (SystemTime::now() - ago).duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let millis = i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX);
    millis.saturating_add(clock_skew * 1_000).to_string()
}

fn no_such_queue() -> Answer {
    Answer::sqs_error(400, "QueueDoesNotExist", "The specified queue does not exist.")
}

/// Returns the answer to a call with one entry.
fn single(result: SqsResult) -> Answer {
    match result {
        Ok(Some(message)) => Answer::sqs(&json!({"MessageId": &*message, "MD5OfMessageBody": ""})),
        Ok(None) => Answer::sqs(&json!({})),
        Err(Failed { code, sender_fault }) => {
            Answer::sqs_error(if sender_fault { 400 } else { 500 }, code, "the call failed")
        }
    }
}

/// The contents of a quarantined message's note.
pub(super) struct Noted {
    /// The id of the original.
    pub(super) message: String,
    reason: String,
    /// The topics that have the event.
    delivered: Vec<String>,
}

/// Returns what the note of a quarantined message says.
pub(super) fn quarantined(entry: &SqsEntry) -> Option<Noted> {
    let note = entry.message_attributes["protobridge-quarantine"]["StringValue"].as_str()?;
    let note: Value = serde_json::from_str(note).ok()?;
    let delivered = note["delivered"].as_array().map(Vec::as_slice).unwrap_or_default();
    let topic = |recipient: &Value| recipient["topic"].as_str().map(str::to_owned);
    Some(Noted {
        message: note["message_id"].as_str()?.to_owned(),
        reason: note["reason"].as_str()?.to_owned(),
        delivered: delivered.iter().filter_map(topic).collect(),
    })
}

/// Returns the size of a message in bytes as SQS counts it.
pub(super) fn size(body: &str, attributes: &Value) -> usize {
    let length = |value: &Value| value.as_str().map_or(0, str::len);
    let attributes = attributes.as_object().into_iter().flatten();
    let attributes = attributes.map(|(name, value)| {
        // Four characters of base64 encode three bytes.
        let binary = value["BinaryValue"]
            .as_str()
            .map_or(0, |text| text.len() / 4 * 3 - text.bytes().rev().take_while(|byte| *byte == b'=').count());
        name.len() + length(&value["DataType"]) + length(&value["StringValue"]) + binary
    });
    body.len() + attributes.sum::<usize>()
}
