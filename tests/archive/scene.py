"""The scene of the checks: a standard queue and a FIFO queue in ministack, each with a topic and its subscriber."""

import base64
import json
from dataclasses import dataclass

import duckdb
import pyarrow.dataset
import yaml

import stage
from stage import CUSTOMER, check_entries, fail
from world import until

FIFO_CUSTOMER = "globex"
GROUPS = 7
# What the archive must have of a message as the producer sent it.
COLUMNS = ["queue", "body", "body_encoding", "attributes", "group", "dedup_id", "sequence_number"]


def require(condition, what, *details):
    """Exits with an error if the condition is false."""
    if not condition:
        fail("\n".join([what, *map(str, details)]))


@dataclass
class Lane:
    """A source queue, and what subscribes to the topic of its events."""

    name: str
    source: str
    topic: str
    inbox: str


class Scene(stage.Stage):
    """The standard queue is `events`, the FIFO queue is `orders`."""

    def __init__(self, name, endpoint, work):
        super().__init__(name, endpoint, work)
        sns = stage.client("sns", endpoint)
        fifo = {"FifoQueue": "true"}
        source = self.sqs.create_queue(QueueName=f"{name}-orders.fifo", Attributes=fifo)["QueueUrl"]
        inbox = self.sqs.create_queue(QueueName=f"{name}-inbox.fifo", Attributes=fifo)["QueueUrl"]
        topic = sns.create_topic(Name=f"{name}-{FIFO_CUSTOMER}.fifo", Attributes={"FifoTopic": "true"})["TopicArn"]
        arn = self.sqs.get_queue_attributes(QueueUrl=inbox, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
        self.lanes = [Lane("events", self.source, self.topic, self.inbox), Lane("orders", source, topic, inbox)]
        customers = [CUSTOMER, FIFO_CUSTOMER]
        self.producers = [Producer(self, lane, customer) for lane, customer in zip(self.lanes, customers)]
        self.inboxes = [Inbox(self, lane.inbox) for lane in self.lanes]

    def configure(self, name, store, endpoints=None, **settings):
        settings = {"archive": {"enabled": True}, "journal": {"enabled": False}} | settings
        path = super().configure(name, store, endpoints, **settings)
        config = yaml.safe_load(path.read_text())
        config["queues"] = [{"name": lane.name, "url": lane.source} for lane in self.lanes]
        path.write_text(yaml.safe_dump(config))
        customers = zip([CUSTOMER, FIFO_CUSTOMER], self.lanes)
        customers = {"customers": [{"id": customer, "topic": lane.topic} for customer, lane in customers]}
        (self.work / "customers.yaml").write_text(yaml.safe_dump(customers))
        return path

    def send(self, count, body=None):
        """Sends this number of new events to each queue, and returns their ids."""
        ids = []
        for producer in self.producers:
            producer.body = body
            ids += producer.send(count)
        return ids

    def sent(self):
        """Returns all messages by id, as the archive must have them."""
        return {key: row for producer in self.producers for key, row in producer.messages.items()}

    def event_ids(self):
        """Returns the event id of each message."""
        return {key: event_id for producer in self.producers for key, event_id in producer.sent.items()}

    def left(self):
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        answers = [self.sqs.get_queue_attributes(QueueUrl=lane.source, AttributeNames=names) for lane in self.lanes]
        return sum(int(answer["Attributes"][name]) for answer in answers for name in names)

    def until_arrived(self, ids, replay=None):
        """Receives until each of these events has arrived, from the replay of this name if there is one."""
        missing = set(ids)

        def arrived():
            for inbox in self.inboxes:
                while inbox.receive():
                    pass
                missing.difference_update(event_id for event_id, name in inbox.arrived if name == replay)
            return not missing

        until(f"all of {len(missing)} events arrive", arrived, self.logs, 60)


class Producer(stage.Producer):
    """Sends events to one queue. `messages` has what it sent by message id."""

    def __init__(self, scene, lane, customer):
        super().__init__(scene, customer)
        self.lane, self.messages, self.body = lane, {}, None

    def send_again(self, events):
        entries = [self.entry(str(number), event) for number, event in enumerate(events)]
        answer = self.stage.sqs.send_message_batch(QueueUrl=self.lane.source, Entries=entries)
        check_entries(answer)
        for each in answer["Successful"]:
            entry, event = entries[int(each["Id"])], events[int(each["Id"])]
            self.sent[each["MessageId"]] = event.id
            self.messages[each["MessageId"]] = self.row(entry, each.get("SequenceNumber"))

    def entry(self, number, event):
        attributes = {
            "message-type": {"DataType": "String", "StringValue": event.type},
            "payload": {"DataType": "Binary", "BinaryValue": event.payload or b"\0"},
        }
        bodies = ["-", base64.b64encode(event.payload or b"\0").decode(), '{"größe": "€😀"}']
        body = self.body or bodies[int(number) % len(bodies)]
        entry = {"Id": number, "MessageBody": body, "MessageAttributes": attributes}
        if self.lane.name == "orders":
            group = f"group-{int(event.id[:8], 16) % GROUPS}"
            entry |= {"MessageGroupId": group, "MessageDeduplicationId": event.id}
        return entry

    def row(self, entry, sequence_number):
        def value(each):
            if each["DataType"] == "Binary":
                return {"type": "Binary", "base64": base64.b64encode(each["BinaryValue"]).decode()}
            return {"type": each["DataType"], "value": each["StringValue"]}

        attributes = {name: value(each) for name, each in entry["MessageAttributes"].items()}
        group, dedup_id = entry.get("MessageGroupId"), entry.get("MessageDeduplicationId")
        return row_of([self.lane.name, entry["MessageBody"], attributes, group, dedup_id, sequence_number])


class Inbox:
    """What the subscriber of a topic gets: pairs of an event id and the name of its replay, in their order."""

    def __init__(self, scene, url):
        self.sqs, self.url, self.arrived = stage.client("sqs", scene.endpoint), url, []

    def receive(self):
        """Receives up to ten messages and returns their number."""
        messages = self.sqs.receive_message(QueueUrl=self.url, MaxNumberOfMessages=stage.BATCH).get("Messages", [])
        for message in messages:
            attributes = json.loads(message["Body"])["MessageAttributes"]
            self.arrived.append((attributes["event-id"]["Value"], attributes.get("replay", {}).get("Value")))
        if messages:
            entries = [{"Id": str(n), "ReceiptHandle": each["ReceiptHandle"]} for n, each in enumerate(messages)]
            check_entries(self.sqs.delete_message_batch(QueueUrl=self.url, Entries=entries))
        return len(messages)


def row_of(values):
    """Returns a message as a text that can be compared: queue, body, attributes, group, deduplication id, number."""
    return json.dumps(values, sort_keys=True)


def archived(found):
    """Returns rows of the archive by message id, from dictionaries. Copies of one message must be the same."""
    rows = {}
    for each in found:
        body, is_base64 = each["body"], each["body_encoding"] == "base64"
        body = base64.b64encode(body).decode() if is_base64 else body.decode()
        others = [each["group"], each["dedup_id"], each["sequence_number"]]
        row = row_of([each["queue"], body, json.loads(each["attributes"]), *others])
        require(rows.setdefault(each["message_id"], row) == row, "the copies of a message are the same", row)
    return rows


def by_duckdb(folder):
    """Returns the messages of an archive in a folder, as DuckDB reads them, and the number of rows."""
    found = duckdb.sql(f"SELECT * FROM read_parquet('{folder}/archive/v1/*/*/*.parquet', hive_partitioning = true)")
    rows = [dict(zip(found.columns, row)) for row in found.fetchall()]
    return archived(rows), len(rows)


def by_pyarrow(folder):
    """Returns the messages of an archive in a folder, as pyarrow reads them, and the number of rows."""
    table = pyarrow.dataset.dataset(folder / "archive/v1", partitioning="hive").to_table(["message_id", *COLUMNS])
    rows = table.to_pylist()
    return archived(rows), len(rows)
