"""Events on the source queue, and what arrives at the queues of the customers."""

import collections
import itertools
import json
import threading
import time

import boto3
import shop_events
from cluster import ROOT, Failed, require
from outside import ENDPOINT
from world import CUSTOMERS, REGION, Stage, until

BATCH = 10


def client(service):
    return boto3.client(service, endpoint_url=ENDPOINT, region_name=REGION)


class Traffic:
    """Sends events and receives what the topics of the customers deliver, from the start of the run to its end."""

    def __init__(self, logs, name):
        self.name, self.stage = name, Stage(ENDPOINT, logs, f"{name}-")
        self.logs = logs
        self.events, self.arrived, self.replayed = {}, collections.Counter(), collections.Counter()
        self.different, self.seeds, self.lock = [], itertools.count(), threading.Lock()
        self.last_arrival = time.monotonic()
        for customer, url in self.stage.queues.items():
            self.consume(customer, url)

    def consume(self, customer, url):
        threading.Thread(target=self.consume_forever, args=(customer, url), daemon=True).start()

    def consume_forever(self, customer, url):
        sqs = client("sqs")
        while True:
            answer = sqs.receive_message(
                QueueUrl=url, MaxNumberOfMessages=BATCH, WaitTimeSeconds=1, MessageAttributeNames=["All"]
            )
            messages = answer.get("Messages", [])
            if messages:
                for message in messages:
                    self.take(customer, message)
                entries = [{"Id": str(n), "ReceiptHandle": each["ReceiptHandle"]} for n, each in enumerate(messages)]
                sqs.delete_message_batch(QueueUrl=url, Entries=entries)

    def take(self, customer, message):
        attributes = {name: each["StringValue"] for name, each in message["MessageAttributes"].items()}
        event = self.events.get(attributes["event-id"])
        with self.lock:
            self.last_arrival = time.monotonic()
            if event is None:
                # A heartbeat or an event of a check of its own.
                self.arrived[attributes["event-id"]] += 1
                return
            kind = self.replayed if "replay" in attributes else self.arrived
            kind[event.id] += 1
            same = customer == event.customer and attributes["event-type"] == event.type
            if not same or not shop_events.same(json.loads(message["Body"]), event.json):
                self.different.append(message["Body"])

    def make(self, count):
        """Returns new events, and remembers them."""
        seed = f"{self.name}-{next(self.seeds)}"
        events = list(shop_events.events(ROOT / "descriptors/shop.binpb", seed, count, CUSTOMERS))
        self.events.update((event.id, event) for event in events)
        return events

    def send(self, events, per_second=None):
        """Sends events, evenly at a rate if there is one."""
        sqs, start = client("sqs"), time.monotonic()
        for first in range(0, len(events), BATCH):
            send_batch(sqs, self.stage.source, events[first : first + BATCH])
            if per_second:
                time.sleep(max(start + (first + BATCH) / per_second - time.monotonic(), 0))

    def settle(self, events, most_repeated=0):
        """Waits until all of these events have arrived and the source queue is empty. Returns the duplicates."""

        def missing():
            return [event.id for event in events if not self.arrived[event.id]]

        until(f"all of {len(events)} events arrive", lambda: not missing(), self.logs)
        until("the source queue is empty", lambda: self.stage.messages_left() == 0, self.logs)
        until("nothing more arrives", lambda: time.monotonic() - self.last_arrival > 2)
        duplicates = sum(self.arrived[event.id] - 1 for event in events)
        require(not self.different, "each event arrives as the JSON of Python's Protobuf", self.different[:1])
        require(duplicates <= most_repeated, f"at most {most_repeated} events arrive twice, but {duplicates} do")
        return duplicates

    def during(self, least, per_second, action):
        """Runs an action while events are sent: until it is over, and at least this number. Returns the events."""
        events, errors, over = [], [], threading.Event()

        def send():
            try:
                while len(events) < least or not over.is_set():
                    part = self.make(per_second)
                    events.extend(part)
                    self.send(part, per_second)
            except Exception as error:
                errors.append(error)

        sender = threading.Thread(target=send, daemon=True)
        sender.start()
        until("the first events arrive", lambda: any(self.arrived[event.id] for event in events[:100]), self.logs)
        action()
        require(sender.is_alive(), "events were sent until the action was over", errors)
        over.set()
        sender.join()
        if errors:
            raise Failed(f"the events are not sent: {errors[0]}")
        return events


def send_batch(sqs, queue, events):
    entries = [entry(number, event.type, event.payload) for number, event in enumerate(events)]
    answer = sqs.send_message_batch(QueueUrl=queue, Entries=entries)
    require(not answer.get("Failed"), "the queue accepts the events", answer)


def entry(number, kind, payload):
    attributes = {
        "message-type": {"DataType": "String", "StringValue": kind},
        "payload": {"DataType": "Binary", "BinaryValue": payload},
    }
    return {"Id": str(number), "MessageBody": "-", "MessageAttributes": attributes}
